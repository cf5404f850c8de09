"""Removal: what takes the place of the voxels that a coalition does not keep.

`prepare` is called once for a clip x and returns what turns masks m, batch by batch, into perturbed clips
m * x + (1 - m) * b on the clip's device, with b the baseline values. Where the mask is 1 the clip is left
bit-identical, where it is 0 there is exactly the baseline value.

`feather` softens the edges of masks with a Gaussian: its sigma in voxels, one number for all axes or three
for (T, H, W), so that [0, 3, 3] leaves edges in time hard. 0 leaves masks as they are. What is softened is
the removed part, blurred and divided by the blur of a clip removed as a whole, so that all kept stays all
kept, and all removed stays all removed, up to the borders.

`Freeze`, `Shuffle` and `Reverse` keep what frames show and break time instead: where the mask is 0 there is
another frame of the clip. They are for regions of whole frames and have no `feather`.

Shapes: a clip is float (T, H, W, 3) in 0..255, masks are (B, T, H, W) in [0, 1] with 1 = kept, and perturbed
clips (B, T, H, W, 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import gaussian_filter1d
from torch import Tensor

from lavx import checks
from lavx.types import Fill, Regions

ALGORITHMS = ("pull_push", "telea", "navier_stokes")

_TINY = 1e-12
# A voxel softened to less than this from all removed is all removed: the rounding of sums, of TF32 at worst.
_ROUNDING = 1e-3
# To pull_push, a frame earlier or later is as far as 1/40 of the frame's shorter side: the best compromise for
# holes through all frames and holes in a few, on real clips of 8 frames that are 8 source frames apart.
_FRAME_STEPS = 40
_FEW_MASKS = 16  # looked at together; regions of parts of frames are found out by the first few


class Black:
    """Black, which costs one multiplication.

    Args:
        feather: how far edges are softened, see this module.
    """

    def __init__(self, feather: float | Sequence[float] = 0) -> None:
        self.feather = checks.sigmas("feather", feather)

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What blackens a clip: its masks times the clip."""
        soften = _Softening(self.feather, clip)
        return lambda masks: soften(masks)[..., None] * clip


class Constant:
    """One color.

    Args:
        color: (red, green, blue) in 0..255.
        feather: how far edges are softened, see this module.
    """

    def __init__(self, color: Sequence[float], feather: float | Sequence[float] = 0) -> None:
        in_range = partial(checks.between, low=0, high=255)
        self.color = checks.three("color", color, in_range, "numbers in 0..255, for red, green and blue")
        self.feather = checks.sigmas("feather", feather)

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What puts the color into a clip."""
        return _blending(clip, clip.new_tensor(self.color).expand_as(clip), self.feather)


class Gray:
    """The gray in the middle, 128.

    Args:
        feather: how far edges are softened, see this module.
    """

    def __init__(self, feather: float | Sequence[float] = 0) -> None:
        self.feather = checks.sigmas("feather", feather)

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What puts gray into a clip."""
        return _blending(clip, torch.full_like(clip, 128), self.feather)


class Mean:
    """Each region's own mean color, spread as its attribution would be: where regions overlap, their mean.

    Args:
        feather: how far edges are softened, see this module.
    """

    def __init__(self, feather: float | Sequence[float] = 0) -> None:
        self.feather = checks.sigmas("feather", feather)

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What puts the colors of a clip's own `regions` into it."""
        # In float64: sums over large regions would lose digits.
        colors = regions.mean(clip.double())
        baseline = torch.stack([regions.heatmap(channel) for channel in colors.unbind(1)], -1)
        return _blending(clip, baseline.to(clip), self.feather)


class Blur:
    """The clip blurred by a Gaussian, borders reflected.

    Args:
        sigma_space: in pixels.
        sigma_time: in frames of the clip; 0 blurs every frame on its own.
        feather: how far edges are softened, see this module.
    """

    def __init__(self, sigma_space: float, sigma_time: float = 0, feather: float | Sequence[float] = 0) -> None:
        self.sigma_space = checks.at_least("sigma_space", sigma_space)
        self.sigma_time = checks.at_least("sigma_time", sigma_time)
        if self.sigma_space == self.sigma_time == 0:
            raise ValueError("sigma_space and sigma_time are both 0, which would remove nothing: raise one")
        self.feather = checks.sigmas("feather", feather)

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What puts the blurred clip, computed once here, into a clip."""
        sigmas = (self.sigma_time, self.sigma_space, self.sigma_space)
        kernels = _kernels(sigmas, clip, "reflect")
        baseline = _convolved(clip.permute(3, 0, 1, 2), kernels).permute(1, 2, 3, 0)
        return _blending(clip, baseline.contiguous(), self.feather)


class Inpaint:
    """What is kept, continued into the hole: the voxels of which less than half is kept.

    Where nothing is left to continue, there is black: a clip (for `telea` and `navier_stokes`, a frame) that
    is removed as a whole.

    Args:
        algorithm: "pull_push" (Gortler et al. 1996, section 3.4: averages of kept voxels on coarser and
            coarser levels, over space and time, on the clip's device), "telea" (Telea 2004) or
            "navier_stokes" (Bertalmio et al. 2001). The last two work frame by frame with OpenCV on the CPU
            and take about seven times as long there; on a GPU they hold everything up.
        radius: how far telea and navier_stokes look, 1 to 100 pixels.
        feather: how far edges are softened, see this module.
    """

    def __init__(
        self, algorithm: str = "pull_push", radius: float = 3, feather: float | Sequence[float] = 0
    ) -> None:
        self.algorithm = checks.one_of("algorithm", algorithm, ALGORITHMS)
        self.radius = checks.between("radius", radius, 1, 100)
        self.feather = checks.sigmas("feather", feather)

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What continues a clip into the hole of each mask."""
        soften = _Softening(self.feather, clip)
        inpaint = self._pull_push(clip) if self.algorithm == "pull_push" else self._opencv(clip)

        # The hole is that of the mask before softening: what little a soft one keeps of the removed voxels would
        # be spread all over the hole, and the removed object would shine through.
        return lambda masks: _blended(clip, inpaint(masks < 0.5), soften(masks))

    @staticmethod
    def _pull_push(clip: Tensor) -> Fill:
        color = clip.permute(3, 0, 1, 2)[None]
        step = min(clip.shape[1:3]) / _FRAME_STEPS
        return lambda holes: _pull_push(color, (~holes).to(clip)[:, None], step).permute(0, 2, 3, 4, 1)

    def _opencv(self, clip: Tensor) -> Fill:
        method = cv2.INPAINT_TELEA if self.algorithm == "telea" else cv2.INPAINT_NS
        frames = clip.round().clamp(0, 255).byte().cpu().numpy()

        def inpaint(holes: Tensor) -> Tensor:
            where = holes.byte().cpu().numpy()
            filled = np.zeros((*where.shape, 3), dtype=np.uint8)
            for b, t in np.ndindex(where.shape[:2]):
                if not where[b, t].all():
                    filled[b, t] = cv2.inpaint(frames[t], where[b, t], self.radius, method)
            return torch.from_numpy(filled).to(clip)

        return inpaint


class Noise:
    """Noise, drawn once a clip: all samples of a clip see the same.

    Args:
        low: the least value, in 0..255.
        high: the greatest value, in 0..255.
        std: None draws uniformly between low and high; a number > 0 draws from a normal distribution with this
            standard deviation around their middle, clipped at both.
        feather: how far edges are softened, see this module.
    """

    def __init__(
        self,
        low: float = 0,
        high: float = 255,
        std: float | None = None,
        feather: float | Sequence[float] = 0,
    ) -> None:
        self.low = checks.between("low", low, 0, 255)
        self.high = checks.between("high", high, 0, 255)
        if self.low >= self.high:
            raise ValueError(f"low must be less than high, got low={low}, high={high}")
        self.std = None if std is None else checks.positive("std", std)
        self.feather = checks.sigmas("feather", feather)

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What puts noise, drawn once here from `generator`, into a clip."""
        # Drawn where the generator is, so that the noise does not depend on the clip's device.
        noise = torch.empty(clip.shape, device=generator.device)
        if self.std is None:
            noise.uniform_(self.low, self.high, generator=generator)
        else:
            noise.normal_((self.low + self.high) / 2, self.std, generator=generator)
        return _blending(clip, noise.clamp_(self.low, self.high).to(clip), self.feather)


class Freeze:
    """The picture stands still: a removed frame shows the last kept frame before it, or the first kept one.

    What is in the picture stays, how it moves and what comes after what does not. Where no frame is kept, all show
    the mean of the clip's frames, which speaks for no moment. Only for regions of whole frames.
    """

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What freezes a clip where its frames are removed."""
        _check_whole_frames(self, regions, clip)
        frames = torch.cat([clip, clip.double().mean(0, keepdim=True).to(clip)])

        def fill(masks: Tensor) -> Tensor:
            kept = _kept_frames(masks)
            time = torch.arange(kept.shape[1], device=kept.device).expand_as(kept)
            last = time.masked_fill(~kept, -1).cummax(1).values
            first = kept.int().argmax(1, keepdim=True)
            shown = torch.where(last < 0, first, last)
            return frames[shown.masked_fill(~kept.any(1, keepdim=True), len(clip))]

        return fill


class Shuffle:
    """Removed frames change places: those of each stretch come in a random order, drawn once a clip.

    A stretch is a run of removed frames without a kept one between them; one of a single frame stays as it is.
    Only for regions of whole frames.
    """

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What shuffles a clip's removed frames, by an order drawn once here from `generator`."""
        _check_whole_frames(self, regions, clip)
        places = torch.randperm(len(clip), generator=generator, device=generator.device).to(clip.device)
        return lambda masks: clip[_reordered(_kept_frames(masks), places)]


class Reverse:
    """Removed frames run backwards, those of each stretch for themselves.

    A stretch is a run of removed frames without a kept one between them; one of a single frame stays as it is.
    Only for regions of whole frames.
    """

    def prepare(self, clip: Tensor, regions: Regions, generator: torch.Generator) -> Fill:
        """What turns a clip's removed frames around."""
        _check_whole_frames(self, regions, clip)
        places = torch.arange(len(clip), device=clip.device).flip(0)
        return lambda masks: clip[_reordered(_kept_frames(masks), places)]


def _check_whole_frames(removal: object, regions: Regions, clip: Tensor) -> None:
    """Refuse regions that keep a part of a frame: what is shown instead of a frame is another frame.

    Raises:
        ValueError: naming regions that fit.
    """
    size = max(1, min(regions.n_regions, _FEW_MASKS))
    for start in range(0, regions.n_regions, size):
        one = torch.arange(start, min(start + size, regions.n_regions), device=clip.device)
        without = torch.arange(regions.n_regions, device=clip.device) != one[:, None]
        masks = regions.masks(without)
        if not ((masks == masks[:, :, :1, :1]) & ((masks == 0) | (masks == 1))).all():
            raise ValueError(
                f"{type(removal).__name__} shows other frames in the place of removed ones, so regions must be "
                f"whole frames, and region {start} or one after it is a part of a frame or fades: use the "
                f"segmentation Grid(cells=(8, 1, 1)), or a removal that changes what frames show, such as Black"
            )


def _kept_frames(masks: Tensor) -> Tensor:
    """Which frames masks (B, T, H, W) of whole frames keep: bool (B, T)."""
    return masks[:, :, 0, 0] > 0.5


def _reordered(kept: Tensor, places: Tensor) -> Tensor:
    """Which frame is shown when, where the frames of each removed stretch come in the order of `places`.

    Args:
        kept: bool (B, T).
        places: (T,) whole numbers below T, different from each other.

    Returns:
        int64 (B, T).
    """
    # Each kept frame is a stretch of its own; a sort by stretch, and by place within it, moves nothing across.
    begins = kept.clone()
    begins[:, 1:] |= kept[:, :-1]
    stretch = begins.long().cumsum(1)
    return (stretch * kept.shape[1] + places).argsort(1)


class _Softening:
    """Softens the edges of masks; leaves them as they are where all sigmas are 0."""

    def __init__(self, sigmas: tuple[float, float, float], clip: Tensor) -> None:
        self.active = any(sigmas)
        # Divided by the blur of all ones, which for a separable kernel is dividing each row by its sum.
        self.kernels = [k if k is None else k / k.sum(1, True) for k in _kernels(sigmas, clip, "constant")]

    def __call__(self, masks: Tensor) -> Tensor:
        if not self.active:
            return masks
        removed = _convolved(1 - masks, self.kernels)
        return (1 - removed).masked_fill_(removed > 1 - _ROUNDING, 0)


def _kernels(sigmas: Sequence[float], clip: Tensor, mode: str) -> list[Tensor | None]:
    """The Gaussian filter along T, H and W, each a matrix (size, size) or None where sigma is 0."""
    # Matrices rather than convolutions: SciPy's filter of the identity is SciPy's filter, borders and all, and a
    # product with a matrix takes the same time for any sigma, on any device.
    kernels: list[Tensor | None] = []
    for size, sigma in zip(clip.shape[:3], sigmas, strict=True):
        if sigma:
            matrix = gaussian_filter1d(np.eye(size), sigma, axis=0, mode=mode)
            kernels.append(torch.from_numpy(matrix).to(clip))
        else:
            kernels.append(None)
    return kernels


def _convolved(volumes: Tensor, kernels: Sequence[Tensor | None]) -> Tensor:
    """Volumes (B, T, H, W) multiplied along each axis with a matrix."""
    for equation, kernel in zip(("st,bthw->bshw", "sh,bthw->btsw", "sw,bthw->bths"), kernels, strict=True):
        if kernel is not None:
            volumes = torch.einsum(equation, kernel, volumes)
    return volumes


def _blending(clip: Tensor, baseline: Tensor, sigmas: tuple[float, float, float]) -> Fill:
    soften = _Softening(sigmas, clip)
    return lambda masks: _blended(clip, baseline, soften(masks))


def _blended(clip: Tensor, baseline: Tensor, masks: Tensor) -> Tensor:
    """The mask m times the clip x plus (1 - m) times the baseline b."""
    masks = masks[..., None]
    return (masks * clip).addcmul_(1 - masks, baseline)


def _pull_push(color: Tensor, known: Tensor, frame_step: float) -> Tensor:
    """Fill in what is not known.

    Pull: the known voxels are averaged in windows of 2, so that a clip of half the size knows more of itself;
    and so on, until everything is known or a single voxel is left. Push: each level takes what it does not know
    from the level below, enlarged. A hole is filled from as near as it can, its middle from farther away.

    Source: Gortler et al. 1996, section 3.4, over time as well.

    Args:
        color: (B or 1, C, T, H, W).
        known: (B, 1, T, H, W) in [0, 1]; 1 takes the color as it is, 0 not at all.
        frame_step: how far a frame earlier or later is, in pixels; nearer ones are averaged first.

    Returns:
        (B, C, T, H, W); 0 where nothing at all is known.
    """
    shape = known.shape[2:]
    if max(shape) == 1:
        return known * color
    # Time is halved only once the pixels have grown about as large as the step to the next frame is long, so that
    # windows stay as near to cubes as they can: near pixels of the same frame count before the next frame.
    space_first = frame_step > math.sqrt(2) and max(shape[1:]) > 1
    window = (1 if space_first else min(2, shape[0]), min(2, shape[1]), min(2, shape[2]))
    weight = F.avg_pool3d(known, window, ceil_mode=True)
    total = F.avg_pool3d(known * color, window, ceil_mode=True)
    # One known voxel in a window is enough to know the window, or colors of coarser levels would blur it.
    coarse_known = (weight * float(np.prod(window))).clamp(max=1)
    coarse = _pull_push(total / weight.clamp(min=_TINY), coarse_known, frame_step / 2 if space_first else 1)
    scale = tuple(float(size) for size in window)
    fine = F.interpolate(coarse, scale_factor=scale, mode="trilinear", align_corners=False)
    fine = fine[..., : shape[0], : shape[1], : shape[2]]
    return (known * color).addcmul_(1 - known, fine)
