"""Sessions as declared: do the two ends agree, and is the session fit for service?

In: a Topology. Out: session-mismatch (errors); missing-policy, single-homed, no-authentication and
asymmetric (warnings).
"""

from __future__ import annotations

from collections.abc import Iterator

from ccn_bgp.model.bgp import Ip
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.topology import IdcRouter, Interface, Neighbor, Topology


def _router(topology: Topology, router: IdcRouter, rule: str, key: str, text: str) -> Finding:
    return Finding(
        rule=rule,
        message=f"IDC router {router.name}: {text}",
        where=topology.at("idcs", router.idc, "routers", router.name, key),
        ccn=router.ccn,
        peer=router.name,
        witness={
            "chain": [
                f"{router.gateway} {router.gateway_address}",
                f"{router.port}" + (f" vlan {router.vlan}" if router.vlan else " untagged"),
                f"{router.name} {router.address}",
            ]
        },
    )


def _in_file_order(topology: Topology) -> Iterator[IdcRouter]:
    for idc in topology.idcs.values():
        yield from idc.routers


def router_mismatches(topology: Topology) -> Iterator[Finding]:
    """The two ends of an IDC session: addresses, subnet, ASN, hand-off and CCN."""
    attached = {
        (a.name, ccn.name) for ccn in topology.ccns.values() for a in ccn.attach if a.kind == "idc"
    }
    hand_offs: dict[tuple[str, str, int | None], IdcRouter] = {}
    placed: dict[tuple[str, str], list[IdcRouter]] = {}

    def fault(router: IdcRouter, key: str, text: str) -> Finding:
        return _router(topology, router, "session-mismatch", key, text)

    for router in _in_file_order(topology):
        gateway = topology.gateways[router.gateway]
        if problem := _ends_disagree(router):
            yield fault(router, *problem)
        if router.asn == gateway.asn:
            text = f"AS {router.asn} is that of gateway {gateway.name}; the session must be eBGP"
            yield fault(router, "asn", text)
        if router.port in {u.port for u in gateway.uplinks}:
            text = f"port {router.port} is an uplink of gateway {gateway.name}"
            yield fault(router, "port", text)
        if (router.idc, router.ccn) not in attached:
            text = f"it is in ccn {router.ccn}, but that does not attach idc/{router.idc}"
            yield fault(router, "ccn", text)
        other = hand_offs.setdefault((router.gateway, router.port, router.vlan), router)
        tag = f"port {router.port}" + (f" vlan {router.vlan}" if router.vlan else " untagged")
        if other is not router and other.ccn != router.ccn:
            text = (
                f"{tag} is the hand-off of {other.name} in ccn {other.ccn}; a hand-off has one ccn"
            )
            yield fault(router, "port", text)
            continue
        for key, theirs, ours in _ends(router):
            other_ours = next((o for k, _, o in _ends(other) if k == key), ours)
            if other_ours != ours:
                text = (
                    f"{tag} has the gateway address {other_ours} by router {other.name},"
                    f" here it is {ours}"
                )
                yield fault(router, f"gateway-{key}", text)
            for held in placed.get((router.gateway, router.ccn), []):
                same = (held.port, held.vlan) == (router.port, router.vlan)
                for _, of_held, _ in _ends(held):
                    if same and of_held.address == theirs.address:
                        text = f"router {held.name} has the same address on the same hand-off"
                        yield fault(router, key, text)
                    elif not same and of_held.subnet.overlaps(theirs.subnet):
                        text = (
                            f"its subnet {theirs.subnet} is also that of router {held.name},"
                            f" on another hand-off of ccn {router.ccn}"
                        )
                        yield fault(router, key, text)
        placed.setdefault((router.gateway, router.ccn), []).append(router)


def _ends(router: IdcRouter) -> Iterator[tuple[str, Interface, Interface]]:
    """The key, the router's own address and ours, of each family of a hand-off."""
    yield "address", router.address, router.gateway_address
    if router.address6 is not None and router.gateway_address6 is not None:
        yield "address6", router.address6, router.gateway_address6


def _ends_disagree(router: IdcRouter) -> tuple[str, str] | None:
    """The key and the text of what is wrong between the addresses of both ends."""
    both = {"address6": router.address6, "gateway-address6": router.gateway_address6}
    given = [key for key, end in both.items() if end is not None]
    if len(given) == 1:
        return given[0], f"{given[0]} stands alone: {', '.join(both)} go together"
    for key, end in both.items():
        if end is not None and end.address.version != 6:
            return key, f"{key} {end} is not IPv6"
    if given and router.address.address.version == 6:
        return given[0], f"{given[0]} is for a session over IPv4, address is {router.address}"
    found = (_pair_disagrees(key, theirs, ours) for key, theirs, ours in _ends(router))
    return next((fault for fault in found if fault is not None), None)


def _pair_disagrees(key: str, theirs: Interface, ours: Interface) -> tuple[str, str] | None:
    """The same of both ends in one family; ``key`` is the router's."""
    of_ours = f"gateway-{key}"
    if len(ours.address) != len(theirs.address):
        return of_ours, f"{of_ours} {ours} and {key} {theirs} are of different IP versions"
    if ours.address == theirs.address:
        return of_ours, f"{key} and {of_ours} are both {ours.address}"
    if ours.length != theirs.length:
        return of_ours, f"{of_ours} is /{ours.length}, {key} is /{theirs.length}"
    if ours.subnet != theirs.subnet:
        return of_ours, f"{of_ours} {ours} and {key} {theirs} are in different subnets"
    if len(ours.address) == 4 and ours.length < 31:
        for name, end in ((of_ours, ours), (key, theirs)):
            if end.address.number in (end.subnet.first, end.subnet.last):
                return name, f"{name} {end} is the network or broadcast address of its subnet"
    return None


def neighbor_mismatches(topology: Topology) -> Iterator[Finding]:
    """The two ends of a session of ``neighbors``."""
    by_vtep = {g.vtep: g for g in topology.gateways.values()}
    dialled: dict[tuple[str, Ip, int], Neighbor] = {}
    for index, neighbor in enumerate(topology.neighbors):
        gateway = topology.gateways[neighbor.gateway]
        local = neighbor.local_address
        own = {gateway.vtep, *(u.address.address for u in gateway.uplinks)}
        faults: list[tuple[str, str]] = []
        if neighbor.address in own:
            faults.append(("address", f"{neighbor.address} is gateway {gateway.name} itself"))
        elif (known := by_vtep.get(neighbor.address)) and known.asn != neighbor.asn:
            text = f"{neighbor.address} is gateway {known.name}, whose AS is {known.asn}"
            faults.append(("asn", f"{text}, not {neighbor.asn}"))
        if local is not None and len(local) != len(neighbor.address):
            text = f"local-address {local} and address {neighbor.address}"
            faults.append(("local-address", f"{text} are of different IP versions"))
        elif local is None and len(neighbor.address) != len(gateway.vtep):
            if not loopback(neighbor.address):
                text = f"{neighbor.address} cannot be reached from the vtep {gateway.vtep}"
                faults.append(("address", f"{text}: give a local-address"))
        elif local is not None and len(local) == 16:
            pass  # of a network beside the underlay: what this machine has there, nobody declares
        elif local is not None and local not in own and not loopback(local):
            text = f"local-address {local} is no address of gateway {gateway.name}"
            faults.append(("local-address", text))
        key = (neighbor.gateway, neighbor.address, neighbor.port)
        if (other := dialled.setdefault(key, neighbor)) is not neighbor:
            faults.append(("address", f"neighbor {other.name} is dialled at the same address"))
        for word, text in faults:
            yield Finding(
                rule="session-mismatch",
                message=f"neighbor {neighbor.name}: {text}",
                where=topology.at("neighbors", index, word),
                peer=neighbor.name,
                witness={"chain": [gateway.name, f"{neighbor.address}", neighbor.name]},
            )


def loopback(address: Ip) -> bool:
    """127/8 or ::1."""
    return address[0] == 127 if len(address) == 4 else address.number == 1


def missing_policies(topology: Topology) -> Iterator[Finding]:
    """Without a policy an IDC session passes nothing in that direction (RFC 8212)."""
    for router in _in_file_order(topology):
        absent = [k for k, v in (("import", router.import_), ("export", router.export)) if not v]
        if absent:
            lost = {"import": "learned", "export": "announced"}
            text = (
                f"no {' and no '.join(absent)} policy is named:"
                f" nothing is {' or '.join(lost[key] for key in absent)}"
            )
            yield _router(topology, router, "missing-policy", "import", text)


def single_homed(topology: Topology) -> Iterator[Finding]:
    """An IDC with one session in a CCN is cut off when that ends; with none it always is."""
    homes: dict[tuple[str, str], list[IdcRouter]] = {}
    for router in _in_file_order(topology):
        homes.setdefault((router.idc, router.ccn), []).append(router)
    for (idc, ccn), routers in homes.items():
        if len(routers) == 1:
            text = f"it is the only way of idc/{idc} into ccn {ccn}"
            yield _router(topology, routers[0], "single-homed", "gateway", text)
    for ccn_name, entry in topology.ccns.items():
        for index, attachment in enumerate(entry.attach):
            if attachment.kind == "idc" and (attachment.name, ccn_name) not in homes:
                yield Finding(
                    rule="single-homed",
                    message=f"idc/{attachment.name} is attached to ccn {ccn_name},"
                    " but has no router in it",
                    where=topology.at("ccns", ccn_name, "attach", index),
                    ccn=ccn_name,
                    witness={"chain": [f"idc/{attachment.name}", "no router", f"ccn {ccn_name}"]},
                )


def no_authentication(topology: Topology) -> Iterator[Finding]:
    """Sessions that leave the machine without TCP-MD5 (RFC 2385)."""
    for router in _in_file_order(topology):
        if router.password_file is None:
            text = "the session has no password-file"
            yield _router(topology, router, "no-authentication", "address", text)
    for index, neighbor in enumerate(topology.neighbors):
        if neighbor.password_file is None and not loopback(neighbor.address):
            yield Finding(
                rule="no-authentication",
                message=f"neighbor {neighbor.name}: the session has no password-file",
                where=topology.at("neighbors", index),
                peer=neighbor.name,
                witness={"chain": [neighbor.gateway, str(neighbor.address), neighbor.name]},
            )


def asymmetric(topology: Topology) -> Iterator[Finding]:
    """One side reaches the other, but no answer comes back."""
    pairs = {(s.provider, s.consumer) for s in topology.shares}
    for index, share in enumerate(topology.shares):
        if (share.consumer, share.provider) not in pairs:
            yield Finding(
                rule="asymmetric",
                message=f"ccn {share.consumer} reaches ccn {share.provider}, but no share lets"
                " the answers back",
                where=topology.at("shares", index),
                ccn=share.consumer,
                witness={"chain": [f"ccn {share.consumer}", f"ccn {share.provider}"]},
            )
    for name, ccn in topology.ccns.items():
        for index, attachment in enumerate(ccn.attach):
            if not attachment.propagate and len(ccn.attach) > 1:
                yield Finding(
                    rule="asymmetric",
                    message=f"{attachment} reaches the members of ccn {name}, but is not announced"
                    " to them (propagate: false)",
                    where=topology.at("ccns", name, "attach", index),
                    ccn=name,
                    witness={"chain": [str(attachment), f"ccn {name}"]},
                )
