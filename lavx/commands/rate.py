"""`lavx rate`: a blind user study over the explanations of an outputs folder."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hydra
from omegaconf import DictConfig

from lavx.commands import OK, guarded
from lavx.errors import RequestError, check_whole
from lavx.files import writing_to
from lavx.networks.extras import import_extra
from lavx.stopping import Stopped
from lavx.text import visible

if TYPE_CHECKING:
    from lavx.experiments.settings import Settings
    from lavx.rating.protocol import Protocol
    from lavx.rating.store import Rater, Store
    from lavx.rating.study import Study

ACTIONS = ("serve", "export", "power", "demo")
_LONGEST_NAME = 64
_SETTINGS = (
    "design", "n_videos", "items_per_rater", "practice", "attention", "repeats", "remarks", "seed", "side",
    "seconds",
)  # fmt: skip


@hydra.main(version_base="1.3", config_path="pkg://lavx.conf", config_name="rate")
def main(config: DictConfig) -> int:
    """Do what Hydra composed; returns the exit status."""

    def job() -> int:
        from lavx.experiments.compose import settings

        return rate(settings(config))

    return guarded(job)


def rate(config: Settings) -> int:
    """Do what `action` says; returns the exit status."""
    check_whole(config, "port", 0)
    if config.port > 65535:
        raise RequestError(f"port must be at most 65535, got {config.port}")
    run = Path(config.outputs).expanduser() / config.name
    actions = {"serve": _serve, "export": _export, "power": _power, "demo": _demo}
    if config.action not in actions:
        raise RequestError(f"action must be one of {', '.join(ACTIONS)}, got {config.action}")
    return actions[config.action](config, run)


def protocol_of(config: Settings) -> Protocol:
    """The protocol that the settings describe.

    Raises:
        RequestError: if they describe none, naming the key.
    """
    from lavx.rating.protocol import CONSENT, Protocol

    given: dict[str, Any] = {
        "question": _string("question", config.question),
        "instructions": _text_file("instructions", config.instructions, None) or "",
        "consent": _text_file("consent", config.consent, CONSENT),
        **{key: config[key] for key in _SETTINGS},
    }
    methods = config.methods
    if methods is not None and not isinstance(methods, list):
        raise RequestError(f"methods must be a list such as [rise,lime], or null, got {methods!r}")
    try:
        return Protocol(
            methods=None if methods is None else tuple(map(str, methods)),
            visualization=dict(config.visualization),
            **given,
        )
    except ValueError as error:
        raise RequestError(str(error)) from error


def _string(key: str, value: object) -> str:
    if value is not None and not isinstance(value, str):
        raise RequestError(f"{key} must be a text, or null for the usual one, got {value!r}")
    return (value or "").strip()


def _text_file(key: str, value: object, usual: str | None) -> str | None:
    """The text that a setting asks for: none, lavx's own, or that of a file."""
    if value is None or value is False:
        return None
    if value is True and usual is not None:
        return usual
    allowed = "null, true or a text file" if usual is not None else "null or a text file"
    if not isinstance(value, str):
        raise RequestError(f"{key} must be {allowed}, got {value!r}")
    try:
        text = Path(value).expanduser().read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise RequestError(f"{key} must be {allowed}; {value} cannot be read ({error})") from error
    if not text:
        raise RequestError(f"{key} must be {allowed}; {value} is empty")
    return text


def _needs_extra() -> None:
    try:
        import_extra("starlette", "rate")
        import_extra("uvicorn", "rate")
    except ModuleNotFoundError as error:
        raise RequestError(f"lavx rate serves a page with packages that are not installed: {error}") from error


def _serve(config: Settings, run: Path) -> int:
    """Serve the study's page until the process is asked to stop."""
    _needs_extra()
    from lavx.experiments.compose import build
    from lavx.rating import serving
    from lavx.rating.store import Store
    from lavx.rating.study import color_bar, open_study, served_alone

    protocol, names, hosts = protocol_of(config), _raters(config.raters), _hosts(config.hosts)
    visualization = build(config.visualization, "visualization")
    listener = serving.listening(config.host, config.port)
    try:
        study = open_study(run, protocol, visualization, _Progress())
        for note in study.notes:
            print(visible(note))
        print(visible(f"Study: {study.summary()}."))
        with served_alone(study.folder), writing_to(study.folder):
            store = Store(study.file, study.content)
            try:
                invited = [store.enroll(name).result() for name in names or ()]
                _announce(config, study, store, invited, listener.getsockname()[1])
                _run(config, study, store, color_bar(visualization), hosts, listener)
            finally:
                store.close()
    finally:
        listener.close()
    return OK


def _run(
    config: Settings,
    study: Study,
    store: Store,
    colors: tuple[list[str], tuple[str, str]] | None,
    hosts: Sequence[str],
    listener: Any,
) -> None:
    from lavx.rating import serving
    from lavx.rating.server import LOOPBACK, Pages, application

    loopback = serving.is_loopback(config.host)
    own = [] if loopback else [config.host, *serving.own_names()]
    pages = Pages(store, study.media, colors, config.raters is None, None if loopback else study.content.key)
    try:
        serving.serve(application(pages, {*LOOPBACK, *own, *hosts}, any_address=not loopback), listener)
    except Stopped:
        raise
    except KeyboardInterrupt:
        print("Stopped. Every answer is stored; the same command goes on with the study.")


def _announce(config: Settings, study: Study, store: Store, invited: Sequence[Rater], port: int) -> None:
    """Say what is to be done now: addresses to open, where ratings go."""
    from lavx.rating import serving

    known = store.raters().result()
    print(_estimate(config, study, max(len(known), config.power.n_raters)))
    key = None if serving.is_loopback(config.host) else study.content.key
    root = serving.address(config.host, port, None).rstrip("/")
    if config.raters is None:
        print(f"Raters begin at {serving.address(config.host, port, key)}")
        links = known
    else:
        links = list(invited)
    for rater in links:
        print(visible(f"  {rater.name}: {root}/r/{rater.link}"))
    if key is not None:
        print(
            "Answers cross the network unencrypted: outside of a lab's own network, put an HTTPS proxy in front."
        )
    print(f"Ratings: {study.file.resolve()}. Ctrl-C stops; lavx rate export writes the table.", flush=True)


def _estimate(config: Settings, study: Study, n_raters: int) -> str:
    scheduler = study.scheduler
    groups = list(scheduler.groups)
    n_videos = len({(dataset, video) for dataset, _, video in groups})
    n_nets = max(1, round(len(groups) / n_videos))
    seen = max(1, round(scheduler.n_groups / n_nets))
    return _power_line(config, study.content.protocol, n_raters, n_videos, n_nets, seen, scheduler.n_items)


def _power_line(
    config: Settings, protocol: Protocol, n_raters: int, n_videos: int, n_nets: int, seen: int, n_items: int
) -> str:
    from lavx import checks
    from lavx.rating.analysis import Spread, power

    wanted = config.power
    try:
        difference = checks.positive("power.difference", wanted.difference)
        spread = Spread(
            *(checks.at_least(f"power.sd_{n}", wanted[f"sd_{n}"]) for n in ("rater", "video", "noise"))
        )
    except ValueError as error:
        raise RequestError(str(error)) from error
    scale = protocol.range if protocol.design == "slider" else (-2, 2)
    found = power(
        n_raters, n_videos, difference, spread, scale=scale, pairs=protocol.design == "pairs", n_nets=n_nets,
        videos_per_rater=seen, seed=protocol.seed, n_studies=_n_studies(n_raters * n_videos * n_nets),
    )  # fmt: skip
    what = "pairs" if protocol.design == "pairs" else "explanations"
    return (
        f"Power: {n_raters} raters x {n_items} {what} tell a difference of {difference:g} between two methods "
        f"apart "
        f"with probability {found:.2f} (assumed standard deviations: rater {spread.rater:g}, video "
        f"{spread.video:g}, "
        f"single rating {spread.noise:g})."
    )


def _n_studies(cells: int) -> int:
    """Simulated studies: a thousand, fewer where that would take minutes."""
    return max(100, min(1000, 10_000_000 // cells))


def _raters(given: object) -> list[str] | None:
    """Names of the raters who get links of their own; None where anybody may begin."""
    allowed = "raters must be null (whoever has the address), a number, or a list of different names"
    if given is None:
        return None
    if isinstance(given, int) and not isinstance(given, bool) and given > 0:
        return [f"r{k + 1:03d}" for k in range(given)]
    if not isinstance(given, list) or not given:
        raise RequestError(f"{allowed}, got {given!r}")
    names = [str(name).strip() for name in given]
    if len(set(names)) < len(names) or any(not 0 < len(n) <= _LONGEST_NAME or n != visible(n) for n in names):
        raise RequestError(f"{allowed} of at most {_LONGEST_NAME} characters, got {given!r}")
    return names


def _hosts(given: object) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(name, str) and name for name in given):
        raise RequestError(f"hosts must be a list of host names such as [study.example.org], got {given!r}")
    return given


class _Progress:
    """Says how far the preparation of the videos is, now and then."""

    def __init__(self) -> None:
        self._said = 0.0

    def __call__(self, done: int, total: int) -> None:
        share = done / total
        if done == total or share - self._said >= 0.25:
            self._said = share
            print(f"Videos prepared: {done} of {total}", flush=True)


def _export(config: Settings, run: Path) -> int:
    """Write `ratings.csv` and a copy of the study's file."""
    from lavx.rating.ratings import export
    from lavx.rating.study import study_file

    table, copy = run / "ratings.csv", run / "ratings.sqlite"
    with writing_to(run):
        n_answers = export(study_file(run), table, copy)
    print(f"{n_answers} answers: {table.resolve()}, and all that is stored: {copy.resolve()}")
    return OK


def _power(config: Settings, run: Path) -> int:
    """Estimate what the study that the settings describe can tell apart, without beginning it."""
    from lavx.rating.items import find_items
    from lavx.rating.schedule import Scheduler

    check_whole(config.power, "n_raters", 1)
    protocol = protocol_of(config)
    items, _ = find_items(run, protocol.methods, protocol.n_videos)
    scheduler = Scheduler(replace(protocol, attention=0), dict(enumerate(items, start=1)))
    groups = list(scheduler.groups)
    n_videos = len({(dataset, video) for dataset, _, video in groups})
    n_nets = max(1, round(len(groups) / n_videos))
    seen = max(1, round(scheduler.n_groups / n_nets))
    print(_power_line(config, protocol, config.power.n_raters, n_videos, n_nets, seen, scheduler.n_items))
    return OK


def _demo(config: Settings, run: Path) -> int:
    """Explain some embedded videos, and serve the page over them."""
    import subprocess

    _needs_extra()
    name = "rating-demo" if config.name == "default" else config.name
    command = [
        sys.executable, "-m", "lavx", "run", "-m", "dataset=shapes", "net=tpn", f"name={name}",
        f"outputs={config.outputs}", "method=lime,kernel_shap,rise,loco,univariate,occlusion", "n_videos=2",
        "metric.n_steps=10",
    ]  # fmt: skip
    print("Explaining two embedded videos with six methods (a minute or more the first time) ...", flush=True)
    done = subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise RequestError(f"the embedded videos could not be explained: {' '.join(command[2:])} says why")
    shown: Mapping[str, Any] = {"name": name}
    return _serve(type(config)({**config, **shown}), run.parent / name)
