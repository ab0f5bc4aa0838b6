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
include=systemd-sysv,udev,kmod,dbus,login,passwd,procps,iproute2,ifupdown,netbase,less,vim-tiny,ca-certificates,openssh-server
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
configured() { echo "$(count '^I: Configuring' "$log.boot") packages configured"; }

rm -rf "$work"
mkdir -p "$work"
say "unpacking Debian 13 (riscv64) from $mirror: some 250 MB, a few minutes"
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
cat >"$work/root/guise-setup" <<'EOF'
#!/bin/sh
# Runs once as init of the new disk: finishes the installation, then powers off.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive
if /debootstrap/debootstrap --second-stage; then
    echo guise >/etc/hostname
    printf '127.0.0.1 localhost\n127.0.1.1 guise\n' >/etc/hosts
    echo '/dev/vda / ext4 errors=remount-ro 0 1' >/etc/fstab
    echo 'root:guise' | chpasswd
    printf 'auto lo\niface lo inet loopback\n' >/etc/network/interfaces
    depmod -a 2>/dev/null
    rm -f /guise-setup
    echo "guise: configured"
fi
mountpoint -q /proc || mount -t proc proc /proc
mount -o remount,ro /
sync
echo o >/proc/sysrq-trigger
sleep 30
EOF
chmod 755 "$work/root/guise-setup"
rm -f "$image.new"
truncate -s "$size" "$image.new"
fakeroot -i "$work/owners" sh -c "chown -R 0:0 '$work/root/usr/lib/modules' '$work/root/guise-setup' &&
    mke2fs -q -t ext4 -F -E root_owner=0:0 -L guise -d '$work/root' '$image.new'" >>"$log" 2>&1 || fail "mke2fs failed"
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
