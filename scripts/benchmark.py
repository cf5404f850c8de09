#!/usr/bin/env python
"""Measure what a run costs beside the network: peak memory by number of samples, and time outside its passes.

    python scripts/benchmark.py memory                        the embedded TPN, 400 and 4,000 samples
    python scripts/benchmark.py overhead --video my.mp4       3D RISE on the Kinetics 400 TANet, random weights

Each measurement runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path


def measure(overrides: list[str]) -> dict[str, float]:
    """Run one cell in this process: peak memory in MiB, and seconds in all and within forward passes."""
    import time

    import torch
    from hydra import compose, initialize_config_module

    from lavx.experiments.compose import settings
    from lavx.experiments.run import run_cell
    from lavx.networks.openmmlab.network import Network

    with tempfile.TemporaryDirectory() as outputs:
        with initialize_config_module("lavx.conf", version_base="1.3"):
            config = compose("run", overrides=[f"outputs={outputs}", *overrides])
        inside = 0.0
        forward = Network.__call__

        def timed(self: Network, clips: torch.Tensor) -> torch.Tensor:
            nonlocal inside
            start = time.perf_counter()
            result = forward(self, clips)
            inside += time.perf_counter() - start
            return result

        Network.__call__ = timed  # type: ignore[method-assign]
        start = time.perf_counter()
        status = run_cell(settings(config), "dataset", "net", "method")
        seconds = time.perf_counter() - start
    if status != 0:
        raise SystemExit(f"the run ended with status {status}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"peak_mib": peak, "seconds": seconds, "forward_seconds": inside}


def in_a_process_of_its_own(overrides: list[str]) -> dict[str, float]:
    """`measure` in a fresh process, so that peaks do not add up."""
    command = [sys.executable, __file__, "measure", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stdout + done.stderr)
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    memory = commands.add_parser("memory", help="peak memory by number of samples")
    memory.add_argument("--samples", type=int, nargs="+", default=[400, 4000])
    memory.add_argument("overrides", nargs="*")
    overhead = commands.add_parser("overhead", help="time outside the network's forward passes")
    overhead.add_argument("--video", type=Path, required=True)
    overhead.add_argument("overrides", nargs="*")
    one = commands.add_parser("measure", help="one run in this process, as JSON")
    one.add_argument("overrides", nargs="*")
    arguments = parser.parse_args()
    if arguments.command == "measure":
        print(json.dumps(measure(arguments.overrides)))
    elif arguments.command == "memory":
        first = None
        for n_samples in arguments.samples:
            more = ["n_videos=1", "metric.n_steps=2", f"method.sampling.n_samples={n_samples}"]
            peak = in_a_process_of_its_own([*more, *arguments.overrides])["peak_mib"]
            first = first or peak
            print(f"{n_samples:6} samples: peak {peak:.0f} MiB, {peak / first:.3f} of the first")
    else:
        video = arguments.video.resolve()
        run = in_a_process_of_its_own(
            [
                "dataset=folder",
                f"dataset.root={video}",
                "net=tanet",
                "net.checkpoint=random",
                "n_videos=1",
                *arguments.overrides,
            ]
        )
        share = 1 - run["forward_seconds"] / run["seconds"]
        print(f"{run['seconds']:.1f} s, of which {share:.1%} outside the network's forward passes")


if __name__ == "__main__":
    main()
