#!/usr/bin/env python3
"""The monitor and the terminal: a guest behind a pseudo-terminal, a monitor on a socket, and what both say.

TAP on stdout. Environment: GUISE, KERNEL and INITRD (its script prints READY and waits), TEACH, QEMU.
"""
import fcntl
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time

GUISE, KERNEL, INITRD, TEACH, QEMU = (os.environ[n] for n in ("GUISE", "KERNEL", "INITRD", "TEACH", "QEMU"))
WAIT = 180  # seconds until something expected counts as missing
results = 0
failures = 0


def ok(good, name, shown=""):
    global results, failures
    results += 1
    failures += not good
    print(f"{'ok' if good else 'not ok'} {results} - {name}".replace("#", "no. "))
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
            if left <= 0 or not self.more(left):
                return None

    def more(self, limit):
        if not select.select([self.fd], [], [], limit)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # the other end of a pseudo-terminal has closed
            return False
        self.all += data.decode("utf-8", "replace")
        return bool(data)

    def send(self, text):
        os.write(self.fd, text.encode())


class Terminal(Stream):
    """A command on a pseudo-terminal of its own."""

    def __init__(self, *command):
        master, self.slave = pty.openpty()
        super().__init__(master)
        self.before = termios.tcgetattr(self.slave)
        self.flags = fcntl.fcntl(self.slave, fcntl.F_GETFL)
        self.process = subprocess.Popen(command, stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                        preexec_fn=self.take, start_new_session=True)

    def take(self):
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    def raw(self):
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO)

    def ended(self, limit=60):
        end = time.monotonic() + limit
        while self.process.poll() is None and time.monotonic() < end:
            self.more(0.2)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            return None
        return self.process.returncode

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before and fcntl.fcntl(self.slave, fcntl.F_GETFL) == self.flags


def answer(stream, command, prompt):
    stream.send(command + "\r")
    if not stream.expect(re.escape(command) + r"\r?\n", 60):
        return ""
    start = stream.at
    stream.expect(r"(?m)^" + re.escape(prompt), 60)
    return stream.all[start:stream.at]


def ending(name, how, code):
    """The terminal is raw while the guest runs and as before when `how` has ended it."""
    t = Terminal(GUISE, "run", TEACH)
    up = t.expect("guest> ", 60)
    raw = t.raw()
    how(t)
    got = t.ended()
    ok(up and raw and got == code and t.restored(), f"terminal restored after {name}",
       f"raw {raw}, code {got}, restored {t.restored()}\n{t.all}")


def terminal_tests():
    ending("the guest's power off", lambda t: t.send("off\r"), 0)
    ending("Ctrl-A x", lambda t: t.send("\x01x"), 0)

    def quit_in_monitor(t):
        t.send("\x01c")
        t.expect(r"\(guise\) ", 30)
        t.send("quit\r")

    ending("quit in the monitor", quit_in_monitor, 0)
    for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        ending(s.name, lambda t, s=s: t.process.send_signal(s), 0)
    t = Terminal(GUISE, "run", TEACH, "--disk", "/nonexistent/disk")
    ok(t.ended() == 1 and t.restored(), "terminal restored after an error at the start", t.all)

    t = Terminal(GUISE, "run", TEACH)
    t.expect("guest> ", 60)
    t.process.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    t.process.send_signal(signal.SIGCONT)
    time.sleep(0.3)
    t.send("\x03")  # reaches the guest, not us
    t.send("help\r")
    ok(t.expect("Commands: ", 30) and t.raw(), "after SIGSTOP and SIGCONT the guest has the terminal", t.all)
    t.send("\x01h")
    ok(t.expect(r"C-a x +exit emulator", 30), "Ctrl-A h lists the keys", t.all)
    t.send("\x01t")
    t.send("ticks\r")
    ok(t.expect(r"\[\d\d:\d\d:\d\d\.\d{3}\] timer interrupts", 30), "Ctrl-A t stamps the lines", t.all)
    t.send("\x01t\x01s")
    ok(t.expect(r"snapshot|nothing|disk", 30), "Ctrl-A s answers", t.all)
    t.send("\x01x")
    t.ended()


def linux_tests(tmp):
    path = os.path.join(tmp, "monitor")
    t = Terminal(QEMU, "-M", "virt", "-nographic", "-m", "512", "-smp", "2", "-kernel", KERNEL, "-initrd", INITRD,
                 "-append", "console=ttyS0 quiet sysrq_always_enabled", "-monitor", f"unix:{path},server=on,wait=off",
                 "-serial", "mon:stdio")
    up = t.expect("READY")
    ok(up, "the guest is up", t.all)
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    m = Stream(s.fileno())
    ok(m.expect(r"monitor - type 'help' for more information\r\n\(qemu\) ", 30), "the monitor on a socket greets", m.all)

    def ask(command, pattern, name=None):
        text = answer(m, command, "(qemu) ")
        ok(re.search(pattern, text), name or f"{command}: {pattern}", text)
        return text

    ask("help", r"(?s)info SUBJECT.*system_reset.*quit")
    ask("help info", r"(?s)info registers.*info mtree.*info tlb.*info jit")
    ask("info status", r"VM status: running")
    ask("info registers", r"(?s)CPU#0.*pc +[0-9a-f]{16}")
    ask("info registers -a", r"(?s)CPU#0.*CPU#1")
    ask("info mtree", r"(?s)0000000010000000.*0000000080000000-000000009fffffff \(prio 0, ram\)")
    ask("info tlb", r"CPU#1: misses \d+")
    ask("info jit", r"\d+")
    ask("info irq", r"(?s)CPU#0: mip.*plic")
    ask("info mem", r"(?s)vaddr.*ffffffff")
    ask("info cpus", r"\* CPU #0: rv64, jit")
    ask("info block", r".*", "info block")
    ask("info chardev", r"serial0: filename=stdio")
    ask("info version", r"^[0-9]+\.")
    ask("info devices", r"plic")
    ask("info nonsense", r"unknown command: 'info nonsense'")
    ask("nonsense", r"unknown command: 'nonsense'")
    ask("xp /2xw 0x10001000", r"10001000: 0x74726976 0x0000000[12]", "xp: the magic number of virtio-mmio")
    ask("xp /1xb 0x10000005", r"10000005: 0x60", "xp reads a byte-wide device register, the idle UART's line status")
    ask("xp /1xg 0x80200000", r"0x[0-9a-f]{16}")
    ask("xp/2dw 0x10001000", r"1953655158 +[12]", "xp without a space, decimal")
    ask("xp /3i 0x80200000", r"(?m)^0x0*80200000: +\S+", "xp /i disassembles")
    ask("xp /1c 0x10000005", r"'`'")
    ask("xp /1xw 0x0fff0000000", r"(?i)cannot|no memory|nothing", "xp of nothing says so")
    m.send("info reg\t\r")
    ok(m.expect(r"info registers ", 20) and m.expect(r"CPU#0", 20) and m.expect(r"(?m)^\(qemu\) ", 20), "Tab completes", m.all[-500:])
    m.send("system_\t\t")
    ok(m.expect(r"system_reset system_powerdown", 20), "Tab twice lists", m.all[-500:])
    m.send("\x15")

    # The guest's time stands still while it is stopped.
    def uptime():
        t.send("cat /proc/uptime\r")
        found = t.expect(r"(?m)^(\d+\.\d+) \d+\.\d+", 60)
        return float(found.group(1)) if found else -1

    first = uptime()
    ask("stop", r"", "stop")
    ask("info status", r"VM status: paused")
    one = answer(m, "info registers", "(qemu) ")
    time.sleep(6)
    ok(answer(m, "info registers", "(qemu) ") == one, "a stopped CPU does not move")
    ask("cont", r"", "cont")
    then = time.monotonic()
    second = uptime()
    ok(0 <= second - first < 5 + time.monotonic() - then, f"time stands still for a stopped guest ({first} to {second})", t.all[-500:])

    t.send("\x01b")
    time.sleep(1)
    t.send("h")
    ok(t.expect(r"sysrq: HELP", 30), "Ctrl-A b sends a break: SysRq", t.all[-500:])
    t.send("\x01c")
    ok(t.expect(r"\(qemu\) ", 30), "Ctrl-A c switches to the monitor", t.all[-500:])
    t.send("info status\r")
    ok(t.expect(r"VM status: running", 30), "and it answers there too", t.all[-500:])
    t.send("\x01c")
    ask("system_reset", r"", "system_reset")
    ok(t.expect("READY"), "the guest boots again", t.all[-1000:])
    ask("system_powerdown", r"", "system_powerdown answers")
    time.sleep(1)
    m.send("quit\r")
    ok(t.ended() == 0 and t.restored(), "quit on the socket ends the run, terminal restored", t.all[-500:])
    s.close()


def main():
    terminal_tests()
    with tempfile.TemporaryDirectory() as tmp:
        linux_tests(tmp)
    print(f"1..{results}")
    return failures != 0


sys.exit(main())
