"""How probes are counted: loss, outage, foreign stamps, the positive control."""

from __future__ import annotations

from array import array

import pytest

from ccn_bgp.cli.lab import seconds
from ccn_bgp.errors import InputError
from ccn_bgp.lab.checking import Verdict, probes_per_pair
from ccn_bgp.lab.members import Member, Pair
from ccn_bgp.lab.moving import signal_number
from ccn_bgp.lab.probe import CONTROL, PairResult, ProbeResult, Stamps, interleave
from ccn_bgp.model.bgp import Ip

WEB = Member("vm-web", "n1", "retail", "vpc/web", Ip.parse("10.1.0.10"))
ORDERS = Member("vm-orders", "n2", "retail", "vpc/orders", Ip.parse("10.2.0.10"))
LEDGER = Member("vm-ledger", "n3", "finance", "vpc/ledger", Ip.parse("10.1.0.10"))


def run_of(arrived: str) -> PairResult:
    """A pair with a probe every 10 ms; ``x`` arrived, ``.`` did not."""
    times = array("d", (i * 0.01 for i in range(len(arrived))))
    return PairResult(Pair(WEB, ORDERS), times, bytearray(c == "x" for c in arrived))


@pytest.mark.parametrize(
    ("arrived", "lost", "outage"),
    [
        ("xxxx", 0, 0.0),
        ("x..x", 2, 0.02),
        ("..xx", 2, 0.02),
        ("xx..", 2, 0.02),
        ("....", 4, 0.04),
        ("x.x...x.x", 5, 0.03),
        ("", 0, 0.0),
    ],
)
def test_outage_runs_from_the_first_lost_to_the_next_arrived(
    arrived: str, lost: int, outage: float
) -> None:
    one = run_of(arrived)
    assert one.lost == lost
    assert one.longest_outage == pytest.approx(outage)


def judged(receiver: Member, ccn: str, index: int, sequence: int = 0) -> ProbeResult:
    result = ProbeResult([run_of("..")], controls=1)
    stamps = Stamps(["retail", "finance"])
    stamps.judge(result, receiver, stamps.probe(ccn, index, sequence))
    return result


def test_own_stamp_at_the_target_arrives() -> None:
    result = judged(ORDERS, "retail", 0, 1)
    assert result.pairs[0].arrived == bytearray((0, 1))
    assert not result.foreign


def test_foreign_stamp_is_a_leak() -> None:
    result = judged(LEDGER, "retail", 0)
    assert [(f.receiver, f.ccn) for f in result.foreign] == [(LEDGER, "retail")]
    assert result.pairs[0].lost == 2
    assert not Verdict(result, 10.0, ()).ok


def test_another_stamp_arrives_where_a_share_lets_it_come() -> None:
    times = array("d", (0.0, 0.01))
    result = ProbeResult([PairResult(Pair(LEDGER, ORDERS), times, bytearray(2))])
    stamps = Stamps(["retail", "finance"])
    stamps.judge(result, ORDERS, stamps.probe("finance", 0, 1))
    assert result.pairs[0].arrived == bytearray((0, 1)) and not result.foreign
    stamps.judge(result, WEB, stamps.probe("finance", 0, 0))  # not to whom it was sent
    assert len(result.foreign) == 1


def test_control_is_recognised_and_is_no_leak() -> None:
    result = judged(LEDGER, "retail", CONTROL)
    assert result.controls_seen == 1
    assert not result.foreign
    assert Verdict(result, 0.0, ()).ok


def test_an_unseen_control_fails_the_check() -> None:
    assert not Verdict(ProbeResult([], controls=1), 0.0, ()).ok


def test_own_stamp_elsewhere_is_misdelivered() -> None:
    assert judged(WEB, "retail", 0).misdelivered == 1


def test_stamps_of_another_run_and_garbage_are_ignored() -> None:
    result = ProbeResult([run_of("..")])
    stamps = Stamps(["retail", "finance"])
    for octets in (b"", b"x" * 64, Stamps(["retail"]).probe("retail", 0, 0)):
        stamps.judge(result, LEDGER, octets)
    assert (result.foreign, result.misdelivered, result.lost) == ([], 0, 2)


def test_a_number_out_of_range_counts_nowhere() -> None:
    assert judged(ORDERS, "retail", 0, 99).lost == 2
    assert judged(ORDERS, "retail", 77).misdelivered == 1


def test_every_ccn_sends_enough_each_way() -> None:
    wanted = [Pair(WEB, ORDERS), Pair(ORDERS, WEB)] * 3 + [Pair(LEDGER, LEDGER)]
    counts = probes_per_pair(wanted, 10_000)
    assert sum(counts[:6:2]) >= 10_000
    assert sum(counts[1:6:2]) >= 10_000
    assert counts[6] == 20_000


def test_pairs_are_interleaved_evenly() -> None:
    plan = interleave([4, 2, 0])
    assert sorted(plan) == [0, 0, 0, 0, 1, 1]
    assert list(plan[:3]).count(1) == 1


def test_times_and_signals_are_read() -> None:
    assert (seconds("2s"), seconds("500ms"), seconds("0")) == (2.0, 0.5, 0.0)
    assert signal_number("9") == signal_number("KILL") == signal_number("sigkill") == 9
    with pytest.raises(InputError, match="not a time"):
        seconds("soon")
    with pytest.raises(InputError, match="did you mean SIGHUP"):
        signal_number("HUPP")
