"""A window as a person has it: an X server of its own (Xvfb), keys pressed by xdotool, and what the server shows."""
import mmap
import os
import struct
import subprocess
import time

from text_screen import Picture


class XServer:
    """Its screen is a file in xwd's format (X11/XWDFile.h), read in place."""

    def __init__(self, folder, width, height):
        self.log = open(os.path.join(folder, "xvfb.log"), "wb")
        ready, theirs = os.pipe()
        self.process = subprocess.Popen(
            ["Xvfb", "-displayfd", str(theirs), "-screen", "0", f"{width}x{height}x24", "-fbdir", folder,
             "-nolisten", "tcp"], pass_fds=[theirs], stdout=self.log, stderr=self.log)
        os.close(theirs)
        with os.fdopen(ready) as f:
            number = f.readline().strip()
        if not number:
            raise RuntimeError("Xvfb does not start: see " + self.log.name)
        self.display = ":" + number
        with open(os.path.join(folder, "Xvfb_screen0"), "rb") as f:
            self.memory = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_READ)
        header = struct.unpack_from(">25I", self.memory)
        self.size, self.stride = header[4:6], header[12]
        self.start = header[0] + 12 * header[19]

    def environment(self):
        return {**os.environ, "DISPLAY": self.display, "SDL_VIDEODRIVER": "x11"}

    def xdotool(self, *words):
        p = subprocess.run(["xdotool", *words], env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return p.stdout.decode()

    def picture(self, x, y, width, height):
        rows = (self.start + (y + i) * self.stride + 4 * x for i in range(height))
        return Picture.of_bgrx(width, height, b"".join(self.memory[r:r + 4 * width] for r in rows))

    def close(self):
        self.process.terminate()
        self.process.wait()


class XWindow:
    """The window of a process. type and press are its keyboard, picture what it shows."""

    def __init__(self, server, pid, wait=60):
        self.server = server
        end = time.monotonic() + wait
        while not (found := server.xdotool("search", "--onlyvisible", "--pid", str(pid)).split()):
            if time.monotonic() > end:
                raise RuntimeError("there is no window")
            time.sleep(0.2)
        self.id = found[0]
        server.xdotool("windowfocus", self.id)
        server.xdotool("mousemove", *(str(n - 1) for n in server.size))  # a pointer over text hides it

    def type(self, text):
        for line in text.splitlines(True):
            self.server.xdotool("type", "--delay", "40", "--", line.rstrip("\n"))
            if line.endswith("\n"):
                self.press("Return")

    def press(self, *keys):
        self.server.xdotool("key", "--delay", "60", *keys)

    def picture(self):
        words = self.server.xdotool("getwindowgeometry", "--shell", self.id).split()
        at = dict(w.split("=") for w in words)
        x, y, width, height = (int(at[n]) for n in ("X", "Y", "WIDTH", "HEIGHT"))
        return self.server.picture(x, y, min(width, self.server.size[0] - x), min(height, self.server.size[1] - y))
