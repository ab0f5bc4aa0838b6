"""The text on a picture of a text screen: each cell of 8x16 pixels is looked up in the fonts that the guest draws with.

Exact, as the same bits give the same character; a cell that no font has reads as '?'. What lies on red is told apart:
the installer shows so where the next key goes.
"""
import gzip
import struct
import zlib


class Picture:
    """Rows of pixels as red, green, blue."""

    def __init__(self, width, height, rgb):
        self.width, self.height, self.rgb = width, height, rgb

    @staticmethod
    def of_ppm(path):
        with open(path, "rb") as f:
            data = f.read()
        width, height = (int(n) for n in data.split(None, 3)[1:3])
        return Picture(width, height, data[-width * height * 3:])

    @staticmethod
    def of_bgrx(width, height, data):
        rgb = bytearray(3 * width * height)
        rgb[0::3], rgb[1::3], rgb[2::3] = data[2::4], data[1::4], data[0::4]
        return Picture(width, height, bytes(rgb))

    def save(self, path):
        def chunk(kind, data):
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        n = 3 * self.width
        rows = b"".join(b"\0" + self.rgb[y * n:(y + 1) * n] for y in range(self.height))
        with open(path, "wb") as f:
            f.write(b"\x89PNG\r\n\x1a\n" +
                    chunk(b"IHDR", struct.pack(">2I5B", self.width, self.height, 8, 2, 0, 0, 0)) +
                    chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b""))


class Fonts:
    """Sixteen bytes of a glyph to its character; of several the one with the lowest number, so that A is Latin."""

    def __init__(self):
        self.glyphs, self.cells = {}, {}

    def add(self, rows, char):
        self.glyphs[rows] = min(char, self.glyphs.get(rows, char))

    def add_bgf(self, data):
        """bterm's (Debian package bogl, bogl-bgf.c): hashed by the low byte of the character, rows left in 32 bits."""
        _, height, mask, offset, index, content = struct.unpack_from("<QIIQQQ", data, 4)
        for low in range(mask + 1):
            at = index + 4 * struct.unpack_from("<i", data, offset + 4 * low)[0]
            while at < content:
                key, glyph = struct.unpack_from("<Ii", data, at)
                if not key:
                    break
                if key & mask == 8:
                    rows = struct.unpack_from(f"<{height}I", data, content + 4 * glyph)
                    self.add(bytes(r >> 24 for r in rows), chr(key & ~mask | low))
                at += 8

    def add_psf(self, data):
        """The Linux console's, version 1 (kbd, psf.h), with its table of characters."""
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        mode, size = data[2], data[3]
        count = 512 if mode & 1 else 256
        if data[:2] != b"\x36\x04" or size != 16 or not mode & 2:
            raise ValueError("no console font of 8x16 with a table")
        at = 4 + count * size
        for glyph in range(count):
            single = True
            while (code := struct.unpack_from("<H", data, at)[0]) != 0xffff:
                single = single and code != 0xfffe  # what follows it are sequences
                if single:
                    self.add(data[4 + glyph * size:4 + (glyph + 1) * size], chr(code))
                at += 2
            at += 2

    def cell(self, pixels):
        """(character, is it on red) of 8x16 pixels."""
        got = self.cells.get(pixels)
        if got is None:
            got = self.cells[pixels] = self.find([pixels[i:i + 3] for i in range(0, len(pixels), 3)])
        return got

    def find(self, pixels):
        colours = sorted(set(pixels), key=lambda c: -pixels.count(c))
        if len(colours) == 1:
            return " ", is_red(colours[0])
        for back, front in (colours, colours[::-1]) if len(colours) == 2 else ():
            rows = bytes(sum((pixels[8 * y + x] == front) << 7 - x for x in range(8)) for y in range(16))
            if rows in self.glyphs:
                return self.glyphs[rows], is_red(back)
        return "?", False


def is_red(colour):
    return colour[0] > 0x90 and colour[1] < 0x20 and colour[2] < 0x20


class Screen:
    """text: all of it, blanks at the ends of lines cut; without the last line (help): selected, what is on red; focus,
    the first line with anything on red, which may be a blank."""

    def __init__(self, fonts, picture):
        self.picture = picture
        lines, red, on_red = [], [], []
        n = 3 * picture.width
        for top in range(0, picture.height - 15, 16):
            rows = [picture.rgb[(top + y) * n:(top + y + 1) * n] for y in range(16)]
            cells = [fonts.cell(b"".join([r[x:x + 24] for r in rows])) for x in range(0, picture.width // 8 * 24, 24)]
            lines.append("".join(c for c, _ in cells).rstrip())
            on_red.append(any(r for _, r in cells))
            red.append("".join(c if r else " " for c, r in cells).strip())
        self.text = "\n".join(lines)
        self.selected = " ".join(r for r in red[:-1] if r)
        self.focus = next((line for line, r in zip(lines[:-1], on_red) if r), "")

    def __eq__(self, other):
        return (self.text, self.selected, self.focus) == (other.text, other.selected, other.focus)
