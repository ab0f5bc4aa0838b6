#!/bin/sh
# The monitor's commands, the keys and the state of the terminal: monitor.py with a Linux guest and the built-in one.
. "$(dirname "$0")/lib.sh"
need_guest
script 'echo READY; exec setsid cttyhack sh'
GUISE=$guise QEMU=$qemu KERNEL=$cache/vmlinuz INITRD=$tmp/initrd TEACH=$top/tests/guest/teach.elf timeout -k 10 1500 \
    python3 "$top/tests/system/monitor.py"
