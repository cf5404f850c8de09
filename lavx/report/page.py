"""`index.html`: one page to browse, without a server and without a single request to the network."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image

from lavx.experiments.status import cell_files
from lavx.report.claims import FAILS, HOLDS, UNKNOWN, Checked, alone
from lavx.report.figures import DPI
from lavx.report.study import FLOORS, KEYS, Study
from lavx.report.tables import ALL, Table, number, scope_title, scopes, title, values

_HERE = Path(__file__).parent
# What the page may load: itself and files beside it. The browser refuses all else.
_POLICY = (
    "default-src 'none'; img-src 'self' data: file:; media-src 'self' data: file:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'"
)
_SECTIONS: tuple[tuple[str, str, tuple[str, ...], str], ...] = (
    ("auc", "Deletion and insertion", ("auc",), ""),
    ("masks", "Minimal masks", ("minimal_masks_deletion", "minimal_masks_insertion"), ""),
    ("further", "Further metrics", ("further_metrics",),
     "Average drop and increase keep only what the heatmap shows; pointing game, IoU and energy compare it with "
     "the known truth, where the dataset has one."),
    ("ratings", "User scores", ("user_scores",), ""),
    ("timings", "Timings", ("timings", "stages"), ""),
    ("ranks", "Ranks and tests", ("average_ranks", "tests"),
     "In the diagrams, 1 is best; a bar joins methods whose average ranks differ by less than the critical "
     "difference (CD): they are not told apart."),
)  # fmt: skip
_OPEN = ("auc", "further_metrics", "user_scores", "timings")  # the tables that are not folded away
_STATUS = {HOLDS: "holds", FAILS: "fails", UNKNOWN: "unknown"}


def draw_page(
    study: Study,
    made: Sequence[Table],
    checked: Sequence[Checked],
    drawn: Mapping[str, Sequence[tuple[str, str]]],
    folder: Path,
    embed: bool,
) -> str:
    """The page's HTML.

    Args:
        study: the results.
        made: the tables.
        checked: the claims.
        drawn: figures by section, (name, caption), lying in `folder`/figures.
        folder: the report's folder.
        embed: put overlays and panels into the page; otherwise they are linked, relative to it.
    """
    tables = {table.name: table for table in made}
    parts, links = [], [("claims", "Claims")]
    for key, heading, names, words in _SECTIONS:
        pictures = drawn.get(key, ())
        if key == "ranks":
            body = _folded(folder, pictures, 2, True)
        else:
            body = "".join(_figure(folder, *figure, embed=True) for figure in pictures)
        body += "".join(_table(tables[name]) for name in names if name in tables)
        if body:
            links.append((key, heading))
            intro = f"<p>{escape(words)}</p>" if words else ""
            parts.append(f'<section id="{key}"><h2>{escape(heading)}</h2>{intro}{body}</section>')
    if drawn.get("panels"):
        links.append(("panels", "Panels"))
        folded = _folded(folder, drawn["panels"], 1, embed)
        parts.append(f'<section id="panels"><h2>Panels</h2>{folded}</section>')
    links += [("gallery", "Gallery"), ("coverage", "Coverage")]
    navigation = "".join(f'<a href="#{key}">{escape(words)}</a>' for key, words in links)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>lavx: {escape(study.name)}</title>"
        f"<style>{(_HERE / 'page.css').read_text(encoding='utf-8')}</style>"
        f'</head><body><header>{_head(study)}</header><nav aria-label="Sections"><div>{navigation}</div></nav>'
        f"<main>{_missing(study)}{_claims(checked)}{''.join(parts)}{_gallery()}"
        f'<section id="coverage"><h2>Coverage</h2>{_table(tables["coverage"])}</section></main>'
        f'<footer class="soft">{_made_from(study)}</footer>'
        f'<script type="application/json" id="entries">{_entries(study, embed)}</script>'
        f"<script>{(_HERE / 'page.js').read_text(encoding='utf-8')}</script></body></html>\n"
    )


def _head(study: Study) -> str:
    table = study.table
    tiles = [
        ("explanations", str(len(table)), f"{len(table.groupby(['dataset', 'net', 'method']))} cells"),
        (
            "videos",
            str(len(table[["dataset", "video_id"]].drop_duplicates())),
            ", ".join(sorted(set(table.dataset))),
        ),
        ("networks", str(table.net.nunique()), ", ".join(title(n) for n in sorted(set(table.net)))),
        ("methods", str(len([m for m in study.methods if m not in FLOORS])), _floors(study)),
    ]
    scope = scopes(study)[0]
    for metric in study.metrics[:2]:
        means = {
            m: float(v.mean())
            for m, v in values(study, table, scope, metric.key).items()
            if m not in FLOORS and len(v)
        }
        if means:
            best = (max if metric.higher_is_better else min)(means, key=lambda m: means[m])
            better = "highest" if metric.higher_is_better else "lowest"
            where = "" if ALL not in scope else f", {scope_title(scope)}"
            tiles.append((f"{better} {metric.title}", title(best), f"mean {number(means[best])}{where}"))
    inside = "".join(
        f"<div><dt>{escape(t)}</dt><dd>{escape(v)}<small>{escape(s)}</small></dd></div>" for t, v, s in tiles
    )
    return (
        f"<h1>Video explanations: {escape(study.name)}</h1>"
        '<p class="soft">What the methods\' explanations are worth, and how they look. Made by lavx report.</p>'
        f'<dl class="tiles">{inside}</dl>'
    )


def _floors(study: Study) -> str:
    floors = [m for m in study.methods if m in FLOORS]
    return f"and {len(floors)} floors" if floors else "no floors"


def _missing(study: Study) -> str:
    made = ""
    for heading, lines in (("missing from the grid", study.missing), ("failed", study.failures)):
        if lines:
            inside = "".join(f"<li>{escape(line)}</li>" for line in lines)
            made += f"<details><summary>{len(lines)} entries {heading}</summary><ul>{inside}</ul></details>"
    return made


def _claims(checked: Sequence[Checked]) -> str:
    items = []
    for item in checked:
        v = item.verdict
        inside = " (inside the noise)" if v.noise.startswith("inside") else ""
        lines = [escape(line) for line in (v.numbers, v.noise) if line]
        single = f'<p class="soft">{escape(alone(item))}</p>' if len(item.alone) > 1 else ""
        items.append(
            f'<li class="{_STATUS[v.status]}"><span class="verdict">{v.status}{inside}</span>: '
            f'{escape(item.claim.text)} <span class="soft">({escape(item.claim.source)})</span>'
            f"{''.join(f'<p>{line}</p>' for line in lines)}{single}</li>"
        )
    counts = "; ".join(
        f"{status}: {n}" for status in _STATUS if (n := sum(i.verdict.status == status for i in checked))
    )
    return (
        f'<section id="claims"><h2>The paper\'s claims, checked</h2><p>{escape(counts)}. Differences are taken '
        "within the videos that all methods of a claim have; one is inside the noise where its 95 % bootstrap "
        "interval contains 0. v1 and v2 are the versions of arXiv 2401.11796.</p>"
        f'<ul class="claims">{"".join(items)}</ul>{_files("claims", ("csv", "md"))}</section>'
    )


def _files(name: str, kinds: Sequence[str] = ("csv", "md", "tex")) -> str:
    links = " ".join(f'<a href="tables/{name}.{kind}">{kind}</a>' for kind in kinds)
    return f'<p class="files">{name}: {links}</p>'


def _table(table: Table) -> str:
    wide = ' class="wide"' if table.name == "tests" else ""
    opened = " open" if table.name in _OPEN else ""
    return (
        f"<details{wide}{opened}><summary><strong>{escape(table.title)}</strong> (table)</summary>"
        f'<p class="note">{escape(table.note)}</p>{table.html()}{_files(table.name)}</details>'
    )


def _folded(folder: Path, pictures: Sequence[tuple[str, str]], n_open: int, embed: bool) -> str:
    """Figures that each can be folded away; the first ones are open."""
    return "".join(
        f"<details{' open' if k < n_open else ''}><summary>{escape(caption.split(':')[0])}</summary>"
        f"{_figure(folder, name, caption, embed)}</details>"
        for k, (name, caption) in enumerate(pictures)
    )


def _figure(folder: Path, name: str, caption: str, embed: bool) -> str:
    file = folder / "figures" / f"{name}.png"
    with Image.open(file) as image:
        width, height = image.size
    where = _data(file, "image/png") if embed else f"figures/{quote(file.name)}"
    shown, tall = (round(size * 96 / DPI) for size in (width, height))
    # On a narrow screen, scroll rather than shrink to where the words cannot be read.
    broad = f' class="broad" style="--least: {min(shown, 900)}px"' if shown > 420 else ""
    return (
        f'<figure><div class="picture"><img{broad} src="{where}" width="{shown}" height="{tall}" '
        f'loading="lazy" alt="{escape(caption)}"></div><figcaption>{escape(caption)}. '
        f'<a href="figures/{quote(name)}.pdf">pdf</a> <a href="figures/{quote(name)}.png">png</a>'
        "</figcaption></figure>"
    )


def _data(file: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.read_bytes()).decode('ascii')}"


def _gallery() -> str:
    labels = "".join(
        f'<label>{words}<select id="filter-{key}"></select></label>'
        for key, words in (("dataset", "Dataset"), ("net", "Network"), ("method", "Method"), ("video", "Video"))
    )
    buttons = {
        key: f'<button id="{key}" type="button">{words}</button>'
        for key, words in (("reset", "Reset"), ("play", "Pause all"), ("before", "Previous"), ("after", "Next"))
    }
    return (
        '<section id="gallery"><h2>Gallery</h2><p>Clip and explanation side by side. Videos play while they are '
        f'in view.</p><div class="filters">{labels}{buttons["reset"]}{buttons["play"]}</div>'
        '<p class="soft" id="shown" aria-live="polite"></p><div class="cards" id="cards"></div>'
        f'<div class="pager">{buttons["before"]}{buttons["after"]}</div></section>'
    )


def _entries(study: Study, embed: bool) -> str:
    entries: list[dict[str, Any]] = []
    order = {method: k for k, method in enumerate(study.methods)}
    table = study.table.assign(_order=study.table.method.map(order))
    for row in table.sort_values(["dataset", "video_id", "net", "_order"]).to_dict("records"):
        key = tuple(str(row[name]) for name in KEYS)
        dataset, net, method, video = key
        place = study.places[key]
        overlay, panel = place / "overlay.mp4", place / "panel.png"
        relative = quote("../" + place.relative_to(study.folder).as_posix())
        played = _data(overlay, "video/mp4") if embed and overlay.exists() else f"{relative}/overlay.mp4"
        entries.append(
            {
                "dataset": dataset,
                "net": net,
                "net_title": title(net),
                "method": method,
                "method_title": title(method),
                "video": video,
                "score": number(float(row["score"])),
                "deletion": number(float(row["deletion_auc"])),
                "insertion": number(float(row["insertion_auc"])),
                "overlay": played if overlay.exists() else None,
                "panel": f"{relative}/panel.png" if panel.exists() and not embed else None,
            }
        )
    # "</" would end the script that this lies in.
    return json.dumps(entries, separators=(",", ":")).replace("</", "<\\/")


def _made_from(study: Study) -> str:
    found = set()
    for file in cell_files(study.folder, "environment.json"):
        try:
            entry = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            continue
        found.add(
            f"lavx {entry.get('lavx')} ({(entry.get('commit') or 'no commit')[:8]}) on {entry.get('device')}"
        )
    return f"<p>Made from runs of: {escape('; '.join(sorted(found)) or 'unknown')}.</p>"
