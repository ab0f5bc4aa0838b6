#!/bin/sh
# Debian installed on an empty disk through the window, by its installer or by hand, and that disk booted; see
# installer.py. TAP.
#   BY=installer|hand: not what the mirror's state suggests
# Half an hour to two. Pictures of every step, logs and the disk stay in build/installer.
. "$(dirname "$0")/../system/lib.sh"
need_netboot
text=$tftp/debian-installer/riscv64
mirror=$("$demo/fetch.sh" "$cache" trixie riscv64 mirror)

get() { /usr/lib/apt/apt-helper download-file "$mirror/$1" "$tmp/$2" >>"$tmp/parts.log" 2>&1; }

# parts: what the mirror lacks of what the installer loads from it; nothing: it has all. Mirrors leave parts of other
# architectures out, and one that is being updated has lists and kernels that do not fit.
parts() {
    dist=dists/trixie list=main/debian-installer/binary-riscv64/Packages.gz
    kernel=$(grep -aom1 'Linux version [^ ]*' "$text/linux" | cut -d ' ' -f 3)
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    if ! get $dist/Release Release || ! get $dist/Release.gpg Release.gpg ||
        ! gpgv -q --keyring $keys "$tmp/Release.gpg" "$tmp/Release" 2>>"$tmp/parts.log"; then
        echo "a list that is signed"
    elif ! get $dist/$list list.gz || ! gunzip "$tmp/list.gz" ||
        ! grep -q "^Package: ext4-modules-$kernel-di" "$tmp/list"; then
        echo "drivers for the installer's kernel, $kernel"
    elif ! get "$(sed -n 's/^Filename: \(.*\/partman-base_.*\)/\1/p' "$tmp/list" | head -n 1)" part; then
        echo "the installer's parts for riscv64"
    fi
}

need_packages fonts "the console's fonts" console-setup-linux # to read the screen by
fonts=$cache/fonts/usr/share/consolefonts
by=${BY:-} live=
if [ -z "$by" ]; then
    missing=$(parts)
    by=installer
    [ -z "$missing" ] || by=hand
    [ -z "$missing" ] || echo "# the mirror lacks $missing: no installer, the same by hand"
fi
if [ "$by" = hand ]; then
    need_guest
    live=$cache/debian.img
    if [ ! -f "$live" ] && ! GUISE=$guise GUEST=debian "$demo/demo.sh" disk >"$tmp/out" 2>&1; then
        ok 1 "a Debian to install from is made" "$tmp/out"
        echo "1..$n"
        exit 1
    fi
fi

out=$top/build/installer
rm -rf "$out"
mkdir -p "$out"
GUISE=$guise TEXT=$text EDK2=$edk2 FONTS=$fonts OUT=$out MIRROR=$mirror \
    LIVE=$live KERNEL=$cache/vmlinuz INITRD=$cache/initrd \
    PROXY=$(apt-config dump --format '%v%n' Acquire::http::Proxy 2>/dev/null || true) \
    python3 "$top/tests/long/installer.py"
