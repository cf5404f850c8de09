#!/usr/bin/env python
"""Train one of the three embedded networks on drawn `shapes` videos, through mmengine's Runner, on the CPU.

    python scripts/train_shapes.py tpn

writes lavx/networks/weights/shapes_tpn.pth, with the accuracy on held-out videos in its `meta`. The seed
fixes everything; the same machine gives the same weights.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

import lavx
from lavx.datasets import shapes
from lavx.networks import openmmlab
from lavx.networks.allocator import keep_freed_memory

WEIGHTS = Path(lavx.__file__).parent / "networks" / "weights"
RECIPES = {
    "tanet": dict(iterations=400, learning_rate=3e-3),
    "tpn": dict(iterations=1000, learning_rate=3e-3),
    "timesformer": dict(iterations=1600, learning_rate=1.5e-3),
}
BATCH_SIZE = 16
TRAINING, HELD_OUT = 1, 2  # second number of a drawing's seed; 0 is the dataset that `lavx run` explains


def stress_time(network: torch.nn.Module) -> None:
    """Start TimeSformer's time embedding large enough to be told apart.

    mmaction2 starts it near zero, to grow from pretrained image weights; from scratch the network then learns
    the colors but stays blind to their order for thousands of iterations.
    """
    embedding = getattr(network.backbone, "time_embed", None)
    if isinstance(embedding, torch.Tensor):
        torch.nn.init.normal_(embedding, std=0.5)


class DrawnClips(Dataset):
    """Clips as the networks see them, drawn on the fly: index i is the drawing with seed (seed, split, i)."""

    def __init__(self, length: int, seed: int, split: int, layout: str) -> None:
        self.length, self.seed, self.split, self.layout = length, seed, split, layout

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> dict[str, Any]:
        from mmaction.structures import ActionDataSample

        drawing = shapes.draw((self.seed, self.split, index), frames=range(0, shapes.N_FRAMES, 2))
        clip = np.stack([cv2.resize(frame, (90, 64)) for frame in drawing.frames])[:, :, 13:77]
        axes = (0, 3, 1, 2) if self.layout == "NCHW" else (3, 0, 1, 2)
        inputs = torch.from_numpy(np.ascontiguousarray(clip.transpose(axes)))
        if self.layout == "NCTHW":
            inputs = inputs[None]
        return {"inputs": inputs, "data_samples": ActionDataSample().set_gt_label(drawing.label)}


def train(name: str, seed: int, work_dir: str, iterations: int | None = None) -> dict[str, Any]:
    """Train network `name` and return its checkpoint: `state_dict` in float16, `meta` with the accuracy."""
    openmmlab.load()
    from mmengine.hooks import Hook
    from mmengine.runner import Runner

    class StressTime(Hook):
        def before_train(self, runner: Runner) -> None:
            stress_time(runner.model)

    recipe = RECIPES[name]
    iterations = iterations or int(recipe["iterations"])
    config = openmmlab.read_config(str(Path(openmmlab.__file__).parent / "configs" / f"shapes_{name}.py"))
    layout = config.model.data_preprocessor.format_shape

    def loader(split: int, length: int, shuffle: bool) -> dict[str, Any]:
        return dict(
            batch_size=BATCH_SIZE,
            num_workers=1,
            persistent_workers=True,
            prefetch_factor=8,
            sampler=dict(type="DefaultSampler", shuffle=shuffle),
            dataset=DrawnClips(length, seed, split, layout),
            collate_fn=dict(type="pseudo_collate"),
        )

    runner = Runner(
        model=config.model,
        work_dir=work_dir,
        train_dataloader=loader(TRAINING, iterations * BATCH_SIZE, shuffle=False),
        train_cfg=dict(type="IterBasedTrainLoop", max_iters=iterations, val_interval=iterations),
        optim_wrapper=dict(
            optimizer=dict(type="AdamW", lr=recipe["learning_rate"], weight_decay=0.02),
            clip_grad=dict(max_norm=5.0),
        ),
        param_scheduler=[
            dict(
                type="OneCycleLR",
                eta_max=recipe["learning_rate"],
                total_steps=iterations,
                by_epoch=False,
                pct_start=0.2,
            )
        ],
        val_dataloader=loader(HELD_OUT, 480, shuffle=False),
        val_cfg=dict(),
        val_evaluator=dict(type="AccMetric"),
        default_hooks=dict(logger=dict(type="LoggerHook", interval=50), checkpoint=None),
        custom_hooks=[StressTime()],
        randomness=dict(seed=seed, deterministic=True),
        default_scope="mmaction",
        experiment_name=f"shapes_{name}",
    )
    runner.train()
    network = runner.model.eval()

    scores = []
    labels = []
    held_out = DrawnClips(480, seed, HELD_OUT, layout)
    with torch.no_grad():
        for start in range(0, len(held_out), 32):
            samples = [held_out[i] for i in range(start, start + 32)]
            batch = {key: [sample[key] for sample in samples] for key in ("inputs", "data_samples")}
            inputs = network.data_preprocessor(batch)["inputs"]
            scores.append(openmmlab.logits(network, inputs).softmax(-1))
            labels += [int(sample.gt_label) for sample in batch["data_samples"]]
    probability = torch.cat(scores)
    truth = torch.tensor(labels)
    return {
        "state_dict": {
            key: value.half() if value.is_floating_point() else value
            for key, value in network.state_dict().items()
            if not key.startswith("data_preprocessor")
        },
        "meta": {
            "network": name,
            "classes": list(shapes.CLASSES),
            "seed": seed,
            "iterations": iterations,
            "held_out_videos": len(truth),
            "held_out_accuracy": (probability.argmax(-1) == truth).float().mean().item(),
            "held_out_median_score": probability[torch.arange(len(truth)), truth].median().item(),
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=sorted(RECIPES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--iterations", type=int, help="fewer or more than the recipe's")
    parser.add_argument("--output", type=Path, help="default: lavx/networks/weights/shapes_<network>.pth")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    torch.set_num_threads(arguments.threads)
    keep_freed_memory()
    with tempfile.TemporaryDirectory() as work_dir:
        checkpoint = train(arguments.network, arguments.seed, work_dir, arguments.iterations)
    output = arguments.output or WEIGHTS / f"shapes_{arguments.network}.pth"
    output.parent.mkdir(parents=True, exist_ok=True)
    torch.save(checkpoint, output)
    print(f"{output}: {output.stat().st_size / 2**20:.2f} MiB, {checkpoint['meta']}")


if __name__ == "__main__":
    main()
