"""Puts the report together: `<outputs>/<name>/report/`, there whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from lavx.files import clean_parts, whole_folder, writing_to
from lavx.rating.analysis import RULES
from lavx.report import figures, page, tables, user_study, verdicts
from lavx.report.methods_table import methods_table
from lavx.report.study import Study, read_study
from lavx.report.verdicts import Checked
from lavx.text import csv_of

log = logging.getLogger(__name__)


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
    methods: Sequence[str] = (),
    panels: int | None = 3,
    embed: bool = False,
    scale: Sequence[float] = (-2, 2),
    exclude: Collection[str] = tuple(RULES),
) -> Report:
    """Write tables, figures, claims and `index.html` of a run; the same results give the same bytes.

    Args:
        outputs: the root folder of all results.
        name: of the run.
        nets: networks that are expected beside those that sweeps planned.
        methods: methods that are expected beside those that sweeps planned.
        panels: most videos of each dataset and network that get a panel; None for all.
        embed: put the overlay videos into `index.html` instead of linking to them.
        scale: smallest and largest user score where `ratings.csv` does not say.
        exclude: the rules by which raters are excluded.

    Raises:
        RequestError: if there is nothing to report, or the folder cannot be written.
    """
    study = read_study(outputs, name, nets, methods, scale, exclude)
    folder = study.folder / "report"
    with writing_to(folder), _alone(folder), whole_folder(folder) as part:
        (part / "tables").mkdir()
        (part / "figures").mkdir()
        made, found = tables.all_tables(study)
        made += [*user_study.user_tables(study), methods_table(study)]
        for table in made:
            table.write(part / "tables")
        checked = verdicts.check_claims(study)
        (part / "tables" / "claims.csv").write_text(csv_of(verdicts.claims_frame(checked)), encoding="utf-8")
        (part / "tables" / "claims.md").write_text(verdicts.claims_markdown(checked), encoding="utf-8")
        drawn = figures.all_figures(study, found, part / "figures", panels)
        html = page.draw_page(study, made, checked, drawn, part, embed)
        (part / "index.html").write_text(html, encoding="utf-8")
    return Report(folder, study, checked, drawn.notes)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep other reports from the folder, and clean up what killed ones left of it."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log.warning("another lavx report is writing %s; waiting until it is done", folder)
        lock.acquire()
    try:
        clean_parts(folder)
        yield
    finally:
        lock.release()
