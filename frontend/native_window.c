/* See native_window.h. */
#include "frontend/native_window.h"

static bool have(const struct machine_config *c, bool (*is)(enum device_kind kind))
{
    for (unsigned i = 0; i < c->devices; i++)
        if (is(c->device[i].type->kind))
            return true;
    return false;
}

static bool is_screen(enum device_kind k)
{
    return k == DEVICE_GPU || k == DEVICE_BOCHS || k == DEVICE_RAMFB || k == DEVICE_SIMPLEFB;
}
static bool is_keyboard(enum device_kind k)
{
    return k == DEVICE_KEYBOARD || k == DEVICE_PS2_KEYBOARD || k == DEVICE_USB_KEYBOARD;
}
static bool is_pointer(enum device_kind k)
{
    return k == DEVICE_TABLET || k == DEVICE_MOUSE || k == DEVICE_TOUCH || k == DEVICE_PS2_MOUSE ||
           k == DEVICE_USB_TABLET || k == DEVICE_USB_MOUSE;
}

/* A screen that follows the window, a keyboard, and a pointer that need not be grabbed. */
bool native_window(struct machine_config *c, struct err *e)
{
    return (have(c, is_screen) || config_add_device(c, "virtio-gpu-pci", e)) &&
           (have(c, is_keyboard) || config_add_device(c, "virtio-keyboard-pci", e)) &&
           (have(c, is_pointer) || config_add_device(c, "virtio-tablet-pci", e));
}
