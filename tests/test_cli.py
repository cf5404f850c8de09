"""The installed command, as a user types it."""

import errno
import functools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import run_lavx

import lavx
from lavx import cli
from lavx.commands.cell_name import cell_name

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    return os.environ | {"LAVX_CACHE": str(tmp_path_factory.mktemp("cli-cache"))}


@pytest.fixture
def command(environment, tmp_path):
    return functools.partial(run_lavx, folder=tmp_path, environment=environment)


SMALL = ("n_videos=1", "method.sampling.n_samples=20", "metric.n_steps=4")


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_the_commands(command, arguments):
    done = command(*arguments)
    assert done.returncode == 0 and "lavx <command>" in done.stdout and "  run " in done.stdout


def test_version(command):
    assert command("--version").stdout == f"lavx {lavx.__version__}\n"


def test_a_misspelt_command_is_answered(command):
    done = command("rnu")
    assert done.returncode == 2 and "unknown command 'rnu'. Did you mean run?" in done.stderr


def test_run_help_says_a_line_on_each_group(command):
    done = command("run", "--help")
    assert done.returncode == 0
    for group in ("dataset ", "net ", "method ", "method/segmentation", "method/summary", "metric "):
        assert f"  {group}" in done.stdout


def test_the_configuration_can_be_printed(command):
    done = command("run", "--cfg", "job", "method=lime")
    assert done.returncode == 0 and "lavx.methods.summary.Ridge" in done.stdout


def test_an_unknown_option_names_the_allowed_ones(command):
    done = command("run", "method=ricse")
    assert done.returncode == 2 and "rise" in done.stderr and "lime" in done.stderr


def test_an_unusable_request_exits_with_2_and_no_traceback(command):
    done = command("run", "target=purple")
    assert done.returncode == 2
    assert done.stderr.startswith("lavx: target=purple") and "Traceback" not in done.stderr


def test_run_in_any_folder_writes_its_results_there_and_is_quiet_without_a_terminal(command, tmp_path):
    done = command("run", *SMALL)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    folder = tmp_path / "outputs" / "default" / "shapes" / "tpn" / "rise-sampling.n_samples=20"
    assert f"Results: {folder}" in done.stdout
    assert (folder / "videos" / "shapes-0000" / "panel.png").stat().st_size > 10_000


def test_a_sweep_and_a_method_of_ones_own_from_a_folder_outside(command, tmp_path):
    own = tmp_path / "conf" / "method"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("defaults: [rise, override removal: gray]\n")
    done = command("run", "-m", "--config-dir", str(tmp_path / "conf"), "method=mine", "seed=0", *SMALL)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "outputs/default/shapes/tpn").glob("mine-*/results.csv"))


def test_a_label_is_in_the_folder_s_name_and_no_part_of_what_is_computed(command, tmp_path):
    label = "label='n ${method.sampling.n_samples}'"
    done = command("run", "-m", "method.sampling.n_samples=20,30", label, "n_videos=1", "metric.n_steps=4")
    assert done.returncode == 0 and "2 cells: 2 done" in done.stdout, done.stderr
    place = tmp_path / "outputs/default/shapes/tpn"
    assert {p.name for p in place.iterdir()} == {"rise-n 20", "rise-n 30"}
    content = json.loads((place / "rise-n 30" / "cell.json").read_text())
    assert content == {"method": "rise", "label": "n 30", "changes": ["sampling.n_samples=30"]}
    assert "label" not in (place / "rise-n 30" / "config.yaml").read_text()
    (place / "rise-n 30").rename(place / "rise-other")
    (place / "rise-other" / "cell.json").unlink()  # as lavx 0.1 left it
    again = command("run", "method.sampling.n_samples=30", "label=other", "n_videos=1", "metric.n_steps=4")
    assert again.returncode == 0 and "1 of 1 videos are done already" in again.stdout
    assert json.loads((place / "rise-other" / "cell.json").read_text())["label"] == "other"
    done = command("run", "label=a/b", *SMALL)
    assert done.returncode == 2 and done.stderr.startswith("lavx: label=a/b must be 1 to 40 letters")


def test_a_failing_cell_of_a_sweep_does_not_stop_the_others(command, tmp_path):
    done = command("run", "-m", "target=purple,predicted", *SMALL)
    assert done.returncode == 1 and "lavx: target=purple" in done.stderr
    assert list((tmp_path / "outputs/default/shapes/tpn").glob("*/results.csv"))


def test_changed_steps_are_in_the_folder_s_name():
    overrides = ["net=tpn", "method=lime", "method/removal=blur", "method.sampling.n_samples=5", "seed=1"]
    name = cell_name(overrides, {"dataset": "shapes", "net": "tpn", "method": "lime"})
    assert name == ("shapes", "tpn", "lime-sampling.n_samples=5-removal=blur")


@pytest.mark.parametrize("send", [signal.SIGKILL, signal.SIGINT])
def test_a_run_that_is_killed_goes_on_to_the_same_bytes(command, environment, tmp_path, send):
    # A process in the background of a script ignores SIGINT, and so would its children.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    arguments = ["run", "n_videos=3", "method.sampling.n_samples=300", "metric.n_steps=20"]
    assert command(*arguments, "name=whole").returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "lavx", *arguments, "name=cut"], cwd=tmp_path, env=environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    signal.signal(signal.SIGINT, previous)
    cut = tmp_path / "outputs" / "cut"
    while not list(cut.glob("**/videos/[!.]*/metrics.json")) and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(send)
    stderr = process.communicate()[1]
    assert process.returncode == (130 if send == signal.SIGINT else -send)
    if send == signal.SIGINT:
        assert "interrupted" in stderr and "Traceback" not in stderr
    done = command(*arguments, "name=cut")
    assert done.returncode == 0 and "videos are done already" in done.stdout
    whole = sorted((tmp_path / "outputs" / "whole").glob("**/explanation.npz"))
    assert len(whole) == 3
    for file in whole:
        twin = cut / file.relative_to(tmp_path / "outputs" / "whole")
        assert twin.read_bytes() == file.read_bytes()


def test_a_disk_on_which_hydra_cannot_write_is_one_line(monkeypatch, capsys):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device", "multirun.yaml")

    monkeypatch.setitem(sys.modules, "lavx.commands.status", SimpleNamespace(main=full))
    monkeypatch.setattr(sys, "argv", ["lavx", "status"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 2
    assert (
        capsys.readouterr().err == "lavx: cannot write multirun.yaml (No space left on device); set outputs=...\n"
    )
