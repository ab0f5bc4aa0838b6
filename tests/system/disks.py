#!/usr/bin/env python3
"""Disks of a running machine, through its monitor: sizes, limits, a host without space, commit of a snapshot run.

TAP on stdout, numbers from FIRST on. Environment: GUISE, KERNEL, INITRD (its script runs what `run=` of the kernel command line
names), DIR, FULL (a folder on a small file system, or empty).
"""
import os
import re
import select
import signal
import socket
import subprocess
import sys
import time

GUISE, KERNEL, INITRD, DIR, FULL = (os.environ[n] for n in ("GUISE", "KERNEL", "INITRD", "DIR", "FULL"))
WAIT = 180  # seconds until something expected counts as missing
results = int(os.environ["FIRST"]) - 1


def ok(good, name, shown=""):
    global results
    results += 1
    print(f"{'ok' if good else 'not ok'} {results} - {name}")
    if not good:
        for line in str(shown)[-2000:].splitlines()[-15:]:
            print("#", line)
    sys.stdout.flush()


class Stream:
    """Bytes from a descriptor until a pattern is seen."""

    def __init__(self, fd):
        self.fd, self.all, self.at = fd, "", 0

    def expect(self, pattern, limit=WAIT):
        end = time.monotonic() + limit
        while True:
            m = re.compile(pattern).search(self.all, self.at)
            if m:
                self.at = m.end()
                return m
            left = end - time.monotonic()
            if left <= 0:
                return None
            if select.select([self.fd], [], [], left)[0]:
                data = os.read(self.fd, 65536)
                if not data:
                    return None
                self.all += data.decode("utf-8", "replace")


class Machine:
    """A guest that runs one of the RAM disk's cases, and its monitor."""

    def __init__(self, case, *options):
        path = os.path.join(DIR, "mon")
        self.p = subprocess.Popen(
            [GUISE, "run", KERNEL, "--initrd", INITRD, "--append", f"console=ttyS0 quiet run={case}", "--console", "stdio",
             "--monitor", f"unix:{path},server=on", "--memory", "256M", *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.out = Stream(self.p.stdout.fileno())
        end = time.monotonic() + 60
        while True:
            self.sock = socket.socket(socket.AF_UNIX)
            try:
                self.sock.connect(path)
                break
            except OSError:
                if time.monotonic() > end or self.p.poll() is not None:
                    raise SystemExit(f"not ok {results + 1} - {case} starts\n# {self.out.expect('$', 0)}")
                time.sleep(0.05)
        self.mon = Stream(self.sock.fileno())
        self.mon.expect(r"\(guise\) ")

    def ask(self, line):
        """A command of the monitor, and its answer."""
        at = self.mon.at
        self.sock.sendall(line.encode() + b"\n")
        self.mon.expect(r"\(guise\) ")
        return self.mon.all[at:self.mon.at]

    def tell_to_stop(self):
        """The number of the last record that a guest of the case snap wrote; 0: it did not say."""
        self.p.stdin.write(b"stop\n")
        self.p.stdin.flush()
        done = self.out.expect(r"DONE (\d+)\s", 60)
        return int(done[1]) if done else 0

    def end(self):
        self.out.expect("Power down", 60)
        try:
            self.p.wait(30)
        except subprocess.TimeoutExpired:
            self.p.kill()
        self.sock.close()


def image(name, mib):
    path = os.path.join(DIR, name)
    with open(path, "wb") as f:
        f.truncate(mib << 20)
    return path


def resize():
    for bus in "pci", "mmio", "nvme":
        path = image("grow.img", 16)
        m = Machine("resize", "--disk", f"{path},bus={bus}")
        m.out.expect("SIZE 32768\\b")
        said = m.ask("block_resize disk0 24")
        good = m.out.expect("SIZE 49152\\b", 30)
        ok(good and os.path.getsize(path) == 24 << 20, f"a guest sees its disk grow ({bus})", said + m.out.all)
        m.end()


def limits():
    path = image("limit.img", 16)
    m = Machine("limits", "--disk", f"{path},cache=none,iops=50")
    took = m.out.expect(r"TOOK (\d+)\s")
    ok(took and 2500 <= int(took[1]) <= 12000, "200 reads under a limit of 50 a second take 4 seconds", m.out.all)
    m.ask("block_set_io_throttle disk0 0 0 0 0 0 0")
    took = m.out.expect(r"TOOK (\d+)\s")
    ok(took and int(took[1]) < 2500, "the limit is lifted while the guest runs", m.out.all)
    said = m.ask("info block")
    ok("limit.img" in said and "cache none" in said and re.search(r"read +\d+ .*mean", said), "info block tells of it", said)
    m.end()


def full():
    if not FULL:
        print(f"ok {results + 1} - a full host # SKIP no small file system can be mounted here")
        return
    path, filler = os.path.join(FULL, "disk.img"), os.path.join(FULL, "filler")
    for bus in "pci", "nvme":
        with open(path, "wb") as f:
            f.truncate(0)
            f.truncate(16 << 20)
        with open(filler, "wb") as f:
            f.write(b"x" * (10 << 20))
        m = Machine("fill", "--disk", f"{path},bus={bus}")
        good = m.out.expect("No space left on device; the machine is paused")
        said = m.ask("info status")
        ok(good and "paused (io-error)" in said and "disk 'disk0'" in said, f"a full host pauses the machine ({bus})", m.out.all + said)
        m.ask("cont")
        again = m.out.expect("the machine is paused")
        ok(again, f"and again as long as nothing was freed ({bus})", m.out.all)
        os.unlink(filler)
        m.ask("cont")
        good = m.out.expect("SAME")
        ok(good and not re.search("I/O error", m.out.all), f"with room the guest goes on, and nothing was lost ({bus})", m.out.all)
        m.end()


def report():
    if not FULL:
        print(f"ok {results + 1} - a full host # SKIP no small file system can be mounted here")
        return
    path = os.path.join(FULL, "disk.img")
    with open(path, "wb") as f:
        f.truncate(0)
        f.truncate(16 << 20)
    with open(os.path.join(FULL, "filler"), "wb") as f:
        f.write(b"x" * (10 << 20))
    m = Machine("fill", "--disk", f"{path},on-error=report")
    good = m.out.expect("FAILED")
    ok(good and "running" in m.ask("info status"), "with on-error=report the guest gets the error", m.out.all)
    m.end()


def commit():
    path = image("commit.img", 8)
    m = Machine("commit", "--disk", path, "--snapshot")
    m.out.expect("WRITTEN")
    before = open(path, "rb").read().count(b"guise")
    said = m.ask("commit all")
    after = open(path, "rb").read().count(b"guise")
    ok(before == 0 and after > 1000, "commit writes what a snapshot run changed", said + f"{before} {after}")
    m.end()


def mirror():
    a, b, new = (os.path.join(DIR, n) for n in ("copy1.img", "copy2.img", "copy3.img"))
    image("copy3.img", 9)
    subprocess.run([GUISE, "img", "create", "-q", "-f", "mirror", f"mirror:{a},{b}", "8M"], check=True)
    m = Machine("commit", "--disk", f"mirror:{a},{b}")
    m.out.expect("WRITTEN")
    said = m.ask("info mirror")
    m.ask(f"mirror_replace disk0 2 {new}")
    filled = m.out.expect("member '.*copy3.img' is in step", 30)
    said += m.ask("info mirror")
    m.end()
    words = [open(p, "rb").read().count(b"guise") for p in (a, b, new)]
    ok(filled and min(words) > 1000 and words[0] == words[2] and said.count("in step") == 4,
       "a member of a mirror is replaced while the guest runs", f"{words} {said} {m.out.all}")


def first(path):
    """The number at the start of a disk, through qemu-img."""
    out = os.path.join(DIR, "first")
    subprocess.run(["qemu-img", "dd", "-U", "-f", "qcow2", "-O", "raw", f"if={path}", f"of={out}", "bs=512", "count=1"],
                   check=True, stdout=subprocess.DEVNULL)
    return int(re.match(rb"\d+", open(out, "rb").read())[0])


def wait_merge(m):
    """The list of snapshots after the merge under way."""
    end = time.monotonic() + 60
    while "merging:" in (listed := m.ask("snap list")) and time.monotonic() < end:
        time.sleep(0.2)
    return listed


def middle(disks):
    """The machine is started anew over n0, n1, n2, n3: what lies under n3 is opened for reading alone."""
    frozen = [d.replace(".qcow2", "@3.qcow2") for d in disks]
    before = [first(f) for f in frozen]
    m = Machine("snap", "--disk", disks[0], "--disk", disks[1] + ",bus=mmio")
    m.out.expect("GOING")
    pid = os.path.join(DIR, "nbd.pid")
    subprocess.run(["qemu-nbd", "-r", "-f", "qcow2", "-t", "--fork", "--pid-file", pid, "-k", os.path.join(DIR, "nbd"), frozen[0]], check=True)
    refused = m.ask("snap delete n1")
    os.kill(int(open(pid).read()), signal.SIGTERM)
    ok("in use by qemu-nbd" in refused, "a layer that another program reads is not merged into", refused)
    end = time.monotonic() + 60
    while "in use" in (said := m.ask("snap delete n1")) and time.monotonic() < end:
        time.sleep(0.2)
    listed = wait_merge(m)
    gone = not os.path.exists(disks[0].replace(".qcow2", "@2.qcow2"))
    last = m.tell_to_stop()
    m.end()
    ok(last and gone and "n1" not in listed and "n2" in listed and [first(f) for f in frozen] == before,
       "a middle snapshot is merged beside the guest", said + listed)
    return last


def snapshots():
    disks = [os.path.join(DIR, f"s{i}.qcow2") for i in (0, 1)]
    for d in disks:
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", d, "64G"], check=True)
        subprocess.run(["qemu-io", "-f", "qcow2", "-c", "write -P 49 0 64k", d], check=True, stdout=subprocess.DEVNULL)
    m = Machine("snap", "--disk", disks[0], "--disk", disks[1] + ",bus=mmio")
    m.out.expect("GOING")
    pauses, said = [], ""
    for i in range(5):
        said += m.ask(f"snap take n{i}")
        pauses.append(float((re.search(r"paused for ([\d.]+) ms", said.splitlines()[-2]) or [0, "1e9"])[1]))
        time.sleep(0.3)
    ok(sorted(pauses)[2] < 100, f"snapshots of two 64 GiB disks pause them for {sorted(pauses)[2]} ms", said)
    merged = m.ask("snap delete n4")
    listed = wait_merge(m)
    ok("merging" in merged and "n4" not in listed and "n3" in listed, "the last snapshot is merged beside the guest", merged + listed)
    last = m.tell_to_stop()
    m.end()
    ok(last and not re.search("I/O error", m.out.all) and [first(d) for d in disks] == [last, last], "the guest goes on in both", m.out.all)
    at = [[first(d.replace(".qcow2", f"@{i}.qcow2")) for d in disks] for i in (1, 2, 3, 4)]
    ok(all(a - b in (0, 1) for a, b in at), "both disks are of one instant in every snapshot", at)
    last = middle(disks)
    r = subprocess.run([GUISE, "snap", "delete", os.path.join(DIR, "s0"), "n2"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    ok(r.returncode == 0 and [first(d) for d in disks] == [last, last], "and a middle one is deleted when it is off", r.stdout)


resize()
limits()
mirror()
full()
report()
commit()
snapshots()
print(f"1..{results}")
