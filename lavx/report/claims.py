"""The paper's claims, each as a test.

Sources: Gaya-Morey et al. 2024, arXiv 2401.11796: "v1" is Local Agnostic Video Explanations, with the section of
each sentence; "v2" the abstract of the second version, REVEX, whose protocol is another one (blurred baseline,
softened masks, blurred heatmaps, localization on boxes). How a verdict comes about: `lavx.report.hypotheses`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lavx.report.compared import Compared, nearly_linear
from lavx.report.hypotheses import Contrast
from lavx.report.study import CONTROLS, METHODS
from lavx.report.tables import title

LEADERS = ("lime", "kernel_shap", "rise")
SINGLE = ("loco", "occlusion", "univariate")  # occlude or keep one region at a time
ON_SLIC = ("lime", "kernel_shap", "loco", "univariate")
NETS = ("timesformer", "tanet", "tpn")
KINETICS, ETRI = "kinetics400", "etri_activity3d"

# What words without a number are taken to mean; chosen before any result was seen, reported with the verdicts.
SIMILAR = 0.05  # of an AUC, "similar"
NO_BETTER = 0.02  # of an AUC, "did not translate into improved performance"
ABOUT_ONE = (0.5, 1.5)  # of the user score's 5 steps, "about one point"
HALF_A_POINT = (0.25, 0.75)
CLOSE_TO_ZERO = 0.5
LINEAR_IN_SAMPLES = 1.25  # ratio of seconds a sample
BEND = 0.25  # of the linear part, "roughly linear"

DRAWN = "_drawn"

Pairs = list[tuple[str, str]]
Contrasts = Callable[[Compared], list[Contrast]]


@dataclass(frozen=True)
class Claim:
    """One sentence of the paper, and the contrasts that it stands on.

    Attributes:
        text: the sentence.
        source: who says so, and where.
        column: the metric that it is about.
        contrasts: what is tested; None for a sentence that cannot be.
        higher_is_better: the metric's direction.
        methods: those that it compares; all of them are needed.
        datasets: those that it compares; empty for any.
        nets: those that it compares; empty for any.
        why_not: why a sentence without contrasts is not tested.
        meaning: what a word without a number is taken to mean.
    """

    text: str
    source: str
    column: str
    contrasts: Contrasts | None = None
    higher_is_better: bool = False
    methods: tuple[str, ...] = METHODS
    datasets: tuple[str, ...] = ()
    nets: tuple[str, ...] = ()
    why_not: str = ""
    meaning: str = ""

    @property
    def on_maps(self) -> bool:
        """Whether the metric is taken of a heatmap, which the study cut to what it drew."""
        return self.column in ("deletion_auc", "insertion_auc", "mask_deletion", "mask_insertion")


def _lead(leaders: Sequence[str], others: Sequence[str] = METHODS) -> Pairs:
    return [(a, b) for a in leaders for b in others if b not in leaders]


def _last(method: str) -> Pairs:
    return [(other, method) for other in METHODS if other != method]


def _order(*methods: str) -> Pairs:
    return [(a, b) for k, a in enumerate(methods) for b in methods[k + 1 :]]


def _better(pairs: Pairs, factor: float = 1, margin: float = 0) -> Contrasts:
    return lambda data: data.better(pairs, factor=factor, margin=margin)


def _better_everywhere(pairs: Pairs) -> Contrasts:
    """On every dataset and network at once."""
    return lambda data: [c for dataset, net in data.cells for c in data.better(pairs, dataset=dataset, net=net)]


def _fourth_to_sixth(data: Compared) -> list[Contrast]:
    return data.better([*_lead(LEADERS, ("loco",)), *_order("loco", "occlusion", "univariate")])


def _higher_on(dataset: str, other: str, methods: Sequence[str], nets: Sequence[str]) -> Contrasts:
    """Each method, on each network, is higher on one dataset than on the other."""
    return lambda data: [data.higher_on(dataset, other, m, net) for net in nets for m in methods]


def _gap_of_datasets(method: str | None, low: float, high: float) -> Contrasts:
    return lambda data: [
        data.higher_on(KINETICS, ETRI, method, shift=low),
        data.higher_on(KINETICS, ETRI, method, shift=high, sign=-1),
    ]


def _below(limit: float) -> Contrasts:
    return lambda data: [Contrast(f"{title(m)} below {limit:g}", limit - data.values(m)) for m in METHODS]


def _slower(pairs: Pairs, factor: float = 1) -> Contrasts:
    """Of each pair the first takes longer."""
    return lambda data: [
        Contrast(c.what.replace("above", "takes longer than"), c.values) for c in data.better(pairs, factor=factor)
    ]


def _linear(data: Compared) -> list[Contrast]:
    columns = [str(column) for column in data.table if str(column).startswith(f"{data.column}_0.")]
    return nearly_linear(data.table, sorted(columns), METHODS, BEND)


_MASK = "never reached counts as the whole clip; mean over the thresholds"
_V2 = "v2, abstract (another protocol)"
_ALIKE = "each pair differs by less than"

CLAIMS: tuple[Claim, ...] = (
    Claim("LIME, Kernel SHAP and RISE lead in deletion AUC", "v1, 5.2", "deletion_auc", _better(_lead(LEADERS))),
    Claim("LIME, Kernel SHAP and RISE lead in insertion AUC", "v1, 5.2", "insertion_auc", _better(_lead(LEADERS)),
          True),
    Claim("LIME, Kernel SHAP and RISE have similar deletion AUC", "v1, 5.2", "deletion_auc",
          lambda data: data.alike(_order(*LEADERS), SIMILAR), meaning=f"{_ALIKE} {SIMILAR}"),
    Claim("LIME is slightly ahead of Kernel SHAP and RISE in insertion AUC", "v1, 5.2", "insertion_auc",
          _better([("lime", "kernel_shap"), ("lime", "rise")]), True),
    Claim("Univariate is last in deletion AUC, on each network and dataset", "v1, 5.2", "deletion_auc",
          _better_everywhere(_last("univariate"))),
    Claim("Univariate is last in insertion AUC, on each network and dataset", "v1, 5.2", "insertion_auc",
          _better_everywhere(_last("univariate")), True),
    Claim("Deletion AUC is lower on EtriActivity3D than on Kinetics 400, on every network, for every method but "
          "Univariate", "v1, 5.2", "deletion_auc",
          _higher_on(KINETICS, ETRI, tuple(m for m in METHODS if m != "univariate"), NETS),
          datasets=(KINETICS, ETRI), nets=NETS),
    Claim("Insertion AUC is higher on Kinetics 400 than on EtriActivity3D, for every method, on TimeSformer and "
          "TPN", "v1, 5.2", "insertion_auc", _higher_on(KINETICS, ETRI, METHODS, ("timesformer", "tpn")), True,
          datasets=(KINETICS, ETRI), nets=("timesformer", "tpn")),
    Claim("Minimal masks, deletion: LIME, RISE and Kernel SHAP are the first three, in this order", "v1, 5.2",
          "mask_deletion", _better([*_order("lime", "rise", "kernel_shap"), *_lead(LEADERS)]), meaning=_MASK),
    Claim("Minimal masks, deletion: LOCO, Occlusion and Univariate are 4th, 5th and 6th", "v1, 5.2",
          "mask_deletion", _fourth_to_sixth, meaning=_MASK),
    Claim("Minimal masks, insertion: Kernel SHAP is behind LIME and RISE", "v1, 5.2", "mask_insertion",
          _better([("lime", "kernel_shap"), ("rise", "kernel_shap")]), meaning=_MASK),
    Claim("Minimal masks, insertion: LOCO, Occlusion and Univariate are 4th, 5th and 6th", "v1, 5.2",
          "mask_insertion", _fourth_to_sixth, meaning=_MASK),
    Claim("Minimal masks, deletion: they grow roughly linearly with the threshold, for every method", "v1, 5.2",
          "mask_deletion", _linear,
          meaning=f"the quadratic part is at most {BEND} of the linear one; videos that reach every threshold"),
    Claim("Minimal masks, insertion: they grow roughly linearly with the threshold, for every method", "v1, 5.2",
          "mask_insertion", _linear,
          meaning=f"the quadratic part is at most {BEND} of the linear one; videos that reach every threshold"),
    Claim("SLIC takes about 38 seconds a video", "v1, 5.1", "part_segmentation",
          why_not="absolute times depend on the machine; they are in the table of timings"),
    Claim("Segmentation takes longer for the methods on SLIC than for those on grids", "v1, 5.1",
          "part_segmentation", _slower([(a, b) for a in ON_SLIC for b in ("rise", "occlusion")]), True),
    Claim("Inference time is linear in the number of samples", "v1, 5.1", "seconds_a_sample",
          lambda data: data.alike(_order(*METHODS), float(np.log(LINEAR_IN_SAMPLES))), True,
          meaning=f"seconds a sample differ by less than a factor of {LINEAR_IN_SAMPLES} (in logarithms)"),
    Claim("LOCO, Univariate and Occlusion, which change one region at a time, perturb faster than LIME, Kernel "
          "SHAP and RISE", "v1, 5.1", "seconds_perturbation", _better([(a, b) for a in SINGLE for b in LEADERS])),
    Claim("RISE takes longer than every other method outside inference and segmentation", "v1, 5.1",
          "part_explanation", _slower(_lead(("rise",))), True),
    Claim("RISE takes more than twice as long as every other method, outside inference", "v1, 6", "part_outside",
          _slower(_lead(("rise",)), 2), True),
    Claim("RISE takes more than twice as long as every other method, in all", "v1, 6", "part_total",
          _slower(_lead(("rise",)), 2), True),
    Claim("LIME, Kernel SHAP and RISE get the best user scores", "v1, 7", "rating", _better(_lead(LEADERS)), True),
    Claim("RISE gets the best user scores", "v1, 5.3", "rating", _better(_lead(("rise",))), True),
    Claim("RISE gets the best user scores on each network and dataset", "v1, 5.3", "rating",
          _better_everywhere(_lead(("rise",))), True),
    Claim("RISE is about one point ahead of LIME in user scores", "v1, 5.3", "rating",
          lambda data: data.gap_between("rise", "lime", *ABOUT_ONE), True,
          meaning="by {} to {}".format(*ABOUT_ONE)),
    Claim("LIME is second in user scores", "v1, 5.3", "rating",
          _better([("rise", "lime"), *(("lime", m) for m in ("kernel_shap", *SINGLE))]), True),
    Claim("LOCO's user scores are close to zero", "v1, 5.3", "rating",
          lambda data: data.within("loco", -CLOSE_TO_ZERO, CLOSE_TO_ZERO), True,
          meaning=f"within {CLOSE_TO_ZERO} of it"),
    Claim("Univariate is last in user scores", "v1, 5.3", "rating", _better(_last("univariate")), True),
    Claim("User scores are half a point higher on Kinetics 400 than on EtriActivity3D", "v1, 5.3", "rating",
          _gap_of_datasets(None, *HALF_A_POINT), True, datasets=(KINETICS, ETRI),
          meaning="by {} to {}".format(*HALF_A_POINT)),
    Claim("Univariate's user scores are about one point higher on Kinetics 400 than on EtriActivity3D", "v1, 5.3",
          "rating", _gap_of_datasets("univariate", *ABOUT_ONE), True, datasets=(KINETICS, ETRI),
          meaning="by {} to {}".format(*ABOUT_ONE)),
    Claim("LIME's user scores are better on TimeSformer than on TANet and TPN", "v1, 5.3", "rating",
          lambda data: data.better_on("timesformer", ("tanet", "tpn"), "lime"), True, nets=NETS),
    Claim("Kernel SHAP gets lower user scores than LIME", "v1, 6", "rating", _better([("lime", "kernel_shap")]),
          True, methods=("lime", "kernel_shap")),
    Claim("The smoothness of RISE does not improve deletion AUC", "v1, 6", "deletion_auc",
          _better([("lime", "rise"), ("kernel_shap", "rise")], margin=NO_BETTER), methods=LEADERS,
          meaning=f"RISE is not better than LIME or Kernel SHAP by {NO_BETTER} or more"),
    Claim("The smoothness of RISE does not improve insertion AUC", "v1, 6", "insertion_auc",
          _better([("lime", "rise"), ("kernel_shap", "rise")], margin=NO_BETTER), True, methods=LEADERS,
          meaning=f"RISE is not better than LIME or Kernel SHAP by {NO_BETTER} or more"),
    Claim("LIME is best in deletion AUC (up to 31 % lower)", _V2, "deletion_auc", _better(_lead(("lime",)))),
    Claim("LIME is best in insertion AUC (up to 30 % higher)", _V2, "insertion_auc", _better(_lead(("lime",))),
          True),
    Claim("RISE has the lowest average drop (10 % lower)", _V2, "average_drop", _better(_lead(("rise",)))),
    Claim("The pointing game is at most 53 % for every method", _V2, "pointing_game", _below(0.53), True),
    Claim("IoU is below 20 % for every method", _V2, "iou", _below(0.2), True),
    Claim("Every method beats every control in deletion AUC", "lavx's own", "deletion_auc",
          _better(_lead(METHODS, CONTROLS)), methods=(*METHODS, *CONTROLS)),
    Claim("Every method beats every control in insertion AUC", "lavx's own", "insertion_auc",
          _better(_lead(METHODS, CONTROLS)), True, methods=(*METHODS, *CONTROLS)),
)  # fmt: skip


def relative(means: pd.Series, higher_is_better: bool) -> str:
    """How far the best mean lies from the worst one, in % of that."""
    best, worst = (means.max(), means.min()) if higher_is_better else (means.min(), means.max())
    if not worst or len(means) < 2:
        return ""
    word = "above" if higher_is_better else "below"
    return f"the best lies {abs(100 * (best - worst) / worst):.0f} % {word} the worst"
