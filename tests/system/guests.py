"""What tests with guests on networks share: TAP lines, and machines whose guest does what lines on its console say.

Environment: GUISE, QEMU, KERNEL, INITRD (with a script that does what lines say), DIR for files.
"""
import os
import re
import select
import socket
import subprocess
import sys
import time

GUISE, QEMU, KERNEL, INITRD, DIR = (os.environ[n] for n in ("GUISE", "QEMU", "KERNEL", "INITRD", "DIR"))
WAIT = 300  # seconds until something expected counts as missing
TROUBLE = re.compile(r"unhandled signal|Comm: |epc : |Oops|Kernel panic|BUG: ")  # what a guest's kernel says of a crash
results = 0


def ok(good, name, shown=""):
    global results
    results += 1
    print(f"{'ok' if good else 'not ok'} {results} - {name}".replace("#", "no. "))
    if not good:
        trouble = [line for line in str(shown).splitlines() if TROUBLE.search(line)]
        for line in trouble[:8] + str(shown)[-3000:].splitlines()[-20:]:
            print("#", line)
    sys.stdout.flush()
    return good


def done():
    print(f"1..{results}")


class Console:
    """A program whose terminal is a pipe."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                        env={**os.environ, **(env or {})})
        self.text, self.at = "", 0

    def expect(self, pattern, limit=WAIT):
        end = time.monotonic() + limit
        while True:
            m = re.compile(pattern).search(self.text, self.at)
            if m:
                self.at = m.end()
                return m
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.process.stdout], [], [], left)[0]:
                return None
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                return None
            self.text += data.decode("utf-8", "replace").replace("\r", "")

    def type(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def wait(self):
        """Its exit code; None: it did not end, and was killed."""
        try:
            self.process.communicate(timeout=60)
            return self.process.returncode
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()


class Guest(Console):
    """A machine whose guest does what lines on its console say, with its monitor on a socket."""

    count = 0

    def __init__(self, *options, program=None, env=None, prefix=(), wait=True):
        Guest.count += 1
        self.monitor = os.path.join(DIR, f"monitor{Guest.count}")
        command = program or [GUISE, "run", KERNEL, "--initrd", INITRD, "--append", "console=ttyS0 quiet", "--memory", "256M",
                              "--console", "stdio", "--monitor", f"unix:{self.monitor},server=on,wait=off"]
        super().__init__([*prefix, *command, *options], env)
        self.commands = 0
        self.up = wait and self.boot()

    def boot(self):
        """Wait until it is up; by itself the constructor does."""
        self.up = self.expect("READY")
        return self.up

    def begin(self, command):
        self.commands += 1
        self.start = self.at
        self.type(f"{self.commands} {command}\n")

    def end(self, limit=WAIT):
        """What the command printed, and its code (None: it did not end)."""
        m = self.expect(f"={self.commands}=(\\d+)=", limit)
        return (self.text[self.start:m.start()], int(m.group(1))) if m else (self.text[-2000:], None)

    def run(self, command, limit=WAIT):
        if not self.up:
            return (self.text[-2000:], None)
        self.begin(command)
        return self.end(limit)

    def cpu(self):
        """Seconds of processor time so far."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def ask(self, *lines):
        """The monitor's answers."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.monitor)
            s.settimeout(30)
            text = ""
            for line in ("", *lines):
                s.sendall(f"{line}\n".encode() if line else b"")
                more = ""
                while not more.rstrip(" ").endswith(("(guise)", "(qemu)")):
                    data = s.recv(65536).decode("utf-8", "replace")
                    if not data:
                        return text + more
                    more += data
                text = more
            return text.replace("\r", "")

    def close(self):
        if self.up and self.process.poll() is None:
            self.type("0 poweroff -f\n")
        rest = self.expect("Power down")
        return self.wait() == 0 and bool(rest)
