"""What the Rib has for peers in columns. In: rows as learn/ decides them. Out: the part that one
group of peers is to hear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ccn_bgp.model.outgoing import OutRows
from ccn_bgp.model.path import PathAttributes


@dataclass(frozen=True, slots=True)
class RowFeed:
    """Rows to offer; ``sets`` are what their numbers of attributes stand for.

    ``exports``: to gateways and reflectors, with the attributes of the re-originated type 5.
    ``routes``: to IDC routers, what tables hold, with the attributes of the winners; sorted by
    table. In both ``table`` is the id of the CCSI. A route is told in columns or as an object
    (``Rib.exports``, ``LocRib.routes``): when it changes from one to the other, it is offered as
    NOTHING or None in the form that it leaves.
    """

    sets: Sequence[PathAttributes] = ()
    exports: Sequence[OutRows] = ()
    routes: Sequence[OutRows] = ()

    def __bool__(self) -> bool:
        return bool(self.exports or self.routes)


def routes_of(rows: OutRows, table: int) -> OutRows:
    """The rows of one table, as unicast."""
    assert rows.table is not None
    number = np.uint32(table)
    begin = int(np.searchsorted(rows.table, number, "left"))
    end = int(np.searchsorted(rows.table, number, "right"))
    return replace(rows.part(slice(begin, end)), table=None)
