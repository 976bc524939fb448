"""From files to what a gateway is meant to do. In: a topology file and a gateway's name. Out: an
Intent whose declared network has been verified, or one error that says why not.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path as FilePath

from ccn_bgp.config.catalogue import declared_findings, in_file_order
from ccn_bgp.config.inventory import with_inventory
from ccn_bgp.config.load import load_topology
from ccn_bgp.errors import InputError, Problem, RefusedError
from ccn_bgp.gateway.contexts import Contexts
from ccn_bgp.gateway.draining import Drain, carried, declared
from ccn_bgp.gateway.policy_findings import policy_findings
from ccn_bgp.learn.judging import Permitted
from ccn_bgp.learn.sharing import Asked, Direction
from ccn_bgp.model.ccsi import Peer, ShareImport, export_targets, peers
from ccn_bgp.model.finding import Finding
from ccn_bgp.model.path import Path, PathAttributes
from ccn_bgp.model.reason import Denied
from ccn_bgp.model.suppression import marked, unused
from ccn_bgp.model.topology import Gateway, Topology
from ccn_bgp.policy.evaluate import Accepted, evaluate, targets_set
from ccn_bgp.policy.load import load_policies, read_policies
from ccn_bgp.policy.rules import PolicySet
from ccn_bgp.table.verify import verify_world
from ccn_bgp.table.verify.claims import Claims
from ccn_bgp.table.verify.declared import declared_world

Claim = Callable[[Peer, str, Path], Finding | None]


@dataclass(frozen=True, slots=True)
class Intent:
    """One gateway's part of a verified topology, with the policies that bind its sessions, and
    which of them are drained."""

    topology: Topology
    gateway: Gateway
    policies: PolicySet
    claims: Claim
    contexts: Contexts
    drain: Drain = field(default_factory=Drain)

    def import_policy(self, peer: Peer, path: Path) -> PathAttributes | Permitted | Denied:
        """Reject by default on IDC sessions (RFC 8212), accept on the others. What policies permit
        is so by the (policy, statement) names that matched it."""
        if not peer.imports and peer.default == "accept":
            return self.drain.heard(peer, path.attributes)
        asked = self.contexts.asked(self.policies, peer.imports, path)
        result = evaluate(
            self.policies,
            peer.imports,
            path,
            default=peer.default,
            context=self.contexts.heard(peer, asked),
        )
        if isinstance(result, Accepted):
            through = tuple((s.policy, s.name) for s in result.trace)
            attributes = self.drain.heard(peer, result.attributes)
            return Permitted(attributes, through, targets_set(result))
        return result

    def export_policy(self, peer: Peer, path: Path) -> PathAttributes | Permitted | Denied:
        """The same defaults outward."""
        if not peer.exports and peer.default == "accept":
            return self.drain.told(peer, path.attributes)
        asked = self.contexts.asked(self.policies, peer.exports, path)
        result = evaluate(
            self.policies,
            peer.exports,
            path,
            default=peer.default,
            context=self.contexts.told(peer, asked),
        )
        if isinstance(result, Accepted):
            through = tuple((s.policy, s.name) for s in result.trace)
            return Permitted(self.drain.told(peer, result.attributes), through)
        return result

    def share_policy(self, share: ShareImport, path: Path) -> Asked:
        """What a share's policies make of a path that it covers: the provider's export, then the
        consumer's import; each accepts by default."""
        words: list[tuple[Direction, Hashable]] = []
        chains: tuple[tuple[Direction, tuple[str, ...]], ...] = (
            ("export", share.exports),
            ("import", share.imports),
        )
        for direction, names in chains:
            if not names:
                continue
            context = self.contexts.shared(share, path)
            result = evaluate(self.policies, names, path, default="accept", context=context)
            if not isinstance(result, Accepted):
                return Asked(result, (*words, (direction, result)))
            words.append((direction, tuple((s.policy, s.name) for s in result.trace)))
            path = path._replace(attributes=result.attributes)
        return Asked(path.attributes, tuple(words))

    def apart(self, peer: Peer) -> Hashable:
        """What export policy looks at beside the routes: peers that differ in it are not told as
        one."""
        by_neighbor = peer.name if self.policies.tells_neighbors_apart(peer.exports) else ""
        return peer.name in self.drain.names, by_neighbor


def topology_findings(topology: Topology) -> list[Finding]:
    """The whole catalogue on the declared topology and its policies, in the order of the file.

    InputError: a policy file cannot be used.
    """
    policies = read_policies(topology.policies)
    found = policy_findings(topology, policies)
    found += declared_findings(topology)
    found += [placed(f, topology) for f in verify_world(declared_world(topology))]
    found = marked(found, topology.suppressions)
    return in_file_order([*found, *unused(found, topology.suppressions)])


def placed(finding: Finding, topology: Topology) -> Finding:
    """The verifier knows tables, not lines: point at what the file says about this CCN or peer."""
    if finding.where:
        return finding
    where = topology.at("ccns", finding.ccn)
    for router in topology.routers if finding.peer else ():
        if finding.peer == router.name:
            where = topology.at("idcs", router.idc, "routers", router.name, "ccn")
    ccn = topology.ccns.get(finding.ccn)
    if ccn and (targets := ccn.import_rts) is not None:
        # What the chain came over, or else the first that is not the CCN's own.
        heard = {word.rpartition(" ")[2] for word in finding.witness.get("by", ())}
        own = export_targets(topology, ccn)
        order = sorted(
            range(len(targets)), key=lambda i: (str(targets[i]) not in heard, targets[i] in own, i)
        )
        where = topology.at("ccns", finding.ccn, "import-rts", *order[:1])
    elif ccn and ccn.export_rts is not None:
        where = topology.at("ccns", finding.ccn, "export-rts")
    return replace(finding, where=where)


def read_intent(file: FilePath, name: str) -> Intent:
    """Load, resolve and verify. InputError: unreadable, invalid, or no such gateway. RefusedError:
    the declared topology has errors; one line for each, with its witness."""
    topology = load_topology(file)
    if name not in topology.gateways:
        near = get_close_matches(name, topology.gateways, 1)
        hint = f"did you mean '{near[0]}'?" if near else "one of " + ", ".join(topology.gateways)
        raise InputError(Problem(str(file), f"there is no gateway '{name}'", hint))
    return _verified(topology, name, load_policies(topology.policies))


def renewed(intent: Intent) -> Intent:
    """The same with its inventory files as they are now; nothing else is read again. Raises what
    ``read_intent`` does."""
    found = _verified(with_inventory(intent.topology), intent.gateway.name, intent.policies)
    return replace(found, drain=intent.drain)


def still_drained(intent: Intent, before: Intent) -> Intent:
    """The same, with the peers drained that an operator has drained under ``before``."""
    names = carried(
        before.drain.names,
        declared(before.topology, before.gateway),
        declared(intent.topology, intent.gateway),
        frozenset(p.name for p in peers(intent.topology, intent.gateway)),
    )
    return replace(intent, drain=Drain(names))


def _verified(topology: Topology, name: str, policies: PolicySet) -> Intent:
    errors = [f for f in topology_findings(topology) if f.stands]
    if errors:
        raise RefusedError(*(Problem(f.where, finding_line(f)) for f in errors))
    gateway = topology.gateways[name]
    drain = Drain(declared(topology, gateway))
    contexts = Contexts(topology, gateway)
    return Intent(topology, gateway, policies, _claims(topology), contexts, drain)


def _claims(topology: Topology) -> Claim:
    """What peers may not say, but for what the topology accepts: of that the verifier tells."""
    claims = Claims(topology)
    if not topology.suppressions:
        return claims

    def standing(peer: Peer, table: str, path: Path) -> Finding | None:
        finding = claims(peer, table, path)
        if finding is None or not marked([finding], topology.suppressions)[0].stands:
            return None
        return finding

    return standing


def finding_line(finding: Finding) -> str:
    """One line: severity, rule, message and the chain or hops that show it."""
    shown = finding.witness.get("chain") or finding.witness.get("hops") or ()
    way = " -> ".join(str(hop) for hop in shown)
    return f"{finding.severity} {finding.rule}: {finding.message}" + (f" [{way}]" if way else "")
