"""mmaction2's ColorJitter, repaired."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from mmaction.datasets import transforms


class ColorJitter(transforms.ColorJitter):
    """mmaction2's own adds the hue's offset to a uint8, which NumPy 2 refuses where the offset is negative."""

    @staticmethod
    def adjust_hue(img: Any, factor: float) -> Any:
        """Shift the hue of an RGB image (H, W, 3) by `factor` of 255, in OpenCV's scale of 0 to 179."""
        hsv = cv2.cvtColor(np.clip(img, 0, 255).astype(np.uint8), cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0].astype(np.int16) + int(factor * 255)) % 180
        return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float32)
