"""`lavx report`: tables, figures, claims and a page from the outputs folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from lavx.checks import is_number
from lavx.commands import OK, guarded
from lavx.errors import RequestError, check_whole

if TYPE_CHECKING:
    from lavx.experiments.settings import Settings

_MOST_LINES = 12


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="report")
def main(config: DictConfig) -> int:
    """Write the report that Hydra composed; returns the exit status."""

    def job() -> int:
        from lavx.experiments.compose import settings

        return report(settings(config))

    return guarded(job)


def report(config: Settings) -> int:
    """Write `<outputs>/<name>/report/` and print the verdicts on the claims and what is missing."""
    from lavx.report import write_report
    from lavx.report.study import method_of

    check_whole(config, "panels", 0, or_null=True)
    if not isinstance(config.embed, bool):
        raise RequestError(f"embed must be true or false, got {config.embed}")
    made = write_report(
        Path(config.outputs),
        str(config.name),
        list(config.nets),
        list(config.methods),
        config.panels,
        config.embed,
        _scale(config.scale),
        _rules(config.exclude),
    )
    study = made.study
    print(
        f"{study.name}: {len(study.table)} explanations, {len({method_of(m) for m in study.methods})} methods, "
        f"{study.table.net.nunique()} networks, {study.table.dataset.nunique()} datasets"
    )
    counts = Counter(item.verdict.status for item in made.checked)
    print("Claims: " + "; ".join(f"{status}: {n}" for status, n in counts.items()))
    noted = {
        "Missing": study.missing,
        "Failed": study.failures,
        "Not to be compared": study.differing,
        "Not drawn": made.notes,
    }
    for heading, lines in noted.items():
        if lines:
            print(f"{heading}:")
            print("\n".join(f"  {line}" for line in lines[:_MOST_LINES]))
            if len(lines) > _MOST_LINES:
                print(f"  and {len(lines) - _MOST_LINES} more, on the page")
    print(f"Report: {(made.folder / 'index.html').resolve()}")
    return OK


def _scale(given: object) -> tuple[float, float]:
    """The range of user scores."""
    is_pair = isinstance(given, Sequence) and len(given) == 2 and all(map(is_number, given))
    if isinstance(given, Sequence) and is_pair and given[0] < given[1]:
        return given[0], given[1]
    raise RequestError(f"scale must be [smallest, largest] user score, such as [1,5], got {given}")


def _rules(given: object) -> list[str]:
    """The rules by which raters are excluded."""
    from lavx.rating.analysis import RULES

    if isinstance(given, Sequence) and not isinstance(given, str) and all(rule in RULES for rule in given):
        return list(given)
    raise RequestError(f"exclude must be a list of the rules {', '.join(RULES)}, or [] for none, got {given}")
