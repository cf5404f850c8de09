import errno
import json
import logging
import os
import shutil
import signal

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hydra import compose, initialize_config_module
from toy import ToyNetwork

from lavx import stopping
from lavx.datasets.shapes import CLASSES, Shapes
from lavx.errors import RequestError
from lavx.experiments.compose import settings
from lavx.experiments.log_files import logging_to
from lavx.experiments.run import Cell, request, run_cell, video_explainer
from lavx.explainer import Explainer

NAMES = ("shapes", "toy", "rise")


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    root = tmp_path_factory.mktemp("cache")
    Shapes(root, n_videos=3).videos()
    return root


@pytest.fixture
def request_cell(tmp_path, cache):
    def configure(*overrides, net="{_target_: toy.ToyNetwork}"):
        with initialize_config_module("lavx.conf", version_base="1.3"):
            config = compose("run", overrides=[
                f"outputs={tmp_path}/out", f"dataset.root={cache}", "dataset.n_videos=3", "n_videos=3",
                "method.sampling.n_samples=30", "metric.n_steps=5", "trusted_modules=[toy]", *overrides,
            ])  # fmt: skip
        config.net = yaml.safe_load(net) if isinstance(net, str) else net
        return settings(config)

    return configure


def folder(tmp_path):
    return tmp_path / "out" / "default" / "shapes" / "toy" / "rise"


def test_a_cell_leaves_the_whole_run_folder(request_cell, tmp_path, capsys):
    assert run_cell(request_cell(), *NAMES) == 0
    run = folder(tmp_path)
    assert {p.name for p in run.iterdir()} == {
        ".configuration.json", ".index", ".locks", ".names", ".partial", ".workers", "config.yaml", "content.json",
        "environment.json", "requested.json", "results.csv", "run.log", "status.json", "videos",
    }  # fmt: skip
    for number in range(3):
        video = run / "videos" / f"shapes-{number:04d}"
        assert {p.name for p in video.iterdir()} == {
            "explanation.npz", "metrics.json", "panel.png", "overlay.mp4",
        }  # fmt: skip
    table = pd.read_csv(run / "results.csv")
    entry = json.loads((run / "videos" / "shapes-0001" / "metrics.json").read_text())
    assert table.video_id.tolist() == [f"shapes-{n:04d}" for n in range(3)]
    assert table.n_samples.tolist() == [30] * 3 and table.n_regions.tolist() == [196] * 3
    curve = entry["curves"]["deletion"]
    assert table.deletion_auc[1] == pytest.approx(np.trapezoid(curve["scores"], curve["fractions"]))
    stored = np.load(run / "videos" / "shapes-0001" / "explanation.npz")
    assert stored["heatmap"].shape == (8, 16, 16) and stored["attribution"].shape == (196,)
    assert stored["full"] == pytest.approx(entry["score"]) == pytest.approx(curve["scores"][0])
    assert "deletion AUC" in capsys.readouterr().out


def explanations(run):
    return {p.parent.name: p.read_bytes() for p in sorted(run.glob("videos/*/explanation.npz"))}


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(request_cell, tmp_path):
    run_cell(request_cell(), *NAMES)
    first = explanations(folder(tmp_path))
    shutil.rmtree(tmp_path / "out")
    run_cell(request_cell(), *NAMES)
    assert explanations(folder(tmp_path)) == first
    shutil.rmtree(tmp_path / "out")
    run_cell(request_cell("seed=1"), *NAMES)
    assert explanations(folder(tmp_path)) != first


def test_what_decides_the_last_digits_is_stored(request_cell, tmp_path):
    """Another batch size changes digits at most, and the size is stored."""
    found = {}
    for size in (1, 7):
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        run_cell(request_cell(f"batch_size={size}", "n_videos=1"), *NAMES)
        run = folder(tmp_path)
        record = json.loads((run / "videos" / "shapes-0000" / "metrics.json").read_text())
        about = json.loads((run / "environment.json").read_text())
        assert record["batch_size"] == about["batch_size"] == size
        assert record["threads"] == about["threads"] == torch.get_num_threads()
        assert f"On cpu, threads={torch.get_num_threads()}, batch_size={size}." in (run / "run.log").read_text()
        found[size] = dict(np.load(run / "videos" / "shapes-0000" / "explanation.npz"))
    assert (found[1]["coalitions"] == found[7]["coalitions"]).all()
    for name in ("scores", "attribution", "heatmap"):
        assert np.allclose(found[1][name], found[7][name], rtol=1e-4, atol=1e-6), name


def test_what_tells_whether_to_trust_an_explanation_is_stored(request_cell, tmp_path):
    run_cell(request_cell("n_videos=1"), *NAMES)
    record = json.loads((folder(tmp_path) / "videos" / "shapes-0000" / "metrics.json").read_text())
    assert 0 <= record["score_noise"] < 1e-5 and 0 <= record["attribution_noise"] < 0.01
    assert 1 <= record["frames_per_region"] <= 8 and record["n_segments"] is None
    run_cell(request_cell("n_videos=1", "check_noise=false", "name=other"), *NAMES)
    other = tmp_path / "out" / "other" / "shapes" / "toy" / "rise" / "videos" / "shapes-0000" / "metrics.json"
    assert json.loads(other.read_text())["score_noise"] is None


class Leaving(ToyNetwork):
    """Ends Python, as a script's main function does, from its second video on."""

    def __init__(self, classes, module: str = "somewhere") -> None:
        super().__init__(classes)
        self.module, self.n_read = module, 0

    def read(self, *args):
        self.n_read += 1
        if self.n_read == 2:
            exec("raise SystemExit(0)", {"__name__": self.module})
        return super().read(*args)


def test_a_network_that_ends_python_takes_no_other_video_with_it(request_cell, tmp_path, capsys):
    net = {"_target_": f"{__name__}.Leaving"}
    trusted = f"trusted_modules=[{__name__}]"
    assert run_cell(request_cell(trusted, net=net), *NAMES) == 1
    assert "shapes-0001: FAILED: the network ended Python (sys.exit(0))" in capsys.readouterr().out
    assert len(explanations(folder(tmp_path))) == 2
    with pytest.raises(SystemExit):  # a launcher may
        run_cell(request_cell(trusted, "name=queued", net=net | {"module": "submitit.core.job"}), *NAMES)


class WrongNetwork(ToyNetwork):
    """A network that is not what it says: another kind of output, another number of rows or classes."""

    def __init__(self, classes, wrong: str) -> None:
        super().__init__(classes)
        self.wrong = wrong
        self.classes = {"others": ("a", "b", "c", "d", "e", "f", "g", "h"), "no names": None}.get(
            wrong, self.classes
        )

    def __call__(self, clips):
        outputs = super().__call__(clips)
        if self.wrong == "softmax":
            return outputs.softmax(1)
        if self.wrong == "no names":
            return torch.cat([outputs, outputs], 1)
        return outputs[:1] if self.wrong == "one row" else outputs


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("softmax", "net=toy: the network is said to answer logits, but its rows are in .0, 1. and sum to 1"),
        (
            "one row",
            "net=toy: the network must answer .batch, classes., a row a clip: for 2 clips it gave .1, 8.",
        ),
        ("no names", "net=toy: the network gives 16 outputs a clip, but there are 8 class names"),
        ("others", "net=toy has none of the 8 classes of the dataset .*class_map=table.csv, or class_map=none"),
    ],
)
def test_a_network_that_is_not_what_it_says_is_refused_and_leaves_no_claim(request_cell, tmp_path, wrong, message):
    net = {"_target_": f"{__name__}.WrongNetwork", "wrong": wrong}
    with pytest.raises(RequestError, match=message):
        run_cell(request_cell(f"trusted_modules=[{__name__}]", net=net), *NAMES)
    assert not explanations(folder(tmp_path)) and not (folder(tmp_path) / "config.yaml").exists()
    assert run_cell(request_cell("n_videos=1"), *NAMES) == 0  # in the same folder


def test_classes_are_mapped_by_a_given_table(request_cell, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("".join(f"{name},c\n" for name in Shapes(tmp_path / "cache").classes))
    net = {"_target_": f"{__name__}.WrongNetwork", "wrong": "others"}
    given = ["n_videos=1", f"trusted_modules=[{__name__}]"]
    assert run_cell(request_cell(*given, f"class_map={table}", "target=label", net=net), *NAMES) == 0
    record = json.loads((folder(tmp_path) / "videos" / "shapes-0000" / "metrics.json").read_text())
    assert record["label"] == record["target"] == 2
    with pytest.raises(RequestError, match=r"class_map: .*table.csv -> \(absent\)"):
        run_cell(request_cell(*given, net=net | {"wrong": ""}), *NAMES)
    table.write_text(table.read_text().replace(",c", ",d"))
    with pytest.raises(RequestError, match=r"class_map: .* \(its content has changed\)"):
        run_cell(request_cell("n_videos=2", given[1], f"class_map={table}", "target=label", net=net), *NAMES)
    assert run_cell(request_cell(*given, "class_map=none", "name=none", net=net), *NAMES) == 0
    record = tmp_path / "out" / "none" / "shapes" / "toy" / "rise" / "videos" / "shapes-0000" / "metrics.json"
    assert json.loads(record.read_text())["label"] is None


@pytest.mark.parametrize("text", ["toy.Shapes", "toy.two_folds"])
def test_what_is_no_network_is_refused(request_cell, text):
    node = {"_target_": text, "classes": ["a"]} | ({"root": "/x"} if "Shapes" in text else {"folder": "/x"})
    with pytest.raises(RequestError, match="^net"):
        run_cell(request_cell(net=node), *NAMES)


def test_an_object_that_lacks_what_a_network_has_is_refused(request_cell):
    node = {"_target_": "lavx.methods.removal.Black", "classes": None}
    del node["classes"]
    with pytest.raises(RequestError, match="^net"):
        run_cell(request_cell(net=node | {"classes": ["a"]}), *NAMES)
    node = {"_target_": f"{__name__}.NoNetwork", "classes": ["a"]}
    with pytest.raises(
        RequestError, match=r"is no network: it lacks device, output, weights, read. See lavx.types.Network"
    ):
        run_cell(request_cell(f"trusted_modules=[{__name__}]", net=node), *NAMES)


class NoNetwork:
    def __init__(self, classes) -> None:
        self.name, self.classes = "no", tuple(classes)


@pytest.mark.parametrize(
    ("videos", "message"), [([], "one or more ids"), ([None], "one or more ids"), (7, r"\[7\]")]
)
def test_videos_that_cannot_be_ids_are_refused(request_cell, videos, message):
    config = request_cell()
    config["videos"] = videos
    with pytest.raises(RequestError, match=f"^videos must be a list .*{message}"):
        request(config, NAMES)


def test_a_video_that_is_named_twice_is_refused(request_cell):
    with pytest.raises(RequestError, match=r"videos names 1 \(shapes-0001\) more than once; give each id once"):
        run_cell(request_cell("videos=[shapes-0001,shapes-0001]"), *NAMES)


def test_a_cell_cut_off_goes_on_and_ends_with_the_same_bytes(request_cell, tmp_path, monkeypatch, capsys):
    run_cell(request_cell(), *NAMES)
    whole = explanations(folder(tmp_path))
    shutil.rmtree(tmp_path / "out")
    seen = []
    own = Explainer.__call__

    def interrupted(explainer, clip):
        seen.append(1)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return own(explainer, clip)

    with monkeypatch.context() as patched:
        patched.setattr(Explainer, "__call__", interrupted)
        assert run_cell(request_cell(), *NAMES) == 130
    assert "interrupted; 1 of 3 videos are done" in capsys.readouterr().err
    untouched = (folder(tmp_path) / "videos" / "shapes-0000" / "metrics.json").stat().st_mtime_ns
    assert run_cell(request_cell(), *NAMES) == 0
    assert "1 of 3 videos are done already" in capsys.readouterr().out
    assert explanations(folder(tmp_path)) == whole
    assert (folder(tmp_path) / "videos" / "shapes-0000" / "metrics.json").stat().st_mtime_ns == untouched


def test_more_videos_of_the_same_run_are_added_but_another_seed_is_refused(request_cell, tmp_path):
    run_cell(request_cell("n_videos=1"), *NAMES)
    run_cell(request_cell("n_videos=2", "batch_size=7"), *NAMES)
    assert len(explanations(folder(tmp_path))) == 2
    with pytest.raises(RequestError, match="seed: 0 -> 5"):
        run_cell(request_cell("seed=5"), *NAMES)


def test_a_bad_video_is_recorded_and_the_others_go_on(request_cell, tmp_path, cache, capsys):
    root = tmp_path / "broken"
    shutil.copytree(cache, root)
    bad = next(root.glob("*/0001.mp4"))
    bad.write_text("not a video")
    config = request_cell(f"dataset.root={root}")
    assert run_cell(config, *NAMES) == 1
    out = capsys.readouterr().out
    assert "shapes-0001: FAILED" in out and "failed         shapes-0001" in out
    table = pd.read_csv(folder(tmp_path) / "results.csv")
    assert table.error.notna().tolist() == [False, True, False] and "0001.mp4" in table.error[1]
    shutil.copy(next(cache.glob("*/0001.mp4")), bad)  # mended: only this one is computed
    assert run_cell(config, *NAMES) == 0
    assert "2 of 3 videos are done already" in capsys.readouterr().out


def test_scores_that_are_not_finite_are_recorded(request_cell, tmp_path):
    assert run_cell(request_cell(net="{_target_: toy.ToyNetwork, scale: .nan}"), *NAMES) == 1
    table = pd.read_csv(folder(tmp_path) / "results.csv")
    assert table.error.str.contains("NaN or infinite").all()


def test_an_unexpected_error_is_recorded_with_its_traceback(request_cell, tmp_path):
    asked = request(request_cell("n_videos=1"), NAMES)
    explainer = video_explainer(asked)
    explainer.network.read = lambda *args: 1 / 0
    assert Cell(asked, explainer).run() == 1
    assert "ZeroDivisionError" in (folder(tmp_path) / "run.log").read_text()


def test_a_crash_of_a_cell_is_recorded_with_its_traceback(request_cell, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("lavx.experiments.run.video_explainer", lambda *args: 1 / 0)
    assert run_cell(request_cell(), *NAMES) == 1
    assert "Traceback (most" in (folder(tmp_path) / "run.log").read_text()
    status = json.loads((folder(tmp_path) / "status.json").read_text())
    assert status["state"] == "failed" and "ZeroDivisionError" in status["error"]
    err = capsys.readouterr().err
    assert "lavx: shapes toy rise failed: ZeroDivisionError" in err and "Traceback (most" not in err


def test_what_goes_wrong_after_a_result_is_written_does_not_replace_it(
    request_cell, tmp_path, monkeypatch, capsys
):
    def fails(folder, record):
        raise ValueError("no index")

    asked = request(request_cell("n_videos=1"), NAMES)
    with monkeypatch.context() as patched:
        patched.setattr("lavx.experiments.run_folder.RunFolder.written", fails)
        Cell(asked, video_explainer(asked)).run()
    assert "shapes-0000: done, but ValueError: no index" in capsys.readouterr().out
    assert asked.folder.done("shapes-0000")


def test_videos_of_any_names_are_explained_beside_each_other_and_once(request_cell, tmp_path, cache, capsys):
    root = tmp_path / "videos"
    root.mkdir()
    file = next(cache.glob("*/0000.mp4"))
    for name in (b"my clip.mp4", b"my_clip.mp4", b"caf\xe9.mp4", b"@sum.mp4"):
        shutil.copy(file, os.path.join(os.fsencode(root), name))
    config = request_cell("n_videos=null")
    config.dataset = settings({"_target_": "lavx.datasets.folder.Folder", "root": str(root), "classes": CLASSES})
    assert run_cell(config, *NAMES) == 0
    table = pd.read_csv(folder(tmp_path) / "results.csv")
    assert sorted(table.video_id) == ["'@sum", r"caf\xe9", "my clip", "my_clip"] and table.error.isna().all()
    assert run_cell(config, *NAMES) == 0
    assert "4 of 4 videos are done already" in capsys.readouterr().out


def test_a_full_disk_ends_the_run_and_keeps_what_is_done(request_cell, tmp_path, monkeypatch):
    run_cell(request_cell("n_videos=1"), *NAMES)

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("lavx.experiments.explain_video.write_arrays", full)
    with pytest.raises(RequestError, match="No space left on device.*Finished videos stay"):
        run_cell(request_cell(), *NAMES)
    assert len(explanations(folder(tmp_path))) == 1
    assert not list((folder(tmp_path) / "videos").glob(".*")) and not list(
        folder(tmp_path).glob(".partial/*.part")
    )


@pytest.mark.parametrize(
    "override, message",
    [
        ("n_videos=0", "n_videos must be a whole number >= 1, or null for all, got 0"),
        ("seed=-1", "seed must be a whole number >= 0, got -1"),
        ("target=purple", r"target=purple is neither predicted, label, a class \(red to green, .* 0 to 7"),
        ("videos=[nope]", r"videos=\['nope'\] are not in the dataset. Its 3 ids run from shapes-0000"),
        ("batch_size=0", "batch_size must be auto or a whole number >= 1, got 0"),
        (
            "method.sampling.n_samples=0",
            r"method.sampling: n_samples must be .* got 0 \(Set method.sampling.*method/sampl",
        ),
        ("metric.n_steps=0", r"metric\.n_steps must be auto or a whole number >= 1, got 0"),
        ("dataset.n_videos=0", "dataset: .*dataset.n_videos must be >= 1"),
        ("outputs=/proc/nothing", "cannot write to /proc/nothing.*outputs="),
    ],
)
def test_an_unusable_request_is_refused_before_anything_runs(request_cell, override, message):
    with pytest.raises(RequestError, match=message):
        run_cell(request_cell(override), *NAMES)


@pytest.mark.parametrize("request_, expected", [("label", 2), ("blue to green", 3), (5, 5)])
def test_the_target_can_be_chosen(request_cell, tmp_path, request_, expected):
    run_cell(request_cell(f"target={request_}", "videos=[shapes-0002]"), *NAMES)
    assert pd.read_csv(folder(tmp_path) / "results.csv").target.tolist() == [expected]


def test_a_scheduler_s_signal_stops_a_cell_and_the_same_command_resumes(
    request_cell, tmp_path, monkeypatch, capsys
):
    seen = []
    own = Explainer.__call__

    def signaled(explainer, clip):
        seen.append(1)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return own(explainer, clip)

    monkeypatch.setattr(Explainer, "__call__", signaled)
    with stopping.working():
        assert run_cell(request_cell(), *NAMES) == 143
    content = json.loads((folder(tmp_path) / "status.json").read_text())
    assert content["state"] == "stopped" and content["done"] == 1
    assert content["error"] == "stopped by SIGTERM (a scheduler, or kill)"
    assert "stopped by SIGTERM (a scheduler, or kill); 1 of 3 videos are done" in capsys.readouterr().err
    assert not list((folder(tmp_path) / "videos").glob(".*"))
    assert run_cell(request_cell(), *NAMES) == 0
    assert json.loads((folder(tmp_path) / "status.json").read_text())["state"] == "done"


def test_a_cell_that_is_stopped_before_its_first_video_says_so(request_cell, tmp_path, monkeypatch):
    def stopped(*args):
        raise stopping.Stopped(signal.SIGHUP)

    monkeypatch.setattr("lavx.experiments.run.video_explainer", stopped)
    with pytest.raises(stopping.Stopped):
        run_cell(request_cell(), *NAMES)
    content = json.loads((folder(tmp_path) / "status.json").read_text())
    assert content["state"] == "stopped" and "SIGHUP" in content["error"]


def test_a_damaged_result_is_named_and_computed_again(request_cell, tmp_path, capsys):
    run_cell(request_cell(), *NAMES)
    whole = explanations(folder(tmp_path))
    damaged = folder(tmp_path) / "videos" / "shapes-0001" / "explanation.npz"
    damaged.write_bytes(b"")
    capsys.readouterr()
    assert run_cell(request_cell(), *NAMES) == 0
    said = f"{damaged} is empty: shapes-0001 is explained again"
    assert said in capsys.readouterr().err and said in (folder(tmp_path) / "run.log").read_text()
    assert explanations(folder(tmp_path)) == whole


def test_a_clip_that_resumes_inside_its_samples_ends_with_the_same_bytes(request_cell, tmp_path, monkeypatch):
    arguments = ("n_videos=1", "batch_size=4")
    run_cell(request_cell(*arguments), *NAMES)
    whole = explanations(folder(tmp_path))
    shutil.rmtree(tmp_path / "out")
    calls = []
    own = ToyNetwork.__call__

    def interrupted(network, clips):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return own(network, clips)

    with monkeypatch.context() as patched:
        patched.setattr(ToyNetwork, "__call__", interrupted)
        assert run_cell(request_cell(*arguments), *NAMES) == 130
    assert list((folder(tmp_path) / ".partial").iterdir())
    assert run_cell(request_cell(*arguments), *NAMES) == 0
    assert explanations(folder(tmp_path)) == whole


def test_a_full_disk_does_not_make_the_log_shout(tmp_path, capsys):
    with logging_to(tmp_path / "run.log"):
        log = logging.getLogger("lavx")
        (handler,) = [h for h in log.handlers if isinstance(h, logging.FileHandler)]
        handler.stream.close()
        handler.stream = open("/dev/full", "w")
        log.info("a line")
    assert capsys.readouterr().err == ""
