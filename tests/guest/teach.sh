#!/bin/sh
# Build teach.elf, the built-in guest, with Debian's cross compiler: teach.sh [OUT]
set -eu
cd "$(dirname "$0")"
riscv64-linux-gnu-gcc -Os -march=rv64gc -mabi=lp64d -mcmodel=medany -ffreestanding -nostdlib -static -fno-pic -no-pie \
    -fno-stack-protector -mno-relax -Wall -Wextra -Wl,-T,teach.ld -Wl,--build-id=none -Wl,-z,max-page-size=4096 -s -o "${1:-teach.elf}" \
    teach_start.S teach.c
