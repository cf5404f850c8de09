"""Puts the report together: `<outputs>/<name>/report/`, there whole or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lavx.errors import RequestError
from lavx.report import claims, figures, page, tables
from lavx.report.claims import Checked
from lavx.report.study import CONTROLS, METHODS, Study, read_study
from lavx.text import csv_of


@dataclass(frozen=True)
class Report:
    """The report that was written.

    Attributes:
        folder: where it lies.
        study: what it was made from.
        checked: the claims and their verdicts.
        notes: what could not be drawn, why, and what to do about it.
    """

    folder: Path
    study: Study
    checked: list[Checked]
    notes: list[str]


def write_report(
    outputs: Path,
    name: str,
    nets: Sequence[str] = (),
    methods: Sequence[str] = (*METHODS, *CONTROLS),
    panels: int | None = 3,
    embed: bool = False,
    seed: int = 0,
) -> Report:
    """Write tables, figures, claims and `index.html` of a run; the same results give the same bytes.

    Args:
        outputs: the root folder of all results.
        name: of the run.
        nets: networks that are expected beside those that are there.
        methods: methods that are expected beside those that are there.
        panels: most videos of each dataset and network that get a panel; None for all.
        embed: put the overlay videos into `index.html` instead of linking to them.
        seed: of the bootstrap.

    Raises:
        RequestError: if there is nothing to report, or the folder cannot be written.
    """
    study = read_study(outputs, name, nets, methods)
    folder = study.folder / "report"
    part = study.folder / f".report.{uuid.uuid4().hex[:8]}.part"
    try:
        (part / "tables").mkdir(parents=True)
        (part / "figures").mkdir()
        made, found = tables.all_tables(study, seed)
        for table in made:
            table.write(part / "tables")
        checked = claims.check_claims(study, seed)
        (part / "tables" / "claims.csv").write_text(csv_of(claims.claims_frame(checked)), encoding="utf-8")
        (part / "tables" / "claims.md").write_text(claims.claims_markdown(checked), encoding="utf-8")
        drawn = figures.all_figures(study, found, part / "figures", panels, seed)
        html = page.draw_page(study, made, checked, drawn, part, embed)
        (part / "index.html").write_text(html, encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(part, folder)
    except OSError as error:
        raise RequestError(f"cannot write the report to {folder} ({error.strerror})") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Report(folder, study, checked, drawn.notes)
