"""The presets in Python and the YAML of conf/method/ are the same methods."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import hydra
import pytest
from hydra import compose, initialize_config_module

from lavx import presets
from lavx.explainer import CONTROLS
from lavx.methods.removal import Blur, Gray
from lavx.methods.sampling import All, Budget
from lavx.methods.segmentation import Grid, Slic
from lavx.methods.selection import Bernoulli
from lavx.methods.summary import Difference

METHODS = sorted(path.stem for path in (Path(__file__).parents[1] / "conf" / "method").glob("*.yaml"))
EXPLAINERS = [name for name in METHODS if name not in CONTROLS]


def described(part):
    """A component as its type and parameters, down to plain values; sequences as tuples."""
    if isinstance(part, list | tuple):
        return tuple(described(value) for value in part)
    if isinstance(part, bool | int | float | str | None):
        return part
    names = [f.name for f in dataclasses.fields(part)] if dataclasses.is_dataclass(part) else vars(part)
    return type(part), {name: described(getattr(part, name)) for name in names}


def from_yaml(method, *overrides):
    with initialize_config_module("lavx.conf", version_base="1.3"):
        config = compose("run", overrides=[f"method={method}", *overrides])
    return hydra.utils.instantiate(config.method, _convert_="all")


def test_every_file_has_a_preset_and_every_preset_a_file():
    assert sorted(presets.names()) == METHODS


@pytest.mark.parametrize("method", METHODS)
def test_a_preset_is_what_its_file_says(method):
    assert described(presets.method(method)) == described(from_yaml(method))


@pytest.mark.parametrize("method", METHODS)
def test_a_preset_of_the_second_protocol_is_what_its_files_say(method):
    assert described(presets.method(method, protocol="v2")) == described(from_yaml(method, "protocol=v2"))
    assert described(presets.method(method, protocol="v2")) != described(presets.method(method))


def test_the_second_protocol_has_the_published_settings_and_leaves_steps_that_are_given():
    lime = presets.method("lime", protocol="v2", n_samples=7)
    assert (lime.removal.sigma_space, lime.removal.sigma_time, lime.removal.feather) == (8, 8, (0, 3.5, 3.5))
    assert lime.smoothing.sigma == (0, 3.5, 3.5) and lime.sampling == Budget(7)
    rise = presets.method("rise", protocol="v2")
    assert rise.removal.feather == rise.smoothing.sigma == (0, 0, 0)
    given = presets.method("lime", protocol="v2", removal=Blur(5))
    assert given.removal.sigma_space == 5 and given.smoothing.sigma == (0, 3.5, 3.5)
    assert described(from_yaml("lime", "protocol=v2", "method/removal=gray").removal) == described(Gray())
    with pytest.raises(ValueError, match="protocol must be one of v1, v2, got 'v3'"):
        presets.method("lime", protocol="v3")


@pytest.mark.parametrize("command", ["run", "explain"])
def test_the_second_protocol_evaluates_with_its_baseline(command):
    with initialize_config_module("lavx.conf", version_base="1.3"):
        usual, second = (compose(command, overrides=[f"protocol={p}", "method=lime"]) for p in ("v1", "v2"))
    assert usual.metric.removal._target_.endswith("Black") and usual.protocol == "v1"
    metric = hydra.utils.instantiate(second.metric, _convert_="all")
    assert described(metric.removal) == described(Blur(8, 8)) and second.protocol == "v2"


def test_the_comparison_sees_a_type_and_a_number():
    lime = described(presets.method("lime"))
    assert lime != described(from_yaml("lime", "method.segmentation.n_segments=201"))
    assert lime != described(from_yaml("lime", "method.summary.kernel_width=0.26"))
    assert lime != described(from_yaml("lime", "method/removal=gray"))
    assert described(presets.method("random")) != described(from_yaml("center"))


@pytest.mark.parametrize("method", METHODS)
def test_a_step_can_be_replaced(method):
    blur = Blur(7)
    changed = presets.method(method, removal=blur)
    assert changed.removal is blur and presets.method(method).removal is not blur
    changed.removal = presets.method(method).removal
    assert described(changed) == described(presets.method(method))


def test_the_common_numbers_can_be_set():
    lime = presets.method("lime", n_samples=50, n_segments=30)
    assert described(lime) == described(
        from_yaml("lime", "method.sampling.n_samples=50", "method.segmentation.n_segments=30")
    )
    assert presets.method("auto", n_segments=30, n_samples=50).segmentation.n_segments == 30
    assert presets.method("auto", when=None).when is None
    assert presets.method("loco", n_segments=30).segmentation.n_segments == 30
    assert presets.method("rise", n_samples=50).sampling == Budget(50)
    assert presets.method("random", cells=(2, 3, 3)).cells == (2, 3, 3)


@pytest.mark.parametrize(
    ("name", "overrides", "message"),
    [
        (
            "limes",
            {},
            r"no method 'limes' \(did you mean lime\?\); there are auto, lime, kernel_shap, .*, random, center",
        ),
        ("gradcam", {}, "there is no method 'gradcam'; there are auto, lime"),
        (None, {}, "there is no method None; there are auto, lime"),
        (
            "lime",
            {"removel": Blur(3)},
            r"'removel' \(did you mean removal\?\); it has segmentation, .*, n_segments",
        ),
        ("lime", {"n_sample": 3}, r"lime has no 'n_sample' \(did you mean n_samples\?\)"),
        ("random", {"sampling": Budget(3)}, "random has no 'sampling'; it has cells, removal, .*, visualization$"),
        ("random", {"kind": "center"}, "random has no 'kind'; it has cells"),
        ("lime", {"removal": "blur"}, r"removal must be an object of .*, such as Black\(\), got 'blur'"),
        ("lime", {"removal": Blur}, "removal must be an object .*, got Blur"),
        ("lime", {"removal": None}, "removal must be an object .*, got None"),
        ("loco", {"n_samples": 10}, "loco has no n_samples: its sampling is All; replace sampling"),
        ("random", {"n_samples": 10}, "random has no n_samples: it has no sampling"),
        ("rise", {"n_segments": 10}, "rise has no n_segments: its segmentation is SoftGrid; replace segmentation"),
        ("center", {"n_segments": 10}, "center has no n_segments: it has no segmentation"),
        ("auto", {"when": "reverse"}, "when must be an Explainer, or None for none, got 'reverse'"),
        ("lime", {"when": None}, "lime has no 'when'"),
        ("lime", {"n_samples": 0}, "n_samples must be a whole number >= 1, got 0"),
        ("lime", {"n_segments": 2.5}, "n_segments must be a whole number >= 1, got 2.5"),
        ("lime", {"n_samples": 10, "sampling": Budget(20)}, "give either n_samples or sampling, got n_samples=10"),
        ("lime", {"n_segments": 10, "segmentation": Grid()}, "give either n_segments or segmentation"),
        ("lime", {"sampling": All()}, "All scores every coalition, and Bernoulli has no list of them"),
        ("lime", {"summary": Difference()}, "Difference needs one sample a region, and those of Bernoulli mix"),
    ],
)
def test_what_there_is_not_is_refused(name, overrides, message):
    with pytest.raises(ValueError, match=message):
        presets.method(name, **overrides)


def test_a_step_of_ones_own_takes_its_place_beside_the_others():
    class Mine:
        def __call__(self, clip, rng):
            raise NotImplementedError

    mine = Mine()
    loco = presets.method(
        "loco", segmentation=mine, selection=Bernoulli(0.9), sampling=Budget(7), summary=AnySelection()
    )
    assert loco.segmentation is mine and loco.sampling == Budget(7)
    assert not isinstance(loco.segmentation, Slic)


class AnySelection:
    """A summary that takes any selection."""

    def check(self, selection):
        pass


def test_presets_are_light_to_import():
    heavy = ["hydra", "omegaconf", "mmengine", "mmaction", "pandas", "matplotlib.pyplot", "sklearn"]
    code = f"import sys, lavx.presets; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
