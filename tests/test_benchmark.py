import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "benchmark.py"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_samples():
    done = subprocess.run([sys.executable, SCRIPT, "memory"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    ratios = [float(ratio) for ratio in re.findall(r"([\d.]+) of the first", done.stdout)]
    print(done.stdout)
    assert len(ratios) == 2 and ratios[1] <= 1.05


@pytest.mark.slow
def test_the_share_outside_the_passes_is_measured(tmp_path):
    from lavx.datasets.shapes import draw
    from lavx.video import write_video

    write_video(tmp_path / "v.mp4", draw((0, 0, 0)).frames, fps=8)
    overrides = ["method.sampling.n_samples=20", "metric.n_steps=2", "batch_size=4"]
    command = [sys.executable, SCRIPT, "overhead", "--video", tmp_path / "v.mp4", *overrides]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"of which [\d.]+% outside the network's forward passes", done.stdout)
