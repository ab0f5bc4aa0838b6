#!/usr/bin/env python3
"""Weston in Debian in the window, used with keys and pointer as a person does. TAP; environment: see desktop.sh."""
import os
import subprocess
import time

from guests import GUISE, INITRD, KERNEL, Guest, done, ok
from text_screen import Picture
from xserver import XServer, tool, wait_for

BASE, DISK, PICTURES = (os.environ[n] for n in ("BASE", "DISK", "PICTURES"))
PACKAGES = "weston seatd fonts-dejavu-core libgl1-mesa-dri"
LINE = ("root=LABEL=guise console=ttyS0 quiet systemd.default_device_timeout_sec=1200 "
        "systemd.default_timeout_start_sec=1200")
ICON = (22, 16)  # of a terminal, in the bar at the top
ICON_CORNER = (28, 9, 33, 15)  # of it, where the pointer's arrow is not
WESTON = ("(XDG_RUNTIME_DIR=/run/user/0 weston --backend=drm --renderer=pixman --log=/tmp/weston.log >/dev/null 2>&1 &)")
x = XServer()


class Debian(Guest):
    """A machine, with root's shell on its serial console."""

    def __init__(self, disk, *options):
        super().__init__(*options, program=[GUISE, "run", KERNEL, "--initrd", INITRD, "--append", LINE, "--memory", "2G", "--cpus", "2",
                                            "--disk", disk, "--console", "stdio"])

    def boot(self):
        if not self.expect("guise login: ", 600):
            return False
        self.say("root")
        if not self.expect("Password: "):
            return False
        time.sleep(2)  # PAM throws away what was typed before it reads
        self.say("guise")
        self.up = bool(self.expect("root@guise:~# "))
        return self.up and self.run("TERM=dumb; bind 'set enable-bracketed-paste off'")[1] == 0

    def say(self, line):
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def begin(self, command):
        self.commands += 1
        self.start = self.at
        self.say(f'{command}; echo "="{self.commands}=$?=')

    def power_off(self):
        self.say("systemctl poweroff")
        off = self.expect("Power down")
        self.process.stdin.close()
        while os.read(self.process.stdout.fileno(), 65536):
            pass
        return self.process.wait(120) == 0 and bool(off)


def keep(name, rows):
    Picture.of_bgrx(len(rows[0]) // 4, len(rows), b"".join(rows)).save(os.path.join(PICTURES, name))


def install():
    """Once: the packages, by the guest's own apt, into an overlay."""
    if os.path.exists(DISK):
        return
    new = DISK + ".new"
    subprocess.run([GUISE, "img", "create", "-q", "-f", "qcow2", "-b", BASE, "-F", "raw", new], check=True)
    g = Debian(f"{new},format=qcow2")
    text, code = g.run("apt-get -q update", 1200)
    if code == 0:
        text, code = g.run(f"DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends {PACKAGES}", 2400)
    ok(code == 0, "the guest installs Weston from its network", text)
    ok(g.power_off(), "and powers off", g.text[-500:])
    os.rename(new, DISK)


def shade(rows, left, top, right, bottom):
    """The mean of all colours of a part, 0 to 255."""
    total = sum(sum(row[left * 4:right * 4][c::4]) for row in rows[top:bottom] for c in (0, 1, 2))
    return total / (3 * (right - left) * (bottom - top))


def desktop_is_there(window):
    """A dark bar over the whole width, and a grey pattern under it."""
    rows = x.picture(window)
    w, h = len(rows[0]) // 4, len(rows)
    return h >= 600 and shade(rows, 100, 4, w - 300, 28) < 60 and 90 < shade(rows, 0, 60, w, h) < 170 and rows


def terminal_is_there(window):
    """A large black part."""
    rows = x.picture(window)
    w, h = len(rows[0]) // 4, len(rows)
    black = sum(row[i] + row[i + 1] + row[i + 2] == 0 for row in rows[40:h:8] for i in range(0, w * 4, 32))
    return black > 0.15 * (w // 8) * ((h - 40) // 8) and rows


def icon_answers(window):
    """Whether the terminal's picture is lit, as it is under the pointer once there is nothing before it; the pointer moves a little."""
    for step in (1, -1):
        tool("mousemove_relative", "--", step, 0)
        time.sleep(0.2)
    return shade(x.picture(window), *ICON_CORNER) > 120


def type_line(text):
    tool("type", "--delay", 40, text)
    tool("key", "Return")


def session(name, *devices):
    g = Debian(f"{DISK},format=qcow2,snapshot", "--window", "--name", name, *(a for d in devices for a in ("--device", d)))
    window = x.window(name)
    ok(g.up and window, f"{name}: Debian is up in a window", g.text[-1000:])
    tool("windowfocus", "--sync", window)
    g.run(f"systemctl start seatd; mkdir -p /run/user/0; {WESTON}")
    rows = wait_for(lambda: desktop_is_there(window), 180)
    ok(rows, f"{name}: Weston's desktop is on the screen", g.run("tail -n 5 /tmp/weston.log")[0])
    relative = any("mouse" in d for d in devices)
    if relative:
        tool("mousemove", "--window", window, 640, 400)
        tool("click", 1)  # takes the pointer
        tool("mousemove_relative", "--", -3000, -3000)  # to the corner, wherever it was
        time.sleep(0.5)
        for _ in range(ICON[0] // 2):  # in steps that are not accelerated
            tool("mousemove_relative", "--", 2, 1)
            time.sleep(0.05)
    else:
        tool("mousemove", "--window", window, *ICON)
    lit = wait_for(lambda: icon_answers(window), 60)  # Weston fades its desktop in, and until then a click is not for it
    ok(lit, f"{name}: its picture answers to the pointer")
    tool("click", 1)
    rows = wait_for(lambda: terminal_is_there(window), 120)
    ok(rows, f"{name}: a click on its picture opens a terminal", g.run("pgrep -a weston")[0])
    time.sleep(3)
    type_line("ls --color /")
    type_line("echo 'Typed, with CAPITALS & signs: {[~|@]}' > /tmp/typed")
    text = wait_for(lambda: (lambda t: t if "CAPITALS" in t else "")(g.run("cat /tmp/typed")[0]))
    ok("\nTyped, with CAPITALS & signs: {[~|@]}" in "\n" + text, f"{name}: what is typed arrives", text)
    keep(f"{name}.png", x.picture(window))
    time.sleep(3)
    before = g.cpu()
    time.sleep(10)
    used = (g.cpu() - before) / 10
    ok(used < 0.05, f"{name}: idle, it costs {used:.1%} of a core")
    ok(g.power_off(), f"{name}: it powers off", g.text[-500:])


install()
session("virtio-gpu")
session("bochs", "bochs-display", "virtio-keyboard-pci", "virtio-tablet-pci")
session("mouse", "virtio-gpu-pci", "virtio-keyboard-pci", "virtio-mouse-pci")
done()
