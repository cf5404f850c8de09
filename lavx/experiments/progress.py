"""Progress on the terminal: a bar over the videos and one over the forward passes of the present video."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType

from tqdm import tqdm

from lavx.types import Progress


class Bars:
    """Two bars with rate and time left; nothing but plain lines where stderr is not a terminal.

    Args:
        n_videos: videos to come.
        label: what the outer bar says.
    """

    def __init__(self, n_videos: int, label: str) -> None:
        self._videos = tqdm(total=n_videos, desc=label, unit="video", disable=None, leave=False, position=0)
        self._passes: tqdm | None = None

    def __enter__(self) -> Bars:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end_passes()
        self._videos.close()

    def of(self, video: str) -> Progress:
        """The progress of one video: a bar for each of its stages."""

        def start(stage: str, n_passes: int) -> Callable[[int], object]:
            self._end_passes()
            self._passes = tqdm(
                total=n_passes, desc=f"  {video} {stage}", unit="pass", disable=None, leave=False, position=1
            )
            return self._passes.update

        return start

    def video_done(self, line: str) -> None:
        """Say one line of a video and advance."""
        self._end_passes()
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()
        self._videos.update()

    def _end_passes(self) -> None:
        if self._passes is not None:
            self._passes.close()
            self._passes = None
