"""What a cell says on the terminal when it ends: the means over its videos, and where the results lie."""

from __future__ import annotations

from collections.abc import Sequence

from lavx.datasets.base import Video
from lavx.experiments.record import STAGES
from lavx.experiments.run_folder import RunFolder
from lavx.text import visible

_AREAS = {
    "deletion_auc": "deletion AUC  ",
    "insertion_auc": "insertion AUC ",
    "deletion_auc_drawn": "  drawn map   ",
    "insertion_auc_drawn": "  drawn map   ",
}


def print_table(folder: RunFolder, names: Sequence[str], videos: Sequence[Video]) -> int:
    """Print the table of a cell; returns the exit status: 1 if some videos failed, else 0.

    Args:
        folder: of the cell.
        names: what dataset, net and method are called.
        videos: those asked for.
    """
    table = folder.write_table()
    ids = [video.id for video in videos]
    if not len(table):
        print(f"No video is done yet; other workers explain them. Results: {folder.path.resolve()}")
        return 0
    table = table[table.video_id.astype(str).isin(ids)]
    failed = table[table.error.notna()]
    done = table[table.error.isna()]
    if len(done):
        areas = [name for name in _AREAS if name in done and done[name].notna().any()]
        means = done[["score", *areas, *(f"seconds_{stage}" for stage in STAGES)]].mean()
        print(f"\n{' '.join(names)}, mean of {len(done)} videos:")
        print(f"  score          {means.score:.3f}")
        for name in areas:
            print(f"  {_AREAS[name]} {means[name]:.3f}  ({'lower' if 'deletion' in name else 'higher'} is better)")
        stages = ", ".join(f"{stage} {means[f'seconds_{stage}']:.2f}" for stage in STAGES)
        print(f"  seconds        {stages}")
    if len(table) < len(ids):
        print(f"  elsewhere      {len(ids) - len(table)} videos are being explained by other workers")
    for entry in failed.itertuples():
        print(f"  failed         {visible(str(entry.video_id))}: {visible(str(entry.error), lines=True)}")
    print(f"Results: {folder.path.resolve()}")
    return 1 if len(failed) else 0
