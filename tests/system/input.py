#!/usr/bin/env python3
"""Keyboards and pointers: what the monitor sends, the guest's drivers hear. TAP on stdout; see guests.py."""
import re
import sys

from guests import GUISE, INITRD, KERNEL, Guest, done, ok

EVENT = 24  # bytes of Linux's struct input_event
KEY, REL, ABS = 1, 2, 3
KEYBOARD, TABLET, MOUSE, TOUCH = ("QEMU Virtio " + n for n in ("Keyboard", "Tablet", "Mouse", "MultiTouch"))
USB_KEYBOARD, USB_TABLET, USB_MOUSE = ("QEMU QEMU USB " + n for n in ("Keyboard", "Tablet", "Mouse"))

# A board of 105 keys: QEMU's names and the numbers in linux/input-event-codes.h.
BOARD = {
    "esc": 1, "1": 2, "2": 3, "3": 4, "4": 5, "5": 6, "6": 7, "7": 8, "8": 9, "9": 10, "0": 11, "minus": 12, "equal": 13,
    "backspace": 14, "tab": 15, "q": 16, "w": 17, "e": 18, "r": 19, "t": 20, "y": 21, "u": 22, "i": 23, "o": 24, "p": 25,
    "bracket_left": 26, "bracket_right": 27, "ret": 28, "ctrl": 29, "a": 30, "s": 31, "d": 32, "f": 33, "g": 34, "h": 35,
    "j": 36, "k": 37, "l": 38, "semicolon": 39, "apostrophe": 40, "grave_accent": 41, "shift": 42, "backslash": 43,
    "z": 44, "x": 45, "c": 46, "v": 47, "b": 48, "n": 49, "m": 50, "comma": 51, "dot": 52, "slash": 53, "shift_r": 54,
    "kp_multiply": 55, "alt": 56, "spc": 57, "caps_lock": 58, "f1": 59, "f2": 60, "f3": 61, "f4": 62, "f5": 63, "f6": 64,
    "f7": 65, "f8": 66, "f9": 67, "f10": 68, "num_lock": 69, "scroll_lock": 70, "kp_7": 71, "kp_8": 72, "kp_9": 73,
    "kp_subtract": 74, "kp_4": 75, "kp_5": 76, "kp_6": 77, "kp_add": 78, "kp_1": 79, "kp_2": 80, "kp_3": 81, "kp_0": 82,
    "kp_decimal": 83, "less": 86, "f11": 87, "f12": 88, "kp_enter": 96, "ctrl_r": 97, "kp_divide": 98, "print": 99,
    "alt_r": 100, "home": 102, "up": 103, "pgup": 104, "left": 105, "right": 106, "end": 107, "down": 108, "pgdn": 109,
    "insert": 110, "delete": 111, "pause": 119, "meta_l": 125, "meta_r": 126, "compose": 127,
}


class Input(Guest):
    def record(self, *names):
        return all(self.run(f"record '{n}'")[1] == 0 for n in names)

    def heard(self, name, events):
        """At least so many events of a device, since it was last asked: (type, code, value), without ends of groups."""
        text, _ = self.run(f"heard '{name}' {events * EVENT}")
        found = [tuple(map(int, m)) for m in re.findall(r"(?m)^(\d+)/(\d+)/(-?\d+)$", text)]
        return [e for e in found if e[0] in (KEY, REL, ABS)]

    def lights(self):
        return re.findall(r"(\w+ lock) is lit", self.ask("info keyboard"))

    def wait_lights(self, want):
        """The guest sets them from a worker of its own."""
        for _ in range(200):
            if set(self.lights()) == want:
                return True
            self.run("usleep 20000")
        return False

    def pointer(self, name):
        m = re.search(rf"Mouse #(\d+): {name}", self.ask("info mice"))
        return m.group(1) if m else "0"


def keys(g, device, driver, each=2):
    """each: events of the guest for a press or release of a key, with the end of the group."""
    names = list(BOARD)
    wrong = []
    for i in range(0, len(names), 15):  # a reader's buffer in the guest holds some 60 events
        some = names[i:i + 15]
        g.ask(*(f"sendkey {n} 1" for n in some))
        got = [e for e in g.heard(device, 2 * each * len(some)) if e[2] != 2]
        wrong += [] if got == [(KEY, BOARD[n], v) for n in some for v in (1, 0)] else [(some, got)]
    ok(len(names) == 105 and not wrong, f"{driver}: each of 105 keys comes down and up with its code", wrong)
    g.ask("sendkey ctrl-alt-f1 5")
    got = [e for e in g.heard(device, 6 * each) if e[2] != 2]
    ok(got == [(KEY, c, v) for c, v in ((29, 1), (56, 1), (59, 1), (59, 0), (56, 0), (29, 0))], f"{driver}: a chord", got)
    g.ask("type Hi\\n")
    got = [e for e in g.heard(device, 8 * each) if e[2] != 2]
    ok([c for _, c, v in got if v] == [42, 35, 23, 28] and len(got) == 8, f"{driver}: text is typed", got)
    g.ask("sendkey a 60000")
    held = g.heard(device, each)
    g.ask("release_keys")
    got = [e for e in g.heard(device, each) if e[2] != 2]
    ok(held[:1] == [(KEY, 30, 1)] and got == [(KEY, 30, 0)], f"{driver}: what is held is released at once", (held, got))
    g.begin("usleep 100000")
    g.ask("sendkey alt-print-h")
    ok(g.expect("sysrq: HELP"), f"{driver}: SysRq reaches the kernel", g.text[-500:])
    g.end()
    g.heard(device, 0)


def lights(g, device, driver):
    """A key turns its light over, since the guest's console tells the device; without a console a program does."""
    now, wrong = set(g.lights()), []
    for name in ("num lock", "caps lock") * 2:
        now ^= {name}
        g.ask("sendkey " + name.replace(" ", "_"))
        wrong += [] if g.wait_lights(now) else [(name, g.lights())]
    time = 16 * "\\000"
    for value in (1, 0):
        now ^= {"scroll lock"}
        g.run(f"printf '{time}\\021\\000\\002\\000\\00{value}\\000\\000\\000' >\"$(ev '{device}')\"")  # EV_LED, LED_SCROLLL
        wrong += [] if g.wait_lights(now) else [("scroll lock", g.lights())]
    ok(not wrong, f"{driver}: the lights come back", wrong)
    g.heard(device, 0)


def pointers(g):
    g.ask(f"mouse_set {g.pointer(TABLET)}", "mouse_move 1000 32767", "mouse_button 1", "mouse_button 6", "mouse_button 0",
          "mouse_move 0 0 -1")
    want = [(ABS, 0, 1000), (ABS, 1, 32767), (KEY, 0x110, 1), (KEY, 0x110, 0), (KEY, 0x111, 1), (KEY, 0x112, 1),
            (KEY, 0x111, 0), (KEY, 0x112, 0), (ABS, 0, 0), (ABS, 1, 0), (REL, 8, -1)]
    got = g.heard(TABLET, len(want) + 5)
    ok(got == want, "tablet: places, buttons and the wheel", got)
    g.ask(f"mouse_set {g.pointer(MOUSE)}", "mouse_move -5 300 1", "mouse_button 1", "mouse_button 0")
    want = [(REL, 0, -5), (REL, 1, 300), (REL, 8, 1), (KEY, 0x110, 1), (KEY, 0x110, 0)]
    got = g.heard(MOUSE, len(want) + 3)
    ok(got == want and not g.heard(TABLET, 0), "mouse: motion, buttons and the wheel", got)
    g.ask(f"mouse_set {g.pointer(TOUCH)}", "mouse_move 100 200", "mouse_button 1", "mouse_move 101 201", "mouse_button 0")
    got = g.heard(TOUCH, 17)
    ok([e[2] for e in got if e[1] == 57] == [1, -1] and (ABS, 54, 201) in got and (KEY, 0x14a, 0) in got,
       "touch screen: the mouse's left button is a finger", got)

    # Buffers for 21 motions; the release that finds none left is told when the guest runs again.
    g.ask(f"mouse_set {g.pointer(MOUSE)}", "mouse_button 1")
    g.heard(MOUSE, 2)
    g.ask("stop", *["mouse_move 1 1"] * 40, "mouse_button 0", "cont")
    got = g.heard(MOUSE, 3 * 20 + 2)
    moved = [e for e in got if e[0] == REL]
    ok(got[-1:] == [(KEY, 0x110, 0)] and 30 <= len(moved) <= 64 and not len(moved) % 2,
       "a full queue loses motion in whole, and no release", got)


def drivers(g):
    """The keyboard's driver goes, with a key down, and comes back."""
    driver = "/sys/bus/virtio/drivers/virtio_input"
    g.ask("sendkey b 60000")
    held = g.heard(KEYBOARD, 2)
    g.run(f"dev=$(basename $(dirname $(dirname $(dirname $(readlink -f /sys/class/input/$(basename \"$(ev '{KEYBOARD}')\")))))); "
          f"echo $dev >{driver}/unbind")
    text = g.ask("info keyboard")
    ok(held and "no driver listens" in text, "a driver that leaves is noticed", text)
    g.ask("release_keys", "sendkey c")
    g.run(f"echo $dev >{driver}/bind")
    ok(g.record(KEYBOARD), "and one that comes back")
    g.ask("sendkey d 1")
    got = g.heard(KEYBOARD, 4)
    ok(got == [(KEY, 32, 1), (KEY, 32, 0)], "it hears the keys from then on", got)


def ps2(scan_set, mouse):
    keyboard, pointer = f"AT Raw Set {scan_set} keyboard", "ImExPS/2 Generic Explorer Mouse"
    g = Input("--append", f"console=ttyS0 quiet sysrq_always_enabled atkbd.set={scan_set}", "--device", "ps2-keyboard",
              *(("--device", "ps2-mouse") if mouse else ()))
    found = g.run(f"wait_for '{keyboard}'" + (f" && wait_for '{pointer}'" if mouse else ""))
    ok(found[1] == 0 and g.record(keyboard, *((pointer,) if mouse else ())), f"PS/2, set {scan_set}: Linux finds them", found)
    keys(g, keyboard, f"PS/2, set {scan_set}", 3)
    lights(g, keyboard, f"PS/2, set {scan_set}")
    g.ask("sendkey a 1500")
    repeats = 0
    while (KEY, 30, 0) not in (got := g.heard(keyboard, 3)) and got:
        repeats += sum(e[2] == 2 for e in got)
    ok(repeats + sum(e[2] == 2 for e in got) >= 5, f"PS/2, set {scan_set}: a key that is held repeats", (repeats, got))
    if mouse:
        ps2_mouse(g, pointer)
    ok(g.close(), "it powers off")


def ps2_mouse(g, pointer):
    ok("* Mouse #2: PS/2 Mouse\n" in g.ask("info mice"), "PS/2: the mouse is live", g.ask("info mice"))
    g.ask("mouse_move -5 300 1", "mouse_move 0 -1 -1", "mouse_move 0 1000")
    moved = {0: 0, 1: 0, 8: 0}
    while moved[1] != 1299 and (got := g.heard(pointer, 2)):  # packets of up to 255
        for kind, code, value in got:
            moved[code] = moved.get(code, 0) + value
    ok(moved == {0: -5, 1: 1299, 8: 0}, "PS/2: motion and the wheel", moved)
    g.ask(*(f"mouse_button {1 << b}" for b in range(5)), "mouse_button 0")
    got = [e for e in g.heard(pointer, 16) if e[0] == KEY]
    ok([c for _, c, v in got if v] == [0x110, 0x111, 0x112, 0x113, 0x114] and len(got) == 10, "PS/2: five buttons", got)


def usb():
    """The tablet is plugged in before the mouse, whose bus has a name; Linux's usbhid drives all three."""
    g = Input("--append", "console=ttyS0 quiet sysrq_always_enabled", "--device", "qemu-xhci,id=xhci", "--device", "usb-kbd",
              "--device", "usb-tablet,port=3", "--device", "usb-mouse,bus=xhci.0,serial=abc")
    names = (USB_KEYBOARD, USB_TABLET, USB_MOUSE)
    g.run(" && ".join(f"wait_for '{n}'" for n in names))
    found = g.run("cat /sys/bus/usb/devices/1-*/serial")
    ok(found[1] == 0 and found[0].split() == ["1", "abc", "3"] and g.record(*names), "USB: Linux finds all three", found)
    usb_suspend(g)
    keys(g, USB_KEYBOARD, "usb-kbd", 3)
    lights(g, USB_KEYBOARD, "usb-kbd")
    usb_many_keys(g)
    usb_pointers(g)
    text, _ = g.run(f"cd /sys/bus/usb/drivers/usbhid && echo 1-1:1.0 >unbind && echo 1-1:1.0 >bind && wait_for '{USB_KEYBOARD}'")
    ok(g.record(USB_KEYBOARD), "USB: the driver leaves and comes back", text)
    g.ask("sendkey d 1")
    got = [e for e in g.heard(USB_KEYBOARD, 6) if e[2] != 2]
    ok(got == [(KEY, 32, 1), (KEY, 32, 0)], "USB: and hears keys", got)
    g.ask("system_reset")
    ok(g.boot() and g.run(f"wait_for '{USB_KEYBOARD}'")[1] == 0 and g.record(USB_KEYBOARD), "USB: up again after a reset",
       g.text[-500:])
    g.ask("sendkey e 1")
    got = [e for e in g.heard(USB_KEYBOARD, 6) if e[2] != 2]
    ok(got == [(KEY, 18, 1), (KEY, 18, 0)], "USB: and hears keys after it", got)
    text, _ = g.run("dmesg | grep -iE 'usb|xhci' | grep -iE 'error|warn|fail|timed? ?out|not respond'")
    ok(not text.strip(), "USB: the kernel complains of nothing", text)
    ok(g.close(), "it powers off")


def usb_suspend(g):
    """Before any light was lit: Linux lets no keyboard with lights sleep."""
    power = "/sys/bus/usb/devices/1-1/power"
    text, _ = g.run(f"cd {power}; echo enabled >wakeup; echo 0 >autosuspend_delay_ms; echo auto >control; n=0; "
                    "while [ $(cat runtime_status) != suspended ] && [ $n -lt 200 ]; do n=$((n + 1)); usleep 50000; done; cat runtime_status")
    g.ask("sendkey d 1")
    got = [e for e in g.heard(USB_KEYBOARD, 6) if e[2] != 2]
    ok("suspended" in text and got == [(KEY, 32, 1), (KEY, 32, 0)], "usb-kbd: a key wakes what is suspended", (text, got))
    g.run(f"echo on >{power}/control")


def usb_many_keys(g):
    """A seventh key is a roll-over, which changes nothing; all are up in the end."""
    g.ask("sendkey a-s-d-f-g-h-j 5")
    got = []
    while len(got) < 12 and (more := g.heard(USB_KEYBOARD, 3)):
        got += [e for e in more if e[1] in range(30, 37) and e[2] != 2]  # a lock may still be on its way up
    down = {c for _, c, v in got if v}
    ok({30, 31, 32, 33, 34, 35} <= down and down == {c for _, c, v in got if not v}, "usb-kbd: seven keys at once", got)
    g.heard(USB_KEYBOARD, 0)


def usb_pointers(g):
    tablet, mouse = (g.pointer(n) for n in ("QEMU USB Tablet", "QEMU USB Mouse"))
    g.ask(f"mouse_set {tablet}", "mouse_move 1000 32767", "mouse_button 1", "mouse_button 6", "mouse_button 0",
          "mouse_move 0 0 -1")
    got = g.heard(USB_TABLET, 30)
    want = [(ABS, 0, 1000), (ABS, 1, 32767), (KEY, 0x110, 1), (KEY, 0x110, 0), (KEY, 0x111, 1), (KEY, 0x112, 1),
            (KEY, 0x111, 0), (KEY, 0x112, 0), (ABS, 0, 0), (ABS, 1, 0), (REL, 8, -1)]
    ok([e for e in got if e[0] != 4 and e[1] != 11] == want, "usb-tablet: places, buttons and the wheel", got)
    g.ask(f"mouse_set {mouse}", "mouse_move -5 300 1", "mouse_button 1", "mouse_button 0")
    moved, pressed = {}, []
    while len(pressed) < 2 and (got := g.heard(USB_MOUSE, 4)):  # reports of up to 127
        for kind, code, value in got:
            if kind == REL:
                moved[code] = moved.get(code, 0) + value
            elif kind == KEY:
                pressed.append((code, value))
    ok((moved.get(0), moved.get(1), moved.get(8)) == (-5, 300, 1) and pressed == [(0x110, 1), (0x110, 0)],
       "usb-mouse: motion, a button and the wheel", (moved, pressed))


def virtio(*devices):
    options = [w for d in devices for w in ("--device", d)]
    g = Input("--append", "console=ttyS0 quiet sysrq_always_enabled", *options)
    found = g.run("cat /proc/bus/input/devices")
    ok(all(f'"{n}"' in found[0] for n in (KEYBOARD, TABLET, MOUSE, TOUCH)), "the drivers find the devices", found)
    ok(g.record(KEYBOARD, TABLET, MOUSE, TOUCH), "and make event files of them")
    return g


def main():
    g = virtio("virtio-keyboard-pci", "virtio-tablet-pci", "virtio-mouse-device", "virtio-multitouch-pci,packed=on")
    keys(g, KEYBOARD, "virtio-keyboard")
    lights(g, KEYBOARD, "virtio-keyboard")
    pointers(g)
    drivers(g)
    g.ask("system_reset")
    ok(g.boot() and g.record(KEYBOARD), "after a reset the guest is up again", g.text[-500:])
    g.ask("sendkey e 1")
    got = g.heard(KEYBOARD, 4)
    ok(got == [(KEY, 18, 1), (KEY, 18, 0)], "and hears keys", got)
    ok(g.close(), "it powers off")
    ps2(2, True)
    ps2(3, False)
    usb()
    done()


sys.exit(main())
