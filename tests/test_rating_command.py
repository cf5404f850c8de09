from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
import yaml
from rating import begin, make_explanations

from lavx import cli
from lavx.commands import rate as command
from lavx.errors import RequestError
from lavx.experiments.settings import nested

CONF = Path(__file__).parents[1] / "conf"


def settings(**changes):
    config = yaml.safe_load((CONF / "rate.yaml").read_text())
    config["visualization"] = yaml.safe_load((CONF / "method" / "visualization" / "study.yaml").read_text())
    return nested({key: config[key] for key in config if key not in ("defaults", "hydra")} | changes)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("outputs")
    make_explanations(folder, methods=("rise", "lime"), n_videos=2)
    return folder


@pytest.mark.parametrize("changes, message", [
    ({"port": -1}, "port must be a whole number >= 0, got -1"), ({"port": 70000}, "port must be at most 65535"),
    ({"action": "dance"}, "action must be one of serve, export, power, demo, got dance"),
    ({"design": "stars"}, "design must be one of likert, slider, pairs, got 'stars'"),
    ({"methods": "rise"}, r"methods must be a list such as \[rise,lime\], or null, got 'rise'"),
    ({"question": 5}, "question must be a text, or null for the usual one, got 5"),
    ({"consent": 5}, "consent must be null, true or a text file, got 5"),
    ({"consent": "/none.txt"}, "consent must be null, true or a text file; /none.txt cannot be read"),
    ({"instructions": True}, "instructions must be null or a text file, got True"),
    ({"raters": 0}, "raters must be null .* a number, or a list of different names, got 0"),
    ({"raters": ["a", "a"]}, r"raters must be null .* of at most 64 characters, got \['a', 'a'\]"),
    ({"raters": ["a\nb"]}, "of at most 64 characters"),
    ({"hosts": "x"}, r"hosts must be a list of host names such as \[study.example.org\], got 'x'"),
    ({"methods": ["gradcam"]}, "methods must be of those that .* holds, lime, rise, got gradcam"),
    ({"seconds": 0.6, "side": 64}, None),
])  # fmt: skip
def test_invalid_settings_are_refused(outputs, changes, message):
    given = settings(outputs=str(outputs), **({"port": 0} | changes))
    if message is None:
        assert command.protocol_of(given).seconds == 0.6
        return
    with pytest.raises(RequestError, match=message):
        command.rate(given)


def test_a_text_of_ones_own(outputs, tmp_path):
    (tmp_path / "consent.txt").write_text("I agree to everything.\n")
    given = command.protocol_of(settings(consent=str(tmp_path / "consent.txt")))
    assert given.consent == "I agree to everything."
    assert "voluntary" in command.protocol_of(settings(consent=True)).consent
    assert command.protocol_of(settings(consent=False)).consent is None
    (tmp_path / "empty.txt").write_text(" \n")
    with pytest.raises(RequestError, match="empty.txt is empty"):
        command.protocol_of(settings(consent=str(tmp_path / "empty.txt")))


def test_the_paper_is_the_default():
    protocol = command.protocol_of(settings())
    assert (protocol.design, protocol.range, protocol.seed) == ("likert", (-2, 2), 0)
    extras = (protocol.practice, protocol.attention, protocol.repeats, protocol.remarks, protocol.consent)
    assert extras == (0, 0, 0, False, None) and protocol.items_per_rater is None
    assert protocol.visualization["_target_"] == "lavx.methods.visualization.Study"


def test_the_loop_is_long_enough_for_every_frame(tmp_path):
    run = make_explanations(tmp_path, methods=("rise",), n_videos=1, nets={"tpn": (60, 8, 8)})
    with pytest.raises(RequestError, match="seconds must be at least 4, got 2: the longest clip has 60 frames"):
        begin(run, seconds=2.0)
    study, store = begin(run)
    assert study.content.seconds == 4
    store.close()


def test_power_is_said_before_the_study_begins(outputs, capsys):
    assert command.rate(settings(outputs=str(outputs), action="power", attention=1)) == 0
    said = capsys.readouterr().out
    pattern = (
        r"Power: 3 raters x 4 explanations tell a difference of 0.5 .* apart with probability 0\.\d\d \(assumed"
    )
    assert re.match(pattern, said) and not (outputs / "default" / "rating").exists()
    for changes, message in (({"difference": 0}, "power.difference"), ({"sd_noise": -1}, "power.sd_noise")):
        given = settings(outputs=str(outputs), action="power")
        with pytest.raises(RequestError, match=message):
            command.rate(settings(outputs=str(outputs), action="power", power=given.power | changes))


def test_without_its_packages_the_command_says_how_to_get_them(outputs, monkeypatch):
    monkeypatch.setitem(sys.modules, "starlette", None)
    with pytest.raises(RequestError, match=r'lavx rate serves a page .* pip install "lavx\[rate\]"'):
        command.rate(settings(outputs=str(outputs)))


def test_export_without_a_study_is_refused(outputs):
    with pytest.raises(RequestError, match="holds no study. Begin one with lavx rate"):
        command.rate(settings(outputs=str(outputs), action="export", name="default"))


@pytest.mark.parametrize("given, read", [
    (["export", "name=x"], ["action=export", "name=x"]), (["--demo"], ["action=demo"]),
    (["power"], ["action=power"]),    (["name=export"], ["name=export"]),
])  # fmt: skip
def test_what_is_to_be_done_is_the_first_word(given, read):
    assert cli._spelled_out("rate", given) == read and cli._spelled_out("run", given) == given


def started(folder, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-m", "lavx", "rate", *arguments], cwd=folder, stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    lines = []
    assert process.stdout is not None
    while not (lines and lines[-1].startswith("Ratings: ")):
        lines.append(process.stdout.readline())
        assert lines[-1], "".join(lines)
    return process, "".join(lines)


def test_the_command_serves_a_study_until_it_is_stopped(tmp_path):
    make_explanations(tmp_path / "outputs", methods=("rise", "lime"), n_videos=1)
    process, said = started(tmp_path, "port=0", "raters=[ada,ben]", "side=64")
    try:
        link = re.search(r"ada: (http://127\.0\.0\.1:\d+)(/r/[\w-]{22})\n", said)
        assert link and "ben: http" in said and "2 explanations of 1 video:" in said
        with httpx2.Client(base_url=link[1]) as client:
            state = client.post(f"{link[2]}/agree", json={}).json()
            content = {"token": state["token"], "attempt": 0, "value": 2, "reaction_ms": 900}
            assert client.post(f"{link[2]}/answer", json=content).json()["done"] == 1
        given = {"outputs": str(tmp_path / "outputs"), "side": 64}
        with pytest.raises(RequestError, match="another lavx rate is serving the study"):
            command.rate(settings(port=0, **given))
        port = int(link[1].rsplit(":", 1)[1])
        with pytest.raises(
            RequestError, match=f"port {port} is in use already. Give another one: port={port + 1}"
        ):
            command.rate(settings(port=port, **given))
        assert command.rate(settings(action="export", **given)) == 0
    finally:
        process.send_signal(signal.SIGINT)
        rest = process.communicate(timeout=60)[0]
    assert process.returncode == 0 and "Every answer is stored" in rest
    table = (tmp_path / "outputs" / "default" / "ratings.csv").read_text().splitlines()
    assert len(table) == 2 and table[1].startswith("ada,one,tpn,")


@pytest.mark.slow
def test_the_demo_explains_embedded_videos_and_shows_the_page(tmp_path):
    start = time.monotonic()
    process, said = started(tmp_path, "--demo", "port=0")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert "12 explanations of 2 videos: 1 dataset (shapes), 1 network (tpn), 6 methods" in said
    print(f"{time.monotonic() - start:.0f} s")
