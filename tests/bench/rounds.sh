# rounds FILE COUNT DEVICE...: guise and QEMU measured in turns, A B and B A, so that what a shared machine does hits both alike.
# `one WHO PROGRAM DEVICE` prints rows, which go into FILE; $guise and $qemu are the programs. Sourced.
rounds() {
    file=$1 count=$2 i=0
    shift 2
    : >"$file"
    while [ $i -lt "$count" ]; do
        for dev; do
            echo "round $((i + 1)) of $count: $dev" >&2
            if [ $((i % 2)) = 0 ]; then
                one guise "$guise" "$dev" >>"$file"
                one qemu "$qemu" "$dev" >>"$file"
            else
                one qemu "$qemu" "$dev" >>"$file"
                one guise "$guise" "$dev" >>"$file"
            fi
        done
        i=$((i + 1))
    done
}
