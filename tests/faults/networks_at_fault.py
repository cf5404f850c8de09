"""Networks as functions of arrays: one that works, and those that fail as users' own do."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

CLASSES = 8
_WEIGHT = np.random.default_rng(0).normal(0, 0.05, (4, 3, CLASSES))


def linear(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    """Logits, linear in the mean colors of each frame."""
    return np.einsum("btc,tck->bk", clips.mean((2, 3)).astype(np.float64), _WEIGHT)


def probabilities(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    logits = linear(clips)
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return odds / odds.sum(1, keepdims=True)


def one_row(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return linear(clips)[:1]


def flat(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return linear(clips).ravel()


def cube(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return linear(clips)[:, :, None]


def transposed(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return linear(clips).T


def no_classes(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return linear(clips)[:, :0]


def wrong_count(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.hstack([linear(clips), linear(clips)])


def changing_count(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return linear(clips)[:, : CLASSES - (clips.mean() < 60)]


def nan(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return linear(clips) * np.nan


def infinite(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return linear(clips) + np.inf


def nan_sometimes(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    logits = linear(clips)
    logits[np.random.default_rng(int(clips.sum()) % 1000).random(len(logits)) < 0.2] = np.nan
    return logits


def nothing(clips: NDArray[np.float32]) -> None:
    return None


def words(clips: NDArray[np.float32]) -> list[str]:
    return ["archery"] * len(clips)


def complex_numbers(clips: NDArray[np.float32]) -> NDArray[np.complex128]:
    return linear(clips) * 1j


def ragged(clips: NDArray[np.float32]) -> list[list[float]]:
    return [[0.5] * (k + 1) for k in range(len(clips) + 1)]


def random_answers(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.random.default_rng().normal(0, 3, (len(clips), CLASSES))


def raises(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    raise RuntimeError("no more\nof this {weird} %s message")


def raises_sometimes(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    if int(clips.sum()) % 3 == 0:
        raise ValueError("this clip is not to my liking")
    return linear(clips)


def exits(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    raise SystemExit("a network that ends the process")


def out_of_memory(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    raise MemoryError


def recursive(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    return recursive(clips)


def writes_into_its_input(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    answer = linear(clips)
    clips[:] = 0
    return answer


def swallows(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    """It catches everything, an interruption among it."""
    try:
        time.sleep(0.02)
    except BaseException:
        pass
    return linear(clips)


def slow(clips: NDArray[np.float32]) -> NDArray[np.float64]:
    time.sleep(0.2)
    return linear(clips)
