"""A manifest is read whole, or its mistake is named together with the file."""

from __future__ import annotations

import pytest
from manifests import MINIMAL, cohort, manifest

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.cohort.manifest import Manifest, ManifestError, read_manifest


def test_every_key_is_read(tmp_path):
    found = manifest(
        tmp_path,
        """
        [cohort]
        name = "Glioma"
        root = "data"
        cases = ["b", "a"]
        label = "cavity"
        truth = "truth.nii.gz"
        reference = "FLAIR"
        skull_stripped = true
        [images]
        T1 = "t1.nii.gz"
        FLAIR = "flair.nii.gz"
        [raters]
        anna = "a.nii.gz"
        ben = "b.seg.nrrd#cavity"
        """,
    )
    assert found == Manifest(
        path=tmp_path / "cohort.toml",
        name="Glioma",
        root=(tmp_path / "data").resolve(),
        cases=("b", "a"),
        label="cavity",
        images={"T1": "t1.nii.gz", "FLAIR": "flair.nii.gz"},
        raters={"anna": "a.nii.gz", "ben": "b.seg.nrrd#cavity"},
        truth="truth.nii.gz",
        reference="FLAIR",
        skull_stripped=True,
    )
    assert list(found.images) == ["T1", "FLAIR"]  # the order is the network's channel order


def test_what_is_left_out_has_a_default(tmp_path):
    found = manifest(tmp_path, MINIMAL)
    assert (found.root, found.raters, found.truth) == (tmp_path.resolve(), {}, None)
    assert (found.reference, found.skull_stripped) == (None, None)


def test_a_byte_order_mark_is_no_obstacle(tmp_path):
    (tmp_path / "cohort.toml").write_text(MINIMAL, encoding="utf-8-sig")
    assert read_manifest(tmp_path / "cohort.toml").name == "Study"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[cohort", "not a readable TOML manifest"),
        ("", r"the table \[cohort\] with name and cases is missing"),
        ("cohort = 3", r"\[cohort\] must be a table"),
        ('[cohort]\ncases = "*"\n[images]\nT1 = "a"', 'needs the key "name"'),
        ('[cohort]\nname = "x"\n[images]\nT1 = "a"', 'needs the key "cases"'),
        ('[cohort]\nname = "x"\ncases = "*"', r"\[images\] names no sequence"),
        (cohort(images=""), r"\[images\] names no sequence"),
        (cohort(more="lable = 'x'"), r"unknown key in \[cohort\]: lable\. Known: cases, label, name"),
        (MINIMAL + "[rater]\na = 'x'", "unknown table: rater. Known: cohort, images, raters"),
        (cohort(more="skull_stripped = 1"), r"skull_stripped in \[cohort\] has the wrong type: 1"),
        (cohort(more="label = ['x']"), r"label in \[cohort\] has the wrong type"),
        (cohort(cases="7"), r"cases in \[cohort\] has the wrong type: 7"),
        (cohort(images="T1 = 1"), r"T1 in \[images\] must be a file pattern in quotes, not 1"),
        (cohort(raters="anna = ['a', 'b']"), r"anna in \[raters\] must be a file pattern in quotes"),
        (cohort(raters='anna = ""'), r"anna in \[raters\] must be a file pattern in quotes, not ''"),
        (cohort(more='reference = "T2"'), 'reference = "T2" is none of the images: T1'),
        (cohort(cases="[]"), r"the cohort is empty: cases = \[\] lists no case"),
        (cohort(cases='["a", "b", "a"]'), "cases lists a more than once"),
        (cohort(cases='["a", 1]'), "1 in cases is not a name"),
        (cohort(cases='["../a"]'), "'../a' in cases is not a name of a folder below root"),
        (cohort(cases='["/etc"]'), "'/etc' in cases is not a name of a folder below root"),
        (cohort(cases='"/etc/*"'), "'/etc/\\*' is not a pattern of names of folders below root"),
        (cohort(cases='""'), "'' is not a pattern of names"),
        (cohort(cases='"."'), "'.' is not a pattern of names"),
    ],
)
def test_a_mistake_in_the_file_is_named_together_with_the_file(tmp_path, text, message):
    with pytest.raises(ManifestError, match=message) as caught:
        manifest(tmp_path, text, name="study 7.toml")
    assert "study 7.toml" in str(caught.value)


def test_a_manifest_that_is_missing_or_no_text_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such manifest"):
        read_manifest(tmp_path / "none.toml")
    with pytest.raises(InputError, match="is a folder"):
        read_manifest(tmp_path)
    (tmp_path / "latin.toml").write_bytes('[cohort]\nname = "Ermiş"'.encode("iso8859-9"))
    with pytest.raises(
        InputError, match=r"(?s)this is no manifest: it holds no text in UTF-8.*with the encoding UTF-8"
    ):
        read_manifest(tmp_path / "latin.toml")


def test_another_kind_of_file_is_told_what_a_manifest_is_in_words_that_are_one(tmp_path):
    (tmp_path / "t1.nrrd").write_bytes(b"NRRD0005\ntype: short\nencoding: gzip\n\n\x1f\x8b\x08\xff")
    (tmp_path / "notes.txt").write_text("anna has drawn it twice", encoding="utf-8")
    for name in ("t1.nrrd", "notes.txt", "absent.toml"):
        with pytest.raises(ManifestError, match=name) as told:
            read_manifest(tmp_path / name)
        assert "codec" not in str(told.value)
        assert "docs/" not in str(told.value)
        example = str(told.value).partition("for example\n")[2].partition("\nfor the folders")[0]
        assert manifest(tmp_path, example).case_names() == ("patient1", "patient2")
