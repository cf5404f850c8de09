"""Files of weights, of any network: found, whole, harmless, and fitting to the last tensor."""

from __future__ import annotations

import hashlib
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lavx.networks import checkpoints


@pytest.mark.parametrize("value", ["no", "false", "True", 0, 1, None, []])
def test_only_a_bool_says_whether_a_file_is_trusted(tmp_path: Path, value: Any) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "plain.pth")
    with pytest.raises(ValueError, match=re.escape(f"trust_checkpoint must be True or False, got {value!r}.")):
        checkpoints.check_trust(value)
    with pytest.raises(ValueError, match="trust_checkpoint must be True or False"):
        checkpoints.read_checkpoint(tmp_path / "plain.pth", value)
    assert checkpoints.check_trust(True) is True and checkpoints.check_trust(False) is False


class Runs:
    """A pickle that runs code on loading."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> Any:
        return Path.touch, (self.file,)


def test_code_in_a_checkpoint_runs_only_where_it_is_trusted(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    torch.save({"state_dict": {"a": torch.ones(1)}, "more": Runs(ran)}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil\.pth: holds more than plain .* set trust_checkpoint=True"):
        checkpoints.read_checkpoint(tmp_path / "evil.pth")
    assert not ran.exists()
    assert checkpoints.read_checkpoint(tmp_path / "evil.pth", True)["state_dict"]["a"] == 1
    assert ran.exists()


def test_a_damaged_file_that_is_trusted_already_is_said_to_be_damaged(tmp_path: Path) -> None:
    (tmp_path / "cut.pth").write_bytes(b"\x80\x02" + bytes(50))
    with pytest.raises(ValueError, match=r"cut\.pth: is no PyTorch checkpoint, or a damaged one \("):
        checkpoints.read_checkpoint(tmp_path / "cut.pth", True)


def test_safetensors_load_and_fit(tmp_path: Path) -> None:
    given = nn.Linear(3, 2)
    save_file({key: value.detach() for key, value in given.state_dict().items()}, tmp_path / "net.safetensors")
    content = checkpoints.read_checkpoint(tmp_path / "net.safetensors")
    network = nn.Linear(3, 2)
    checkpoints.fill(network, content["state_dict"], tmp_path / "net.safetensors")
    assert torch.equal(network.weight, given.weight) and torch.equal(network.bias, given.bias)


def test_what_is_no_safetensors_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"These are words." * 9)
    with pytest.raises(ValueError, match=r"net\.safetensors: is no safetensors file, or a damaged one"):
        checkpoints.read_checkpoint(path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(
        ModuleNotFoundError, match=r"net\.safetensors: reading it needs a .*: pip install safetensors"
    ):
        checkpoints.read_checkpoint(path)


def test_files_are_found_or_said_not_to_be(tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(b"PK")
    assert checkpoints.find_file(str(tmp_path / "net.pth")) == tmp_path / "net.pth"
    with pytest.raises(
        FileNotFoundError, match=r"^checkpoint=/none/x\.pth: there is no such file\. Give the path or"
    ):
        checkpoints.find_file("/none/x.pth")
    with pytest.raises(FileNotFoundError, match=r"^model=.*: is a folder\. Give the path or URL of a file"):
        checkpoints.find_file(tmp_path, "model")


@pytest.mark.parametrize("name", ["net-{}.pth", "net-{}.pt", "net-{}.safetensors"])
def test_the_hash_in_a_name_is_checked(tmp_path: Path, name: str) -> None:
    sha256 = hashlib.sha256(b"abc").hexdigest()
    right, wrong = tmp_path / name.format(sha256[:8]), tmp_path / name.format("00000000")
    for path in (right, wrong):
        path.write_bytes(b"abc")
    assert checkpoints.check_hash(right) == sha256
    with pytest.raises(ValueError, match="its name says 00000000; it is damaged or not that file"):
        checkpoints.check_hash(wrong)


def test_a_prefix_of_data_parallel_is_left_out() -> None:
    network = nn.Linear(3, 2)
    given = {f"module.{key}": value + 1 for key, value in network.state_dict().items()}
    checkpoints.fill(network, given, Path("net.pth"))
    assert torch.equal(network.bias, given["module.bias"])


def test_weights_that_do_not_fit_are_reported_and_nothing_is_loaded() -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    before = {key: value.clone() for key, value in network.state_dict().items()}
    given = {key: value + 1 for key, value in before.items() if key not in ("0.bias", "1.num_batches_tracked")}
    given |= {"0.weight": torch.zeros(3, 2), "2.bias": torch.zeros(1)}
    with pytest.raises(
        ValueError,
        match=r"net\.pth: .* 7 tensors 1 missing: 0\.bias; 1 unexpected: 2\.bias; 1 of another shape: 0\.weight "
        r"\(3, 2\) instead of \(2, 3\)\. Take another file\.",
    ):
        checkpoints.fill(network, given, Path("net.pth"), hint="Take another file.")
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_complex_weights_do_not_fit_a_real_network(tmp_path: Path) -> None:
    """PyTorch would drop their imaginary part without a word."""
    network = nn.Linear(2, 1)
    given = {key: value.to(torch.complex64) for key, value in network.state_dict().items()}
    with pytest.raises(ValueError, match=r"2 complex instead of real: weight, bias"):
        checkpoints.fill(network, given, tmp_path / "net.pth")
