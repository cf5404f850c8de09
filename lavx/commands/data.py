"""`lavx data`: what a dataset holds, what is missing, what cannot be read, and a contact sheet."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from lavx import stopping
from lavx.commands import OK, SOME_FAILED, guarded
from lavx.errors import RequestError, check_whole
from lavx.files import whole, writing_to
from lavx.text import csv_cell, visible

if TYPE_CHECKING:
    from lavx.datasets.base import Video
    from lavx.datasets.layouts import Inventory
    from lavx.experiments.settings import Settings
    from lavx.video import VideoInfo

_MOST_LINES = 20  # of the same kind


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="data")
def main(config: DictConfig) -> int:
    """Check the dataset that Hydra composed; returns the exit status."""
    choice = HydraConfig.get().runtime.choices["dataset"]

    def job() -> int:
        from lavx.experiments.compose import settings

        return check_dataset(settings(config), choice)

    return guarded(job)


def check_dataset(config: Settings, name: str) -> int:
    """Print what a dataset holds, and write `videos.csv` and `contact_sheet.png` to `<outputs>/data/<name>`."""
    from lavx.datasets import check
    from lavx.drawing.contact_sheet import draw_contact_sheet
    from lavx.experiments.compose import build
    from lavx.experiments.names import cell_part

    check_whole(config, "limit", 1, or_null=True)
    for key, least in (("sheet", 1), ("workers", 1), ("seed", 0)):
        check_whole(config, key, least)
    dataset = build(config.dataset, "dataset")
    try:
        found = check.inventory(dataset)
    except (OSError, ValueError) as error:
        raise RequestError(str(error)) from error
    print(visible("\n".join(_counts(name, found, dataset.classes)), lines=True), flush=True)
    chosen = check.draw(found.videos, config.limit, config.seed)
    try:
        infos = check.decode(chosen, config.workers)
    except KeyboardInterrupt as stop:
        print(f"\nlavx: {stopping.reason(stop)}; nothing was written.")
        return stopping.exit_status(stop)
    unreadable = found.unreadable | {i: info for i, info in infos.items() if isinstance(info, str)}
    print(visible("\n".join(_decoded(infos, len(found.videos), unreadable)), lines=True))
    folder = Path(config.outputs) / "data" / cell_part(name)
    with writing_to(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with whole(folder / "videos.csv") as part:
            part.write_text(_table(found, infos, dataset.classes), encoding="utf-8")
        pictures = check.thumbnails(chosen, infos, config.sheet, config.seed)
        sheet = folder / "contact_sheet.png"
        if pictures:
            label = _labeler(dataset.classes)
            entries = [(p.image, label(p.video), visible(p.video.path.stem)) for p in pictures]
            title = f"{name}: {len(entries)} of {len(found.videos)} videos, the middle frame of each"
            with whole(sheet) as part:
                draw_contact_sheet(part, title, entries)
        else:
            sheet.unlink(missing_ok=True)  # an older one would mislead
    print(f"Results: {folder.resolve()}: videos.csv{', contact_sheet.png' if pictures else ''}")
    return SOME_FAILED if unreadable else OK


def _labeler(classes: Sequence[str]) -> Callable[[Video], str]:
    return lambda video: "(no label)" if video.label is None else classes[video.label]


def _counts(name: str, found: Inventory, classes: Sequence[str]) -> list[str]:
    """Lines on what is listed and on disk."""
    from lavx.datasets.layouts import some

    per_class = Counter(video.label for video in found.videos if video.label is not None)
    unlabeled = len(found.videos) - per_class.total()
    lines = [f"{name}: {len(found.videos)} videos, {len(per_class)} of {len(classes)} classes"]
    if per_class:
        ranked = sorted(per_class, key=lambda label: (per_class[label], label))
        fewest, most = ranked[0], ranked[-1]
        median = float(np.median(list(per_class.values())))
        lines.append(
            f"  a class       {per_class[fewest]} ({classes[fewest]}) to {per_class[most]} ({classes[most]}), "
            f"median {median:g}"
        )
        absent = [classes[label] for label in range(len(classes)) if label not in per_class]
        if absent:
            lines.append(f"  no video of   {some(absent)}")
    if unlabeled:
        lines.append(f"  without label {unlabeled}")
    lines.append(f"  missing       {some(found.missing) if found.missing else 0}")
    lines += [f"  left out      {some(ids)}: {reason}" for reason, ids in found.left_out.items()]
    return lines


def _decoded(infos: dict[str, VideoInfo | str], n_videos: int, unreadable: dict[str, str]) -> list[str]:
    """Lines on what was decoded."""
    good = [info for info in infos.values() if not isinstance(info, str)]
    share = f"{len(infos)} of {n_videos}" + (", drawn at random (limit)" if len(infos) < n_videos else "")
    lines = [f"  decoded       {share}"]
    if good:
        sizes = Counter(f"{info.width}x{info.height}" for info in good).most_common()
        rates = Counter(f"{info.fps:.4g}" for info in good).most_common()
        lines += [
            f"  frames        {_range([info.n_frames for info in good])}",
            f"  seconds       {_range([info.n_frames / info.fps for info in good])}",
            f"  size          {_tally(sizes)}",
            f"  frames/second {_tally(rates)}",
        ]
    lines.append(f"  unreadable    {len(unreadable)}")
    lines += [f"    {reason}" for reason in list(unreadable.values())[:_MOST_LINES]]
    if len(unreadable) > _MOST_LINES:
        lines.append(f"    and {len(unreadable) - _MOST_LINES} more, in videos.csv")
    return lines


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.4g} to {max(values):.4g}, median {np.median(values):.4g}"


def _tally(counted: list[tuple[str, int]], shown: int = 4) -> str:
    listed = ", ".join(f"{value} ({count})" for value, count in counted[:shown])
    return listed + (f", and {len(counted) - shown} others" if len(counted) > shown else "")


def _table(found: Inventory, infos: dict[str, VideoInfo | str], classes: Sequence[str]) -> str:
    """A CSV of all videos; those that were not decoded have no numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("video_id", "path", "label", "class", "n_frames", "height", "width", "fps", "error"))
    for video in found.videos:
        info = infos.get(video.id)
        words = ("", "") if video.label is None else (video.label, classes[video.label])
        numbers: tuple[object, ...] = ("", "", "", "", info or "")
        if info is not None and not isinstance(info, str):
            numbers = (info.n_frames, info.height, info.width, round(info.fps, 3), "")
        writer.writerow(map(csv_cell, (video.id, str(video.path), *words, *numbers)))
    for name, reason in found.unreadable.items():
        writer.writerow(map(csv_cell, (name, "", "", "", "", "", "", "", reason)))
    return text.getvalue()
