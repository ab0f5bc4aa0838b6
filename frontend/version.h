/* The version: one place. QEMU_VERSION is the command line and machine we stand in for. */
#ifndef FRONTEND_VERSION_H
#define FRONTEND_VERSION_H

#define GUISE_VERSION "0.1"
#define QEMU_VERSION "10.0.0"

#endif
