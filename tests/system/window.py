#!/usr/bin/env python3
"""The window, as a person uses it: keys and pointer into the guest, its picture out of it. TAP; see guests.py."""
import os
import random
import re
import signal
import subprocess
import sys
import time

from guests import DIR, GUISE, Guest, done, ok
from xserver import XServer, tool, wait_for

EVENT = 24
KEY, REL, ABS = 1, 2, 3
KEYBOARD, TABLET, MOUSE = ("QEMU Virtio " + n for n in ("Keyboard", "Tablet", "Mouse"))
# Every key of a board of 105 keys, by its number in linux/input-event-codes.h; X's key codes are larger by 8.
BOARD = [*range(1, 84), *range(86, 89), *range(96, 101), *range(102, 112), 119, 125, 126, 127]

x = XServer()


class Windowed(Guest):
    def __init__(self, *options, name="vm", **more):
        self.name = name
        super().__init__("--window", "--name", name, "--net", "none", *options, **more)
        self.window = x.window(name)
        tool("windowfocus", "--sync", self.window)

    def record(self, *names):
        return all(self.run(f"record '{n}'")[1] == 0 for n in names)

    def heard(self, name, events):
        text, _ = self.run(f"heard '{name}' {events * EVENT}")
        found = [tuple(map(int, m)) for m in re.findall(r"(?m)^(\d+)/(\d+)/(-?\d+)$", text)]
        return [e for e in found if e[0] in (KEY, REL, ABS) and not (e[0] == KEY and e[2] == 2)]

    def title(self, part):
        """Does the title say so, sooner or later?"""
        return wait_for(lambda: part in x.title(self.window))

    def dump(self):
        """The guest's screen by the monitor: width, height, rows of R, G, B."""
        path = os.path.join(DIR, "dump.ppm")
        self.ask(f"screendump {path}")
        with open(path, "rb") as f:
            data = f.read()
        head = re.match(rb"P6\n(\d+) (\d+)\n255\n", data)
        w, h = int(head.group(1)), int(head.group(2))
        return w, h, [data[head.end() + y * w * 3:head.end() + (y + 1) * w * 3] for y in range(h)]

    def shows(self):
        """Is the window's picture the guest's screen, pixel by pixel?"""
        w, h, rows = self.dump()
        seen = x.picture(self.window)
        return x.size(self.window) == (w, h) and all(
            s[0::4] == r[2::3] and s[1::4] == r[1::3] and s[2::4] == r[0::3] for s, r in zip(seen, rows))


def x_key(code):
    """The key's name for xdotool: its X code, which must not look like a digit."""
    return "Escape" if code == 1 else code + 8


def picture(g):
    ok(g.up and g.window, "a guest is up, and has a window", g.text[-500:])
    ok(g.title("vm - running - "), "the title tells its name and state", x.title(g.window))
    ok(wait_for(lambda: "160x50" in g.run("cat /sys/class/graphics/fb0/virtual_size /proc/consoles; dmesg | grep 160x50")[0]),
       "the guest's console is on the screen")
    g.run("printf '\\033[2J\\033[?25l\\033[44mhello\\033[0m' >/dev/tty0")
    ok(wait_for(g.shows), "what is in the window is the guest's screen, pixel by pixel")


def keys(g):
    for layout in ("us", "de", "fr"):
        subprocess.run(["setxkbmap", "-model", "pc105", layout], check=True)
        wrong = []
        for i in range(0, len(BOARD), 15):
            some = BOARD[i:i + 15]
            for c in some:
                tool("keydown", x_key(c), "keyup", x_key(c))
            got = g.heard(KEYBOARD, 4 * len(some))
            if got != [(KEY, c, v) for c in some for v in (1, 0)]:
                wrong.append((some, got))
        ok(len(BOARD) == 105 and not wrong, f"each of 105 keys comes down and up, layout {layout}", wrong)
    subprocess.run(["setxkbmap", "-model", "pc105", "us"], check=True)


def pointer(g):
    w, h = x.size(g.window)
    wrong = []
    g.heard(TABLET, 0)
    for px, py in ((0, 0), (w - 1, h - 1), (1, h - 2), (640, 400), (333, 777), (w - 1, 0)):
        tool("mousemove", "--window", g.window, px, py)
        got = g.heard(TABLET, 2)
        at = dict((c, v) for t, c, v in got if t == ABS)
        if any((at[c] * side // 32768 if c in at else place) != place for c, side, place in ((0, w, px), (1, h, py))):
            wrong.append(((px, py), got))
    ok(not wrong, "the pointer lands on the pixel where it was put", wrong)
    tool("click", 1, "click", 3, "click", 4, "click", 5)
    got = g.heard(TABLET, 10)
    want = [(KEY, 0x110, 1), (KEY, 0x110, 0), (KEY, 0x111, 1), (KEY, 0x111, 0), (REL, 8, 1), (REL, 8, -1)]
    ok([e for e in got if e[0] != ABS] == want, "buttons and the wheel", got)


def focus(g):
    """Another window takes the focus while keys are down."""
    tool("keydown", "Control_L", "keydown", "Alt_L", "keydown", "t")
    down = g.heard(KEYBOARD, 6)
    tool("windowfocus", x.other())
    up = g.heard(KEYBOARD, 6)
    tool("keyup", "t", "keyup", "Alt_L", "keyup", "Control_L")
    tool("windowfocus", "--sync", g.window)
    ok(sorted(e[1] for e in down) == sorted(e[1] for e in up) == [20, 29, 56] and not any(e[2] for e in up),
       "what is down goes up in the guest when another window takes the focus", (down, up))
    tool("key", "a")
    got = g.heard(KEYBOARD, 4)
    ok(got == [(KEY, 30, 1), (KEY, 30, 0)], "and nothing is stuck", got)


def hot_keys(g):
    for f in os.listdir(DIR):
        if f.startswith("vm-"):
            os.unlink(os.path.join(DIR, f))
    tool("key", "ctrl+alt+s")
    got = g.heard(KEYBOARD, 8)
    ok(sorted(set(got)) == [(KEY, 29, 0), (KEY, 29, 1), (KEY, 56, 0), (KEY, 56, 1)], "a key of the window is not the guest's", got)
    found = wait_for(lambda: [f for f in os.listdir(DIR) if f.startswith("vm-")])
    ok(found and open(os.path.join(DIR, found[0]), "rb").read(8) == b"\x89PNG\r\n\x1a\n", "it saved a picture", found)
    tool("key", "ctrl+alt+m")
    g.heard(KEYBOARD, 8)
    tool("key", "--delay", 20, *["Down"] * 13, "Return")
    got = g.heard(KEYBOARD, 12)
    ok(got == [(KEY, c, v) for c, v in ((29, 1), (56, 1), (14, 1), (14, 0), (56, 0), (29, 0))],
       "the menu sends Ctrl-Alt-Backspace", got)


def resize(g):
    """Debian's console keeps its size, but its driver learns of a larger one. A smaller one would cut the console."""
    first = "echo detect >/sys/class/drm/card0-Virtual-1/status; head -n 1 /sys/class/drm/card0-Virtual-1/modes"
    tool("windowsize", "--sync", g.window, 1402, 871)
    ok(wait_for(lambda: g.run(first)[0].split()[:1] == ["1402x871"]), "the guest is told of a larger window")
    tool("windowsize", "--sync", g.window, 1000, 700)
    whole = wait_for(lambda: g.run(first)[0].split()[:1] == ["1280x800"] and g.dump()[:2] == (1280, 800))
    ok(whole and x.size(g.window) == (1000, 700), "a smaller window shows the console whole", (x.size(g.window), g.dump()[:2]))
    tool("windowsize", "--sync", g.window, 1280, 800)
    ok(wait_for(g.shows), "and as it was in a window as it was", x.size(g.window))


def follows():
    """A guest that follows the window, and has a pointer of its own."""
    g = Windowed("--append", "console=ttyS0 quiet", name="follow")
    g.begin("follow")
    ok(g.expect("MODE 1280 800"), "a guest draws its screen", g.text[-500:])
    tool("mousemove", "--window", g.window, 200, 200)
    tool("windowmove", "--sync", g.window, 0, 0)
    shape = wait_for(lambda: x.pointer() == (64, 64, 5, 7, {0xffff0000}))
    ok(shape, "its pointer is this host's, hot spot and all", x.pointer()[:4])
    wrong = []
    random.seed(5)
    for n in range(100):
        size = (random.randrange(320, 1500), random.randrange(240, 950))
        tool("windowsize", g.window, *size)
        if n % 5 == 4:  # now and then one that stays
            want = "MODE %d %d$" % size
            if not g.expect("(?m)" + want) or not wait_for(lambda: right(x.picture(g.window), *size)):
                wrong.append((size, x.size(g.window), g.text[-80:]))
    ok(not wrong, "it follows 100 resizes of the window, and every pixel is where it belongs", wrong)
    x.close(g.window)
    ok(g.wait() == 0, "it ends with its window")


def right(rows, w, h):
    """The picture that follow.c draws, without the pointer, which is not the window's."""
    line = bytes(v for px in range(w) for v in (0x40, 0, px & 255, 0))
    return len(rows) == h and all(r[0::4] == line[0::4] and r[2::4] == line[2::4] and set(r[1::4]) == {y & 255}
                                  for y, r in enumerate(rows))


def states(g):
    g.ask("stop")
    ok(g.title("vm - paused") and not g.shows(), "a paused machine says so, in the title and over the picture")
    g.ask("cont")
    ok(g.title("vm - running") and wait_for(g.shows), "and not any more when it goes on", x.title(g.window))


def idle(g):
    """Nothing happens: not in the guest either, whose text cursor is off."""
    g.run("printf '\\033[?25l' >/dev/tty0; echo 0 >/sys/class/graphics/fbcon/cursor_blink")
    time.sleep(1)  # what was going on ends
    before = g.cpu()
    time.sleep(5)
    used = (g.cpu() - before) / 5
    ok(used < 0.05, f"an idle guest in a window costs {used:.1%} of a core")


def closing(g):
    g.run("cd /; (while :; do dd if=/dev/zero of=/dev/vda bs=64k count=256 conv=fsync; done) >/dev/null 2>&1 &")
    time.sleep(0.5)
    x.close(g.window)
    code = g.wait()
    ok(code == 0, "closed in the middle of writing, it ends with 0", code)
    disk = os.path.join(DIR, "disk.qcow2")
    check = subprocess.run([GUISE, "img", "check", disk], capture_output=True, text=True)
    ok(check.returncode in (0, 3), "and its disk is whole", check.stdout + check.stderr)


def mouse():
    """A guest with a mouse only: it is grabbed by a click, and given back."""
    g = Windowed("--append", "console=ttyS0 quiet", "--device", "virtio-mouse-pci", "--no-shutdown", name="mouse")
    ok(g.record(MOUSE, KEYBOARD), "a guest with a mouse")
    tool("mousemove", "--window", g.window, 300, 300)
    tool("click", 1)
    ok(g.title("Ctrl-Alt-G releases the grab"), "a click takes the pointer", x.title(g.window))
    ok(not g.heard(MOUSE, 0), "and is not the guest's")
    tool("mousemove_relative", "--", 7, -5)
    got = g.heard(MOUSE, 2)
    ok(got and all(t == REL for t, _, _ in got) and (sum(v for _, c, v in got if c == 0), sum(v for _, c, v in got if c == 1)) == (7, -5),
       "motion is the guest's", got)
    tool("key", "ctrl+alt+g")
    ok(wait_for(lambda: "grab" not in x.title(g.window)), "and the pointer is given back", x.title(g.window))
    g.type("1 poweroff -f\n")
    ok(g.title("mouse - off"), "with --no-shutdown the window stays when the guest has powered off", x.title(g.window))
    x.close(g.window)
    ok(g.wait() == 0, "until it is closed")


def screens():
    g = Windowed("--append", "console=ttyS0 quiet", "--device", "virtio-gpu-pci,max_outputs=2", name="two")
    second = x.window("two: ")
    ok(g.up and second, "each screen has a window", g.text[-500:])
    ok(wait_for(lambda: "connected" == g.run("cat /sys/class/drm/card0-Virtual-2/status")[0].strip()), "the guest has two monitors")
    x.close(second)
    gone = wait_for(lambda: "disconnected" == g.run(
        "echo detect >/sys/class/drm/card0-Virtual-2/status; cat /sys/class/drm/card0-Virtual-2/status")[0].strip())
    ok(gone, "and one when its window is closed")
    ok(g.close(), "the window goes when the guest powers off")


def headless():
    for driver in ("dummy", "offscreen"):
        g = Guest("--window", "--net", "none", env={"SDL_VIDEODRIVER": driver})
        path = os.path.join(DIR, f"{driver}.png")
        ok(g.up and wait_for(lambda: (g.ask(f"screendump {path}"), os.path.exists(path))[1]), f"SDL's driver {driver}: it runs",
           g.text[-500:])
        ok(g.close(), f"SDL's driver {driver}: it powers off")
    r = subprocess.run([GUISE, "run", os.environ["KERNEL"], "--window"], env={**os.environ, "DISPLAY": ":999"},
                       capture_output=True, text=True, stdin=subprocess.DEVNULL)
    ok(r.returncode == 1 and "no screen for a window" in r.stderr, "without a screen it says so", r.stderr)


def server_gone():
    """The last test: nothing has a window after it."""
    g = Windowed("--append", "console=ttyS0 quiet", "--disk", "disk.qcow2,format=qcow2", name="last")
    g.run("cd /; (while :; do dd if=/dev/zero of=/dev/vda bs=64k count=256 conv=fsync; done) >/dev/null 2>&1 &")
    os.kill(int(os.environ["XSERVER"]), signal.SIGKILL)
    code = g.wait()
    check = subprocess.run([GUISE, "img", "check", "disk.qcow2"], capture_output=True, text=True)
    ok(code == 1 and check.returncode in (0, 3), "a machine whose X server goes ends with 1, and its disk is whole",
       (code, check.stdout, check.stderr))


def main():
    os.chdir(DIR)
    subprocess.run([GUISE, "img", "create", "-q", "-f", "qcow2", "disk.qcow2", "64M"], check=True)
    g = Windowed("--append", "console=ttyS0 quiet", "--disk", "disk.qcow2,format=qcow2")
    ok(g.record(KEYBOARD, TABLET), "a guest has a keyboard and a tablet")
    for test in (picture, keys, pointer, focus, hot_keys, resize, states, idle, closing):
        test(g)
    follows()
    mouse()
    screens()
    headless()
    server_gone()
    done()


sys.exit(main())
