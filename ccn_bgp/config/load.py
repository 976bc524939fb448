"""A topology file comes in as a path, a frozen Topology goes out, or every problem of it at once.

Each problem names ``file:line:column``, what is wrong and the way out. Files named by the topology
(policies, passwords) are only checked to be there; their readers read them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ccn_bgp.config import acls, references
from ccn_bgp.config.inventory import SUFFIXES, with_inventory
from ccn_bgp.config.schema import (
    GatewayEntry,
    LimitEntry,
    RouterEntry,
    SuppressEntry,
    TopologyFile,
    VpcEntry,
    keys_at,
)
from ccn_bgp.errors import InputError, Problem
from ccn_bgp.model.bgp import Asn, Ip, Mac, Prefix, Vni
from ccn_bgp.model.suppression import Suppression
from ccn_bgp.model.topology import (
    Attachment,
    Ccn,
    Fabric,
    ForwarderSettings,
    Gateway,
    HardLimit,
    Idc,
    IdcRouter,
    MacMobility,
    Neighbor,
    Share,
    Timers,
    Topology,
    Uplink,
    Vm,
    Vpc,
    VpcRoute,
)
from ccn_bgp.model.vms import VmColumns
from ccn_bgp.nearest import nearest
from ccn_bgp.policy_files import Files
from ccn_bgp.source import Positions, Progress, Source, in_order, read_source

MAX_FAULTS = 10_000
"""Of form, in one file; with more of them it is no topology, and listing them takes minutes."""


def load_topology(path: Path, progress: Progress | None = None) -> Topology:
    """Read, check and resolve one topology file; ``progress`` is told how much has been read.

    Raises InputError with all problems of the file, in the order of the file.
    """
    path = Path(path)
    source = read_source(path, "topology", keys_at(()), progress)
    problems = list(source.problems)
    file: TopologyFile | None = None
    try:
        file = TopologyFile.model_validate(source.data)
    except ValidationError as error:
        if error.error_count() > MAX_FAULTS:
            what = f"this is no topology file: {error.error_count()} faults"
            raise InputError(Problem(f"{path}:1:1", what)) from None
        problems += [_problem(source, fault) for fault in error.errors(include_url=False)]
    policies, aggregates, unreadable = _policy_names(source)
    problems += unreadable
    problems += _password_files(source)
    problems += _inventory_files(source)
    problems += references.undefined_names(source.data, source.positions, policies, aggregates)
    if file is not None:
        problems += acls.problems(file.acls, source.positions)
    for check in references.CHECKS:
        problems += check(source.data, source.positions)
    if problems or file is None:
        raise InputError.of(in_order(problems))
    return with_inventory(_topology(file, path, source.positions))


def _problem(source: Source, fault: ErrorDetails) -> Problem:
    """One error of pydantic, said in the terms of the file."""
    path, kind, message, value = fault["loc"], fault["type"], fault["msg"], fault["input"]
    known = keys_at(path[:-1])
    if path[:1] == ("acls",) and path[2:3] == ("rules",):
        name, index = str(path[1]), path[3:4]  # or they stand in a list that is the whole ACL
        path = (
            (*acls.rule_path(source.positions, name, int(index[0])), *path[4:]) if index else path
        )
    positions = source.positions
    context = fault.get("ctx", {})
    if path and path[-1] == "[key]":
        return Problem(positions.key(*path[:-1]), str(context.get("error", message)))
    if kind == "extra_forbidden":
        key, _, rest = str(path[-1]).partition(":")
        hint = nearest(str(path[-1]), known, "known keys")
        if rest and key in known:
            hint = f"a blank must follow the colon: {key}: {rest}"
        return Problem(positions.key(*path), f"unknown key '{path[-1]}'", hint)
    if kind == "missing":
        return Problem(positions.near(*path[:-1]), f"the key '{path[-1]}' is missing")
    where = positions.near(*path)
    name = ".".join(str(word) for word in path)
    if kind == "literal_error":
        words = [
            w.strip("'") for w in str(context.get("expected", "")).replace(" or ", ", ").split(", ")
        ]
        return Problem(
            where, f"{name}: '{value}' is not known", nearest(str(value), words, "one of")
        )
    if kind == "value_error":
        return Problem(where, f"{name}: {context.get('error', message)}")
    what = {
        "dict_type": "must be a mapping of names",
        "model_type": "must be a mapping (key: value)",
        "model_attributes_type": "must be a mapping (key: value)",
        "list_type": "must be a list",
        "too_short": "must not be empty",
    }.get(kind, message)
    return Problem(where, f"{name}: {what}")


def _policy_names(
    source: Source,
) -> tuple[frozenset[str] | None, frozenset[str] | None, list[Problem]]:
    """The names of policies and of aggregates that the policy files define; None if one cannot be
    understood.

    A file that cannot be read is a problem of the topology; what is in it, of the policy's reader.
    """
    names: set[str] = set()
    aggregates: set[str] = set()
    problems: list[Problem] = []
    clear = True
    listed = source.data.get("policies")
    for index, text in enumerate(listed if isinstance(listed, list) else []):
        if not isinstance(text, str):
            continue
        path = source.file.parent / text
        if problem := _unreadable(path, text, source, "policies", index):
            problems.append(problem)
            clear = False
            continue
        files = Files().add([path])
        clear = clear and not files.problems
        for found in files.sources:
            held = found.data.get("policies")
            names.update(held if isinstance(held, dict) else ())
            held = found.data.get("aggregates")
            aggregates.update(held if isinstance(held, dict) else ())
    if not clear:
        return None, None, problems
    return frozenset(names), frozenset(aggregates), problems


def _password_files(source: Source) -> list[Problem]:
    problems: list[Problem] = []
    places: list[tuple[Any, tuple[str | int, ...]]] = []
    idcs = source.data.get("idcs")
    for idc, entry in idcs.items() if isinstance(idcs, dict) else ():
        routers = entry.get("routers") if isinstance(entry, dict) else None
        for name, router in routers.items() if isinstance(routers, dict) else ():
            places.append((router, ("idcs", idc, "routers", name)))
    neighbors = source.data.get("neighbors")
    for index, entry in enumerate(neighbors if isinstance(neighbors, list) else []):
        places.append((entry, ("neighbors", index)))
    for entry, at in places:
        text = entry.get("password-file") if isinstance(entry, dict) else None
        if isinstance(text, str):
            path = source.file.parent / text
            if problem := _unreadable(path, text, source, *at, "password-file"):
                problems.append(problem)
    return problems


def _inventory_files(source: Source) -> list[Problem]:
    problems: list[Problem] = []
    listed = source.data.get("inventory")
    for index, text in enumerate(listed if isinstance(listed, list) else []):
        if not isinstance(text, str):
            continue
        path = source.file.parent / text
        if path.suffix not in SUFFIXES:
            what = f"the inventory '{text}' is neither {' nor '.join(SUFFIXES)}"
            problems.append(Problem(source.positions.near("inventory", index), what))
        elif problem := _unreadable(path, text, source, "inventory", index):
            problems.append(problem)
    return problems


def _unreadable(path: Path, text: str, source: Source, *at: str | int) -> Problem | None:
    """Opens for reading and closes: permissions, directories and dangling links show themselves."""
    try:
        with path.open("rb") as file:
            file.read(0)
    except (OSError, ValueError) as error:
        words = getattr(error, "strerror", None) or str(error)
        what = f"the file '{text}' cannot be read: {words}"
        hint = f"looked for {path}; paths are relative to the topology file"
        return Problem(source.positions.near(*at), what, hint)
    return None


def _topology(file: TopologyFile, path: Path, positions: Positions) -> Topology:
    folder = path.parent
    return Topology(
        name=file.name,
        file=path,
        fabric=Fabric(Asn(file.fabric.asn), file.fabric.mtu, file.fabric.underlay_mtu),
        gateways={name: _gateway(name, g) for name, g in file.gateways.items()},
        vpcs={name: _vpc(name, v) for name, v in file.vpcs.items()},
        idcs={
            name: Idc(
                name,
                idc.region,
                tuple(idc.cidrs),
                tuple(_router(r, name, entry, folder) for r, entry in sorted(idc.routers.items())),
            )
            for name, idc in file.idcs.items()
        },
        ccns={
            name: Ccn(
                name,
                ccn.id,
                Vni(ccn.vni),
                tuple(_attachment(a.member, a.propagate) for a in ccn.attach),
                None if ccn.import_rts is None else tuple(ccn.import_rts),
                None if ccn.export_rts is None else tuple(ccn.export_rts),
                ccn.reexport,
                ccn.multipath,
                ccn.acl,
                ccn.source_check,
                tuple(ccn.aggregates),
            )
            for name, ccn in file.ccns.items()
        },
        shares=tuple(
            Share(s.from_, s.to, tuple(s.prefixes), tuple(s.import_), tuple(s.export))
            for s in file.shares
        ),
        neighbors=tuple(
            Neighbor(
                name=n.name,
                gateway=n.gateway,
                address=n.address,
                asn=Asn(n.asn),
                role=n.role,
                local_address=n.local_address,
                port=n.port,
                password_file=folder / n.password_file if n.password_file else None,
                hard_limit=_hard_limit(n.max_prefixes),
                ttl_security=n.ttl_security,
                drained=n.drained,
                label_is_mpls=n.label == "mpls",
                import_=tuple(n.import_),
                export=tuple(n.export),
            )
            for n in file.neighbors
        ),
        policies=tuple(folder / text for text in file.policies),
        inventory=tuple(folder / text for text in file.inventory),
        acls={name: acls.acl_of(name, acl) for name, acl in file.acls.items()},
        suppressions=tuple(_suppression(s, i, positions) for i, s in enumerate(file.suppress)),
        timers=Timers(
            hold=file.sessions.hold_time,
            restart=file.sessions.restart_time,
            stale=file.sessions.stale_time,
            hold_back=file.sessions.hold_back,
        ),
        mac_mobility=MacMobility(
            moves=file.mac_mobility.moves,
            seconds=file.mac_mobility.seconds,
            freeze=file.mac_mobility.freeze,
        ),
        positions=positions,
    )


def _gateway(name: str, entry: GatewayEntry) -> Gateway:
    router_id = entry.router_id or entry.vtep  # of IPv6 it is given: references.py
    return Gateway(
        name=name,
        region=entry.region,
        asn=Asn(entry.asn),
        vtep=entry.vtep,
        router_id=router_id,
        mac=entry.mac or Mac(b"\x02\xcc" + (entry.vtep if len(entry.vtep) == 4 else router_id)),
        uplinks=tuple(Uplink(u.port, u.address, u.via, u.driver) for u in entry.uplinks),
        forwarder=ForwarderSettings(**entry.forwarder.model_dump()),
        import_=tuple(entry.import_),
        export=tuple(entry.export),
    )


def _vpc(name: str, entry: VpcEntry) -> Vpc:
    return Vpc(
        name=name,
        region=entry.region,
        vni=Vni(entry.vni),
        cidrs=tuple(entry.cidrs),
        gateways=_vpc_gateways(entry.cidrs, entry.gateway or []),
        vms=VmColumns.of([Vm.behind(v.ip, v.mac, tuple(v.host)) for v in entry.vms])
        if entry.vms
        else (),
        routes=tuple(VpcRoute(r.prefix, r.via) for r in entry.routes),
    )


def _vpc_gateways(cidrs: list[Prefix], given: list[Ip]) -> tuple[Ip, ...]:
    """One per CIDR, in order: the given one that lies in it, or its first host address.

    What was given beyond that comes last, for the catalogue to judge.
    """
    found = []
    for cidr in cidrs:
        inside = next((ip for ip in given if cidr.contains(ip)), None)
        found.append(inside or _first_host(cidr.address, cidr.length))
    return (*found, *(ip for ip in given if ip not in found))


def _first_host(address: Ip, length: int) -> Ip:
    """The address after the network's own; a prefix of one or two addresses has none to spare."""
    if length >= len(address) * 8 - 1:
        return address
    return Ip((address.number + 1).to_bytes(len(address), "big"))


def _router(name: str, idc: str, entry: RouterEntry, folder: Path) -> IdcRouter:
    limit = entry.max_prefixes
    return IdcRouter(
        name=name,
        idc=idc,
        gateway=entry.gateway,
        port=entry.port,
        vlan=entry.vlan,
        ccn=entry.ccn,
        asn=Asn(entry.asn),
        address=entry.address,
        gateway_address=entry.gateway_address,
        address6=entry.address6,
        gateway_address6=entry.gateway_address6,
        import_=tuple(entry.import_),
        export=tuple(entry.export),
        max_prefixes=limit.limit if limit is not None and limit.mode == "soft" else None,
        password_file=folder / entry.password_file if entry.password_file else None,
        hard_limit=_hard_limit(limit),
        ttl_security=entry.ttl_security,
        drained=entry.drained,
    )


def _hard_limit(entry: LimitEntry | None) -> HardLimit | None:
    return None if entry is None or entry.mode == "soft" else HardLimit(entry.limit, entry.restart)


def _attachment(member: str, propagate: bool) -> Attachment:
    kind, _, name = member.partition("/")
    return Attachment("vpc" if kind == "vpc" else "idc", name, propagate)


def _suppression(entry: SuppressEntry, index: int, positions: Positions) -> Suppression:
    return Suppression(
        rule=entry.rule,
        reason=entry.reason,
        where=positions.near("suppress", index),
        ccn=entry.ccn or "",
        from_=entry.from_ or "",
        prefix=entry.prefix,
        peer=entry.peer or "",
        path=entry.where or "",
        places=None if entry.where is None else positions.beneath(entry.where),
    )
