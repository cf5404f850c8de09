"""A user study in an outputs folder: begun once, gone on with by the same command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from matplotlib.colors import to_hex

from lavx.errors import RequestError
from lavx.files import writing_to
from lavx.rating.items import RATED, find_items
from lavx.rating.media import Media, loop_seconds, prepare
from lavx.rating.protocol import Protocol
from lavx.rating.schedule import Scheduler, attention_items
from lavx.rating.store import Content, create, read_content
from lavx.types import Visualization

FOLDER, FILE = "rating", "ratings.sqlite"
_N_COLORS = 17


@dataclass(frozen=True)
class Study:
    """A study whose pages can be served.

    Attributes:
        folder: of the study, `<outputs>/<name>/rating`.
        content: what its file says of it.
        media: what raters see.
        notes: what was left out, in sentences; empty when the study goes on.
    """

    folder: Path
    content: Content
    media: Media
    notes: list[str]

    @property
    def file(self) -> Path:
        """Where the ratings are."""
        return self.folder / FILE

    @property
    def scheduler(self) -> Scheduler:
        """What draws the raters' questions."""
        return Scheduler(self.content.protocol, self.content.items)

    def summary(self) -> str:
        """One line on what is rated."""
        items = [item for item in self.content.items.values() if item.role == RATED]
        parts = [sorted({getattr(item, name) for item in items}) for name in ("dataset", "net", "method")]
        n_videos = len({(item.dataset, item.video_id) for item in items})
        counted = ", ".join(
            f"{len(names)} {word}{'s' * (len(names) > 1)} ({', '.join(names)})"
            for names, word in zip(parts, ("dataset", "network", "method"), strict=True)
        )
        return f"{len(items)} explanations of {n_videos} video{'s' * (n_videos > 1)}: {counted}"


def study_file(run: Path) -> Path:
    """Where the ratings of a run's study are."""
    return run / FOLDER / FILE


def open_study(
    run: Path,
    protocol: Protocol,
    visualization: Visualization,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> Study:
    """Begin the study of a run, or go on with it.

    Args:
        run: `<outputs>/<name>`.
        protocol: of the study; the one that it was begun with.
        visualization: what draws the heatmaps, as the protocol has it.
        progress: told how many of how many videos are prepared.

    Raises:
        RequestError: if there is nothing to rate, the study was begun with another protocol, or the folder cannot
        be
            written.
    """
    folder = run / FOLDER
    notes: list[str] = []
    with writing_to(folder):
        content = read_content(folder / FILE)
        if content is None:
            notes = _begin(run, protocol)
            content = read_content(folder / FILE)
            assert content is not None
        _check_same(folder, content.protocol, protocol)
        numbered = list(content.items.items())
        try:
            prepare(
                numbered,
                run,
                folder / "media",
                visualization,
                protocol.side,
                content.seconds,
                protocol.seed,
                progress,
            )
        except ValueError as error:
            raise RequestError(f"the explanations cannot be drawn: {error}") from error
    return Study(folder, content, Media(folder / "media", list(content.items)), notes)


def _begin(run: Path, protocol: Protocol) -> list[str]:
    items, notes = find_items(run, protocol.methods, protocol.n_videos)
    items += attention_items(items, protocol.attention, protocol.seed)
    Scheduler(protocol, dict(enumerate(items, start=1)))  # refuses what cannot be
    seconds = loop_seconds(items, run, protocol.seconds)
    (run / FOLDER).mkdir(exist_ok=True)
    create(run / FOLDER / FILE, protocol, items, seconds)
    return notes


def _check_same(folder: Path, begun: Protocol, asked: Protocol) -> None:
    differing = begun.differences(asked)
    if differing:
        listed = "; ".join(
            f"{key} was {_shown(old)}, is {_shown(new)} now" for key, (old, new) in differing.items()
        )
        raise RequestError(
            f"the study in {folder} was begun with other settings: {listed}. Every rater has to be asked the "
            f"same: give "
            "the settings that it was begun with, or move the folder away to begin another study"
        )


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."


@contextmanager
def served_alone(folder: Path) -> Iterator[None]:
    """Keep other processes from serving a study.

    Raises:
        RequestError: if one is serving it.
    """
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise RequestError(
            f"another lavx rate is serving the study in {folder}. Use that one, or stop it"
        ) from None
    try:
        yield
    finally:
        lock.release()


def color_bar(visualization: Visualization) -> tuple[list[str], tuple[str, str]] | None:
    """The colors from the least to the most important, and what the two ends mean; None where none are drawn."""
    scale = visualization.scale()
    if scale is None:
        return None
    return [to_hex(scale.colormap(x)) for x in np.linspace(0, 1, _N_COLORS)], scale.words
