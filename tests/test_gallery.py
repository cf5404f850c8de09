import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from lavx.commands import gallery as command
from lavx.drawing import gallery
from lavx.errors import RequestError
from lavx.experiments.compose import settings


def test_rows_of_pictures_are_drawn(tmp_path):
    picture = np.full((20, 30, 3), 200, dtype=np.uint8)
    rows = [("one\nline more", [picture, picture]), ("two", [picture // 2, picture])]
    gallery.draw_rows(tmp_path / "x.png", "title", rows, ["0 s", "1 s"])
    drawn = np.asarray(Image.open(tmp_path / "x.png").convert("L"))
    assert (drawn == 200).sum() > 10_000 and (drawn == 100).sum() > 5_000


@pytest.fixture
def configure(tmp_path, monkeypatch):
    monkeypatch.setenv("LAVX_CACHE", str(tmp_path / "cache"))
    with initialize_config_module("lavx.conf", version_base="1.3"):
        yield lambda *overrides: settings(compose(
            "gallery", overrides=[f"outputs={tmp_path}", "dataset.n_videos=1", "n_frames=2", *overrides]
        ))  # fmt: skip
    GlobalHydra.instance().clear()


def test_the_gallery_shows_every_option_of_every_step(configure, tmp_path, capsys, monkeypatch):
    shown = {}
    monkeypatch.setattr(gallery, "draw_rows", lambda path, title, rows, columns: shown.update({path.stem: rows}))
    assert command._gallery(configure("methods=[univariate]"), "shapes", "tpn") == 0
    names = {stem: [words.split("\n")[0] for words, _ in rows] for stem, rows in shown.items()}
    for step, stem in (("segmentation", "segmentations"), ("selection", "selections"), ("removal", "removals")):
        options = GlobalHydra.instance().config_loader().get_group_options(f"method/{step}")
        assert set(options) - {"baseline_video"} <= set(names[stem])  # which needs a video of the user's
        assert "baseline_video" not in names[stem]
    assert names["methods"] == ["the clip", "univariate", "univariate"]
    for rows in shown.values():
        assert all(len(pictures) == 2 and pictures[0].dtype == np.uint8 for _, pictures in rows)
    assert "segmentations.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    "override, message",
    [
        ("n_frames=0", "n_frames must be a whole number >= 1, got 0"),
        ("video=/nowhere.mp4", "nowhere.mp4"),
        ("batch_size=0", "batch_size must be auto"),
        ("outputs=/proc/x", "cannot write to /proc/x"),
    ],
)
def test_an_unusable_request_is_refused(configure, override, message):
    with pytest.raises(RequestError, match=message):
        command._gallery(configure(override), "shapes", "tpn")
