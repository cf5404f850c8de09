"""What a user study asks of its raters: all that is fixed before the first of them begins."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lavx import checks

DESIGNS = ("likert", "slider", "pairs")
QUESTIONS = {
    "likert": "Do the highlighted regions used in the classification seem reasonable?",
    "slider": "Do the highlighted regions used in the classification seem reasonable?",
    "pairs": "Which explanation is better?",
}
LABELS = {
    "likert": ("strongly disagree", "disagree", "neither agree nor disagree", "agree", "strongly agree"),
    "slider": ("not at all", "completely"),
    "pairs": ("the first", "the second"),
}
RANGES = {"likert": (-2, 2), "slider": (0, 100), "pairs": (0, 1)}
LONGEST_REMARK = 2000  # characters

INSTRUCTIONS = """You will see short videos. A computer program has assigned each of them to a class, which is \
written above the video. On the left you see the video, on the right the same video with colors on the regions \
that, \
according to an explanation, made the program choose the class. The color bar says which colors stand for the \
most \
important regions.

{task}

There are no right or wrong answers. Judge only the explanation, not whether the class is right. You can take \
back your \
last answer, and stop at any time: the same link brings you back to where you were."""
_TASKS = {
    "likert": "For each video you are asked one question, which you answer from -2 (strongly disagree) to +2 "
    "(strongly agree).",
    "slider": "For each video you are asked one question, which you answer by moving a slider.",
    "pairs": "For each video you see two explanations and are asked which of them is better.",
}
CONSENT = """Taking part is voluntary. You may stop at any time without giving a reason, and have all your \
answers deleted with the button at the end of each page, as long as they can still be told apart from those of \
others. Stored are your answers, how long you took for each of them, and when you gave them; neither your name \
nor the address of your computer is."""


@dataclass(frozen=True)
class Protocol:
    """The protocol of a user study; the defaults follow the paper (arXiv 2401.11796, section 4.6.2).

    Attributes:
        design: "likert", from -2 (strongly disagree) to +2 (strongly agree); "slider", from 0 to 100; "pairs",
            which of two explanations of the same video is better.
        question: what is asked of each explanation, or of each pair.
        methods: methods that are rated; None for all but the controls.
        n_videos: most videos of each dataset and network; None for all that every method has explained.
        items_per_rater: most explanations (or pairs) that one rater scores, practice, attention checks and repeats
            aside; None for all of them.
        practice: items before the study whose answers do not count.
        attention: random heatmaps among the explanations (or one in each of so many pairs).
        repeats: items that are shown a second time.
        remarks: whether each answer may have a text.
        consent: what raters agree to before they begin; None to ask for no consent.
        instructions: what raters read before they begin.
        seed: of all draws.
        visualization: the settings of what draws the heatmaps.
        side: of clip and explanation, pixels.
        seconds: length of the loop; None for 2, or more where clips have more than 15 frames a second then.
    """

    design: str = "likert"
    question: str = ""
    methods: tuple[str, ...] | None = None
    n_videos: int | None = None
    items_per_rater: int | None = None
    practice: int = 0
    attention: int = 0
    repeats: int = 0
    remarks: bool = False
    consent: str | None = None
    instructions: str = ""
    seed: int = 0
    visualization: Mapping[str, Any] = field(default_factory=dict)
    side: int = 320
    seconds: float | None = None

    def __post_init__(self) -> None:
        checks.one_of("design", self.design, DESIGNS)
        for name in ("practice", "attention", "repeats", "seed"):
            checks.whole(name, getattr(self, name), 0)
        for name in ("n_videos", "items_per_rater"):
            if getattr(self, name) is not None:
                checks.whole(name, getattr(self, name))
        checks.boolean("remarks", self.remarks)
        if checks.whole("side", self.side, 64) % 2:
            raise ValueError(f"side must be even, got {self.side}")
        if self.seconds is not None:
            checks.between("seconds", self.seconds, 0.5, 60)
        if self.methods is not None:
            object.__setattr__(self, "methods", tuple(self.methods))
        defaults = {
            "question": QUESTIONS[self.design],
            "instructions": INSTRUCTIONS.format(task=_TASKS[self.design]),
        }
        for name, text in defaults.items():
            object.__setattr__(self, name, getattr(self, name) or text)

    @property
    def range(self) -> tuple[int, int]:
        """The smallest and the largest answer; in pairs 1 means that the first is better, 0 the second."""
        return RANGES[self.design]

    @property
    def labels(self) -> tuple[str, ...]:
        """What the answers are called, from the smallest on; of a slider its two ends."""
        return LABELS[self.design]

    def check_answer(self, value: object) -> int:
        """An answer, if it is one of those that are offered.

        Raises:
            ValueError: saying which are.
        """
        low, high = self.range
        if not checks.is_whole(value) or not low <= value <= high:  # type: ignore[operator]
            raise ValueError(f"an answer must be a whole number from {low} to {high}")
        return int(value)  # type: ignore[call-overload, no-any-return]

    def to_json(self) -> str:
        """For the file of the study."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Protocol:
        """What `to_json` made a text of."""
        return cls(**json.loads(text))

    def differences(self, other: Protocol) -> dict[str, tuple[Any, Any]]:
        """The fields in which two protocols differ, with both values."""
        mine, theirs = (json.loads(protocol.to_json()) for protocol in (self, other))
        return {name: (mine[name], theirs[name]) for name in mine if mine[name] != theirs[name]}
