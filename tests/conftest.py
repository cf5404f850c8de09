from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

torch.set_num_threads(1)  # the tensors of the tests are too small to share

SHAPE = (4, 8, 8)


class LinearNetwork:
    """A classifier of two classes: the logit of class 1 is a weighted sum of the voxels, that of class 0 is 0."""

    device = torch.device("cpu")
    output = "logits"
    classes = None

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.calls: list[int] = []

    def __call__(self, clips: Tensor) -> Tensor:
        self.calls.append(len(clips))
        logit = (clips.double() * self.weight).flatten(1).sum(1)
        return torch.stack([torch.zeros_like(logit), logit], 1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def clip(rng) -> np.ndarray:
    return rng.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)


@pytest.fixture
def network(rng) -> LinearNetwork:
    return LinearNetwork(torch.from_numpy(rng.normal(0, 2e-4, (*SHAPE, 3))))


@pytest.fixture(scope="session")
def shared_clips() -> Path:
    folder = Path(__file__).parents[2] / "shared" / "data" / "clips"
    if not folder.is_dir():
        pytest.skip("the real clips are not here")
    return folder
