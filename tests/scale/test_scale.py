"""What very many results cost: `pytest -m slow tests/scale -s` prints the seconds of CPU time of each command.

CPU time, as other processes do not change it much; limits are a multiple of what was measured on one core.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

from command import run_lavx
from many_results import METHODS, copy_result, make_results, many_videos

from lavx.datasets.shapes import Shapes

pytestmark = pytest.mark.slow

N_VIDEOS = 10_000
NETWORK = """
import numpy as np

def predict(clips):
    return np.asarray(clips, dtype=float).mean(axis=(1, 2, 3))[:, :3] - 100
"""
EXPLAIN = [
    "explain", "net=function", "net.function=predictor:predict", "net.classes=[a,b,c]", "net.output=logits",
    "net.resize=32", "net.crop=32", "net.n_frames=4", "method=center", "metric.n_steps=3",
]  # fmt: skip


def lavx(*arguments: str, folder: Path, code: int = 0) -> tuple[float, str]:
    """CPU seconds of a command, and what it printed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "LAVX_CACHE": str(folder / "cache")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    done = run_lavx(*arguments, folder=folder, environment=environment, timeout=3600)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == code, done.stderr
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"\n{' '.join(arguments)[:60]}: {seconds:.1f} s of CPU time, {wall:.1f} s in all")
    return seconds, done.stdout


@pytest.fixture(scope="module", params=[1, len(METHODS)], ids=["10_000", "100_000"])
def results(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    make_results(folder / "outputs", request.param, N_VIDEOS)
    return folder, request.param


def test_status_reads_many_results_in_seconds(results):
    folder, n_cells = results
    for limit in (10, 3):  # seconds a cell: without an index, and with the one that is left behind
        seconds, printed = lavx("status", folder=folder)
        assert f"{n_cells * N_VIDEOS} of {n_cells * N_VIDEOS} videos explained, 0 failed" in printed
        assert seconds < 3 + limit * n_cells


def test_report_reads_many_results_in_seconds(results):
    folder, n_cells = results
    seconds, printed = lavx("report", "panels=0", folder=folder)
    assert f"{n_cells * N_VIDEOS} explanations" in printed
    assert seconds < 15 + 15 * n_cells


def test_a_folder_of_many_videos_is_begun_and_resumed_in_seconds(tmp_path):
    (tmp_path / "predictor.py").write_text(NETWORK)
    file = Shapes(tmp_path / "cache", n_videos=1).videos()[0].path
    many_videos(tmp_path / "one", file, 1)
    many_videos(tmp_path / "many", file, N_VIDEOS)
    alone, _ = lavx(*EXPLAIN, "video=one", folder=tmp_path)
    cell = next((tmp_path / "outputs/explain/videos").glob("*/center"))
    ids = [f"clip-{k:06d}" for k in range(N_VIDEOS)]
    copy_result(cell, ids[1:-1], {video: tmp_path / "many" / f"{video}.mp4" for video in ids})
    begun, printed = lavx(*EXPLAIN, "video=many", folder=tmp_path)  # reads all records, explains the last one
    assert f"{N_VIDEOS - 1} of {N_VIDEOS} videos are done already" in printed
    resumed, printed = lavx(*EXPLAIN, "video=many", folder=tmp_path)
    assert f"{N_VIDEOS} of {N_VIDEOS} videos are done already" in printed
    assert begun < alone + 20
    assert resumed < alone + 10
