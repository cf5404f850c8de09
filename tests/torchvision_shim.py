"""Lets torchvision be imported beside a torch of another source, whose compiled operators do not load.

The video networks and preprocessing of torchvision are pure Python and use none of these operators, but
importing torchvision registers things for them. Where torchvision imports properly, nothing happens.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import torch

_kept: list[torch.library.Library] = []  # an operator vanishes with the library that defined it


def make_importable() -> bool:
    """Import torchvision, defining the names of its operators first where they are missing.

    Returns:
        Whether there is a torchvision.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return False
    try:
        import torchvision  # noqa: F401
    except RuntimeError:  # operator torchvision::nms does not exist
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        registrations = Path(spec.origin).with_name("_meta_registrations.py").read_text()
        names = sorted(set(re.findall(r'"(?:torchvision::)?(\w+)"\)\n', registrations)))
        library = torch.library.Library("torchvision", "DEF")
        for name in names:
            library.define(f"{name}(Tensor a) -> Tensor")
        _kept.append(library)
        import torchvision  # noqa: F401
    return True
