"""Makes run folders as `lavx run` leaves them, without running anything."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lavx.drawing.overlay import write_overlay
from lavx.experiments.record import STAGES, CurvePoints, VideoRecord
from lavx.experiments.run_folder import RunFolder
from lavx.metrics.insertion_deletion import Curve, minimal_masks
from lavx.report.study import CONTROLS, METHODS

QUALITY = dict(zip((*METHODS, *CONTROLS), (0.9, 0.8, 0.85, 0.6, 0.4, 0.5, 0.1, 0.3, 0.15), strict=True))

CONFIG = {"seed": 0, "method": {"visualization": {"_target_": "lavx.methods.visualization.PosNeg", "alpha": 0.5}}}


def make_record(video_id: str, *, curves: Mapping[str, Curve] | None = None, **fields: Any) -> VideoRecord:
    """The record of an explained video, whole whichever fields are given."""
    fractions = np.linspace(0, 1, 5)
    if curves is None:
        curves = {"deletion": Curve(fractions, 1 - fractions), "insertion": Curve(fractions, fractions)}
    given: dict[str, Any] = {
        "label": 1,
        "output": "logits",
        "predicted": 0,
        "target": 0,
        "score": 0.9,
        "deletion_auc": curves["deletion"].auc,
        "insertion_auc": curves["insertion"].auc,
        "n_regions": 9,
        "n_samples": 20,
        "seconds": dict.fromkeys(STAGES, 0.5),
        "minimal_masks": minimal_masks(dict(curves)),
        "curves": {name: CurvePoints(tuple(c.fractions), tuple(c.scores)) for name, c in curves.items()},
    }
    return VideoRecord(video_id=video_id, **(given | fields))


def write_result(cell: RunFolder, record: VideoRecord) -> None:
    """What is in the folder of an explained video, as far as resumption looks at it."""
    with cell.writing(record.video_id) as folder:
        (folder / "metrics.json").write_text(record.to_json())
        (folder / "explanation.npz").write_bytes(b"arrays")
    cell.written(record)


def make_cell(
    outputs: Path,
    key: tuple[str, str, str],
    videos: list[str],
    *,
    name: str = "default",
    quality: float | None = None,
    truth: bool = True,
    pictures: bool = False,
) -> RunFolder:
    """One cell whose deletion is the lower, and insertion the higher, the better the method (0 to 1)."""
    cell = RunFolder(outputs / name / Path(*key))
    (cell.path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (cell.path / "environment.json").write_text(json.dumps({"lavx": "0", "commit": None, "device": "cpu"}))
    if quality is None:
        quality = QUALITY.get(key[2], 0.7)
    for video in videos:
        rng = np.random.default_rng([*"".join((*key, video)).encode(errors="surrogatepass")])
        score = float(rng.uniform(0.8, 1))
        steepness = 1 + 9 * quality * rng.uniform(0.99, 1.01)
        # Of the score when all is removed, the same for every method: not every threshold is reached.
        left = np.random.default_rng([*video.encode(errors="surrogatepass")]).uniform(0.12, 0.3)
        fractions = np.linspace(0, 1, 11)
        falling = score * ((1 - fractions) ** steepness * (1 - left) + left)
        curves = {
            "deletion": Curve(fractions, falling),
            "insertion": Curve(fractions, score * (1 - (1 - fractions) ** steepness)),
        }
        measured = {"average_drop": float(rng.uniform(0, 1 - quality)), "increase": float(rng.random() < quality)}
        if truth:
            measured |= {m: float(rng.uniform(0, quality)) for m in ("pointing_game", "iou", "energy_inside")}
        seconds = {stage: round(float(rng.uniform(0.1, 1)), 4) for stage in STAGES}
        record = make_record(video, label=0, score=score, curves=curves, seconds=seconds, **measured)
        with cell.writing(video) as folder:
            (folder / "metrics.json").write_text(record.to_json())
            if pictures:
                frames = rng.integers(0, 255, (4, 32, 32, 3), dtype=np.uint8)
                write_overlay(folder / "overlay.mp4", frames=frames, overlay=frames, seconds=np.arange(4))
                (folder / "panel.png").write_bytes(b"")
                heatmap = rng.normal(size=frames.shape[:3]).astype(np.float32)
                np.savez(folder / "explanation.npz", frames=frames, heatmap=heatmap)
    cell.write_table()
    return cell


def make_grid(
    outputs: Path,
    *,
    datasets: tuple[str, ...] = ("one", "two"),
    nets: tuple[str, ...] = ("tanet", "tpn"),
    methods: tuple[str, ...] = (*METHODS, *CONTROLS),
    n_videos: int = 6,
    truth: bool = True,
) -> None:
    """A whole grid; the videos of dataset `one` are called one-00, one-01, ..."""
    for dataset in datasets:
        for net in nets:
            for method in methods:
                videos = [f"{dataset}-{k:02d}" for k in range(n_videos)]
                make_cell(outputs, (dataset, net, method), videos, truth=truth)
