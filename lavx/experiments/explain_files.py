"""What `lavx explain` does: video files of anybody's, explained into a run folder of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lavx.datasets.video_files import VideoFiles
from lavx.errors import RequestError, check_whole
from lavx.experiments import workers
from lavx.experiments.class_map import ClassMap
from lavx.experiments.compose import build, build_network, class_names, videos_of
from lavx.experiments.explain_video import Outcome, VideoExplainer, check_target
from lavx.experiments.names import cell_part
from lavx.experiments.paper_figures import draw_figures, figure_style
from lavx.experiments.record import VideoRecord
from lavx.experiments.run import Cell, Request, claimed_by, noted, run_identity
from lavx.experiments.run_folder import RunFolder
from lavx.experiments.segmentation_cache import SegmentationCache
from lavx.experiments.settings import Settings
from lavx.experiments.variation import Variation
from lavx.text import visible

DATASET = "videos"  # what the dataset of such videos is called in the outputs folder
_TOP = 5


def explain_files(
    config: Settings, dataset: str, net: str, method: str, variation: Variation | None = None
) -> int:
    """Explain the videos that `video` names; returns the exit status.

    Args:
        config: the settings of `lavx explain`.
        dataset: whose classes a network of mmaction2 has.
        net: what the network is called.
        method: what the method is called.
        variation: what it is; None where that is not to be noted.

    Raises:
        RequestError: if the request is invalid.
    """
    check_whole(config, "seed", 0)
    figure_style(config.get("figure") or {})
    if config.target == "label":
        raise RequestError("target=label: nobody says what these videos show. Give predicted, a class or an index")
    if config.target != "predicted":  # another class of the same video is another result, not another run
        method = cell_part(f"{method}-target={config.target}")
        variation = variation and replace(variation, changes=(*variation.changes, f"target={config.target}"))
    names = (DATASET, net, method)
    return noted(
        Path(config.outputs) / config.name / Path(*names), lambda: _explain(config, dataset, names, variation)
    )


def _explain(config: Settings, dataset: str, names: tuple[str, str, str], variation: Variation | None) -> int:
    net = names[1]
    videos = _videos(config, dataset)
    explain = build(config.method, "method")
    metric = build(config.metric, "metric")
    with workers.device(config.device) as device:
        placed = {"device": device} if "device" in config.net else {}
        classes = class_names(config.dataset, dataset) if "classes" not in config.net else None
        network = build_network(config, (dataset, net), None, [], classes=classes, **placed)
        files = VideoFiles(videos.paths, network.classes or (), videos.start, videos.end, videos.windows)
        folder = RunFolder(Path(config.outputs) / config.name / Path(*names))
        everything = videos_of(videos)
        asked = Request(
            config, names, run_identity(config), files, everything, everything, explain, metric, folder, variation
        )
        explainer = VideoExplainer(
            names=names,
            dataset=files,
            network=network,
            method=explain,
            metric=metric,
            target=config.target,
            seed=config.seed,
            batches=claimed_by(asked, network),
            segmenter=SegmentationCache(Path(config.outputs) / config.name / ".segmentations"),
            classes=ClassMap(files.classes, network.classes or files.classes),
            check_noise=config.check_noise,
        )
        if network.classes:
            check_target(config.target, network.classes)
        return FilesCell(asked, explainer).run()


def _videos(config: Settings, dataset: str) -> VideoFiles:
    """The videos asked for; those of the embedded dataset where none are named."""
    if config.video is None:
        if dataset != "shapes":
            raise RequestError(
                "video=... is missing: give a file, [several, of them] or a folder, and the network with net=...; "
                "or dataset=shapes for the first embedded video"
            )
        paths = [str(build(config.dataset, "dataset", n_videos=1).videos()[0].path)]
    else:
        paths = [config.video] if isinstance(config.video, str) else list(config.video)
    try:
        return VideoFiles(paths, (), config.start, config.end, config.windows)
    except ValueError as error:
        raise RequestError(str(error)) from error


class FilesCell(Cell):
    """The same as a cell of a study, but each video's line says more: nobody will read a table of them."""

    def finish(self) -> int:
        """Say where the results lie; returns the exit status."""
        folder = self.asked.folder
        explained = folder.explained()
        failed = sum(folder.folder(video.id).name not in explained for video in self.asked.videos)
        if len(self.asked.videos) > 1:
            print(f"{len(self.asked.videos) - failed} of {len(self.asked.videos)} videos explained")
        folder.write_table()
        options = self.asked.config.get("figure") or {}
        for file in draw_figures(folder, [video.id for video in self.asked.videos], options):
            print(f"Figure: {visible(str(file.resolve()))}")
        print(f"Results: {folder.path.resolve()}")
        return 1 if failed else 0

    def line(self, outcome: Outcome, record: VideoRecord, seconds: float) -> str:
        """The top classes, what is explained, the seconds and the files."""
        explanation = outcome.explanation
        top = [f"  {score:6.3f}  {name}" for name, score in explanation.top(_TOP)]
        stages = ", ".join(f"{stage} {spent:.2f}" for stage, spent in record.seconds.items() if spent >= 0.005)
        place = self.asked.folder.folder(record.video_id)
        return "\n".join(
            [
                f"{visible(record.video_id)}: what the network says",
                *top,
                f"  explained: {explanation.class_name(explanation.target)} ({explanation.score:.3f}) by "
                f"{explanation.method}, {record.n_regions} regions, {record.n_samples} samples",
                f"  deletion AUC {record.area('deletion'):.3f} (lower is better), insertion AUC "
                f"{record.area('insertion'):.3f} (higher is better)",
                f"  most important frame: {_peak(record)}",
                f"  seconds: {seconds:.1f} ({stages})",
                f"  files: {place}/{{panel.png,overlay.mp4,explanation.npz,metrics.json}}",
            ]
        )


def _peak(record: VideoRecord) -> str:
    """The frame, where it lies in the video, and its importance."""
    error = "" if record.peak_std_error is None else f" \N{PLUS-MINUS SIGN} {record.peak_std_error:.2g}"
    return (
        f"{record.peak_frame} at {record.peak_second:.2f} s, importance {record.peak_importance:.3g}{error}; "
        f"the most important moment around {record.moment_second:.2f} s"
    )
