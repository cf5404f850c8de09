import json

import pytest
import yaml
from hydra import compose, initialize_config_module

from lavx.errors import RequestError
from lavx.experiments.compose import settings
from lavx.experiments.identity import claim, difference, holds
from lavx.experiments.run import run_identity


def test_difference_names_the_keys():
    assert difference({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "d": 4}) == [
        "a.b: 1 -> 3",
        "c: 2 -> (absent)",
        "d: (absent) -> 4",
    ]


def test_a_renamed_module_or_class_is_no_difference_and_another_class_is():
    old = {"method": {"removal": {"_target_": "lavx.removal.Black"}}, "metric": {"_target_": "lavx.metrics.Games"}}
    new = {
        "method": {"removal": {"_target_": "lavx.methods.removal.Black"}},
        "metric": {"_target_": "lavx.metrics.insertion_deletion.InsertionDeletion"},
    }
    assert difference(old, new) == []
    new["method"]["removal"]["_target_"] = "lavx.methods.removal.Gray"
    assert difference(old, new) == ["method.removal._target_: lavx.removal.Black -> lavx.methods.removal.Gray"]


def test_a_moved_data_folder_is_no_difference(tmp_path):
    config = {"dataset": {"_target_": "x.Kinetics400", "root": "/old", "part": "val"}}
    claim(tmp_path, config, {})
    config["dataset"]["root"] = "/new"
    assert holds(tmp_path, config)
    claim(tmp_path, config, {})
    config["dataset"]["part"] = "test"
    assert not holds(tmp_path, config)


def test_a_file_counts_by_its_content_not_by_its_place(tmp_path):
    run, here, there = tmp_path / "run", tmp_path / "a.csv", tmp_path / "b.csv"
    run.mkdir()
    here.write_text("one")
    there.write_text("one")
    claim(run, {"dataset": {"annotations": str(here)}}, {})
    assert holds(run, {"dataset": {"annotations": str(there)}})
    there.write_text("two")
    with pytest.raises(RequestError, match="dataset.annotations: .*a.csv -> .*b.csv"):
        claim(run, {"dataset": {"annotations": str(there)}}, {})
    here.write_text("three")
    with pytest.raises(RequestError, match=r"a.csv -> .*a.csv \(its content has changed\)"):
        claim(run, {"dataset": {"annotations": str(here)}}, {})


def test_weights_count_by_their_hash_not_by_their_place(tmp_path):
    def weights(file, digit):
        return {"weights": {"file": file, "sha256": digit * 64}}

    claim(tmp_path, {"net": {"checkpoint": "/old/best.pth"}}, weights("/old/best.pth", "1"))
    moved = {"net": {"checkpoint": "/new/best.pth"}}
    claim(tmp_path, moved, weights("/new/best.pth", "1"))
    assert not holds(tmp_path, moved)  # nobody knows without the weights
    with pytest.raises(RequestError, match="net.checkpoint: /old/best.pth -> /new/best.pth"):
        claim(tmp_path, moved, weights("/new/best.pth", "2"))


def test_a_folder_of_lavx_0_1_is_recognized(tmp_path):
    old = {"seed": 0, "dataset": {"_target_": "lavx.datasets.shapes.Shapes", "root": "/home/me/.cache/lavx"},
           "net": {"_target_": "lavx.networks.network.Network", "config": "lavx:shapes_tpn.py"},
           "method": {"_target_": "lavx.explainer.Floor", "kind": "center"}}  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(old))
    (tmp_path / "environment.json").write_text(json.dumps({"weights": {"file": "x", "sha256": "1" * 64}}))
    new = {"seed": 0, "dataset": {"_target_": "lavx.datasets.shapes.Shapes", "root": "/elsewhere"},
           "net": {"_target_": "lavx.networks.openmmlab.network.Network", "config": "lavx:shapes_tpn.py"},
           "method": {"_target_": "lavx.explainer.Control", "kind": "center"}}  # fmt: skip
    assert holds(tmp_path, settings(new))
    claim(tmp_path, settings(new), {"weights": {"file": "x", "sha256": "1" * 64}})


def test_a_folder_of_before_windows_had_a_stride_had_that_of_a_half():
    old = {"method": {"segmentation": {"_target_": "lavx.segmentation.Windows", "divisions": [4, 7, 7]}}}
    new = {"method": {"segmentation": old["method"]["segmentation"] | {"stride": 0.5}}}
    assert difference(old, new) == []
    new["method"]["segmentation"]["stride"] = 1
    assert difference(old, new) == ["method.segmentation.stride: 0.5 -> 1"]


def composed(*overrides):
    with initialize_config_module("lavx.conf", version_base="1.3"):
        return run_identity(settings(compose("run", overrides=["method=lime", *overrides])))


def test_results_of_two_protocols_never_land_in_one_folder(tmp_path):
    first, second = composed(), composed("protocol=v2")
    claim(tmp_path, first, {})
    assert holds(tmp_path, first) and not holds(tmp_path, second)
    with pytest.raises(RequestError, match="(?s)method.removal._tar.*metric.removal._tar.*protocol: v1 -> v2"):
        claim(tmp_path, second, {})
    # Nor where every step is set to be the other's: what is published under a name stays told by it.
    alike = composed(
        "protocol=v2", "method/removal=black", "method/removal@metric.removal=black", "~method/smoothing"
    )
    assert difference(first, alike) == ["protocol: v1 -> v2"]
    before = {key: value for key, value in first.items() if key != "protocol"}
    assert difference(before, first) == []
    assert "protocol: v1 -> v2" in difference(before, second)
