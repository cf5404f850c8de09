"""Summary: what the scores of all coalitions say of each region.

Every summary takes coalitions, their scores (S,), the score of the clip (`full`) and that of the baseline
(`empty`), and gives an attribution float64 (R,): larger = more important for the target. `check` refuses a
selection whose rows it cannot use, when the method is put together; `check_coalitions` refuses coalitions
that leave a region without a value, before a forward pass is spent on them.
"""

from lavx.methods.summary.means import MeanWhenKept, WeightedMean
from lavx.methods.summary.one_by_one import Difference, Value
from lavx.methods.summary.permutations import PermutationMean
from lavx.methods.summary.regression import Ridge, ShapleyRegression

__all__ = [
    "Difference",
    "MeanWhenKept",
    "PermutationMean",
    "Ridge",
    "ShapleyRegression",
    "Value",
    "WeightedMean",
]
