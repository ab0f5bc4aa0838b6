/* Command lines that existing tools give qemu-system-riscv64, and what they must mean. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "frontend/screen.h"
#include "tests/unit/check.h"
#include "tests/unit/cli.h"

#define c cli_config

static void kunit(void **state)
{
    (void)state;
    cli_expect_run(
        "qemu-system-riscv64 -nodefaults -m 1024 -kernel arch/riscv/boot/Image -append "
        "kunit.enable=1~console=ttyS0~kunit_shutdown=reboot -no-reboot -nographic -accel kvm -accel hvf -accel tcg "
        "-serial stdio -machine virt -cpu rv64 -bios /usr/share/qemu/opensbi-riscv64-generic-fw_dynamic.bin");
    CHECK_EQ(c.ram, UINT64_C(1) << 30);
    CHECK_STR(c.kernel, "arch/riscv/boot/Image");
    CHECK_STR(c.append, "kunit.enable=1 console=ttyS0 kunit_shutdown=reboot");
    CHECK(c.no_reboot);
    CHECK_EQ(c.translator.engine, ENGINE_JIT);
    CHECK_EQ(c.firmware, FIRMWARE_FILE);
    CHECK_EQ(c.serials, 1);
    CHECK_EQ(c.chardev[c.serial[0]].kind, CHARDEV_STDIO);
    CHECK(c.chardev[c.serial[0]].signal);
    CHECK_EQ(c.monitors, 0);
}

static bool plan(const char *line, struct screen *s)
{
    struct err e;

    cli_expect_run(line);
    return screen_plan(&c, s, &e);
}

static void a_simple_framebuffer_lies_at_the_top_of_memory(void **state)
{
    struct screen s;

    (void)state;
    CHECK(plan("q -m 512M -kernel k", &s));
    CHECK_EQ(s.base, 0);
    CHECK(plan("q -m 512M -kernel k -device simple-framebuffer", &s));
    CHECK_EQ(s.surface.width, 1280);
    CHECK_EQ(s.surface.height, 800);
    CHECK_EQ(s.base, 0xa0000000 - (4 << 20)); /* 4096000 bytes, on 2 MiB */
    CHECK_EQ(s.size, 4 << 20);
    CHECK_STR(s.format, "x8r8g8b8");
    CHECK(plan("q -m 512M -kernel k -device simple-framebuffer,width=1366,height=768,format=r5g6b5", &s));
    CHECK_EQ(s.surface.stride, 2752);
    CHECK(!plan("q -m 64M -kernel k -device simple-framebuffer,width=4096,height=4096", &s));
    CHECK(!plan("q -m 1G -kernel k -device simple-framebuffer,width=63", &s));
    CHECK(!plan("q -m 1G -kernel k -device simple-framebuffer,format=yuv", &s));
    CHECK(!plan("q -m 1G -kernel k -device simple-framebuffer -device simple-framebuffer", &s));
}

static void virtme_ng_console(void **state)
{
    (void)state;
    cli_expect_run(
        "qemu-system-riscv64 -name vng -m 1G -object memory-backend-memfd,id=mem,size=1G,share=on -numa "
        "node,memdev=mem -machine virt -bios default -parallel none -net none -echr 1 -chardev "
        "file,path=/proc/self/fd/2,id=dmesg -device virtio-serial-pci -device virtconsole,chardev=dmesg -chardev "
        "stdio,id=console,signal=off,mux=on -serial chardev:console -mon chardev=console -vga none -display none "
        "-smp 2 -kernel vmlinuz -append quiet -initrd /proc/self/fd/5 -no-reboot");
    CHECK_EQ(c.cpus, 2);
    CHECK_EQ(c.firmware, FIRMWARE_SBI);
    CHECK_EQ(c.devices, 2);
    CHECK_EQ(c.device[0].type->kind, DEVICE_SERIAL);
    CHECK_EQ(c.device[1].type->kind, DEVICE_CONSOLE);
    CHECK_STR(device_prop(&c.device[1], "chardev"), "dmesg");
    CHECK_EQ(c.serial[0], config_chardev_find(&c, "console"));
    CHECK_EQ(c.monitors, 1);
    CHECK_EQ(c.monitor[0], c.serial[0]);
    CHECK(c.chardev[c.serial[0]].mux && !c.chardev[c.serial[0]].signal);
    CHECK_STR(c.initrd, "/proc/self/fd/5");
}

static void virtme_ng_script_ports(void **state)
{
    (void)state;
    cli_expect_run("qemu-system-riscv64 -display none -serial none -monitor none -device virtio-serial-pci -chardev "
                   "file,path=/proc/self/fd/1,id=o -device virtserialport,name=virtme.stdout,chardev=o -chardev "
                   "stdio,signal=on,mux=off,id=i -device virtserialport,name=virtme.stdin,chardev=i -kernel k");
    CHECK_EQ(c.devices, 3);
    CHECK_STR(device_prop(&c.device[1], "name"), "virtme.stdout");
    CHECK_EQ(c.serial[0], PORT_NONE);
    CHECK_EQ(c.monitors, 0);
}

static void tuxrun(void **state)
{
    (void)state;
    cli_expect_run(
        "qemu-system-riscv64 -cpu rv64 -machine virt -nographic -nic none -m 4G -monitor none -no-reboot -smp 2 "
        "-kernel Image -append console=ttyS0,115200~rootwait~root=/dev/vda~earlycon -drive "
        "file=rootfs.ext4,format=raw,id=hd0 -device virtio-blk-device,drive=hd0");
    CHECK_EQ(c.ram, UINT64_C(4) << 30);
    CHECK_EQ(c.devices, 1);
    CHECK_EQ(c.device[0].type->transport, TRANSPORT_MMIO);
    CHECK_EQ(c.drive[0].bus, DRIVE_NONE);
    CHECK_EQ(c.monitors, 0);
    CHECK_EQ(c.chardev[c.serial[0]].kind, CHARDEV_STDIO);
    CHECK(!c.chardev[c.serial[0]].mux);
    cli_expect_error("qemu-system-riscv64 -virtfs local,path=/x,mount_tag=tuxrun,security_model=mapped", "-virtfs");
}

static void syzkaller(void **state)
{
    (void)state;
    cli_expect_run(
        "qemu-system-riscv64 -m 2048 -smp 2 -display none -serial stdio -no-reboot -name VM-0 -device virtio-rng-pci "
        "-machine virt -device virtio-blk-device,drive=hd0 -drive file=disk.img,if=none,format=raw,id=hd0 -snapshot "
        "-kernel Image -append root=/dev/vda");
    CHECK(c.snapshot);
    CHECK_STR(c.name, "VM-0");
    CHECK_EQ(c.devices, 2);
    CHECK_EQ(c.device[0].type->kind, DEVICE_RNG);
    cli_expect_error("qemu-system-riscv64 -chardev socket,id=SOCKSYZ,server=on,wait=off,host=localhost,port=5 -mon "
                     "chardev=SOCKSYZ,mode=control",
                     "-chardev");
}

static void wireguard(void **state)
{
    (void)state;
    cli_expect_run(
        "qemu-system-riscv64 -nodefaults -nographic -smp 4 -cpu rv64 -machine virt -m 256M -serial stdio -chardev "
        "file,path=result,id=result -device virtio-serial-device -device virtserialport,chardev=result -no-reboot "
        "-monitor none -kernel Image");
    CHECK_EQ(c.cpus, 4);
    CHECK_EQ(c.ram, UINT64_C(256) << 20);
    CHECK_EQ(c.device[0].type->transport, TRANSPORT_MMIO);
    CHECK_EQ(c.chardev[config_chardev_find(&c, "result")].kind, CHARDEV_FILE);
    CHECK_STR(c.chardev[config_chardev_find(&c, "result")].path, "result");
}

static void rcutorture(void **state)
{
    (void)state;
    cli_expect_run(
        "qemu-system-riscv64 -nographic -machine virt -cpu rv64 -serial file:console.log -net none -m 512 -smp 8 "
        "-kernel bzImage -append x");
    CHECK_EQ(c.chardev[c.serial[0]].kind, CHARDEV_FILE);
    CHECK_STR(c.chardev[c.serial[0]].path, "console.log");
    CHECK_EQ(c.monitors, 1); /* on the terminal, as QEMU does */
    cli_expect_run("qemu-system-riscv64 -nographic -machine virt -monitor stdio -serial pty -S -kernel k");
    CHECK_EQ(c.chardev[c.serial[0]].kind, CHARDEV_PTY);
    CHECK_EQ(c.chardev[c.monitor[0]].kind, CHARDEV_STDIO);
    CHECK(c.paused);
}

static void bpf_vmtest(void **state)
{
    (void)state;
    cli_expect_run(
        "qemu-system-riscv64 -nodefaults -display none -serial mon:stdio -M virt -cpu rv64 -smp 8 -m 4G -drive "
        "file=root.img,format=raw,index=1,media=disk,if=virtio,cache=none -kernel Image -append root=/dev/vda");
    CHECK_EQ(c.devices, 1);
    CHECK_EQ(c.device[0].type->transport, TRANSPORT_PCI);
    CHECK_EQ(c.monitors, 1);
    CHECK_EQ(c.monitor[0], c.serial[0]);
    CHECK(!c.chardev[c.serial[0]].signal); /* Ctrl-C is the guest's */
}

static void xv6(void **state)
{
    (void)state;
    cli_expect_run(
        "qemu-system-riscv64 -machine virt -bios none -kernel kernel/kernel -m 128M -smp 3 -nographic -global "
        "virtio-mmio.force-legacy=false -drive file=fs.img,if=none,format=raw,id=x0 -device "
        "virtio-blk-device,drive=x0,bus=virtio-mmio-bus.0");
    CHECK_EQ(c.firmware, FIRMWARE_NONE);
    CHECK_EQ(c.cpus, 3);
    CHECK(c.virtio_mmio_modern);
    CHECK_STR(device_prop(&c.device[0], "bus"), "virtio-mmio-bus.0");
    cli_expect_error("qemu-system-riscv64 -S -gdb tcp::26000", "-gdb tcp::26000: the gdb server is not there yet");
}

static void rcore(void **state)
{
    (void)state;
    cli_expect_run("qemu-system-riscv64 -machine virt -nographic -bios rustsbi-qemu.bin -device "
                   "loader,file=os.bin,addr=0x80200000");
    CHECK_STR(c.bios, "rustsbi-qemu.bin");
    CHECK_EQ(c.loaders, 1);
    CHECK_EQ(c.loader[0].addr, 0x80200000);
    CHECK_STR(c.loader[0].file, "os.bin");
    CHECK_EQ(c.serials, 1);
    CHECK_EQ(c.monitors, 1);
}

static void firmware_in_flash(void **state)
{
    (void)state;
    cli_expect_run(
        "qemu-system-riscv64 -nographic -blockdev node-name=pflash0,driver=file,read-only=on,filename=CODE.fd "
        "-blockdev node-name=pflash1,driver=file,filename=VARS.fd -M virt,pflash0=pflash0,pflash1=pflash1,acpi=off");
    CHECK_STR(c.pflash[0], "pflash0");
    CHECK(config_drive_find(&c, "pflash0")->read_only);
    CHECK_STR(config_drive_find(&c, "pflash1")->file, "VARS.fd");
    cli_expect_run("qemu-system-riscv64 -nographic -drive if=pflash,format=raw,unit=0,file=a.fd,readonly=on");
    CHECK_STR(config_drive_find(&c, c.pflash[0])->file, "a.fd");
    cli_expect_error("qemu-system-riscv64 -M virt,pflash0=none", "pflash0=none: no such drive");
}

static void accelerators(void **state)
{
    (void)state;
    cli_expect_run("qemu-system-riscv64 -machine virt,accel=kvm:tcg -nographic");
    CHECK_EQ(c.translator.engine, ENGINE_JIT);
    cli_expect_run("qemu-system-riscv64 -nographic -accel tcg,thread=multi,tb-size=256");
    CHECK_EQ(c.translator.cache_size, UINT64_C(256) << 20);
    cli_expect_run("qemu-system-riscv64 -nographic -accel lockstep");
    CHECK_EQ(c.translator.engine, ENGINE_LOCKSTEP);
    cli_expect_error("qemu-system-riscv64 -accel kvm", "-accel kvm: not available");
    cli_expect_error("qemu-system-riscv64 -enable-kvm", "-enable-kvm");
}

static void nothing_is_ignored_silently(void **state)
{
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"q -kernl x", "-kernl: unknown option; the nearest one is -kernel"},
        {"q -machine spike", "no machine 'spike'"},
        {"q -machine virt,aia=aplic-imsic", "aia=aplic-imsic: not there yet"},
        {"q -machine virt,acppi=off", "unknown property 'acppi'; the nearest one is 'acpi'"},
        {"q -display gtk", "there is one kind of window here: sdl"},
        {"q -display sdl,gl=on", "OpenGL for guests is not there"},
        {"q -display sdl,grab-mod=lalt", "expected rctrl"},
        {"q -display vnc=:0", "a VNC server is not there yet"},
        {"q -display none,full-screen=on", "full-screen"},
        {"q -display frame", "no display 'frame'"},
        {"q -spice port=1", "SPICE is not there"},
        {"q -vga qxl", "-vga qxl: qxl is not available"},
        {"q -vga vgb", "unknown vga type: vgb"},
        {"q -device VGA", "bochs-display is"},
        {"q -nographic -device usb-kbd", "no USB controller; add -device qemu-xhci"},
        {"q -nographic -device qemu-xhci,id=x -device usb-kbd,bus=y.0", "no such USB controller"},
        {"q -device usb-storage,drive=x", "USB disks are not there yet"},
        {"q -device usb-audio", "usb-kbd, usb-tablet and usb-mouse are"},
        {"q -device virtio-blk-devic,drive=x", "the nearest one is virtio-blk-device"},
        {"q -device virtio-blk-device,drvie=x", "virtio-blk-device has no property 'drvie'"},
        {"q -nographic -device virtio-blk-device,drive=x", "no drive 'x'"},
        {"q -nographic -device virtio-blk-device", "needs drive=ID"},
        {"q -drive file=x,format=qcow7", "format=qcow7: not known"},
        {"q -drive format=raw", "needs file=FILE"},
        {"q -serial tcp::4444", "network sockets are not there yet"},
        {"q -serial stdioo", "expected stdio"},
        {"q -serial chardev:no", "no character device 'no'"},
        {"q -serial stdio -monitor stdio", "cannot use stdio by multiple character devices"},
        {"q -m 12x", "expected a size"},
        {"q -m 1M -nographic", "at least 4 MiB"},
        {"q -smp 0", "-smp 0"},
        {"q -smp 4,sockets=3", "must make"},
        {"q -smp 2,maxcpus=4", "hot-plug"},
        {"q -global virtio-mmio.forc=1 -nographic", "-global virtio-mmio.forc: no such property"},
        {"q -qmp unix:x", "-qmp unix:x: not there yet"},
        {"q -rtc base=yesterday", "base=yesterday"},
        {"q -device loader,data=1", "needs addr="},
        {"q -object iothread,id=a", "iothread"},
        {"q -chardev stdio", "expected KIND,id=ID"},
        {"q -nographic -device virtserialport,chardev=x", "no virtio-serial device before it"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cli_expect_error(cases[i].line, cases[i].part);
}

static void native(void **state)
{
    (void)state;
    cli_expect_run(
        "guise run --kernel Image --cpus 4 --memory 2G --engine ir --disk a.img,ro --disk b.img,bus=mmio --mmu tlb");
    CHECK_EQ(c.cpus, 4);
    CHECK_EQ(c.ram, UINT64_C(2) << 30);
    CHECK_EQ(c.translator.engine, ENGINE_IR);
    CHECK_EQ(c.devices, 3); /* and a network adapter, behind the disks */
    CHECK(c.drive[0].read_only && !c.drive[1].read_only);
    CHECK_EQ(c.device[0].type->transport, TRANSPORT_PCI);
    CHECK_EQ(c.device[1].type->transport, TRANSPORT_MMIO);
    CHECK_EQ(c.monitor[0], c.serial[0]);
    CHECK_STR(c.append, "console=ttyS0 root=/dev/vda rw");
    cli_expect_error("guise run", "nothing to boot");
    cli_expect_error("guise run --mmu shadow x", "--mmu shadow: not there yet");
    cli_expect_error("guise run --kernel k --engine kvm", "no engine 'kvm'");
    cli_expect_error("guise run /nonexistent/kernel", "/nonexistent/kernel: No such file");
}

static const char *device_name(unsigned n) { return n < c.devices ? c.device[n].type->name : ""; }

static void windows(void **state)
{
    (void)state;
    cli_expect_run("guise run --kernel k --window --net none"); /* one word is enough */
    CHECK(c.display.window && !c.display.full_screen && !c.display.no_close);
    CHECK_STR(device_name(0), "virtio-gpu-pci");
    CHECK_STR(device_name(1), "virtio-keyboard-pci");
    CHECK_STR(device_name(2), "virtio-tablet-pci");
    CHECK_EQ(c.chardev[c.serial[0]].kind, CHARDEV_VC);
    CHECK_EQ(c.chardev[c.monitor[0]].kind, CHARDEV_VC);
    CHECK(c.monitor[0] != c.serial[0]);
    CHECK_STR(c.append, "console=ttyS0 console=tty0");
    cli_expect_run("guise run --kernel k --append x --full-screen --display window,grab-mod=rctrl,window-close=off,"
                   "show-cursor=on,scaling=whole --device ramfb --device virtio-mouse-device --net none "
                   "--console mon:stdio");
    CHECK(c.display.window && c.display.full_screen && c.display.no_close && c.display.show_cursor && c.display.whole);
    CHECK_EQ(c.display.keys, GRAB_RIGHT_CTRL);
    CHECK_EQ(c.devices, 3);
    CHECK_STR(device_name(2), "virtio-keyboard-pci");
    CHECK_EQ(c.monitors, 1);
    CHECK_EQ(c.chardev[c.monitor[0]].kind, CHARDEV_STDIO);
    cli_expect_run("guise run --kernel k --window --display none --net none");
    CHECK(!c.display.window);
    CHECK_EQ(c.devices, 0);
    cli_expect_run("q -display sdl,gl=off,grab-mod=lshift-lctrl-lalt"); /* QEMU's board has no screen of its own */
    CHECK(c.display.window);
    CHECK_EQ(c.display.keys, GRAB_SHIFT_CTRL_ALT);
    CHECK_EQ(c.devices, 0);
    CHECK_EQ(c.chardev[c.serial[0]].kind, CHARDEV_VC);
    CHECK_EQ(c.chardev[c.monitor[0]].kind, CHARDEV_VC);
    cli_expect_run("q -display sdl -serial stdio -nodefaults");
    CHECK_EQ(c.chardev[c.serial[0]].kind, CHARDEV_STDIO);
    CHECK_EQ(c.monitors, 0);
    cli_expect_run("q -full-screen");
    CHECK(c.display.window && c.display.full_screen);
    cli_expect_run("q -display sdl -nographic");
    CHECK(!c.display.window);
    CHECK_EQ(c.chardev[c.serial[0]].kind, CHARDEV_STDIO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kunit),
        cmocka_unit_test(virtme_ng_console),
        cmocka_unit_test(virtme_ng_script_ports),
        cmocka_unit_test(tuxrun),
        cmocka_unit_test(syzkaller),
        cmocka_unit_test(wireguard),
        cmocka_unit_test(rcutorture),
        cmocka_unit_test(bpf_vmtest),
        cmocka_unit_test(xv6),
        cmocka_unit_test(rcore),
        cmocka_unit_test(firmware_in_flash),
        cmocka_unit_test(accelerators),
        cmocka_unit_test(native),
        cmocka_unit_test(windows),
        cmocka_unit_test(nothing_is_ignored_silently),
        cmocka_unit_test(a_simple_framebuffer_lies_at_the_top_of_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    config_free(&c);
    return failed;
}
