#!/usr/bin/env python3
"""Scenarios of qemu-img and qemu-io commands, run by both programs side by side. TAP."""
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.path.dirname(os.path.abspath(os.environ.get("GUISE", TOP + "/build/release/guise")))
OURS = {"img": [BIN + "/qemu-img"], "io": [BIN + "/qemu-io"]}
THEIRS = {"img": [shutil.which("qemu-img") or "qemu-img"], "io": [shutil.which("qemu-io") or "qemu-io"]}
results = 0
failures = 0


def ok(good, name, why=""):
    global results, failures
    results += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {results} - {name}", flush=True)
    if not good:
        for line in str(why).splitlines()[:30]:
            print("# " + line)


def run(tools, line, cwd):
    words = line if isinstance(line, list) else line.split()
    try:
        p = subprocess.run(tools[words[0]] + words[1:], cwd=cwd, capture_output=True, text=True, timeout=120,
                           stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return 124, "", "no end after 120 seconds"
    return p.returncode, p.stdout, p.stderr


# --- what may differ between two right programs ---

TIMES = re.compile(r"(\d+(\.\d+)? \w+, \d+ ops;).*")
DATES = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
LAYOUT = re.compile(r"^(disk size|    disk size|    file length|Image end offset|.*% allocated,|    cid|Child node|    filename|"
                    r"    protocol type).*\n", re.M)
EXTENTS = ("start", "length", "depth", "present", "zero", "data", "compressed")
OLD = False  # QEMU 7 and 8: tables by other widths, no "compressed" in maps, no children in info


def neutral(value):
    """JSON without what follows from the layout of a file or the day."""
    if isinstance(value, dict):
        drop = ("actual-size", "image-end-offset", "fragmented-clusters", "date-sec", "date-nsec", "children", "cid",
                "icount", "offset", "total-clusters", "allocated-clusters")
        return {k: neutral(v) for k, v in value.items() if k not in drop}
    return [neutral(v) for v in value] if isinstance(value, list) else value


def merged(extents, exact=False):
    """
    Neighbours that are alike as one. Holes of the file under data are ours to see, and QEMU's when it guesses that they
    are there; a zero cluster and one that was never there are the same. exact: where the data lies counts too.
    """
    out = []
    for x in extents:
        place = x["start"] - x["offset"] if exact and x["data"] and "offset" in x else None
        x = {k: x.get(k) for k in EXTENTS}
        x["compressed"] = not OLD and x["compressed"]
        x["place"] = place
        x["zero"] = x["zero"] and not x["data"]
        x["present"] = x["present"] or x["zero"]
        if out and all(out[-1][k] == x[k] for k in (*EXTENTS[2:], "place")) and out[-1]["start"] + out[-1]["length"] == x["start"]:
            out[-1]["length"] += x["length"]
        else:
            out.append(x)
    return out


def same_text(text):
    try:
        value = json.loads(text)
    except ValueError:
        text = TIMES.sub(r"\1", text)
        text = LAYOUT.sub("", DATES.sub("DATE", text))
        text = re.sub(r" 0+:(\d\d:\d\d\.)", r" 0:\1", text) if OLD else text
        return re.sub(" +", " ", text.replace("VM SIZE", "VM_SIZE").replace("VM CLOCK", "VM_CLOCK")) if OLD else text
    if isinstance(value, list) and value and "start" in value[0]:
        return merged(value)
    return neutral(value)


def steady(text):
    """Without what changes while the host writes a file back: its size on disk."""
    if OLD:
        return same_text(text)

    def walk(v):
        if isinstance(v, dict):
            return {k: walk(x) for k, x in v.items() if k != "actual-size"}
        return [walk(x) for x in v] if isinstance(v, list) else v
    try:
        return walk(json.loads(text))
    except ValueError:
        return re.sub(r"disk size: .*", "", text)


def difference(line, want, got, compared=None):
    compared = compared or (same_text(want[1]), same_text(got[1]))
    texts = [json.dumps(t, indent=None if isinstance(t, str) else 1).replace("\\n", "\n") for t in compared]
    diff = difflib.unified_diff(texts[0].splitlines(), texts[1].splitlines(), "theirs", "ours", lineterm="", n=1)
    return f"{line}\ntheirs {want[0]} {want[2]}\nours {got[0]} {got[2]}\n" + "\n".join(diff)


# --- scenarios ---

def scenario(name, lines, contents=(), checks=()):
    """lines: 'img create ...'; a leading '!' skips the comparison of the output. contents: images that must read alike."""
    with tempfile.TemporaryDirectory() as root:
        a, b = root + "/theirs", root + "/ours"
        os.mkdir(a)
        os.mkdir(b)
        for line in lines:
            silent = isinstance(line, str) and line.startswith("!")
            line = line[1:] if silent else line
            want, got = run(THEIRS, line, a), run(OURS, line, b)
            good = want[0] == got[0] and (silent or same_text(want[1]) == same_text(got[1]))
            if not good:
                ok(False, name, difference(line, want, got))
                return
        why = judge(a, b, contents, checks)
        ok(not why, name, why)


def judge(a, b, contents, checks):
    for image, fmt in contents:
        for tools in (THEIRS, OURS):
            code, out, err = run(tools, ["img", "compare", "-f", fmt, "-F", fmt, f"{a}/{image}", f"{b}/{image}"], b)
            if code:
                return f"compare of {image} by {tools['img'][0]}: {code} {out} {err}"
    for image, fmt in checks:
        for cwd in (a, b):  # each tool on what the other has written: exactly the same words
            for line in (f"img info -f {fmt} {image}", f"img info -f {fmt} --output=json {image}",
                         f"img check -f {fmt} {image}", f"img check -f {fmt} --output=json {image}",
                         f"img map -f {fmt} --output=json {image}", f"img map -f {fmt} {image}", f"io -f {fmt} -r -c map {image}"):
                plain_map = line == f"img map -f {fmt} {image}" and fmt != "raw"
                if plain_map or (fmt in NO_CHECK and "check" in line) or (fmt in NO_MAP and "map" in line):
                    continue
                want, got = run(THEIRS, line, cwd), run(OURS, line, cwd)
                exact = [steady(x[1]) for x in (want, got)]
                if line.startswith("img map") and "json" in line:
                    exact = [merged(x, True) for x in exact]
                elif fmt not in ("qcow2", "raw"):  # ours counts clusters
                    exact = [same_text(x[1]) for x in (want, got)]
                if want[0] != got[0] or exact[0] != exact[1]:
                    return difference(f"{line} in {cwd}", want, got, exact)
    return ""


def io(commands, image, fmt):
    words = ["io", "-f", fmt]
    for c in commands:
        words += ["-c", c]
    return words + [image]


WRITES = ["write -P 0x11 0 64k", "write -P 0x22 1M 300k", "write -P 0x33 1500k 4k", "write -z 3M 1M", "write -P 0x44 4095k 66k",
          "read -P 0x22 1M 4k", "read -P 0x12 0 512", "write -P 0x55 7M 1M", "discard 7M 64k", "flush", "length",
          "read 7936k 256k", "read -P 0 3100k 4k", "read -v 1M 32", "write -q -P 1 9M 512", "aio_write -P 2 10M 64k",
          "aio_flush", "aio_read -P 2 10M 64k", "writev -P 3 11M 4k 8k 512", "readv -P 3 11M 4k 8k", "alloc 0 64k"]
VARIANTS = {
    "raw": ["", "-o preallocation=falloc", "-o preallocation=full"],
    "vdi": ["", "-o static=on"],
    "vpc": ["-o force_size=on", "-o subformat=fixed,force_size=on"],
    "vhdx": ["", "-o block_size=1M", "-o subformat=fixed"],
    "vmdk": [""],
    "qcow2": ["", "-o cluster_size=4k", "-o cluster_size=512", "-o cluster_size=2M", "-o compat=0.10", "-o refcount_bits=1",
              "-o refcount_bits=64,cluster_size=4k", "-o extended_l2=on", "-o extended_l2=on,cluster_size=2M",
              "-o lazy_refcounts=on", "-o compression_type=zstd", "-o preallocation=metadata", "-o preallocation=full"],
}


def formats_alone(formats):
    for fmt in formats:
        for options in VARIANTS[fmt]:
            make = f"img create -f {fmt} {options} x 16M"
            writes = [c for c in WRITES if not c.startswith("discard") or fmt not in NO_DISCARD]
            lines = [make, f"img info -f {fmt} x", f"img info -f {fmt} --output=json x", f"img check -f {fmt} x",
                     io(writes, "x", fmt), f"img map -f {fmt} --output=json x",
                     f"img check -f {fmt} --output=json x", f"img resize -f {fmt} x +4M", f"img info -f {fmt} x"]
            if fmt in NO_MAP:
                lines = [line for line in lines if not str(line).startswith("img map")]
            if fmt in NO_CHECK:
                lines = [line for line in lines if "check" not in line]
            if fmt in CONVERT_ONLY:
                lines = [make, f"img info -f {fmt} x"]
            elif fmt in NO_RESIZE or "static" in options or "fixed" in options:
                lines = lines[:-2]
            scenario(f"{fmt} {options}: create, info, write, map, check, resize", lines, [("x", fmt)], [("x", fmt)])


CONVERT_ONLY = ["vmdk"]
NO_RESIZE = ["vdi", "vpc", "vmdk", "vhdx"]  # QEMU has none of these
NO_CHECK = ["vhdx", "vmdk"]
NO_MAP = ["vhdx", "vmdk"]  # all data, or all holes, to QEMU
NO_DISCARD = ["vdi", "vpc", "vhdx"]  # ignored by QEMU
FILL = ["write -P 0x11 0 64k", "write -P 0x22 1M 300k", "write -P 0x44 4095k 66k", "write -P 0x55 7M 1M", "write -z 2M 64k"]


def conversions(formats):
    make = ["img create -q -f raw src 16M", io(FILL, "src", "raw")]
    for fmt in formats:
        for options in VARIANTS[fmt]:
            lines = make + [f"!img convert -f raw -O {fmt} {options} src x", f"img info -f {fmt} --output=json x",
                            f"img convert -f {fmt} -O raw x back", f"img compare -f raw -F raw src back"]
            if "force_size" not in options and fmt != "vpc":
                lines.append(f"img compare -f {fmt} x src")
            scenario(f"{fmt} {options}: convert there and back", lines, [("x", fmt), ("back", "raw")],
                     [("x", fmt)] if fmt not in CONVERT_ONLY else [])
    options = ["-S 0", "-S 64k", "-m 1", "-m 16 -W", "-p", "-C", "-t none", "-t writethrough -T none", "--salvage", "-r 100M"]
    for o in options:
        scenario(f"convert {o}", make + [f"!img convert -f raw -O raw {o} src x", "img compare -f raw -F raw src x"],
                 [("x", "raw")])
    scenario("convert joins sources and pads them", ["img create -q -f raw a 1M", "img create -q -f raw b 512k",
             io(["write -P 1 0 1M"], "a", "raw"), io(["write -P 2 0 512k"], "b", "raw"),
             "img convert -f raw -O raw a b a x", "img info x", "img create -q -f raw y 4M", "img convert -n -f raw -O raw b a y",
             io(["read -P 2 0 512k", "read -P 1 512k 1M", "read -P 0 2M 2M"], "y", "raw")], [("x", "raw"), ("y", "raw")])
    scenario("convert -n overwrites what is there", make + ["img create -q -f raw y 16M", io(["write -P 9 0 16M"], "y", "raw"),
             "img convert -n -f raw -O raw src y", "img compare -f raw -F raw src y"], [("y", "raw")])


def maps():
    """Of images that QEMU made: word for word."""
    with tempfile.TemporaryDirectory() as d:
        for line in ("img create -q -f qcow2 base 16M", io(["write -q 0 1M", "write -q 3M 64k"], "base", "qcow2"),
                     "img create -q -f qcow2 -b base -F qcow2 top", io(["write -q 512k 64k", "write -q 4M 1M", "write -q -z 1M 64k"],
                                                                      "top", "qcow2"),
                     "img create -q -f qcow2 -b base -F qcow2 small", io(["write -q -c 8M 64k"], "small", "qcow2")):
            run(THEIRS, line, d)
        for line in ("img map -f qcow2 base", "img map top", "img map --output=json top", "img map --output=json -s 640k -l 1M top",
                     "img map --start-offset=2M top", "img map --output=json small", "img map small", "img info --backing-chain top",
                     "img info --backing-chain --output=json small", "io -r -c map top", "io -r -c map small"):
            want, got = run(THEIRS, line, d), run(OURS, line, d)
            same = [steady(x[1]) for x in (want, got)]
            ok(same[0] == same[1] and want[0] == got[0], f"as QEMU's: {line}", difference(line, want, got, same))


CHAIN = ["img create -f qcow2 base 16M", io(["write -q -P 1 0 2M", "write -q -P 2 5M 1M"], "base", "qcow2"),
         "img create -f qcow2 -b base -F qcow2 mid", io(["write -q -P 3 1M 2M", "write -q -z 5M 64k"], "mid", "qcow2"),
         "img create -f qcow2 -b mid -F qcow2 -o cluster_size=4k top", io(["write -q -P 4 1500k 4k", "write -q -P 5 9M 300k"], "top", "qcow2")]
TOP = [("top", "qcow2")]


def chains():
    scenario("a chain of three", CHAIN + ["img info top", "img info --backing-chain --output=json top", "img map --output=json top",
             "img convert -O raw top flat", "img compare top flat", "img check top"], [("top", "qcow2"), ("flat", "raw")], TOP)
    scenario("commit", CHAIN + ["img commit top", "img map --output=json top", "img commit mid", "img commit base"],
             [("top", "qcow2"), ("mid", "qcow2"), ("base", "qcow2")], TOP)
    scenario("commit -d", CHAIN + ["img commit -q -d top", io(["read -P 4 1500k 4k", "map"], "top", "qcow2")],
             [("top", "qcow2"), ("mid", "qcow2")], TOP)
    scenario("commit -b", CHAIN + ["img commit -b base top", io(["read -P 4 1500k 4k", "read -P 5 9M 300k"], "base", "qcow2"),
             "img commit -b nothing top"], [("base", "qcow2"), ("top", "qcow2")])
    scenario("commit into a smaller and a raw base", ["img create -q -f raw base 1M", "img create -q -f qcow2 -b base -F raw top 4M",
             io(["write -q -P 7 512k 3M"], "top", "qcow2"), "img commit top", "img info -f raw base"], [("base", "raw"), ("top", "qcow2")])
    scenario("rebase", CHAIN + ["img rebase -b base -F qcow2 top", "img info top", ["img", "rebase", "-b", "", "top"], "img info top", "!img create -q -f qcow2 -o nocow=off y 1M"], TOP, TOP)
    scenario("rebase -u", CHAIN + ["img rebase -u -b base -F qcow2 top", "img info top", "img rebase -u -b nothing -F raw top",
             ["img", "rebase", "-u", "-b", "", "top"], "img info top", "img rebase top", "img rebase -b nothing -F qcow2 top"], TOP, TOP)
    scenario("rebase onto a shorter, a longer and a raw file", CHAIN + ["img create -q -f raw short 1M", "img create -q -f raw long 32M",
             io(["write -q -P 9 0 1M"], "short", "raw"), io(["write -q -P 8 0 32M"], "long", "raw"),
             "img rebase -b short -F raw top", "img rebase -p -q -b long -F raw top", f"img rebase {'' if OLD else '-c'} -b base -F qcow2 top"], TOP, TOP)
    scenario("snapshots", CHAIN + ["img snapshot -l top", "img snapshot -c one top", io(["write -q -P 6 0 4M"], "top", "qcow2"),
             "img snapshot -c two top", "img info --output=json top", "img snapshot -l top", "img snapshot -a one top",
             "img convert -l two -O raw top snap", "img convert -l snapshot.name=one -O raw top snap1", "img snapshot -d one top",
             "img snapshot -d one top", "img snapshot -a nothing top", "img check top", "img convert -l nothing -O raw top x"],
             [("top", "qcow2"), ("snap", "raw"), ("snap1", "raw")], TOP)
    scenario("convert onto a backing file", CHAIN + ["!img convert -O qcow2 -B mid -F qcow2 top copy", "img info copy", "img compare top copy",
             "img map --output=json copy", "!img convert -O qcow2 -o backing_file=base,backing_fmt=qcow2 mid copy2", "img compare mid copy2"],
             [("copy", "qcow2"), ("copy2", "qcow2")], [("copy", "qcow2")])
    for kind in ("zlib", "zstd"):
        scenario(f"convert -c with {kind}", CHAIN + [f"!img convert -c -O qcow2 -o compression_type={kind} top packed", "img compare top packed",
                 "img info packed", "img convert -O raw packed flat", io(["read -P 4 1500k 4k", "write -q -P 9 1501k 1k", "read -P 9 1501k 1k",
                 "write -c -P 3 8M 64k"], "packed", "qcow2"), "img compare -s packed packed"], [("packed", "qcow2"), ("flat", "raw")], [("packed", "qcow2")])
    scenario("create", ["img create -f qcow2 x", "img create -f qcow2 -b nothing -F qcow2 x", "img create -f qcow2 -u -b nothing -F qcow2 x",
             "img create -f qcow2 -u -b nothing -F qcow2 x 1M", "img info x", "img create -q -f raw r 1M", "img create -f qcow2 -b r x",
             "img create -f qcow2 -b r -F raw y", "img create -f qcow2 -b r -F raw y 4M", "img create -f raw -b r -F raw z 1M",
             "img create -f qcow2 -o size=3M z", "img create -f qcow2 -o size=3M z 1M", "img create -f qcow2 -o backing_file=r,backing_fmt=raw z",
             "img create -f qcow2 -o compat=0.10,lazy_refcounts=on z 1M", "img create -f qcow2 -o cluster_size=3000 z 1M",
             "img create -f qcow2 -o compat=v3,preallocation=off z 1M", "img create -f qcow2 -o data_file=d,data_file_raw=on w 1M"],
             [("y", "qcow2")])
    compacted()


def damaged():
    """A refcount too many, then one too few, in an image whose first refcount block is its third cluster, as in both tools'."""
    lost, missing = "write -P 1 131137 1", "write -P 0 131081 1"  # of cluster 32, and of cluster 4, which holds data or a table
    scenario("check finds lost clusters: 3, and frees them", ["img create -q -f qcow2 x 16M", io(["write -q 0 256k", "flush"], "x", "qcow2"),
             io([lost], "x", "raw"), "!img check x", "!img check --output=json x", "!img check -q x", "!img check -r leaks x", "img check x"],
             [("x", "qcow2")], [("x", "qcow2")])
    scenario("check finds corruption: 2, and corrects it", ["img create -q -f qcow2 x 16M", io(["write -q 0 256k", "flush"], "x", "qcow2"),
             io([missing], "x", "raw"), "!img check x", "!img check --output=json x", "!img check -r all x", "img check x"],
             [("x", "qcow2")], [("x", "qcow2")])
    with tempfile.TemporaryDirectory() as d:  # what each says of the same damage
        for line in ("img create -q -f qcow2 x 16M", io(["write -q 0 256k"], "x", "qcow2"), io([lost], "x", "raw"),
                     "img create -q -f qcow2 y 16M", io(["write -q 0 256k"], "y", "qcow2"), io([missing], "y", "raw")):
            run(THEIRS, line, d)
        for line in ("img check x", "img check --output=json x", "img check y", "img check --output=json y"):
            want, got = run(THEIRS, line, d), run(OURS, line, d)
            ok(want[0] == got[0] and steady(want[1]) == steady(got[1]), f"of a damaged image as QEMU's: {line}", difference(line, want, got))


def compacted():
    with tempfile.TemporaryDirectory() as d:
        run(THEIRS, "img create -q -f qcow2 -o cluster_size=4k,compression_type=zstd,refcount_bits=8 x 16M", d)
        run(THEIRS, io(["write -q -P 1 0 16M", "write -q -P 0 1M 8M", "discard -q 10M 4M"], "x", "qcow2"), d)
        run(THEIRS, "img convert -O raw x flat", d)
        before, code = os.path.getsize(d + "/x"), run(OURS, "img compact x", d)
        same = run(THEIRS, "img compare -f qcow2 x flat", d)
        info = run(THEIRS, "img info x", d)[1]
        ok(code[0] == 0 and same[0] == 0 and os.path.getsize(d + "/x") < before // 2 and "refcount bits: 8" in info and
           "compression type: zstd" in info and "cluster_size: 4096" in info, "compact makes the file small, and leaves the rest", f"{code}{same}{info}")


def raw_tools():
    scenario("resize", ["img create -f raw x 1M", "img resize -f raw x 2M", "img resize -f raw x +1M", "img resize -f raw x 1M",
             "img resize -f raw --shrink x -1M", "img resize -f raw x -512k", "img resize -f raw --shrink x -- -512k",
             "img resize -q -f raw --preallocation=full x 3M", "img resize -f raw x nonsense", "img info -f raw x"],
             [("x", "raw")])
    scenario("compare", ["img create -q -f raw a 1M", "img create -q -f raw b 2M", "img compare -f raw -F raw a b",
             "img compare -s -f raw -F raw a b", io(["write -P 7 1500k 1k"], "b", "raw"), "img compare -f raw -F raw a b",
             "img compare -q -f raw -F raw a b", io(["write -P 7 70001 10"], "a", "raw"), "img compare -f raw -F raw b a",
             "img compare a nothing", "!img compare -p -f raw -F raw a a"])
    scenario("dd", ["img create -q -f raw a 1M", io(["write -P 7 0 512k", "write -P 8 512k 512k"], "a", "raw"),
             "img dd -f raw -O raw bs=64k count=9 skip=7 if=a of=x", "img info x", "img dd -f raw bs=1M if=a of=y",
             "img dd -f raw bs=1k count=3 if=a of=z", "img info z", "img dd bs=0 if=a of=q", "img dd if=a", "img dd foo=1"],
             [("x", "raw"), ("y", "raw"), ("z", "raw")])
    scenario("measure", ["img measure --size 1G -O qcow2", "img measure --size 1G -O raw", "img measure --size 1G",
             "img measure --size 3T -O qcow2 -o cluster_size=4k", "img measure --size 70G -O qcow2 -o extended_l2=on",
             "img measure --size 64M -O qcow2 -o refcount_bits=64,cluster_size=512", "img measure", "img measure --size 1Q"])
    scenario("bench", ["img create -q -f raw a 1M", "!img bench -f raw -c 100 a", "!img bench -f raw -w -c 64 -s 8k -S 16k -d 8 a",
             "!img bench -f raw -w -c 100 -d 4 --pattern=7 --flush-interval=10 a",
             "!img bench -f raw -c 10 -s 1M -o 64k a", "!img bench -f raw --flush-interval=3 a",
             "!img bench -f raw -w -c 64 -d 8 --flush-interval=16 --no-drain -s 4k --pattern=65 a"], [("a", "raw")])
    scenario("image options", ["img create -q -f raw a 1M", io(["write -P 7 0 1M"], "a", "raw"),
             "img info --image-opts driver=raw,file.filename=a", "img info --image-opts driver=raw,file.driver=file,file.filename=a",
             ["img", "info", 'json:{"driver":"raw","file":{"driver":"file","filename":"a"}}'],
             "img convert --image-opts -O raw driver=raw,offset=4096,size=8192,file.filename=a x", "img info x",
             "img convert -n --target-image-opts -f raw a driver=raw,file.filename=a2", "img info --image-opts a",
             "io --image-opts driver=raw,file.filename=a -c length", ["io", "-c", "open -o driver=raw,file.filename=a", "-c", "length"]], [("x", "raw")])


def mistakes():
    for line in ("img", "img nonsense", "img info", "img info a b", "img info nothing", "img info --nonsense x", "img info -Z x",
                 "img create", "img create -f nonsense x 1M", "img create -f raw x nonsense", "img create -f raw -o nonsense=1 x 1M",
                 "img create -f raw x", "img convert x", "img convert -O nonsense x y", "img convert -m 99 x y",
                 "img convert -S 3 x y", "img convert -t nonsense x y", "img check -r nonsense x", "img check nothing",
                 "img map --output=nonsense x", "img resize x", "img rebase x", "img commit nothing", "img snapshot -c",
                 "img snapshot -c a -d b x", "img bench", "img compare x", "img dd", "io --nonsense x", "io nothing",
                 "io -c nonsense", "io -c length", "img create --object nonsense x 1M"):
        scenario(f"refused alike: {line}", ["!" + line])
    for line, word in (("img info --ouput=json x", "--output"), ("img inof x", "info"), ("img create -f vdi -o statik=on x 1M", "static"), ("img convert -Q x y", "-q"), ("img info -output=json x", "--output"),
                       ("img dd iff=x of=y", "if")):
        code, _, err = run(OURS, line, "/tmp")
        ok(code == 1 and word in err and err.count("\n") <= 2, f"a wrong word is answered with the nearest: {line}", err)


def helps():
    _, out, _ = run(OURS, "img --help", "/")
    commands = re.findall(r"^  (\w+) ", out, re.M)
    ok(len(commands) >= 15 and all(run(OURS, ["img", c, "--help"], "/")[1].startswith(f"usage: qemu-img {c}") for c in commands),
       "every command has a help", out)
    code, out, _ = run(OURS, "img --version", "/")
    ok(re.match(r"qemu-img version \d+\.\d+", out) and code == 0, "the version has qemu-img's shape", out)


def interrupted():
    """Ctrl-C in the middle leaves what was there, and no other file."""
    with tempfile.TemporaryDirectory() as d:
        run(OURS, "img create -q -f raw src 64M", d)
        run(OURS, io(["write -P 7 0 64M"], "src", "raw"), d)
        with open(d + "/dst", "w") as f:
            f.write("precious")
        p = subprocess.Popen(OURS["img"] + "convert -r 4M -f raw -O raw src dst".split(), cwd=d, stderr=subprocess.PIPE, text=True)
        try:
            p.wait(1.5)
        except subprocess.TimeoutExpired:
            p.send_signal(2)
        err = p.communicate(timeout=30)[1]
        with open(d + "/dst") as f:
            text = f.read(100)
        ok(p.returncode == 130 and text == "precious" and sorted(os.listdir(d)) == ["dst", "src"],
           "an interrupted convert leaves the old target", f"{p.returncode} {err} {os.listdir(d)}")


def main():
    if not shutil.which("qemu-img") or not shutil.which("qemu-io"):
        ok(False, "qemu-img and qemu-io are installed (package qemu-utils)")
        print(f"1..{results}")
        return 1
    global OLD
    OLD = int(re.search(r"version (\d+)", run(THEIRS, "img --version", "/")[1])[1]) < 9
    formats = [f for f in VARIANTS if run(OURS, f"img create -f {f} -o help x", "/")[0] == 0]
    only = sys.argv[1:]
    for part in (helps, mistakes, maps, raw_tools, chains, damaged, interrupted):
        if not only or part.__name__ in only:
            part()
    for part in (formats_alone, conversions):
        if not only or part.__name__ in only:
            part(formats)
    print(f"1..{results}")
    return failures != 0


if __name__ == "__main__":
    sys.exit(main())
