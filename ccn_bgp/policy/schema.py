"""The JSON Schema of policy files, for editors that complete and check while one writes.

Made of the same tables of keys that the readers use. It knows form and words; names, patterns that
compile and everything else that needs more than one value are `ccn policy lint`'s.
"""

from __future__ import annotations

from typing import Any

from ccn_bgp.model.path import HIGHEST_PREFERENCE
from ccn_bgp.policy import read_aggregate, read_change, read_match, testing_aggregates
from ccn_bgp.policy.at import U32
from ccn_bgp.policy.communities import KINDS
from ccn_bgp.policy.load import STATEMENT_KEYS
from ccn_bgp.policy.routes import ATTRIBUTES
from ccn_bgp.policy.routes import KEYS as ROUTE_KEYS
from ccn_bgp.policy.rules import THENS
from ccn_bgp.policy.testing import KEYS as TEST_KEYS
from ccn_bgp.policy_files import SETS

Schema = dict[str, Any]
NAME: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"}
TEXT: Schema = {"type": "string"}


def _number(low: int = 0, high: int = U32) -> Schema:
    return {"type": "integer", "minimum": low, "maximum": high}


def _mapping(properties: dict[str, Schema], *required: str, about: str = "") -> Schema:
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    if required:
        found["required"] = list(required)
    return found | ({"description": about} if about else {})


def _span(low: int = 0, high: int = U32) -> Schema:
    number = _number(low, high)
    return {"anyOf": [number, _mapping({"ge": number, "le": number})]}


def _some(item: Schema) -> Schema:
    return {"anyOf": [item, {"type": "array", "items": item}]}


_INCLUDED = _mapping({"set": NAME}, "set", about="All members of another set of this kind.")
_REGEX = _mapping({"regex": TEXT}, "regex", about="A regular expression (RE2).")


def _members() -> dict[str, Schema]:
    """What an item of a set may be, by section."""
    names = {"type": "string", "pattern": "^[A-Za-z0-9_.*-]+$"}
    prefix = _mapping(
        {"prefix": TEXT, "ge": _number(0, 128), "le": _number(0, 128)},
        "prefix",
        about="Prefixes inside of this one, of lengths ge to le.",
    )
    asn = _number(1)
    paths = [
        {"type": "string", "description": "A regex on the AS path; _ is a border."},
        _REGEX,
        _mapping({"contains": asn}, "contains"),
        _mapping({"origin-as": asn}, "origin-as"),
        _mapping({"length": _span()}, "length"),
    ]
    found: dict[str, list[Schema]] = {
        "prefix-sets": [TEXT, prefix],
        "neighbor-sets": [TEXT, _mapping({"asn": asn}, "asn")],
        "as-path-sets": paths,
        "next-hop-sets": [TEXT],
        **{f"{kind}-sets": [TEXT, _REGEX] for kind in KINDS},
        **{f"{kind}-sets": [names] for kind in ("ccn", "vpc", "idc", "region")},
    }
    return {section: {"anyOf": [*found[section], _INCLUDED]} for section in SETS}


def _match() -> Schema:
    properties: dict[str, Schema] = {}
    for key in read_match.KEYS:
        if key in read_match.SET_KEYS:
            names = _some(NAME)
            options = ["any", "all", "invert"] if key in read_match.WITH_ALL else ["any", "invert"]
            asked = [_mapping({option: names}, option) for option in options]
            properties[key] = {"anyOf": [names, *asked]}
        elif key in read_match.WORDS:
            words: list[Any] = list(read_match.WORDS[key])
            if key == "route-type":
                words += [int(word) for word in words]
            properties[key] = _some({"enum": words})
        elif key in read_match.NUMBERS:
            properties[key] = _some(
                {"anyOf": [_span(*read_match.NUMBERS[key]), {"const": "unset"}]}
            )
        else:
            properties[key] = {"type": "boolean"}
    return _mapping(properties, about="All of these must hold; without any, every route matches.")


def _set() -> Schema:
    prepend = {
        "anyOf": [
            _number(1, read_change.MAX_PREPEND),
            _mapping({"count": _number(1, read_change.MAX_PREPEND), "asn": _number(1)}),
        ]
    }
    removed = _some({"anyOf": [TEXT, _REGEX, _INCLUDED]})
    community = _mapping({"replace": _some(TEXT), "remove": removed, "add": _some(TEXT)})
    med = {"anyOf": [_number(-U32), {"type": "string", "pattern": "^[+-][0-9]{1,10}$"}]}
    known: dict[str, Schema] = {
        "origin": {"enum": list(read_match.WORDS["origin"])},
        "next-hop": TEXT,
        "local-pref": _number(),
        "med": med | {"description": "A number; +N and -N are added to what the route has."},
        "tag": _number(),
        "preference": _number(0, HIGHEST_PREFERENCE),
        "as-path-prepend": _some(prepend),
        **dict.fromkeys(KINDS, community),
    }
    return _mapping({key: known[key] for key in read_change.KEYS})


def _aggregate() -> Schema:
    known: dict[str, Schema] = {
        "prefix": TEXT,
        "summary-only": {"type": "boolean"},
        "min-contributing": _number(1, read_aggregate.MOST),
        "as-set": {"const": False},
        "set": _set(),
    }
    about = "A prefix in the place of the routes in it, at CCNs that name it."
    return _mapping({key: known[key] for key in read_aggregate.KEYS}, "prefix", about=about)


def _test() -> Schema:
    result = {"enum": ["accept", "reject"]}
    attributes = {"type": "object", "propertyNames": {"enum": list(ATTRIBUTES)}}
    route = {"type": "object", "propertyNames": {"enum": list(ROUTE_KEYS)}}
    expect = _mapping({"result": result, "by": TEXT, "attributes": attributes}, "result")
    known: dict[str, Schema] = {
        "name": TEXT,
        "policy": _some(NAME),
        "default": result,
        "route": {"anyOf": [TEXT, route]},
        "expect": {"anyOf": [result, expect]},
    }
    one = _mapping({key: known[key] for key in TEST_KEYS}, "policy", "route", "expect")
    results = {"enum": list(testing_aggregates.RESULTS)}
    stands = {"result": results, "contributing": _number(), "attributes": attributes}
    known |= {
        "aggregate": NAME,
        "routes": {"type": "array", "items": known["route"]},
        "expect": {"anyOf": [results, _mapping(stands, "result")]},
    }
    needed = ("policy", "aggregate", "routes", "expect")
    of_aggregate = _mapping({key: known[key] for key in testing_aggregates.KEYS}, *needed)
    return {"anyOf": [one, of_aggregate]}


def schema() -> Schema:
    """The document: JSON Schema, draft 2020-12."""
    known: dict[str, Schema] = {
        "name": NAME,
        "match": _match(),
        "set": _set(),
        "then": {"enum": list(THENS)},
    }
    statement = _mapping({key: known[key] for key in STATEMENT_KEYS}, "then")

    def named(item: Schema) -> Schema:
        lists = {"type": ["array", "null"], "items": item}
        return {"type": ["object", "null"], "propertyNames": NAME, "additionalProperties": lists}

    top = _mapping(
        {
            "include": {"type": "array", "items": TEXT},
            **{section: named(item) for section, item in _members().items()},
            "policies": named(statement),
            "aggregates": {
                "type": ["object", "null"],
                "propertyNames": NAME,
                "additionalProperties": _aggregate(),
            },
            "tests": {"type": "array", "items": _test()},
        }
    )
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A policy file of ccn_bgp",
        **top,
    }
