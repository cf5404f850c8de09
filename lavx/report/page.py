"""`index.html`: one page to browse, without a server and without a single request to the network."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup
from PIL import Image

from lavx.experiments.status import cell_files
from lavx.report.claims import DRAWN
from lavx.report.figures import Figures
from lavx.report.hypotheses import FAILS, HOLDS, UNDECIDED, UNTESTED
from lavx.report.plots import DPI
from lavx.report.study import KEYS, Study, is_control, method_of
from lavx.report.tables import ALL, Table, method_title, number, scope_title, scopes, title, values
from lavx.report.user_study import TABLES as USER_TABLES
from lavx.report.verdicts import HOW, Checked, alone, said

_HERE = Path(__file__).parent
# What the page may load: itself and files beside it. The browser refuses all else.
_POLICY = (
    "default-src 'none'; img-src 'self' data: file:; media-src 'self' data: file:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
_SECTIONS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("auc", "Deletion and insertion", ("auc",), ""),
    ("masks", "Minimal masks",
     tuple(f"minimal_masks_{curve}{suffix}" for suffix in ("", DRAWN) for curve in ("deletion", "insertion")), ""),
    ("further", "Further metrics", ("further_metrics",),
     "Average drop and increase keep only what the heatmap shows; pointing game, IoU and energy compare it with "
     "the ground truth, where the dataset has one."),
    ("ratings", "User scores", ("user_scores", *USER_TABLES),
     "What people think of the explanations. Raters are excluded by the rules that the table of raters states."),
    ("timings", "Timings", ("timings", "stages"), ""),
    ("methods", "Methods", ("methods",), ""),
    ("ranks", "Ranks and tests", ("average_ranks", "tests"),
     "In the diagrams, 1 is best; a bar joins methods whose average ranks differ by less than the critical "
     "difference (CD): they are not significantly different."),
    ("panels", "Panels", (), ""),
)  # fmt: skip
_FOLDED = {"ranks": 2, "panels": 1}  # sections whose figures can be folded away, and how many are open at first
# The tables that are not folded away.
_OPEN = ("auc", "further_metrics", "user_methods", "user_agreement", "timings")
_STATUS = {HOLDS: "holds", FAILS: "fails", UNDECIDED: "unknown", UNTESTED: "unknown"}


@dataclass(frozen=True)
class _Figure:
    """`least` is the width in pixels below which it scrolls rather than shrinks; None where it may shrink."""

    name: str
    caption: str
    source: str
    width: int
    height: int
    least: int | None


@dataclass(frozen=True)
class _Section:
    """`n_open` says how many of the figures are not folded away; None where none can be."""

    key: str
    heading: str
    intro: str
    figures: list[_Figure]
    n_open: int | None
    tables: list[dict[str, Any]]
    notes: list[str]


def draw_page(
    study: Study,
    made: Sequence[Table],
    checked: Sequence[Checked],
    drawn: Figures,
    folder: Path,
    embed: bool,
) -> str:
    """The page's HTML.

    Args:
        study: the results.
        made: the tables.
        checked: the claims.
        drawn: the figures, lying in `folder`/figures.
        folder: the report's folder.
        embed: put overlays and panels into the page; otherwise they are linked, relative to it.
    """
    tables = {table.name: _table(table) for table in made}
    sections = [_section(folder, row, drawn, tables, embed) for row in _SECTIONS]
    return _template().render(
        policy=_POLICY,
        css=Markup(_text("page.css")),
        js=Markup(_text("page.js")),
        name=study.name,
        tiles=[{"term": term, "value": value, "detail": detail} for term, value, detail in _tiles(study)],
        missing=study.missing,
        failures=study.failures,
        differing=study.differing,
        counts=_counts(checked),
        claims=[_claim(item) for item in checked],
        how=HOW,
        sections=[section for section in sections if section.figures or section.tables or section.notes],
        coverage=tables["coverage"],
        made_from=_made_from(study),
        entries=_entries(study, embed),
    )


def _text(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment.get_template("page.html")


def _section(
    folder: Path,
    row: tuple[str, str, tuple[str, ...], str],
    drawn: Figures,
    tables: Mapping[str, dict[str, Any]],
    embed: bool,
) -> _Section:
    key, heading, names, intro = row
    embedded = embed or key != "panels"  # which are many
    figures = [_figure(folder, name, caption, embedded) for name, caption in drawn.sections.get(key, ())]
    shown = [tables[name] for name in names if name in tables]
    notes = drawn.notes if key == "panels" else []
    return _Section(key, heading, intro, figures, _FOLDED.get(key), shown, notes)


def _tiles(study: Study) -> list[tuple[str, str, str]]:
    table = study.table
    datasets, nets = sorted(set(table.dataset)), sorted(set(table.net))
    n_videos, n_cells = len(table[["dataset", "video_id"]].drop_duplicates()), len(table.groupby(KEYS[:3]))
    tiles = [
        ("explanations", str(len(table)), f"{n_cells} cells"),
        ("videos", str(n_videos), ", ".join(datasets)),
        ("networks", str(len(nets)), ", ".join(title(n) for n in nets)),
        ("methods", str(len({method_of(m) for m in study.methods if not is_control(m)})), _further(study)),
    ]
    scope = scopes(study)[0]
    for metric in study.metrics[:2]:
        found = values(study, table, scope, metric.key)
        means = {m: float(v.mean()) for m, v in found.items() if not is_control(m) and len(v)}
        if means:
            best = (max if metric.higher_is_better else min)(means, key=lambda m: means[m])
            better = "highest" if metric.higher_is_better else "lowest"
            where = "" if ALL not in scope else f", {scope_title(scope)}"
            tiles.append((f"{better} {metric.title}", method_title(best), f"mean {number(means[best])}{where}"))
    return tiles


def _further(study: Study) -> str:
    """What there is beside the methods themselves."""
    n = len([m for m in study.methods if is_control(m)])
    n_variations = len([m for m in study.methods if not is_control(m) and method_of(m) != m])
    variations = f"in {n_variations} variation{'s' * (n_variations > 1)}, " if n_variations else ""
    return variations + (f"and {n} control{'s' * (n > 1)}" if n else "no controls")


def _counts(checked: Sequence[Checked]) -> str:
    numbers = {status: sum(item.verdict.status == status for item in checked) for status in _STATUS}
    return "; ".join(f"{status}: {n}" for status, n in numbers.items() if n)


def _claim(item: Checked) -> dict[str, Any]:
    return {
        "kind": _STATUS[item.verdict.status],
        "verdict": item.verdict.status,
        "text": item.claim.text,
        "source": item.claim.source,
        "lines": said(item),
        "alone": alone(item) if len(item.alone) > 1 else None,
    }


def _table(table: Table) -> dict[str, Any]:
    """What the template shows of a table; where it has parts, the first column becomes their headings."""
    first = len(table.columns) - table.numeric
    grouped = bool(table.breaks) and len(table.columns) > 1

    def cells(row: Sequence[str], i: int) -> list[dict[str, str]]:
        found = []
        for j, text in enumerate(row):
            classes = ["number"] * (j >= first) + ["best"] * ((i, j) in table.bold)
            found.append({"text": text, "classes": " ".join(classes)})
        return found[int(grouped) :]

    rows = [
        {"heading": row[0] if grouped and (i == 0 or i in table.breaks) else None, "cells": cells(row, i)}
        for i, row in enumerate(table.rows)
    ]
    return {
        "name": table.name,
        "title": table.title,
        "note": table.note,
        "head": cells(table.columns, -1),
        "rows": rows,
        "opened": table.name in _OPEN,
        "wide": table.name == "tests",
    }


def _figure(folder: Path, name: str, caption: str, embed: bool) -> _Figure:
    file = folder / "figures" / f"{name}.png"
    with Image.open(file) as image:
        width, height = (round(size * 96 / DPI) for size in image.size)
    source = _data(file, "image/png") if embed else f"figures/{quote(file.name)}"
    # On a narrow screen, scroll rather than shrink to where the words cannot be read.
    return _Figure(name, caption, source, width, height, min(width, 900) if width > 420 else None)


def _data(file: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"


def _entries(study: Study, embed: bool) -> list[dict[str, Any]]:
    """What the gallery shows, an explanation each."""
    order = {method: k for k, method in enumerate(study.methods)}
    table = study.table.assign(_order=study.table.method.map(order))
    rows = table.sort_values(["dataset", "video_id", "net", "_order"]).to_dict("records")
    return [_entry(study, row, embed) for row in rows]


def _entry(study: Study, row: Mapping[Any, Any], embed: bool) -> dict[str, Any]:
    dataset, net, method, video = key = tuple(str(row[name]) for name in KEYS)
    place = study.places[key]
    overlay, panel = place / "overlay.mp4", place / "panel.png"
    relative = quote("../" + place.relative_to(study.folder).as_posix(), errors="surrogateescape")
    played = None
    if overlay.exists():
        played = _data(overlay, "video/mp4") if embed else f"{relative}/overlay.mp4"
    return {
        "dataset": dataset,
        "net": net,
        "net_title": title(net),
        "method": method,
        "method_title": method_title(method),
        "video": video,
        "score": number(float(row["score"])),
        "deletion": number(_area(row, "deletion")),
        "insertion": number(_area(row, "insertion")),
        "overlay": played,
        "panel": f"{relative}/panel.png" if panel.exists() and not embed else None,
    }


def _area(row: Mapping[Any, Any], curve: str) -> float:
    """The area under a curve, of the drawn heatmap where the raw one was not judged."""
    raw, drawn = (row.get(f"{curve}_auc{suffix}") for suffix in ("", DRAWN))
    found = drawn if raw is None or math.isnan(raw) else raw
    return math.nan if found is None else float(found)


def _made_from(study: Study) -> str:
    found = set()
    for file in cell_files(study.folder, "environment.json"):
        try:
            entry = json.loads(file.read_text(encoding="utf-8"))
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict):
            continue
        found.add(
            f"lavx {entry.get('lavx')} ({str(entry.get('commit') or 'no commit')[:8]}) on {entry.get('device')}"
        )
    return "; ".join(sorted(found)) or "unknown"
