from __future__ import annotations

from pathlib import Path

import pytest
from dicom_files import patient, write_series, write_structures
from program import result, run

from ObserverUncertaintyLib.worklist.rules import shipped_text


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    folder = tmp_path / "Secret folder"
    for number in (1, 2):
        images = write_series(folder / str(number) / "t1", patient(number), "T1 mprage")
        write_series(folder / str(number) / "dwi", patient(number), "ep2d_diff")
        write_series(folder / str(number) / "own", patient(number), f"Secretname000{number}")
        write_structures(folder / str(number) / "rs.dcm", images[0], ["Cavity_Anna", f"Cavity SECRETID000{number}"])
    return folder


def test_a_folder_becomes_a_worklist_and_no_word_of_the_terminal_names_a_patient(patients, tmp_path):
    done = run("worklist", patients, "--out", tmp_path / "out", "--structure", "cavity")
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["case", "sequences", "raters", "in", "cohort.toml"]
    assert [line.split() for line in lines[2:4]] == [
        ["patient001", "T1", "Anna", "listed"],
        ["patient002", "T1", "Anna", "listed"],
    ]
    assert any(line.split() == ['"ep2d_diff":', "diffusion", "2"] for line in lines)
    assert "2 of 2 cases are in cohort.toml." in done.stdout
    again = run("worklist", patients, "--out", tmp_path / "out", "--structure", "cavity", "--update", "--json")
    report = result(again)
    assert [case["name"] for case in report["cases"]] == ["patient001", "patient002"]
    assert {"what": '"ep2d_diff"', "reason": "diffusion", "count": 2} in report["unmatched"]
    for text in (done.stdout, done.stderr, again.stdout, again.stderr):
        assert "secret" not in text.lower()
        assert "1.2.826" not in text
        assert "195" not in text
        assert str(tmp_path) not in text


def test_the_shipped_rules_can_be_printed_changed_and_given(patients, tmp_path):
    text = run("worklist", "--print-rules").stdout
    assert text == shipped_text()
    (tmp_path / "rules.toml").write_text(
        text.replace('name = "T1"\n', 'name = "My T1"\n', 1).replace('"T1", "FLAIR"]', '"My T1", "FLAIR"]'),
        encoding="utf-8",
    )
    done = run("worklist", patients, "--out", tmp_path / "out", "--rules", tmp_path / "rules.toml", "--json")
    assert {tuple(case["sequences"]) for case in result(done)["cases"]} == {("My T1",)}


def test_wrong_input_is_refused(patients, tmp_path):
    assert "no such folder" in run("worklist", tmp_path / "none", "--out", tmp_path / "out", code=2).stderr
    assert "names no sequence" in run("worklist", patients, "--out", tmp_path / "o", "--sequences", ",", code=2).stderr
    assert "no worklist to update" in run("worklist", patients, "--out", tmp_path / "o", "--update", code=2).stderr
    (tmp_path / "rules.toml").write_text("x = 1", encoding="utf-8")
    done = run("worklist", patients, "--out", tmp_path / "o", "--rules", tmp_path / "rules.toml", code=2)
    assert "rules.toml: unknown: x" in done.stderr
