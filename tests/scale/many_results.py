"""Makes outputs folders with very many results, whose numbers are drawn and whose arrays are not there.

    python tests/scale/many_results.py FOLDER [cells] [videos]

makes `FOLDER/default` with so many cells of so many videos each (10 of 10,000), for `lavx status outputs=FOLDER`
and `lavx report outputs=FOLDER`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parents[1]))

from outputs_tree import CONFIG, make_record

from lavx.experiments.names import folder_name
from lavx.experiments.record import VideoRecord

METHODS = ("lime", "lime-lime300", "kernel_shap", "rise", "rise-sampling.n_samples=300", "loco", "univariate",
           "occlusion", "random", "center")  # fmt: skip


def fill_cell(cell: Path, ids: list[str], record: VideoRecord | None = None, seed: int = 0) -> None:
    """Write the results of videos into a cell's folder, without an index.

    Args:
        cell: its folder.
        ids: of the videos.
        record: what each says, but for its id; None for numbers that are drawn.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    template = json.loads((record or make_record("x")).to_json())
    for video in ids:
        if record is None:
            template |= {key: round(float(rng.uniform()), 6) for key in ("score", "deletion_auc", "insertion_auc")}
        folder = cell / "videos" / folder_name(video)
        folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(template | {"video_id": video}))
        (folder / "explanation.npz").write_bytes(b"arrays")


def make_results(outputs: Path, n_cells: int = len(METHODS), n_videos: int = 10_000) -> None:
    """An outputs folder with one run, `default`, of several methods on the same videos."""
    ids = [f"video-{k:06d}" for k in range(n_videos)]
    for k, method in enumerate(METHODS[:n_cells]):
        cell = outputs / "default" / "many" / "tpn" / method
        fill_cell(cell, ids, seed=k)
        (cell / "config.yaml").write_text(yaml.safe_dump(CONFIG))
        (cell / "environment.json").write_text(json.dumps({"lavx": "0", "commit": None, "device": "cpu"}))
        (cell / "requested.json").write_text(json.dumps({"videos": [folder_name(name) for name in ids]}))
        (cell / "status.json").write_text(json.dumps({"state": "done", "total": n_videos}))


def copy_result(cell: Path, ids: list[str], files: dict[str, Path]) -> None:
    """Make the one result of a cell that of other videos too, as if each had been explained.

    Args:
        cell: its folder, with one video explained.
        ids: of the other videos.
        files: the file of each.
    """
    (place,) = (cell / "videos").iterdir()
    record = VideoRecord.read(place / "metrics.json")
    assert record.video is not None
    for video in ids:
        stat = files[video].stat()
        own = dataclasses.replace(record.video, size=stat.st_size, mtime_ns=stat.st_mtime_ns)
        fill_cell(cell, [video], dataclasses.replace(record, video=own))


def many_videos(folder: Path, file: Path, n: int) -> None:
    """A folder with so many videos, all of them one file."""
    folder.mkdir(parents=True)
    for k in range(n):
        os.link(file, folder / f"clip-{k:06d}.mp4")


if __name__ == "__main__":
    make_results(Path(sys.argv[1]), *map(int, sys.argv[2:]))
