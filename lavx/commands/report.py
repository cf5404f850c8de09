"""`lavx report`: tables, figures, claims and a page from the outputs folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

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
