"""lavx: local agnostic video explanations. Why did the network say that?

    explanation = lavx.explain(model, clip)
    explanation.panel("why.png")
    lavx.evaluate(model, clip, explanation).deletion_auc

Names are imported when they are first used, so that `import lavx` is light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lavx.api import Evaluation, Explanation, compare_panel, evaluate, explain
    from lavx.explainer import Control, Explainer, MethodResult, play
    from lavx.game import FunctionGame, ScoredClip, ScoreError
    from lavx.networks.adapt import classifier
    from lavx.presets import method
    from lavx.types import Clip, Coalitions, Geometry
    from lavx.video import VideoError

__version__ = "0.2.0"

_MODULES = {
    "lavx.api": ("Evaluation", "Explanation", "compare_panel", "evaluate", "explain"),
    "lavx.explainer": ("Control", "Explainer", "MethodResult", "play"),
    "lavx.game": ("FunctionGame", "ScoreError", "ScoredClip"),
    "lavx.networks.adapt": ("classifier",),
    "lavx.presets": ("method",),
    "lavx.types": ("Clip", "Coalitions", "Geometry"),
    "lavx.video": ("VideoError",),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Clip",
    "Coalitions",
    "Control",
    "Evaluation",
    "Explainer",
    "Explanation",
    "FunctionGame",
    "Geometry",
    "MethodResult",
    "ScoreError",
    "ScoredClip",
    "VideoError",
    "__version__",
    "classifier",
    "compare_panel",
    "evaluate",
    "explain",
    "method",
    "play",
]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'lavx' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
