"""Policies in the words that FRR and GoBGP have as well, drawn by a seed over given routes.

In: routes as JSON. Out: documents as policy files have them, in which prefixes, communities and AS
numbers are those of the routes, so that conditions meet some of them and not all.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Sequence
from typing import Any

NEIGHBOR = "127.0.0.3"


class Drawn:
    """Everything is drawn from ``seed``: the same seed, the same document."""

    def __init__(self, seed: int, routes: Sequence[dict[str, Any]]) -> None:
        self.dice = random.Random(seed)
        self.routes = routes

    def document(self, statements: int, policies: int = 1) -> dict[str, Any]:
        """A file with a chain of ``policies``, p0, p1 …, of so many statements together."""
        sets: dict[str, Any] = {
            "prefix-sets": {f"p{n}": self.prefixes() for n in range(6)},
            "community-sets": {f"c{n}": self.communities() for n in range(6)}
            | {f"l{n}": self.literals() for n in range(4)},
            "as-path-sets": {f"a{n}": self.as_paths() for n in range(6)},
            "neighbor-sets": {"there": [NEIGHBOR]},
        }
        chain: dict[str, list[dict[str, Any]]] = {f"p{n}": [] for n in range(policies)}
        for number in range(statements):
            chain[f"p{number * policies // statements}"].append(self.statement(number))
        chain[f"p{policies - 1}"].append({"name": "rest", "set": {"med": "+1"}, "then": "accept"})
        return {**sets, "policies": chain}

    def route(self) -> dict[str, Any]:
        return self.dice.choice(self.routes)

    def asn(self) -> str:
        return self.dice.choice(
            [word for word in self.route()["attributes"]["as-path"].split() if word.isdigit()]
        )

    def community(self) -> str:
        while not (held := self.route()["attributes"].get("communities")):
            pass
        return str(self.dice.choice(held))

    def prefixes(self) -> list[Any]:
        found: list[Any] = []
        for _ in range(self.dice.randint(1, 12)):
            network = ipaddress.ip_network(self.route()["prefix"])
            if self.dice.random() < 0.3:
                found.append(str(network))
                continue
            above = network.supernet(new_prefix=self.dice.randint(0, network.prefixlen))
            least = self.dice.randint(above.prefixlen, 32)
            entry: dict[str, Any] = {"prefix": str(above)}
            if self.dice.random() < 0.6:
                entry["ge"] = least
            if self.dice.random() < 0.6:
                entry["le"] = self.dice.randint(least, 32)
            found.append(entry)
        return found

    def literals(self) -> list[Any]:
        return sorted({self.community() for _ in range(self.dice.randint(1, 2))})

    def communities(self) -> list[Any]:
        found: list[Any] = self.literals()
        high, low = self.community().split(":")
        found.append(self.dice.choice([f"{high}:*", f"*:{low}", {"regex": f"^{high}:{low[0]}"}]))
        return found

    def as_paths(self) -> list[Any]:
        one, other = self.asn(), self.asn()
        every = (
            f"_{one}_", f"_{one}_{other}_", f"{one}$", f"_{one}$", f"_({one}|{other})_",
            f"^65101_{one}_", "[{]", f"_[0-9]+_{one}$", f"{one} [0-9]+ [0-9]+$",
            {"contains": int(one)}, {"origin-as": int(other)},
        )  # fmt: skip
        return self.dice.sample(every, self.dice.randint(1, 3))

    def statement(self, number: int) -> dict[str, Any]:
        match: dict[str, Any] = {}
        for key, kind, some in (
            ("prefix-set", "p", 6),
            ("community-set", "c", 6),
            ("as-path-set", "a", 6),
        ):
            if self.dice.random() < 0.45:
                match[key] = self.asked(kind, some, key == "community-set")
        if self.dice.random() < 0.1 or not match:
            match["neighbor-set"] = "there"
        then = self.dice.choice(["accept", "reject", "next-statement", "next-statement"])
        found: dict[str, Any] = {"name": f"s{number}", "match": match, "then": then}
        if then != "reject" and (change := self.change()):
            found["set"] = change
        return found

    def asked(self, kind: str, some: int, community: bool) -> Any:
        names = [f"{kind}{self.dice.randrange(some)}" for _ in range(self.dice.randint(1, 2))]
        option = self.dice.choice(["any", "any", "invert", "all"])
        if option == "all":
            return {"all": f"l{self.dice.randrange(4)}"} if community else names[0]
        return {option: names}

    def change(self) -> dict[str, Any]:
        dice = self.dice
        found: dict[str, Any] = {}
        if dice.random() < 0.4:
            found["local-pref"] = dice.randint(0, 400)
        if dice.random() < 0.4:
            found["med"] = dice.choice([dice.randint(0, 99), f"+{dice.randint(1, 9)}"])
        if dice.random() < 0.3:
            count = dice.randint(1, 4)
            found["as-path-prepend"] = dice.choice([count, {"count": count, "asn": 64700}])
        if dice.random() < 0.4:
            found["community"] = dice.choice(
                [
                    {"add": [f"64600:{dice.randint(1, 9)}", self.community()]},
                    {"remove": [{"set": f"c{dice.randrange(6)}"}]},
                    {"replace": [f"64600:{dice.randint(1, 9)}"]},
                ]
            )
        return found
