"""Access lists read literally, rule by rule: what a rule is said to match, and nothing faster."""

from __future__ import annotations

from typing import NamedTuple

from ccn_bgp.model.acl import DEFAULT, WITH_PORTS, Acl, AclRule
from ccn_bgp.model.bgp import Ip


class Probe(NamedTuple):
    """What of a packet a list sees; ports are None where they are not known."""

    source: Ip
    destination: Ip
    protocol: int
    source_port: int | None = None
    destination_port: int | None = None


def matches(rule: AclRule, probe: Probe) -> bool:
    """Does the rule say this of the packet?"""
    if rule.version not in (None, probe.source.version):
        return False
    if rule.protocol not in (None, probe.protocol):
        return False
    if rule.protocol == 1 and probe.source.version == 6:
        return False
    if rule.protocol == 58 and probe.source.version == 4:
        return False
    for prefixes, address in (
        (rule.source, probe.source),
        (rule.destination, probe.destination),
    ):
        if prefixes and not any(
            p.version == address.version and p.contains(address) for p in prefixes
        ):
            return False
    for ranges, port in (
        (rule.source_ports, probe.source_port),
        (rule.destination_ports, probe.destination_port),
    ):
        known = port if probe.protocol in WITH_PORTS else None
        if ranges and (known is None or not any(low <= known <= high for low, high in ranges)):
            return False
    return True


def judge(acl: Acl, probe: Probe) -> tuple[str, str]:
    """(action, name) of the rule that decides."""
    for rule in acl.rules:
        if matches(rule, probe):
            return rule.action, rule.name
    return acl.default, DEFAULT
