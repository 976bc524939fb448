"""Route policy by itself: one import policy with a prefix set, over many paths.

In: a policy file and paths, made before the clock starts. Out: evaluations per second.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path as FilePath

from ccn_bgp.bench import stream
from ccn_bgp.bench.figure import Figure, median
from ccn_bgp.errors import CcnError, Problem
from ccn_bgp.model.path import Path, Unicast
from ccn_bgp.policy.evaluate import Accepted, evaluate
from ccn_bgp.policy.load import load_policies

POLICY = """
prefix-sets:
  idc-space: [{prefix: 20.0.0.0/6, le: 24}]
policies:
  from-idc:
    - {name: own-space, match: {prefix-set: idc-space}, set: {local-pref: 200}, then: accept}
"""


def evaluation(case: str, count: int, repeats: int, say: Callable[[str], None]) -> Iterator[Figure]:
    """``count`` paths through the policy of the example topology; the median of ``repeats``."""
    with tempfile.TemporaryDirectory(prefix="ccn-bench-") as name:
        file = FilePath(name) / "policy.yaml"
        file.write_text(POLICY)
        policies = load_policies([file])
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
