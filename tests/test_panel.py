import threading
from dataclasses import replace

import av
import numpy as np
import pytest
from PIL import Image

from lavx.drawing.comparison import Row, draw_comparison
from lavx.drawing.frames import chosen, heat
from lavx.drawing.overlay import write_overlay
from lavx.drawing.panel import Caption, draw_panel
from lavx.drawing.sheet import Sheet, fit, kind_of, measure, wrapped
from lavx.drawing.strips import N_COLUMNS, Style
from lavx.methods.regions import LabelRegions
from lavx.methods.visualization import NOTHING, Heatmap, PosNeg, SignificantRegions, Study, voxels
from lavx.types import Drawing, Evidence

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
        "drawing": visualization.draw(frames, Evidence(heatmap)),
        "heatmap": heatmap,
        "seconds": 0.25 * np.arange(n),
        "caption": CAPTION,
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
    "visualization",
    [Heatmap(), PosNeg(), Heatmap(blend="highlight"), Heatmap(keep="top_fraction"), Study(), SignificantRegions()],
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
    picture = draw(tmp_path / "odd.png", 80, (8, 8), frames=frames, drawing=Drawing(frames))
    assert len(frames) // N_COLUMNS == 10
    assert (picture == 0).all(axis=-1).sum() > 10_000


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"drawing": Drawing(np.zeros((8, 24, 31, 3), np.uint8))},
            r"overlay must have the frames' shape \(8, 24, 32, 3\)",
        ),
        ({"drawing": Drawing(np.zeros((8, 24, 32, 3)))}, r"overlay must be uint8 \(T, H, W, 3\), got float64"),
        (
            {"frames": np.zeros((0, 24, 32, 3), np.uint8)},
            r"frames must be uint8 \(T, H, W, 3\), got uint8 \(0,",
        ),
        (
            {"heatmap": np.zeros((7, 24, 32))},
            r"heatmap must be \(T, H, W\) = \(8, 24, 32\), got \(7, 24, 32\)",
        ),
        ({"ground_truth": np.ones((8, 24, 31), bool)}, r"ground_truth must be \(T, H, W\) = \(8, 24, 32\)"),
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


REGIONS = LabelRegions(np.repeat(np.arange(12).reshape(1, 3, 4), 8, axis=0).repeat(8, axis=1).repeat(8, axis=2))


def evidence(attribution, std_error=0.01):
    attribution = np.asarray(attribution, dtype=np.float64)
    return Evidence(voxels(REGIONS, attribution), attribution, REGIONS, std_error=np.full(12, std_error))


def moving(hot):
    """A heatmap (8, 24, 32) whose only warmth is in some frames."""
    heatmap = np.zeros((8, 24, 32))
    heatmap[hot, 4:12, 4:12] = np.arange(1, len(hot) + 1)[:, None, None]
    return heatmap


class TestFrames:
    def test_the_hottest_are_those_in_which_most_is_drawn(self):
        warmth = np.array([0.0, 3, 1, 0, 5, 2])
        assert chosen("hottest", 3, warmth).tolist() == [1, 4, 5]
        assert chosen("hottest", 1, warmth).tolist() == [4]
        assert chosen("even", 3, warmth).tolist() == [1, 3, 5]
        assert chosen([5, 0, -2], 8, warmth).tolist() == [0, 4, 5]
        assert chosen("even", 99, warmth).tolist() == list(range(6))

    def test_what_is_drawn_counts_and_the_heatmap_only_where_nothing_is(self):
        frames = clip(8)[0]
        heatmap = moving([2, 6])
        assert heat(Heatmap().draw(frames, Evidence(heatmap)), heatmap).argmax() == 6
        assert heat(Drawing(frames), heatmap).argmax() == 6
        values = np.zeros(12)
        empty = SignificantRegions().draw(frames, evidence(values))
        assert heat(empty, heatmap).argmax() == 6

    @pytest.mark.parametrize("which", [[], [6], [0.5], [-7], [True]])
    def test_frames_that_are_not_there_are_refused(self, which):
        with pytest.raises(ValueError, match="frames must be one of even, hottest, or numbers from 0 to 5, got"):
            chosen(which, 3, np.zeros(6))


class TestFigures:
    """What a paper needs."""

    @pytest.mark.parametrize("width_mm", [60, 85, 174])
    def test_a_figure_is_as_wide_as_asked_for_and_nothing_is_cut_off(self, tmp_path, width_mm):
        style = Style(width_mm=width_mm, frames="hottest", n_frames=3, title=False, font_size=7)
        picture = draw(tmp_path / "figure.png", style=style)
        assert picture.shape[1] == pytest.approx(width_mm / 25.4 * 300, abs=1)
        for edge in (picture[0], picture[-1], picture[:, 0], picture[:, -1]):
            assert (edge == 255).all()

    def test_parts_are_left_out(self, tmp_path):
        heights = [
            draw(tmp_path / "figure.png", style=Style(**parts)).shape[0]
            for parts in ({}, {"title": False}, {"title": False, "curves": False},
                          {"title": False, "curves": False, "time": False})
        ]  # fmt: skip
        assert heights == sorted(heights, reverse=True) and len(set(heights)) == 4

    @pytest.mark.parametrize(("kind", "magic"), [("pdf", b"%PDF"), ("svg", b"<?xml")])
    def test_vector_files_hold_letters_and_the_same_bytes_each_time(self, tmp_path, kind, magic):
        files = [tmp_path / f"{k}.{kind}" for k in range(2)]
        for file in files:
            frames, heatmap = clip(8)
            draw_panel(file, frames=frames, drawing=Heatmap().draw(frames, Evidence(heatmap)), heatmap=heatmap,
                       seconds=np.arange(8.0), caption=CAPTION, curves=curves())  # fmt: skip
        contents = [file.read_bytes() for file in files]
        assert contents[0] == contents[1] and contents[0].startswith(magic)
        if kind == "pdf":
            assert b"/Type /Font" in contents[0] and b"/Subtype /Type3" not in contents[0]

    def test_another_ending_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="must end in .png, .pdf, .svg, got .*why.jpg"):
            draw(tmp_path / "why.jpg")
        assert kind_of(tmp_path / "a.PDF") == "pdf"

    def test_what_does_not_fit_into_the_width_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="width_mm=40 leaves .* for each of 8 frames .* show fewer frames"):
            draw(tmp_path / "figure.png", style=Style(width_mm=40, font_size=10))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"frames": "coldest"}, "frames must be one of even, hottest, got 'coldest'"),
            ({"n_frames": 0}, "n_frames must be a whole number >= 1, got 0"),
            ({"width_mm": -1}, "width_mm must be a number > 0, got -1"),
            ({"font_size": 0}, "font_size must be a number > 0, got 0"),
            ({"title": "no"}, "title must be true or false, got 'no'"),
            ({"dpi": 5}, "dpi must be a whole number >= 20, got 5"),
        ],
    )
    def test_bad_options_are_refused(self, options, message):
        with pytest.raises(ValueError, match=message):
            Style(**options)

    def test_ground_truth_is_outlined_in_the_explanation_alone(self, tmp_path):
        truth = np.zeros((8, 24, 32), bool)
        truth[:, 8:16, 8:24] = True
        without, outlined = draw(tmp_path / "a.png"), draw(tmp_path / "b.png", ground_truth=truth)
        yellow = (outlined == (255, 221, 0)).all(axis=-1)
        assert yellow.sum() > 100 and not (without == (255, 221, 0)).all(axis=-1).any()
        rows = np.flatnonzero(yellow.any(axis=1))
        assert rows.min() > outlined.shape[0] * 0.25 and np.ptp(rows) < outlined.shape[0] * 0.25

    def test_an_empty_picture_says_so(self, tmp_path):
        said = []
        original = Sheet.text

        def text(self, x, y, words, *args, **kwargs):
            said.append(words)
            original(self, x, y, words, *args, **kwargs)

        frames = clip(8)[0]
        given = evidence(np.random.default_rng(0).normal(0, 0.01, 12))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Sheet, "text", text)
            draw(tmp_path / "a.png", drawing=SignificantRegions().draw(frames, given), heatmap=given.heatmap)
        assert NOTHING in said and "nothing to show" in said

    def test_lines_hold_on_frames_that_are_much_smaller_or_larger_than_the_picture(self, tmp_path):
        for scale in (1, 20):
            labels = REGIONS.labels.repeat(scale, axis=1).repeat(scale, axis=2)
            regions = LabelRegions(labels)
            frames = np.full((*labels.shape, 3), 128, np.uint8)
            values = np.zeros(12)
            values[5] = 1.0
            given = Evidence(voxels(regions, values), values, regions, std_error=np.full(12, 0.01))
            drawing = SignificantRegions().draw(frames, given)
            picture = draw(tmp_path / "a.png", frames=frames, drawing=drawing, heatmap=given.heatmap)
            band = picture[int(0.32 * len(picture)) : int(0.48 * len(picture)), 90:1200]
            assert (band == 0).all(axis=-1).sum() > 300, scale


class TestComparison:
    def rows(self, *strengths, frames=None, times=None):
        made = []
        for strength in strengths:
            values = np.zeros(12)
            values[3] = strength
            own = clip(8)[0] if frames is None else frames
            given = evidence(values)
            drawing = SignificantRegions(limit=1.0).draw(own, given)
            seconds = np.arange(8.0) if times is None else times
            made.append(Row(f"method {strength}", own, drawing, given.heatmap, seconds))
        return made

    def test_a_row_each_below_the_clip(self, tmp_path):
        heights = []
        for n in (1, 2, 3):
            draw_comparison(tmp_path / "c.png", self.rows(*np.linspace(0.2, 1, n)), Style(), "title", True)
            with Image.open(tmp_path / "c.png") as picture:
                heights.append(picture.size[1])
        assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0], abs=2)

    @pytest.mark.parametrize("kind", ["png", "pdf", "svg"])
    def test_long_names_are_wrapped_and_all_formats_written(self, tmp_path, kind):
        rows = [replace(row, label="a method with a name that is long " * 3) for row in self.rows(0.5, 1.0)]
        file = tmp_path / f"c.{kind}"
        draw_comparison(file, rows, Style(width_mm=85, n_frames=3, font_size=6), "words " * 40)
        assert file.stat().st_size > 1000

    def test_rows_of_other_frames_show_those_nearest_in_time(self, tmp_path):
        from lavx.drawing.comparison import _shown

        fast = self.rows(1.0)[0]
        slow = self.rows(1.0, times=np.arange(8.0) * 2)[0]
        shown = _shown([fast, slow], Style(frames=[0, 4, 6]))
        assert [own.tolist() for own in shown] == [[0, 4, 6], [0, 2, 3]]

    def test_nothing_to_compare_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="nothing to compare: give at least one explanation"):
            draw_comparison(tmp_path / "c.png", [], Style())


class TestWords:
    def test_wrapped_lines_fit_and_lose_nothing(self):
        words = "a rather long name of a class that nobody would give to a class " * 2
        lines = wrapped(words, 8, 2.0, 20)
        assert all(measure(line, 8) <= 2.0 for line in lines) and len(lines) > 3
        assert " ".join(lines) == words.strip()

    def test_more_than_there_is_room_for_is_cut_with_a_sign(self):
        lines = wrapped("word " * 100, 8, 1.0, 2)
        assert len(lines) == 2 and lines[-1].endswith("\N{HORIZONTAL ELLIPSIS}")
        assert all(measure(line, 8) <= 1.0 for line in lines)
        assert wrapped("x" * 300, 8, 1.0, 3)[0] == "x" * len(wrapped("x" * 300, 8, 1.0, 3)[0])

    def test_signs_that_the_font_lacks_are_replaced(self):
        assert fit("a \u6f22", 8, 5) == "a \N{WHITE SQUARE}"
        assert fit("anything", 8, 0.0) == "" and wrapped("", 8, 1, 2) == []

    def test_widths_are_those_of_the_drawn_words(self, tmp_path):
        sheet = Sheet(6, 1, 100)
        sheet.text(0.5, 0.3, "How wide is this line of words?", 12)
        sheet.write(tmp_path / "w.png")
        dark = np.flatnonzero((np.asarray(Image.open(tmp_path / "w.png"))[..., 0] < 128).any(axis=0))
        assert np.ptp(dark) / 100 == pytest.approx(measure("How wide is this line of words?", 12), rel=0.04)


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
