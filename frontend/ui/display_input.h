/*
 * What keys and pointer events of the window are for the guest. One sender: it knows which keys and buttons it holds down, so
 * that none is left when the focus goes, and puts modifiers right that went up or down while it did not listen.
 */
#ifndef FRONTEND_UI_DISPLAY_INPUT_H
#define FRONTEND_UI_DISPLAY_INPUT_H

#include "frontend/ui/tab.h"

struct input;

struct guest_input {
    struct input *input;   /* NULL: the machine has none */
    uint8_t down[768 / 8]; /* keys, by code */
    unsigned buttons;      /* bit n: BTN_LEFT + n */
    int32_t x, y;          /* last absolute position sent; meaningless before `placed` */
    bool placed;
};

bool guest_input_pointer(const struct guest_input *g);  /* the guest listens to one */
bool guest_input_absolute(const struct guest_input *g); /* the one that is live takes positions */
void guest_input_key(struct guest_input *g, const struct ui_key *k);
void guest_input_pointer_event(struct guest_input *g, const struct ui_pointer *p, uint32_t width, uint32_t height);
void guest_input_letter(struct guest_input *g, char c); /* down and up on a US keyboard; others are left out */
void guest_input_release(struct guest_input *g);        /* everything up */

#endif
