"""Progress of forward passes on a terminal."""

from __future__ import annotations

from collections.abc import Callable

from tqdm import tqdm


def terminal_bar(stage: str, n_passes: int) -> Callable[[int], object]:
    """A `lavx.types.Progress`: a bar with rate and time left; nothing where stderr is no terminal."""
    bar = tqdm(total=n_passes, desc=stage, unit="pass", disable=None, leave=False)
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        done += n
        bar.update(n)
        if done >= n_passes:
            bar.close()

    return advance
