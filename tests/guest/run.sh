#!/bin/sh
# Build the bare-metal programs and run each on every engine. TAP. OTHER="command" runs them on another emulator instead.
cd "$(dirname "$0")/../.." || exit 1
guise=${GUISE:-build/release/guise}
out=build/guest
mkdir -p "$out"
n=0
result() { # result CODE NAME
    n=$((n + 1))
    if [ "$1" = 0 ]; then
        echo "ok $n - $2"
    else
        echo "not ok $n - $2: code $1 (the line of the failed check)"
    fi
}
for t in tests/guest/test_*.c; do
    name=$(basename "$t" .c)
    [ "$name" != test_lib ] || continue
    if ! riscv64-linux-gnu-gcc -O2 -march=rv64gc -mabi=lp64d -mcmodel=medany -ffreestanding -nostdlib -static -fno-pic -no-pie \
        -fno-stack-protector -mno-relax -Wall -Wl,-T,tests/guest/test.ld -Wl,--build-id=none -o "$out/$name.elf" \
        tests/guest/crt.S tests/guest/test_lib.c "$t" >"$out/$name.log" 2>&1; then
        sed 's/^/# /' "$out/$name.log"
        result 1 "$name builds"
        continue
    fi
    cpus=1 devices=
    [ "$name" != test_smp ] || cpus=4
    if [ "$name" = test_hostile ]; then
        cpus=3 devices="--disk $out/disk,bus=mmio --disk $out/disk2,bus=pci --device virtio-rng-device --device virtio-rng-pci"
        devices="$devices --device virtio-serial-device --device virtio-serial-pci"
        truncate -s 1M "$out/disk" "$out/disk2"
    fi
    if [ -n "${OTHER:-}" ]; then
        timeout 60 $OTHER -machine virt -bios none -kernel "$out/$name.elf" -m 128 -smp $cpus -nographic </dev/null >/dev/null 2>&1
        result $? "$name on $OTHER"
        continue
    fi
    for engine in ${ENGINES:-interp ir jit}; do
        timeout 120 "$guise" run "$out/$name.elf" --bios none --engine $engine --memory 128M --cpus $cpus --console null $devices </dev/null >"$out/$name-$engine.log" 2>&1
        result $? "$name on $engine"
    done
done
echo "1..$n"
