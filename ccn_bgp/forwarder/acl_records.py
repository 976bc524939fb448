"""Access lists as records: in come lists of CCSIs, out go rows of struct ccn_acl_rule.

CCSIs with the same list have the same rows: they are made once. A row's sequence is its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ccn_bgp.forwarder import wire
from ccn_bgp.forwarder.wire import AclAction
from ccn_bgp.model.acl import LONGEST_NAME, Acl
from ccn_bgp.table.plan import AclChange
from ccn_bgp.table.snapshot import AclEntry

Array = npt.NDArray[Any]


def acl_records(entries: Iterable[AclEntry]) -> Array:
    """The rows of these CCSIs, by CCSI and sequence."""
    made: dict[bytes, Array] = {}
    parts = [np.zeros(0, wire.ACL_RULE)]
    for ccsi, acl in entries:
        if acl.digest not in made:
            made[acl.digest] = _rows(acl)
        part = made[acl.digest].copy()
        part["ccsi"] = ccsi
        parts.append(part)
    return np.concatenate(parts)


def surplus_records(change: AclChange, gone: frozenset[int]) -> Array:
    """Rows that go because a list is shorter or detached. With the CCSIs of ``gone`` theirs go by
    themselves."""
    lengths = {ccsi: len(acl.rows) for ccsi, acl in change.after}
    parts = [np.zeros(0, wire.ACL_RULE)]
    for ccsi, acl in change.before:
        if ccsi not in gone and (kept := lengths.get(ccsi, 0)) < len(acl.rows):
            part = np.zeros(len(acl.rows) - kept, wire.ACL_RULE)
            part[:] = _rows(acl)[kept:]
            part["ccsi"] = ccsi
            parts.append(part)
    return np.concatenate(parts)


def _rows(acl: Acl) -> Array:
    records = np.zeros(len(acl.rows), wire.ACL_RULE)
    records["sequence"] = np.arange(len(records))
    for record, row in zip(records, acl.rows, strict=True):
        record["rule"] = row.rule
        record["action"] = AclAction[row.action.upper()]
        record["family"] = row.version
        record["protocol"] = row.protocol or 0
        record["any_protocol"] = row.protocol is None
        for name, prefix in (("source", row.source), ("destination", row.destination)):
            record[f"{name}_length"] = prefix.length
            record[name] = wire.octets(prefix.address, 16)
        record["source_port"] = row.source_ports
        record["destination_port"] = row.destination_ports
        record["name"] = wire.octets(row.name.encode(), LONGEST_NAME)
    return records
