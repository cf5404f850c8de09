"""explanation.npz: everything of an explanation, as plain arrays; the same explanation gives the same bytes.

Version 2. Files of lavx 0.1 have no version; they lack the frames, the coalitions and their scores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lavx.explainer import MethodResult
from lavx.files import whole
from lavx.methods.frames import FrameImportance, frame_importance
from lavx.methods.regions import HALF, LabelRegions, SoftGrid, Windows
from lavx.methods.smoothing import SmoothedRegions
from lavx.types import Coalitions, Estimate, Geometry, Regions

VERSION = 2
_FIRST = ("attribution", "heatmap", "target", "probabilities", "full", "empty")  # in every version
_REGIONS = "regions_"
_OPTIONAL = ("std_error", "neutral_std_error", "empty_outputs")


def result_arrays(result: MethodResult) -> dict[str, Any]:
    """The arrays of a method's result; coalitions as bits, R of them a row."""
    return {
        "attribution": result.attribution,
        "heatmap": result.heatmap,
        "full": result.full,
        "empty": result.empty,
        "n_samples": result.n_samples,
        "coalitions": np.packbits(result.coalitions.kept, axis=1),
        "coalition_weights": result.coalitions.weights,
        "coalition_units": result.coalitions.units,
        "scores": result.scores,
        "neutral": result.neutral,
        **{name: getattr(result, name) for name in _OPTIONAL if getattr(result, name) is not None},
        **_frame_arrays(result.per_frame),
        **({} if result.outputs is None else {"coalition_outputs": result.outputs}),
        **{f"{_REGIONS}{name}": array for name, array in result.regions.arrays().items()},
    }


def read_result(arrays: dict[str, NDArray[Any]]) -> MethodResult:
    """The result that `result_arrays` made arrays of."""
    attribution, heatmap = arrays["attribution"], arrays["heatmap"]
    n_regions = len(attribution)
    kept = np.zeros((0, n_regions), dtype=bool)
    weights = scores = np.zeros(0)
    units = arrays.get("coalition_units")
    if "coalitions" in arrays:
        kept = np.unpackbits(arrays["coalitions"], axis=1, count=n_regions).astype(bool)
        weights, scores = arrays["coalition_weights"], arrays["scores"]
    regions = _read_regions(heatmap.shape, arrays, n_regions)
    if f"{_REGIONS}smoothing" in arrays:
        regions = SmoothedRegions(regions, arrays[f"{_REGIONS}smoothing"].tolist())
    coalitions = Coalitions(kept, weights) if units is None else Coalitions(kept, weights, units)
    neutral = float(arrays.get("neutral", np.zeros(())))
    return MethodResult(
        attribution,
        heatmap,
        regions,
        coalitions,
        scores,
        float(arrays["full"]),
        float(arrays["empty"]),
        std_error=arrays.get("std_error"),
        neutral=neutral,
        neutral_std_error=arrays.get("neutral_std_error"),
        outputs=arrays.get("coalition_outputs"),
        empty_outputs=arrays.get("empty_outputs"),
        per_frame=_read_per_frame(arrays, regions, Estimate(attribution, neutral=neutral)),
    )


def _frame_arrays(per_frame: FrameImportance | None) -> dict[str, Any]:
    if per_frame is None:
        return {}
    error = {} if per_frame.std_error is None else {"frame_std_error": per_frame.std_error}
    how = {"frame_how": per_frame.how} if per_frame.how else {}
    return {"frame_importance": per_frame.values, **error, **how}


def _read_per_frame(arrays: dict[str, NDArray[Any]], regions: Regions, estimate: Estimate) -> FrameImportance:
    """Importance per frame; of a file that does not hold it, from its attribution, without an error."""
    if "frame_importance" not in arrays:
        return frame_importance(regions, estimate)
    how = str(arrays.get("frame_how", ""))
    return FrameImportance(arrays["frame_importance"], arrays.get("frame_std_error"), how)


def _read_regions(shape: tuple[int, ...], arrays: dict[str, NDArray[Any]], n_regions: int) -> Regions:
    if f"{_REGIONS}labels" in arrays:
        return LabelRegions(arrays[f"{_REGIONS}labels"])
    if f"{_REGIONS}soft_grid" in arrays:
        return SoftGrid(shape, arrays[f"{_REGIONS}soft_grid"].tolist())
    if f"{_REGIONS}windows" in arrays:
        stride = arrays.get(f"{_REGIONS}windows_stride", np.array(HALF)).tolist()
        return Windows(shape, arrays[f"{_REGIONS}windows"].tolist(), stride)
    raise ValueError(f"the regions are of a kind that lavx does not know: {n_regions} of them")


def read_ground_truth(arrays: dict[str, NDArray[Any]]) -> NDArray[np.bool_] | None:
    """The ground truth (T, H, W), which is stored as bits; None where there is none."""
    if "ground_truth" not in arrays:
        return None
    shape = arrays["heatmap"].shape
    return np.unpackbits(arrays["ground_truth"], count=int(np.prod(shape))).reshape(shape).astype(bool)


def geometry_arrays(geometry: Geometry | None) -> dict[str, Any]:
    """Where the clip lies in its video; empty where it comes from none."""
    if geometry is None:
        return {}
    return {
        "frame_indices": np.array(geometry.frame_indices),
        "fps": geometry.fps,
        "source_size": np.array(geometry.source_size),
        "scaled_size": np.array(geometry.scaled_size),
        "crop": np.array(geometry.crop),
    }


def read_geometry(arrays: dict[str, NDArray[Any]]) -> Geometry | None:
    """The geometry that `geometry_arrays` made arrays of."""
    if "frame_indices" not in arrays:
        return None
    indices, source, scaled, crop = (
        tuple(arrays[name].tolist()) for name in ("frame_indices", "source_size", "scaled_size", "crop")
    )
    return Geometry(indices, float(arrays["fps"]), source, scaled, crop)


def write_arrays(path: Path, arrays: dict[str, Any]) -> None:
    """Write a compressed .npz, there whole or not at all; the same arrays give the same bytes."""
    plain = {name: np.asarray(value) for name, value in arrays.items()}
    with whole(path) as part, part.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **plain)


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of an explanation.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no explanation, is damaged, or was written by a later lavx.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: there is no such file") from None
    except Exception as error:  # what is damaged makes zipfile and NumPy raise almost anything
        raise ValueError(f"{path} is no explanation, or a damaged one ({error})") from error
    lacking = [name for name in _FIRST if name not in arrays]
    if lacking:
        raise ValueError(f"{path} is no explanation: it lacks {', '.join(lacking)}")
    version = int(arrays.get("version", np.array(1)))
    if version > VERSION:
        raise ValueError(f"{path} was written by a later lavx (version {version}; this one reads up to {VERSION})")
    return arrays
