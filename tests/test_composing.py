"""What command lines and configuration files may say before a job begins; a refusal is one line, exit status 2."""

from __future__ import annotations

import os

import pytest
from command import run_lavx
from hydra.core.override_parser.overrides_parser import OverridesParser

from lavx.errors import RequestError
from lavx.experiments.overrides import quoted, readable


def value(override: str) -> object:
    return OverridesParser.create().parse_override(override).value()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["n_videos=1", "-m", "seed=0,1"], ["-m", "n_videos=1", "seed=0,1"]),
        (["seed=1", "--config-dir", "a=b", "name=x"], ["--config-dir", "a=b", "seed=1", "name=x"]),
        (["seed=1", "--cfg", "job"], ["--cfg", "job", "seed=1"]),
        (["--info", "plugins"], ["--info", "plugins"]),
        (["--info"], ["--info"]),
        (["--help"], ["--help"]),
        ([], []),
    ],
)
def test_options_may_stand_after_overrides(arguments, expected):
    assert readable(arguments) == expected


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("videos=[a(b).mp4,c d]", ["a(b).mp4", "c d"]),
        ("videos=['a,b(c)', \"d(e)\"]", ["a,b(c)", "d(e)"]),
        ("video=my (1).mp4", "my (1).mp4"),
        ("dataset.root=C:\\videos (old)\\", "C:\\videos (old)\\"),
        ("name=it's", "it's"),
        ("+videos=[a(b)]", ["a(b)"]),
    ],
)
def test_names_and_paths_may_hold_anything(override, expected):
    (found,) = readable([override])
    assert value(found) == expected


@pytest.mark.parametrize(
    "text", ["a'b", "a\\", "a\\'b", "\\\\x", "a\nb", "it's \\' ok\\\\", "", "(x)", "${y}x"[1:]]
)
def test_quoting_keeps_every_text(text):
    assert value(f"x={quoted(text)}") == text


def test_what_hydra_reads_stays_as_it_is():
    overrides = ["videos=[a,b]", "n_videos=null", "net={_target_: x.Y}", "+a@b=c", "~x", "x=[1,2]", "name='a b'"]
    assert readable(overrides) == overrides


def test_keys_of_a_part_are_left_to_the_jobs_of_a_sweep():
    arguments = ["-m", "method=lime,loco", "method.segmentation.n_segments=60", "seed=1", "net.x=1,2"]
    assert readable(arguments) == ["-m", "method=lime,loco", "method.segmentation.n_segments=choice(60)", "seed=1",
                                   "net.x=1,2"]  # fmt: skip
    assert readable(arguments[1:3]) == arguments[1:3]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("method=(1", r"^'method=\(1' cannot be read: .*Put texts in quotes"),
        ("rise", "^'rise' is no override: write key=value"),
        ("--experimental-rerun=x.pickle", "^--experimental-rerun reads a pickle"),
    ],
)
def test_what_cannot_be_read_is_refused(argument, message):
    with pytest.raises(RequestError, match=message) as refused:
        readable([argument])
    assert "\n" not in str(refused.value)


CALLS_HOME = "{_target_: builtins.open, file: called, mode: w}"
FILES = {
    "method/broken.yaml": "a: [1\n",
    "method/foreign.yaml": "defaults: [lime, _self_]\nremoval: {_target_: of_mine.Removal}\n",
    "experiment/callback.yaml": f"# @package _global_\nhydra: {{callbacks: {{x: {CALLS_HOME}}}}}\n",
    "experiment/logging.yaml": "# @package _global_\nhydra: {job_logging: {handlers: {x: {'()': os.getcwd}}}}\n",
    "experiment/moved.yaml": "# @package _global_\ndefaults: [{'/method@hydra.callbacks.x': lime}]\n",
    "experiment/header.yaml": f"# @package hydra.callbacks\nx: {CALLS_HOME}\n",
    "experiment/swept.yaml": "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {net._target_: x.Y}}}"
    "\n",
    "hydra/launcher/mine.yaml": f"_target_: x.Y\nx: {CALLS_HOME}\n",
}
REFUSED = [
    (["method=broken"], "broken.yaml, line 2, column 1 is no YAML: expected ',' or ']'"),
    (["method=foreign"], "method.removal._target_=of_mine.Removal runs code"),
    (["+experiment=callback"], "experiment/callback: hydra.callbacks starts code"),
    (["+experiment=logging"], "experiment/logging: hydra.job_logging starts code"),
    (["+experiment=moved"], "experiment/moved: `/method@hydra.callbacks.x` starts code"),
    (["+experiment=header"], "experiment/header: a part of hydra starts code"),
    (["hydra/launcher=mine"], "hydra/launcher/mine: a part of hydra starts code"),
    (["method=nonesuch"], "Could not find 'method/nonesuch' Available options in 'method': auto broken center"),
    (["method.nonesuch=1"], "full_key: method.nonesuch"),
    (["name=a\nb"], "name must be that of one folder"),
    (["net.trust_checkpoint=no"], "net.trust_checkpoint must be True or False, got 'no'"),
    (["metric.n_steps=nan"], "metric.n_steps must be auto or a whole number >= 1, got nan"),
    (["videos=[]"], "videos must be a list of one or more ids"),
    (["videos=7"], r"videos must be a list of ids, such as [7]"),
    (["-m", "method=rise,lime", "method.segmentation.n_segments=60"],
     "method.segmentation.n_segments is no key with method=rise. Sweep in one command"),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    here = tmp_path_factory.mktemp("here")
    for name, text in FILES.items():
        file = here / "conf" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return here


@pytest.mark.parametrize(("arguments", "message"), REFUSED, ids=lambda x: x[0] if isinstance(x, list) else "")
def test_each_refusal_is_one_line(folder, arguments, message):
    done = run_lavx("run", "--config-dir", "conf", *arguments, folder=folder, environment=dict(os.environ))
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("lavx: ") and message in done.stderr, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not (folder / "called").exists()


def test_what_a_file_sweeps_over_is_not_trusted(folder):
    arguments = ["--config-dir", "conf", "+experiment=swept"]
    done = run_lavx("run", *arguments, folder=folder, environment=dict(os.environ))
    assert "lavx: net._target_=x.Y runs code" in done.stderr and "Traceback" not in done.stderr
    assert done.returncode != 0


def test_all_of_an_error_is_shown_where_that_is_asked_for(folder):
    environment = dict(os.environ) | {"HYDRA_FULL_ERROR": "1"}
    done = run_lavx("run", "method=nonesuch", folder=folder, environment=environment)
    assert "Traceback" in done.stderr and done.returncode != 0
