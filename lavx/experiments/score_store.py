"""Scores of finished batches on disk, so that a clip that was cut off resumes inside its samples."""

from __future__ import annotations

import base64
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from lavx.files import read_json_lines
from lavx.types import Outputs, Scores


def _rows(text: str, scores: list[float]) -> Outputs:
    """Outputs (n, K) of a line of the file."""
    return np.frombuffer(base64.b64decode(text), dtype="<f4").reshape(len(scores), -1).astype(np.float32)


class FileScoreStore:
    """A `lavx.game.ScoreStore` in one file, a line a batch.

    Args:
        path: the file; its folder must exist.
        about: what the scores depend on beside the coalitions: the clip, the network, the settings. A file about
            anything else is begun anew.
    """

    def __init__(self, path: Path, about: str) -> None:
        self.path = path
        self._kept: dict[str, list[float]] = {}
        self._outputs: dict[str, list[Outputs]] = {}
        self._n: dict[str, int] = {}  # scores by key, those of this process too
        lines = read_json_lines(path)
        # A line says where its scores begin, so that one that a power loss took does not shift those after it.
        if not lines or lines[0] != {"about": about}:
            path.write_text(json.dumps({"about": about}) + "\n")
            return
        for line in lines[1:]:
            if _is_batch(line):
                kept = self._kept.setdefault(line["key"], [])
                if line["start"] == len(kept):
                    kept.extend(line["scores"])
                    rows = self._outputs.setdefault(line["key"], [])
                    if "outputs" in line and line["start"] == sum(map(len, rows)):
                        rows.append(_rows(line["outputs"], line["scores"]))
        self._n = {key: len(kept) for key, kept in self._kept.items()}

    @property
    def n_kept(self) -> int:
        """Scores that an earlier process left."""
        return sum(map(len, self._kept.values()))

    def get(self, key: str) -> Scores:
        """The scores kept under a key when the file was opened, float64 (n,)."""
        return np.array(self._kept.get(key, []), dtype=np.float64)

    def outputs(self, key: str) -> Outputs:
        """The outputs kept under a key when the file was opened, float32 (m, K); (0, 0) where there are none."""
        rows = self._outputs.get(key, [])
        return np.concatenate(rows) if rows else np.empty((0, 0), dtype=np.float32)

    def add(self, key: str, scores: Scores, outputs: Outputs | None = None) -> None:
        """Append a batch of scores, and the outputs (n, K) that they are of."""
        start = self._n.get(key, 0)
        line = {"key": key, "start": start, "scores": scores.tolist()}
        if outputs is not None:
            line["outputs"] = base64.b64encode(outputs.astype("<f4").tobytes()).decode()
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self._n[key] = start + len(scores)

    def remove(self) -> None:
        """Delete the file: the clip is done."""
        self.path.unlink(missing_ok=True)


def _is_batch(line: Any) -> bool:
    """Whether a line is one that `add` writes."""
    if (
        not isinstance(line, dict)
        or not isinstance(line.get("key"), str)
        or not isinstance(line.get("scores"), list)
    ):
        return False
    return "start" in line and all(type(score) is float and math.isfinite(score) for score in line["scores"])
