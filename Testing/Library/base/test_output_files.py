from __future__ import annotations

import json
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.output_files import (
    prepare_output_file,
    prepare_output_folder,
    refuse_inputs_as_outputs,
    write_json,
    write_new_json,
    write_private_json,
    write_text,
    written_atomically,
)
from ObserverUncertaintyLib.base.paths import expand_home, why_absent
from ObserverUncertaintyLib.base.resuming import refuse_other_settings


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


@pytest.mark.skipif(os.name == "nt", reason="the system has no such permissions")
def test_a_private_file_is_its_owners_and_keeps_any_name(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        write_private_json(tmp_path / "who.json", {"Müller": "\udcff.dcm"})
    finally:
        os.umask(before)
    assert (tmp_path / "who.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "who.json").read_text(encoding="utf-8")) == {"Müller": "\udcff.dcm"}
    write_private_json(tmp_path / "who.json", {"name": "Müller"})
    assert "Müller" in (tmp_path / "who.json").read_text(encoding="utf-8")


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


@pytest.mark.parametrize("alias", ["the same", "a relative path", "a link", "a hard link", "a linked folder"])
@pytest.mark.parametrize("overwrite", [True, False])
def test_an_input_is_never_an_output_under_whatever_name(tmp_path: Path, alias: str, overwrite: bool) -> None:
    drawn = tmp_path / "drawn.nii.gz"
    drawn.write_text("precious", encoding="utf-8")
    output = tmp_path / "out.nii.gz"
    if alias == "the same":
        output = drawn
    elif alias == "a relative path":
        output = tmp_path / ".." / tmp_path.name / "drawn.nii.gz"
    elif alias == "a link":
        output.symlink_to(drawn)
    elif alias == "a hard link":
        output.hardlink_to(drawn)
    else:
        (tmp_path / "folder").symlink_to(".")
        output = tmp_path / "folder" / "drawn.nii.gz"
    with pytest.raises(InputError, match=r"would be overwritten, but it is also read here \(rater anna"):
        prepare_output_file(output, overwrite=overwrite, inputs={"rater anna": drawn})
    with pytest.raises(InputError, match="never written over"):
        refuse_inputs_as_outputs([tmp_path / "other.nii.gz", output], {"rater anna": drawn})
    prepare_output_file(tmp_path / "other.nii.gz", overwrite=overwrite, inputs={"rater anna": drawn})


def test_a_broken_link_is_no_free_name(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(InputError, match="exists already"):
        prepare_output_file(tmp_path / "link", overwrite=False)
    prepare_output_file(tmp_path / "link", overwrite=True)


def test_a_name_as_long_as_the_system_allows_is_written_and_a_longer_one_refused_before(tmp_path: Path) -> None:
    longest = tmp_path / ("x" * 248 + ".nii.gz")
    prepare_output_file(longest, overwrite=False)
    write_text(longest, "whole")
    assert longest.read_text(encoding="utf-8") == "whole"
    for prepare in (
        lambda path: prepare_output_file(path, overwrite=False),
        lambda path: prepare_output_folder(path, resume=False, overwrite=False),
    ):
        with pytest.raises(InputError, match="the name is too long: 256 bytes, at most 255"):
            prepare(tmp_path / ("x" * 249 + ".nii.gz"))
        with pytest.raises(InputError, match="the name is too long"):
            prepare(tmp_path / ("\u00fc" * 130))
    assert list(tmp_path.iterdir()) == [longest]


def test_a_temporary_name_ends_in_lower_case_as_writers_know_it(tmp_path: Path) -> None:
    with written_atomically(tmp_path / "A.NII.GZ") as temporary:
        assert temporary.name.endswith(".nii.gz")
        temporary.touch()
    assert [file.name for file in tmp_path.iterdir()] == ["A.NII.GZ"]


def test_only_a_leading_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    assert Path(expand_home("~/a.nii.gz")) == tmp_path / "home" / "a.nii.gz"
    assert expand_home("~") == str(tmp_path / "home")
    assert [expand_home(name) for name in ("a~", "x/~/y", "./~")] == ["a~", "x/~/y", "./~"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows takes any name for a user's")
def test_a_home_folder_of_nobody_is_refused_unless_the_name_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"no home folder ~nobody-here is known.*\./~nobody-here/a"):
        expand_home("~nobody-here/a")
    (tmp_path / "~draft.nii.gz").touch()
    assert expand_home("~draft.nii.gz") == "~draft.nii.gz"


def test_why_a_name_that_is_seen_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "Ju\u0308rgen").mkdir()
    (tmp_path / "Ju\u0308rgen" / "a.txt").touch()
    (tmp_path / "link").symlink_to("nowhere")
    assert why_absent(tmp_path / "nothing") is None
    assert why_absent(tmp_path / "J\u00f6rgen" / "a.txt") is None
    assert "another Unicode form" in str(why_absent(tmp_path / "J\u00fcrgen" / "a.txt"))
    assert why_absent(tmp_path / "J\u00fcrgen" / "b.txt") is None
    assert "is a broken link: it points to nowhere" in str(why_absent(tmp_path / "link" / "a.txt"))


def test_of_several_who_begin_at_the_same_moment_one_writes_the_file(tmp_path):
    for attempt in range(20):
        path, together = tmp_path / str(attempt) / "settings.json", threading.Barrier(8)

        def begin(number, path=path, together=together):
            together.wait()
            return number if write_new_json(path, {"seed": number}) else None

        with ThreadPoolExecutor(8) as pool:
            (winner,) = [number for number in pool.map(begin, range(8)) if number is not None]
        assert json.loads(path.read_text(encoding="utf-8")) == {"seed": winner}
        assert [file.name for file in path.parent.iterdir()] == ["settings.json"]
