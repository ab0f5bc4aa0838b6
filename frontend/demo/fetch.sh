#!/bin/sh
# Debian packages of another suite and architecture, through this machine's own apt configuration.
#
# A private apt root under $1 holds the lists and the packages; /etc/apt.conf.d (proxies, pinned certificates) stays in
# force, the machine's own state is not touched and no privilege is needed. The mirror is the one the machine uses for
# Debian, or $GUISE_MIRROR on systems that are not Debian.
#
#   fetch.sh DIR SUITE ARCH update            read the package lists
#   fetch.sh DIR SUITE ARCH download PKG...   the named packages themselves, into DIR/SUITE-ARCH/packages
#   fetch.sh DIR SUITE ARCH mirror            print the mirror
#   fetch.sh DIR SUITE ARCH depends PKG       names of the packages PKG depends on, real ones only
set -eu

dir=$1 suite=$2 arch=$3 verb=$4
shift 4
root=$dir/$suite-$arch

die() {
    echo "guise: $*" >&2
    exit 1
}

find_mirror() {
    if [ -n "${GUISE_MIRROR:-}" ]; then
        echo "$GUISE_MIRROR"
        return
    fi
    command -v apt-get >/dev/null || die "no apt here: name a Debian mirror with GUISE_MIRROR=http://..."
    # Sources of Debian's main component that are not the security archive; their site carries all suites.
    apt-get indextargets --format '$(SITE) $(CODENAME) $(COMPONENT) $(ORIGIN) $(IDENTIFIER)' 2>/dev/null |
        awk '$3 == "main" && $NF == "Packages" && $0 ~ / Debian / && $2 !~ /security|updates|backports/ {print $1; exit}'
}

find_keyring() {
    for k in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
        [ -r "$k" ] && echo "$k" && return
    done
    die "Debian's archive keys are missing: install debian-archive-keyring"
}

mirror=$(find_mirror)
[ -n "$mirror" ] || die "no Debian mirror in this machine's apt configuration: name one with GUISE_MIRROR=http://..."
[ "$verb" = mirror ] && echo "$mirror" && exit 0

make_root() {
    mkdir -p "$root/state/lists/partial" "$root/cache/archives/partial" "$root/packages"
    : >"$root/state/status"
    echo "deb [arch=$arch signed-by=$(find_keyring)] $mirror $suite main" >"$root/sources.list"
    cat >"$root/apt.conf" <<EOF
Dir::State "$root/state";
Dir::State::status "$root/state/status";
Dir::Cache "$root/cache";
Dir::Etc::sourcelist "$root/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::Etc::trustedparts "/dev/null";
APT::Architecture "$arch";
APT::Architectures { "$arch"; };
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "3";
EOF
}

[ -f "$root/apt.conf" ] || make_root
export APT_CONFIG="$root/apt.conf"

case $verb in
update)
    make_root
    apt-get update
    ;;
download)
    mkdir -p "$root/packages" # the demo takes it away when it has unpacked its own
    cd "$root/packages"
    apt-get download "$@"
    ;;
depends)
    apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances "$1" |
        awk '$1 ~ /Depends:/ && $2 !~ /^</ {print $2}'
    ;;
*)
    die "fetch.sh: unknown verb $verb"
    ;;
esac
