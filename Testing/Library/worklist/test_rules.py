from __future__ import annotations

import pytest

from ObserverUncertaintyLib.worklist.rules import RulesError, read_rules, shipped_rules, shipped_text, words_of

# As scanners and hospitals write them: Siemens, GE and Philips protocols, public collections, four languages.
DESCRIPTIONS = {
    "T1": [
        *("T1", "t1_mprage_sag_p2_iso", "t1_mpr_ns_sag_p2_iso", "T1w_MPR", "3D_SAG_T1", "T1_p2_1mm_fov256_sag_TI_880"),
        *("Ax T1 pre", "AX T1 PRE GD", "SAG T1 FLAIR", "OAx T1 FLAIR", "Ax T1 FSE", "COR T1 SE", "3D T1 TFE", "T1W_SE"),
        *("sT1W_3D_TFE", "SAG 3D FSPGR", "AX 3D SPGR", "SAG 3D BRAVO", "t1_se_tra_nativ", "T1 tra nativ", "T1 ohne KM"),
        *("t1_tse_tra vor KM", "AX T1 SANS GADO", "T1 SE sag sans inj", "T1 assiale senza mdc", "T1 non contrast"),
        *(
            "Ax T1 W/O",
            "T1 MPRAGE post op",
            "3: T1 mprage (post OP)",
            "T1 pre RT",
            "t1_vibe_tra",
            "T1prereg",
            "T1 native",
        ),
        *("MPRAGE sag C-Spine", "T1 precontrast", "T1 AX without contrast", "T1 unenhanced", "T1 avant injection"),
    ],
    "T1c": [
        *("T1CE", "T1+C", "t1_mprage_post", "T1 KM", "T1w post Gd", "MPRAGE+GD", "T1 SE sag post contrast", "T1c"),
        *("AX T1 POST", "AX T1 POST GD", "AX T1 3D POST", "COR T1+C", "Ax T1 SE C+", "T1 AXIAL POST GAD", "T1post"),
        *("AX T1 POST GD FLAIR", "T1 COR POST", "t1_mprage_tra_KM", "t1_mprage_sag_p2_iso KM", "T1 mit Kontrastmittel"),
        *("T1 MPR nach KM", "AX T1 GADO", "3D T1 avec gado", "T1 SE AX apres injection", "T1 assiale con mdc"),
        *("T1 3D dopo mdc", "SAG 3D BRAVO +C", "Ax FSPGR 3D +GAD", "3D_T1_TFE+C", "T1W_TSE_GD", "sT1W_3D_TFE GD"),
        *(
            "t1_axial_stealth-post",
            "T1 post Gd (post OP)",
            "3: T1 MPRAGE post",
            "T1-weighted post contrast",
            "T1 Dotarem",
        ),
        *("T1 tra KM post op", "Ax T1 FS Gadolinium", "t1_vibe_fs_tra_KM", "T1WCE", "SPGR postGad", "T1 injecté"),
    ],
    "T2": [
        *("T2", "T2 TSE", "AX T2", "AX FSE T2", "Ax T2 FSE", "AX T2 FR FSE", "t2_tse_tra_512", "T2W_TSE", "T2 AX FS"),
        *("t2_space_sag_p2_iso", "T2w_SPC", "OAx T2 PROPELLER", "T2 tra", "t2_blade_tra", "COR T2 FRFSE", "T2reg"),
    ],
    "FLAIR": [
        *("FLAIR", "AX T2 FLAIR", "3D FLAIR", "AX FLAIR", "t2_tirm_tra_dark-fluid", "t2_spc_ir_sag_p2_iso FLAIR"),
        *("T2W_FLAIR", "Sag CUBE FLAIR", "t2_flair_tra", "AX T2 FLAIR FS", "32_FLAIR_1mm_ipat2", "3D FLAIR VISTA"),
        *("FLAIRreg", "AX FLAIR post Gd", "Ax T2 FSE FLAIR", "t2_space_dark-fluid_sag"),
    ],
}
LEFT_OUT = {
    "localizer": ["localizer", "3-plane loc", "AAHead_Scout_32ch", "Lokalizer", "SURVEY", "3PL LOC", "loc", "Scout T1"],
    "calibration": ["ASSET calibration", "Cal Head 24", "gre_field_mapping", "B1 Map", "Ref Scan"],
    "diffusion": [
        "ep2d_diff_3scan_trace_ADC",
        "AX DWI",
        "Ax DTI 25 dir",
        "ep2d_diff_b1000_TRACEW",
        "dADC Map",
        "DW_SSh",
    ],
    "susceptibility or T2*": [
        "SWI_Images",
        "AX T2* GRE",
        "T2*",
        "t2_fl2d_tra_hemo",
        "AX SWAN",
        "T2 FFE hemo",
        "Pha_Images",
    ],
    "perfusion or dynamic": ["ep2d_perf_p2", "relCBV", "AX PERFUSION", "dynamic T1 vibe", "3D ASL", "T1 DCE", "MTT"],
    "angiography": ["3D TOF", "MRV head", "PCA_3D", "MR-Angio"],
    "subtraction": ["T1 Subtraction", "SUB T1", "T1 post subtraktion", "dT1"],
    "reformat or projection": ["T1 MPRAGE MIP", "T1 KM reformatted cor", "Curved MPR"],
    "map of a quantity": ["T1 map", "T2_MAP"],
    "screen capture or report": ["Screen Save", "Dose Report", "Patient Protocol"],
    "proton density, or two echoes in one": ["AX PD/T2", "PD TSE", "Dual Echo"],
    "functional or spectroscopy": ["fMRI resting", "ep2d_bold_moco", "svs_se_135"],
    "with and without contrast agent in one": ["T1 pre and post Gd", "T1 W/WO contrast", "T1 mit und ohne KM"],
    "STIR or double inversion": ["T2 STIR cor", "SAG STIR"],
}


@pytest.mark.parametrize(
    ("description", "sequence"), [(text, sequence) for sequence, texts in DESCRIPTIONS.items() for text in texts]
)
def test_a_description_names_its_sequence(description, sequence):
    assert shipped_rules().meaning(description).sequences == (sequence,)


@pytest.mark.parametrize(("description", "what"), [(text, what) for what, texts in LEFT_OUT.items() for text in texts])
def test_what_is_no_sequence_is_left_out_with_what_it_is(description, what):
    meaning = shipped_rules().meaning(description)
    assert (meaning.left_out, meaning.sequences) == (what, ())


@pytest.mark.parametrize(
    ("description", "sequences"),
    [
        ("T1 nativ, T1 KM", ("T1", "T1c")),
        ("T1 to T2", ("T1", "T2")),
        ("T1 T2 FLAIR", ("T1", "T2", "FLAIR")),
        ("Axial", ()),
        ("", ()),
        ("best1 ct10", ()),
    ],
)
def test_an_unclear_description_is_not_guessed(description, sequences):
    meaning = shipped_rules().meaning(description)
    assert (meaning.sequences, meaning.left_out) == (sequences, "")
    assert meaning.sequence is None


@pytest.mark.parametrize(
    ("image_type", "what"),
    [
        (["DERIVED", "SECONDARY", "MPR"], "reformat or projection"),
        (["ORIGINAL", "PRIMARY", "P", "ND"], "phase image"),
        (["DERIVED", "PRIMARY", "DIFFUSION", "ADC"], "diffusion"),
        (["derived", "secondary", "subtraction"], "subtraction"),
        (["ORIGINAL", "PRIMARY", "M", "ND", "NORM"], ""),
        (["DERIVED", "SECONDARY"], ""),
    ],
)
def test_the_kind_of_image_in_the_header_counts_too(image_type, what):
    assert shipped_rules().meaning("t1 mprage", image_type).left_out == what


def test_words_are_small_and_without_accents():
    assert words_of("T1 Höhle-nach_KM, T2* and C+") == ["t1", "hohle", "nach", "km", "t2", "star", "and", "ce"]


def test_the_order_is_that_of_the_channels():
    assert shipped_rules().order == ("T1", "T1c", "T2", "FLAIR", "CT", "PET")


def test_a_file_of_rules_replaces_the_shipped_one(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text(
        'with_contrast = ["blue"]\n[[sequence]]\nname = "A"\nwords = ["alpha"]\nwith_contrast = "A blue"\n',
        encoding="utf-8",
    )
    rules = read_rules(file)
    assert rules.meaning("my ALPHA").sequences == ("A",)
    assert rules.meaning("alpha-blue").sequences == ("A blue",)
    assert rules.meaning("T1").sequences == ()


def test_the_printed_rules_are_a_file_of_rules(tmp_path):
    file = tmp_path / "rules.toml"
    file.write_text(shipped_text(), encoding="utf-8")
    assert read_rules(file) == shipped_rules()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[sequence]", "not a readable TOML file"),
        ("sequences = 1", "unknown: sequences. Known: ignored"),
        ("", "the rules name no sequence"),
        ('[[sequence]]\nwords = ["t1"]', 'a [[sequence]] has no "name"'),
        ('[[sequence]]\nname = "T1"\nword = ["t1"]', "unknown in [[sequence]]: word. Known: name, words"),
        ('[[sequence]]\nname = "T1"\nwords = "t1"', "words in [[sequence]] has the wrong type"),
        ('[[sequence]]\nname = "T1"\nwords = [1]', "T1 must be a list of texts in quotes"),
        ('[[sequence]]\nname = "T1"\nwords = ["t1"]\ninstead_of = ["X"]', "instead_of of T1 names X"),
        ('sequence = "T1"', "must be written as [[sequence]]"),
        ("[modality]\nCT = 1", "[modality] must name sequences"),
    ],
)
def test_what_is_no_rule_is_refused_with_the_files_name(tmp_path, text, message):
    file = tmp_path / "rules.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(RulesError) as told:
        read_rules(file)
    assert str(file) in str(told.value)
    assert message in str(told.value)


def test_a_file_of_rules_that_is_not_there_is_named(tmp_path):
    with pytest.raises(RulesError, match=r"none\.toml: the rules cannot be read"):
        read_rules(tmp_path / "none.toml")
