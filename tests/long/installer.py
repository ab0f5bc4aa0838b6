#!/usr/bin/env python3
"""Debian onto an empty disk as a person does it: what the window shows is read, its keyboard answers.

EDK2 in flash boots the installer's kernel, so that a boot loader finds its variables; the disk that comes of it boots
by itself (EDK2, GRUB), and root logs in in the window. Where LIVE is set, another Debian is booted instead of the
installer, and debootstrap with the same disk before it does the rest: the Installation Guide's appendix D.3.

TAP; pictures of every step in OUT. Environment (see installer.sh): GUISE; TEXT, folder of the installer's kernel and
RAM disk; EDK2, folder of the firmware; FONTS, folder of console fonts; MIRROR, a Debian mirror's URL; PROXY, or empty;
PARAMETERS, more of them for the installer's kernel; LIVE, a disk with KERNEL and INITRD; OUT, folder for what comes.
"""
import gzip
import os
import re
import shutil
import subprocess
import sys
import time
from urllib.parse import urlsplit

from desk import Desk, Lost
from text_screen import Fonts
from x_window import XServer, XWindow

HOST, USER, PASSWORD = "guise", "anna", "correct horse 42"
STUCK = 1200  # seconds without any change on the screen; the largest step between two percents
results = 0


def ok(good, name, shown=""):
    global results
    results += 1
    print(f"{'ok' if good else 'not ok'} {results} - {name}")
    if not good:
        for line in str(shown).splitlines()[-50:]:
            print("#", line)
    sys.stdout.flush()
    return good


def note(text):
    print(f"# {time.strftime('%H:%M:%S')} {text}", flush=True)


def folder_of(mirror):
    return mirror.path.rstrip("/") or "/"


def questions(mirror, proxy):
    """(what the screen says, how it is answered). The first that matches counts."""
    return [
        (r"Select a language.*^.*Language:", lambda d: d.choose("^English")),
        (r"Select your location.*Country, territory or area:", lambda d: d.choose("^United States$")),
        (r"Configure the keyboard.*Keymap to use:", lambda d: d.choose("^American English$")),
        (r"Configure the network.*Hostname:", lambda d: d.field(HOST)),
        (r"Configure the network.*Domain name:", lambda d: d.field("")),
        (r"Choose a mirror.*archive mirror country:", lambda d: d.choose("^enter information manually$")),
        (r"Choose a mirror.*archive mirror hostname:", lambda d: d.field(mirror.netloc)),
        (r"Choose a mirror.*archive mirror directory:", lambda d: d.field(folder_of(mirror))),
        (r"Choose a mirror.*HTTP proxy information", lambda d: d.field(proxy)),
        (r"Re-enter password to verify:", lambda d: d.field(PASSWORD, hidden=True)),
        (r"Set up users and passwords.*Root password:", lambda d: d.field(PASSWORD, hidden=True)),
        (r"Set up users and passwords.*Full name for the new user:", lambda d: d.field("Anna Example")),
        (r"Set up users and passwords.*Username for your account:", lambda d: d.field(USER)),
        (r"Set up users and passwords.*Choose a password for the new user:", lambda d: d.field(PASSWORD, hidden=True)),
        (r"Configure the clock.*Select your time zone:", lambda d: d.choose("^Eastern$")),
        (r"Partition disks.*Partitioning method:", lambda d: d.choose("^Guided - use entire disk$")),
        (r"Partition disks.*Select disk to partition:", lambda d: d.choose("Virtual disk 1")),
        (r"Partition disks.*Partitioning scheme:", lambda d: d.choose("^All files in one partition")),
        (r"Partition disks.*Write the changes to disks\?", lambda d: d.button("<Yes>")),
        (r"Partition disks.*Finish partitioning and write changes to disk",
         lambda d: d.choose("^Finish partitioning and write changes to disk$")),
        (r"Configure the package manager.*Cannot access repository", lambda d: d.button("<Continue>")),
        (r"popularity-contest.*Participate in the package usage survey\?", lambda d: d.button("<No>")),
        (r"Software selection.*Choose software to install:", lambda d: d.check_only("standard system utilities")),
        (r"Finish the installation.*Installation complete", lambda d: d.button("<Continue>")),
    ]


def same(question, screen):
    return re.search(question, screen.text, re.S | re.M)


def title(screen):
    m = re.search(r"┤ (.*?) ├", screen.text)
    return m.group(1) if m else ""


def install(desk, asked, until):
    """Answers questions until the one that matches `until` is answered. True: it was."""
    last, since, unknown = "", time.monotonic(), 0
    while desk.alive():
        screen = desk.look()
        hit = next(((p, answer) for p, answer in asked if same(p, screen)), None)
        now = time.monotonic()
        if screen.text != last:
            last, since = screen.text, now
        elif now - since > STUCK or (not hit and title(screen).startswith("[!") and now - since > 60):
            desk.keep(screen, "lost")
            raise Lost(f"nobody knows what to say here:\n{screen.text}")
        if not hit:
            time.sleep(1)
            continue
        desk.keep(desk.still(), title(screen))
        note(title(screen))
        hit[1](desk)
        if re.search(until, screen.text):
            return True
        gone = time.monotonic() + 120
        while same(hit[0], (after := desk.look())) and time.monotonic() < gone and desk.alive():
            time.sleep(0.2)
        if same(hit[0], after) and desk.alive():
            desk.keep(after, "lost")
            raise Lost(f"the answer is not taken:\n{after.text}")
    return False


def read_fonts(initrd, folder):
    """bterm's font out of the RAM disk (cpio, newc), and the console's."""
    fonts = Fonts()
    with gzip.open(initrd) as f:
        data = f.read()
    at = 0
    while data[at:at + 6] == b"070701":
        size, length = int(data[at + 54:at + 62], 16), int(data[at + 94:at + 102], 16)
        body = (at + 110 + length + 3) & ~3
        if data[at + 110:at + 110 + length - 1].endswith(b"/unifont.bgf"):
            fonts.add_bgf(data[body:body + size])
        at = (body + size + 3) & ~3
    for name in ("Ethiopian-Goha16", "Lat15-Fixed16"):
        with open(os.path.join(folder, name + ".psf.gz"), "rb") as f:
            fonts.add_psf(f.read())
    return fonts


def machine(out, edk2, name, *more):
    return [os.path.join(os.path.dirname(os.environ["GUISE"]), "qemu-system-riscv64"),
            "-name", HOST, "-machine", "virt,acpi=off", "-smp", "2", "-m", "2G", "-no-reboot", "-display", "sdl",
            "-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={os.path.join(edk2, 'RISCV_VIRT_CODE.fd')}",
            "-drive", f"if=pflash,format=raw,unit=1,file={os.path.join(out, 'vars.fd')}",
            "-drive", f"if=virtio,format=qcow2,file={os.path.join(out, 'disk.qcow2')}",
            "-device", "virtio-gpu-pci", "-device", "virtio-keyboard-pci", "-device", "virtio-tablet-pci",
            "-device", "virtio-rng-pci", "-netdev", "user,id=n", "-device", "virtio-net-pci,netdev=n",
            "-serial", f"file:{os.path.join(out, name + '.serial')}", "-monitor", "none", *more]


class Run:
    """A machine in a window."""

    def __init__(self, server, fonts, out, edk2, name, *more):
        self.log = open(os.path.join(out, name + ".log"), "wb")
        self.process = subprocess.Popen(machine(out, edk2, name, *more), env=server.environment(),
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.desk = Desk(XWindow(server, self.process.pid), fonts, self.runs, out, name)

    def runs(self):
        return self.process.poll() is None

    def wait(self, limit):
        """Its exit code; None: it did not end, and was killed."""
        try:
            return self.process.wait(limit)
        except subprocess.TimeoutExpired:
            return None

    def close(self):
        if self.runs():
            self.process.kill()
        self.process.wait()
        self.log.close()


def login(desk, password, limit=900):
    desk.keep(desk.wait_for(f"^{HOST} login: ?\\W?$", limit), "login")
    desk.type("root\n")
    desk.wait_for("^Password: ?\\W?$", 120)
    desk.type(password + "\n")
    desk.wait_for(rf"^root@{HOST}:~# ?\W?$", 300)


def first_boot(desk):
    """Logs in, looks around, and powers off. (what it says of itself, whether apt reaches the mirror)"""
    login(desk, PASSWORD)
    seen = desk.command("cat /etc/debian_version; uname -m; findmnt -no SOURCE,FSTYPE /; id -un " + USER)
    desk.keep(seen, "logged in")
    network = desk.command("apt-get -qq update; apt-cache policy hello; dpkg -l | grep -c ^ii", 600)
    desk.keep(network, "network")
    desk.type("poweroff\n")
    return seen.text, network.text


# --- without the installer's parts ---


def on_the_disk(desk, *words):
    """A command in the new system."""
    return desk.command("chroot /mnt " + " ".join(words), STUCK)


def set_password(desk, user):
    desk.type(f"clear; chroot /mnt passwd {user}\n")
    for question in ("New password:", "Retype new password:"):
        desk.wait_for(f"^{question}", 120)
        desk.type(PASSWORD + "\n")
    desk.wait_for("password updated successfully", 120)


def add_user(desk):
    desk.type(f"clear; chroot /mnt adduser {USER}\n")
    for question in ("New password:", "Retype new password:"):
        desk.wait_for(f"^{question}", 300)
        desk.type(PASSWORD + "\n")
    for question, answer in (("Full Name", "Anna Example"), ("Room Number", ""), ("Work Phone", ""), ("Home Phone", ""),
                             ("Other", ""), ("Is the information correct", "y")):
        desk.wait_for(rf"^\s*{question}", 120)
        desk.type(answer + "\n")
    desk.command("chroot /mnt id " + USER)


def by_hand(desk, mirror):
    """Debian's Installation Guide, appendix D.3: from another Debian, debootstrap and a few files."""
    login(desk, "guise")
    desk.command("dmesg -n 1; export DEBIAN_FRONTEND=noninteractive LC_ALL=C; apt-get -qq update", 600)
    desk.command("apt-get -qqy install debootstrap fdisk dosfstools e2fsprogs", STUCK)
    note("partitions and file systems")
    desk.command("printf 'label: gpt\\n,256M,U\\n,,L\\n' | sfdisk -q /dev/vda && "
                 "mkfs.vfat -F 32 /dev/vda1 && mkfs.ext4 -q /dev/vda2")
    desk.command("mount /dev/vda2 /mnt && mkdir -p /mnt/boot/efi && mount /dev/vda1 /mnt/boot/efi")
    desk.keep(desk.command("lsblk -f"), "partitions")
    note("debootstrap")
    desk.keep(desk.command(f"debootstrap trixie /mnt {mirror}", 3 * STUCK), "debootstrap")
    note("its own files")
    desk.command("for f in dev proc sys; do mount --rbind /$f /mnt/$f; done")
    desk.command(f"echo {HOST} >/mnt/etc/hostname; echo 127.0.1.1 {HOST} >>/mnt/etc/hosts; "
                 "cd /etc; cp resolv.conf /mnt/etc/; cp apt/apt.conf.d/90host /mnt/etc/apt/apt.conf.d/ 2>/dev/null; cd")
    desk.command("uuid() { blkid -s UUID -o value $1; }; cd /mnt/etc; "
                 "echo UUID=$(uuid /dev/vda2) / ext4 errors=remount-ro 0 1 >fstab; "
                 "echo UUID=$(uuid /dev/vda1) /boot/efi vfat umask=0077 0 1 >>fstab; cat fstab")
    desk.command("for i in /sys/class/net/e*; do i=${i##*/}; printf 'allow-hotplug %s\\niface %s inet dhcp\\n' $i $i; "
                 "done >>network/interfaces; cat network/interfaces; cd")
    note("kernel and boot loader")
    desk.keep(on_the_disk(desk, "apt-get -qqy install linux-image-riscv64 grub-efi-riscv64 initramfs-tools"), "kernel")
    desk.command("v=/sys/firmware/efi/efivars; mountpoint -q /mnt/$v || mount -t efivarfs e /mnt/$v")
    desk.keep(on_the_disk(desk, "grub-install && chroot /mnt update-grub"), "grub")
    note("accounts")
    set_password(desk, "root")
    add_user(desk)
    desk.keep(desk.command("sync; umount -R /mnt/boot/efi"), "done")
    desk.type("poweroff\n")


# --- the whole of it ---


def installer_story(server, fonts, out, edk2, text):
    run = Run(server, fonts, out, edk2, "install", "-kernel", os.path.join(text, "linux"), "-initrd",
              os.path.join(text, "initrd.gz"), "-append", "console=tty0 " + os.environ.get("PARAMETERS", ""))
    try:
        mirror = urlsplit(os.environ["MIRROR"])
        complete = install(run.desk, questions(mirror, os.environ.get("PROXY", "")), "Installation complete")
        ok(complete, "Debian's installer is answered through the window, to its end")
        ok(run.wait(300) == 0, "it restarts the machine")
    finally:
        run.close()


def by_hand_story(server, fonts, out, edk2):
    live, kernel, initrd = (os.environ[n] for n in ("LIVE", "KERNEL", "INITRD"))
    run = Run(server, fonts, out, edk2, "install", "-kernel", kernel, "-initrd", initrd,
              "-append", "root=LABEL=guise console=tty0 quiet",
              "-drive", f"if=virtio,format=raw,snapshot=on,file={live}")
    try:
        by_hand(run.desk, os.environ["MIRROR"])
        ok(run.wait(300) == 0, "Debian is installed on an empty disk, all of it typed in the window")
    finally:
        run.close()


def boot_story(server, fonts, out, edk2):
    run = Run(server, fonts, out, edk2, "boot")
    try:
        seen, network = first_boot(run.desk)
        ok(re.search(r"^13\.", seen, re.M) and "riscv64" in seen and re.search(r"^/dev/vda\d+ +ext4", seen, re.M) and
           re.search(f"^{USER}$", seen, re.M), "the disk boots by itself, and root logs in in the window", seen)
        ok("Candidate: 2" in network, "apt reaches the mirror", network)
        ok(run.wait(300) == 0, "it powers off")
    finally:
        run.close()


def main():
    out, edk2, text = (os.environ[n] for n in ("OUT", "EDK2", "TEXT"))
    disk, start = os.path.join(out, "disk.qcow2"), time.monotonic()
    shutil.copy(os.path.join(edk2, "RISCV_VIRT_VARS.fd"), os.path.join(out, "vars.fd"))
    subprocess.run([os.environ["GUISE"], "img", "create", "-q", "-f", "qcow2", disk, "20G"], check=True)
    fonts = read_fonts(os.path.join(text, "initrd.gz"), os.environ["FONTS"])
    server = XServer(out, 1280, 800)
    try:
        if os.environ.get("LIVE"):
            by_hand_story(server, fonts, out, edk2)
        else:
            installer_story(server, fonts, out, edk2, text)
        note(f"{(time.monotonic() - start) / 60:.0f} minutes")
        boot_story(server, fonts, out, edk2)
    except Lost as lost:
        ok(False, "the screen is what was expected", lost)
    finally:
        server.close()
    check = subprocess.run([os.environ["GUISE"], "img", "check", disk], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    ok(check.returncode == 0, "the disk's image is sound", check.stdout)
    print(f"1..{results}")


if __name__ == "__main__":
    main()
