"""Route policy by itself, over many routes that share attribute sets.

In: policy files and routes, made before the clock starts. Out: the time that judging them takes:
path by path, and in columns as the gateway learns them.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

import numpy as np

from ccn_bgp.bench import stream
from ccn_bgp.bench.figure import Figure, median
from ccn_bgp.bench.policy_beside import Load, beside
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.model.bgp import Asn, Ip, Prefix
from ccn_bgp.model.path import Path, PathAttributes, Segment, SegmentType, Unicast
from ccn_bgp.policy.columns import Columns
from ccn_bgp.policy.evaluate import Accepted, evaluate
from ccn_bgp.policy.flight import Context, Flight
from ccn_bgp.policy.load import load_policies
from ccn_bgp.policy.rules import PolicySet

POLICY = """
prefix-sets:
  idc-space: [{prefix: 20.0.0.0/6, le: 24}]
policies:
  from-idc:
    - {name: own-space, match: {prefix-set: idc-space}, set: {local-pref: 200}, then: accept}
"""
SETS = 1_000
"""Attribute sets that a million routes share: what a full table has per thousand routes."""


def evaluation(case: str, count: int, repeats: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``count`` paths through the policy of the example topology; the median of ``repeats``."""
    policies = _loaded(POLICY)
    shared = stream.attributes(0)
    paths = [Path("peer", Unicast(stream.prefix(i)), shared) for i in range(count)]
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        accepted = [
            isinstance(evaluate(policies, ("from-idc",), path, default="reject"), Accepted)
            for path in paths
        ]
        times.append(time.perf_counter() - begun)
        if not all(accepted):
            raise CcnError(Problem("bench", "a path was not accepted"))
    say(f"{count} paths, {repeats} times")
    rate = count / median(times)
    yield Figure(case, "paths per second", "1/s", rate, higher_is_better=True)


def statements(
    case: str, count: int, repeats: int, say: Callable[[str], None], *, peers: int = 0
) -> Iterator[Figure]:
    """``count`` routes over SETS attribute sets through fifty statements, most of which look at
    every route and let it go on; compiling included. A sample is compared with evaluate(). The
    first ``peers`` routes pass the same policy in FRR and GoBGP (policy_beside.py)."""
    policies = _loaded(fifty_statements())
    sets = attribute_sets(SETS)
    which = np.arange(count, dtype=np.int64) * 7919 % SETS
    raw = np.frombuffer(b"".join(stream.prefix(i) for i in range(count)), np.uint8)
    raw = raw.reshape(-1, 5)
    address, length = np.ascontiguousarray(raw[:, :4]), np.ascontiguousarray(raw[:, 4])
    context = Context(neighbor="lf-r1", asn=65101, own_asn=64601, origin_kind="idc")
    times, used = [], []
    for _ in range(repeats):
        begun, busy = time.perf_counter(), time.process_time()
        bodies = [Flight(Unicast(Prefix(bytes(5))), held, context) for held in sets]
        judged = Columns(policies, ("from-idc",), "reject").judge(bodies, which, address, length)
        times.append(time.perf_counter() - begun)
        used.append(time.process_time() - busy)
    passed = int(judged.accepted.sum())
    for row in range(0, count, max(1, count // 200)):
        path = Path("", Unicast(Prefix(raw[row].tobytes())), sets[int(which[row])])
        alone = evaluate(policies, ("from-idc",), path, default="reject", context=context)
        if judged.verdicts[int(judged.which[row])] != alone:
            raise CcnError(Problem("bench", f"{path.nlri.prefix} is judged otherwise alone"))  # type: ignore[union-attr]
    kinds = len(judged.verdicts)
    say(f"{count} routes, {SETS} attribute sets, {passed} accepted, {kinds} kinds, {repeats} times")
    yield Figure(case, "time", "s", median(times))
    theirs = {}
    if peers:
        prefixes = [Prefix(raw[row].tobytes()) for row in range(peers)]
        verdicts = [isinstance(v, Accepted) for v in judged.verdicts]
        some = sum(verdicts[number] for number in judged.which[:peers].tolist())
        load = Load(prefixes, which[:peers].tolist(), sets, some)
        theirs = beside(load, policies, ("from-idc",), say)
    share = {name: max(t.with_policy - t.bare, 0.0) * count / peers for name, t in theirs.items()}
    yield Figure(case, "CPU time", "s", median(used), share)


def attribute_sets(count: int) -> list[PathAttributes]:
    """As transit gives them: paths of two to six ASes, communities, MED; the same every time."""
    dice = random.Random(1)
    found = []
    for _ in range(count):
        asns = [65101, *(dice.randrange(1000, 1400) for _ in range(dice.randrange(1, 6)))]
        found.append(
            PathAttributes(
                as_path=(Segment(SegmentType.AS_SEQUENCE, tuple(map(Asn, asns))),),
                next_hop=Ip.parse("169.254.1.2"),
                med=dice.choice([None, 0, 10, 50]),
                communities=tuple(
                    sorted({dice.randrange(1000, 1020) << 16 | dice.randrange(300) for _ in "abc"})
                ),
            )
        )
    return found


def fifty_statements() -> str:
    """A policy that uses what FRR and GoBGP have as well: prefixes, communities, AS paths, MED.

    20 statements reject by prefix set (16 prefixes each), 10 by community, 9 by AS path; 10 mark
    and go on; the last accepts.
    """
    sets = ["prefix-sets:"]
    lines = []
    for n in range(20):
        held = ", ".join(
            f"{{prefix: {20 + (n * 16 + i) % 16}.{(n * 13 + i * 7) % 256}.{n * 8}.0/22, le: 24}}"
            for i in range(16)
        )
        sets.append(f"  p{n}: [{held}]")
        lines.append(f"{{name: prefix-{n}, match: {{prefix-set: p{n}}}, then: reject}}")
    sets.append("community-sets:")
    for n in range(10):
        sets.append(f'  c{n}: ["{1000 + n}:{n}", "{1000 + n}:{n + 100}"]')
        lines.append(f"{{name: community-{n}, match: {{community-set: c{n}}}, then: reject}}")
    for n in range(10):
        sets.append(f'  m{n}: ["{1010 + n}:*"]')
        mark = f"{{community: {{add: ['64600:{n}']}}, local-pref: {200 + n}}}"
        match = f"{{community-set: m{n}}}"
        lines.append(f"{{name: mark-{n}, match: {match}, set: {mark}, then: next-statement}}")
    sets.append("as-path-sets:")
    for n in range(9):
        sets.append(f"  a{n}: [_{1000 + n}_{1001 + n}_, _{1300 + n}$]")
        lines.append(f"{{name: path-{n}, match: {{as-path-set: a{n}}}, then: reject}}")
    lines.append("{name: rest, set: {med: 0}, then: accept}")
    body = "\n".join(f"    - {line}" for line in lines)
    return "\n".join([*sets, "policies:", "  from-idc:", body, ""])


def _loaded(text: str) -> PolicySet:
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        file = FilePath(name) / "policy.yaml"
        file.write_text(text)
        return load_policies([file])
