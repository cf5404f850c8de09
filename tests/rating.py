"""A study to rate without running anything, and raters of known preferences who use its real page."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from outputs_tree import make_record

from lavx.experiments.run_folder import RunFolder
from lavx.methods import visualization
from lavx.rating.protocol import Protocol
from lavx.rating.server import LOOPBACK, Pages, application
from lavx.rating.store import Rater, State, Store
from lavx.rating.study import Study, color_bar, open_study

STUDY = visualization.Study()
METHODS = ("lime", "kernel_shap", "rise", "loco", "univariate", "occlusion")
# As the paper's panel had them, about (section 5.3): RISE 1.56, univariate -0.68, LOCO near 0.
PREFERENCES = dict(zip(METHODS, (0.6, 0.5, 1.5, 0.0, -0.7, 0.45), strict=True))


def make_explanations(
    outputs: Path,
    *,
    datasets: Sequence[str] = ("one",),
    nets: Mapping[str, tuple[int, int, int]] | None = None,
    methods: Sequence[str] = METHODS,
    n_videos: int = 2,
    name: str = "default",
    classes: Sequence[str] = ("blue to green", "green to blue"),
) -> Path:
    """Run folders with explanations that can be shown; `nets` says the clip's (T, H, W) of each network."""
    for dataset in datasets:
        for net, shape in (nets or {"tpn": (4, 16, 16)}).items():
            for method in methods:
                cell = RunFolder(outputs / name / dataset / net / method)
                (cell.path / "config.yaml").write_text(yaml.safe_dump({"seed": 0}))
                for video in (f"{dataset}-{k:02d}" for k in range(n_videos)):
                    _explain(cell, video, method, shape, classes)
    return outputs / name


def _explain(
    cell: RunFolder, video: str, method: str, shape: tuple[int, int, int], classes: Sequence[str]
) -> None:
    rng = np.random.default_rng([*f"{cell.path.parent.name}{video}".encode()])
    frames = rng.integers(0, 255, (shape[0], 4, 4, 3), dtype=np.uint8)
    frames = frames.repeat(shape[1] // 4, axis=1).repeat(shape[2] // 4, axis=2)
    own = np.random.default_rng([*f"{video}{method}".encode()])
    heatmap = own.normal(size=shape).astype(np.float32)
    if method in ("rise", "center"):  # smooth, so that the files of methods differ in size
        heatmap = np.linspace(0, 1, heatmap.size, dtype=np.float32).reshape(shape)
    record = make_record(video, deletion_auc=float(own.random()), insertion_auc=float(own.random()))
    with cell.writing(video) as folder:
        (folder / "metrics.json").write_text(record.to_json())
        arrays: dict[str, Any] = {"frames": frames, "heatmap": heatmap, "target": 0, "version": 2}
        if classes:
            arrays["classes"] = np.array(classes)
        np.savez(folder / "explanation.npz", **arrays)
    cell.written(record)


def begin(run: Path, **protocol: Any) -> tuple[Study, Store]:
    """A study, begun or gone on with, and its store."""
    study = open_study(run, Protocol(side=64, **protocol), STUDY)
    return study, Store(study.file, study.content)


def app_of(study: Study, store: Store, *, open_to_all: bool = True, key: str | None = None, **guard: Any) -> Any:
    """The server's application, reached as `testserver` too."""
    pages = Pages(store, study.media, color_bar(STUDY), open_to_all, key)
    return application(pages, (*LOOPBACK, "testserver"), **guard)


Judge = Callable[[str], int]


@dataclass
class Panelist:
    """A rater with preferences.

    Attributes:
        preferences: mean score of each method.
        noise: standard deviation of a score.
        at_random: whether every score is drawn at random instead.
        seed: of the draws.
    """

    preferences: Mapping[str, float]
    noise: float = 0.7
    at_random: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def likert(self, method: str, shift: float = 0) -> int:
        """A score from -2 to 2."""
        if self.at_random:
            return int(self.rng.integers(-2, 3))
        mean = self.preferences.get(method, -1.7) + shift  # a control looks unreasonable
        return int(np.clip(np.rint(mean + self.rng.normal(0, self.noise)), -2, 2))

    def choice(self, first: str, second: str) -> int:
        """1 where the first is better."""
        if self.at_random:
            return int(self.rng.integers(2))
        gap = self.preferences.get(first, -1.7) - self.preferences.get(second, -1.7)
        return int(gap + self.rng.normal(0, self.noise * np.sqrt(2)) > 0)


def methods_shown(file: Path, token: str) -> tuple[str, str | None, str]:
    """What a question shows, which its page does not know: method, other method, video."""
    with sqlite3.connect(file) as db:
        row = db.execute(
            "SELECT i.method, o.method, i.dataset || '/' || i.video_id FROM trials t "
            "JOIN items i ON i.id = t.item LEFT JOIN items o ON o.id = t.other WHERE t.token = ?",
            (token,),
        ).fetchone()
    db.close()
    return row


def rate_all(study: Study, store: Store, rater: Rater, panelist: Panelist, reaction_ms: int = 4000) -> None:
    """Answer every question of a rater, as the page would."""
    state: State = store.agree(rater.link).result()
    items = study.content.items
    while state.stage == "trial":
        item, other = items[state.item], None if state.other is None else items[state.other]
        if other is not None:
            value = panelist.choice(item.method, other.method)
        elif study.content.protocol.design == "slider":
            value = int(np.clip(50 + 25 * panelist.likert(item.method), 0, 100))
        else:
            shift = np.random.default_rng([*item.video_id.encode()]).normal(0, 0.4)
            value = panelist.likert(item.method, shift)
        state = store.answer(rater.link, state.token, state.attempt, value, reaction_ms, "").result()
