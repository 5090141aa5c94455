from __future__ import annotations

from pathlib import Path

import pytest

from ObserverUncertaintyLib.errors import InputError
from ObserverUncertaintyLib.files import (
    prepare_output_file,
    prepare_output_folder,
    refuse_other_settings,
    write_json,
    write_text,
    written_atomically,
)


def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old", encoding="utf-8")

    def interrupted() -> None:
        with written_atomically(file) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_folders_are_made_and_text_is_utf8(tmp_path: Path) -> None:
    write_text(tmp_path / "new folder" / "Ärzte.txt", "Größe")
    assert (tmp_path / "new folder" / "Ärzte.txt").read_bytes() == "Größe".encode()


def test_nan_is_no_json_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"wme": float("nan")})
    assert not list(tmp_path.iterdir())


def test_output_folder_rules(tmp_path: Path) -> None:
    prepare_output_folder(tmp_path / "new", resume=False, overwrite=False)
    assert (tmp_path / "new").is_dir()
    prepare_output_folder(tmp_path / "new", resume=False, overwrite=False)
    (tmp_path / "new" / "file").write_text("", encoding="utf-8")
    for allowed in ({"resume": True, "overwrite": False}, {"resume": False, "overwrite": True}):
        prepare_output_folder(tmp_path / "new", **allowed)
    with pytest.raises(InputError, match="not empty"):
        prepare_output_folder(tmp_path / "new", resume=False, overwrite=False)
    with pytest.raises(InputError, match="contradict"):
        prepare_output_folder(tmp_path / "new", resume=True, overwrite=True)
    with pytest.raises(InputError, match="is a file"):
        prepare_output_folder(tmp_path / "new" / "file", resume=True, overwrite=False)


def test_output_file_rules(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a folder"):
        prepare_output_file(tmp_path, overwrite=True)
    prepare_output_file(tmp_path / "a", overwrite=False)
    (tmp_path / "a").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match="exists already"):
        prepare_output_file(tmp_path / "a", overwrite=False)
    prepare_output_file(tmp_path / "a", overwrite=True)


def test_every_difference_of_settings_is_named() -> None:
    refuse_other_settings(Path("m"), {"a": [1, 2]}, {"a": (1, 2)})
    with pytest.raises(InputError) as raised:
        refuse_other_settings(Path("m"), {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 4, "d": 5})
    text = str(raised.value)
    assert "b: it began with 2, now 4" in text
    assert "c: it began with 3, now None" in text
    assert "d: it began with None, now 5" in text
    assert "a:" not in text


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"file.below: the folder cannot be made"):
        prepare_output_folder(tmp_path / "file" / "below", resume=False, overwrite=False)
