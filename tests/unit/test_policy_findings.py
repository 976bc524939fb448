"""What only the topology can tell of policies: route targets that nobody may export."""

from __future__ import annotations

from pathlib import Path

import pytest

from ccn_bgp.config.load import load_topology
from ccn_bgp.gateway.intent import topology_findings

TOPOLOGY = Path("topologies/two-regions.yaml").read_text()
POLICY = Path("topologies/policies/idc.yaml").read_text()


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("64600:100", []),
        ("64600:200", []),
        ("64600:999", ["policy gw, statement t: no CCN may export the route target 64600:999"]),
    ],
)
def test_sessions_with_gateways_may_set_what_some_ccn_exports(
    tmp_path: Path, target: str, found: list[str]
) -> None:
    (tmp_path / "policies").mkdir()
    statement = f'{{name: t, set: {{route-target: {{replace: ["{target}"]}}}}, then: accept}}'
    (tmp_path / "policies" / "idc.yaml").write_text(f"{POLICY}  gw:\n    - {statement}\n")
    text = TOPOLOGY.replace("    asn: 64601\n", "    asn: 64601\n    export: [gw]\n", 1)
    assert text != TOPOLOGY
    (tmp_path / "t.yaml").write_text(text)
    findings = topology_findings(load_topology(tmp_path / "t.yaml"))
    assert [f.message for f in findings if f.rule == "policy-target"] == found
