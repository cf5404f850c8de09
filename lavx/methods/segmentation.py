"""Segmentation: cuts a clip into the regions that are removed and kept.

`Grid`, `SoftGrid` and `Windows` do not look at the clip. `Slic` cuts it as one volume. `Felzenszwalb`,
`Quickshift` and `Watershed` cut single frames, which `carry` makes a cut of the clip:

- `stack`: every frame is cut on its own. A region is a connected part of one frame.
- `flow`: the first frame is cut, and optical flow carries its regions on. A region is followed through all
  frames; it may be torn apart, or get lost behind another, and what enters the picture joins a neighbor.

Every component takes a clip uint8 (T, H, W, 3) in RGB and a random generator. The same clip and generator
state give the same regions. Regions may be stored and used again under what `computed_by` says: a component's
`version` goes up whenever it cuts the same clip differently than before.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version as version_of
from typing import Any, ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from skimage.color import rgb2lab
from skimage.filters import gaussian, sobel
from skimage.measure import label as connected_components
from skimage.segmentation import felzenszwalb, quickshift, slic, watershed
from skimage.util import regular_grid

from lavx import checks
from lavx.methods import regions
from lavx.methods.regions import LabelRegions
from lavx.types import Frames, Segmentation

log = logging.getLogger(__name__)

CARRIES = ("stack", "flow")

_CELLS = "whole numbers >= 1, for (T, H, W)"

_EXPECTED = (0.6, 1.4)  # regions as a share of n_segments; outside of it, the log says so
_SEEDS = (0.75, 1.4)  # the same of SLIC's seeds, which lose a few regions later
_CLOSE = 0.1  # a search for a number of regions ends this close to it
_SMALLEST = 8  # voxels that a small supervoxel of a tiny clip has in the mean
_SHORT = 4  # small supervoxels in the length of a clip
_BLACK_TO_WHITE = 100  # in CIELAB
_SMALLEST_FOR_FLOW = 16  # pixels; OpenCV's flow needs two patches of 8 a side

_LIBRARIES = {
    "scikit-image": version_of("scikit-image"),
    "opencv": cv2.__version__,
    "scikit-learn": version_of("scikit-learn"),
}

# Cuts frames (n, H, W, 3) into about so many regions each: label maps (H, W) from 0 on, without gaps.
_Cut = Callable[[Frames, int], list[NDArray[np.intp]]]


def computed_by(segmentation: Segmentation) -> str | None:
    """What computes a segmentation, such as "Slic 1 scikit-image 0.26.0", to tell stored regions apart by.

    Returns:
        Its class, the class's `version` and the versions of the `libraries` that decide the result. None for a
        class without a version: nobody says when it cuts differently, so its regions are not to be stored.
    """
    version = getattr(segmentation, "version", None)
    if version is None:
        return None
    libraries = [f"{name} {_LIBRARIES[name]}" for name in getattr(segmentation, "libraries", ())]
    return " ".join([type(segmentation).__name__, str(version), *libraries])


class Grid:
    """Boxes, all of the same size or a voxel apart.

    Args:
        cells: boxes along (T, H, W).
    """

    version: ClassVar[int] = 1

    def __init__(self, cells: Sequence[int] = (4, 7, 7)) -> None:
        self.cells = checks.three("cells", cells, checks.whole, _CELLS)

    def __call__(self, clip: Frames, rng: np.random.Generator) -> LabelRegions:
        """The boxes of a clip."""
        shape = _check_clip(clip)
        if any(n > size for n, size in zip(self.cells, shape, strict=True)):
            raise ValueError(f"a grid of {self.cells} cells does not fit a clip of {shape}: ask for fewer cells")
        t, y, x = (np.arange(size) * n // size for n, size in zip(self.cells, shape, strict=True))
        _, rows, columns = self.cells
        return LabelRegions((t[:, None, None] * rows + y[:, None]) * columns + x)


class Stretches:
    """Stretches of time over whole frames, all of the same length or a frame apart.

    Args:
        n: how many; as many as there are frames where a clip has fewer.
    """

    version: ClassVar[int] = 1

    def __init__(self, n: int = 8) -> None:
        self.n = checks.whole("n", n)

    def __call__(self, clip: Frames, rng: np.random.Generator) -> LabelRegions:
        """The stretches of a clip."""
        shape = _check_clip(clip)
        n = min(self.n, shape[0])
        return LabelRegions(np.broadcast_to((np.arange(shape[0]) * n // shape[0])[:, None, None], shape))


class SoftGrid:
    """Cells whose borders fade into each other (3D RISE).

    Args:
        cells: cells along (T, H, W).
    """

    version: ClassVar[int] = 1

    def __init__(self, cells: Sequence[int] = (4, 7, 7)) -> None:
        self.cells = checks.three("cells", cells, checks.whole, _CELLS)

    def __call__(self, clip: Frames, rng: np.random.Generator) -> regions.SoftGrid:
        """The cells of a clip."""
        return regions.SoftGrid(_check_clip(clip), self.cells)


class Windows:
    """Windows, the usual ones overlapping by half (3D Sampled Occlusion Sensitivity).

    Args:
        divisions: (4, 7, 7) makes a window 1/4 x 1/7 x 1/7 of the clip.
        stride: how far windows are apart at most, as a share of their size in (0, 1]: one number or three for
            (T, H, W). 0.5 makes 7 x 13 x 13 = 1,183 windows of the usual ones, 1 makes 4 x 7 x 7 = 196.
    """

    version: ClassVar[int] = 1

    def __init__(self, divisions: Sequence[int] = (4, 7, 7), stride: float | Sequence[float] = 0.5) -> None:
        self.divisions = checks.three("divisions", divisions, checks.whole, _CELLS)
        given: Any = [stride] * 3 if checks.is_number(stride) else stride
        self.stride = checks.three("stride", given, checks.fraction, "fractions in (0, 1], for (T, H, W), or one")

    def __call__(self, clip: Frames, rng: np.random.Generator) -> regions.Windows:
        """The windows of a clip."""
        return regions.Windows(_check_clip(clip), self.divisions, self.stride)


class Slic:
    """Supervoxels: k-means of color and place over the whole clip. Every region is connected.

    Source: Achanta et al. 2012, in three dimensions, as scikit-image has it.

    Args:
        n_segments: about how many regions.
        compactness: higher makes regions more regular, lower makes them follow colors.
        spacing: size of a voxel along (T, H, W). Less in time makes regions reach over more frames. With the
            study's 0.2, nearly every region of 8 frames spans all of them: see `cutting_time`.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("scikit-image",)

    def __init__(
        self, n_segments: int = 200, compactness: float = 20, spacing: Sequence[float] = (0.2, 1, 1)
    ) -> None:
        self.n_segments = checks.whole("n_segments", n_segments)
        self.compactness = checks.positive("compactness", compactness)
        self.spacing = checks.three("spacing", spacing, checks.positive, "numbers > 0, for (T, H, W)")

    def __call__(self, clip: Frames, rng: np.random.Generator) -> LabelRegions:
        """The supervoxels of a clip; `rng` is not used."""
        shape = _check_clip(clip, self.n_segments)
        labels = slic(
            clip,
            n_segments=self.n_segments,
            compactness=self.compactness,
            spacing=self.spacing,
            mask=None if self._grid_fits(shape) else np.ones(shape, dtype=bool),
            start_label=1,
            channel_axis=-1,
        )
        return _regions(self, _consecutive(labels), self.n_segments)

    def cutting_time(self, shape: tuple[int, int, int]) -> str:
        """The parameter with which a region spans about two or three frames of a clip (T, H, W), as text.

        Regions are about as long in each direction, in units of `spacing`: of N regions each spans f frames where
        the spacing in time is the root of T H W / (N f^3). Measured for f = 2 on 8 frames, 200 regions: 2.5 frames
        on 64 x 64 pixels, 2.8 to 3.0 on 224 x 224.
        """
        time = max(1, round(float(np.sqrt(np.prod(shape) / (8 * self.n_segments)))))
        return f"spacing=[{time},{self.spacing[1]:g},{self.spacing[2]:g}]"

    def _grid_fits(self, shape: tuple[int, int, int]) -> bool:
        """Whether scikit-image's grid of seeds has about `n_segments` of them.

        It is cubic with a whole number of voxels as step, which on a small clip misses widely (338 seeds for
        200 on 8 x 64 x 64). With a mask, even one that is all true, k-means places the seeds instead, exactly
        as many as asked for, in twice the time.
        """
        steps = regular_grid(shape, self.n_segments)
        seeds = np.prod([len(range(size)[step]) for size, step in zip(shape, steps, strict=True)])
        return bool(_SEEDS[0] <= seeds / self.n_segments <= _SEEDS[1])


class Merged:
    """Few supervoxels that follow what is in the picture: many small ones of `Slic`, merged until few are left.

    The small ones are short in time, about a quarter of the clip. Neighbors are merged first that are most alike
    in color and place, and small (Ward's criterion), so that a region is what has one color for a while; most of
    a plain background ends in a few large regions, which leaves the others to what stands out.

    Source: Ward 1963, restricted to neighbors, as scikit-learn has it.

    Args:
        n_segments: how many regions are left, exactly, where there are as many small ones.
        n_small: about how many small ones, of 8 voxels or more in the mean.
        duration: length of the clip in sides of a frame; the more, the shorter regions are in time.
        color: how far black is from white in sides of a frame; the more, the closer regions follow colors.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("scikit-image", "scikit-learn")

    def __init__(
        self, n_segments: int = 40, n_small: int = 300, duration: float = 1.25, color: float = 0.5
    ) -> None:
        self.n_segments = checks.whole("n_segments", n_segments)
        self.n_small = checks.whole("n_small", n_small)
        if self.n_small < self.n_segments:
            raise ValueError(
                f"n_small must be at least n_segments, got n_small={n_small} and n_segments={n_segments}"
            )
        self.duration = checks.positive("duration", duration)
        self.color = checks.at_least("color", color)
        _ward_tree()  # or the first clip's seconds would hold the import

    def __call__(self, clip: Frames, rng: np.random.Generator) -> LabelRegions:
        """The merged supervoxels of a clip; `rng` is not used."""
        shape = _check_clip(clip, self.n_segments)
        n_small = max(1, min(self.n_small, int(np.prod(shape)) // _SMALLEST))
        length = max(1.0, shape[0] / _SHORT)  # in frames
        spacing = float(np.sqrt(np.prod(shape) / (n_small * length**3)))
        small = Slic(n_small, spacing=(spacing, 1, 1))(clip, rng).labels
        n = int(small.max()) + 1
        if n <= self.n_segments:
            return LabelRegions(small)
        children = _ward_tree()(self._features(clip, small), connectivity=_neighbors(small))[0]
        return LabelRegions(_consecutive(_first_merges(children, n, n - self.n_segments)[small]))

    def _features(self, clip: Frames, labels: NDArray[np.integer]) -> NDArray[np.float64]:
        """Mean time, place and color of each region, in sides of a frame: (R, 6)."""
        frames, height, width = labels.shape
        side = np.sqrt(height * width)
        t, y, x = np.meshgrid(*map(np.arange, labels.shape), indexing="ij")
        lab = rgb2lab(clip) * (self.color / _BLACK_TO_WHITE)
        volumes = [t * (self.duration / frames), y / side, x / side, *np.moveaxis(lab, -1, 0)]
        sizes = np.bincount(labels.ravel())
        return np.stack([np.bincount(labels.ravel(), volume.ravel()) / sizes for volume in volumes], axis=1)


class Felzenszwalb:
    """Regions of even color by graph cuts, frame by frame.

    Its `scale`, which has no meaning of its own, is searched for each clip until the number of regions fits.

    Source: Felzenszwalb and Huttenlocher 2004, as scikit-image has it.

    Args:
        n_segments: about how many regions in the clip.
        carry: "stack" or "flow", see this module.
        sigma: of the Gaussian that smooths frames first, in pixels.
        smallest: size of the smallest region, as a share of the mean region.
        tries: how many scales are tried at most.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("scikit-image", "opencv")

    def __init__(
        self,
        n_segments: int = 200,
        carry: str = "stack",
        sigma: float = 0.8,
        smallest: float = 0.2,
        tries: int = 8,
    ) -> None:
        self.n_segments = checks.whole("n_segments", n_segments)
        self.carry = checks.one_of("carry", carry, CARRIES)
        self.sigma = checks.at_least("sigma", sigma)
        self.smallest = checks.fraction("smallest", smallest)
        self.tries = checks.whole("tries", tries)

    def __call__(self, clip: Frames, rng: np.random.Generator) -> LabelRegions:
        """The regions of a clip; `rng` is not used."""
        return _regions(self, _carried(clip, self._cut, self.n_segments, self.carry), self.n_segments)

    def _cut(self, frames: Frames, n_segments: int) -> list[NDArray[np.intp]]:
        min_size = _min_size(frames, n_segments, self.smallest)

        def cut(scale: float, chosen: Frames) -> list[NDArray[np.intp]]:
            return [felzenszwalb(f, scale=scale, sigma=self.sigma, min_size=min_size) for f in chosen]

        # First, middle and last frame speak for all.
        chosen = frames[sorted({0, len(frames) // 2, len(frames) - 1})]
        low, high, best = 0.0, 5.0, (np.inf, 1.0)  # logarithms of the scale: the higher, the fewer regions
        for _ in range(self.tries):
            middle = (low + high) / 2
            found = sum(_count(labels, min_size) for labels in cut(10**middle, chosen)) / len(chosen)
            best = min(best, (_distance(found, n_segments), 10**middle))
            if best[0] < _CLOSE:
                break
            low, high = (middle, high) if found > n_segments else (low, middle)
        return [_without_small(labels, min_size) for labels in cut(best[1], frames)]


class Quickshift:
    """Regions around the modes of color and place, frame by frame.

    How far apart two modes have to be (`max_dist`) is searched for each clip until the number of regions
    fits. Frames are shrunk first until a mean region is at most eight kernels wide: the kernel's reach bounds
    the size of a region, and time grows with its square.

    Source: Vedaldi and Soatto 2008, as scikit-image has it.

    Args:
        n_segments: about how many regions in the clip.
        carry: "stack" or "flow", see this module.
        ratio: weight of color against place, in [0, 1].
        kernel_size: sigma of the Gaussian that estimates the density, in pixels of the shrunk frame, >= 1.
        smallest: size of the smallest region, as a share of the mean region.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("scikit-image", "opencv")

    def __init__(
        self,
        n_segments: int = 200,
        carry: str = "stack",
        ratio: float = 0.5,
        kernel_size: float = 3,
        smallest: float = 0.2,
    ) -> None:
        self.n_segments = checks.whole("n_segments", n_segments)
        self.carry = checks.one_of("carry", carry, CARRIES)
        self.ratio = checks.between("ratio", ratio, 0, 1)
        self.kernel_size = checks.at_least("kernel_size", kernel_size, 1)
        self.smallest = checks.fraction("smallest", smallest)

    def __call__(self, clip: Frames, rng: np.random.Generator) -> LabelRegions:
        """The regions of a clip; `rng` breaks ties."""

        def cut(frames: Frames, n_segments: int) -> list[NDArray[np.intp]]:
            return self._cut(frames, n_segments, rng)

        return _regions(self, _carried(clip, cut, self.n_segments, self.carry), self.n_segments)

    def _cut(self, frames: Frames, n_segments: int, rng: np.random.Generator) -> list[NDArray[np.intp]]:
        _, height, width, _ = frames.shape
        side = np.sqrt(height * width / n_segments)
        shrink = int(np.ceil(side / (8 * self.kernel_size)))
        size = (-(-width // shrink), -(-height // shrink))
        small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
        trees = [self._tree(frame, rng) for frame in small]
        min_size = _min_size(small, n_segments, self.smallest)
        # One tree serves every max_dist. Too small a distance leaves crumbs only, so numbers of regions rise
        # and fall with it: all candidates are looked at, largest first.
        lengths = np.concatenate([length[np.isfinite(length)] for _, length in trees])
        candidates = np.unique(np.append(np.quantile(lengths, 1 - np.geomspace(1e-4, 0.5, 24)), lengths.max()))
        found = {
            d: sum(_count(_branches(tree, length, d), min_size) for tree, length in trees) / len(trees)
            for d in candidates[::-1]
        }
        best = min(found, key=lambda d: _distance(found[d], n_segments))
        maps = [_without_small(_branches(tree, length, best), min_size) for tree, length in trees]
        return [_consecutive(_enlarged(labels, shrink)[:height, :width]) for labels in maps]

    def _tree(self, frame: Frames, rng: np.random.Generator) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Each pixel's parent, the nearest one of higher density (flat index), and how far it is."""
        _, tree, length = quickshift(
            frame,
            ratio=self.ratio,
            kernel_size=self.kernel_size,
            max_dist=1e9,
            return_tree=True,
            rng=int(rng.integers(2**31)),
        )
        parents = np.asarray(tree).astype(np.intp)
        is_root = parents == np.arange(parents.size).reshape(parents.shape)
        return parents, np.where(is_root, np.inf, np.asarray(length))


class Watershed:
    """Basins of the color gradient around evenly placed markers, frame by frame.

    Source: Neubert and Protzel 2014 (compact watershed), as scikit-image has it.

    Args:
        n_segments: about how many regions in the clip.
        carry: "stack" or "flow", see this module.
        compactness: higher makes regions more regular, 0 is the classical watershed.
        sigma: of the Gaussian that smooths frames before the gradient is taken, in pixels.
    """

    version: ClassVar[int] = 1
    libraries: ClassVar[tuple[str, ...]] = ("scikit-image", "opencv")

    def __init__(
        self, n_segments: int = 200, carry: str = "stack", compactness: float = 0.02, sigma: float = 1
    ) -> None:
        self.n_segments = checks.whole("n_segments", n_segments)
        self.carry = checks.one_of("carry", carry, CARRIES)
        self.compactness = checks.at_least("compactness", compactness)
        self.sigma = checks.at_least("sigma", sigma)

    def __call__(self, clip: Frames, rng: np.random.Generator) -> LabelRegions:
        """The regions of a clip; `rng` is not used."""
        return _regions(self, _carried(clip, self._cut, self.n_segments, self.carry), self.n_segments)

    def _cut(self, frames: Frames, n_segments: int) -> list[NDArray[np.intp]]:
        markers = _markers(frames.shape[1:3], n_segments)
        maps = []
        for frame in frames:
            smooth = gaussian(rgb2lab(frame), sigma=self.sigma, channel_axis=-1)
            gradient = np.sqrt(sum(sobel(smooth[..., i]) ** 2 for i in range(3)))
            labels = watershed(gradient, markers, compactness=self.compactness * gradient.max())
            maps.append(_consecutive(labels))
        return maps


def _ward_tree() -> Callable[..., tuple[Any, ...]]:
    # scikit-learn takes a second to import, which `import lavx` can do without.
    from sklearn.cluster import ward_tree

    tree: Callable[..., tuple[Any, ...]] = ward_tree
    return tree


def _neighbors(labels: NDArray[np.integer]) -> csr_matrix:
    """Which regions touch: (R, R), 1 where two have voxels side by side."""
    n = int(labels.max()) + 1
    pairs = []
    for axis in range(3):
        lines = np.moveaxis(labels, axis, 0)
        one, next_one = lines[:-1].ravel(), lines[1:].ravel()
        apart = one != next_one
        pairs.append(np.stack([one[apart], next_one[apart]]))
    touching = np.unique(np.concatenate(pairs, axis=1), axis=1)
    matrix = csr_matrix((np.ones(touching.shape[1]), (touching[0], touching[1])), shape=(n, n))
    return matrix.maximum(matrix.T)


def _first_merges(children: NDArray[np.integer], n: int, n_merges: int) -> NDArray[np.intp]:
    """The number of the group (n,) that each of n leaves of a tree is in after the first merges."""
    group = np.arange(n + n_merges)
    for merge in reversed(range(n_merges)):  # from the top, so that each finds where its parent ended
        group[children[merge]] = group[n + merge]
    return group[:n]


def _carried(clip: Frames, cut: _Cut, n_segments: int, carry: str) -> NDArray[np.intp]:
    """Label map (T, H, W) of a cut of single frames."""
    shape = _check_clip(clip, n_segments)
    if carry == "flow":
        return _flow(clip, cut(clip[:1], n_segments)[0])
    maps = cut(clip, max(1, round(n_segments / shape[0])))
    offsets = np.cumsum([0] + [labels.max() + 1 for labels in maps[:-1]])
    return np.stack([labels + offset for labels, offset in zip(maps, offsets, strict=True)])


def _flow(clip: Frames, labels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Carry the labels (H, W) of the first frame on: each pixel takes the label of where it came from.

    Source: Kroeger et al. 2016 (dense inverse search), as OpenCV has it. Borders repeat, so that every voxel
    comes from somewhere.
    """
    if len(clip) == 1:
        return labels[None]
    height, width = labels.shape
    if min(height, width) < _SMALLEST_FOR_FLOW:
        raise ValueError(
            f"carry=flow needs frames of at least {_SMALLEST_FOR_FLOW} x {_SMALLEST_FOR_FLOW} pixels, got "
            f"{height} x {width}: use carry=stack"
        )
    y, x = np.mgrid[:height, :width]
    gray = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip]
    maps = [labels]
    with _one_thread():
        search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        for before, now in zip(gray[:-1], gray[1:], strict=True):
            # The flow from now to before, not the other way round: every pixel of this frame has one source then.
            step = np.rint(search.calc(now, before, None)).astype(np.intp)  # type: ignore[call-overload]
            source = np.clip(y + step[..., 1], 0, height - 1), np.clip(x + step[..., 0], 0, width - 1)
            maps.append(maps[-1][source])
    return np.stack(maps)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV cuts a frame into one stripe a thread, which would make the flow depend on their number."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def _regions(segmentation: object, labels: NDArray[np.intp], n_segments: int) -> LabelRegions:
    """The regions of a label map; the log says where there are far fewer or more than asked for."""
    found = LabelRegions(labels)
    if not _EXPECTED[0] <= found.n_regions / n_segments <= _EXPECTED[1]:
        log.warning(
            "%s gave %d regions, not about n_segments=%d, on a clip of %s.",
            type(segmentation).__name__,
            found.n_regions,
            n_segments,
            found.shape,
        )
    return found


def _consecutive(labels: NDArray[np.integer]) -> NDArray[np.intp]:
    """The same map with labels from 0 on, in the same order, none left out."""
    used = np.bincount(labels.ravel()) > 0
    renamed: NDArray[np.intp] = np.cumsum(used) - 1
    return renamed[labels]


def _distance(found: float, wanted: float) -> float:
    """How far a number of regions is from what was asked for: 0.1 is about 10 % more or less."""
    return float(abs(np.log(max(found, 0.5) / wanted)))


def _min_size(frames: Frames, n_segments: int, smallest: float) -> int:
    return max(1, round(smallest * frames.shape[1] * frames.shape[2] / n_segments))


def _count(labels: NDArray[np.integer], min_size: int) -> int:
    """Connected parts of a frame's regions that are not small."""
    parts = connected_components(labels, background=-1, connectivity=1)
    return int((np.bincount(parts.ravel())[1:] >= min_size).sum())


def _without_small(labels: NDArray[np.integer], min_size: int) -> NDArray[np.intp]:
    """Regions of a frame as connected parts (4 neighbors); the small ones go to their neighbors."""
    parts = connected_components(labels, background=-1, connectivity=1)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    kept = sizes >= min(min_size, sizes.max())
    kept[0] = False
    markers = np.where(kept, np.cumsum(kept), 0)[parts]
    return watershed(np.zeros(labels.shape, dtype=np.uint8), markers, connectivity=1).astype(np.intp) - 1


def _branches(tree: NDArray[np.intp], length: NDArray[np.float64], max_dist: float) -> NDArray[np.intp]:
    """Cut a tree at edges longer than `max_dist`: the label of a pixel is the root of its branch."""
    flat = tree.ravel()
    parents = np.where(length.ravel() > max_dist, np.arange(flat.size), flat)
    # Everyone's parent becomes the grandparent: the way to the root halves with each round.
    while True:
        grandparents = parents[parents]
        if (grandparents == parents).all():
            return parents.reshape(tree.shape)
        parents = grandparents


def _enlarged(labels: NDArray[np.intp], factor: int) -> NDArray[np.intp]:
    return labels.repeat(factor, axis=0).repeat(factor, axis=1)


def _markers(shape: tuple[int, ...], n_segments: int) -> NDArray[np.int32]:
    """About `n_segments` evenly placed markers from 1 on in a frame (H, W), which is 0 elsewhere."""
    height, width = shape
    rows = min(height, n_segments, max(1, round(np.sqrt(n_segments * height / width))))
    columns = min(width, max(1, round(n_segments / rows)))
    y = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    x = ((np.arange(columns) + 0.5) * width / columns).astype(int)
    markers = np.zeros(shape, dtype=np.int32)
    markers[np.ix_(y, x)] = np.arange(1, rows * columns + 1).reshape(rows, columns)
    return markers


def _check_clip(clip: Frames, n_segments: int = 1) -> tuple[int, int, int]:
    """(T, H, W) of a clip."""
    if clip.ndim != 4 or clip.shape[3] != 3 or clip.dtype != np.uint8 or 0 in clip.shape:
        raise ValueError(f"a clip must be uint8 (T, H, W, 3), got {clip.dtype} {clip.shape}")
    frames, height, width, _ = clip.shape
    if n_segments > frames * height * width:
        raise ValueError(
            f"n_segments={n_segments} is more than the {frames * height * width} voxels of a clip of "
            f"{(frames, height, width)}: ask for fewer"
        )
    return frames, height, width
