"""What a cell's method is called: on the command line, in its folder, and in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lavx.commands.cell_name import cell_name
from lavx.errors import RequestError
from lavx.experiments.variation import CELL, Variation, method_key
from lavx.report.study import is_control, method_of, ordered
from lavx.report.tables import method_title

CHOICES = {"dataset": "shapes", "net": "tpn", "method": "lime"}


@pytest.mark.parametrize(
    ("overrides", "label", "name"),
    [
        ([], None, "lime"),
        (["seed=1", "metric.n_steps=3"], None, "lime"),
        (["method/removal=blur", "+method.sampling.n_samples=5"], None, "lime-sampling.n_samples=5-removal=blur"),
        (["method.sampling.n_samples=5"], "lime300", "lime-lime300"),
        ([], "seed 1", "lime-seed 1"),
        (["method.sampling.n_samples=5"], 300, "lime-300"),
    ],
)
def test_folders_are_called_by_the_label_or_the_changes(overrides: list[str], label: object, name: str) -> None:
    assert cell_name(overrides, CHOICES, label) == ("shapes", "tpn", name)


@pytest.mark.parametrize(
    ("override", "net"),
    [("net.arch=r3d_18", "r3d_18"), ("net.name='my net, v2'", "my net, v2"), ('++net.name="it\'s"', "it's")],
)
def test_networks_are_called_by_their_name_as_hydra_reads_it(override: str, net: str) -> None:
    assert cell_name([override], CHOICES)[1] == net


@pytest.mark.parametrize("label", ["", "a/b", "..\\x", " a", "a ", "x" * 41, "a\nb", "[1]", "n_samples=300"])
def test_labels_must_fit_into_a_folder_s_name(label: str) -> None:
    with pytest.raises(RequestError, match=r"label=.* must be 1 to 40 letters, .* as label=lime300"):
        cell_name([], CHOICES, label)


def test_names_that_no_folder_can_have_are_shortened_and_stay_apart() -> None:
    folders = {Variation.of("lime", [f"method.x={'1' * 300}{k}"]).folder for k in range(3)}
    assert len(folders) == 3 and all(f.startswith("lime-") and len(f.encode()) <= 128 for f in folders)


def test_a_cell_says_what_it_varies(tmp_path: Path) -> None:
    variation = Variation.of("my-rise", ["method/removal=blur", "seed=1"], "soft")
    cell = tmp_path / variation.folder
    cell.mkdir()
    variation.write(cell)
    assert json.loads((cell / CELL).read_text()) == {
        "method": "my-rise",
        "label": "soft",
        "changes": ["removal=blur"],
    }
    assert Variation.read(cell) == variation and method_key(cell, variation) == "my_rise-soft"
    before = (cell / CELL).stat().st_mtime_ns
    variation.write(cell)
    assert (cell / CELL).stat().st_mtime_ns == before
    moved = cell.rename(tmp_path / "renamed")
    assert method_key(moved, Variation.read(moved)) == "my_rise-renamed"


@pytest.mark.parametrize("content", [None, "", "[]", '{"method": "x"}', '{"method": 1, "label": 2, "changes": 3}'])
def test_cells_that_do_not_say_are_told_by_their_folder_s_name(tmp_path: Path, content: str | None) -> None:
    for name, changes in (
        ("lime", ()),
        ("lime-sampling.n_samples=300", ("sampling.n_samples=300",)),
        ("lime-removal.value=-1-sampling.n_samples=3", ("removal.value=-1", "sampling.n_samples=3")),
        ("lime-fast", ("fast",)),
    ):
        cell = tmp_path / name
        cell.mkdir()
        if content is not None:
            (cell / CELL).write_text(content)
        variation = Variation.read(cell)
        assert variation == Variation("lime", None, changes) and method_key(cell, variation) == name


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("lime", "LIME"),
        ("random", "random (control)"),
        ("mine", "mine"),
        ("lime-sampling.n_samples=300", "LIME, n_samples=300"),
        ("lime-sampling.n_samples=300-removal=blur", "LIME, n_samples=300, removal=blur"),
        ("lime-removal.value=1-summary.value=2", "LIME, removal.value=1, summary.value=2"),
        ("lime-removal.path=a.b", "LIME, path=a.b"),
        ("lime-lime300", "lime300"),
        ("lime-lime", "LIME, lime"),
        ("lime-rise", "LIME, rise"),
        ("kernel_shap-300", "Kernel SHAP, 300"),
        ("mine-x-y", "mine, x-y"),
    ],
)
def test_variations_are_called_by_their_method_and_what_differs(name: str, title: str) -> None:
    assert method_title(name) == title


def test_variations_follow_their_method() -> None:
    names = ["random", "rise-b", "mine", "lime-z", "rise", "rise-a", "mine-x", "lime", "center-y", "loco"]
    shown = ["lime", "lime-z", "rise", "rise-a", "rise-b", "loco", "mine", "mine-x", "random", "center-y"]
    assert ordered(names) == shown
    assert [method_of(name) for name in shown[:3]] == ["lime", "lime", "rise"]
    assert [name for name in shown if is_control(name)] == ["random", "center-y"]


def test_the_second_protocol_is_a_variation_with_a_folder_of_its_own():
    second = Variation.of("lime", ["protocol=v2", "method/removal=gray", "seed=1"])
    assert second.changes == ("removal=gray", "protocol=v2")
    assert Variation.of("lime", ["protocol=v2"]).folder == "lime-protocol=v2"
    assert Variation.of("lime", ["protocol=v1"]).folder == "lime"
    assert Variation.of("lime", ["protocol=v2"], label="second").folder == "lime-second"
