"""Functions as classifiers: what they get, what they may answer, when they fail or are slow, and by name."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import hydra
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_module

from lavx import video
from lavx.networks.calls import CallError, Calls
from lavx.networks.function import Function, network
from lavx.networks.python_path import load, source_of

WEIGHT = np.random.default_rng(1).normal(0, 1e-2, (3, 5))


def mean_colors(clips: np.ndarray) -> np.ndarray:
    """Class scores (B, 5) of the mean colors."""
    return clips.mean((1, 2, 3)) @ WEIGHT


@pytest.fixture
def clips() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (3, 4, 6, 7, 3)).astype(np.float32))


def test_a_function_gets_arrays_and_answers_rows(clips: torch.Tensor) -> None:
    seen = []

    def spy(array: np.ndarray) -> np.ndarray:
        seen.append(array)
        return mean_colors(array)

    classifier = Function(spy)
    outputs = classifier(clips)
    assert type(seen[0]) is np.ndarray and seen[0].dtype == np.float32
    np.testing.assert_array_equal(seen[0], clips.numpy())
    assert outputs.device == classifier.device == torch.device("cpu")
    np.testing.assert_allclose(outputs, mean_colors(clips.numpy()), atol=1e-6)
    assert (classifier.output, classifier.classes) == (None, None)
    assert "spy" in classifier.name


def test_one_clip_at_a_time_in_bytes_and_another_layout(clips: torch.Tensor) -> None:
    shapes = []

    def predict(clip: np.ndarray) -> list[float]:
        shapes.append((clip.shape, clip.dtype))
        return [float(clip[channel].mean()) for channel in range(3)]

    outputs = Function(predict, layout="CTHW", dtype="uint8", channels="BGR")(clips)
    assert shapes == [((3, 4, 6, 7), np.uint8)] * 3
    np.testing.assert_allclose(outputs, clips.round().mean((1, 2, 3)).flip(-1), rtol=1e-5)


def test_the_function_may_change_its_array(clips: torch.Tensor) -> None:
    def destroy(array: np.ndarray) -> np.ndarray:
        scores = mean_colors(array)
        array[:] = 0
        return scores

    before = clips.clone()
    first, second = Function(destroy)(clips), Function(destroy)(clips)
    assert torch.equal(clips, before) and torch.equal(first, second)


def test_a_torch_function_makes_no_graph(clips: torch.Tensor) -> None:
    layer = torch.nn.Linear(3, 2)
    for timeout in (None, 60):
        graphs = []

        def predict(array: np.ndarray, graphs: list[bool] = graphs) -> torch.Tensor:
            scores = layer(torch.from_numpy(array).mean((1, 2, 3)))
            graphs.append(scores.requires_grad)
            return scores

        assert not Function(predict, timeout=timeout)(clips).requires_grad
        assert graphs == [False]


def test_names(clips: torch.Tensor) -> None:
    class Service:
        def __call__(self, array: np.ndarray) -> np.ndarray:
            return mean_colors(array)

    assert Function(mean_colors).name == "mean_colors"
    assert "Service" in Function(Service()).name
    assert Function(partial(mean_colors)).name == "partial"
    assert Function(mean_colors, name="mine").name == "mine"
    with pytest.raises(ValueError, match="mine answered 5 columns, but 2 class names were given"):
        Function(mean_colors, name="mine", classes=["a", "b"])(clips)


@pytest.mark.parametrize(
    ("predict", "message"),
    [
        (lambda x: mean_colors(x)[:1], r"<lambda> answered \(1, 5\) for 3 clips; it must be \(3, K\)"),
        (lambda x: mean_colors(x)[0], r"answered \(5,\) for 3 clips"),
        (lambda x: np.zeros((4, 5)), r"answered \(4, 5\) for 3 clips"),
        (lambda x: "jumping", "answered str; class scores must be real numbers"),
        (lambda x: [{"jumping": 0.9}] * 3, "answered list; class scores must be real numbers"),
        (lambda x: [object()] * 3, "answered list; class scores must be real numbers"),
        (lambda x: None, "answered NoneType; class scores must be real numbers"),
    ],
)
def test_wrong_answers_are_refused(predict: Any, message: str, clips: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=message):
        Function(predict)(clips)


def test_a_function_that_changes_its_width_is_refused(clips: torch.Tensor) -> None:
    classifier = Function(lambda x: np.zeros((len(x), len(x))))
    classifier(clips)
    with pytest.raises(ValueError, match="answered 2 columns, but 3 columns were answered before"):
        classifier(clips[:2])


def test_a_batch_for_a_function_of_one_clip_is_refused(clips: torch.Tensor) -> None:
    with pytest.raises(ValueError, match=r"answered \(2, 5\) for one clip; it must be \(K,\), or \(1, K\)"):
        Function(lambda x: np.zeros((2, 5)), layout="THWC")(clips)


def test_nan_passes_for_the_game_to_report(clips: torch.Tensor) -> None:
    assert Function(lambda x: np.full((len(x), 2), np.nan))(clips).isnan().all()


@pytest.mark.parametrize("shape", [(4, 6, 7, 3), (1, 4, 6, 7, 1)])
def test_what_are_no_clips_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"clips must be \(B, T, H, W, 3\), got"):
        Function(mean_colors)(torch.zeros(shape))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(function=3), "function must be a function of an array of clips, got 3"),
        (dict(function=dict), "function must be a function of an array of clips, got <class 'dict'>"),
        (dict(layout="BCHW"), "layout must hold each of the letters"),
        (dict(dtype="bfloat16"), "dtype must be one of float32, float16, float64, uint8: NumPy knows no bfloat16"),
        (dict(output="softmax"), "output must be one of"),
        (dict(device="tpu"), "device must be auto, cpu, cuda or cuda:N; got tpu"),
        (dict(timeout=0), "timeout must be a number > 0, got 0"),
        (dict(timeout="5"), "timeout must be a number > 0, got '5'"),
        (dict(timeout=float("nan")), "timeout must be a number > 0, got nan"),
        (dict(retries=-1), "retries must be a whole number >= 0, got -1"),
        (dict(retries=True), "retries must be a whole number >= 0, got True"),
        (dict(retries=1.5), "retries must be a whole number >= 0, got 1.5"),
        (dict(backoff=-1), "backoff must be a finite number >= 0, got -1"),
    ],
)
def test_parameters_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Function(**(dict(function=mean_colors) | settings))


# Failures and slowness


def fail(array: np.ndarray) -> np.ndarray:
    raise KeyError("out of order")


def test_an_error_of_the_function_is_passed_on_with_its_cause(clips: torch.Tensor) -> None:
    for timeout in (None, 60):
        with pytest.raises(CallError, match=r"^fail raised KeyError: 'out of order'$") as caught:
            Function(fail, timeout=timeout)(clips)
        assert isinstance(caught.value.__cause__, KeyError)


def test_failed_calls_are_made_again_with_the_clips_as_they_were(
    clips: torch.Tensor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    calls = []

    def third_time_lucky(array: np.ndarray) -> np.ndarray:
        calls.append(len(array))
        scores = mean_colors(array)
        array[:] = 0
        if len(calls) < 3:
            raise ConnectionError(f"no {len(calls)}")
        return scores

    outputs = Function(third_time_lucky, name="rest", retries=2, backoff=0.5)(clips)
    np.testing.assert_allclose(outputs, mean_colors(clips.numpy()), atol=1e-6)
    assert calls == [3, 3, 3] and waits == [0.5, 1.0]
    assert "rest: raised ConnectionError: no 1; again in 0.5 s." in caplog.text
    calls.clear()
    with pytest.raises(CallError, match=r"^rest raised ConnectionError: no 2 in the last of 2 tries$"):
        Function(third_time_lucky, name="rest", retries=1, backoff=0)(clips)


def test_wrong_answers_are_not_asked_for_again(clips: torch.Tensor) -> None:
    calls = []
    with pytest.raises(ValueError, match="answered"):
        Function(lambda x: calls.append(1), retries=5, backoff=0)(clips)
    assert len(calls) == 1


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError("no")])
def test_lack_of_memory_is_passed_on_as_it_is(error: Exception, clips: torch.Tensor) -> None:
    def hungry(array: np.ndarray) -> np.ndarray:
        raise error

    for timeout in (None, 60):
        with pytest.raises(type(error)) as caught:
            Function(hungry, retries=3, timeout=timeout)(clips)
        assert caught.value is error


def test_a_slow_function_is_not_waited_for(clips: torch.Tensor, caplog: pytest.LogCaptureFixture) -> None:
    calls = []

    def sleepy(array: np.ndarray) -> np.ndarray:
        calls.append(time.monotonic())
        time.sleep(1.5)
        return mean_colors(array)

    begin = time.monotonic()
    with pytest.raises(TimeoutError) as caught:
        Function(sleepy, name="sleepy", timeout=0.1, retries=1, backoff=0)(clips)
    assert time.monotonic() - begin < 1.2 and len(calls) == 2
    assert str(caught.value) == (
        "sleepy did not answer within 0.1 s in the last of 2 tries; allow it more with timeout=..., give it fewer "
        "clips a call with batch_size=1, or let it take as long as it takes with timeout=None."
    )
    assert "sleepy: did not answer within 0.1 s; again in 0 s." in caplog.text
    np.testing.assert_allclose(Function(sleepy, timeout=60)(clips), mean_colors(clips.numpy()), atol=1e-6)


def test_python_ends_although_a_call_does_not() -> None:
    code = (
        "import time, torch\n"
        "from lavx.networks.function import Function\n"
        "try: Function(lambda x: time.sleep(60), timeout=0.1)(torch.zeros(1, 1, 1, 1, 3))\n"
        "except TimeoutError: print('gave up')\n"
    )
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.stdout == "gave up\n", done.stderr
    assert time.monotonic() - begin < 45


def test_a_function_that_is_interrupted_stops(clips: torch.Tensor) -> None:
    def interrupted(array: np.ndarray) -> np.ndarray:
        raise KeyboardInterrupt

    for timeout in (None, 60):
        with pytest.raises(KeyboardInterrupt):
            Function(interrupted, retries=3, timeout=timeout)(clips)


def test_calls_serve_without_arrays() -> None:
    assert Calls("double")(lambda x: 2 * x, lambda: 4) == 8


# By name


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a module, its neighbor, class names and a video."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "neighbor_of_mine.py").write_text(
        "import numpy\nWEIGHT = numpy.arange(15.0).reshape(3, 5) / 1000\n"
    )
    (tmp_path / "module_of_mine.py").write_text(
        "from neighbor_of_mine import WEIGHT\n\n"
        "def predict(clips):\n    return clips.mean((1, 2, 3)) @ WEIGHT\n\n"
        "class Models:\n    @staticmethod\n    def first(clips):\n        return predict(clips)\n\n"
        "number = 3\n"
    )
    (tmp_path / "broken_of_mine.py").write_text("1 / 0\n")
    (tmp_path / "lacking_of_mine.py").write_text("import no_such_package\n")
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\ne\n")
    frames = np.random.default_rng(0).integers(0, 256, (20, 60, 80, 3), dtype=np.uint8)
    video.write_video(tmp_path / "video.mp4", frames, fps=10)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0].endswith("_of_mine")]:
        del sys.modules[name]


def test_a_network_by_name_scores_as_its_function_does(here: Path) -> None:
    before = list(sys.path)
    net = network(
        "module_of_mine:predict", 8, "labels.txt", device="cpu", resize=30, crop=[24, 32], antialias=False
    )
    assert sys.path == before
    assert (net.name, net.classes, net.output) == ("function", ("a", "b", "c", "d", "e"), None)
    source = (here / "module_of_mine.py").read_bytes()
    assert net.weights == {
        "file": str(here / "module_of_mine.py"),
        "sha256": hashlib.sha256(source).hexdigest(),
    }
    clip = net.read(here / "video.mp4", start=1)
    scores = net(torch.from_numpy(clip.frames)[None].float())
    # Anew, with OpenCV: frames 10 to 19 in 8 parts, 60 x 80 to 30 x 40, the middle 24 x 32 of it.
    frames = video.read_frames("video.mp4", [10, 11, 13, 14, 15, 16, 18, 19])
    seen = np.stack([cv2.resize(frame, (40, 30), interpolation=cv2.INTER_LINEAR) for frame in frames])[
        :, 3:27, 4:36
    ]
    assert np.abs(seen.astype(int) - clip.frames).max() <= 1
    expected = sys.modules["module_of_mine"].predict(clip.frames[None].astype(np.float32))
    np.testing.assert_allclose(scores, expected, atol=1e-5)
    assert scores.std() > 0.1


def test_the_yaml_builds_it(here: Path) -> None:
    with initialize_config_module("lavx.conf", version_base="1.3"):
        overrides = [
            "net=function",
            "net.function=module_of_mine:predict",
            "net.classes=[a,b,c,d,e]",
            "device=cpu",
        ]
        overrides += [
            "net.resize=24",
            "net.crop=null",
            "net.retries=1",
            "net.mean=[104,117,123]",
            "net.timeout=60",
        ]
        net = hydra.utils.instantiate(compose("run", overrides=overrides).net, _convert_="all")
    clip = net.read(here / "video.mp4")
    assert clip.frames.shape == (16, 24, 32, 3) and net.classes == tuple("abcde")
    expected = sys.modules["module_of_mine"].predict(clip.frames[None].astype(np.float32) - [104, 117, 123])
    np.testing.assert_allclose(net(torch.from_numpy(clip.frames)[None].float()), expected, atol=1e-5)


def test_names_within_names_and_installed_modules_are_found(here: Path) -> None:
    assert load("module_of_mine:Models.first", "function") is sys.modules["module_of_mine"].Models.first
    assert load("os.path:join", "function") is __import__("os").path.join


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("module_of_mine", "function must be module:name, such as my_module:predict .*; got 'module_of_mine'"),
        (
            "module_of_mine.py:predict",
            r"function=module_of_mine\.py:predict: there is no module module_of_mine\.py",
        ),
        (":predict", "function must be module:name"),
        ("a b:predict", "function must be module:name, .*; got 'a b:predict'"),
        (
            "nothing_of_mine:predict",
            "there is no module nothing_of_mine, neither in .* nor among what is installed",
        ),
        ("module_of_mine:other", r"module_of_mine\.py has no other; it has predict, Models\."),
        ("module_of_mine:Models.second", r"module_of_mine\.py has no Models\.second"),
        ("module_of_mine:number", r"number in .*module_of_mine\.py cannot be called; it is a int"),
        ("broken_of_mine:predict", "importing broken_of_mine failed: ZeroDivisionError: division by zero"),
        ("lacking_of_mine:predict", "importing lacking_of_mine failed: No module named 'no_such_package'"),
    ],
)
def test_what_cannot_be_imported_is_said(here: Path, name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(name, "function")
    assert str(here) not in sys.path


def test_a_module_that_hides_behind_another_is_said_to(here: Path) -> None:
    (here / "logging.py").write_text("def predict(clips): return clips\n")
    with pytest.raises(ValueError, match=r"/logging\.py has the name of another module, .*; give it another name"):
        load("logging:getLogger", "function")
    assert sys.modules["logging"] is logging


def test_a_network_checks_what_it_is_given(here: Path) -> None:
    with pytest.raises(ValueError, match="precision must be fp32: a function computes in the number type that it"):
        network("module_of_mine:predict", 8, precision="bf16")
    with pytest.raises(ValueError, match="n_frames must be a whole number >= 1, got 0"):
        network("module_of_mine:predict", 0)
    with pytest.raises(TypeError, match="speed"):
        network("module_of_mine:predict", 8, speed=3)


def test_sources_of_what_is_in_no_file() -> None:
    assert source_of(len) == {"file": None, "sha256": None}
    assert source_of(mean_colors)["file"] == source_of(partial(partial(mean_colors)))["file"] == __file__
