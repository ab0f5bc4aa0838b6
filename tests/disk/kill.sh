#!/bin/bash
# Kill a running guest, again and again, and look for what it said was safe.
#   kill.sh COUNT [SEED] [FORMAT]
# The guest has ext4 on an image and writes records with fsync, fdatasync and O_DSYNC (guest/records.c); with
# FIO_ROOT=DIR, a riscv64 root directory with fio in it (tests/guest_root.sh), fio verifies beside them. guise is killed at a
# random moment. Then: the image check is clean or says leaks only, e2fsck finds nothing after the journal is replayed,
# every reported record is on the disk. The same image goes on for some rounds: each start recovers from the last kill.
. "$(dirname "$0")/../system/lib.sh"
count=$1 RANDOM=${2:-1} format=${3:-qcow2}
need_guest
work=$tmp/work
mkdir -p "$work/cpio" "$work/out"
gcc -O2 -o "$work/records" "$top/tests/disk/guest/records.c" &&
    riscv64-linux-gnu-gcc -O2 -static -o "$work/cpio/records" "$top/tests/disk/guest/records.c" || exit 1

cat >"$tmp/script.txt" <<'END'
echo 0 >/proc/sys/kernel/printk
mount | grep -q ' /disk ' || mount -t ext4 /dev/vda /disk || echo NO DISK
mkdir -p /disk/r /disk/fio
if [ -b /dev/vdb ]; then
    mount -t ext4 -o ro /dev/vdb /newroot
    for d in dev proc; do mount --bind /$d /newroot/$d; done
    mount --bind /disk/fio /newroot/mnt
    chroot /newroot /usr/bin/fio --name=v --directory=/mnt --size=8M --rw=randwrite --bs=4k --fsync=16 --verify=crc32c \
        --do_verify=0 --loops=1000 --verify_backlog=256 --ioengine=psync >/tmp/fio.out 2>&1 || { echo FIO FAILED; cat /tmp/fio.out; } &
fi
/records write /disk/r
END
script "$(cat "$tmp/script.txt")"
(cd "$work/cpio" && find . | cpio -o -H newc -R 0:0 --quiet) >>"$tmp/initrd"
drives=
if [ -n "${FIO_ROOT:-}" ]; then
    truncate -s 512M "$work/fio.raw"
    mkfs.ext4 -q -F -d "$FIO_ROOT" "$work/fio.raw" || exit 1
    drives="-drive file=$work/fio.raw,format=raw,if=none,id=f,readonly=on -device virtio-blk-pci,drive=f"
fi

# Shapes of images in turn: clusters small and large, lazy refcounts, extended L2, an overlay.
shapes=("cluster_size=64k" "cluster_size=4k" "cluster_size=64k,lazy_refcounts=on" "cluster_size=64k,extended_l2=on" "overlay" "compat=0.10")
image=$work/disk.img lazy=
new_image() {
    shape=${shapes[$1 % ${#shapes[@]}]}
    [ "$format" = qcow2 ] || shape=$format
    rm -f "$work/fs.raw" "$image"
    truncate -s 192M "$work/fs.raw"
    mkfs.ext4 -q -F -E lazy_itable_init=1 "$work/fs.raw"
    : >"$work/console"
    case $shape in
    *lazy*) lazy=1 ;;
    *) lazy= ;;
    esac
    case $shape in
    overlay) "$guise" img create -q -f qcow2 -b "$work/fs.raw" -F raw "$image" ;;
    *=*) "$guise" img convert -f raw -O qcow2 -o "$shape" "$work/fs.raw" "$image" ;;
    *) "$guise" img convert -f raw -O "$format" "$work/fs.raw" "$image" ;;
    esac
}

# What qemu-img and we say of the image as it was left. A dirty image of lazy refcounts is judged after its repair.
image_judge() {
    [ "$format" = qcow2 ] || return 0
    if [ -n "$lazy" ]; then
        cp --sparse=always "$image" "$work/copy.img"
        "$guise" img check -q -r all -f qcow2 "$work/copy.img" >"$work/check" 2>&1
        qemu-img check -q -f qcow2 "$work/copy.img" >>"$work/check" 2>&1
        return
    fi
    qemu-img check -f qcow2 "$image" >"$work/check" 2>&1
    theirs=$?
    "$guise" img check -f qcow2 "$image" >>"$work/check" 2>&1
    ours=$?
    [ $theirs = $ours ] && { [ $ours = 0 ] || [ $ours = 3 ]; }
}

files_judge() {
    rm -rf "$work/raw" "$work/files"
    mkdir "$work/files"
    qemu-img convert -f "$format" -O raw "$image" "$work/raw" >"$work/fsck" 2>&1 || return
    e2fsck -y -E journal_only "$work/raw" >>"$work/fsck" 2>&1
    e2fsck -fn "$work/raw" >>"$work/fsck" 2>&1 || return
    debugfs -R "rdump /r $work/files" "$work/raw" >>"$work/fsck" 2>&1
    "$work/records" verify "$work/files/r" <"$work/console" >"$work/verdict"
}

failures=0 killed=0 records=0
for round in $(seq 0 $((count - 1))); do
    [ $((round % 6)) != 0 ] || new_image $((round / 6 + RANDOM % 6)) || { echo "# cannot make an image"; failures=$((failures + 1)); break; }
    : >"$work/console.now"
    # shellcheck disable=SC2086
    "$qemu" -M virt -m 512 -smp $((1 + round % 2)) -display none -serial "file:$work/console.now" -monitor none -kernel "$cache/vmlinuz" \
        -append "console=ttyS0 quiet" -initrd "$tmp/initrd" \
        -drive "file=$image,format=$format,if=none,id=d" -device virtio-blk-pci,drive=d $drives </dev/null 2>"$work/err" &
    pid=$!
    for _ in $(seq 1200); do
        grep -aqs '^SYNCED' "$work/console.now" && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.1
    done
    sleep "$((RANDOM % 4)).$((RANDOM % 10))$((RANDOM % 10))"
    alive=0
    kill -9 $pid 2>/dev/null && alive=1
    wait $pid 2>/dev/null
    cat "$work/console.now" >>"$work/console"
    why=
    [ $alive = 1 ] || why="guise had ended: $(tail -n 2 "$work/err" | tr '\n' ' ')"
    grep -aq '^SYNCED' "$work/console.now" || why="$why no record was written: $(tail -n 3 "$work/console.now" | tr '\n\r' '  ')"
    ! grep -aqE 'FIO FAILED|EXT4-fs error|I/O error' "$work/console.now" || why="$why $(grep -aE -A 5 'FIO FAILED|EXT4-fs error|I/O error' "$work/console.now" | head -n 5)"
    image_judge || why="$why image check: $(grep -v '^$' "$work/check" | head -n 3 | tr '\n' ' ')"
    files_judge || why="$why files: $(tail -n 4 "$work/fsck" "$work/verdict" 2>/dev/null | tr '\n' ' ')"
    killed=$((killed + alive))
    [ -z "$why" ] || {
        failures=$((failures + 1))
        echo "# round $round ($shape): $why"
        [ -z "${KEEP:-}" ] || cp "$image" "$KEEP/kill-$round.img"
        new_image $((round / 6 + 1)) || break
    }
    records=$((records + $(grep -ac '^SYNCED' "$work/console.now")))
    [ $((round % 10)) != 9 ] || echo "# $killed kills so far, $records records reported, $failures bad rounds"
done
echo "# $format: $killed kills, $records records reported, $failures bad rounds${FIO_ROOT:+, with fio}"
[ $failures = 0 ] && [ "$killed" = "$count" ]
ok $? "$count kills of a guest that writes: nothing that it synced is lost ($format)"
echo "1..$n"
