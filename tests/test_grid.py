import functools
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command import run_lavx
from filelock import FileLock
from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from hydra.utils import instantiate as hydra_instantiate
from outputs_tree import make_record

from lavx import commands
from lavx.commands.status import show
from lavx.commands.sweep import Gather, _keep_beside, planned_cells
from lavx.errors import RequestError
from lavx.experiments import job_statuses, status, workers
from lavx.experiments.compose import settings
from lavx.experiments.record import VideoRecord
from lavx.experiments.run import request

ONE = ("shapes", "tpn", "rise")


def make(root, name=ONE, errors=(None,), **content):
    folder = root.joinpath(*name)
    for number, error in enumerate(errors):
        video = folder / "videos" / f"v{number}"
        video.mkdir(parents=True)
        record = make_record(video.name) if error is None else VideoRecord.failed(video.name, None, error)
        (video / "metrics.json").write_text(record.to_json())
        if error is None:
            (video / "explanation.npz").write_bytes(b"arrays")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "status.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    "state, errors, total, expected",
    [
        ("done", (None, None), 2, "done"),
        ("running", (None,), 2, "stopped"),  # no lock is held: it was killed
        ("running", (None, None), 2, "done"),  # killed after its last video
        ("done", (None,), 2, "stopped"),  # someone deleted a video
        ("failed", (None, "bad"), 2, "failed"),
        ("running", (None, "bad"), 2, "failed"),
        ("waiting", (), 2, "waiting"),
        ("invalid", (), 2, "invalid"),
        ("unusable", (), 2, "invalid"),  # as lavx 0.1 wrote it
    ],
)
def test_the_state_of_a_cell_is_read_from_its_folder(tmp_path, state, errors, total, expected):
    make(tmp_path, errors=errors, state=state, total=total)
    found = status.status(tmp_path, ONE)
    assert found.state == expected
    assert (found.done, found.failed) == (errors.count(None), errors.count("bad"))


def test_a_damaged_record_counts_as_failed_and_is_named(tmp_path):
    folder = make(tmp_path, errors=(None, None, None), state="done", total=3)
    (folder / "videos" / "v1" / "metrics.json").write_text('{"video_id": "v1"')
    found = status.status(tmp_path, ONE)
    assert (found.state, found.done, found.failed) == ("failed", 2, 1)
    assert "v1/metrics.json is no result of lavx run (it is no JSON, or was cut off" in found.error


def test_only_a_held_lock_makes_a_cell_running(tmp_path):
    folder = make(tmp_path, state="running", total=3)
    (folder / ".workers").mkdir()
    lock = FileLock(folder / ".workers" / "host-1-abc")
    with lock:
        assert status.status(tmp_path, ONE).state == "running" and status.n_workers(folder) == 1
    (folder / ".workers" / "host-1-abc").touch()  # what a killed worker leaves
    assert status.status(tmp_path, ONE).state == "stopped"


def test_a_record_follows_a_worker(tmp_path):
    folder = make(tmp_path, errors=(None, "bad"), state="waiting", total=2)
    record = status.Record(folder, ["v0", "v1"])
    with record.working():
        assert status.status(tmp_path, ONE).state == "running"
        record.video_done(2.0)
        record.video_done(4.0)
        record.close()
    found = status.status(tmp_path, ONE)
    assert found == status.Status(ONE, "failed", 1, 1, 2, 3.0, 0, "v1: bad")
    assert set(json.loads((folder / "status.json").read_text())) == {
        "state", "done", "failed", "total", "started", "updated", "seconds_per_video", "host", "pid", "error",
    }  # fmt: skip
    assert status.requested(folder) == ["v0", "v1"]
    assert not list((folder / ".workers").iterdir())


def test_the_time_left_is_measured_or_taken_from_the_most_similar_cell(tmp_path):
    make(tmp_path, state="running", total=4, seconds_per_video=10.0)
    make(tmp_path, ("other", "tpn", "rise"), errors=(), state="waiting", total=3)
    make(tmp_path, ("other", "tpn", "lime"), errors=(), state="waiting", total=3)
    make(tmp_path, ("shapes", "tanet", "lime"), state="done", total=1, seconds_per_video=20.0)
    text = status.table([status.status(tmp_path, each) for each in status.cells(tmp_path)])
    lefts = {tuple(line.split()[:3]): line.split()[-2:] for line in text.splitlines()}
    assert lefts["shapes", "tpn", "rise"] == ["30", "s"]
    assert lefts["other", "tpn", "rise"] == ["30", "s"]
    assert lefts["other", "tpn", "lime"] == ["60", "s"]
    assert "Left: about 2 min for one worker" in text


@pytest.mark.parametrize(
    "states, others, expected",
    [
        (["done", "skipped"], [], 0),
        (["done", "running"], [], 0),
        (["done", "failed"], [], 1),
        (["done", "invalid"], [], 1),
        (["invalid", "invalid"], [2, 2], 2),
        (["done", "stopped"], [], 1),
        (["done", "waiting"], [], 1),
        (["done"], [2, 0], 1),
    ],
)
def test_the_exit_status_of_a_sweep(states, others, expected):
    statuses = [status.Status(ONE, state, 0, 0, 1, None, 0, None) for state in states]
    assert status.exit_status(statuses, others) == expected


def test_status_prints_the_table_and_names_what_there_is(tmp_path, capsys):
    make(tmp_path / "study", errors=("broken file",), state="failed", total=1)
    assert show([f"outputs={tmp_path}", "name=study"]) == 0
    out = capsys.readouterr().out
    assert "1 cells: 1 failed. 0 of 1 videos explained, 1 failed." in out
    assert "shapes/tpn/rise: v0: broken file" in out
    assert show([f"outputs={tmp_path}"]) == 2
    assert "holds no runs. There are runs of the names: study" in capsys.readouterr().err
    assert show(["nmae=study"]) == 2
    assert "unknown argument 'nmae=study'" in capsys.readouterr().err


def test_trainings_and_evaluations_are_no_cells(tmp_path):
    make(tmp_path, state="done", total=1)
    for other in ("training", "evaluation"):
        make(tmp_path, (other, "jhmdb21", "tpn"), state="done", total=1)
        (tmp_path / other / "jhmdb21" / "tpn" / "config.yaml").touch()
    assert status.cells(tmp_path) == [ONE] and status.cell_files(tmp_path, "config.yaml") == []


def launcher(name, **settings):
    return {"_target_": f"hydra_plugins.hydra_{name}_launcher.x"} | settings


@pytest.mark.parametrize(
    "request_, given, expected",
    [
        (3, None, 3),
        ("auto", None, None),
        ("auto", {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}, None),
        ("auto", launcher("joblib", n_jobs=2), 4),
        ("auto", launcher("joblib", n_jobs=-1), 1),
        ("auto", launcher("joblib", n_jobs=100), 1),
        ("auto", launcher("submitit", cpus_per_task=6), 6),
        ("auto", launcher("ray", ray={"remote": {"num_cpus": 2}}), 2),
        ("auto", launcher("ray", ray={"init": {}}), 1),
    ],
)
def test_threads_are_a_worker_s_share_of_the_cores(monkeypatch, request_, given, expected):
    monkeypatch.setattr(workers, "_cores", lambda: 8)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert workers.n_threads(request_, given) == expected


@pytest.mark.parametrize("bad", [0, -1, "many", True, 1.5])
def test_threads_are_checked(bad):
    with pytest.raises(RequestError, match="threads must be auto or a whole number >= 1"):
        workers.n_threads(bad, None)


def test_workers_spread_over_the_gpus_and_free_them(monkeypatch, tmp_path):
    monkeypatch.setattr(workers, "_gpus", lambda: ["a", "b"])
    monkeypatch.setattr(workers.tempfile, "gettempdir", lambda: str(tmp_path))
    with workers.device("auto") as first, workers.device("auto") as second:
        assert (first, second) == ("cuda:0", "cuda:1")
        with workers.device("auto") as third:
            assert third == "cuda:0"
        with workers.device("cuda:1") as asked:
            assert asked == "cuda:1"
    with workers.device("auto") as again:
        assert again == "cuda:0"
    monkeypatch.setattr(workers, "_gpus", lambda: ["a"])  # one visible: SLURM and Ray have chosen
    with workers.device("auto") as only:
        assert only == "auto"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    cache = tmp_path_factory.getbasetemp() / "grid-cache"
    cache.mkdir(exist_ok=True)
    return os.environ | {
        "LAVX_CACHE": str(cache),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parent),
        "RAY_AUTH_MODE": "disabled",  # Ray writes a token into the home folder otherwise
    }


@pytest.fixture
def lavx(environment, tmp_path):
    return functools.partial(run_lavx, folder=tmp_path, environment=environment, timeout=600)


@pytest.fixture
def multirun():
    """Composes the configuration of a sweep, as Hydra does when one begins."""
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    GlobalHydra.instance().clear()
    hydra = Hydra.create_main_hydra2("lavx", create_config_search_path("pkg://lavx.conf"))

    def compose_sweep(command, *overrides):
        return hydra.compose_config(command, list(overrides), run_mode=RunMode.MULTIRUN)

    yield compose_sweep
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize("name, n_cells", [("paper", 54), ("shapes", 27), ("smoke", 4)])
def test_the_experiments_plan_their_cells_and_the_command_line_narrows_them(multirun, name, n_cells):
    def plan(*overrides):
        config = multirun("run", f"+experiment={name}", *overrides)
        assert str(config.hydra.mode) == "RunMode.MULTIRUN"
        return planned_cells(config)

    planned, n_videos = plan()
    assert len(set(planned)) == n_cells
    assert {root for root, _ in planned} == {Path("outputs") / name}
    assert set(n_videos) == {1 if name == "smoke" else 30}
    planned, n_videos = plan("dataset=shapes", "net=tpn", "method=rise,loco", "n_videos=2", "name=mine")
    assert planned == [(Path("outputs/mine"), ("shapes", "tpn", m)) for m in ("rise", "loco")]
    assert n_videos == [2, 2]
    with pytest.raises(HydraException):
        plan("net=tpn,nonesuch")


@pytest.mark.parametrize(
    "overrides, roots",
    [
        (["outputs='my out'"], ["my out/default"]),
        (['outputs="it\'s, (here)"', "name='a=b'"], ["it's, (here)/a=b"]),
        (["outputs=a\\,b"], ["a,b/default"]),
        (["name='x, y',z"], ["outputs/x, y", "outputs/z"]),
        (["outputs='$HOME'", "name='\u00e9'"], ["$HOME/\u00e9"]),
        (["outputs=${oc.env:LAVX_TEST_ROOT}/x", "name=s${seed}", "seed=1,2"], ["/r t/x/s1", "/r t/x/s2"]),
    ],
)
def test_a_sweep_is_planned_where_its_jobs_write_whatever_the_folders_are_called(
    multirun, monkeypatch, tmp_path, overrides, roots
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LAVX_TEST_ROOT", "/r t")
    config = multirun("run", "method=rise,lime", *overrides)
    planned, _ = planned_cells(config)
    assert set(planned) == {(Path(r), ("shapes", "tpn", m)) for r in roots for m in ("rise", "lime")}
    _keep_beside(config)
    assert Path(config.hydra.sweep.dir) == Path(roots[0])  # multirun.yaml lies there too
    assert not list(tmp_path.iterdir())  # a plan writes nothing


def test_a_label_must_tell_the_variations_of_a_sweep_apart(multirun):
    counts = ("method=rise,lime", "method.sampling.n_samples=choice(300,1000)")
    planned, _ = planned_cells(multirun("run", *counts, "label='n ${method.sampling.n_samples}'"))
    assert [cell[2] for _, cell in planned] == ["rise-n 300", "rise-n 1000", "lime-n 300", "lime-n 1000"]
    planned, _ = planned_cells(multirun("run", "method=rise,lime", "n_videos=1,2", "label=x"))  # more of the same
    assert [cell[2] for _, cell in planned] == ["rise-x", "rise-x", "lime-x", "lime-x"]
    hint = r"label=x is that of several variations of rise in this sweep: sampling.n_samples=300; "
    with pytest.raises(
        RequestError, match=hint + r".*as label=x-\$\{method.sampling.n_samples\}, or leave it out"
    ):
        planned_cells(multirun("run", *counts, "label=x"))
    with pytest.raises(RequestError, match="removal=black; removal=blur. Label them in several commands, or"):
        planned_cells(multirun("run", "method/removal=black,blur", "label=x"))


@pytest.mark.parametrize("command", ["explain", "evaluate", "train"])
def test_jobs_tell_their_exit_statuses_in_the_folder_they_write_to(multirun, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(commands, "statuses", [])
    config = multirun(command, "outputs='my, out'", "name=a,b", "net=tpn,tanet")
    (callback,) = config.hydra.callbacks.values()
    with commands.gathering():
        hydra_instantiate(callback).on_multirun_start(config)
        place = Path(config.hydra.sweep.dir)
        assert place.is_relative_to("my, out/a") and [p.name[:7] for p in place.iterdir()] == [".sweep-"]
        assert [p.name for p in tmp_path.iterdir()] == ["my, out"]
        job_statuses.tell(1)
        job_statuses.tell(0)
    assert sorted(commands.statuses) == [0, 1] and not list(place.iterdir())
    job_statuses.tell(2)  # after the sweep
    with commands.gathering():
        pass
    assert sorted(commands.statuses) == [0, 1]


def test_a_sweep_that_cannot_write_says_so(multirun, capsys):
    config = multirun("train", "outputs=/proc/nothing", "seed=1,2")
    with pytest.raises(SystemExit) as stop:
        Gather().on_multirun_start(config)
    assert stop.value.code == 2
    assert "lavx: cannot write to /proc/nothing/default (" in capsys.readouterr().err


TINY = ("dataset=shapes", "net=tpn", "metric.n_steps=3", "n_videos=1")


def test_a_failing_cell_is_told_and_the_others_go_on_and_the_same_command_does_what_is_missing(lavx, tmp_path):
    grid_ = ("run", "-m", "method=univariate,loco", *TINY)
    blocked = tmp_path / "outputs/default/shapes/tpn/univariate"
    (blocked / "config.yaml").mkdir(parents=True)  # no file can be there
    done = lavx(*grid_)
    assert done.returncode == 1, done.stderr
    assert "2 cells: 1 invalid, 1 done. 1 of" in done.stdout
    assert "Traceback (most" not in done.stderr
    content = json.loads((blocked / "status.json").read_text())
    assert content["state"] == "invalid" and "univariate (Is a directory)" in content["error"]
    assert "shapes/tpn/univariate: cannot write to" in lavx("status").stdout
    (blocked / "config.yaml").rmdir()
    done = lavx(*grid_)
    assert done.returncode == 0, done.stderr
    assert "1 done, 1 skipped" in done.stdout or "1 skipped, 1 done" in done.stdout
    assert {p.name for p in (tmp_path / "outputs/default").iterdir()} == {
        "shapes",
        "multirun.yaml",
        ".segmentations",
    }


def test_a_sweep_into_folders_with_odd_names(lavx, tmp_path):
    done = lavx("run", "-m", "method=univariate,loco", "outputs='my, out'", 'name="it\'s",b', *TINY)
    assert done.returncode == 0, done.stderr
    assert "4 cells: 4 done" in done.stdout
    assert {p.name for p in tmp_path.iterdir()} == {"my, out"}
    assert {p.name for p in (tmp_path / "my, out").iterdir()} == {"it's", "b"}


def test_a_sweep_that_cannot_be_done_at_all_exits_with_2_and_a_refused_one_leaves_nothing(lavx, tmp_path):
    done = lavx("run", "-m", "method=loco,rise", "target=purple", *TINY)
    assert done.returncode == 2 and "2 cells: 2 invalid" in done.stdout
    done = lavx("run", "-m", "method=loco,rise", "nonesuch=1,2", "name=refused", *TINY)
    assert done.returncode == 2 and "nonesuch" in done.stderr and "cells:" not in done.stdout
    assert not list((tmp_path / "outputs").glob("refused/shapes"))


def test_videos_selected_are_those_of_the_selection_and_without_one_nothing_starts(tmp_path):
    with initialize_config_module("lavx.conf", version_base="1.3"):
        config = compose("run", overrides=[
            f"outputs={tmp_path}", f"dataset.root={tmp_path / 'cache'}", "dataset.n_videos=3", "n_videos=2",
            "videos=selected",
        ])  # fmt: skip
    with pytest.raises(RequestError, match="no selection .*shapes.json.*lavx select name=default.*videos=null"):
        request(settings(config), ONE)
    selections = tmp_path / "default" / "selections"
    selections.mkdir(parents=True)
    chosen = [{"video": "shapes-0002"}, {"video": "shapes-0000"}, {"video": "shapes-0001"}]
    (selections / "shapes.json").write_text(json.dumps({"videos": chosen}))
    assert [v.id for v in request(settings(config), ONE).videos] == ["shapes-0002", "shapes-0000"]


def _explanations(root):
    return {p.relative_to(root): p.read_bytes() for p in root.glob("*/*/*/videos/[!.]*/explanation.npz")}


LAUNCHERS = {
    "joblib": ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit": ["hydra/launcher=submitit_local"],
    "ray": [
        "hydra/launcher=ray",
        "+hydra.launcher.ray.init.num_cpus=2",
        "+hydra.launcher.ray.init.include_dashboard=false",
    ],
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(("-m", "method=loco,univariate", *TINY), id="two_cells"),
        pytest.param(("+experiment=smoke",), id="smoke", marks=pytest.mark.slow),
    ],
)
def sweep(request, environment, tmp_path_factory):
    """A sweep's arguments, and the explanations of it by Hydra's own launcher."""
    arguments = ("run", *request.param, "threads=1")
    folder = tmp_path_factory.mktemp("basic")
    done = run_lavx(*arguments, "name=basic", folder=folder, environment=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    return arguments, _explanations(folder / "outputs" / "basic")


@pytest.mark.parametrize("name", LAUNCHERS)
def test_all_launchers_give_the_same_bytes(lavx, tmp_path, sweep, name):
    arguments, expected = sweep
    done = lavx(*arguments, f"name={name}", *LAUNCHERS[name])
    assert done.returncode == 0, done.stderr
    assert f"{len(expected)} cells: {len(expected)} done" in done.stdout
    assert len(expected) >= 2 and _explanations(tmp_path / "outputs" / name) == expected


@pytest.mark.slow
def test_two_workers_on_one_grid_neither_double_nor_spoil_it(lavx, environment, tmp_path):
    arguments = ["run", "-m", "method=loco,univariate", *TINY, "n_videos=4", "threads=1"]
    assert lavx(*arguments, "name=whole").returncode == 0
    command = [sys.executable, "-m", "lavx", *arguments, "name=twice"]
    pair = [
        subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = "".join(process.communicate()[0] for process in pair)
    assert [process.returncode for process in pair] == [0, 0]
    lines = [line for line in printed.splitlines() if line.startswith("shapes-0") and "deletion AUC" in line]
    assert len(lines) == 8  # each video was explained once
    assert _explanations(tmp_path / "outputs/twice") == _explanations(tmp_path / "outputs/whole")
    assert "2 cells: 2 done" in lavx("status", "name=twice").stdout


N_KILLS = 20


@pytest.mark.slow
def test_twenty_kills_lose_nothing(lavx, environment, tmp_path):
    """Two workers at once on a small grid, one of them killed (SIGKILL) at a random moment and started again."""
    rng = random.Random(0)
    arguments = ["run", "-m", "method=loco,univariate", *TINY, "n_videos=6", "threads=1"]
    assert lavx(*arguments, "name=whole").returncode == 0
    whole = _explanations(tmp_path / "outputs/whole")
    cut = tmp_path / "outputs/cut"

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "lavx", *arguments, "name=cut"], cwd=tmp_path, env=environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    kills, lost, torn, seen, in_a_cell, rounds = 0, 0, 0, {}, 0, 1
    processes = [start(), start()]
    try:
        while kills < N_KILLS:
            index = rng.randrange(2)
            process = processes[index]
            mine = f"*/*/*/.workers/*-{process.pid}-*"
            if kills % 4 == 0:  # at any moment, starting up as a rule
                time.sleep(rng.uniform(0, 4.0))
            else:  # while it is at work on a cell
                while process.poll() is None and not list(cut.glob(mine)):
                    time.sleep(0.02)
                time.sleep(rng.uniform(0, 3.0))
            if process.poll() is None:
                in_a_cell += bool(list(cut.glob(mine)))
                process.kill()
                process.wait()
                kills += 1
            after = _explanations(cut)
            lost += len(seen.keys() - after.keys())
            torn += sum(content != whole[path] for path, content in after.items())
            seen = after
            if len(after) == len(whole):  # all done before there were kills enough: again from nothing
                for process in processes:
                    process.kill()
                    process.wait()
                shutil.rmtree(cut)
                seen, processes, rounds = {}, [start(), start()], rounds + 1
            else:
                processes[index] = start()
    finally:
        for process in processes:
            process.kill()
            process.wait()
    done = lavx(*arguments, "name=cut")
    final = _explanations(cut)
    lost += len(whole.keys() - final.keys())
    torn += sum(content != whole[path] for path, content in final.items())
    print(
        f"\n{kills} kills, {in_a_cell} of them in a cell, in {rounds} rounds of {len(whole)} videos: "
        f"{lost} videos lost, {torn} torn or different"
    )
    assert done.returncode == 0, done.stderr
    assert (kills, lost, torn) == (N_KILLS, 0, 0) and final == whole
    assert not list(cut.glob("*/*/*/videos/.*")) and not list(cut.glob("*/*/*/.partial/*"))
    for file in cut.glob("*/*/*/status.json"):
        assert json.loads(file.read_text())["state"] == "done"
