#!/usr/bin/env python3
"""Debian's installer from the gateway's TFTP server, as its package lays it out: firmware, GRUB, kernel, first question.

  net_boot.py quick   U-Boot on the built-in SBI
  net_boot.py long    that, each adapter, OpenSBI, EDK2, and the same on QEMU 10; TFTP's speed beside QEMU's

Nothing is typed but Enter at GRUB's menu, which has no time limit of its own. Environment: see guests.py; TFTP, the
folder; UBOOT; and for the long one OPENSBI, EDK2 and THEIRS, a qemu-system-riscv64 that is not ours.
"""
import os
import shutil
import sys
import time

from guests import DIR, GUISE, QEMU, Console, done, ok

TFTP = os.environ["TFTP"]
LOADER = "debian-installer/riscv64/bootnetriscv64.efi"
SMODE = os.path.join(os.environ["UBOOT"], "qemu-riscv64_smode", "uboot.elf")  # in machine mode it leaves Linux no SBI
BOARD = ["-m", "1G", "-nographic", "-monitor", "none"]


def installer(name, *command):
    start = time.monotonic()
    c = Console(command)
    menu = c.expect("GNU GRUB") and c.expect(r"\*Install  ")
    ok(menu, f"{name}: the firmware finds the boot loader by itself", c.text)
    at_menu = time.monotonic()
    c.type("\r")
    ok(menu and c.expect("Choose the language to be used for the installation"), f"{name}: the installer asks for the language", c.text)
    print(f"# {at_menu - start:.1f} s to the menu, {time.monotonic() - at_menu:.1f} s from there to the question")
    c.process.terminate()
    c.wait()


def user(**more):
    return ["-netdev", ",".join(["user,id=n", f"tftp={TFTP}", *(f"{k}={v}" for k, v in more.items())])]


def edk2():
    """With the generator of random numbers that its network stack asks for; variables that keep nothing of another run."""
    code, variables = (os.path.join(os.environ["EDK2"], f"RISCV_VIRT_{n}.fd") for n in ("CODE", "VARS"))
    mine = shutil.copy(variables, DIR)
    return ["-machine", "virt,acpi=off", "-drive", f"if=pflash,format=raw,unit=0,file={code},readonly=on",
            "-drive", f"if=pflash,format=raw,unit=1,file={mine}", "-device", "virtio-rng-pci"]


def rates(name, *command):
    """MB/s of the kernel's file, with and without a window, by U-Boot's client."""
    size, found = os.path.getsize(os.path.join(TFTP, "debian-installer/riscv64/linux")) / 1e6, {}
    c = Console(command)
    c.expect("Hit any key")
    c.type(" ")
    c.expect("=> ")
    c.type("setenv autoload no; dhcp; setenv serverip 10.0.2.2\n")
    ready = c.expect("bound to address") and c.expect("=> ")
    for block, window in ((1468, 1), (1468, 16), (512, 1), (512, 16)):
        if not ready:
            break
        c.type(f"setenv tftpblocksize {block}; setenv tftpwindowsize {window}\n")
        c.expect("\n=> ")
        start = time.monotonic()
        c.type("tftpboot 0x90000000 debian-installer/riscv64/linux\n")
        if c.expect("Bytes transferred"):
            found[block, window] = size / (time.monotonic() - start)
        c.expect("=> ")
    ok(len(found) == 4, f"{name}: U-Boot gets the kernel by TFTP", c.text)
    c.process.terminate()
    c.wait()
    return found


def quick():
    installer("U-Boot, virtio", GUISE, "run", SMODE, "--console", "stdio", "--net", f"nat,tftp={TFTP},bootfile={LOADER}")


def long():
    theirs, opensbi = os.environ["THEIRS"], os.path.join(os.environ["OPENSBI"], "fw_dynamic.bin")
    boot = user(bootfile=LOADER)
    board = ["-machine", "virt", *BOARD]
    for device in ("virtio-net-pci", "virtio-net-device", "e1000e"):
        installer(f"U-Boot on OpenSBI, {device}", QEMU, *board, "-bios", opensbi, "-kernel", SMODE, *boot, "-device", f"{device},netdev=n")
    installer("EDK2, virtio-net-pci", QEMU, *BOARD, *edk2(), *boot, "-device", "virtio-net-pci,netdev=n")
    installer("EDK2, virtio-net-device", QEMU, *BOARD, *edk2(), *boot, "-device", "virtio-net-device,netdev=n")
    adapter = ["-device", "virtio-net-pci,netdev=n,romfile="]  # the boot ROMs are not installed
    installer("QEMU, U-Boot on OpenSBI", theirs, *board, "-bios", opensbi, "-kernel", SMODE, *boot, *adapter)
    installer("QEMU, EDK2", theirs, *BOARD, "-bios", opensbi, *edk2(), *boot, *adapter)
    ours = rates("guise", QEMU, *board, "-bios", opensbi, "-kernel", SMODE, *user(), *adapter)
    other = rates("QEMU", theirs, *board, "-bios", opensbi, "-kernel", SMODE, *user(), *adapter)
    for (block, window), rate in ours.items():
        print(f"# TFTP, blocks of {block}, window {window}: guise {rate:.1f} MB/s, QEMU {other.get((block, window), 0):.1f} MB/s")


quick()
if sys.argv[1:] == ["long"]:
    long()
done()
