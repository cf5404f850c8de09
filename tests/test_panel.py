import threading

import av
import numpy as np
import pytest
from PIL import Image

from lavx.drawing.overlay import write_overlay
from lavx.drawing.panel import N_COLUMNS, Caption, draw_panel
from lavx.methods.visualization import Heatmap, PosNeg

CAPTION = Caption(
    video_id="00017",
    dataset="shapes",
    net="tanet",
    method="rise",
    target="red to green",
    score=0.98,
    predicted="red to green",
    predicted_score=0.98,
    label="red to green",
)


def clip(n, height=24, width=32):
    rng = np.random.default_rng(n)
    return rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8), rng.normal(size=(n, height, width))


def curves():
    x = np.linspace(0, 1, 11)
    return {"deletion": (x, 1 - x, 0.5), "insertion": (x, np.sqrt(x), 0.66)}


def n_colors(picture):
    return len(np.unique(picture.astype(np.int64) @ (1, 256, 65536)))


def draw(path, n=8, size=(24, 32), visualization=None, **changes):
    frames, heatmap = clip(n, *size)
    visualization = visualization or Heatmap()
    arguments = {
        "frames": frames,
        "overlay": visualization(frames, heatmap),
        "heatmap": heatmap,
        "seconds": 0.25 * np.arange(n),
        "caption": CAPTION,
        "scale": visualization.scale(),
        "curves": curves(),
    }
    draw_panel(path, **{**arguments, **changes})
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("n", [1, 2, 8, 9, 16, 64])
def test_panel_of_any_length(tmp_path, n):
    picture = draw(tmp_path / "panel.png", n)
    assert picture.shape[1] > 600 and picture.shape[0] > 400
    assert n_colors(picture) > 100
    for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
        assert (edge == 255).all()  # nothing runs off the page


@pytest.mark.parametrize("size", [(64, 64), (20, 200), (200, 20), (4, 300), (300, 4), (1, 1)])
def test_panel_of_any_shape(tmp_path, size):
    picture = draw(tmp_path / "panel.png", 8, size)
    assert max(picture.shape) < 2000
    assert n_colors(picture) > 10


@pytest.mark.parametrize("games", [None, {}, ["deletion"], ["insertion"], ["deletion", "insertion"]])
def test_missing_curves_are_left_out(tmp_path, games):
    given = {name: curves()[name] for name in games} if games else games
    without = draw(tmp_path / "without.png", curves=None)
    picture = draw(tmp_path / "panel.png", curves=given)
    assert (picture.shape[0] > without.shape[0]) == bool(games)


@pytest.mark.parametrize(
    "visualization", [Heatmap(), PosNeg(), Heatmap(blend="highlight"), Heatmap(keep="top_fraction")]
)
def test_every_visualization_fits(tmp_path, visualization):
    assert draw(tmp_path / "panel.png", visualization=visualization).std() > 1


@pytest.mark.parametrize("heat", [0.0, 0.5, -0.5])
def test_a_constant_heatmap_is_drawn_too(tmp_path, heat):
    assert draw(tmp_path / "panel.png", heatmap=np.full((8, 24, 32), heat)).std() > 1


def test_odd_words_are_drawn(tmp_path):
    names = Caption(
        "a\nb\tc $x_1$ " + "v" * 300,
        "d",
        "n",
        "m",
        "$\\frac{1 \N{GRINNING FACE} " * 30,
        0.1,
        "p" * 200,
        0.5,
        "l" * 200,
    )
    picture = draw(tmp_path / "panel.png", caption=names)
    assert (picture[:, -10:] == 255).all()


def test_same_input_same_bytes_in_any_thread(tmp_path):
    paths = [tmp_path / f"{k}.png" for k in range(4)]
    threads = [threading.Thread(target=draw, args=(path,)) for path in paths]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({path.read_bytes() for path in paths}) == 1


def test_frames_are_shown_where_their_bars_are(tmp_path):
    frames = np.zeros((80, 8, 8, 3), dtype=np.uint8)
    frames[::2] = 255  # picks an even frame in each tenth: 5, 15, ... are odd
    picture = draw(tmp_path / "odd.png", 80, (8, 8), frames=frames, overlay=frames)
    assert len(frames) // N_COLUMNS == 10
    assert (picture == 0).all(axis=-1).sum() > 10_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"overlay": np.zeros((8, 24, 31, 3), np.uint8)},
            r"overlay must have the frames' shape \(8, 24, 32, 3\)",
        ),
        ({"overlay": np.zeros((8, 24, 32, 3))}, r"overlay must be uint8 \(T, H, W, 3\), got float64"),
        (
            {"frames": np.zeros((0, 24, 32, 3), np.uint8)},
            r"frames must be uint8 \(T, H, W, 3\), got uint8 \(0,",
        ),
        (
            {"heatmap": np.zeros((7, 24, 32))},
            r"heatmap must be \(T, H, W\) = \(8, 24, 32\), got \(7, 24, 32\)",
        ),
        ({"heatmap": np.full((8, 24, 32), np.nan)}, "heatmap holds 6144 values that are NaN or infinite"),
        ({"seconds": [0.0, 1.0]}, "seconds must hold one time for each of the 8 frames"),
        ({"seconds": [np.nan] * 8}, "seconds must hold one time for each of the 8 frames"),
        (
            {"curves": {"deletion": ([0, 1], [1], 0.5)}},
            r"deletion needs as many scores as fractions, got 1 and 2",
        ),
    ],
)
def test_bad_input_is_refused(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        draw(tmp_path / "panel.png", **changes)
    assert not (tmp_path / "panel.png").exists()


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        context = stream.codec_context
        return np.stack(frames), float(stream.average_rate), context.name, context.pix_fmt


@pytest.mark.parametrize("size", [(64, 64), (80, 112), (33, 65), (300, 201)])
def test_overlay_plays_in_a_browser(tmp_path, size):
    frames, heatmap = clip(4, *size)
    overlay = Heatmap()(frames, heatmap)
    path = tmp_path / "overlay.mp4"
    write_overlay(path, frames=frames, overlay=overlay, seconds=np.arange(4) * 1.0)
    video, _, codec, pixels = decoded(path)
    assert codec == "h264" and pixels == "yuv420p"
    height, width = video.shape[1:3]
    assert height % 2 == 0 and width % 2 == 0
    assert max(height, width // 2) >= 256
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # starts to play before it is loaded


def test_overlay_shows_both_side_by_side(tmp_path):
    frames = np.full((2, 64, 64, 3), 40, dtype=np.uint8)
    overlay = np.full((2, 64, 64, 3), 200, dtype=np.uint8)
    write_overlay(tmp_path / "overlay.mp4", frames=frames, overlay=overlay, seconds=[0, 1])
    video = decoded(tmp_path / "overlay.mp4")[0]
    assert video.shape[1:3] == (256, 520)
    assert abs(video[:, 10:-10, 10:240].astype(int) - 40).max() < 6
    assert abs(video[:, 10:-10, 275:].astype(int) - 200).max() < 6


@pytest.mark.parametrize(
    ("seconds", "length"),
    [
        (np.arange(8) * 1.0, 8.0),  # the video's own pace
        (np.arange(8) / 30, 2.0),  # too short to see: slowed down
        (np.zeros(8), 2.0),
        (np.zeros(1), 1.0),
        (np.arange(64) * 0.01, 64 / 30),
    ],
)
def test_overlay_lasts(tmp_path, seconds, length):
    frames = clip(len(seconds), 16, 16)[0]
    write_overlay(tmp_path / "overlay.mp4", frames=frames, overlay=frames, seconds=seconds)
    video, fps, _, _ = decoded(tmp_path / "overlay.mp4")
    assert len(video) / fps == pytest.approx(length, rel=0.01)
    assert fps >= 5


def test_overlay_of_frames_that_do_not_fit_is_refused(tmp_path):
    frames = clip(2)[0]
    with pytest.raises(ValueError, match=r"overlay must have the frames' shape"):
        write_overlay(tmp_path / "overlay.mp4", frames=frames, overlay=frames[:1], seconds=[0, 1])
