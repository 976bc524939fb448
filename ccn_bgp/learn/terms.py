"""Terms: all that ranks and resolves a candidate beside its prefix, once for many candidates.

In: accepted attributes and bodies of Paths, with what is known of their peer. Out: numbers of
Terms, and columns by that number, in which decision.py reads the numbered steps of bestpath.py.
A candidate of candidates.py is a key, a slot and the number of its Terms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ccn_bgp.learn.bestpath import DEFAULT_LOCAL_PREF
from ccn_bgp.learn.candidate import Candidate, Source, Speaks
from ccn_bgp.learn.growing import Growing
from ccn_bgp.model.bgp import Ip, Prefix
from ccn_bgp.model.path import EvpnPrefix, Path, PathAttributes, Unicast
from ccn_bgp.model.route import Answer, NextHop
from ccn_bgp.model.rows import I8, UNICAST, Vocabulary, new_numbers

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
LONGEST_PATH = 0xFFFF
NO_MED_GROUP = -1


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
    """Where it leads; None if it leads nowhere, or where its gateway IP does."""


class TermsBook:
    """Terms by number, given out in order of arrival, and their columns."""

    def __init__(self, speakers: list[Speaks], names: list[str]) -> None:
        self.speakers = speakers
        self.names = names
        self.terms: list[Terms] = []
        self.answers: list[Answer] = []
        self._number: dict[tuple[int, int, bytes, Ip | None, int, str], int] = {}
        self._answer: dict[Answer, int] = {}
        self._ccns: dict[str, int] = {}
        self._identities: list[Ip] = []
        self._identity: dict[Ip, int] = {}
        self._identity_rank: U8 = np.zeros(0, np.uint64)
        self._address_rank = _ranks([s.address for s in speakers])
        self._facts = Growing(FACTS)

    def __len__(self) -> int:
        return len(self.terms)

    def number(self, terms: Terms, next_table: str) -> int:
        """The number of Terms; attributes count as the same only if they are the same object."""
        key = (terms.peer, id(terms.attributes), *terms[2:5], terms.origin)
        found = self._number.get(key)
        if found is None:
            found = self._number[key] = len(self.terms)
            self.terms.append(terms)
            self._add(terms, next_table)
        return found

    def keep(self, live: I8) -> I8:
        """Forget all Terms but these (numbers, ascending); returns new numbers by old ones. Answers
        begin anew with them."""
        renumbered = new_numbers(len(self.terms), live)
        held = []
        for number, answer in zip(live.tolist(), self._facts["answer"][live].tolist(), strict=True):
            terms = self.terms[number]
            held.append((terms, self.answers[answer].next_table if terms.answer else ""))
        self.terms, self.answers = [], []
        self._number, self._answer = {}, {}
        self._facts = Growing(FACTS)
        self._identities, self._identity = [], {}
        self._identity_rank = np.zeros(0, np.uint64)
        for terms, next_table in held:
            self.number(terms, next_table)
        return renumbered

    def _add(self, terms: Terms, next_table: str) -> None:
        attributes = terms.attributes
        local_pref = attributes.local_pref
        worse = 0xFFFFFFFF - (DEFAULT_LOCAL_PREF if local_pref is None else local_pref)
        rank = worse << 19 | (terms.source > Source.IDC) << 18
        rank |= min(attributes.as_path_length, LONGEST_PATH) << 2 | int(attributes.origin)
        originator, first = attributes.originator_id, attributes.first_asn
        owner = terms.origin.rpartition("/")[2]
        hop, answer = terms.answer, 0
        if hop is not None:
            answer = self.answer(Answer(hop, terms.origin, self.names[terms.peer], next_table))
        self._facts.add(
            rank,
            -1 if originator is None else self.identity(originator),
            len(attributes.cluster_list),
            terms.peer,
            NO_MED_GROUP if first is None else first,
            attributes.med or 0,
            hop is not None,
            terms.gateway is not None,
            self._ccns.setdefault(owner, len(self._ccns)),
            terms.source is Source.IDC,
            answer,
        )

    def answer(self, answer: Answer) -> int:
        """The number of an Answer; equal ones have one number."""
        found = self._answer.get(answer)
        if found is None:
            found = self._answer[answer] = len(self.answers)
            self.answers.append(answer)
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
        """Leads where its gateway IP does."""
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


def _ranks(values: list[Ip]) -> U8:
    """Where each value stands among all, equal ones alike."""
    order = {value: rank for rank, value in enumerate(sorted(set(values)))}
    return np.array([order[value] for value in values], np.uint64)
