"""The array that a network takes: every order of axes, normalization by hand, mixed-up ranges refused."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch

from lavx.networks.clip_format import ClipFormat, check_clips


@pytest.fixture
def clips() -> torch.Tensor:
    """Two clips of which every axis has another length."""
    return torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (2, 4, 5, 6, 3)).astype(np.float32))


@pytest.mark.parametrize("layout", ["".join(order) for order in permutations("BTHWC")])
def test_every_order_of_axes(layout: str, clips: torch.Tensor) -> None:
    before = clips.clone()
    given = ClipFormat(layout)(clips)
    assert given.shape == tuple(dict(B=2, T=4, H=5, W=6, C=3)[axis] for axis in layout)
    assert torch.equal(torch.einsum(f"{layout}->BTHWC", given), clips)
    assert given.is_contiguous()
    given.zero_()
    assert torch.equal(clips, before), "the clips of the caller must stay as they are"


@pytest.mark.parametrize("layout", ["".join(order) for order in permutations("THWC")])
def test_every_order_of_axes_of_one_clip(layout: str, clips: torch.Tensor) -> None:
    given = ClipFormat(layout)(clips[0])
    np.testing.assert_array_equal(np.einsum(f"{layout}->THWC", given.numpy()), clips[0].numpy())


def test_values_are_scaled_then_normalized(clips: torch.Tensor) -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    given = ClipFormat("BCTHW", mean=mean, std=std, scale=1 / 255)(clips).numpy()
    for channel in range(3):
        expected = (clips[..., channel].double().numpy() / 255 - mean[channel]) / std[channel]
        np.testing.assert_allclose(given[:, channel], expected, atol=2e-6)
    again = ClipFormat("BCTHW", mean=[255 * m for m in mean], std=[255 * s for s in std])(clips).numpy()
    np.testing.assert_allclose(again, given, atol=2e-6)
    text = ClipFormat("BCTHW", mean=mean, std=std, scale="1/255")(clips).numpy()
    np.testing.assert_array_equal(text, given)


def test_one_number_holds_for_all_channels(clips: torch.Tensor) -> None:
    torch.testing.assert_close(ClipFormat(mean=127.5, std=127.5)(clips), clips / 127.5 - 1)


def test_mean_and_std_follow_the_order_of_channels(clips: torch.Tensor) -> None:
    given = ClipFormat("BCTHW", channels="BGR", mean=[104, 117, 123])(clips)
    torch.testing.assert_close(given[:, 0], clips[..., 2] - 104)
    torch.testing.assert_close(given[:, 2], clips[..., 0] - 123)


def test_number_types() -> None:
    clips = torch.tensor([0.4, 0.6, 254.5, 255.0, 300.0, -3.0])[:, None, None, None, None].expand(6, 1, 1, 1, 3)
    assert ClipFormat(dtype="uint8")(clips)[:, 0, 0, 0, 0].tolist() == [0, 1, 254, 255, 255, 0]
    for name in ("float16", "bfloat16", "float32", "float64"):
        assert ClipFormat(dtype=name)(clips).dtype == getattr(torch, name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            dict(layout="BCHW"),
            "layout must hold each of the letters B .* once, such as BCTHW, BTCHW .*; got 'BCHW'",
        ),
        (dict(layout="NCTHW"), "layout must hold .* got 'NCTHW'"),
        (dict(layout="BBTHW"), "layout must hold .* got 'BBTHW'"),
        (dict(layout=None), "layout must hold .* got None"),
        (dict(channels="GBR"), "channels must be RGB or BGR, got 'GBR'"),
        (dict(dtype="int8"), "dtype must be one of float32, float16, bfloat16, float64, uint8; got 'int8'"),
        (dict(mean=[1, 2]), r"mean must be one number or one a channel, got \[1, 2\]"),
        (dict(mean="0.5"), "mean must be one number or one a channel, got '0.5'"),
        (dict(std=[1, 2, float("nan")]), "std must be one number or one a channel"),
        (dict(std=0), "std must be above 0, got 0"),
        (dict(std=[1, 1, -1]), r"std must be above 0, got \[1, 1, -1\]"),
        (dict(scale=0), "scale must be a number above 0, such as 1 or 1/255, got 0"),
        (dict(scale="1/0"), "scale must be a number above 0, such as 1 or 1/255, got '1/0'"),
        (dict(scale=None), "scale must be a number above 0, such as 1 or 1/255, got None"),
        (dict(scale=True), "scale must be a number above 0, such as 1 or 1/255, got True"),
        (dict(dtype="uint8", mean=127), "dtype=uint8 takes the gray levels 0..255 as they are: leave out mean"),
        (dict(dtype="uint8", scale="1/255"), "dtype=uint8 takes the gray levels 0..255 as they are"),
    ],
)
def test_parameters_are_checked(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClipFormat(**settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            dict(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
            "0..255, which scale=1 makes; scale=1/255 bri",
        ),
        (dict(mean=0.5), r"mean=\[0\.5, 0\.5, 0\.5\] .* do not fit values in 0..255"),
        (dict(std=0.5), "do not fit values in 0..255, which scale=1 makes; scale=1/255 brings them to 0..1"),
        (
            dict(scale="1/255", mean=[123.7, 116.3, 103.5]),
            "in 0..1, which scale=0.003922 makes; scale=1 leaves them",
        ),
    ],
)
def test_mean_and_std_of_another_range_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ClipFormat(**settings)


def test_usual_normalizations_pass() -> None:
    for settings in (
        dict(mean=[114.75] * 3, std=[57.375] * 3),
        dict(mean=[104, 117, 123], std=[1, 1, 1]),
        dict(mean=[0.43216, 0.394666, 0.37645], std=[0.22803, 0.22145, 0.216989], scale=1 / 255),
        dict(mean=0.5, std=0.5, scale=1 / 255),
        dict(mean=1, std=1, scale=1 / 127.5),
        dict(scale=1 / 255),
        dict(std=255),
        dict(mean=0, std=1),
    ):
        ClipFormat(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 5, 6, 3), (1, 4, 5, 6, 1), (0, 4, 5, 6, 3), (1, 3, 4, 5, 6)])
def test_what_are_no_clips_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"clips must be \(B, T, H, W, 3\), got \("):
        check_clips(torch.zeros(shape))
