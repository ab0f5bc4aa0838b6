/* Networks on command lines: what existing tools give QEMU, QEMU's own forms, and --net; what they must mean. */
#include <string.h>

#include "base/bits.h"
#include "devices/nic.h"
#include "tests/unit/check.h"
#include "tests/unit/cli.h"

#define c cli_config

static const char *mac_of(unsigned device) { return device_prop(&c.device[device], "mac"); }
static const char *netdev_of(unsigned device) { return device_prop(&c.device[device], "netdev"); }

static const char *text_of(const struct net_addr *a)
{
    static char buf[4][NET_ADDR_TEXT];
    static unsigned at;

    return net_addr_none(a) ? "" : net_addr_text(a, buf[at++ % 4]);
}

static void tuxrun(void **state)
{
    (void)state;
    cli_expect_run("qemu-system-riscv64 -cpu rv64 -machine virt -nographic -net "
                   "nic,model=virtio,macaddr=52:54:00:12:34:58 -net user -m 4G -monitor none -no-reboot -smp 2 -kernel "
                   "Image -append console=ttyS0 -drive file=r,format=raw,id=hd0 -device virtio-blk-device,drive=hd0");
    CHECK_EQ(c.devices, 2);
    CHECK_EQ(c.device[1].type->kind, DEVICE_NET);
    CHECK_EQ(c.device[1].type->transport, TRANSPORT_PCI);
    CHECK_STR(mac_of(1), "52:54:00:12:34:58");
    CHECK_EQ(c.nets, 1); /* the hub of two is a cable */
    CHECK_EQ(c.net[0].mode, NET_NAT);
    CHECK_STR(netdev_of(1), c.net[0].id);
    CHECK(c.net[0].nat.host_loopback); /* as QEMU has it */
}

static void syzkaller(void **state)
{
    (void)state;
    cli_expect_run("qemu-system-riscv64 -m 2048 -smp 2 -display none -serial stdio -no-reboot -name VM-0 -device "
                   "virtio-rng-pci -machine virt -device virtio-net-pci,netdev=net0 -netdev "
                   "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:9-:22 -device virtio-blk-device,drive=hd0 -drive "
                   "file=disk.img,if=none,format=raw,id=hd0 -snapshot -kernel Image");
    CHECK_EQ(c.nets, 1);
    CHECK(c.net[0].nat.restrict_);
    CHECK_EQ(c.net[0].forwards, 1);
    CHECK_STR(c.net[0].forward[0].text, "tcp:127.0.0.1:9-:22");
    CHECK_EQ(c.net[0].forward[0].f.host_port, 9);
    CHECK_EQ(c.net[0].forward[0].f.guest_port, 22);
    CHECK_STR(mac_of(1), "52:54:00:12:34:56");
}

static void virtme_ng(void **state)
{
    (void)state;
    cli_expect_run("q -nographic -net none -kernel k");
    CHECK_EQ(c.nets, 0);
    CHECK_EQ(c.devices, 0);
    cli_expect_run("q -nographic -device virtio-net-pci,netdev=n0 -netdev user,id=n0 -device virtio-net-pci,netdev=n1 "
                   "-netdev bridge,id=n1,br=virbr0 -device virtio-net-pci,netdev=n2 -netdev hubport,id=n2,hubid=0 "
                   "-kernel k");
    CHECK_EQ(c.nets, 3);
    CHECK_EQ(c.net[1].mode, NET_BRIDGE);
    CHECK_STR(c.net[1].name, "virbr0");
    CHECK_EQ(c.net[2].mode, NET_HUB);
    CHECK_STR(mac_of(0), "52:54:00:12:34:56");
    CHECK_STR(mac_of(2), "52:54:00:12:34:58");
    cli_expect_run("q -M virt -nographic -device virtio-net-device,netdev=n0 -netdev user,id=n0 -kernel k"); /* mmio */
    CHECK_EQ(c.device[0].type->transport, TRANSPORT_MMIO);
}

/* QEMU 10's riscv64 virt board makes no adapter that was not asked for. */
static void no_adapter_unless_asked(void **state)
{
    (void)state;
    cli_expect_run("q -nographic -kernel k");
    CHECK_EQ(c.nets, 0);
    CHECK_EQ(c.devices, 0);
    cli_expect_run("q -nodefaults -nographic -nic none -kernel k");
    CHECK_EQ(c.nets, 0);
}

static void nic_is_network_and_adapter(void **state)
{
    (void)state;
    cli_expect_run("q -nographic -nic user,model=e1000e,mac=02:00:00:00:00:01,hostfwd=tcp::2222-:22,id=u0 -nic "
                   "user,model=virtio-net-device");
    CHECK_EQ(c.nets, 2);
    CHECK_STR(c.net[0].id, "u0");
    CHECK_EQ(c.devices, 2);
    CHECK_EQ(c.device[0].type->kind, DEVICE_E1000E);
    CHECK_STR(mac_of(0), "02:00:00:00:00:01");
    CHECK_STR(netdev_of(0), "u0");
    CHECK_EQ(c.device[1].type->transport, TRANSPORT_MMIO);
    CHECK_STR(mac_of(1), "52:54:00:12:34:56");
    CHECK_EQ(cli_run("q -nic user,model=help"), CLI_DONE);
    CHECK_EQ(cli_run("q -netdev help"), CLI_DONE);
}

static void addresses_given_are_not_given_again(void **state)
{
    (void)state;
    cli_expect_run("q -nographic -nic user -nic user,mac=52:54:00:12:34:56 -nic user");
    CHECK_STR(mac_of(0), "52:54:00:12:34:57");
    CHECK_STR(mac_of(1), "52:54:00:12:34:56");
    CHECK_STR(mac_of(2), "52:54:00:12:34:58");
}

/* Two machines on one network must not have one address; a machine by its name has the same one each time. */
static void machines_that_share_a_network_differ(void **state)
{
    char alpha[24], mac[24];
    uint8_t bytes[6];

    (void)state;
    cli_expect_run("guise run --kernel k --name alpha --net internal:lab --net bridge:eth0");
    snprintf(alpha, sizeof alpha, "%s", mac_of(0));
    CHECK(nic_mac_parse(alpha, bytes) && strcmp(alpha, mac_of(1)));
    cli_expect_run("guise run --kernel k --name beta --net internal:lab");
    CHECK(strcmp(alpha, mac_of(0)));
    cli_expect_run("guise run --kernel k --name alpha --net internal:lab --net nat");
    CHECK_STR(mac_of(0), alpha);
    CHECK_STR(mac_of(1), "52:54:00:12:34:56");
    cli_expect_run("guise run --kernel k --net internal:lab");
    snprintf(mac, sizeof mac, "%s", mac_of(0));
    cli_expect_run("guise run --kernel k --net internal:lab");
    CHECK(strcmp(mac, mac_of(0)));
}

static void every_key_of_user(void **state)
{
    const struct net_config *n = &c.net[0];

    (void)state;
    cli_expect_run("q -nographic -netdev user,id=u,ipv4=on,ipv6=off,net=192.168.76.0/24,host=192.168.76.9,restrict=off,"
                   "hostname=vm,dhcpstart=192.168.76.40,dns=192.168.76.8,dnssearch=a.example,dnssearch=b.example,"
                   "domainname=example,tftp=/srv,tftp-server-name=boot,bootfile=grub.efi,"
                   "hostfwd=tcp::1-:2,hostfwd=udp:127.0.0.1:3-192.168.76.40:4,"
                   "guestfwd=tcp:192.168.76.77:80-cmd:echo~hi");
    CHECK(!n->nat.no_ipv4 && n->nat.no_ipv6);
    CHECK_STR(text_of(&n->nat.net), "192.168.76.0");
    CHECK_EQ(n->nat.prefix_len, 24);
    CHECK_STR(text_of(&n->nat.host), "192.168.76.9");
    CHECK_STR(text_of(&n->nat.dns), "192.168.76.8");
    CHECK_STR(text_of(&n->nat.dhcp_start), "192.168.76.40");
    CHECK_STR(n->nat.hostname, "vm");
    CHECK_STR(n->nat.domainname, "example");
    CHECK_STR(n->nat.dnssearch[0], "a.example");
    CHECK_STR(n->nat.dnssearch[1], "b.example");
    CHECK(!n->nat.dnssearch[2]);
    CHECK_STR(n->nat.tftp, "/srv");
    CHECK_STR(n->nat.tftp_server_name, "boot");
    CHECK_STR(n->nat.bootfile, "grub.efi");
    CHECK_EQ(n->forwards, 2);
    CHECK(n->forward[1].f.udp);
    CHECK_EQ(n->guestfwds, 1);
    CHECK_STR(n->guestfwd[0].target, "cmd:echo hi");
    CHECK(!n->nat.no_dhcp);
}

/* Where QEMU puts gateway, DNS and the first guest in large networks (net/slirp.c); in others the NAT decides. */
static void gateway_addresses_follow_the_network(void **state)
{
    const struct nat_config *n = &c.net[0].nat;

    (void)state;
    cli_expect_run("q -nographic -netdev user,id=u");
    CHECK(net_addr_none(&n->net) && net_addr_none(&n->host));
    cli_expect_run("q -nographic -netdev user,id=u,net=10.0.0.0/8,ipv6-net=fd00:1::/64");
    CHECK_STR(text_of(&n->host), "10.0.2.2");
    CHECK_STR(text_of(&n->dns), "10.0.2.3");
    CHECK_STR(text_of(&n->dhcp_start), "10.0.2.15");
    CHECK_STR(text_of(&n->net6), "fd00:1::");
    cli_expect_run("q -nographic -netdev user,id=u,net=172.16.0.0/12");
    CHECK_STR(text_of(&n->host), "172.16.2.2");
    cli_expect_run("q -nographic -netdev user,id=u,host=192.168.9.1");
    CHECK_STR(text_of(&n->net), "192.168.9.0");
    cli_expect_run("q -nographic -netdev user,id=u,net=10.9.8.64/26,ipv6-prefix=fd00:2::,ipv6-prefixlen=60,"
                   "ipv6-host=fd00:2::9,ipv6-dns=fd00:2::8");
    CHECK(net_addr_none(&n->host) && net_addr_none(&n->dhcp_start));
    CHECK_EQ(n->prefix6_len, 60);
    CHECK_STR(text_of(&n->host6), "fd00:2::9");
}

static void json_is_the_same(void **state)
{
    (void)state;
    cli_expect_run("q -nographic -netdev {\"type\":\"user\",\"id\":\"n\",\"restrict\":true,\"hostfwd\":[{\"str\":"
                   "\"tcp::1-:2\"},{\"str\":\"tcp::3-:4\"}],\"dnssearch\":[{\"str\":\"x,y\"}],\"ipv6-prefixlen\":60}");
    CHECK_EQ(c.net[0].forwards, 2);
    CHECK(c.net[0].nat.restrict_);
    CHECK_STR(c.net[0].nat.dnssearch[0], "x,y");
    CHECK_EQ(c.net[0].nat.prefix6_len, 60);
    cli_expect_run(
        "q -nographic -netdev {\"type\":\"stream\",\"id\":\"n\",\"server\":false,\"addr\":{\"type\":\"unix\","
        "\"path\":\"/tmp/passt.socket\"},\"reconnect-ms\":500}");
    CHECK_STR(c.net[0].stream.path, "/tmp/passt.socket");
    CHECK_EQ(c.net[0].stream.reconnect_ms, 500);
    cli_expect_error("q -netdev {\"type\":\"user\",}", "JSON");
    cli_expect_error("q -netdev {\"type\":\"user\",\"id\":null}", "JSON: id");
}

static void taps_and_bridges(void **state)
{
    (void)state;
    cli_expect_run("q -nographic -netdev tap,id=t,ifname=tap7,script=no,downscript=no,vhost=off,queues=2,sndbuf=0 "
                   "-device virtio-net-pci,netdev=t,mq=on,vectors=6");
    CHECK_EQ(c.net[0].mode, NET_TAP);
    CHECK_STR(c.net[0].name, "tap7");
    CHECK_EQ(c.net[0].queues, 2);
    cli_expect_run("q -nographic -netdev tap,id=t,fds=7:8:9 -netdev tap,id=u,fd=3 -netdev "
                   "tap,id=v,br=br7,helper=/usr/lib/qemu/qemu-bridge-helper -netdev bridge,id=b");
    CHECK_EQ(c.net[0].fd, 7);
    CHECK_STR(c.net[0].spare_fds, "8:9");
    CHECK_EQ(c.net[1].fd, 3);
    CHECK_STR(c.net[2].bridge, "br7");
    CHECK_STR(c.net[2].helper, "/usr/lib/qemu/qemu-bridge-helper");
    CHECK_STR(c.net[3].name, "br0");
}

static void sockets(void **state)
{
    (void)state;
    cli_expect_run("q -nographic -netdev socket,id=a,listen=:1234 -netdev socket,id=b,connect=127.0.0.1:1234 -netdev "
                   "socket,id=c,mcast=230.0.0.1:1234,localaddr=127.0.0.1 -netdev "
                   "socket,id=d,udp=127.0.0.1:1,localaddr=127.0.0.1:2 -netdev socket,id=e,fd=5");
    CHECK(c.net[0].stream.server);
    CHECK_STR(c.net[0].stream.host, "0.0.0.0"); /* as QEMU: it was asked for */
    CHECK_STR(c.net[0].stream.port, "1234");
    CHECK(!c.net[1].stream.server);
    CHECK_EQ(c.net[2].mode, NET_DGRAM);
    CHECK_STR(c.net[2].dgram.mcast, "230.0.0.1:1234");
    CHECK_STR(c.net[2].dgram.local_host, "127.0.0.1");
    CHECK_STR(c.net[3].dgram.remote_port, "1");
    CHECK_STR(c.net[3].dgram.local_port, "2");
    CHECK_EQ(c.net[4].fd, 5);
    cli_expect_run("q -nographic -netdev stream,id=a,server=on,addr.type=inet,addr.host=127.0.0.1,addr.port=1 -netdev "
                   "stream,id=b,addr.type=unix,addr.path=/x,reconnect=3 -netdev "
                   "dgram,id=c,local.type=unix,local.path=/l,remote.type=unix,remote.path=/r -netdev "
                   "dgram,id=d,remote.type=inet,remote.host=230.0.0.1,remote.port=9,local.type=inet,"
                   "local.host=127.0.0.1,local.port=0 -netdev dgram,id=e,local.type=fd,local.str=4");
    CHECK(c.net[0].stream.server);
    CHECK_EQ(c.net[1].stream.reconnect_ms, 3000);
    CHECK_STR(c.net[2].dgram.local_path, "/l");
    CHECK_STR(c.net[3].dgram.mcast, "230.0.0.1:9");
    CHECK(!c.net[3].dgram.remote_host);
    CHECK_EQ(c.net[4].fd, 4);
}

static void hubs(void **state)
{
    (void)state;
    cli_expect_run(
        "q -nographic -netdev user,id=u -netdev hubport,id=h0,hubid=3,netdev=u -netdev hubport,id=h1,hubid=3 "
        "-device e1000e,netdev=h1");
    CHECK_EQ(c.nets, 3);
    CHECK_EQ(c.net[1].hub, 3);
    CHECK_STR(c.net[1].peer, "u");
    cli_expect_run("q -nographic -net nic -net nic -net user");
    CHECK_EQ(c.nets, 4); /* three on the hub */
    CHECK_STR(netdev_of(0), "hub0port0");
    CHECK_STR(netdev_of(1), "hub0port1");
    cli_expect_run("q -nographic -netdev user,id=u -net nic,netdev=u,model=e1000e");
    CHECK_EQ(c.nets, 1);
    CHECK_STR(netdev_of(0), "u");
}

static void dumps(void **state)
{
    (void)state;
    cli_expect_run("q -nographic -object filter-dump,id=f,netdev=n,file=x.pcap,maxlen=128,queue=rx -netdev user,id=n");
    CHECK_EQ(c.net[0].captures, 1);
    CHECK(c.net[0].capture[0].o.classic);
    CHECK_EQ(c.net[0].capture[0].o.snaplen, 128);
    CHECK_EQ(c.net[0].capture[0].o.only_from, 0);
    CHECK_STR(c.net[0].capture[0].o.path, "x.pcap");
    cli_expect_error("q -object filter-dump,id=f,netdev=n,file=x -nographic", "no network 'n'");
}

static void natively_a_nat_unless_told_otherwise(void **state)
{
    (void)state;
    cli_expect_run("guise run --kernel k");
    CHECK_EQ(c.nets, 1);
    CHECK_EQ(c.net[0].mode, NET_NAT);
    CHECK_STR(c.net[0].id, "net0");
    CHECK(!c.net[0].nat.host_loopback); /* the host's loopback is not the guest's business */
    CHECK(!c.net[0].nat.no_dhcp);
    CHECK_EQ(c.devices, 1);
    CHECK_EQ(c.device[0].type->kind, DEVICE_NET);
    CHECK_STR(mac_of(0), "52:54:00:12:34:56");
    cli_expect_run("guise run --kernel k --net none");
    CHECK_EQ(c.nets + c.devices, 0);
    cli_expect_run("guise run --kernel k --forward 2222:22 --forward udp:53-5353 --capture x.pcapng");
    CHECK_EQ(c.net[0].forwards, 2);
    CHECK_STR(c.net[0].capture[0].o.path, "x.pcapng");
    cli_expect_error("guise run --kernel k --net none --forward 1:1", "--net none: and a network too");
    CHECK_EQ(cli_run("guise run --net help"), CLI_DONE);
}

static void one_grammar_in_every_mode(void **state)
{
    static const char *const modes[] = {"nat", "natnet:lab", "hostonly:lab",  "internal:lab", "bridge:eth0",
                                        "tap", "tap:tap0",   "stream:/tmp/s", "passt:/tmp/s", "mcast:230.0.0.1:9"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        const struct net_config *n = &c.net[0];
        char line[512];

        snprintf(line, sizeof line,
                 "guise run --kernel k --net %s,forward=tcp:2222-22,dhcp=on,mac=02:00:00:00:00:09,mtu=9000,"
                 "capture=x.pcapng,capture-filter=tcp,drop=1%%,delay=10ms,jitter=1ms,rate=100mbit,reorder=2%%,"
                 "duplicate=3%%,seed=5,link=off,model=virtio,bus=mmio",
                 modes[i]);
        cli_expect_run(line);
        CHECK(n->forwards == 1 && n->dhcp && !n->nat.no_dhcp && n->mtu == 9000 && n->nat.mtu == 9000);
        CHECK(n->captures == 1 && n->link_down && n->impaired);
        CHECK_STR(n->capture[0].o.filter, "tcp");
        CHECK(n->impair.drop == 10000 && n->impair.delay == 10000000 && n->impair.jitter == 1000000);
        CHECK(n->impair.rate == 100000000 && n->impair.reorder == 20000 && n->impair.duplicate == 30000);
        CHECK_EQ(n->impair.seed, 5);
        CHECK_EQ(c.device[0].type->transport, TRANSPORT_MMIO);
        CHECK_STR(device_prop(&c.device[0], "host_mtu"), "9000");
        CHECK_STR(mac_of(0), "02:00:00:00:00:09");
    }
}

static void native_keys(void **state)
{
    const struct net_config *n = &c.net[0];

    (void)state;
    cli_expect_run(
        "guise run --kernel k --net nat,net=10.7.0.0/16,net=fd00:7::/64,host-loopback=on,restrict=on,ipv6=off,"
        "lease=02:00:00:00:00:01=10.7.0.20/alpha,lease=02:00:00:00:00:02=10.7.0.21,hostname=vm,domain=lab,"
        "search=a,search=b,ntp=10.7.2.2,tftp=/srv,bootfile=x,guestfwd=10.7.0.99:80-unix:/s,dhcp=off");
    CHECK_STR(text_of(&n->nat.host), "10.7.2.2");
    CHECK_STR(text_of(&n->nat.net6), "fd00:7::");
    CHECK(n->nat.host_loopback && n->nat.restrict_ && n->nat.no_ipv6 && n->nat.no_dhcp);
    CHECK_EQ(n->nat.leases, 2);
    CHECK_EQ(n->nat.lease[1].mac[5], 2);
    CHECK_STR(text_of(&n->nat.lease[0].addr), "10.7.0.20");
    CHECK_STR(n->nat.lease[0].hostname, "alpha");
    CHECK(!n->nat.lease[1].hostname);
    CHECK_STR(text_of(&n->nat.ntp), "10.7.2.2");
    cli_expect_run("guise run --kernel k --net internal:lab --net hostonly:mine,tap=vh0,isolated=on,model=e1000e --net "
                   "nat,id=up,model=none --device virtio-net-pci,netdev=up,mq=on,packed=on");
    CHECK(c.net[0].nat.no_dhcp && !c.net[1].nat.no_dhcp); /* an internal network has a server only when asked */
    CHECK(c.net[1].isolated);
    CHECK_STR(c.net[1].tap, "vh0");
    CHECK_EQ(c.devices, 3);
    CHECK_STR(netdev_of(0), "up");
    cli_expect_run(
        "guise run --kernel k --net dgram,local=/l,remote=127.0.0.1:7 --net stream:7000,server=on,reconnect=2s");
    CHECK_STR(c.net[0].dgram.local_path, "/l");
    CHECK_STR(c.net[0].dgram.remote_port, "7");
    CHECK(c.net[1].stream.server && c.net[1].stream.reconnect_ms == 2000);
    CHECK_STR(c.net[1].stream.host, "127.0.0.1");
}

static void nothing_is_ignored_silently(void **state)
{
    static const struct {
        const char *line, *part;
    } cases[] = {
        {"q -netdev user", "needs id=NAME"},
        {"q -netdev usr,id=a", "no network of type 'usr'; the nearest one is user"},
        {"q -netdev user,id=a,restrct=on", "unknown property 'restrct'; the nearest one is 'restrict'"},
        {"q -netdev user,id=a,restrict=maybe", "restrict=maybe: expected on or off"},
        {"q -netdev user,id=a -netdev user,id=a", "there is a network of that name already"},
        {"q -netdev user,id=a,hostfwd=tcp::1-22", "Invalid host forwarding rule"},
        {"q -netdev user,id=a,smb=/x", "a file server is not there"},
        {"q -netdev user,id=a,net=10.0.2.0/31", "expected an IPv4 network"},
        {"q -netdev user,id=a,host=fec0::2", "expected an IPv4 address"},
        {"q -netdev tap,id=a,vhost=on", "vhost=on"},
        {"q -netdev socket,id=a", "exactly one of"},
        {"q -netdev socket,id=a,listen=:1,connect=:2", "exactly one of"},
        {"q -netdev socket,id=a,udp=127.0.0.1:1", "needs localaddr"},
        {"q -netdev socket,id=a,listen=x", "expected HOST:PORT"},
        {"q -netdev stream,id=a", "needs addr.type="},
        {"q -netdev stream,id=a,addr.type=unix", "needs addr.path="},
        {"q -netdev stream,id=a,addr.type=vsock", "expected inet, unix or fd"},
        {"q -netdev dgram,id=a", "needs local.type="},
        {"q -netdev hubport,id=a", "needs hubid="},
        {"q -netdev passt,id=a", "start passt yourself"},
        {"q -netdev vde,id=a", "vde is not there"},
        {"q -netdev vhost-user,id=a,chardev=x", "vhost-user is not there"},
        {"q -netdev l2tpv3,id=a", "l2tpv3 is not there"},
        {"q -nographic -device virtio-net-pci,netdev=x", "no network 'x'"},
        {"q -nographic -netdev user,id=a -device e1000e,netdev=a -device e1000e,netdev=a", "is in use already"},
        {"q -nographic -device virtio-net-pci,mac=01:00:00:00:00:01", "not a group's"},
        {"q -nographic -device virtio-net-pci,nosuch=1", "no property 'nosuch'"},
        {"q -nographic -device virtio-net-pci,rss=on", "rss=on: not there yet"},
        {"q -nographic -device e1000", "e1000e and virtio-net-pci are"},
        {"q -nographic -nic user,model=rtl8139", "model=rtl8139: not there"},
        {"q -nographic -net nic,model=ne2k", "there are virtio"},
        {"q -nographic -netdev hubport,id=h,hubid=0,netdev=x", "no network 'x'"},
        {"q -object filter-dump,id=f,netdev=n", "needs netdev=ID and file=FILE"},
        {"guise run --net nta", "no network 'nta'; the nearest one is nat"},
        {"guise run --net bridge", "expected bridge:INTERFACE"},
        {"guise run --net nat:x", "takes no name"},
        {"guise run --net internal:", "expected internal:NAME"},
        {"guise run --net internal:x,restrict=on", "restrict= has no meaning with internal"},
        {"guise run --net nat,isolated=on", "isolated= has no meaning with nat"},
        {"guise run --net nat,drop=1", "expected a percentage"},
        {"guise run --net nat,mtu=67", "mtu=67: expected a number, 68 to 65535"},
        {"guise run --net nat,mac=1", "mac=1: expected an address"},
        {"guise run --net nat,capture-filter=tcp", "go with capture="},
        {"guise run --net nat,lease=02:00:00:00:00:01", "expected MAC=ADDRESS"},
        {"guise run --net nat,lease=02:00:00:00:00:01=fec0::7", "expected MAC=ADDRESS"},
        {"guise run --net nat,forward=x", "a forward is tcp:2222-22"},
        {"guise run --net nat,model=e1000e,bus=mmio --kernel k", "sits on PCI only"},
        {"guise run --net nat,model=pcnet --kernel k", "model=pcnet: there are virtio"},
        {"guise run --net nat,model=e1000e,queues=4 --kernel k", "e1000e has one pair"},
        {"guise run --net dgram", "needs local= and remote="},
        {"guise run --net none,mac=02:00:00:00:00:01", "takes no keys"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        cli_expect_error(cases[i].line, cases[i].part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tuxrun),
        cmocka_unit_test(syzkaller),
        cmocka_unit_test(virtme_ng),
        cmocka_unit_test(no_adapter_unless_asked),
        cmocka_unit_test(nic_is_network_and_adapter),
        cmocka_unit_test(addresses_given_are_not_given_again),
        cmocka_unit_test(machines_that_share_a_network_differ),
        cmocka_unit_test(every_key_of_user),
        cmocka_unit_test(gateway_addresses_follow_the_network),
        cmocka_unit_test(json_is_the_same),
        cmocka_unit_test(taps_and_bridges),
        cmocka_unit_test(sockets),
        cmocka_unit_test(hubs),
        cmocka_unit_test(dumps),
        cmocka_unit_test(natively_a_nat_unless_told_otherwise),
        cmocka_unit_test(one_grammar_in_every_mode),
        cmocka_unit_test(native_keys),
        cmocka_unit_test(nothing_is_ignored_silently),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    config_free(&c);
    return failed;
}
