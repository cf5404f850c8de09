"""Every YAML of conf/ composes, and every part of it is built from it."""

from pathlib import Path

import hydra
import pytest
from hydra import compose, initialize_config_module

CONF = Path(__file__).parents[1] / "conf"
STEPS = sorted(p.relative_to(CONF) for p in (CONF / "method").glob("*/*.yaml"))
METHODS = sorted(p.stem for p in (CONF / "method").glob("*.yaml"))


NEEDED = {"method/removal/baseline_video.yaml": [f"method.removal.video='{Path(__file__)}'"]}  # read later


def composed(*overrides):
    with initialize_config_module("lavx.conf", version_base="1.3"):
        return compose("run", overrides=list(overrides))


@pytest.mark.parametrize("method", METHODS)
def test_every_method_is_built(method):
    assert callable(hydra.utils.instantiate(composed(f"method={method}").method, _convert_="all"))


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_every_step_is_built(step):
    group, option = step.parent.as_posix(), step.stem
    config = composed(f"{group}={option}", *NEEDED.get(step.as_posix(), [])).method[step.parent.name]
    assert hydra.utils.instantiate(config, _convert_="all") is not None


@pytest.mark.parametrize("net", ["tpn", "tanet", "timesformer"])
def test_a_net_has_its_embedded_settings_for_shapes_and_the_published_ones_elsewhere(net):
    embedded = composed(f"net={net}").net
    published = composed(f"net={net}", "dataset=kinetics400").net
    assert embedded.checkpoint == "embedded" and published.checkpoint == "official"
    assert embedded.config != published.config and embedded._target_ == published._target_


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda p: p.relative_to(CONF).as_posix())
def test_every_file_says_what_it_is_and_a_command_that_uses_it(file):
    head = [line for line in file.read_text().splitlines() if line.startswith("#")]
    assert head and any("lavx " in line for line in head)
