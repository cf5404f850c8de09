"""Table 2 of the paper: what each method chooses at each step, as the cells that ran were composed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from lavx.experiments.identity import CONFIG
from lavx.report.study import Study
from lavx.report.tables import Table, method_title

STEPS = ("segmentation", "selection", "sampling", "removal", "behavior", "summary", "visualization")
_DASH = "\N{EN DASH}"


def methods_table(study: Study) -> Table:
    """A row a step, a column a method: the component, its parameters, and how many regions and samples that gave.

    Of the cells of a method on several networks and datasets the first is read; the report names cells whose
    methods differ.
    """
    settings = {method: _settings(study, method) for method in study.methods}
    rows = [[step.capitalize(), *(_component(settings[m].get(step)) for m in study.methods)] for step in STEPS]
    for column, words in (("n_regions", "Regions, mean"), ("n_samples", "Samples, mean")):
        means = study.table.groupby("method")[column].mean()
        rows.append([words, *(f"{means[m]:.0f}" for m in study.methods)])
    columns = ["Step", *map(method_title, study.methods)]
    note = (
        "As composed for the cells that ran. Sampling without a number scores every coalition of the selection; "
        "the clip and the baseline are scored besides. Controls cut, select and sample nothing."
    )
    frame = pd.DataFrame(rows, columns=["step", *study.methods])
    return Table("methods", "What each method chooses (Table 2 of the paper)", note, frame, columns, rows)


def _settings(study: Study, method: str) -> Mapping[str, Any]:
    """The `method` part of the configuration of its first cell; empty where that cannot be read."""
    place = next(path for key, path in study.places.items() if key[2] == method)
    return _method(place.parents[1] / CONFIG)


def _method(file: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        method = content["method"]
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError):
        return {}
    return method if isinstance(method, Mapping) else {}


def _component(node: Any) -> str:
    """A component as `Class(parameter=value, ...)`."""
    if not isinstance(node, Mapping) or "_target_" not in node:
        return _DASH
    given = ", ".join(f"{key}={_value(value)}" for key, value in node.items() if not key.startswith("_"))
    name = str(node["_target_"]).rpartition(".")[2]
    return f"{name}({given})" if given else name


def _value(value: Any) -> str:
    return _component(value) if isinstance(value, Mapping) else str(value).lower() if value is None else str(value)
