"""What each finding means and how it is mended, a line each: a rule or Finding in, text out.

docs/findings.md says the same at length, with an example each.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ccn_bgp.model.finding import Finding


class Advice(NamedTuple):
    """``meaning``: what is wrong. ``hint``: the way out; ``{ccn}``, ``{prefix}``, ``{peer}`` are
    those of the finding."""

    meaning: str
    hint: str


ADVICE: Mapping[str, Advice] = {
    "schema": Advice(
        "The file cannot be read or has not the right form.",
        "correct the line; docs/topology.md lists every key",
    ),
    "leak": Advice(
        "Addresses of another CCN can be reached without a share.",
        "take the foreign route target out of import-rts of {ccn}, or declare a share of {prefix}",
    ),
    "latent-leak": Advice(
        "A route of another CCN is held without a share, hidden behind longer ones.",
        "take the foreign route target out of import-rts of {ccn}; one withdrawal would expose it",
    ),
    "rt-leak": Advice(
        "Route targets let routes of another CCN in, and no share allows it.",
        "remove the route target from import-rts or reexport in the chain, or declare a share",
    ),
    "hijack": Advice(
        "A longer prefix of another CCN takes addresses of the CCN's own.",
        "keep {prefix} out of {ccn}: narrow the share or the import, or renumber one side",
    ),
    "ambiguous-owner": Advice(
        "One table is offered the same prefix by two CCNs.",
        "let only one of the two into {ccn}: narrow the share or the import, or renumber one side",
    ),
    "transit-leak": Advice(
        "Routes of one data centre or CCN reach another data centre (RFC 7908).",
        "end the chain: drop reexport or the foreign import, or declare a share to {ccn}",
    ),
    "owned-space": Advice(
        "A peer may announce, or announces, space that is not its own.",
        "take {prefix} out of the cidrs of the data centre, or stop announcing it",
    ),
    "vni-collision": Advice(
        "One VNI for two users: their packets would meet in one table.",
        "give each VPC and each CCN a VNI of its own, and attach a VPC to one CCN",
    ),
    "rt-collision": Advice(
        "Two CCNs export one route target.",
        "give each CCN its own id, or its own export-rts",
    ),
    "rd-collision": Advice(
        "Two tables have one route distinguisher: peers keep only one's routes.",
        "give each gateway its own router-id and each CCN its own id",
    ),
    "vtep-collision": Advice(
        "One underlay address for two machines.",
        "give each gateway and each host an address of its own",
    ),
    "duplicate-vm": Advice(
        "One VNI has an address twice, or one MAC on two hosts.",
        "remove the VM that has moved, or give one of them another address",
    ),
    "vm-outside-cidr": Advice(
        "An address outside its VPC's CIDRs is never routed to.",
        "correct the address, or add its CIDR to the VPC",
    ),
    "unresolved-gateway": Advice(
        "A route goes via an address that is no VM.",
        "declare the VM in the same VPC, or correct 'via'",
    ),
    "blackhole": Advice(
        "Packets that one table sends on are dropped by the next.",
        "share the covering prefix without the part that is dropped, or remove the drop",
    ),
    "loop": Advice(
        "Packets go round between tables for ever.",
        "break the circle: one of its tables must hold the prefix by itself",
    ),
    "misdelivery": Advice(
        "Packets end in a CCN that the route did not come from.",
        "declare a share straight from the CCN that delivers, or narrow the one in the middle",
    ),
    "mtu": Advice(
        "A full packet does not fit into the underlay once it is wrapped.",
        "lower fabric.mtu, or raise underlay-mtu and the underlay with it",
    ),
    "undefined-set": Advice(
        "A policy asks for a set that no file defines.",
        "define the set in a file of 'policies', or correct its name",
    ),
    "session-mismatch": Advice(
        "The two ends of a session disagree.",
        "make address, subnet, AS number and hand-off the same as at the other end",
    ),
    "uplink-mismatch": Advice(
        "Two uplinks claim the same port or subnet, or a router is not on its uplink's subnet.",
        "give each uplink a port, a subnet and a router in it of its own",
    ),
    "underlay-family": Advice(
        "A tunnel does not lead from one IP version to the other.",
        "give the gateway, its uplinks, and hosts and gateways it tunnels to one IP version",
    ),
    "bogon": Advice(
        "Space that no network may use.",
        "use another prefix; {prefix} is reserved",
    ),
    "overlap-in-ccn": Advice(
        "Members of one CCN have the same addresses: one of them loses.",
        "renumber one of them, or attach them to two CCNs",
    ),
    "asymmetric": Advice(
        "One side reaches the other, but no answer comes back.",
        "declare the share for the other direction, if answers are wanted",
    ),
    "capacity": Advice(
        "More than a gateway is proven to hold.",
        "lower max-prefixes, or spread the members over more gateways",
    ),
    "missing-policy": Advice(
        "A data-centre session without a policy passes nothing (RFC 8212).",
        "name policies under 'import' and 'export' of the router",
    ),
    "unreachable-statement": Advice(
        "No route ever comes to this statement.",
        "move it up, or remove it",
    ),
    "policy-target": Advice(
        "A policy sets a route target that the CCN may not export.",
        "remove it, or add it to export-rts of {ccn}",
    ),
    "unused-set": Advice(
        "A set that no statement asks for.",
        "remove it, or ask for it; sets for others stand in a file of their own",
    ),
    "dead-regex": Advice(
        "A pattern that nothing can match.",
        "correct it; docs/policy.md says how paths and communities are written",
    ),
    "undone-action": Advice(
        "An action without effect.",
        "remove it, or put it behind what undoes it",
    ),
    "falls-through": Advice(
        "A statement lets routes go on, and nothing behind it decides them.",
        "end the last policy with a statement without match that accepts or rejects",
    ),
    "unused-acl": Advice(
        "An access list that no CCN attaches: nothing is checked by it.",
        "attach it (ccns.NAME.acl), or remove it",
    ),
    "unreachable-rule": Advice(
        "No packet ever comes to this rule of an access list.",
        "move it up, or remove it",
    ),
    "single-homed": Advice(
        "A data centre hangs on one session.",
        "add a second router, at another gateway if there is one",
    ),
    "no-authentication": Advice(
        "A session without a password.",
        "set password-file (TCP-MD5, RFC 2385) at both ends",
    ),
    "unused-suppression": Advice(
        "An item of 'suppress' that accepts nothing.",
        "remove it: what it accepted is gone",
    ),
}


def hint(finding: Finding) -> str:
    """The way out, in one line."""
    advice = ADVICE.get(finding.rule)
    if advice is None:
        return ""
    ccn = f"ccn {finding.ccn}" if finding.ccn else "the CCN"
    return advice.hint.format(
        ccn=ccn, prefix=finding.prefix or "the prefix", peer=finding.peer or "the peer"
    )
