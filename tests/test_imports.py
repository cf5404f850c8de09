"""What `import lavx` brings in, and what it leaves to those who need it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import run_lavx

import lavx

HEAVY = {
    "hydra", "omegaconf", "pandas", "matplotlib.pyplot", "mmaction", "mmcv", "mmengine", "onnxruntime",
    "torchvision", "transformers",
}  # fmt: skip

SCRIPT = """
import json, sys, time
start = time.process_time()
import torch
torch_seconds = time.process_time() - start
import lavx
{more}
seconds = time.process_time() - start - torch_seconds
print(json.dumps([torch_seconds, seconds, sorted(sys.modules)]))
"""

EVERY_NAME = "for name in lavx.__all__: getattr(lavx, name)"

EXPLAIN = """
import numpy as np
def predict(clips):
    red = clips[..., 0].mean((1, 2, 3)) / 255
    return np.stack([red, 1 - red], 1)
clip = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
explanation = lavx.explain(predict, clip, method="rise", target=0, n_samples=20)
lavx.evaluate(predict, clip, explanation)
"""


def _import(more: str) -> tuple[float, float, set[str]]:
    """CPU seconds of torch and of lavx, and the modules that are loaded then, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", SCRIPT.replace("{more}", more)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    torch_seconds, seconds, modules = json.loads(done.stdout)
    return torch_seconds, seconds, set(modules)


@pytest.mark.parametrize("more", ["", EVERY_NAME])
def test_importing_lavx_is_light(more: str) -> None:
    torch_seconds, seconds, modules = _import(more)
    assert not HEAVY & modules
    assert seconds < max(2.0, 2 * torch_seconds)  # 0.7 s where torch takes 1.2 s


def test_explaining_a_function_needs_neither_configuration_nor_another_framework() -> None:
    assert not HEAVY & _import(EXPLAIN)[2]


def test_every_public_name_is_there_once() -> None:
    assert len(set(lavx.__all__)) == len(lavx.__all__)
    for name in lavx.__all__:
        assert getattr(lavx, name) is not None and name in dir(lavx)


def test_an_unknown_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'lavx' has no attribute 'explian'"):
        getattr(lavx, "explian")  # noqa: B009


@pytest.fixture
def without_openmmlab(tmp_path: Path) -> dict[str, str]:
    """An environment in which Python finds no package of OpenMMLab."""
    hook = "import sys\nsys.modules.update(mmaction=None, mmcv=None, mmengine=None)\n"
    (tmp_path / "sitecustomize.py").write_text(hook)
    return os.environ | {"PYTHONPATH": str(tmp_path)}


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_network_of_openmmlab_without_openmmlab_is_an_invalid_request(
    command: str, without_openmmlab: dict[str, str], tmp_path: Path
) -> None:
    done = run_lavx(command, "dataset=shapes", "net=tpn", folder=tmp_path, environment=without_openmmlab)
    assert done.returncode == 2
    assert 'lavx: net: the networks of OpenMMLab need mmaction, mmcv, mmengine: pip install "lavx[openmmlab]"' in (
        done.stderr.splitlines()
    )


def test_the_command_explains_a_function_without_openmmlab(
    without_openmmlab: dict[str, str], tmp_path: Path
) -> None:
    code = "def predict(clips):\n    red = clips[..., :1].mean((1, 2, 3)) / 255\n"
    (tmp_path / "red.py").write_text(f"import numpy as np\n{code}    return np.concatenate([red, 1 - red], 1)\n")
    (tmp_path / "labels.txt").write_text("red\nnot red\n")
    done = run_lavx(
        "explain", "dataset=shapes", "net=function", "net.function=red:predict", "net.classes=labels.txt",
        "method.sampling.n_samples=20", "metric.n_steps=3", folder=tmp_path, environment=without_openmmlab,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "deletion AUC" in done.stdout
