import numpy as np
import pytest

from lavx.datasets.video_files import VideoFiles
from lavx.video import write_video


@pytest.fixture
def folder(tmp_path):
    frames = np.zeros((20, 16, 16, 3), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "in/a.mp4", "in/b.mp4"):
        write_video(tmp_path / name, frames, 10)
    return tmp_path


def test_files_and_folders_become_videos_with_ids_of_their_own(folder):
    videos = VideoFiles([folder / "in", folder / "a.mp4", folder / "in" / "a.mp4"]).videos()
    assert [video.id for video in videos] == ["in__a", "in__b", "a"]
    assert [video.path.name for video in videos] == ["a.mp4", "b.mp4", "a.mp4"]
    assert all(video.label is None and video.start is video.end is None for video in videos)


def test_a_stretch_and_windows_are_videos_of_their_own(folder):
    (stretch,) = VideoFiles([folder / "a.mp4"], start=0.5, end=1.5).videos()
    assert (stretch.id, stretch.start, stretch.end) == ("a@0.5-1.5s", 0.5, 1.5)
    windows = VideoFiles([folder / "a.mp4"], windows=4).videos()
    assert [video.id for video in windows] == ["a@0-0.5s", "a@0.5-1s", "a@1-1.5s", "a@1.5-2s"]
    assert [(video.start, video.end) for video in windows][-1] == (1.5, 2.0)
    assert len({video.id for video in VideoFiles([folder / "a.mp4"], windows=200).videos()}) == 200


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"paths": ["nowhere.mp4"]}, "video=nowhere.mp4: there is no such file or folder"),
        ({"paths": ["EMPTY"]}, "the folder holds no video"),
        ({"windows": 0}, "windows must be a whole number >= 1, got 0"),
        ({"windows": True}, "windows must be a whole number >= 1, got True"),
        ({"start": -1}, "start must be seconds >= 0, or null, got -1"),
        ({"end": float("nan")}, "end must be seconds >= 0, or null, got nan"),
        ({"start": 2, "end": 1}, "end must lie after start, got start=2, end=1"),
        ({"start": 7, "windows": 2}, "lasts 2 s: start=7 lies behind its end"),
    ],
)
def test_what_makes_no_videos_is_refused(folder, arguments, message):
    (folder / "empty").mkdir()
    paths = [folder / "empty" if p == "EMPTY" else p for p in arguments.pop("paths", [folder / "a.mp4"])]
    with pytest.raises(ValueError, match=message):
        VideoFiles(paths, **arguments).videos()
