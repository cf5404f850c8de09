"""What a cell says on the terminal when it ends: the means over its videos, and where the results lie."""

from __future__ import annotations

from collections.abc import Sequence

from lavx.datasets.base import Video
from lavx.experiments.record import STAGES
from lavx.experiments.run_folder import RunFolder
from lavx.text import visible


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
        columns = ["score", "deletion_auc", "insertion_auc", *(f"seconds_{stage}" for stage in STAGES)]
        means = done[columns].mean()
        print(f"\n{' '.join(names)}, mean of {len(done)} videos:")
        print(f"  score          {means.score:.3f}")
        print(f"  deletion AUC   {means.deletion_auc:.3f}  (lower is better)")
        print(f"  insertion AUC  {means.insertion_auc:.3f}  (higher is better)")
        stages = ", ".join(f"{stage} {means[f'seconds_{stage}']:.2f}" for stage in STAGES)
        print(f"  seconds        {stages}")
    if len(table) < len(ids):
        print(f"  elsewhere      {len(ids) - len(table)} videos are being explained by other workers")
    for entry in failed.itertuples():
        print(f"  failed         {visible(str(entry.video_id))}: {visible(str(entry.error), lines=True)}")
    print(f"Results: {folder.path.resolve()}")
    return 1 if len(failed) else 0
