"""The second opinion agrees with the fast check: same rules, same tables, same prefixes."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ccn_bgp.table.verify import parse_world, verify_world
from ccn_bgp.table.verify.recheck import recheck

RULES = {"leak", "hijack", "blackhole", "loop", "misdelivery"}
TABLES = ["a/red", "b/red", "a/blue"]


def prefix(bits: int, length: int) -> str:
    number = bits >> (4 - length) << (4 - length)
    return f"{number << 4}.0.0.0/{length}"


routes = st.lists(
    st.fixed_dictionaries(
        {
            "table": st.sampled_from(TABLES),
            "prefix": st.builds(prefix, st.integers(0, 15), st.integers(0, 4)),
            "origin": st.sampled_from(TABLES),
            "next": st.one_of(
                st.sampled_from(["deliver", "drop", *TABLES]),
                st.lists(
                    st.sampled_from(["deliver", *TABLES]), min_size=2, max_size=3, unique=True
                ),
            ),
        }
    ),
    max_size=12,
    unique_by=lambda r: (r["table"], r["prefix"]),
)
shares = st.lists(
    st.fixed_dictionaries(
        {
            "table": st.sampled_from(TABLES),
            "provider": st.sampled_from(["red", "blue"]),
            "prefix": st.builds(prefix, st.integers(0, 15), st.integers(0, 4)),
        }
    ),
    max_size=2,
)


@settings(max_examples=600, deadline=None)
@given(routes=routes, shares=shares)
def test_both_checks_name_the_same_routes(tmp_path_factory, routes, shares) -> None:
    world = {
        "tables": [{"name": t, "ccn": t.rpartition("/")[2]} for t in TABLES],
        "routes": routes,
        "shares": shares,
    }
    file = Path(tmp_path_factory.getbasetemp()) / "world.json"
    file.write_text(json.dumps(world))
    fast = {
        (f.rule, f.table, f.prefix) for f in verify_world(parse_world([file])) if f.rule in RULES
    }
    faults, asked = recheck(world)
    assert {fault[:3] for fault in faults} == fast
    if routes:
        assert asked >= len({(r["table"], r["prefix"].split("/")[0]) for r in routes})
