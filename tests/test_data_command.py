"""`lavx data`, and the contact sheet that it draws."""

import csv
import functools
import os
import shutil

import numpy as np
import pytest
from command import run_lavx
from hydra import compose, initialize_config_module
from PIL import Image

from lavx.commands.data import check_dataset
from lavx.datasets import check
from lavx.datasets.base import Video
from lavx.drawing.contact_sheet import draw_contact_sheet
from lavx.errors import RequestError
from lavx.video import VideoInfo, write_video


@pytest.fixture
def data(tmp_path):
    def run(*overrides, dataset="folder"):
        with initialize_config_module("lavx.conf", version_base="1.3"):
            chosen = [f"dataset={dataset}", f"outputs={tmp_path / 'out'}", "workers=2"]
            config = compose("data", overrides=[*chosen, *overrides])
        return check_dataset(config, dataset)

    return run


@pytest.fixture
def videos(tmp_path):
    """Two classes of two videos, and one broken and one empty file."""
    root = tmp_path / "videos"
    rng = np.random.default_rng(0)
    for index, name in enumerate(("yoga/a", "yoga/b", "zumba/c", "zumba/d")):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(root / f"{name}.mp4", rng.integers(0, 256, (4 + index, 16, 24, 3), dtype=np.uint8), fps=8)
    (root / "yoga" / "broken.mp4").write_bytes(b"no video" * 99)
    (root / "yoga" / "empty.mp4").touch()
    return root


def table(tmp_path, dataset="folder"):
    with (tmp_path / "out" / "data" / dataset / "videos.csv").open() as stream:
        return {row["video_id"]: row for row in csv.DictReader(stream)}


def test_videos_of_any_names_are_counted_and_are_no_formulas(data, videos, tmp_path, capsys):
    for name in (b"caf\xe9.mp4", b"=1+1.mp4", b"\x1b[31m.mp4"):
        shutil.copy(videos / "yoga" / "a.mp4", os.path.join(os.fsencode(videos), name))
    shutil.copytree(videos / "yoga", os.fsdecode(os.path.join(os.fsencode(videos), b"=caf\xe9")))
    assert data(f"dataset.root={videos}", "dataset.classes=subfolders") == 1
    found = table(tmp_path)
    assert {r"caf\xe9", "'=1+1", r"\x1b[31m", r"'=caf\xe9__a"} < found.keys()
    assert found[r"'=caf\xe9__a"]["class"] == r"'=caf\xe9"
    assert "\x1b" not in capsys.readouterr().out
    assert (tmp_path / "out" / "data" / "folder" / "contact_sheet.png").exists()


def test_all_is_counted(data, videos, tmp_path, capsys):
    assert data(f"dataset.root={videos}") == 1
    said = capsys.readouterr().out
    for line in (
        "folder: 5 videos, 2 of 400 classes",
        "2 (zumba) to 3 (yoga), median 2.5",
        "no video of   398 (abseiling, air drumming, answering questions, ...)",
        "missing       0",
        "decoded       5 of 5\n",
        "frames        4 to 7, median 5.5",
        "size          24x16 (4)",
        "frames/second 8 (4)",
        "unreadable    2",
        "broken.mp4: cannot be opened as a video",
        "empty.mp4: the file is empty",
    ):
        assert line in said
    rows = table(tmp_path)
    assert len(rows) == 6
    assert (rows["zumba__d"]["n_frames"], rows["zumba__d"]["class"], rows["zumba__d"]["error"]) == (
        "7",
        "zumba",
        "",
    )
    assert "cannot be opened" in rows["yoga__broken"]["error"] and "empty" in rows["yoga__empty"]["error"]
    with Image.open(tmp_path / "out" / "data" / "folder" / "contact_sheet.png") as sheet:
        assert sheet.width > 4 * 160 and sheet.height > 120


def test_a_whole_dataset_exits_with_0(data, videos):
    assert data(f"dataset.root={videos / 'zumba'}") == 0


def test_missing_videos_are_no_failure(data, videos, tmp_path, capsys):
    (tmp_path / "list.csv").write_text("path,label\nyoga/a.mp4,yoga\ngone.mp4,yoga\n")
    assert data(f"dataset.root={videos}", f"dataset.annotations={tmp_path / 'list.csv'}") == 0
    assert "missing       1 (gone.mp4)" in capsys.readouterr().out


def test_a_limit_draws_with_the_seed(data, videos, tmp_path, capsys):
    (videos / "yoga" / "broken.mp4").unlink()
    data(f"dataset.root={videos}", "limit=2")
    assert "decoded       2 of 4, drawn at random (limit)" in capsys.readouterr().out
    first = [name for name, row in table(tmp_path).items() if row["n_frames"]]
    data(f"dataset.root={videos}", "limit=2")
    assert [name for name, row in table(tmp_path).items() if row["n_frames"]] == first and len(first) == 2


def test_nothing_readable_leaves_no_sheet(data, videos, tmp_path, capsys):
    data(f"dataset.root={videos}")
    for file in videos.glob("*/[a-d].mp4"):
        file.unlink()
    assert data(f"dataset.root={videos}") == 1
    assert not (tmp_path / "out" / "data" / "folder" / "contact_sheet.png").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("limit=0", "limit must be a whole number >= 1, or null for all, got 0"),
        ("limit=few", "limit must be a whole number >= 1, or null for all, got few"),
        ("sheet=0", "sheet must be a whole number >= 1, got 0"),
        ("workers=null", "workers must be a whole number >= 1, got None"),
        ("seed=-1", "seed must be a whole number >= 0, got -1"),
    ],
)
def test_numbers_are_checked(data, videos, override, message):
    with pytest.raises(RequestError, match=message):
        data(f"dataset.root={videos}", override)


@pytest.mark.parametrize("dataset", ["kinetics400", "etri_activity3d", "jhmdb21", "folder"])
def test_a_dataset_that_is_not_there_says_how_to_point_to_it(data, dataset):
    with pytest.raises(RequestError, match=r"dataset: .*dataset\.root=/path"):
        data(dataset=dataset)


def test_a_folder_without_videos_is_refused(data, tmp_path):
    with pytest.raises(RequestError, match="holds no video"):
        data(f"dataset.root={tmp_path}")


def test_results_that_cannot_be_written_are_refused(data, videos, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match=r"cannot write to .*outputs="):
        data(f"dataset.root={videos}", f"outputs={tmp_path / 'file'}")


def test_the_sheet_shares_its_places_among_the_classes(videos):
    many = [Video(f"v{i}", videos / "yoga/a.mp4", 0 if i < 8 else i - 7) for i in range(10)]
    infos = {video.id: VideoInfo(video.path, 4, 16, 24, 8.0) for video in many} | {"v9": "broken"}
    chosen = check.thumbnails(many, infos, n=4, seed=0)
    assert [picture.video.label for picture in chosen] == [0, 0, 0, 1]
    assert chosen[0].image.shape == (16, 24, 3)


def test_pictures_lie_where_they_should(tmp_path):
    red, blue = np.zeros((50, 50, 3), np.uint8), np.zeros((30, 300, 3), np.uint8)
    red[..., 0], blue[..., 2] = 200, 200
    entries = [(red, "a", "b"), (blue, "a name that is far too long for its place", ""), (red, "ß 한", "")]
    draw_contact_sheet(tmp_path / "s.png", "title", entries, columns=2)
    with Image.open(tmp_path / "s.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    reddish = np.argwhere((pixels == (200, 0, 0)).all(-1))
    bluish = np.argwhere((pixels == (0, 0, 200)).all(-1))
    assert len(reddish) == 2 * 120 * 120 and len(bluish) == 160 * 16
    assert bluish[:, 1].min() > reddish[:, 1].max(), "the second is right of the first, the third below it"
    draw_contact_sheet(tmp_path / "t.png", "title", entries, columns=2)
    assert (tmp_path / "s.png").read_bytes() == (tmp_path / "t.png").read_bytes()
    with pytest.raises(ValueError, match="one picture or more, got none"):
        draw_contact_sheet(tmp_path / "u.png", "title", [])


def test_the_command(videos, tmp_path):
    environment = os.environ | {"LAVX_CACHE": str(tmp_path / "cache")}
    lavx = functools.partial(run_lavx, "data", folder=tmp_path, environment=environment)
    done = lavx("dataset=folder", f"dataset.root={videos}")
    assert done.returncode == 1 and done.stderr == ""
    assert (tmp_path / "outputs/data/folder/contact_sheet.png").is_file()
    refused = lavx("dataset=kinetics400")
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert refused.stderr.startswith("lavx: dataset: Kinetics 400 is not part of lavx")
