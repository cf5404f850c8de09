"""The methods that lavx comes with, by name: the same as the files of conf/method/, in Python.

| name | method | source |
|---|---|---|
| auto | where and when, within 300 forward passes: the default of `lavx.explain` | |
| lime | 3D LIME | Ribeiro et al. 2016 |
| kernel_shap | 3D Kernel SHAP | Lundberg and Lee 2017 |
| rise | 3D RISE | Petsiuk et al. 2018 |
| loco | leave one covariate out | Lei et al. 2018 |
| univariate | univariate predictors | Guyon and Elisseeff 2003 |
| occlusion | 3D sampled occlusion sensitivity | Zeiler and Fergus 2014 |
| when | exact Shapley values of 8 stretches of time | Shapley 1953 |
| random, center, smooth_noise | controls that ignore the network | |
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from lavx import checks
from lavx.explainer import CONTROLS, Control, Explainer
from lavx.methods.behavior import Probability
from lavx.methods.removal import Black, Blur, Reverse
from lavx.methods.sampling import All, Budget
from lavx.methods.segmentation import Merged, Slic, SoftGrid, Stretches, Windows
from lavx.methods.selection import Bernoulli, LeaveOneOut, OnlyOne, ShapleyKernel
from lavx.methods.smoothing import Gaussian
from lavx.methods.summary import Difference, MeanWhenKept, Ridge, ShapleyRegression
from lavx.methods.visualization import Heatmap, SignificantRegions

Parts = dict[str, Any]

PROTOCOLS = ("v1", "v2")


def _lime() -> Parts:
    return {
        "segmentation": Slic(n_segments=200, compactness=20, spacing=(0.2, 1, 1)),
        "selection": Bernoulli(p_keep=0.5),
        "sampling": Budget(n_samples=1000),
        "removal": Black(),
        "behavior": Probability(),
        "summary": Ridge(alpha=1.0, kernel_width=0.25),
        "smoothing": None,
        "visualization": SignificantRegions(),
    }


def _kernel_shap() -> Parts:
    return {
        "segmentation": Slic(n_segments=200, compactness=20, spacing=(0.2, 1, 1)),
        "selection": ShapleyKernel(paired=True, sizes="uniform"),
        "sampling": Budget(n_samples=1000),
        "removal": Black(),
        "behavior": Probability(),
        "summary": ShapleyRegression(),
        "smoothing": None,
        "visualization": SignificantRegions(),
    }


def _rise() -> Parts:
    return {
        "segmentation": SoftGrid(cells=(4, 7, 7)),
        "selection": Bernoulli(p_keep=0.5),
        "sampling": Budget(n_samples=1000),
        "removal": Black(),
        "behavior": Probability(),
        "summary": MeanWhenKept(),
        "smoothing": None,
        "visualization": SignificantRegions(),
    }


def _loco() -> Parts:
    return {
        "segmentation": Slic(n_segments=200, compactness=20, spacing=(0.2, 1, 1)),
        "selection": LeaveOneOut(),
        "sampling": All(),
        "removal": Black(),
        "behavior": Probability(),
        "summary": Difference(),
        "smoothing": None,
        "visualization": SignificantRegions(),
    }


def _univariate() -> Parts:
    return _loco() | {"selection": OnlyOne()}


def _occlusion() -> Parts:
    return _loco() | {"segmentation": Windows(divisions=(4, 7, 7))}


def _when() -> Parts:
    return _kernel_shap() | {
        "segmentation": Stretches(n=8),
        "sampling": All(),
        "removal": Reverse(),
    }


def _auto() -> Parts:
    return _kernel_shap() | {
        "segmentation": Merged(n_segments=40, n_small=300, duration=1.25, color=0.5),
        "sampling": Budget(n_samples=240),
        "when": Explainer(**_when() | {"sampling": Budget(n_samples=56)}),
    }


def _control() -> Parts:
    return {
        "cells": (4, 7, 7),
        "removal": Black(),
        "behavior": Probability(),
        "smoothing": None,
        "visualization": Heatmap(),
    }


_METHODS: dict[str, Callable[[], Parts]] = {
    "auto": _auto,
    "lime": _lime,
    "kernel_shap": _kernel_shap,
    "rise": _rise,
    "loco": _loco,
    "univariate": _univariate,
    "occlusion": _occlusion,
    "when": _when,
}
# Numbers that can be given without the step they belong to: that step, its component, and the change.
_NUMBERS: dict[str, tuple[str, Any, Callable[[Any, Any], Any]]] = {
    "n_samples": ("sampling", Budget, lambda budget, n: replace(budget, n_samples=n)),
    "n_segments": ("segmentation", Slic | Merged, lambda cut, n: _with_segments(cut, n)),
}


def _with_segments(segmentation: Slic | Merged, n: int) -> Slic | Merged:
    if isinstance(segmentation, Slic):
        return Slic(n, segmentation.compactness, segmentation.spacing)
    return Merged(n, segmentation.n_small, segmentation.duration, segmentation.color)


def names() -> tuple[str, ...]:
    """The names that `method` knows."""
    return (*_METHODS, *CONTROLS)


def _second_version(name: str) -> Parts:
    """The steps that protocol v2 changes, as in conf/protocol/v2.yaml."""
    soft = 0 if name == "rise" else (0, 3.5, 3.5)
    smooth = 0 if name in ("rise", "occlusion") else (0, 3.5, 3.5)
    return {"removal": Blur(sigma_space=8, sigma_time=8, feather=soft), "smoothing": Gaussian(smooth)}


def method(name: str, protocol: str = "v1", **overrides: Any) -> Explainer | Control:
    """A method by its name, with some of its parts replaced.

    Args:
        name: one of `names()`.
        protocol: "v1", or "v2" for the published settings of the study's second version: a blurred baseline, soft
            masks, a smooth heatmap. To evaluate by it too, give `evaluate` a `removal=Blur(8, 8)`.
        overrides: steps of the method, such as `removal=Blur(10)` or `segmentation=Grid((2, 7, 7))`; or one of
            the numbers that are asked for most, where the method has them: `n_samples`, the coalitions of a
            `Budget`, and `n_segments`, the supervoxels of `Slic` or `Merged`. `when=None` leaves out what `auto`
            asks of time. The controls have `cells`, (T, H, W).

    Returns:
        An `Explainer`, or a `Control` for random and center.

    Raises:
        ValueError: for a name or an override that there is not, for steps that do not fit together, and for a
            number beside the step that it belongs to.
    """
    if name not in names():
        raise ValueError(
            f"there is no method {name!r}{_did_you_mean(name, names())}; there are {', '.join(names())}"
        )
    checks.one_of("protocol", protocol, PROTOCOLS)
    parts = _METHODS[name]() if name in _METHODS else _control()
    parts |= _second_version(name) if protocol == "v2" else {}
    for key, value in overrides.items():
        if key not in _NUMBERS:
            _check_part(name, key, value, parts)
            continue
        step, _, _ = _NUMBERS[key]
        if step in overrides:
            raise ValueError(f"give either {key} or {step}, got {key}={value!r} and a {step}")
        parts[step] = _with_number(name, key, value, parts.get(step))
    parts |= {key: value for key, value in overrides.items() if key not in _NUMBERS}
    return Explainer(**parts) if name in _METHODS else Control(name, **parts)


def _with_number(name: str, key: str, value: Any, component: Any) -> Any:
    """The component with another number."""
    step, kind, changed = _NUMBERS[key]
    if component is None:
        raise ValueError(f"{name} has no {key}: it has no {step}")
    if not isinstance(component, kind):
        raise ValueError(
            f"{name} has no {key}: its {step} is {type(component).__name__}; replace {step} to change that"
        )
    return changed(component, value)


def _check_part(name: str, key: str, value: Any, parts: Parts) -> None:
    if key not in parts:
        options = [*parts, *(_NUMBERS if name in _METHODS else ())]
        raise ValueError(f"{name} has no {key!r}{_did_you_mean(key, options)}; it has {', '.join(options)}")
    if key == "when":
        if value is not None and not isinstance(value, Explainer):
            raise ValueError(f"when must be an Explainer, or None for none, got {value!r}")
    elif key != "cells" and (isinstance(value, str | type) or (value is None and key != "smoothing")):
        given = value.__name__ if isinstance(value, type) else repr(value)
        usual = Gaussian if key == "smoothing" else type(parts[key])
        raise ValueError(f"{key} must be an object of lavx.methods.{key}, such as {usual.__name__}(), got {given}")


def _did_you_mean(given: object, options: Iterable[str]) -> str:
    near = difflib.get_close_matches(str(given), list(options), n=1, cutoff=0.7)
    return f" (did you mean {near[0]}?)" if near else ""
