"""The API under a hostile client: every line gets one line back, and the gateway goes on."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from ccn_bgp.errors import CcnError, InputError, UnreachableError
from ccn_bgp.gateway.views import filters_of
from ccn_bgp.observe import api as api_module
from ccn_bgp.observe.api import Api, ask


async def answers(request: dict[str, Any]) -> Any:
    match request.get("fault"):
        case "ours":
            raise KeyError("a mistake\nof ours")
        case "gone":
            raise UnreachableError("the forwarder is gone")
        case "fault":
            raise CcnError("it did not work")
        case "input":
            raise InputError("there is no such thing")
    return request


def said(line: bytes) -> dict[str, Any]:
    return asyncio.run(Api(Path("api.sock"), answers)._one(line))


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b'{"fault": "ours"}', "fault"),
        (b'{"fault": "gone"}', "unreachable"),
        (b'{"fault": "fault"}', "fault"),
        (b'{"fault": "input"}', "input"),
        (b"[1]", "input"),
        (b"\xff\xfe", "input"),
        (b"{", "input"),
    ],
)
def test_every_line_gets_an_answer_of_one_line(line: bytes, kind: str) -> None:
    answer = said(line)
    assert (answer["ok"], answer["kind"]) == (False, kind)
    assert "\n" not in answer["error"]


@pytest.mark.parametrize("filters", [["ccn"], "ccn", 7, {"ccn": ["retail"]}, {"ccn": {}}])
def test_filters_of_a_wrong_shape_are_input(filters: Any) -> None:
    with pytest.raises(InputError):
        filters_of({"filters": filters})
    assert filters_of({"filters": {"ccn": "retail"}}) == {"ccn": "retail"}
    assert filters_of({}) == {}


def test_the_asker_gets_the_error_of_the_same_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A forwarder that does not answer behind a gateway that does is exit 4 too."""
    monkeypatch.setattr(api_module, "RUN", tmp_path)
    (tmp_path / "gw1").mkdir()

    async def run() -> None:
        api = Api(tmp_path / "gw1" / "api.sock", answers)
        await api.start()
        try:
            for word, error in (
                ("gone", UnreachableError),
                ("input", InputError),
                ("ours", CcnError),
            ):
                with pytest.raises(error) as caught:
                    await asyncio.to_thread(ask, "gw1", {"fault": word})
                assert type(caught.value) is error
            found = await asyncio.to_thread(ask, "gw1", {"plain": 1})
            assert json.dumps(found) == '{"plain": 1}'
        finally:
            await api.stop()

    asyncio.run(run())
