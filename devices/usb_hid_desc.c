/* What USB keyboards, mice and tablets say of themselves; names and numbers are those of QEMU's. See usb_hid.h. */
#include <string.h>

#include "base/bits.h"
#include "devices/usb_hid.h"

enum { TYPE_DEVICE = 1, TYPE_CONFIGURATION = 2, TYPE_STRING = 3, TYPE_HID = 0x21, TYPE_REPORT = 0x22 };
enum { DEVICE_LEN = 18, CONFIG_LEN = 34, HID_AT = 18, HID_LEN = 9, STRING_MAX = 126 /* characters */ };

static const uint8_t keyboard_report[] = {
    0x05, 0x01, 0x09, 0x06, 0xa1, 0x01,             /* generic desktop, keyboard, application */
    0x05, 0x07, 0x19, 0xe0, 0x29, 0xe7, 0x15, 0x00, /* modifiers, a bit each */
    0x25, 0x01, 0x75, 0x01, 0x95, 0x08, 0x81, 0x02, /* */
    0x95, 0x01, 0x75, 0x08, 0x81, 0x01,             /* a reserved byte */
    0x05, 0x08, 0x19, 0x01, 0x29, 0x05, 0x95, 0x05, /* lights */
    0x75, 0x01, 0x91, 0x02, 0x95, 0x01, 0x75, 0x03, /* */
    0x91, 0x01,                                     /* */
    0x05, 0x07, 0x19, 0x00, 0x29, 0xff, 0x15, 0x00, /* six keys, a byte each */
    0x26, 0xff, 0x00, 0x95, 0x06, 0x75, 0x08, 0x81, /* */
    0x00, 0xc0,
};

#define POINTER_BEGIN                                                                                                  \
    0x05, 0x01, 0x09, 0x02, 0xa1, 0x01, 0x09, 0x01, 0xa1, 0x00,     /* mouse, application; pointer, physical */        \
        0x05, 0x09, 0x19, 0x01, 0x29, 0x05, 0x15, 0x00, 0x25, 0x01, /* five buttons */                                 \
        0x95, 0x05, 0x75, 0x01, 0x81, 0x02, 0x95, 0x01, 0x75, 0x03, /* and three bits */                               \
        0x81, 0x01, 0x05, 0x01

static const uint8_t mouse_report[] = {
    POINTER_BEGIN, 0x09, 0x30, 0x09, 0x31, 0x09, 0x38, /* x, y, wheel: motion */
    0x15,          0x81, 0x25, 0x7f, 0x75, 0x08, 0x95, 0x03, 0x81, 0x06, 0xc0, 0xc0,
};

static const uint8_t tablet_report[] = {
    POINTER_BEGIN, 0x09, 0x30, 0x09, 0x31, 0x15, 0x00, 0x26, 0xff, 0x7f, /* x, y: 0 to 32767 */
    0x35,          0x00, 0x46, 0xff, 0x7f, 0x75, 0x10, 0x95, 0x02, 0x81, 0x02, 0x09, 0x38, 0x15, 0x81,
    0x25,          0x7f, 0x35, 0x00, 0x45, 0x00, 0x75, 0x08, 0x95, 0x01, 0x81, 0x06, 0xc0, 0xc0, /* wheel */
};

const struct usb_hid_model usb_hid_keyboard = {INPUT_KEYBOARD,  "QEMU USB Keyboard",   1, 1, 7,
                                               keyboard_report, sizeof keyboard_report};
const struct usb_hid_model usb_hid_mouse = {INPUT_MOUSE, "QEMU USB Mouse", 1, 2, 4, mouse_report, sizeof mouse_report};
const struct usb_hid_model usb_hid_tablet = {INPUT_TABLET,  "QEMU USB Tablet",   0, 0, 4,
                                             tablet_report, sizeof tablet_report};

static unsigned device(uint8_t *out)
{
    static const uint8_t d[DEVICE_LEN] = {
        DEVICE_LEN, TYPE_DEVICE, 0x00, 0x02, 0,    0,    0, 64, /* USB 2.0, packets of 64 */
        0x27,       0x06,        0x01, 0x00, 0x00, 0x00, 1, 2,  3, 1};

    memcpy(out, d, sizeof d);
    return sizeof d;
}

static unsigned configuration(const struct usb_hid_model *m, uint8_t *out)
{
    const uint8_t d[CONFIG_LEN] = {9,
                                   TYPE_CONFIGURATION,
                                   CONFIG_LEN,
                                   0,
                                   1,
                                   1,
                                   0,
                                   0xa0 /* wakes the host */,
                                   50 /* 100 mA */,
                                   9,
                                   4,
                                   0,
                                   0,
                                   1,
                                   3 /* HID */,
                                   m->subclass,
                                   m->protocol,
                                   0,
                                   HID_LEN,
                                   TYPE_HID,
                                   0x11,
                                   0x01,
                                   0,
                                   1,
                                   TYPE_REPORT,
                                   m->report_len,
                                   0,
                                   7,
                                   5,
                                   0x80 | USB_HID_IN,
                                   3 /* interrupt */,
                                   USB_HID_REPORT,
                                   0,
                                   m->interval};

    memcpy(out, d, sizeof d);
    return sizeof d;
}

static unsigned string(const char *text, uint8_t *out)
{
    size_t n = strnlen(text, STRING_MAX);

    for (size_t i = 0; i < n; i++)
        st16(out + 2 + 2 * i, (uint8_t)text[i]);
    out[0] = (uint8_t)(2 + 2 * n);
    out[1] = TYPE_STRING;
    return out[0];
}

static unsigned strings(const struct usb_hid_model *m, const char *serial, unsigned index, uint8_t *out)
{
    switch (index) {
    case 0: memcpy(out, (const uint8_t[]){4, TYPE_STRING, 0x09, 0x04}, 4); return 4; /* English (US) */
    case 1: return string("QEMU", out);
    case 2: return string(m->product, out);
    case 3: return string(serial, out);
    default: return 0;
    }
}

unsigned usb_hid_descriptor(const struct usb_hid_model *m, const char *serial, unsigned type, unsigned index,
                            uint8_t out[256])
{
    uint8_t config[CONFIG_LEN];

    if (type == TYPE_STRING)
        return strings(m, serial, index, out);
    if (index)
        return 0;
    switch (type) {
    case TYPE_DEVICE: return device(out);
    case TYPE_CONFIGURATION: return configuration(m, out);
    case TYPE_HID:
        configuration(m, config);
        memcpy(out, config + HID_AT, HID_LEN);
        return HID_LEN;
    case TYPE_REPORT: memcpy(out, m->report, m->report_len); return m->report_len;
    default: return 0;
    }
}
