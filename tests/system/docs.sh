#!/bin/sh
# Help, the manual page and shell completion, as a person and as a shell ask for them.
. "$(dirname "$0")/lib.sh"

screen() { # output of the command has at most $1 lines of 80 columns
    limit=$1
    shift
    "$@" >"$tmp/out" 2>&1
    code=$?
    [ $code = 0 ] && [ "$(wc -l <"$tmp/out")" -le "$limit" ] && ! grep -qE '^.{81}' "$tmp/out"
    ok $? "$(basename "$1") ${*#"$1"} fits a screen" "$tmp/out"
}
screen 24 "$guise" --help
screen 24 "$guise" help
"$guise" run --help >"$tmp/out"
[ "$(wc -l <"$tmp/out")" -le 24 ] && grep -q -- '--disk' "$tmp/out" && ! grep -q -- '--dfilter' "$tmp/out"
ok $? "guise run --help has the options used most" "$tmp/out"

# What the parser takes is what its own error names: an option of each table must be in all three.
"$guise" help all >"$tmp/all"
"$guise" run --help all >"$tmp/run"
"$guise" manual >"$tmp/guise.1"
mandoc -Tascii "$tmp/guise.1" 2>"$tmp/err" | col -bx >"$tmp/page"
missing=
for word in --dfilter --discard --backing-chain --force-share -netdev --image-opts 'snap tidy' 'net list' 'img measure' 'guise io'; do
    for f in all page; do grep -q -- "$word" "$tmp/$f" || missing="$missing $f:$word"; done
done
[ -z "$missing" ] && grep -q -- --dfilter "$tmp/run" && grep -q virtio-blk-pci "$tmp/page" && grep -q 'info tlb' "$tmp/page"
echo "$missing" >"$tmp/missing"
ok $? "guise help all and the manual page have every option, device and monitor command" "$tmp/missing"
mandoc -Tlint -Werror "$tmp/guise.1" >"$tmp/out" 2>&1
ok $? "the manual page is well formed" "$tmp/out"

bash_answers() { # LINE EXPECTED...: what bash offers at the end of LINE, one a line
    line=$1
    shift
    printf '%s\n' "$@" | sort >"$tmp/expected"
    (cd "$tmp/files" && LINE=$line GUISE=$guise PATH=$(dirname "$guise"):$PATH bash --norc -c '
        eval "$(guise completion bash)"
        COMP_LINE=$LINE COMP_POINT=${#LINE}
        # as readline breaks words: at blanks, and around = and :
        spaced=$(sed "s/[=:]/ & /g" <<<"$LINE")
        read -ra COMP_WORDS <<<"$spaced"
        [[ $LINE == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _guise
        printf "%s\n" "${COMPREPLY[@]}"') 2>"$tmp/err" | sort >"$tmp/out"
    cmp -s "$tmp/expected" "$tmp/out"
    ok $? "bash: $line" "$tmp/out"
}
mkdir "$tmp/files"
: >"$tmp/files/disk.img"
: >"$tmp/files/kernel"
bash_answers "guise ru" run
bash_answers "guise run --engine " interp ir jit lockstep
bash_answers "guise run --engine=l" lockstep
bash_answers "guise run --initrd k" kernel
bash_answers "guise run d" disk.img
bash_answers "guise run --device virtio-rng-d" virtio-rng-device
bash_answers "guise run --device virtio-rng-pci,max" virtio-rng-pci,max-bytes=
bash_answers "guise run --device virtio-rng-pci,id=a,per" a,period=
bash_answers "guise snap ti" tidy
bash_answers "guise img convert -O raw --source-f" --source-format
bash_answers "guise img che" check
bash_answers "qemu-img ma" map
bash_answers "qemu-system-riscv64 -accel loc" lockstep
bash_answers "guise completion " bash zsh

# zsh has no way to ask but to type: on a terminal, with Tab.
PATH=$(dirname "$guise"):$PATH timeout 60 python3 - >"$tmp/out" 2>&1 <<'EOF'
import os, pty, select, sys, time
pid, fd = pty.fork()
if not pid:
    os.environ.update(PS1="ready> ", TERM="dumb")
    os.execvp("zsh", ["zsh", "-f", "-i"])
def until(text, seconds=30):
    got, end = "", time.monotonic() + seconds
    while text not in got and time.monotonic() < end:
        if select.select([fd], [], [], 1)[0]:
            got += os.read(fd, 4096).decode("utf-8", "replace")
    return text in got
def say(text):
    os.write(fd, text.encode())
good = until("ready> ")
say("autoload -Uz compinit; compinit -u -D; source <(guise completion zsh); echo set''up\n")
good = good and until("setup\r\n")
for typed, whole in (("guise sn", "snap "), ("guise run --dfil", "--dfilter "), ("guise run --device virtio-rng-pci,per", "period="),
                     ("guise img measu", "measure ")):
    say(typed + "\t")
    seen = until(whole)
    print("seen" if seen else "missing", whole)
    good = good and seen
    say("\x15")
say("exit\n")
sys.exit(not good)
EOF
ok $? "zsh completes commands, options, properties" "$tmp/out"
echo "1..$n"
