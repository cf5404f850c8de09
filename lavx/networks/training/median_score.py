"""The median score of the right class, as a metric of mmengine."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric


class MedianScore(BaseMetric):
    """The median over the validation videos of the probability of the right class, as `score/median`."""

    default_prefix = "score"

    def process(self, data_batch: Any, data_samples: Any) -> None:
        """Keep the scores of a batch."""
        for sample in data_samples:
            key = "pred_score" if "pred_score" in sample else "pred_scores"
            self.results.append(float(sample[key][int(sample["gt_label"])]))

    def compute_metrics(self, results: list[float]) -> dict[str, float]:
        """The median of all."""
        return {"median": float(np.median(results))}
