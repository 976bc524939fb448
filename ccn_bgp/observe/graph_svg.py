"""A Picture as SVG, and as one HTML page with that SVG in it; neither needs anything from outside.

Regions are columns, CCNs are coloured bands across them. On the right, arcs say which CCN can reach
which: green by a share, red without. Red numbered lines are the witnesses of the findings below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from textwrap import wrap

from ccn_bgp.observe.advice import hint
from ccn_bgp.observe.findings import witness_lines
from ccn_bgp.observe.graph import Band, Cell, Mark, Member, Picture, Reach

MARGIN, LABEL, COLUMN, CARD = 24, 200, 300, 260
LINE, TITLE, GAP = 14, 18, 12
HEAD = 70
ARC_STEP, ARC_FIRST = 26, 46
TEXT_WIDTH = 118
DOTS = 8
"""Numbers beside each other on one element; further ones begin again."""
STYLE = """
text{font-family:system-ui,"Segoe UI","DejaVu Sans",sans-serif;font-size:11px;fill:#222}
.t{font-weight:600;font-size:12px}.h{font-weight:700;font-size:18px}.d{fill:#555}
.card{fill:#fff;stroke-width:1.2}.gw{fill:#e8e8ec;stroke:#888}
.pill{fill:#fff;stroke-width:1.6}.arc{fill:none;stroke-width:2}.arc.ok{stroke:#1a7f37}
.arc.bad{stroke:#c9252d}
.way{fill:none;stroke:#c9252d;stroke-width:2.2;stroke-dasharray:6 3}.warn .way{stroke:#b26a00}
.dot{fill:#c9252d}.warn .dot{fill:#b26a00}.n{fill:#fff;font-size:10px;font-weight:700}
.e{fill:#c9252d;font-weight:600}.w{fill:#b26a00;font-weight:600}
"""
Point = tuple[float, float]


@dataclass(slots=True)
class _Canvas:
    """Shapes in the order of drawing, and where each element of the picture ended up."""

    shapes: list[str] = field(default_factory=list)
    places: dict[str, Point] = field(default_factory=dict)
    dots: Counter[Point] = field(default_factory=Counter)
    width: float = 0
    bottom: float = 0

    def text(self, x: float, y: float, words: str, kind: str = "") -> None:
        look = f' class="{kind}"' if kind else ""
        self.shapes.append(f'<text x="{x:g}" y="{y:g}"{look}>{escape(words)}</text>')

    def box(self, at: Point, size: Point, look: str, bend: int) -> None:
        place = f'x="{at[0]:g}" y="{at[1]:g}" width="{size[0]:g}" height="{size[1]:g}"'
        self.shapes.append(f'<rect {place} rx="{bend}" {look}/>')


def svg(picture: Picture) -> str:
    """The picture; the same octets for the same picture."""
    canvas = _Canvas()
    columns = {r: MARGIN + LABEL + n * COLUMN for n, r in enumerate(picture.gateways)}
    edge = MARGIN + LABEL + len(columns) * COLUMN
    canvas.width = edge + ARC_FIRST + ARC_STEP * len(picture.reaches) + 190
    canvas.text(MARGIN, MARGIN + 14, picture.name, "h")
    bottom = _heads(canvas, picture, columns)
    for number, band in enumerate(picture.bands):
        bottom = _band(canvas, band, columns, bottom, edge=edge, hue=_hue(number))
    if picture.hidden:
        canvas.text(MARGIN, bottom + LINE, f"and {picture.hidden} more CCNs", "d")
        bottom += LINE + GAP
    for number, reach in enumerate(picture.reaches):
        _arc(canvas, reach, edge, number)
    ways = [(mark, _points(canvas, mark)) for mark in picture.marks]
    for mark, points in ways:
        _way(canvas, mark, points)
    for mark, points in ways:
        _dots(canvas, mark, points)
    canvas.bottom = bottom + GAP
    _legend(canvas, picture)
    size = f'width="{canvas.width:g}" height="{canvas.bottom:g}"'
    view = f'viewBox="0 0 {canvas.width:g} {canvas.bottom:g}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view}>',
            f"<title>{escape(picture.name)}</title>",
            f"<style>{STYLE}</style>",
            "<defs>",
            *(
                f'<marker id="{name}" viewBox="0 0 8 8" refX="15" refY="4" markerWidth="9"'
                f' markerHeight="9" markerUnits="userSpaceOnUse" orient="auto">'
                f'<path d="M0 0L8 4L0 8z" fill="{fill}"/></marker>'
                for name, fill in (("ok", "#1a7f37"), ("bad", "#c9252d"), ("warn", "#b26a00"))
            ),
            "</defs>",
            f'<rect width="{canvas.width:g}" height="{canvas.bottom:g}" fill="#fafafa"/>',
            *canvas.shapes,
            "</svg>",
            "",
        ]
    )


def _hue(number: int) -> int:
    return round(number * 137.508 + 210) % 360


def _heads(canvas: _Canvas, picture: Picture, columns: Mapping[str, float]) -> float:
    most = max((len(g) for g in picture.gateways.values()), default=0)
    for region, gateways in picture.gateways.items():
        x = columns[region]
        canvas.text(x, HEAD - 8, f"region {region}", "t")
        for n, (name, detail) in enumerate(gateways):
            y = HEAD + n * 44
            canvas.box((x, y), (CARD, 38), 'class="gw"', 4)
            canvas.text(x + 8, y + 16, name, "t")
            canvas.text(x + 8, y + 30, detail, "d")
            canvas.places[f"gateway {name}"] = (x + CARD - 12, y + 19)
    return HEAD + most * 44 + GAP


def _card_height(member: Member) -> float:
    return TITLE + LINE * (len(member.lines) + member.silent) + 8


def _cell_height(cell: Cell) -> float:
    return 30 + sum(_card_height(m) + 6 for m in cell.members)


def _band(
    canvas: _Canvas, band: Band, columns: Mapping[str, float], top: float, *, edge: float, hue: int
) -> float:
    inner = max([TITLE + LINE * len(band.lines) + 10, *map(_cell_height, band.cells.values())])
    fill = f'fill="hsl({hue} 70% 92%)" stroke="hsl({hue} 45% 70%)"'
    canvas.box((MARGIN - 8, top), (edge - MARGIN + 4, inner + 12), fill, 8)
    canvas.text(MARGIN + 4, top + 20, f"ccn {band.ccn}", "t")
    for n, line in enumerate(band.lines):
        canvas.text(MARGIN + 4, top + 20 + LINE * (n + 1), line[:30], "d")
    canvas.places[f"ccn {band.ccn}"] = (MARGIN + 130, top + 16)
    canvas.places[f"edge {band.ccn}"] = (edge - 4, top + (inner + 12) / 2)
    stroke = f'stroke="hsl({hue} 55% 45%)"'
    for region, cell in band.cells.items():
        x, y = columns[region], top + 8
        for n, gateway in enumerate(cell.gateways):
            wide = (CARD + 4) / len(cell.gateways) - 4
            left = x + n * (wide + 4)
            canvas.box((left, y), (wide, 18), f'class="pill" {stroke}', 9)
            canvas.text(left + 8, y + 13, f"{gateway}/{band.ccn}"[: int(wide / 6)])
            canvas.places[f"{gateway}/{band.ccn}"] = (left + wide - 12, y + 9)
        y += 26
        for member in cell.members:
            high = _card_height(member)
            canvas.box((x, y), (CARD, high), f'class="card" {stroke}', 5)
            canvas.text(x + 8, y + 15, member.key, "t")
            lines = [*member.lines, *(["announces nothing"] if member.silent else [])]
            for n, line in enumerate(lines):
                canvas.text(x + 8, y + 15 + LINE * (n + 1), line[:44])
            place = x + CARD - 14, y + 14
            canvas.places.setdefault(member.key, place)
            canvas.places[f"{band.ccn} {member.key}"] = place
            y += high + 6
    return top + inner + 12 + GAP


def _arc(canvas: _Canvas, reach: Reach, edge: float, number: int) -> None:
    """From the one that reaches to the one that is reached."""
    (_, start), (_, end) = (canvas.places[f"edge {c}"] for c in (reach.consumer, reach.provider))
    shift = 6 if reach.consumer < reach.provider else -6
    start, end = start + shift, end + shift
    out = edge + ARC_FIRST + ARC_STEP * number
    kind = "ok" if reach.shared else "bad"
    canvas.shapes.append(
        f'<path class="arc {kind}" marker-end="url(#{kind})"'
        f' d="M{edge - 4:g} {start:g}C{out:g} {start:g} {out:g} {end:g} {edge - 12:g} {end:g}"/>'
    )
    what = ", ".join(reach.prefixes[:1]) or "nothing"
    more = f" and {len(reach.prefixes) - 1} more" if len(reach.prefixes) > 1 else ""
    y = (start + end) / 2 + (number - 0.5) * LINE * (1 if shift > 0 else -1)
    words = f"{reach.consumer} reaches {what}{more}"
    canvas.text(edge + ARC_FIRST * 0.8 + ARC_STEP * number * 0.8, y, words)


def _points(canvas: _Canvas, mark: Mark) -> list[Point]:
    """Where a witness goes; those that pass one element stand beside each other."""
    points = []
    for base in [p for key in mark.path if (p := _place(canvas, mark, key))]:
        points.append((base[0] - canvas.dots[base] % DOTS * 17, base[1]))
        canvas.dots[base] += 1
    return points


def _group(mark: Mark) -> str:
    kind = "bad" if mark.finding.severity == "error" else "warn"
    title = escape(f"{mark.finding.rule}: {mark.finding.message}")
    return f'<g class="{kind} f{mark.number}"><title>{title}</title>'


def _way(canvas: _Canvas, mark: Mark, points: list[Point]) -> None:
    if len(points) < 2:
        return
    canvas.shapes.append(_group(mark))
    kind = "bad" if mark.finding.severity == "error" else "warn"
    for (x1, y1), (x2, y2) in pairwise(points):
        bend = min(60, 20 + abs(y2 - y1) / 4)
        canvas.shapes.append(
            f'<path class="way" marker-end="url(#{kind})"'
            f' d="M{x1:g} {y1:g}C{x1 + bend:g} {y1:g} {x2 + bend:g} {y2:g} {x2:g} {y2:g}"/>'
        )
    canvas.shapes.append("</g>")


def _dots(canvas: _Canvas, mark: Mark, points: list[Point]) -> None:
    if not points:
        return
    canvas.shapes.append(_group(mark))
    for x, y in points:
        canvas.shapes.append(f'<circle class="dot" cx="{x:g}" cy="{y:g}" r="8"/>')
        middle = f'x="{x:g}" y="{y + 3.5:g}" text-anchor="middle"'
        canvas.shapes.append(f'<text class="n" {middle}>{mark.number}</text>')
    canvas.shapes.append("</g>")


def _place(canvas: _Canvas, mark: Mark, key: str) -> Point | None:
    return canvas.places.get(f"{mark.finding.ccn} {key}") or canvas.places.get(key)


def _legend(canvas: _Canvas, picture: Picture) -> None:
    y = canvas.bottom + LINE
    if not picture.marks:
        canvas.text(MARGIN, y, "no findings", "t")
    for mark in picture.marks:
        head = "e" if mark.finding.severity == "error" else "w"
        canvas.text(MARGIN, y, f"{mark.number} {mark.finding.severity} {mark.finding.rule}", head)
        for line in _told(mark):
            canvas.text(MARGIN + LABEL, y, line)
            y += LINE
        y += 6
    if picture.unmarked:
        canvas.text(MARGIN, y, f"and {picture.unmarked} more findings", "d")
        y += LINE
    canvas.bottom = y + MARGIN
    canvas.width = max(canvas.width, MARGIN * 2 + LABEL + TEXT_WIDTH * 6.2)


def _told(mark: Mark) -> Iterator[str]:
    yield from wrap(f"{mark.finding.where}: {mark.finding.message}", TEXT_WIDTH)
    for line in witness_lines(mark.finding):
        yield from wrap(line, TEXT_WIDTH)
    yield from wrap(f"hint: {hint(mark.finding)}", TEXT_WIDTH)


def html(picture: Picture) -> str:
    """One page: the picture, and a list of findings that light up their witness."""
    rows = "\n".join(
        f'<li data-f="f{mark.number}"><b class="{mark.finding.severity}">'
        f"{mark.finding.severity} {escape(mark.finding.rule)}</b> "
        f"<code>{escape(mark.finding.where)}</code> {escape(mark.finding.message)}"
        f"<br><small>{escape(hint(mark.finding))}</small></li>"
        for mark in picture.marks
    )
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escape(picture.name)}</title>
<style>body{{font-family:system-ui,sans-serif;margin:1rem;background:#fafafa}}
li{{margin:.4rem 0;cursor:pointer}}.error{{color:#c9252d}}.warning{{color:#b26a00}}
.dim g[class*=" f"]{{opacity:.12}}.dim g.lit{{opacity:1}}.scroll{{overflow:auto}}</style></head>
<body><h1>{escape(picture.name)}</h1>
<div class="scroll" id="picture">
{svg(picture)}</div>
<h2>Findings</h2>
<ol>
{rows or "<li>none</li>"}
</ol>
<script>
const picture = document.getElementById("picture");
for (const item of document.querySelectorAll("li[data-f]")) {{
  const light = (on) => {{
    picture.classList.toggle("dim", on);
    for (const group of picture.querySelectorAll("g." + item.dataset.f)) {{
      group.classList.toggle("lit", on);
    }}
  }};
  item.onmouseenter = () => light(true);
  item.onmouseleave = () => light(false);
}}
</script>
</body></html>
"""
