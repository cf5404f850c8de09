#!/usr/bin/env python
"""Measure estimators on the embedded videos: error, and how often intervals cover, against independent samples.

    python scripts/estimators.py tpn --videos 10                  a table, and the numbers of each video as JSON
    python scripts/estimators.py timesformer --videos 3 --reference 4000

For each video and method, the reference is an estimate of the same quantity from samples of its own. The error is
|a - r|^2 / |r|^2 after centering both. Intervals are for the difference: their width includes the reference's own
error. The ten largest are those of the reference.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from hydra import compose, initialize_config_module

from lavx import presets
from lavx.experiments.compose import build, build_network, settings, videos_of
from lavx.explainer import Explainer, estimated, play
from lavx.game import BatchSizes, ScoredClip, Seeds
from lavx.methods.sampling import Budget
from lavx.methods.summary import CrossFittedMean, CrossFittedShapley, MeanWhenKept, Ridge, ShapleyRegression
from lavx.types import Summary

FAMILIES: dict[str, tuple[str, Summary, dict[str, Summary]]] = {
    "rise": ("rise", CrossFittedMean(), {"rise": MeanWhenKept(), "rise_trees": CrossFittedMean()}),
    "shap": (
        "kernel_shap",
        CrossFittedShapley(),
        {"kernel_shap": ShapleyRegression(), "shap_trees": CrossFittedShapley()},
    ),
    "lime": ("lime", Ridge(), {"lime": Ridge()}),
}


def centered_error(found: np.ndarray, reference: np.ndarray) -> float:
    """|a - r|^2 / |r|^2 after centering both."""
    found, reference = found - found.mean(), reference - reference.mean()
    return float(((found - reference) ** 2).sum() / (reference**2).sum())


def compared(found: dict[str, Any], reference: dict[str, Any], seconds: float) -> dict[str, float]:
    """One estimate against the reference."""
    width = np.sqrt(found["std_error"] ** 2 + reference["std_error"] ** 2)
    inside = np.abs(found["attribution"] - reference["attribution"]) < 1.96 * width
    size = np.abs(reference["attribution"] - reference["attribution"].mean())
    return {
        "error": centered_error(found["attribution"], reference["attribution"]),
        "covered": float(inside.mean()),
        "largest_covered": float(inside[np.argsort(-size)[:10]].mean()),
        "seconds": seconds,
    }


def measured(clip: ScoredClip, family: str, sizes: list[int], n_reference: int) -> dict[str, dict[str, float]]:
    """All estimators of one quantity at all numbers of samples, for one clip."""
    name, best, summaries = FAMILIES[family]
    method = presets.method(name)
    assert isinstance(method, Explainer)
    game = clip.game(clip.segment(method.segmentation), method.removal, method.behavior)

    def played(n_samples: int, stream: str) -> tuple[Any, Any, float, float]:
        rng = clip.seeds.numpy(stream)
        coalitions, scores = play(game, method.selection, Budget(n_samples), method.summary, rng)
        return coalitions, scores, game.full, game.empty

    reference = estimated(best, *played(n_reference, "reference"))
    found = {}
    for n_samples in sizes:
        rows = played(n_samples, f"samples {n_samples}")
        for label, summary in summaries.items():
            start = time.process_time()
            estimate = estimated(summary, *rows)
            found[f"{label} {n_samples}"] = compared(estimate, reference, time.process_time() - start)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("net", help="tpn, tanet or timesformer")
    parser.add_argument("--videos", type=int, default=10)
    parser.add_argument("--samples", type=int, nargs="+", default=[250, 1000])
    parser.add_argument("--reference", type=int, default=4000, help="samples of the reference")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    arguments = parser.parse_args()
    with initialize_config_module("lavx.conf", version_base="1.3"):
        overrides = [f"net={arguments.net}", "dataset=shapes", f"dataset.n_videos={arguments.videos}"]
        config = settings(compose("run", overrides=overrides))
    dataset = build(config.dataset, "dataset")
    videos = videos_of(dataset)
    network = build_network(config, ("shapes", arguments.net), dataset, videos)
    batches, rows = BatchSizes(network), {}
    for video in videos:
        frames = network.read(video.path).frames
        clip = ScoredClip(network, frames, classes=dataset.classes, batches=batches, seeds=Seeds(1, video.id))
        for family in arguments.families:
            found = measured(clip, family, arguments.samples, arguments.reference)
            for label, numbers in found.items():
                rows.setdefault(label, []).append(numbers)
            print(json.dumps({"video": video.id, **found}), flush=True)
    print("| method, samples | error (median) | covered | of the ten largest | seconds |\n|---|---|---|---|---|")
    for label, numbers in rows.items():
        error = np.median([n["error"] for n in numbers])
        means = [np.mean([n[key] for n in numbers]) for key in ("covered", "largest_covered", "seconds")]
        print(f"| {label} | {error:.3f} | {means[0]:.2f} | {means[1]:.2f} | {means[2]:.2f} |")


if __name__ == "__main__":
    main()
