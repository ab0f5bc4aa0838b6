#!/usr/bin/env python3
"""Lines `WHO DEVICE ROW VALUE`, WHO guise or qemu: the medians of each row side by side. A row that ends in -us is a time."""
import collections
import statistics
import sys

rows = collections.defaultdict(list)
for line in open(sys.argv[1]):
    who, dev, row, value = line.split()
    rows[dev, row, who].append(float(value))
print(f"{'device':<20}{'row':<16}{'guise':>12}{'QEMU':>12}{'ratio':>8}   (medians; ratio above 1: guise is better)")
for dev, row in dict.fromkeys((d, r) for d, r, _ in rows):
    a, b = (rows[dev, row, who] for who in ("guise", "qemu"))
    if a and b:
        a, b = statistics.median(a), statistics.median(b)
        ratio = b / a if row.endswith("-us") else a / b
        print(f"{dev:<20}{row:<16}{a:>12.1f}{b:>12.1f}{ratio:>8.2f}")
