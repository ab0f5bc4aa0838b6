"""Pictures of guests' screens, taken by screendump and compared with console.png.

console.png is what Debian 13's kernel showed on virtio-gpu (640x480) after the same commands, looked at and packed by
`screens.py make OUT` (DEVICE names another screen). Its font is the kernel's own, 8x16. A picture fits when hardly any
pixel that either of them has lit differs.
"""
import os
import shutil
import struct
import sys
import time
import zlib

from guests import DIR, GUISE, INITRD, KERNEL, QEMU, Guest, done, ok

BASELINE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "console.png")
PATIENCE = 30  # seconds for what a kernel draws when it has time


def read_ppm(path):
    with open(path, "rb") as f:
        kind, size, depth = (f.readline().split() for _ in range(3))
        assert kind == [b"P6"] and depth == [b"255"]
        return int(size[0]), int(size[1]), f.read()


def read_png(path):
    """True colour of 8 bits, rows not filtered: as write_png makes it."""
    with open(path, "rb") as f:
        data, at, packed = f.read(), 8, b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + length]
        at += 12 + length
        if kind == b"IHDR":
            width, height, bits, colour, _, _, interlace = struct.unpack(">IIBBBBB", body)
            assert (bits, colour, interlace) == (8, 2, 0)
        elif kind == b"IDAT":
            packed += body
    rows = zlib.decompress(packed)
    line = 3 * width + 1
    assert all(rows[y * line] == 0 for y in range(height))
    return width, height, b"".join(rows[y * line + 1:(y + 1) * line] for y in range(height))


def write_png(path, picture):
    width, height, rgb = picture
    rows = b"".join(b"\0" + rgb[3 * width * y:3 * width * (y + 1)] for y in range(height))
    with open(path, "wb") as f:
        f.write(b"\x89PNG\r\n\x1a\n")
        for kind, body in ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
                           (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")):
            f.write(struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)))


def rows(picture, width, height):
    """The upper left width x height of it, row by row; what it lacks is black."""
    w, h, rgb = picture
    for y in range(height):
        row = rgb[3 * w * y:3 * (w * y + min(w, width))] if y < h else b""
        yield row + bytes(3 * width - len(row))


def difference(a, b):
    """Pixels that differ visibly, pixels that one of them has lit."""
    width, height = max(a[0], b[0]), max(a[1], b[1])
    wrong = lit = 0
    for p, q in zip(rows(a, width, height), rows(b, width, height)):
        if p == q:
            lit += sum(any(p[i:i + 3]) for i in range(0, len(p), 3)) if any(p) else 0
            continue
        for i in range(0, len(p), 3):
            lit += any(p[i:i + 3]) or any(q[i:i + 3])
            wrong += any(abs(x - y) > 24 for x, y in zip(p[i:i + 3], q[i:i + 3]))
    return wrong, lit


def fits(a, b):
    wrong, lit = difference(a, b)
    return lit > 5000 and wrong * 100 < lit


def picture(guest):
    """Its screen; a text: what the monitor says instead."""
    path = os.path.join(DIR, "screen.ppm")
    if os.path.exists(path):
        os.unlink(path)
    said = guest.ask(f"screendump {path} -f ppm")
    return read_ppm(path) if os.path.exists(path) else said


def picture_when(guest, good):
    """The first picture that is good; the last one, if none is in time. Linux copies to the screen behind our back."""
    end = time.monotonic() + PATIENCE
    while True:
        shot = picture(guest)
        if good(shot) or time.monotonic() > end:
            return shot


DRAW = (r"""dmesg -n 1; printf '\033[2J\033[H\033[?25l' >/dev/tty0; for c in 1 2 3 4 5 6 7; do """
        r"""printf "\033[3${c}mcolour $c \033[4${c};30m in reverse \033[0m  \033[1;3${c}mbright\033[0m\n"; done >/dev/tty0; """
        r"""printf 'The quick brown fox jumps over the lazy dog. 0123456789 {}[]()<>@#$%%&*\n' >/dev/tty0; """
        r"""i=0; while [ $i -lt 18 ]; do i=$((i + 1)); printf "row $i\t|\t|\t|\n" >/dev/tty0; done; cat /proc/fb""")


def looks_right(guest, name, driver):
    """Let the guest draw, and compare."""
    drivers, code = guest.run(DRAW)
    wanted = read_png(BASELINE)
    shot = picture_when(guest, lambda s: not isinstance(s, str) and fits(wanted, s))
    ok(code == 0 and driver in drivers, f"{name}: the console is {driver}", drivers)
    if isinstance(shot, str):
        return ok(False, f"{name}: the picture is as it should be", shot)
    wrong, lit = difference(wanted, shot)
    kept = os.environ.get("KEEP")
    if kept:
        write_png(os.path.join(kept, f"{name.split(':')[0].split(' ')[0]}.png"), shot)
    return ok(fits(wanted, shot), f"{name}: the picture is as it should be", f"{wrong} of {lit} pixels differ, {shot[0]}x{shot[1]}")


def bochs_display():
    guest = Guest("--device", "bochs-display,xres=640,yres=480")
    looks_right(guest, "bochs-display", "bochs-drm")
    out, _ = guest.run("cat /sys/class/drm/card0-*/modes | head -n 1")
    ok("640x480" in out, "its monitor has the size that was asked for", out)
    before = picture(guest)
    guest.run("echo 1 >/sys/class/graphics/fb0/blank")
    dark = picture_when(guest, lambda s: isinstance(s, str))
    guest.run("echo 0 >/sys/class/graphics/fb0/blank")
    ok(isinstance(dark, str) and "dark" in dark and picture_when(guest, lambda s: s == before) == before,
       "a blanked screen is dark, and comes back", dark)
    moved, code = guest.run("cd /sys/bus/pci/devices/0000:00:01.0 && echo 0000:00:01.0 >driver/unbind && "
                            "echo 1 >remove && echo 1 >../../../bus/pci/rescan 2>/dev/null || echo 1 >/sys/bus/pci/rescan")
    ok(code == 0, "the device is removed and found again", moved)
    looks_right(guest, "bochs-display once more", "bochs-drm")
    ok(guest.close(), "the guest powers off")


def edk2(*options, wait=True):
    """Debian's firmware with a screen of its own."""
    variables = os.path.join(DIR, "vars.fd")
    shutil.copy(os.path.join(os.environ["EDK2"], "RISCV_VIRT_VARS.fd"), variables)
    code = os.path.join(os.environ["EDK2"], "RISCV_VIRT_CODE.fd")
    return Guest("-device", "ramfb", *options, wait=wait, program=[
        QEMU, "-M", "virt", "-m", "512M", "-drive", f"if=pflash,unit=0,format=raw,file={code},readonly=on", "-drive",
        f"if=pflash,unit=1,format=raw,file={variables}", "-display", "none", "-serial", "stdio", "-monitor",
        f"unix:{os.path.join(DIR, f'monitor{Guest.count + 1}')},server=on,wait=off"])


def firmware_keys():
    """EDK2 has a driver of USB keyboards: out of its shell and through its menus by sendkey alone. The serial port shows them."""
    guest = edk2("-device", "qemu-xhci", "-device", "usb-kbd", wait=False)
    shell = guest.expect("ESC") and guest.expect("Shell> ")
    guest.ask("type exit\\n")
    ok(shell and guest.expect("Boot Maintenance Manager"), "EDK2: a USB keyboard leaves the shell for the setup", guest.text[-800:])
    lit = picture(guest)
    ok(not isinstance(lit, str) and lit[:2] == (800, 600) and lit[2].count(b"\x98\x98\x98") > 100000,
       "EDK2: the screen shows the setup", lit if isinstance(lit, str) else lit[:2])
    guest.ask("sendkey down", "sendkey down", "sendkey ret")
    ok(guest.expect("Boot Manager Menu"), "EDK2: cursor keys and Enter open a menu", guest.text[-800:])
    guest.ask("sendkey esc", "quit")
    ok(guest.wait() == 0, "and the machine ends")


def ramfb():
    """EDK2 sets it up, and starts the kernel, whose console is on it before there is any driver."""
    guest = edk2("-kernel", KERNEL, "-initrd", INITRD, "-append", "console=tty0 console=ttyS0 quiet")
    looks_right(guest, "ramfb", "EFI VGA")
    ok(guest.close(), "the guest powers off")


def simple_framebuffer():
    """Debian's kernel has no driver for it: the guest finds it in its device tree and stores to its memory."""
    guest = Guest("--device", "simple-framebuffer,width=200,height=100")
    tree = "cd /proc/device-tree/chosen/framebuffer* && cell() { printf %d 0x$(od -An -tx1 -j ${2:-0} -N 4 $1 | tr -d ' '); }; "
    out, _ = guest.run(tree + "echo $(cell width) $(cell height) $(cell stride) $(cat format)")
    ok("200 100 832 x8r8g8b8" in out, "simple-framebuffer: the device tree describes it", out)
    out, code = guest.run(tree + "at=$(cell reg 4); i=0; while [ $i -lt 100 ]; do "
                          "devmem $((at + 832 * i + 4 * i)) 32 $((0x10000 * i + 0x50)) || break; i=$((i + 1)); done; [ $i = 100 ]")
    shot = picture(guest)
    ok(code == 0 and not isinstance(shot, str) and shot[:2] == (200, 100) and all(
        shot[2][3 * (200 * i + i):][:3] == bytes((i, 0, 0x50)) for i in range(100)),
        "simple-framebuffer: a diagonal line is where it was drawn", f"{out} {shot if isinstance(shot, str) else shot[:2]}")
    out, _ = guest.run("grep -i 'System RAM' /proc/iomem")
    ok("8fe00000-" not in out and "8fdfffff" in out, "simple-framebuffer: its memory is not the kernel's", out)
    ok(guest.close(), "the guest powers off")


if sys.argv[1:2] == ["make"]:
    g = Guest("--device", os.environ.get("DEVICE", "virtio-gpu-pci,xres=640,yres=480"))
    g.run(DRAW)
    write_png(sys.argv[2], picture(g))
    sys.exit(not g.close())
bochs_display()
ramfb()
firmware_keys()
simple_framebuffer()
done()
