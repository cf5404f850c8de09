import numpy as np
import pytest

from lavx.experiments.segmentation_cache import SegmentationCache
from lavx.methods.regions import LabelRegions, SoftGrid

calls = []  # outside the class: what an instance holds are its parameters


class Halves:
    version = 1

    def __init__(self, axis=1):
        self.axis = axis

    def __call__(self, clip, rng):
        calls.append(1)
        return LabelRegions(np.indices(clip.shape[:3])[self.axis] * 2 // clip.shape[self.axis])


@pytest.fixture(autouse=True)
def no_calls():
    calls.clear()


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_second_time_is_read_and_equal(tmp_path, clip):
    computed, seconds = SegmentationCache(tmp_path)(Halves(), clip, rng())
    read, seconds_read = SegmentationCache(tmp_path)(Halves(), clip, rng())
    assert len(calls) == 1
    assert np.array_equal(computed.labels, read.labels) and seconds_read == seconds > 0


def test_another_clip_parameter_or_stream_is_computed(tmp_path, clip):
    cache = SegmentationCache(tmp_path)
    cache(Halves(), clip, rng())
    cache(Halves(), clip[::-1], rng())
    cache(Halves(axis=2), clip, rng())
    cache(Halves(), clip, rng(1))
    assert len(calls) == 4


def test_a_torn_file_is_computed_again(tmp_path, clip):
    cache = SegmentationCache(tmp_path)
    cache(Halves(), clip, rng())
    (file,) = tmp_path.glob("*.npz")
    size = file.stat().st_size
    file.write_bytes(file.read_bytes()[:40])
    cache(Halves(), clip, rng())
    assert len(calls) == 2 and file.stat().st_size > 40 and abs(file.stat().st_size - size) < 20


def test_a_changed_version_of_the_segmentation_is_computed(tmp_path, clip, monkeypatch):
    cache = SegmentationCache(tmp_path)
    cache(Halves(), clip, rng())
    monkeypatch.setattr(Halves, "version", 2)
    cache(Halves(), clip, rng())
    assert len(calls) == 2


def test_a_segmentation_without_a_version_is_never_stored(tmp_path, clip):
    class Thirds(Halves):
        version = None

    cache = SegmentationCache(tmp_path)
    cache(Thirds(), clip, rng())
    cache(Thirds(), clip, rng())
    assert len(calls) == 2 and not list(tmp_path.iterdir())


def test_for_other_kinds_of_regions_nothing_is_kept(tmp_path, clip):
    class Soft:
        def __call__(self, clip, rng):
            return SoftGrid(clip.shape[:3], (2, 2, 2))

    SegmentationCache(tmp_path)(Soft(), clip, rng())
    assert not list(tmp_path.iterdir())
