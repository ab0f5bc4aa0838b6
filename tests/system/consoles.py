#!/usr/bin/env python3
"""A virtio console and the monitor as tabs of the window: what is printed, typed, selected, pasted. TAP; see guests.py."""
import json
import os
import re
import sys

from guests import DIR, INITRD, KERNEL, QEMU, Guest, done, ok
from xserver import XServer, tool, wait_for

x = XServer()
HVC = "/dev/hvc0"
RED = bytes((0x57, 0x51, 0xdd))  # of the palette: B, G, R


class Windowed(Guest):
    def __init__(self):
        monitor = os.path.join(DIR, f"monitor{Guest.count + 1}")
        super().__init__(program=[
            QEMU, "-M", "virt", "-m", "256M", "-kernel", KERNEL, "-initrd", INITRD, "-append", "console=ttyS0 quiet", "-name", "vm",
            "-serial", "stdio", "-monitor", f"unix:{monitor},server=on,wait=off", "-display", "sdl", "-device", "virtio-serial-pci",
            "-chardev", "vc,id=c0", "-device", "virtconsole,chardev=c0"])
        self.window = x.window("vm")
        tool("windowfocus", "--sync", self.window)

    def print(self, text):
        return self.run(f"printf '{text}' >&8")[1] == 0

    def line(self, act):
        """The line that comes from the console while act runs."""
        self.begin("stty sane -echo <&8; echo LISTENS; read -r line <&8; echo \"got <$line>\"")
        self.expect("LISTENS")
        act()
        m = re.search(r"got <(.*)>", self.end()[0])
        return m and m.group(1)

    def colour(self, rgb):
        """Is most of the window of that colour?"""
        rows = x.picture(self.window)
        good = sum(r[i:i + 3] == rgb for r in rows[::10] for i in range(0, len(r), 40))
        return good > 0.9 * sum(len(r) // 40 for r in rows[::10])


def size(g):
    """What the kernel says, and what the terminal answers. Linux before 6.15 takes columns for rows."""
    g.begin("stty size <&8; stty raw -echo <&8; printf '\\033[18t' >&8; IFS= read -r -d t a <&8; echo \"says ${a#??}\"")
    text = g.end()[0]
    kernel, says = re.search(r"(\d+) (\d+)\n", text), re.search(r"says 8;(\d+);(\d+)", text)
    return (sorted(map(int, kernel.groups())), [int(n) for n in says.groups()]) if kernel and says else text


def sizes(g):
    seen = []
    for w, h in ((1280, 800), (700, 500), (1402, 871)):
        tool("windowsize", "--sync", g.window, w, h)
        # cells of 9x18 within margins of 4, and 8 to the right for the scroll bar
        want = [(h - 8) // 18, (w - 12) // 9]
        seen.append(wait_for(lambda: (lambda s: s if s == (sorted(want), want) else None)(size(g))) or size(g))
        ok(seen[-1] == (sorted(want), want), f"a window of {w}x{h} has {want[1]} columns, and the guest knows", seen[-1])


def printed(g):
    ok(g.print("\\033[?25l\\033[41m\\033[2J") and wait_for(lambda: g.colour(RED)), "what the guest prints is in the window")
    g.print("\\033[m\\033[2J")
    ok(wait_for(lambda: not g.colour(RED)), "and goes")


def typed(g):
    got = g.line(lambda: (tool("type", "--delay", 5, "Hello, {w0rld}~"), tool("key", "Return")))
    ok(got == "Hello, {w0rld}~", "what is typed arrives", got)
    got = g.line(lambda: (tool("type", "--delay", 5, "abc"), tool("key", "BackSpace", "BackSpace", "d", "Return")))
    ok(got == "ad", "keys too", got)


def copied(g):
    g.print("\\033[2J\\033[3;3H/a/path.txt rest")
    before = x.picture(g.window)
    tool("mousemove", "--window", g.window, 4 + 6 * 9, 4 + 2 * 18 + 9)
    tool("click", "--repeat", 2, "--delay", 30, 1)
    ok(wait_for(lambda: x.picture(g.window) != before), "a double click selects a word")
    tool("key", "ctrl+shift+c")
    got = g.line(lambda: (tool("key", "ctrl+shift+v"), tool("key", "Return")))
    ok(got == "/a/path.txt", "which is copied, and pasted", got)
    tool("click", 1)


def scrolled(g):
    g.run("seq 1 300 >&8")
    last = wait_for(lambda: (lambda a, b: a if a == b else None)(x.picture(g.window), x.picture(g.window)))
    tool("click", 4)
    ok(wait_for(lambda: x.picture(g.window) != last), "the wheel looks back")
    tool("key", "shift+End")
    ok(wait_for(lambda: x.picture(g.window) == last), "and Shift-End comes back")


def counters(g):
    console = x.picture(g.window)
    tool("key", "ctrl+alt+2")
    ok(wait_for(lambda: x.picture(g.window) != console), "the counters' panel is the last tab")
    tool("key", "ctrl+alt+1")
    ok(wait_for(lambda: x.picture(g.window) == console), "and the console is as it was")
    first = json.loads(re.search(r"\{.*\}", g.ask("info counters -j")).group(0))
    g.run("true")
    second = json.loads(re.search(r"\{.*\}", g.ask("info counters -j")).group(0))
    ok(second["instructions"] > first["instructions"] and second["exceptions"]["ecall_from_U"] > first["exceptions"]["ecall_from_U"]
       and second["rates"]["instructions"] > 0, "info counters -j: instructions, traps by cause, rates", (first, second))


def main():
    os.chdir(DIR)
    g = Windowed()
    ok(g.up and g.window, "a guest with a virtio console in a window", g.text[-500:])
    g.run(f"exec 8<>{HVC}")  # what comes while nobody has it open is lost
    for test in (sizes, printed, typed, copied, scrolled, counters):
        test(g)
    ok(g.close(), "the window goes when the guest powers off")
    done()


sys.exit(main())
