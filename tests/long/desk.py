"""Who sits before a guest's window: reads the screen, presses keys, waits for what should come of it."""
import os
import re
import time

from text_screen import Screen


class Lost(Exception):
    """The screen is not what the next answer needs."""


class Desk:
    """Who sits before the window: reads and types."""

    def __init__(self, window, fonts, alive, out, prefix):
        self.window, self.fonts, self.alive, self.out, self.prefix = window, fonts, alive, out, prefix
        self.pictures, self.commands = 0, 0

    def look(self):
        return Screen(self.fonts, self.window.picture())

    def keep(self, screen, name):
        self.pictures += 1
        name = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        screen.picture.save(os.path.join(self.out, f"{self.prefix}{self.pictures:02}-{name}.png"))

    def still(self, limit=60):
        """The screen once it is the same half a second later."""
        end, last = time.monotonic() + limit, self.look()
        while time.monotonic() < end and self.alive():
            time.sleep(0.5)
            now = self.look()
            if now == last:
                break
            last = now
        return last

    def wait_for(self, pattern, limit):
        end = time.monotonic() + limit
        while True:
            screen = self.look()
            if re.search(pattern, screen.text, re.M):
                return screen
            if time.monotonic() > end or not self.alive():
                self.keep(screen, "lost")
                raise Lost(f"waited for '{pattern}':\n{screen.text}")
            time.sleep(1)

    def press(self, *keys):
        """And wait until the screen shows something new, for what it is worth."""
        before, end = self.look(), time.monotonic() + 5
        self.window.press(*keys)
        while time.monotonic() < end:
            if self.look() != before:
                return
            time.sleep(0.1)

    # --- a shell ---

    def type(self, text):
        self.window.type(text)

    def command(self, text, limit=120):
        """Types a line for the shell; the screen when it has ended. It should end well."""
        self.commands += 1
        self.type(f"clear; {text}; echo \"<$? {self.commands}>\"\n")
        screen = self.wait_for(rf"^<\d+ {self.commands}>$", limit)
        if f"<0 {self.commands}>" not in screen.text:
            self.keep(screen, "failed")
            raise Lost(f"{text} failed:\n{screen.text}")
        return screen

    # --- kinds of answers in the installer's dialogues ---

    def choose(self, pattern):
        """The entry of a list that matches; Enter."""
        for key in ["Home"] + 120 * ["Down"]:
            if re.search(pattern, self.still().selected):
                self.press("Return")
                return
            self.press(key)
        raise Lost(f"no entry '{pattern}'")

    def button(self, name):
        for _ in range(8):
            if name in self.still().selected:
                self.press("Return")
                return
            self.press("Tab")
        raise Lost(f"no button {name}")

    def field(self, text, hidden=False):
        self.window.press("ctrl+u")
        if text:
            self.window.type(text)
            shown = re.escape("*" * len(text) if hidden else text) + "_"
            self.wait_for(r"│ " + shown, 60)
        self.press("Return")

    def step(self, key):
        """false: the focus was at the end."""
        before = self.still().focus
        self.press(key)
        return self.still().focus != before

    def check_only(self, wanted):
        """Exactly the boxes that match are ticked; Continue."""
        while self.step("Up"):
            pass
        more = True
        while more:
            focus = self.still().focus
            box = re.search(r"\[([ *])\] (\S.*?) *(│|$)", focus)
            if not box:
                raise Lost(f"no box: {focus}")
            if (box.group(1) == "*") != bool(re.search(wanted, box.group(2))):
                self.press("space")
            more = self.step("Down")
        self.button("<Continue>")
