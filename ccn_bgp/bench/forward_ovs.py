"""OVS-DPDK as a peer: VXLAN in, a flow per route and VM, VXLAN out, on the same frames.

It runs in a network namespace and a directory of its own and is gone afterwards. Two bridges as its
documentation has them: `br-phy` with the port and our VTEP's address, `br-int` with a VXLAN port
whose key and remote address come from flows. In: a pcap file and the scale of tables. Out: a Rate.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ccn_bgp.bench import frames, rows
from ccn_bgp.bench.forward_peers import (
    BUFFER,
    Rate,
    Sample,
    cpu,
    forget_runtime,
    nanoseconds,
    sampled,
)
from ccn_bgp.bench.forward_tables import Scale
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.lab import netns
from ccn_bgp.model.bgp import Ip, Mac

DAEMON = Path("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk")
_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
_NEIGHBOR = "02:00:c0:00:02:66"
_PORT, _TUNNEL = 5, 1
FLOWS_PER_SECOND = 20_000
"""Of which it has learned so many megaflows per second, at least; measuring begins then."""


def why_not() -> str:
    """Why it cannot be run here; empty if it can."""
    if not DAEMON.exists():
        return "openvswitch-switch-dpdk is not installed"
    if os.geteuid() != 0:
        return "it needs root"
    return ""


def measure(source: Path, scale: Scale, directory: Path, intervals: int) -> Rate:
    """Its one PMD thread on the CPU that the others have."""
    name = f"ccn-bench-{os.getpid()}-ovs"
    netns.batch([f"netns add {name}"])
    try:
        with _running(name, directory, scale) as run:
            _bridges(run, name, scale, directory)
            _vsctl(
                run,
                f"add-port br-phy p0 -- set Interface p0 type=dpdk ofport_request={_PORT} "
                f"options:dpdk-devargs=net_pcap0,rx_pcap={source},infinite_rx=1",
            )
            time.sleep(3.0 + scale.flows / FLOWS_PER_SECOND)
            return sampled(
                lambda: Sample(_sent(run), nanoseconds(int(run["pid"]), "pmd-")), intervals
            )
    finally:
        netns.delete([name])


@contextmanager
def _running(name: str, directory: Path, scale: Scale) -> Iterator[dict[str, str]]:
    """The database and the daemon; their environment, and the daemon's process id."""
    where = str(directory)
    run = {"OVS_RUNDIR": where, "OVS_LOGDIR": where, "OVS_DBDIR": where}
    memory = 768 + 2 * scale.flows * BUFFER // 1048576
    settings = {
        "dpdk-init": "true",
        "pmd-cpu-mask": hex(1 << cpu()),
        "dpdk-lcore-mask": hex(1 << min(os.sched_getaffinity(0))),
        "dpdk-extra": f'"--no-huge --legacy-mem -m {memory} --no-pci --no-telemetry '
        f'--file-prefix=bench-ovs-{os.getpid()}"',
    }
    try:
        _shell(
            run,
            f"ovsdb-tool create {where}/conf.db {_SCHEMA}\n"
            f"ovsdb-server {where}/conf.db --remote=punix:{where}/db.sock --detach --no-chdir "
            f"--pidfile={where}/ovsdb.pid --log-file={where}/ovsdb.log -vconsole:off",
        )
        _vsctl(run, "--no-wait init")
        for key, value in settings.items():
            _vsctl(run, f"--no-wait set Open_vSwitch . 'other_config:{key}={value}'")
        netns.run(
            name,
            f"ip link set lo up\n{DAEMON} unix:{where}/db.sock --pidfile={where}/vswitchd.pid "
            f"--detach --no-chdir --log-file={where}/vswitchd.log -vconsole:off >/dev/null 2>&1",
            run,
        )
        run["pid"] = (directory / "vswitchd.pid").read_text().strip()
        yield run
    finally:
        for file in ("vswitchd.pid", "ovsdb.pid"):
            _end(directory / file)
        forget_runtime(f"bench-ovs-{os.getpid()}")


def _end(file: Path) -> None:
    if not file.exists():
        return
    process = int(file.read_text())
    try:
        os.kill(process, signal.SIGTERM)
        for _ in range(100):
            os.kill(process, 0)
            time.sleep(0.1)
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def _bridges(run: Mapping[str, str], name: str, scale: Scale, directory: Path) -> None:
    for bridge in ("br-int", "br-phy"):
        _vsctl(
            run,
            f"add-br {bridge} -- set bridge {bridge} datapath_type=netdev fail-mode=secure"
            f" other-config:hwaddr={_text(frames.PORT_MAC)}",
        )
    _vsctl(
        run,
        f"add-port br-int vx0 -- set interface vx0 type=vxlan options:remote_ip=flow "
        f"options:key=flow ofport_request={_TUNNEL}",
    )
    netns.run(
        name,
        f"ip addr add {Ip(rows.GATEWAY)}/24 dev br-phy\nip link set br-phy up\n"
        f"ip route add default via {Ip(rows.ROUTER)}",
    )
    time.sleep(1.0)  # it learns routes from the kernel
    for neighbor in (rows.OTHER_HOST, rows.ROUTER):
        _appctl(run, f"tnl/arp/set br-phy {Ip(neighbor)} {_NEIGHBOR}")
    file = directory / "br-phy.flows"
    file.write_text(f"in_port=LOCAL,actions={_PORT}\nin_port={_PORT},actions=LOCAL\n")
    _add_flows(run, "br-phy", file)
    file = directory / "br-int.flows"
    with file.open("w") as out:
        out.writelines(_flows(scale))
    _add_flows(run, "br-int", file)


def _flows(scale: Scale) -> Iterator[str]:
    """One for each VM, and one for each route to the remote gateway."""
    rewrite = "actions=dec_ttl,set_field:{}->tun_id,set_field:{}->tun_dst,set_field:{}->eth_src"
    ours, remote_mac = _text(rows.ROUTER_MAC), _text(rows.REMOTE_MAC)
    for tenant in range(scale.tenants):
        vni, l3 = rows.FIRST_VPC_VNI + tenant, rows.FIRST_L3_VNI + tenant
        near = rewrite.format(vni, Ip(rows.OTHER_HOST), ours)
        far = rewrite.format(l3, Ip(rows.REMOTE), ours)
        for route, address in enumerate(rows.destination(np.arange(scale.routes)).tolist()):
            match = f"tun_id={vni},ip,nw_dst="
            if route % 2:
                prefix = Ip((address & ~0xFF).to_bytes(4, "big"))
                yield f"{match}{prefix}/24,{far},set_field:{remote_mac}->eth_dst,in_port\n"
                continue
            for vm in range(address, address + scale.vms):
                ip = vm.to_bytes(4, "big")
                mac = _text(b"\x02\x00" + ip)
                yield f"{match}{Ip(ip)},{near},set_field:{mac}->eth_dst,in_port\n"


def _text(mac: bytes) -> str:
    return str(Mac(mac))


def _sent(run: Mapping[str, str]) -> int:
    """Frames that have left by the port: looked up and rewritten."""
    found = re.search(r"port \d+: p0 .*?TX packets:(\d+)", _appctl(run, "dpctl/show -s"), re.DOTALL)
    if not found:
        raise CcnError(Problem("OVS-DPDK", "has no port p0", "is the pcap file readable?"))
    return int(found[1])


def _vsctl(run: Mapping[str, str], command: str) -> None:
    _shell(run, f"ovs-vsctl --db=unix:{run['OVS_RUNDIR']}/db.sock --timeout=60 {command}")


def _add_flows(run: Mapping[str, str], bridge: str, file: Path) -> None:
    _shell(run, f"ovs-ofctl -O OpenFlow13 add-flows unix:{run['OVS_RUNDIR']}/{bridge}.mgmt {file}")


def _appctl(run: Mapping[str, str], command: str) -> str:
    control = f"{run['OVS_RUNDIR']}/ovs-vswitchd-dpdk.{run['pid']}.ctl"
    return _shell(run, f"ovs-appctl -t {control} {command}")


def _shell(run: Mapping[str, str], script: str) -> str:
    done = subprocess.run(
        ["sh", "-eu"],
        input=script,
        text=True,
        capture_output=True,
        check=False,
        env={**os.environ, **run},
    )
    if done.returncode:
        last = (done.stderr or done.stdout or "it said nothing").strip().splitlines()[-1]
        raise CcnError(Problem("OVS-DPDK", last))
    return done.stdout
