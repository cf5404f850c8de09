import os
import pickle
import signal
import subprocess
import sys
import threading

import pytest

from lavx import commands, stopping
from lavx.commands import gathering, guarded
from lavx.errors import RequestError
from lavx.experiments import job_statuses
from lavx.stopping import Stopped


@pytest.fixture(autouse=True)
def forgotten(monkeypatch):
    """No signal has come yet, and no job has ended."""
    monkeypatch.setattr(stopping, "_asked", None)
    monkeypatch.setattr(commands, "statuses", [])


@pytest.mark.parametrize(
    "stop, status, words",
    [
        (KeyboardInterrupt(), 130, "interrupted"),
        (Stopped(signal.SIGTERM), 143, "stopped by SIGTERM (a scheduler, or kill)"),
        (Stopped(signal.SIGHUP), 129, "stopped by SIGHUP (the terminal was closed)"),
    ],
)
def test_the_exit_status_is_the_conventional_one(stop, status, words):
    assert stopping.exit_status(stop) == status and stopping.reason(stop) == words
    assert stopping.exit_status(pickle.loads(pickle.dumps(stop))) == status  # as a worker of joblib returns it
    with pytest.raises(type(stop)):
        stopping.raise_again(status)


def test_another_status_is_nothing_to_stop_for():
    for status in (0, 1, 2):
        stopping.raise_again(status)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_a_job_and_a_second_one_does_not_disturb_that(number):
    cleaned = []

    def job():
        try:
            os.kill(os.getpid(), number)
            threading.Event().wait(10)
        finally:
            os.kill(os.getpid(), number)  # to the whole process group, and by the launcher once more
            cleaned.append(True)
        return 0

    with pytest.raises(Stopped) as stop:
        guarded(job)
    assert stopping.exit_status(stop.value) == 128 + number and cleaned and commands.statuses == [128 + number]
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_signal_that_somebody_else_ignores_or_handles_is_left_to_them():
    handled = []
    before = {
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_IGN),  # nohup
        signal.SIGTERM: signal.signal(signal.SIGTERM, lambda *_: handled.append(True)),  # submitit
    }
    try:
        with stopping.listening():
            os.kill(os.getpid(), signal.SIGHUP)
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert handled == [True]


def test_a_signal_whose_exception_was_swallowed_stops_at_the_next_chance():
    def job():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except BaseException:
            pass
        stopping.check()
        raise AssertionError

    with pytest.raises(Stopped):
        guarded(job)


def test_a_job_in_a_thread_needs_no_handlers():
    statuses = []
    thread = threading.Thread(target=lambda: statuses.append(guarded(lambda: 0)))
    thread.start()
    thread.join()
    assert statuses == [0]


def test_an_invalid_request_and_a_full_disk_are_one_line(capsys):
    def refused():
        raise RequestError("no such thing")

    def full():
        raise OSError(28, "No space left on device", "/x/y")

    assert (guarded(refused), guarded(full)) == (2, 2)
    err = capsys.readouterr().err.splitlines()
    assert err[0] == "lavx: no such thing" and err[1].startswith("lavx: cannot write (No space left on device)")
    assert len(err) == 2


def test_a_status_that_a_job_could_not_write_counts_as_failed(tmp_path):
    with gathering():
        job_statuses.gather(tmp_path)
        (folder,) = tmp_path.iterdir()
        (folder / "one").write_text("0")
        (folder / "two").write_text("")
    assert sorted(commands.statuses) == [0, 1] and not list(tmp_path.iterdir())


SCRIPT = """
import sys
from lavx.terminal import outlast_terminal, why_lost
outlast_terminal()
outlast_terminal()
for line in range(100_000):
    print("a line of some length", line)
print("still here", file=sys.stderr)
print(why_lost(), file=sys.stderr)
sys.exit(7)
"""


@pytest.mark.parametrize(
    "shell, words",
    [
        ("{} | head -1", "None"),
        ("{} >&-", "None"),
        ("{} > /dev/full", "No space left on device"),
        ("{} > /dev/null", "None"),
    ],
)
def test_what_nobody_can_read_vanishes_quietly(tmp_path, shell, words):
    (tmp_path / "script.py").write_text(SCRIPT)
    line = shell.format(f"{sys.executable} script.py")
    done = subprocess.run(["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"], cwd=tmp_path, capture_output=True,
                          text=True)  # fmt: skip
    assert done.returncode == 7
    assert done.stderr.splitlines() == ["still here", words]


def test_standard_error_may_be_gone_too(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    line = f"{sys.executable} script.py 2>&1 | head -1; exit ${{PIPESTATUS[0]}}"
    assert subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True).returncode == 7
