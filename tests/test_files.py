"""Whole files or none, and one clear error for each kind of damage."""

import json
import zipfile

import numpy as np
import pytest

from helpers.machinery import files

ARRAYS = {"matrix": np.arange(2000.0).reshape(40, 50), "half": np.float16([1.5, -2]), "scalar": np.float32(3)}
REMEDY = "Fetch it again."


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "some.npz"
    files.write_arrays(path, ARRAYS)
    return path


def test_arrays_come_back_as_they_were(stored):
    read = files.read_arrays(stored, REMEDY)
    assert list(read) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert read[name].dtype == array.dtype
        np.testing.assert_array_equal(read[name], array)


def flip_a_byte(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)


def keep(share):
    def cut(path):
        content = path.read_bytes()
        path.write_bytes(content[: int(share * len(content))])

    return cut


def hide_a_pickle(path):
    np.savez(path, matrix=np.array([{"a": 1}], dtype=object))


def hide_bytes_that_are_no_array(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("matrix.npy", b"\x93NUMPY nonsense")


def be_a_single_array(path):
    with open(path, "wb") as file:
        np.save(file, ARRAYS["matrix"])


FAULTS = {
    "one byte changed": flip_a_byte,
    "cut in the middle": keep(0.5),
    "last bytes missing": keep(0.99),
    "empty": keep(0),
    "text": lambda path: path.write_text("<html>log in first</html>"),
    "pickle inside": hide_a_pickle,
    "no array inside": hide_bytes_that_are_no_array,
    "single array": be_a_single_array,
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_damaged_arrays_name_file_and_remedy(stored, fault):
    fault(stored)
    with pytest.raises(files.DamagedFile, match=r"some\.npz is damaged.*Fetch it again\."):
        files.read_arrays(stored, REMEDY)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe\x00", b"", b"[" * 100_000], ids=["cut", "bytes", "empty", "deep"])
def test_damaged_json_names_file_and_remedy(tmp_path, content):
    path = tmp_path / "some.json"
    path.write_bytes(content)
    with pytest.raises(files.DamagedFile, match=r"some\.json is damaged.*Fetch it again\."):
        files.read_json(path, REMEDY)


@pytest.mark.parametrize("read", [files.read_arrays, files.read_json])
def test_absent_file_is_not_called_damaged(tmp_path, read):
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none", REMEDY)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "some.txt"
    path.write_text("old")
    with pytest.raises(error), files.written_aside(path) as aside:
        aside.write_text("half of the ne")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "new folder" / "some.txt"
    with files.written_aside(path) as aside:
        aside.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_written_file_can_be_read_by_others(stored):
    assert stored.stat().st_mode & 0o444 == 0o444


def test_json_keeps_numbers_exactly_and_refuses_what_it_has_no_word_for(tmp_path):
    path = tmp_path / "some.json"
    content = {"loss": [0.1 + 0.2, 1e-300], "name": "ß"}
    files.write_json(path, content)
    assert files.read_json(path, REMEDY) == content == json.loads(path.read_text(encoding="utf-8"))
    with pytest.raises(ValueError):
        files.write_json(path, {"loss": float("nan")})
    assert files.read_json(path, REMEDY) == content
    assert list(tmp_path.iterdir()) == [path]


def test_only_errors_of_writing_are_called_so(tmp_path):
    """What else goes wrong in the block keeps its name, and nothing half-written stays."""
    for error in (
        FileNotFoundError(2, "No such file", "other.txt"),
        TimeoutError("no answer"),
        ConnectionError(104, "x"),
    ):
        with pytest.raises(type(error)) as caught, files.written_aside(tmp_path / "a.txt"):
            raise error
        assert caught.value is error and not list(tmp_path.iterdir())
    for error in (OSError(28, "No space left"), PermissionError(13, "refused", None)):
        kind = files.UnwritableFile if error.errno == 28 else PermissionError
        with pytest.raises(kind), files.written_aside(tmp_path / "a.txt"):
            raise error
    with pytest.raises(files.UnwritableFile), files.written_aside(tmp_path / "a.txt") as part:
        raise PermissionError(13, "refused", str(part))
    assert not list(tmp_path.iterdir())


def test_json_with_half_a_character_is_told_and_with_a_whole_one_is_read(tmp_path):
    path = tmp_path / "some.json"
    path.write_text('{"a": ["\\ud83d\\ude00"]}', encoding="utf-8")
    assert files.read_json(path, "Remedy.") == {"a": ["\U0001f600"]}
    for harm in ('{"a": ["\\ud83d"]}', '{"\\ude00": 1}'):
        path.write_text(harm, encoding="utf-8")
        with pytest.raises(files.DamagedFile, match="some.json is damaged: .*surrogates"):
            files.read_json(path, "Remedy.")
