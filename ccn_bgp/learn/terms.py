"""Terms: all that ranks and resolves a candidate beside its prefix, once for many candidates.

In: accepted attributes and bodies of Paths, with what is known of their peer. Out: numbers of
Terms, and columns by that number, in which decision.py reads the numbered steps of bestpath.py.
A candidate of candidates.py is a key, a slot and the number of its Terms.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count, repeat
from operator import attrgetter
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ccn_bgp.learn.bestpath import DEFAULT_LOCAL_PREF, spread
from ccn_bgp.learn.candidate import Candidate, Source, Speaks
from ccn_bgp.learn.growing import Growing
from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.path import (
    HIGHEST_PREFERENCE,
    EvpnPrefix,
    Path,
    PathAttributes,
    Segment,
    Unicast,
    first_asn,
    hops,
)
from ccn_bgp.model.route import Answer, NextHop
from ccn_bgp.model.rows import I8, UNICAST, Vocabulary, new_numbers, tuples

Array = npt.NDArray[Any]
U8 = npt.NDArray[np.uint64]
FACTS = np.dtype(
    [
        ("before", np.uint64),
        ("originator", np.int64),
        ("cluster", np.uint64),
        ("peer", np.int64),
        ("med_group", np.int64),
        ("med", np.uint64),
        ("usable", np.bool_),
        ("gateway", np.bool_),
        ("ccn", np.int64),
        ("of_idc", np.bool_),
        ("answer", np.uint32),
    ]
)
"""The columns of TermsBook; its properties say what they mean."""
_HOPS = np.dtype([("hop", np.uint64)])
_BANDWIDTHS = np.dtype([("bandwidth", np.uint64)])
_Ranked = tuple[int, int, int, int, int, int]
"""The first six of the FACTS."""
Offer = tuple[int, int]
"""The number of an Answer, and the link bandwidth that was said with it."""
LONGEST_PATH = 0xFFFF
NO_MED_GROUP = -1
_REMEMBERED = 1 << 17
_FEW = 16
"""So many Terms are added one by one."""


_RANKED = attrgetter(
    "local_pref",
    "preference",
    "as_path",
    "origin",
    "originator_id",
    "cluster_list",
    "med",
)


class Terms(NamedTuple):
    """What a peer offers: ``attributes`` after policy, the rest as said."""

    peer: int
    attributes: PathAttributes
    esi: bytes
    gateway: Ip | None
    vni: int
    source: Source
    origin: str
    answer: NextHop | None
    """Where it leads now; None if that is nowhere, or to a ``gateway`` and no table is said."""
    table: int = 0
    """The id of the table in which ``gateway`` is looked up, if it is one: these Terms then lead
    where the VM there does."""


class NextTables(Protocol):
    """Which tables next hops lead to (importing.py)."""

    def next_table(self, next_hop: NextHop) -> str:
        """The table of another gateway that a packet meets, or empty."""

    def next_tables(self, hops: Iterable[NextHop]) -> list[str]:
        """The same of many."""


class TermsBook:
    """Terms by number, given out in order of arrival, and their columns.

    ``multipath``: whether paths may share a prefix at all; what only
    that needs is not kept otherwise.
    """

    def __init__(
        self,
        speakers: list[Speaks],
        names: list[str],
        origins: NextTables,
        *,
        multipath: bool = False,
    ) -> None:
        self.speakers = speakers
        self.names = names
        self.origins = origins
        self.multipath = multipath
        self.terms: list[Terms] = []
        self.answers: list[Answer] = []
        self._number: dict[tuple[int, int, bytes, Ip | None, int, str, int], int] = {}
        self._answer: dict[Answer, int] = {}
        self._ccns: dict[str, int] = {}
        self._identities: list[Ip] = []
        self._identity: dict[Ip, int] = {}
        self._identity_rank: U8 = np.zeros(0, np.uint64)
        self._address_rank = _ranks([s.address for s in speakers])
        self._facts = Growing(FACTS)
        self._hop: dict[NextHop, int] = {}
        self._hops = Growing(_HOPS)
        self._bandwidths = Growing(_BANDWIDTHS)
        self._shared: dict[tuple[Offer, ...], int] = {}
        self.waiting: dict[tuple[int, Ip], list[int]] = {}
        """Terms that lead where the VM of an address does, by table and address."""

    def __len__(self) -> int:
        return len(self.terms)

    def number(self, terms: Terms) -> int:
        """The number of Terms; attributes count as the same only if they are the same object."""
        key = (terms.peer, id(terms.attributes), *terms[2:5], terms.origin, terms.table)
        found = self._number.get(key)
        if found is None:
            found = self._number[key] = len(self.terms)
            self.terms.append(terms)
            self._add(terms, self._ranked(terms))
            if terms.gateway is not None and terms.table:
                self.waiting.setdefault((terms.table, terms.gateway), []).append(found)
        return found

    def numbers(self, many: Sequence[Terms]) -> list[int]:
        """The same of many that are of one peer and source, without gateway IPs."""
        if len(many) < _FEW:
            return [self.number(terms) for terms in many]
        known, held = self._number, self.terms
        peers, sets, esis, gateways, vnis, _, origins, _, tables = zip(*many, strict=True)
        keys = list(zip(peers, map(id, sets), esis, gateways, vnis, origins, tables, strict=True))
        found = list(map(known.get, keys))
        fresh = [terms for terms, number in zip(many, found, strict=True) if number is None]
        if fresh:
            each = (key for key, number in zip(keys, found, strict=True) if number is None)
            known.update(zip(each, count(len(held)), strict=False))
            held += fresh
            self._add_all(fresh)
        return [known[key] for key in keys]

    def follow(self, number: int, hop: NextHop | None) -> bool:
        """The VM that these Terms lead to is there now; False if it was there before."""
        terms = self.terms[number]
        if terms.answer == hop:
            return False
        self.terms[number] = terms = terms._replace(answer=hop)
        self._facts["usable"][number] = hop is not None
        self._facts["answer"][number] = self._answer_of(terms)
        return True

    def _answer_of(self, terms: Terms) -> int:
        """The number of the Answer of usable Terms, else 0."""
        hop = terms.answer
        if hop is None:
            return 0
        name = self.names[terms.peer]
        return self.answer(Answer(hop, terms.origin, name, self.origins.next_table(hop)))

    def keep(self, live: I8) -> I8:
        """Forget all Terms but these (numbers, ascending); returns new numbers by old ones. Answers
        begin anew with them."""
        renumbered = new_numbers(len(self.terms), live)
        held = [self.terms[number] for number in live.tolist()]
        self.terms, self.answers = [], []
        self._number, self._answer = {}, {}
        self._facts = Growing(FACTS)
        self._ccns = {}
        self._identities, self._identity = [], {}
        self._identity_rank = np.zeros(0, np.uint64)
        self._hop, self._hops = {}, Growing(_HOPS)
        self._bandwidths, self._shared = Growing(_BANDWIDTHS), {}
        self.waiting = {}
        for terms in held:
            self.number(terms)
        return renumbered

    def _ranked(self, terms: Terms) -> _Ranked:
        attributes = terms.attributes
        local_pref = attributes.local_pref
        worse = 0xFFFFFFFF - (DEFAULT_LOCAL_PREF if local_pref is None else local_pref)
        rank = worse << 27 | (HIGHEST_PREFERENCE - attributes.preference) << 19
        rank |= (terms.source > Source.IDC) << 18
        rank |= min(attributes.as_path_length, LONGEST_PATH) << 2 | int(attributes.origin)
        originator, first = attributes.originator_id, attributes.first_asn
        return (
            rank,
            -1 if originator is None else self.identity(originator),
            len(attributes.cluster_list),
            terms.peer,
            NO_MED_GROUP if first is None else first,
            attributes.med or 0,
        )

    def _add(self, terms: Terms, ranked: _Ranked) -> None:
        owner = terms.origin.rpartition("/")[2]
        answer = self._answer_of(terms)
        if self.multipath:
            self._bandwidths.add(terms.attributes.link_bandwidth)
        self._facts.add(
            *ranked,
            terms.answer is not None,
            terms.gateway is not None and not terms.table,
            self._ccns.setdefault(owner, len(self._ccns)),
            terms.source is Source.IDC,
            answer,
        )

    def _add_all(self, fresh: Sequence[Terms]) -> None:
        """As ``_add`` and ``_ranked``, for many of one peer and source without gateway IPs."""
        peers, sets, _, _, _, sources, origins, hops_, _ = zip(*fresh, strict=True)
        source = sources[0]
        prefs, preferences, paths, kinds, originators, clusters, meds = zip(
            *map(_RANKED, sets), strict=True
        )
        worse = _column(prefs, lambda p: DEFAULT_LOCAL_PREF if p is None else p)
        rank: Array = (np.uint64(0xFFFFFFFF) - worse) << np.uint64(27)
        preference = _column(preferences, int)
        rank = rank | (np.uint64(HIGHEST_PREFERENCE) - preference) << np.uint64(19)
        rank = rank | np.uint64((source > Source.IDC) << 18)
        # Sets of one peer share the objects of equal AS paths.
        by_id = dict(zip(map(id, paths), paths, strict=True))
        known = {key: _of_path(path) for key, path in by_id.items()}
        lengths, groups = np.array([known[key] for key in map(id, paths)], np.int64).T
        rank = rank | lengths.astype(np.uint64) << np.uint64(2) | _column(kinds, int)
        if self.multipath:
            for attributes in sets:
                self._bandwidths.add(attributes.link_bandwidth)
        owners = {name: name.rpartition("/")[2] for name in dict.fromkeys(origins)}
        ccns = {name: self._ccn(owner) for name, owner in owners.items()}
        # Many lead to one place, and say so by one object.
        if len(owners) == len(set(map(id, hops_))) == 1:
            places = [(id(hops_[0]), origins[0])]
        else:
            places = list(zip(map(id, hops_), origins, strict=True))
        led = dict(zip(places, hops_, strict=False))
        answers = self._answers(peers[0], led)
        columns: dict[str, npt.ArrayLike] = {
            "before": rank,
            "originator": _column(originators, self._originator, np.int64),
            "cluster": _column(clusters, len),
            "peer": peers[0],
            "med_group": groups,
            "med": _column(meds, lambda med: med or 0),
            "usable": _column(places, lambda place: led[place] is not None, np.bool_),
            "gateway": False,
            "ccn": _column(origins, ccns.__getitem__, np.int64),
            "of_idc": source is Source.IDC,
            "answer": _column(places, answers.__getitem__, np.uint32),
        }
        self._facts.extend(len(fresh), columns)

    def _ccn(self, owner: str) -> int:
        return self._ccns.setdefault(owner, len(self._ccns))

    def _originator(self, router_id: Ip | None) -> int:
        return -1 if router_id is None else self.identity(router_id)

    def _answers(
        self, peer: int, led: Mapping[tuple[int, str], NextHop | None]
    ) -> dict[tuple[int, str], int]:
        """The numbers of the Answers of one peer that lead there, 0 for nowhere; by next hop (its
        id) and origin."""
        found = dict.fromkeys(led, 0)
        there = {place: hop for place, hop in led.items() if hop is not None}
        origins = [origin for _, origin in there]
        tables = self.origins.next_tables(there.values())
        made = tuples(Answer, there.values(), origins, repeat(self.names[peer]), tables)
        found.update(zip(there, map(self.answer, made), strict=True))
        return found

    def answer(self, answer: Answer) -> int:
        """The number of an Answer; equal ones have one number."""
        found = self._answer.get(answer)
        if found is None:
            found = self._answer[answer] = len(self.answers)
            self.answers.append(answer)
            if self.multipath:
                self._hops.add(self._hop.setdefault(answer.next_hop, len(self._hop)))
        return found

    def hop_numbers(self, terms: npt.NDArray[np.uint32]) -> U8:
        """A number for the next hop of each of these usable Terms."""
        found: U8 = self._hops["hop"][self.answer_numbers[terms]]
        return found

    def offers(self, terms: npt.NDArray[np.uint32]) -> tuple[list[Offer], I8]:
        """What these usable Terms offer to those who share a prefix: different offers, ascending,
        and which of them each is."""
        answer, bandwidth = self.answer_numbers[terms], self._bandwidths["bandwidth"][terms]
        order = np.lexsort((bandwidth, answer))
        answers, bandwidths = answer[order], bandwidth[order]
        fresh = np.ones(len(order), np.bool_)
        fresh[1:] = (answers[1:] != answers[:-1]) | (bandwidths[1:] != bandwidths[:-1])
        number = np.empty(len(order), np.int64)
        number[order] = np.cumsum(fresh) - 1
        return list(zip(answers[fresh].tolist(), bandwidths[fresh].tolist(), strict=True)), number

    def shared(self, offers: tuple[Offer, ...]) -> int:
        """The number of the Answer of a prefix that several share, the best first."""
        found = self._shared.get(offers)
        if found is None:
            best = self.answers[offers[0][0]]
            hop = spread([(self.answers[a].next_hop, bandwidth) for a, bandwidth in offers])
            if len(self._shared) >= _REMEMBERED:
                self._shared.clear()
            found = self._shared[offers] = self.answer(
                best._replace(next_hop=hop, next_table=self.origins.next_table(hop))
            )
        return found

    def identity(self, router_id: Ip) -> int:
        """The number of a router-id; ``after`` ranks them by their octets."""
        found = self._identity.get(router_id)
        if found is None:
            found = self._identity[router_id] = len(self._identities)
            self._identities.append(router_id)
        return found

    def after(self, terms: npt.NDArray[np.uint32]) -> U8:
        """Steps 7 to 10 as one number each: uint64[n]."""
        router_ids = np.array([self.identity(s.router_id) for s in self.speakers], np.int64)
        if len(self._identity_rank) != len(self._identities):
            self._identity_rank = _ranks(self._identities)
        external = np.array([0 if s.external else 1 for s in self.speakers], np.uint64)
        peer, originator = self._facts["peer"][terms], self._facts["originator"][terms]
        identity = self._identity_rank[np.where(originator < 0, router_ids[peer], originator)]
        found: U8 = (
            external[peer] << np.uint64(63)
            | identity << np.uint64(32)
            | self._facts["cluster"][terms] << np.uint64(16)
            | self._address_rank[peer]
        )
        return found

    @property
    def before(self) -> U8:
        """Steps 2 to 5 as one number: uint64 by number of Terms."""
        return self._facts["before"]

    @property
    def med_group(self) -> npt.NDArray[np.int64]:
        """The neighbouring AS whose MEDs compare (step 6)."""
        return self._facts["med_group"]

    @property
    def med(self) -> U8:
        """MED; 0 where there is none."""
        return self._facts["med"]

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Leads somewhere, whatever else is held."""
        return self._facts["usable"]

    @property
    def gateway(self) -> npt.NDArray[np.bool_]:
        """Leads where its gateway IP does, and no table is said in which: asked one by one."""
        return self._facts["gateway"]

    @property
    def ccn(self) -> npt.NDArray[np.int64]:
        """A number for the CCN of the origin."""
        return self._facts["ccn"]

    @property
    def of_idc(self) -> npt.NDArray[np.bool_]:
        """Said by a data centre here: told to gateways."""
        return self._facts["of_idc"]

    @property
    def answer_numbers(self) -> npt.NDArray[np.uint32]:
        """The number of the Answer of usable Terms."""
        return self._facts["answer"]

    def path(self, words: Vocabulary, number: int, distinguisher: int, prefix: Prefix) -> Path:
        """The Path of a candidate, with the attributes after policy."""
        terms = self.terms[number]
        name = self.names[terms.peer]
        if distinguisher == UNICAST:
            return Path(name, Unicast(prefix), terms.attributes)
        rd, etag = words.distinguishers[distinguisher]
        nlri = EvpnPrefix(rd, terms.esi, etag, prefix, terms.gateway, terms.vni)
        return Path(name, nlri, terms.attributes)

    def candidate(
        self, words: Vocabulary, number: int, distinguisher: int, prefix: Prefix
    ) -> Candidate:
        """The Candidate of a row."""
        terms = self.terms[number]
        path = self.path(words, number, distinguisher, prefix)
        speaker = self.speakers[terms.peer]
        return Candidate(path, path.nlri.key, terms.source, speaker, terms.origin)


def _of_path(as_path: tuple[Segment, ...]) -> tuple[int, int]:
    """Its length, and the neighbouring AS whose MEDs compare."""
    first = first_asn(as_path)
    return min(hops(as_path), LONGEST_PATH), NO_MED_GROUP if first is None else first


def _column(
    values: Sequence[Any], of: Callable[[Any], int], dtype: npt.DTypeLike = np.uint64
) -> Array:
    """What ``of`` says of each value, asked once for equal ones; where all are equal, one number
    for all."""
    known = {value: of(value) for value in dict.fromkeys(values)}
    one = list(known.values())
    found: Array = np.array(one if len(one) == 1 else [known[v] for v in values], dtype)
    return found


def _ranks(values: list[Ip]) -> U8:
    """Where each value stands among all, equal ones alike."""
    order = {value: rank for rank, value in enumerate(sorted(set(values)))}
    return np.array([order[value] for value in values], np.uint64)
