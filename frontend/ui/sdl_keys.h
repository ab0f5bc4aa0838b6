/* SDL's scan codes as the kernel's key codes. A scan code is a place on the keyboard (a usage of USB's HID tables). */
#ifndef FRONTEND_UI_SDL_KEYS_H
#define FRONTEND_UI_SDL_KEYS_H

#include <stdint.h>

uint16_t sdl_key_code(unsigned scancode); /* KEY_*; 0: none */

#endif
