"""Saying on: what a decision in one table means for gateways and for other tables here.

In: tables, and prefixes of theirs that have just been decided. Out: exports (our type 5), the keys
of those that peers are to hear of, and candidates in the tables that import from here. What columns
decided is exported by row_exports.py.
"""

from __future__ import annotations

from collections.abc import Mapping

from ccn_bgp.learn.candidate import OURSELVES, Candidate, Source
from ccn_bgp.learn.exports import Exports
from ccn_bgp.learn.importing import Import, shared
from ccn_bgp.learn.judging import Judge
from ccn_bgp.learn.loc_rib import LocRib
from ccn_bgp.learn.originate import NO_ESI, tunnel_communities
from ccn_bgp.model.bgp import Prefix, RouteTarget
from ccn_bgp.model.ccsi import Ccsi
from ccn_bgp.model.path import EvpnPrefix, Nlri, Path, PathAttributes, changed
from ccn_bgp.model.reason import Denied
from ccn_bgp.model.topology import Gateway


class Saying:
    """``importers``: for each table the others of this gateway that take over what it has.
    ``dirty``: keys of exports that peers are to hear of, or hear no more."""

    def __init__(self, gateway: Gateway, exports: Exports, judge: Judge) -> None:
        self.gateway = gateway
        self.exports = exports
        self.dirty: set[bytes] = set()
        self.importers: dict[str, tuple[Import, ...]] = {}
        self.imported = False
        self._judge = judge

    def know(self, tables: Mapping[str, LocRib]) -> None:
        """All tables of the gateway."""
        self.importers = {
            name: tuple(i for i in self._judge.imports.of(t.ccsi.export_rts) if i[0] is not t)
            for name, t in tables.items()
        }
        self.imported = any(self.importers.values())

    def on(self, table: LocRib, prefix: Prefix) -> None:
        """Carry a winner to gateways (as our type 5) and to local tables that import from here."""
        best = table.exportable(prefix)
        nlri = EvpnPrefix(table.ccsi.rd, NO_ESI, 0, prefix, None, table.ccsi.vni)
        declared = table.declared(prefix)
        if declared is not None:
            self._export(declared.path.nlri, declared.path.attributes)
        elif best is not None and prefix in table.single:
            self._export(nlri, self.reoriginated(table.ccsi, best.path.attributes))
        else:
            self._unexport(nlri)
        slot = (f"table {table.ccsi.name}", nlri.key)
        takers = self._takers(table, nlri, best) if best is not None else {}
        for other, _ in self.importers[table.ccsi.name]:
            attributes = takers.get(other.ccsi.name)
            if best is None or attributes is None or other.ccsi.name in best.trail:
                other.remove(prefix, slot)
                continue
            other.place(
                prefix,
                Candidate(
                    path=Path(slot[0], best.path.nlri, attributes),
                    key=nlri.key,
                    source=Source.LOCAL_IMPORT,
                    speaker=OURSELVES,
                    origin=best.origin,
                    fixed=table.routes[prefix].next_hop,
                    trail=(*best.trail, table.ccsi.name),
                ),
            )

    def _takers(
        self, table: LocRib, nlri: EvpnPrefix, best: Candidate
    ) -> dict[str, PathAttributes]:
        """By name the tables that take this winner, and with which attributes: a share bounds it,
        and its policies may change it."""
        targets = exported_targets(table.ccsi, best.path.attributes)
        said = Path(f"table {table.ccsi.name}", nlri, best.path.attributes)
        found: dict[str, PathAttributes] = {}
        for other, bound in self._judge.imports.of(targets):
            if other is table or not shared(nlri, bound):
                continue
            judged: PathAttributes | Denied = said.attributes
            if bound is not None:
                judged, words = self._judge.sharing.judge(other, targets, said)
                for whose, word in words:
                    self._judge.hits.add(whose, word, 1, nlri)
            if not isinstance(judged, Denied):
                found[other.ccsi.name] = judged
        return found

    def again(self, key: bytes) -> None:
        """The export with this key is another one, or none."""
        self.dirty.add(key)

    def _export(self, nlri: Nlri, attributes: PathAttributes) -> None:
        said = (nlri, attributes)
        if self.exports.get(nlri.key) != said:
            self.exports[nlri.key] = said
            self.dirty.add(nlri.key)

    def _unexport(self, nlri: Nlri) -> None:
        if self.exports.take_back(nlri.key):
            self.dirty.add(nlri.key)

    def reoriginated(self, ccsi: Ccsi, attributes: PathAttributes) -> PathAttributes:
        """An IDC's attributes as our type 5: AS path and communities kept, next hop self."""
        sites = _sites(attributes)
        return self._judge.once(
            attributes,
            ccsi.name,
            lambda a: changed(
                a,
                next_hop=self.gateway.vtep,
                med=None,
                extended_communities=(
                    *tunnel_communities(exported_targets(ccsi, a), self.gateway.mac),
                    *sites,
                ),
                originator_id=None,
                cluster_list=(),
            ),
        )


def exported_targets(ccsi: Ccsi, attributes: PathAttributes) -> frozenset[RouteTarget]:
    """What a route leaves a CCSI with: all that its CCN exports, or those of them that an import
    policy has narrowed the route of a data centre to."""
    if not _sites(attributes):
        return ccsi.export_rts
    return attributes.route_targets & ccsi.export_rts or ccsi.export_rts


def _sites(attributes: PathAttributes) -> tuple[bytes, ...]:
    """The route origin communities (RFC 4360 §5): which data centres it is from."""
    return tuple(c for c in attributes.extended_communities if c[:2] == b"\x00\x03")
