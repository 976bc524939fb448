#!/bin/sh
# Installs the Debian packages that the project needs; prints nothing when all are there.
# Everything else comes from requirements.txt into .venv.
set -eu

packages="
gcc libc6-dev pkg-config        compiler for the forwarder
python3 python3-venv python3-dev  the control plane
libdpdk-dev dpdk                the forwarder's packet I/O (22.11) and its tools
libbpf-dev                      AF_XDP
openvswitch-switch-dpdk         a peer of the forwarding bench; never started by itself
clang clang-format llvm         the 802.1Q shim of the lab (eBPF), libFuzzer, C formatting
libclang-rt-14-dev              sanitizers and libFuzzer of clang 14
frr gobgpd bird2                real BGP peers
bgpdump                         reads our recordings, as others do
iproute2 ethtool iputils-ping procps  namespaces and links of the lab
iperf3 traceroute tshark tcpdump  packets, counted, followed and read
git                             tests read the version of the tree
"

missing=""
for name in $(printf '%s' "$packages" | sed 's/  .*//'); do
	dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing="$missing $name"
done
[ -z "$missing" ] && exit 0

if [ "$(id -u)" != 0 ]; then
	echo "install-debian: these packages are missing and only root can install them:$missing" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -q >/dev/null
# wireshark-common asks a question otherwise; daemons must not start by themselves
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d.ccn
chmod +x /usr/sbin/policy-rc.d.ccn
if [ ! -e /usr/sbin/policy-rc.d ]; then
	ln -s policy-rc.d.ccn /usr/sbin/policy-rc.d
	trap 'rm -f /usr/sbin/policy-rc.d /usr/sbin/policy-rc.d.ccn' EXIT
else
	trap 'rm -f /usr/sbin/policy-rc.d.ccn' EXIT
fi
# shellcheck disable=SC2086
apt-get install -q -y --no-install-recommends $missing
# nor at the next boot, unless it was here before
case "$missing" in
*openvswitch*) systemctl disable openvswitch-switch ovsdb-server ovs-vswitchd >/dev/null 2>&1 || true ;;
esac
