"""The accuracy of a network on all folds of a dataset, as a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lavx.experiments.identity import holds
from lavx.files import write_text


def write_fold_table(parent: Path, identity: Mapping[str, Any]) -> str:
    """Write `accuracy.csv` and `accuracy.md` of the folds trained so far; returns the table in Markdown.

    Args:
        parent: the folder of the folds' folders.
        identity: of one of the trainings; folds that were trained otherwise are left out, and that is printed.
    """
    rows = _fold_rows(parent, identity)
    write_text(parent / "accuracy.csv", pd.DataFrame(rows).to_csv(index=False))
    text = "\n".join(_lines(rows))
    write_text(parent / "accuracy.md", text + "\n")
    return text


def read_accuracy(file: Path) -> dict[str, Any] | None:
    """What `accuracy.json` of a training says; None where it is missing or damaged."""
    try:
        meta = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    needed = {"fold", "n_training", "n_held_out", "top1", "top5", "classes"}
    return meta if isinstance(meta, dict) and needed <= meta.keys() else None


def _fold_rows(parent: Path, identity: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for file in sorted(parent.glob("fold*/accuracy.json"), key=lambda file: int(file.parent.name[4:])):
        meta = read_accuracy(file)
        if meta is None:
            print(f"{file} is damaged and is left out of the table. Train that fold again: it is made anew.")
            continue
        if not holds(file.parent, {**identity, "fold": meta["fold"]}):
            print(f"{file.parent} was trained with another configuration and is left out of the table.")
            continue
        rows.append({key: meta[key] for key in ("fold", "n_training", "n_held_out", "top1", "top5")})
    return rows


def _lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A line a fold, then mean and sample standard deviation."""
    lines = ["| fold | training videos | held-out videos | top-1 % | top-5 % |", "|---|---|---|---|---|"]
    for row in rows:
        top1, top5 = (f"{100 * row[key]:.1f}" for key in ("top1", "top5"))
        lines.append(f"| {row['fold']} | {row['n_training']} | {row['n_held_out']} | {top1} | {top5} |")
    top1, top5 = (_mean_sd([100 * row[key] for row in rows]) for key in ("top1", "top5"))
    return [*lines, f"| mean ± sd of {len(rows)} | | | {top1} | {top5} |"]


def _mean_sd(values: Sequence[float]) -> str:
    sd = f" ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else ""
    return f"{np.mean(values):.1f}{sd}"
