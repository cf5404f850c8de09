"""The wheel: it holds all that lavx needs when it runs, and asks for no more than that."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path, PurePosixPath

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
EXTRAS = {
    "openmmlab", "huggingface", "torchvision", "onnx", "rate", "tensorboard", "joblib", "submitit", "ray", "test",
}  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built in a copy: setuptools leaves folders behind."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("lavx", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return zipfile.ZipFile(built)


def _metadata(wheel: zipfile.ZipFile) -> Message:
    (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


def test_every_file_of_the_package_is_in_the_wheel(wheel: zipfile.ZipFile) -> None:
    source = {
        PurePosixPath(place, path.relative_to(ROOT / folder).as_posix()).as_posix()
        for folder, place in (("lavx", "lavx"), ("conf", "lavx/conf"))
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == source


def test_lavx_alone_asks_for_no_framework_beside_torch(wheel: zipfile.ZipFile) -> None:
    metadata = _metadata(wheel)
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    alone = {each.name for each in requirements if each.marker is None or each.marker.evaluate({"extra": ""})}
    assert "torch" in alone
    assert not alone & {
        "mmaction2", "mmcv-lite", "mmengine", "decord", "opencv-python", "opencv-contrib-python", "torchvision",
        "transformers", "onnxruntime", "ray", "pytest",
    }  # fmt: skip
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS
    assert metadata["Requires-Python"] == ">=3.11"


def test_every_extra_that_a_message_names_exists() -> None:
    pattern = re.compile(r'lavx\[(\w+)\]|import_extra\([^)]*, "(\w+)"\)')
    code = "".join(path.read_text() for path in (ROOT / "lavx").rglob("*.py"))
    named = {match[1] or match[2] for match in pattern.finditer(code)}
    assert {"openmmlab", "huggingface", "torchvision", "onnx"} <= named <= EXTRAS
