/* A character stream with nobody at the host end: takes every byte, never offers one. */
#ifndef DEVICES_CHARDEV_NULL_H
#define DEVICES_CHARDEV_NULL_H

struct chardev;

struct chardev *chardev_null_new(void); /* freed by its own ->free; NULL: out of memory */

#endif
