/*
 * See sdl_keys.h. Below 0xe8 SDL's scancodes are the usages of USB keyboards (SDL_scancode.h), which devices/usb_hid_codes.c
 * has. Here is what that table has not: second names of keys, and the media keys from 258 on, which SDL numbers by itself.
 */
#include "frontend/ui/sdl_keys.h"

#include <SDL2/SDL_scancode.h>
#include <linux/input-event-codes.h>
#include <stddef.h>

#include "base/bits.h"
#include "devices/usb_hid.h"

enum { USAGES = 0xe8 };

static const struct {
    uint16_t scancode, code;
} others[] = {
    {SDL_SCANCODE_NONUSHASH, KEY_BACKSLASH}, /* the same key of ISO keyboards */
    {SDL_SCANCODE_SYSREQ, KEY_SYSRQ},
    {SDL_SCANCODE_CANCEL, KEY_CANCEL},
    {SDL_SCANCODE_KP_PLUSMINUS, KEY_KPPLUSMINUS},
    {SDL_SCANCODE_MODE, KEY_RIGHTALT}, /* X11's Mode_switch: AltGr */
    {SDL_SCANCODE_AUDIONEXT, KEY_NEXTSONG},
    {SDL_SCANCODE_AUDIOPREV, KEY_PREVIOUSSONG},
    {SDL_SCANCODE_AUDIOSTOP, KEY_STOPCD},
    {SDL_SCANCODE_AUDIOPLAY, KEY_PLAYPAUSE},
    {SDL_SCANCODE_AUDIOMUTE, KEY_MUTE},
    {SDL_SCANCODE_MEDIASELECT, KEY_MEDIA},
    {SDL_SCANCODE_WWW, KEY_WWW},
    {SDL_SCANCODE_MAIL, KEY_MAIL},
    {SDL_SCANCODE_CALCULATOR, KEY_CALC},
    {SDL_SCANCODE_COMPUTER, KEY_COMPUTER},
    {SDL_SCANCODE_AC_SEARCH, KEY_SEARCH},
    {SDL_SCANCODE_AC_HOME, KEY_HOMEPAGE},
    {SDL_SCANCODE_AC_BACK, KEY_BACK},
    {SDL_SCANCODE_AC_FORWARD, KEY_FORWARD},
    {SDL_SCANCODE_AC_STOP, KEY_STOP},
    {SDL_SCANCODE_AC_REFRESH, KEY_REFRESH},
    {SDL_SCANCODE_AC_BOOKMARKS, KEY_BOOKMARKS},
    {SDL_SCANCODE_BRIGHTNESSDOWN, KEY_BRIGHTNESSDOWN},
    {SDL_SCANCODE_BRIGHTNESSUP, KEY_BRIGHTNESSUP},
    {SDL_SCANCODE_DISPLAYSWITCH, KEY_SWITCHVIDEOMODE},
    {SDL_SCANCODE_KBDILLUMTOGGLE, KEY_KBDILLUMTOGGLE},
    {SDL_SCANCODE_KBDILLUMDOWN, KEY_KBDILLUMDOWN},
    {SDL_SCANCODE_KBDILLUMUP, KEY_KBDILLUMUP},
    {SDL_SCANCODE_EJECT, KEY_EJECTCD},
    {SDL_SCANCODE_SLEEP, KEY_SLEEP},
    {SDL_SCANCODE_APP1, KEY_PROG1},
    {SDL_SCANCODE_APP2, KEY_PROG2},
    {SDL_SCANCODE_AUDIOREWIND, KEY_REWIND},
    {SDL_SCANCODE_AUDIOFASTFORWARD, KEY_FASTFORWARD},
};

uint16_t sdl_key_code(unsigned scancode)
{
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i].scancode == scancode)
            return others[i].code;
    for (uint16_t code = 1; scancode && scancode < USAGES && code < 256; code++)
        if (usb_hid_usage(code) == scancode)
            return code;
    return 0;
}
