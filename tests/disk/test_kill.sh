#!/bin/sh
# A guest that writes is killed three times: `make check-disks` does it a hundred times, with fio.
exec "$(dirname "$0")/kill.sh" 3
