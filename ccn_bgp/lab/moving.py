"""`ccn lab move-vm` and `kill`: what an operator does to a running lab."""

from __future__ import annotations

import signal
from pathlib import Path

from ccn_bgp.errors import CcnError, InputError, Problem
from ccn_bgp.lab import netns
from ccn_bgp.lab.building import connect, run_scripts
from ccn_bgp.lab.layout import Layout, Subnet, VmNode, host_node, underlay_node
from ccn_bgp.lab.scripts import Script, host_cable, host_script, underlay_port, vm_port_script
from ccn_bgp.lab.state import Lab, move_host, nearest
from ccn_bgp.model.bgp import Ip

PARTS = ("speaker", "gateway", "forwarder")


def move_vm(lab: Lab, which: str, to: str) -> tuple[VmNode, Ip]:
    """Move a VM (``VPC:IP``) to a host (address or node name); the host is made if it is new.

    The gateways learn of it by SIGHUP on the lab's own copy of the topology. InputError: no such
    VM, or the host is not in an uplink subnet of the VPC's region.
    """
    layout = lab.layout()
    vm = _find_vm(layout, which)
    host, subnet = _find_host(layout, vm, to)
    if vm.alike:
        raise InputError(Problem(which, "is behind several hosts", "edit the topology file"))
    if host == vm.host:
        raise InputError(Problem(which, f"is on {host_node(host)} already"))
    if layout.netns(host_node(host)) not in netns.present(layout.prefix):
        _add_host(layout, host, subnet)
    old, new = layout.netns(host_node(vm.host)), layout.netns(host_node(host))
    move_host(lab.topology_file, vm.vpc.name, vm.addresses, host)
    netns.run(old, f"ip link set {vm.port} netns {new}")
    run_scripts(layout, [vm_port_script(layout, vm, host)])
    reload_gateways(lab, layout)
    return vm, host


def has_vm(layout: Layout, which: str) -> bool:
    """Whether the lab has this VM (``VPC:IP``). InputError: it is no such thing."""
    vpc, address = _parse_vm(which)
    return any(vm.vpc.name == vpc and address in vm.addresses for vm in layout.vms)


def reload_gateways(lab: Lab, layout: Layout) -> None:
    """SIGHUP to every `ccn run` of the lab; one that is just starting reads the file anyway."""
    for gateway in layout.topology.gateways:
        for pid in part_pids(lab, gateway, "gateway"):
            netns.send_signal(pid, signal.SIGHUP)


def part_pids(lab: Lab, gateway: str, part: str) -> list[int]:
    """Pids of the speakers, the gateway or the forwarder, those that run."""
    state = lab.gateway_state(gateway)
    pattern = "speaker-*.pid" if part == "speaker" else f"{part}.pid"
    pids = (_pid(path) for path in sorted(state.glob(pattern)))
    return [pid for pid in pids if pid is not None and netns.alive(pid)]


def kill(lab: Lab, target: str, number: int) -> list[int]:
    """Signal a part of a gateway (``NODE/speaker|gateway|forwarder``); returns the pids.

    InputError: unknown node or part. CcnError: it does not run.
    """
    gateway, _, part = target.partition("/")
    gateways = list(lab.layout().topology.gateways)
    if gateway not in gateways:
        raise InputError(
            Problem(target, f"'{gateway}' is not a gateway of this lab", nearest(gateway, gateways))
        )
    if part not in PARTS:
        raise InputError(
            Problem(target, f"'{part}' is not a part of a gateway", f"{', '.join(PARTS)}")
        )
    pids = part_pids(lab, gateway, part)
    if not pids:
        raise CcnError(Problem(target, "does not run", "ccn lab status"))
    for pid in pids:
        netns.send_signal(pid, number)
    return pids


def signal_number(text: str) -> int:
    """9, ``KILL`` or ``SIGKILL``. InputError: none of them."""
    if text.isdecimal() and int(text) in {int(s) for s in signal.Signals}:
        return int(text)
    name = text.upper() if text.upper().startswith("SIG") else f"SIG{text.upper()}"
    known = {s.name: int(s) for s in signal.Signals}
    if name not in known:
        raise InputError(Problem(f"signal {text}", "unknown", nearest(name, list(known))))
    return known[name]


def _parse_vm(which: str) -> tuple[str, Ip]:
    vpc, colon, text = which.partition(":")
    try:
        return vpc, Ip.parse(text)
    except ValueError as error:
        raise InputError(Problem(which, str(error) if colon else "is not VPC:IP")) from None


def _find_vm(layout: Layout, which: str) -> VmNode:
    vpc, address = _parse_vm(which)
    for vm in layout.vms:
        if vm.vpc.name == vpc and address in vm.addresses:
            return vm
    known = [f"{vm.vpc.name}:{a}" for vm in layout.vms for a in vm.addresses]
    raise InputError(Problem(which, "no such VM", nearest(which, known)))


def _find_host(layout: Layout, vm: VmNode, to: str) -> tuple[Ip, Subnet]:
    for host in layout.hosts:
        if to == host_node(host):
            address = host
            break
    else:
        try:
            address = Ip.parse(to)
        except ValueError:
            known = [host_node(host) for host in layout.hosts]
            raise InputError(
                Problem(to, "is neither an address nor a host of this lab", nearest(to, known))
            ) from None
    region = vm.vpc.region
    for subnet in layout.subnets:
        if subnet.region == region and subnet.prefix.contains(address):
            return address, subnet
    raise InputError(
        Problem(
            to,
            f"is in no uplink subnet of region {region}",
            "subnets: " + ", ".join(str(s.prefix) for s in layout.subnets if s.region == region),
        )
    )


def _add_host(layout: Layout, host: Ip, subnet: Subnet) -> None:
    cable = host_cable(layout, host)
    connect(layout, [host_node(host)], [cable])
    mtu = layout.topology.fabric.underlay_mtu
    port = Script(underlay_node(subnet.region), "\n".join(underlay_port(subnet, cable.there, mtu)))
    run_scripts(layout, [host_script(layout, host), port])


def _pid(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
