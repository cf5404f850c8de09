from fractions import Fraction

import numpy as np
import pytest

from lavx import checks

NO_NUMBERS = [
    True,
    False,
    np.True_,
    float("nan"),
    float("inf"),
    -float("inf"),
    np.float32("nan"),
    "1",
    None,
    1j,
    [1],
]
NUMBERS = {
    "whole": (lambda v: checks.whole("n", v), "n must be a whole number >= 1, got "),
    "positive": (lambda v: checks.positive("n", v), "n must be a number > 0, got "),
    "at_least": (lambda v: checks.at_least("n", v), "n must be a finite number >= 0, got "),
    "inside_unit": (lambda v: checks.inside_unit("n", v), r"n must be in \(0, 1\), got "),
    "fraction": (lambda v: checks.fraction("n", v), r"n must be a fraction in \(0, 1\], got "),
    "between": (lambda v: checks.between("n", v, 0, 255), r"n must be in \[0, 255\], got "),
}


@pytest.mark.parametrize("check", NUMBERS)
@pytest.mark.parametrize("value", NO_NUMBERS, ids=repr)
def test_what_is_no_number_is_refused(check, value):
    call, message = NUMBERS[check]
    with pytest.raises(ValueError, match=f"^{message}"):
        call(value)


@pytest.mark.parametrize(
    ("check", "allowed", "refused"),
    [
        ("whole", [1, 7, np.int64(3), np.uint8(200)], [0, -1, 1.0, 2.5, np.float64(2)]),
        ("positive", [1e-9, 3, np.float32(0.5), np.int32(2), Fraction(1, 2)], [0, -1, -0.0]),
        ("at_least", [0, 0.0, 5, np.float16(1)], [-1e-9, -1]),
        ("inside_unit", [1e-9, 0.5, np.float64(0.999)], [0, 1, -0.1, 1.1]),
        ("fraction", [1e-9, 0.5, 1, np.float32(1)], [0, -0.1, 1.0000001]),
        ("between", [0, 255, 12.5, np.uint8(255)], [-1, 255.5]),
    ],
)
def test_the_ends_of_each_range_are_as_they_say(check, allowed, refused):
    call, message = NUMBERS[check]
    for value in allowed:
        assert call(value) == value and type(call(value)) is (int if check == "whole" else float)
    for value in refused:
        with pytest.raises(ValueError, match=message):
            call(value)


def test_the_least_whole_number_is_said():
    assert checks.whole("n", 0, least=0) == 0 and checks.at_least("n", 1, 1) == 1
    with pytest.raises(ValueError, match="n must be a whole number >= 2, got 1"):
        checks.whole("n", 1, least=2)
    with pytest.raises(ValueError, match="n must be a finite number >= 1, got 0.5"):
        checks.at_least("n", 0.5, 1)


@pytest.mark.parametrize("value", [0, 1, None, "true", np.True_], ids=repr)
def test_only_true_and_false_are_booleans(value):
    assert checks.boolean("b", True) is True and checks.boolean("b", False) is False
    with pytest.raises(ValueError, match="b must be true or false, got"):
        checks.boolean("b", value)


@pytest.mark.parametrize("value", ["c", "", None, 1, ["a"]], ids=repr)
def test_only_the_options_are_options(value):
    assert checks.one_of("o", "a", ("a", "b")) == "a"
    with pytest.raises(ValueError, match="o must be one of a, b, got"):
        checks.one_of("o", value, ("a", "b"))


def test_three_values_are_checked_one_by_one():
    words = "whole numbers >= 1, for (T, H, W)"
    assert checks.three("cells", np.array([4, 7, 7]), checks.whole, words) == (4, 7, 7)
    for values in ((4, 7), (1, 2, 3, 4), 5, "474", None, (4, 0, 7), (4, True, 7), (4, 7.0, 7)):
        with pytest.raises(ValueError, match=r"cells must be three whole numbers >= 1, for \(T, H, W\), got"):
            checks.three("cells", values, checks.whole, words)
