#!/bin/sh
# guise img and guise io beside qemu-img and qemu-io: the same commands in two folders must print the same, end alike and
# leave images of the same content; and each tool must understand what the other has written.
exec python3 "$(dirname "$0")/img.py"
