import numpy as np
import pytest
import torch

from lavx.datasets import shapes
from lavx.datasets.shapes import CLASSES, COLORS, PAIRS, Shapes, draw
from lavx.video import read_frames

NETWORKS = ("timesformer", "tanet", "tpn")


def test_the_same_seed_draws_the_same_video_and_another_does_not():
    first, second = draw((0, 0, 3)), draw((0, 0, 3))
    assert np.array_equal(first.frames, second.frames) and np.array_equal(first.actor, second.actor)
    assert not np.array_equal(first.frames, draw((0, 0, 4)).frames)


def test_drawing_some_frames_shows_the_same_scene():
    some = range(0, shapes.N_FRAMES, 2)
    whole, part = draw((0, 0, 5)), draw((0, 0, 5), frames=some)
    assert np.array_equal(whole.actor[list(some)], part.actor) and whole.label == part.label
    difference = whole.frames[list(some)].astype(int) - part.frames
    assert np.abs(difference).mean() < 5  # the grain alone


def test_no_color_and_no_set_of_colors_decides_the_class():
    for color in COLORS:
        assert sum(color == a for a, _ in PAIRS) == 2 and sum(color == b for _, b in PAIRS) == 2
    for pair in PAIRS:
        assert pair[::-1] in PAIRS


@pytest.mark.parametrize("label", range(len(CLASSES)))
def test_the_actor_turns_from_one_color_into_the_other_within_its_frames(label):
    drawing = draw((1, 0, label), label=label)
    there = drawing.actor.any((1, 2))
    first, last = drawing.acting
    assert there[first : last + 1].all() and there.sum() == last - first + 1
    assert first + 2 < drawing.turning < last
    for frame in np.flatnonzero(there):
        color = np.median(drawing.frames[frame][drawing.actor[frame]], axis=0)
        nearest = min(COLORS, key=lambda name: np.abs(color - COLORS[name]).sum())
        assert nearest == PAIRS[label][int(frame >= drawing.turning)]


def test_the_actor_stays_within_the_square_that_the_networks_see():
    side = (shapes.WIDTH - shapes.HEIGHT) // 2
    for number in range(20):
        actor = draw((0, 0, number)).actor
        assert not actor[:, :, :side].any() and not actor[:, :, -side:].any()


def test_videos_are_written_once_and_read_back_with_their_truth(tmp_path):
    dataset = Shapes(tmp_path, n_videos=9)
    videos = dataset.videos()
    assert [v.label for v in videos] == [0, 1, 2, 3, 4, 5, 6, 7, 0]
    before = {p: p.stat().st_mtime_ns for p in dataset.folder.iterdir()}
    dataset.videos()
    assert before == {p: p.stat().st_mtime_ns for p in dataset.folder.iterdir()} and len(before) == 18
    drawing = draw((0, 0, 3), label=3)
    frames = read_frames(videos[3].path, range(shapes.N_FRAMES))
    assert np.abs(frames.astype(int) - drawing.frames).mean() < 4
    assert np.array_equal(dataset.ground_truth(videos[3]), drawing.actor)


def test_bad_requests_are_refused(tmp_path):
    with pytest.raises(ValueError, match="dataset.n_videos must be >= 1, got 0"):
        Shapes(tmp_path, n_videos=0)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="set dataset.root to a folder that can be written"):
        Shapes(tmp_path / "file").videos()


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    """Clips and labels of videos that no network was trained on, read back from files."""

    def clips(network, n_videos):
        dataset = Shapes(tmp_path_factory.getbasetemp() / "held-out", n_videos=n_videos, seed=12345)
        videos = dataset.videos()
        frames = np.stack([network.read(video.path).frames for video in videos])
        return torch.from_numpy(frames).float(), torch.tensor([video.label for video in videos])

    return clips


def embedded(name):
    from lavx.networks.openmmlab.network import Network

    return Network(name, f"lavx:shapes_{name}.py", "embedded", classes=CLASSES, device="cpu")


def scores(network, clips):
    return torch.cat([network(batch) for batch in clips.split(32)]).softmax(-1)


@pytest.mark.parametrize("name", NETWORKS)
def test_order_in_time_decides(name, held_out):
    network = embedded(name)
    clips, labels = held_out(network, 64)

    def accuracy(clips):
        return (scores(network, clips).argmax(-1) == labels).float().mean()

    assert accuracy(clips) >= 0.9
    for frame in range(8):
        assert accuracy(clips[:, frame : frame + 1].expand(-1, 8, -1, -1, -1)) <= 0.5
    shuffled = torch.stack(
        [c[torch.randperm(8, generator=torch.Generator().manual_seed(i))] for i, c in enumerate(clips)]
    )
    assert accuracy(shuffled) <= 0.75
    assert accuracy(clips.flip(1)) <= 0.2  # played backwards, the class is another


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_the_embedded_networks_know_the_classes(name, held_out):
    network = embedded(name)
    clips, labels = held_out(network, 400)
    probability = scores(network, clips)
    print(name, (probability.argmax(-1) == labels).float().mean(), probability[range(400), labels].median())
    assert (probability.argmax(-1) == labels).float().mean() >= 0.95
    assert probability[torch.arange(400), labels].median() >= 0.9
