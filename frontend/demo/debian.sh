#!/bin/sh
# Make a full Debian disk without privilege.
#   debian.sh CACHE UNPACKED IMAGE SIZE RUN...
# debootstrap unpacks the packages on the host (under fakeroot, so that root owns them in the image), mke2fs makes the
# file system, and their configuration runs inside the emulator: RUN is the command that boots a kernel with
# `-initrd FILE -append LINE` and the disk; it is called with INITRD and IMAGE as its last two arguments.
set -eu
cache=$1 x=$2 image=$3 size=$4
shift 4
here=$(cd "$(dirname "$0")" && pwd)
mirror=$("$here/fetch.sh" "$cache" trixie riscv64 mirror)
work=$cache/debian.work
log=$cache/debian.log
include=systemd-sysv,udev,kmod,dbus,login,passwd,procps,iproute2,netbase,less,vim-tiny,ca-certificates,openssh-server
include=$include,systemd-resolved,iputils-ping,ifupdown,dhcpcd-base,wget
include=$include,${GUISE_PACKAGES:-gcc,libc6-dev,make,python3,perl,sqlite3,zstd,openssl}
export PATH="$PATH:/usr/sbin:/sbin"

say() { echo "guise: $*" >&2; }
fail() {
    say "$* (see $log)"
    exit 1
}

# watch PID TEXT...: until PID ends, what TEXT... prints; on a terminal in place, else a line now and then.
watch() {
    p=$1 n=0
    shift
    while kill -0 "$p" 2>/dev/null; do
        if [ -t 2 ]; then
            printf '\r  %s   ' "$("$@")" >&2
        elif [ $((n % 20)) = 19 ]; then
            printf '  %s\n' "$("$@")" >&2
        fi
        n=$((n + 1))
        sleep 1
    done
    [ ! -t 2 ] || printf '\r  %s   \n' "$("$@")" >&2
}
count() { grep -ac "$1" "$2" 2>/dev/null || true; }
unpacked() { echo "$(count '^I: Retrieving' "$log") packages fetched, $(count '^I: Extracting' "$log") unpacked"; }
configured() {
    echo "$(count '^I: Unpacking' "$log.boot") packages installed, $(count '^I: Configuring' "$log.boot") configured"
}

rm -rf "$work"
mkdir -p "$work"
say "unpacking Debian 13 (riscv64) from $mirror: some 250 MB, a few minutes"
# What the guest's own apt will use: the host's mirror, through the host's proxy.
proxy=$(apt-config dump --format '%v%n' Acquire::http::Proxy 2>/dev/null || true)
[ -z "$proxy" ] || export http_proxy="$proxy"
fakeroot -s "$work/owners" debootstrap --foreign --arch=riscv64 --variant=minbase --include="$include" \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg trixie "$work/root" "$mirror" >"$log" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null; rm -rf "$work"; exit 130' INT TERM
watch $pid unpacked
wait $pid || fail "debootstrap failed"
mkdir -p "$work/root/usr/lib/modules"
cp -a "$x"/usr/lib/modules/* "$work/root/usr/lib/modules/"
# For firmware that finds its kernel on the disk (U-Boot).
mkdir -p "$work/root/boot/extlinux"
cp "$cache/vmlinuz" "$cache/initrd" "$work/root/boot/"
cat >"$work/root/boot/extlinux/extlinux.conf" <<'EOF'
default debian
label debian
 kernel /boot/vmlinuz
 initrd /boot/initrd
 append console=ttyS0 root=LABEL=guise
EOF
mkdir -p "$work/root/etc/apt/apt.conf.d"
[ -z "$proxy" ] || echo "Acquire::http::Proxy \"$proxy\";" >"$work/root/etc/apt/apt.conf.d/90host"
cat >"$work/root/guise-setup" <<'EOF'
#!/bin/sh
# Runs once as init of the new disk: finishes the installation, then powers off. A file that is open and has
# been removed would keep the disk from being unmounted cleanly: the script goes on as a copy in memory, and ends on the
# shell and the C library as they are after their own configuration.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive
case $0 in
/guise-setup)
    mkdir -p /mnt
    mount -t tmpfs setup /mnt
    cp /guise-setup /mnt/setup
    rm /guise-setup
    exec /bin/sh /mnt/setup
    ;;
/mnt/setup)
    if /debootstrap/debootstrap --second-stage; then
        echo guise >/etc/hostname
        printf '127.0.0.1 localhost\n127.0.1.1 guise\n' >/etc/hosts
        echo 'LABEL=guise / ext4 errors=remount-ro 0 1' >/etc/fstab
        echo 'root:guise' | chpasswd
        # systemd-networkd sets up every adapter, as --net and QEMU's user network expect; ifupdown is there for those
        # who prefer it: see interfaces(5).
        printf 'auto lo\niface lo inet loopback\n' >/etc/network/interfaces
        printf '[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n\n[DHCPv4]\nUseDomains=yes\n' >/etc/systemd/network/80-dhcp.network
        systemctl enable systemd-networkd systemd-resolved 2>/dev/null
        systemctl disable systemd-networkd-wait-online 2>/dev/null
        ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf
        depmod -a 2>/dev/null
        echo "guise: configured"
    fi
    cp /mnt/setup /mnt/end
    exec /bin/sh /mnt/end
    ;;
esac
mountpoint -q /proc || mount -t proc proc /proc
sync
mount -o remount,ro / || echo u >/proc/sysrq-trigger
echo o >/proc/sysrq-trigger
sleep 30
EOF
chmod 755 "$work/root/guise-setup"
rm -f "$image.new"
truncate -s "$size" "$image.new"
# One bootable Linux partition from 1 MiB on, in a table of the oldest kind (MBR: the entry at 446, the mark at 510).
sectors=$(($(stat -c %s "$image.new") / 512 - 2048))
put() { dd of="$image.new" bs=1 seek="$1" conv=notrunc status=none; }
byte() { printf "\\$(printf %03o $((sectors >> $1 & 255)))"; }
{ printf '\200\376\377\377\203\376\377\377\000\010\000\000' && byte 0 && byte 8 && byte 16 && byte 24; } | put 446
printf '\125\252' | put 510
fakeroot -i "$work/owners" sh -c "chown -R 0:0 '$work/root/usr/lib/modules' '$work/root/boot' '$work/root/etc/apt' '$work/root/guise-setup' &&
    mke2fs -q -t ext4 -F -E root_owner=0:0,offset=1048576 -L guise -d '$work/root' '$image.new' $((sectors / 2))k" >>"$log" 2>&1 ||
    fail "mke2fs failed"
rm -rf "$work"
say "configuring the packages inside the guest"
"$@" "$image.new" >"$log.boot" 2>&1 &
pid=$!
trap 'kill $pid 2>/dev/null; exit 130' INT TERM
watch $pid configured
wait $pid || true
grep -aq "guise: configured" "$log.boot" || {
    log=$log.boot
    fail "the configuration did not finish"
}
mv "$image.new" "$image"
