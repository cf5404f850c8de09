import errno
import os

import pytest

from lavx import files
from lavx.errors import RequestError
from lavx.files import clean_parts, read_json_lines, whole, whole_folder, why_not_writable, write_text, writing_to


@pytest.fixture
def calls(monkeypatch):
    """What is synced and renamed, in order."""
    seen = []
    fsync, replace = os.fsync, os.replace

    def synced(number):
        seen.append(("sync", os.path.basename(os.readlink(f"/proc/self/fd/{number}")).split(".")[-1]))
        fsync(number)

    def renamed(one, other):
        seen.append(("rename", os.path.basename(other)))
        replace(one, other)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    return seen


def test_a_file_is_on_the_disk_before_it_takes_its_place(tmp_path, calls):
    write_text(tmp_path / "x", "new")
    assert calls == [("sync", "part"), ("rename", "x"), ("sync", tmp_path.name)]


def test_a_folder_is_on_the_disk_before_it_takes_its_place(tmp_path, calls):
    with whole_folder(tmp_path / "x") as part:
        (part / "inner").mkdir()
        (part / "inner" / "file.txt").write_text("content")
    assert sorted(calls[:-2]) == [("sync", "inner"), ("sync", "part"), ("sync", "txt")]
    assert calls[-2:] == [("rename", "x"), ("sync", tmp_path.name)]


@pytest.mark.parametrize("exchanges", [True, False])
def test_a_folder_replaces_another_and_leaves_nothing(tmp_path, monkeypatch, exchanges):
    if not exchanges:
        monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    for content in ("old", "new"):
        with whole_folder(tmp_path / "x") as part:
            (part / "file").write_text(content)
            if content == "new":
                assert (tmp_path / "x" / "file").read_text() == "old"
    assert (tmp_path / "x" / "file").read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_failed_leaves_the_old_one(tmp_path, monkeypatch):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_folder(tmp_path / "x"):
        raise KeyboardInterrupt
    monkeypatch.setattr(files, "_exchange", lambda one, other: False)
    replace = os.replace

    def fails_on_the_way_in(one, other):
        if str(one).endswith(".part"):
            raise OSError(errno.EIO, "broken")
        replace(one, other)

    monkeypatch.setattr(os, "replace", fails_on_the_way_in)
    with pytest.raises(OSError, match="broken"), whole_folder(tmp_path / "x") as part:
        (part / "file").write_text("new")
    assert (tmp_path / "x" / "file").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


def test_what_a_killed_process_left_of_a_folder_is_cleaned(tmp_path):
    for name in (".x.1234.part", ".x.5678.part", ".[y].1.part", ".other.1.part"):
        (tmp_path / name).mkdir()
    (tmp_path / ".x.1234.old").mkdir()  # killed between the two renames
    (tmp_path / ".x.1234.old" / "file").write_text("old")
    clean_parts(tmp_path / "x")
    clean_parts(tmp_path / "[y]")
    assert sorted(p.name for p in tmp_path.iterdir()) == [".other.1.part", "x"]
    assert (tmp_path / "x" / "file").read_text() == "old"


def test_a_folder_that_cannot_be_synced_is_written_all_the_same(tmp_path, monkeypatch):
    fsync = os.fsync

    def files_only(number):
        if os.path.isdir(f"/proc/self/fd/{number}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        fsync(number)

    monkeypatch.setattr(os, "fsync", files_only)
    write_text(tmp_path / "x", "content")
    assert (tmp_path / "x").read_text() == "content"


def test_a_file_that_cannot_be_synced_does_not_take_its_place(tmp_path, monkeypatch):
    write_text(tmp_path / "x", "old")

    def full(number):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"), whole(tmp_path / "x") as part:
        part.write_text("new")
    assert (tmp_path / "x").read_text() == "old" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "code, name, refused",
    [
        (errno.ENOSPC, None, True),
        (errno.EDQUOT, None, True),
        (errno.EROFS, "elsewhere", True),
        (errno.EACCES, "outputs/x", True),
        (errno.ENOTDIR, "outputs/default/x", True),
        (errno.EEXIST, "outputs", True),
        (errno.ENOENT, ".", True),
        (errno.ENOENT, "outputs/x", False),  # a file of it that should be there
        (errno.EACCES, "elsewhere", False),  # a video that must not be read
        (errno.EACCES, None, False),
        (errno.EIO, "outputs/x", False),
    ],
)
def test_a_disk_that_cannot_be_written_is_an_invalid_request(tmp_path, code, name, refused):
    error = OSError(code, os.strerror(code), *([str(tmp_path / name)] if name else []))
    kind = RequestError if refused else OSError
    with pytest.raises(kind) as raised, writing_to(tmp_path / "outputs", "Do this."):
        raise error
    if refused:
        assert str(raised.value) == f"cannot write to {tmp_path}/outputs ({os.strerror(code)}). Do this."


def test_a_full_disk_is_seen_behind_the_error_of_a_library():
    full = OSError(errno.ENOSPC, "No space left on device")
    wrapped = ValueError("the archive cannot be closed")
    wrapped.__context__ = full
    assert why_not_writable(wrapped) == "No space left on device" and why_not_writable(ValueError()) is None


@pytest.mark.parametrize(
    "content, expected",
    [
        (b"", []),
        (b'{"a": 1}\n[2]\n', [{"a": 1}, [2]]),
        (b'{"a": 1}\n{"b"', [{"a": 1}]),
        (b'{"a": 1}\n\0\0\0\0\n3\n', [{"a": 1}, 3]),
        (b'{"a": 1}\n\xff\xfe\n3\n', [{"a": 1}, 3]),
        (b'"\xe2\x80\xa8"\n', ["\u2028"]),
    ],
)
def test_lines_that_are_no_json_are_left_out(tmp_path, content, expected):
    file = tmp_path / "lines"
    file.write_bytes(content)
    assert read_json_lines(file) == expected
    with file.open("a") as stream:
        stream.write("4\n")
    assert read_json_lines(file) == [*expected, 4]
