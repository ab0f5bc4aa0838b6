/*
 * What the monitor makes of a machine's keyboard and pointer: keys that are held for a time, text that is typed, buttons
 * that are kept. Time is the machine's: keys wait while it is stopped.
 *
 * All on the loop's thread. The player owns nothing of the input and the clock it is given.
 */
#ifndef FRONTEND_INPUT_PLAYER_H
#define FRONTEND_INPUT_PLAYER_H

#include <stdbool.h>
#include <stdint.h>

struct clock;
struct input;
struct input_player;

enum { INPUT_HOLD_MS = 100, INPUT_CHORD_MAX = 16, INPUT_STEPS_MAX = 8192 };

struct input_player *input_player_new(struct input *in, struct clock *clock); /* NULL: out of memory */
void input_player_free(struct input_player *p);                               /* NULL: nothing */
/*
 * Press n keys in turn, hold all for hold_ms, release them backwards; after what was asked for before. false: too much
 * waits.
 */
bool input_player_chord(struct input_player *p, const uint16_t *code, unsigned n, unsigned hold_ms);
/* Type ASCII on a US keyboard. *bad: the first character that has no key, then nothing is typed; 0: too much waits. */
bool input_player_type(struct input_player *p, const char *text, char *bad);
/* The pointer's buttons: bits 1 left, 2 right, 4 middle, 8 side, 16 extra. */
void input_player_buttons(struct input_player *p, unsigned mask);

void input_player_clear(struct input_player *p); /* nothing waits any more, no button is kept; sends nothing */

#endif
