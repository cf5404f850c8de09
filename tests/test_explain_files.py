import json
import sys

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from PIL import Image

import lavx
from lavx.datasets.shapes import Shapes
from lavx.errors import RequestError
from lavx.experiments.compose import settings
from lavx.experiments.explain_files import explain_files
from lavx.game import ScoredClip


@pytest.fixture
def video(tmp_path):
    return Shapes(tmp_path / "cache", n_videos=1).videos()[0].path


@pytest.fixture
def configure(tmp_path, video):
    (tmp_path / "my_function.py").write_text(
        "import numpy as np\n"
        "def predict(clips):\n"
        "    means = clips.mean((1, 2, 3)) + 1\n"
        "    return means / means.sum(1, keepdims=True)\n"
    )
    (tmp_path / "labels.txt").write_text("red\ngreen\nblue\n")

    def configure(*overrides):
        with initialize_config_module("lavx.conf", version_base="1.3"):
            return settings(compose("explain", overrides=[
                f"outputs={tmp_path}/out", f"video={video}", "net=function", "net.function=my_function:predict",
                f"net.classes={tmp_path}/labels.txt", "net.n_frames=4", "net.resize=null", "net.crop=null",
                "method=rise",
                "method.sampling.n_samples=30", "metric.n_steps=5", "trusted_modules=[my_function,broken]",
                *overrides,
            ]))  # fmt: skip

    return configure


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    for name in ("my_function", "broken"):
        sys.modules.pop(name, None)


def explain(config):
    return explain_files(config, "kinetics400", "function", "rise")


def results(tmp_path, method="rise"):
    return tmp_path / "out" / "explain" / "videos" / "function" / method / "videos"


def test_a_video_is_explained_on_a_function_and_the_answer_is_printed(configure, tmp_path, capsys):
    assert explain(configure()) == 0
    out = capsys.readouterr().out
    folder = results(tmp_path) / "0000"
    assert {p.name for p in folder.iterdir()} == {"explanation.npz", "metrics.json", "overlay.mp4", "panel.png"}
    e = lavx.Explanation.load(folder / "explanation.npz")
    assert e.classes == ("red", "green", "blue") and e.kind == "probabilities" and e.frames.shape[0] == 4
    top = e.top(3)
    assert all(f"{score:6.3f}  {name}" in out for name, score in top)
    assert f"explained: {top[0][0]}" in out and "seconds:" in out and str(folder) in out
    record = json.loads((folder / "metrics.json").read_text())
    assert record["output"] == "probabilities" and record["score"] == pytest.approx(e.score)
    assert explain(configure()) == 0 and "1 of 1 videos are done already" in capsys.readouterr().out


def test_windows_of_a_video_are_explained_one_by_one(configure, tmp_path, capsys):
    assert explain(configure("windows=2")) == 0
    folders = sorted(results(tmp_path).iterdir())
    assert len(folders) == 2 and "2 of 2 videos explained" in capsys.readouterr().out
    first, second = (lavx.Explanation.load(folder / "explanation.npz") for folder in folders)
    assert max(first.geometry.frame_indices) < min(second.geometry.frame_indices)


def test_another_target_is_another_result_of_the_same_video(configure, tmp_path):
    assert explain(configure()) == 0
    assert explain(configure("target=blue")) == 0
    assert lavx.Explanation.load(results(tmp_path, "rise-target=blue") / "0000" / "explanation.npz").target == 2


def test_a_video_that_was_cut_off_resumes_inside_its_samples(configure, tmp_path, monkeypatch):
    config = configure("batch_size=4")
    forward, left = ScoredClip._forward, 6

    def cut_off(clip, clips):
        nonlocal left
        left -= 1
        if left < 0:
            raise KeyboardInterrupt
        return forward(clip, clips)

    with monkeypatch.context() as patched:
        patched.setattr(ScoredClip, "_forward", cut_off)
        assert explain(config) == 130
    seen = []
    with monkeypatch.context() as patched:
        patched.setattr(
            ScoredClip, "_forward", lambda clip, clips: seen.append(len(clips)) or forward(clip, clips)
        )
        assert explain(config) == 0
    resumed = (results(tmp_path) / "0000" / "explanation.npz").read_bytes()
    other = configure("batch_size=4", f"outputs={tmp_path}/whole")
    assert explain(other) == 0
    whole = results(tmp_path / "whole" / "..").parents[5] / "whole" / "explain"
    (file,) = whole.glob("videos/function/rise/videos/0000/explanation.npz")
    with np.load(file) as once:
        again = lavx.Explanation.load(results(tmp_path) / "0000" / "explanation.npz")
        assert again.result.scores.tolist() == once["scores"].tolist() and len(resumed)
    assert sum(seen) < 2 + 31 + 10 and not list((tmp_path / "out").rglob(".partial/*"))


@pytest.mark.parametrize(
    "override, message",
    [
        ("video=null", "video=... is missing: give a file"),
        ("video=nowhere.mp4", "video=nowhere.mp4: there is no such file or folder"),
        ("target=label", "target=label: nobody says what these videos show"),
        ("target=purple", r"target=purple is neither predicted, label, a class \(red, green, blue\)"),
        ("target='pur\nple'", r"target=pur\\nple is neither predicted"),
        ("windows=0", "windows must be a whole number"),
        ("net.function=my_function:nothing", "nothing"),
        ("net.classes=nowhere.txt", "nowhere.txt: there is no such file"),
        ("seed=-1", "seed must be a whole number >= 0"),
    ],
)
def test_an_invalid_request_is_refused(configure, override, message):
    with pytest.raises(RequestError, match=message):
        explain(configure(override))


def test_a_class_that_a_network_without_names_does_not_have_is_refused_at_its_first_answer(configure, tmp_path):
    with pytest.raises(RequestError, match="net=function: target=3 is neither a class nor an index from 0 to 2"):
        explain(configure("net.classes=null", "target=3", f"video={tmp_path}/cache"))
    assert not list((tmp_path / "out").rglob("metrics.json"))
    assert explain(configure("net.classes=null", "target=2")) == 0


def test_a_function_whose_answers_are_unusable_ends_the_command_with_the_reason(configure, tmp_path):
    (tmp_path / "broken.py").write_text("def one_row(clips):\n    return [[0.5, 0.2, 0.3]]\n")
    with pytest.raises(RequestError, match=r"net=function: broken:one_row answered \(1, 3\) for 2 clips"):
        explain(configure("net.function=broken:one_row"))


def test_classes_without_names_have_numbers(configure, tmp_path, capsys):
    assert explain(configure("net.classes=null", "target=2")) == 0
    assert "explained: class 2" in capsys.readouterr().out


class TestFigures:
    def test_a_figure_is_drawn_also_of_what_was_explained_before(self, configure, tmp_path, capsys):
        assert explain(configure()) == 0
        assert not (results(tmp_path).parent / "figures").exists()
        capsys.readouterr()
        assert explain(configure("figure.format=pdf", "figure.n_frames=2", "figure.curves=true")) == 0
        said = capsys.readouterr().out
        (figure,) = (results(tmp_path).parent / "figures").iterdir()
        assert figure.name == "0000.pdf" and figure.read_bytes().startswith(b"%PDF") and str(figure) in said

    def test_methods_stand_side_by_side(self, configure, tmp_path):
        options = "figure.format=png", "figure.compare=true", "figure.frames=[0,2]"
        heights = []
        for method in ("rise", "lime"):
            config = configure(*options, f"method={method}")
            assert explain_files(config, "kinetics400", "function", method) == 0
            with Image.open(results(tmp_path, method).parent / "figures" / "0000.png") as picture:
                heights.append(picture.size[1])
        assert heights[1] > 1.2 * heights[0]

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ("figure.format=jpg", "figure.format must be png, pdf, svg or null, got 'jpg'"),
            ("figure.compare=1", "figure.compare must be true or false, got 1"),
            ("figure.frames=coldest", "figure: frames must be one of even, hottest, got 'coldest'"),
            ("figure.width_mm=0", "figure: width_mm must be a number > 0, got 0"),
            ("+figure.glow=1", "figure: .*unexpected keyword argument 'glow'"),
        ],
    )
    def test_options_that_are_not_allowed_are_refused_before_anything_is_explained(
        self, configure, tmp_path, option, message
    ):
        with pytest.raises(RequestError, match=message):
            explain(configure(option))
        assert not (tmp_path / "out").exists()

    def test_what_has_no_room_is_refused(self, configure):
        with pytest.raises(RequestError, match="figure: width_mm=20 leaves .* show fewer frames"):
            explain(configure("figure.format=pdf", "figure.width_mm=20"))
