"""An X server as a person has it: the picture of a window, keys, the pointer, and the button that closes it."""
import ctypes
import subprocess
import time

lib, fixes = ctypes.CDLL("libX11.so.6"), ctypes.CDLL("libXfixes.so.3")
fixes.XFixesGetCursorImage.restype = ctypes.c_void_p
for f, result in (("XOpenDisplay", ctypes.c_void_p), ("XGetImage", ctypes.c_void_p), ("XInternAtom", ctypes.c_ulong),
                  ("XDefaultRootWindow", ctypes.c_ulong), ("XCreateSimpleWindow", ctypes.c_ulong)):
    getattr(lib, f).restype = result


class Image(ctypes.Structure):
    _fields_ = [("width", ctypes.c_int), ("height", ctypes.c_int), ("xoffset", ctypes.c_int), ("format", ctypes.c_int),
                ("data", ctypes.POINTER(ctypes.c_char)), ("byte_order", ctypes.c_int), ("unit", ctypes.c_int),
                ("bit_order", ctypes.c_int), ("pad", ctypes.c_int), ("depth", ctypes.c_int), ("line", ctypes.c_int)]


class Pointer(ctypes.Structure):
    _fields_ = [("x", ctypes.c_short), ("y", ctypes.c_short), ("width", ctypes.c_ushort), ("height", ctypes.c_ushort),
                ("xhot", ctypes.c_ushort), ("yhot", ctypes.c_ushort), ("serial", ctypes.c_ulong),
                ("pixels", ctypes.POINTER(ctypes.c_ulong))]


class ClientMessage(ctypes.Structure):
    _fields_ = [("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("sent", ctypes.c_int), ("display", ctypes.c_void_p),
                ("window", ctypes.c_ulong), ("kind", ctypes.c_ulong), ("format", ctypes.c_int), ("l", ctypes.c_long * 5),
                ("room", ctypes.c_long * 24)]


def tool(*words):
    return subprocess.run(["xdotool", *map(str, words)], capture_output=True, text=True).stdout.strip()


def wait_for(condition, seconds=60):
    """Its value as soon as that is true; the last one when it never is."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.02)


class XServer:
    def __init__(self):
        self.display = ctypes.c_void_p(lib.XOpenDisplay(None))
        self.second = 0

    def other(self):
        """Another window, which takes keys."""
        if not self.second:
            root = lib.XDefaultRootWindow(self.display)
            self.second = lib.XCreateSimpleWindow(self.display, ctypes.c_ulong(root), 0, 0, 50, 50, 0, 0, 0)
            lib.XMapWindow(self.display, ctypes.c_ulong(self.second))
            lib.XSync(self.display, 0)
        return self.second

    def window(self, name):
        """The number of the window whose title begins so, once there is one."""
        found = wait_for(lambda: tool("search", "--onlyvisible", "--name", f"^{name}"))
        return int(found.split()[-1]) if found else 0

    def title(self, window):
        return tool("getwindowname", window)

    def size(self, window):
        lines = dict(l.split("=") for l in tool("getwindowgeometry", "--shell", window).splitlines())
        return int(lines["WIDTH"]), int(lines["HEIGHT"])

    def picture(self, window):
        """Rows of B, G, R, x."""
        w, h = self.size(window)
        p = lib.XGetImage(self.display, ctypes.c_ulong(window), 0, 0, w, h, ctypes.c_ulong(0xffffffff), 2)
        image = ctypes.cast(p, ctypes.POINTER(Image)).contents
        rows = [ctypes.string_at(ctypes.addressof(image.data.contents) + y * image.line, w * 4) for y in range(h)]
        lib.XDestroyImage(ctypes.c_void_p(p))
        return rows

    def pointer(self):
        """Width, height, hot spot and the colours of the pointer."""
        p = ctypes.cast(fixes.XFixesGetCursorImage(self.display), ctypes.POINTER(Pointer)).contents
        return p.width, p.height, p.xhot, p.yhot, {v & 0xffffffff for v in p.pixels[:p.width * p.height]}

    def close(self, window):
        """The button in a window's frame."""
        atom = lambda name: lib.XInternAtom(self.display, name, 0)
        e = ClientMessage(type=33, display=self.display, window=window, kind=atom(b"WM_PROTOCOLS"), format=32)
        e.l[0] = atom(b"WM_DELETE_WINDOW")
        lib.XSendEvent(self.display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(e))
        lib.XFlush(self.display)
