"""Answers of classifiers: every shape and type that is no row of numbers a clip is refused; kinds are told."""

from __future__ import annotations

from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from lavx.networks.outputs import Answers, check_output, pick, read_classes
from lavx.outputs import detect_output


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([[0.2, 0.8], [0.5, 0.5]], "probabilities"),
        ([[0.0, 1.0], [1.0, 0.0]], "probabilities"),
        ([[0.2, 0.8004], [0.4996, 0.5]], "probabilities"),
        ([[0.2, 1.2], [0.5, 0.5]], "logits"),
        ([[0.5, 0.5], [-0.1, 1.1]], "logits"),
        ([[-1e-7, 1.0], [0.5, 0.5]], "probabilities"),
        ([[-0.01, 1.01], [0.5, 0.5]], "logits"),
        ([[-0.1, -2.4], [-0.7, -0.7]], "logits"),  # of probabilities; a softmax brings them back
        ([[300, 2], [0, 0]], "logits"),
        ([[60.0, 40.0], [0.0, 0.0]], "logits"),
        ([[60.5, 194.5], [100.25, 154.75]], "logits"),  # which no 8 bits hold
        ([[-60, 60, 0], [-5, 5, 0]], "logits"),
    ],
)
def test_the_kind_of_output_is_told(rows: Any, kind: str) -> None:
    assert detect_output(torch.tensor(rows)) == kind
    assert detect_output(np.asarray(rows)) == kind


def test_a_softmax_in_half_precision_is_one() -> None:
    logits = torch.randn(2, 400, generator=torch.Generator().manual_seed(0))
    for dtype in (torch.float64, torch.float32, torch.float16):
        assert detect_output(logits.to(dtype).softmax(-1)) == "probabilities"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [[0.2, 0.7], [0.5, 0.5]],
            r"do not sum to 1 \(but to 0\.9, 1\).*say output=logits, output=probabilities or",
        ),
        ([[0.2, 0.8], [0.5, 0.6]], r"do not sum to 1 \(but to 1, 1\.1\)"),
        ([[0.9, 0.9], [0.1, 0.1]], "output=multilabel"),
        ([[0.0, 0.0], [0.0, 0.0]], "do not sum to 1"),
        (
            [[0.7], [0.1]],
            "a single column, which may be anything: say output=multilabel for a probability, output=mu",
        ),
        ([[3.0], [-1.0]], "a single column.*output=multilabel_logits .*output=regression"),
        (
            [[60.0, 40.0], [100.0, 0.0]],
            "probabilities times 100, 0 to 100, rows that sum to 100, 100.*say output=",
        ),
        ([[33.3, 33.3, 33.4], [0.2, 99.7, 0.2]], "probabilities times 100"),
        ([[250, 5, 0], [85, 85, 85]], "probabilities times 255"),
        ([[250, 6, 0], [85, 85, 86]], "probabilities times 25"),
        ([[127, -127, -128], [-43, -43, -42]], "probabilities times 256, -128 to 127"),
        ([[float("nan"), 0.2], [0.5, 0.5]], "answers NaN or infinite values"),
        ([[float("inf"), 0.2], [0.5, 0.5]], "answers NaN or infinite values"),
        ([0.2, 0.8], r"rows must be \(B, K\), a row a clip, got \(2,\)"),
        (np.zeros((2, 0)), r"rows must be \(B, K\), a row a clip, got \(2, 0\)"),
    ],
)
def test_what_cannot_be_told_is_asked_for(rows: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        detect_output(torch.tensor(rows))


def test_output_kinds_are_checked() -> None:
    assert check_output(None) is None and check_output("regression") == "regression"
    with pytest.raises(ValueError, match="output must be one of logits, .*, regression, or None.*; got 'softmax'"):
        check_output("softmax")


@pytest.mark.parametrize(
    "answer",
    [
        torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True),
        torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.bfloat16),
        torch.tensor([[1, 2], [3, 4]], dtype=torch.uint8),
        np.array([[1, 2], [3, 4]], np.float16),
        np.array([[1, 2], [3, 4]], ">f4"),
        [[1, 2], [3, 4]],
        [np.array([1, 2]), [3.0, 4]],
        [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0], requires_grad=True)],
        SimpleNamespace(__array__=None),
    ],
)
def test_answers_of_all_libraries_are_taken(answer: Any) -> None:
    if isinstance(answer, SimpleNamespace):

        class Foreign:
            def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
                return np.array([[1, 2], [3, 4]], np.float32)

        answer = Foreign()
    taken = Answers("toy")(answer, 2)
    assert taken.tolist() == [[1, 2], [3, 4]] and not taken.requires_grad
    assert taken.dtype in (torch.float32, torch.float64)


def test_double_precision_stays() -> None:
    value = 1 + 2.0**-40
    for answer in (np.array([[value]]), torch.tensor([[value]], dtype=torch.float64), [[value]]):
        assert Answers("toy")(answer, 1).item() == value


def test_an_answer_is_a_copy() -> None:
    """TFLite answers a view of one buffer each time."""
    for buffer in (np.array([[1.0, 2.0]], np.float32), torch.tensor([[1.0, 2.0]])):
        taken = Answers("toy")(buffer, 1)
        buffer[:] = 0
        assert taken.tolist() == [[1, 2]]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_nan_passes(value: float) -> None:
    assert not Answers("toy")([[value, 1.0]], 1).isfinite().all()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            np.zeros((1, 3)),
            r"toy answered \(1, 3\) for 2 clips; it must be \(2, K\), .*; for one that takes one clip",
        ),
        (
            np.zeros(3),
            r"toy answered \(3,\) for 2 clips; it must be \(2, K\), .* give a layout without B, such as TH",
        ),
        (
            np.zeros((3, 3)),
            r"toy answered \(3, 3\) for 2 clips; it must be \(2, K\), a row of K class scores a clip\.",
        ),
        (np.zeros((2, 3, 1)), r"toy answered \(2, 3, 1\) for 2 clips"),
        (np.zeros((2, 0)), r"toy answered \(2, 0\) for 2 clips"),
        (np.float32(1), r"toy answered \(\) for 2 clips"),
        ([], r"toy answered \(0,\) for 2 clips"),
        ([["a", "b"], ["c", "d"]], "toy answered list; class scores must be real numbers"),
        (np.array([["a", "b"], ["c", "d"]]), "toy answered an array of <U1; class scores must be real numbers"),
        (np.array([[object(), 1], [1, 1]]), "toy answered an array of object; class scores must be real"),
        ("jumping", "toy answered str; class scores must be real numbers"),
        (None, "toy answered NoneType; class scores must be real numbers"),
        ({"a": 1}, "toy answered dict; class scores must be real numbers"),
        (object(), "toy answered object; class scores must be real numbers"),
        ([[1, 2], [3]], "toy answered list, of which no array can be made"),
        ([[1, None], [3, 4]], "toy answered list; class scores must be real numbers"),
        (np.zeros((2, 3), complex), "toy answered an array of complex128; class scores must be real"),
        (np.zeros((2, 3), bool), "toy answered an array of bool; class scores must be real"),
        (np.zeros((2, 3), "M8[s]"), "toy answered an array of datetime64"),
        (
            torch.zeros(2, 3, dtype=torch.complex64),
            "toy answered torch.complex64; class scores must be real numbers",
        ),
        (torch.zeros(2, 3, dtype=torch.bool), "toy answered torch.bool; class scores must be real numbers"),
    ],
)
def test_other_answers_are_refused(answer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Answers("toy")(answer, 2)


def test_the_width_stays_that_of_the_classes_or_of_the_first_answer() -> None:
    with pytest.raises(ValueError, match="toy answered 3 columns, but 4 class names were given"):
        Answers("toy", 4)(np.zeros((2, 3)), 2)
    answers = Answers("toy")
    answers(np.zeros((2, 3)), 2)
    answers(np.zeros((1, 3)), 1)
    with pytest.raises(ValueError, match="toy answered 4 columns, but 3 columns were answered before"):
        answers(np.zeros((2, 4)), 2)
    with pytest.raises(ValueError, match="toy answered 2 columns, but 3 columns"):
        answers.row(np.zeros(2))


def test_one_clip_at_a_time_is_answered_by_one_row() -> None:
    assert Answers("toy").row([1, 2]).tolist() == [[1, 2]]
    assert Answers("toy").row(np.array([[1, 2]])).tolist() == [[1, 2]]
    for answer in (np.zeros((2, 3)), np.zeros(()), np.zeros(0), np.zeros((1, 1, 3))):
        with pytest.raises(ValueError, match=r"toy answered \(.*\) for one clip; it must be \(K,\), or \(1, K\)"):
            Answers("toy").row(answer)


def test_class_scores_are_picked_where_there_is_no_doubt() -> None:
    scores, other = torch.ones(2, 3), torch.zeros(2, 5)
    output = namedtuple("output", ["logits", "hidden"])
    for answer in (
        scores,
        output(scores, other),
        SimpleNamespace(logits=scores, loss=None),
        {"logits": scores, "features": other},
        {"scores": scores},
        (scores,),
        [None, scores],
    ):
        assert pick(answer) is scores


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ((torch.ones(2, 3), torch.ones(2, 5)), r"answers tuple with tensors 0: \(2, 3\), 1: \(2, 5\).* Give pick"),
        ({"a": torch.ones(2, 3), "b": torch.ones(2)}, r"answers dict with tensors a: \(2, 3\), b: \(2,\)"),
        ((torch.ones(2, 3), [torch.ones(2)]), r"answers tuple with tensors 0: \(2, 3\), and"),
        ({}, "answers dict, and lavx cannot tell where the class scores are"),
        ("text", "answers str, and lavx cannot tell"),
        (SimpleNamespace(logits=None), r"answers types.SimpleNamespace, .*pick=lambda answer: answer\[0\]"),
    ],
)
def test_otherwise_pick_is_asked_for(answer: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pick(answer)


def test_classes_are_read(tmp_path: Path) -> None:
    file = tmp_path / "labels.txt"
    file.write_text("\ufeffjumping\n  riding a bike\t\nfünf\n\n", encoding="utf-8")
    for given in (file, str(file), ["jumping", "riding a bike", "fünf"]):
        assert read_classes(given) == ("jumping", "riding a bike", "fünf")
    assert read_classes(None) is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\n\nb\n", r"labels\.txt: class names must be one or more texts, in the order of the outputs; got ''"),
        ("", r"labels\.txt: class names must be one or more texts, .*; got none"),
        (b"\xff\xfe\x00", r"labels\.txt: is no text in UTF-8, one class name a line"),
    ],
)
def test_files_of_classes_are_checked(tmp_path: Path, content: str | bytes, message: str) -> None:
    (tmp_path / "labels.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        read_classes(tmp_path / "labels.txt")


def test_classes_are_names_in_order() -> None:
    with pytest.raises(
        FileNotFoundError, match=r"classes=/none\.txt: there is no such file. Give a file of one class"
    ):
        read_classes("/none.txt")
    for wrong in ({"a", "b"}, {0: "a"}, 3, b"ab"):
        with pytest.raises(
            ValueError, match="classes must be names in order, a file of one name a line, or None; got"
        ):
            read_classes(wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="classes: class names must be one or more texts, .*; got 3"):
        read_classes(["a", 3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="classes: class names must be .*; got none"):
        read_classes([])
