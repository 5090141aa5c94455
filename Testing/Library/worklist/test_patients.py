from __future__ import annotations

import pytest

from ObserverUncertaintyLib.worklist.patients import Patient

MULLER = Patient("MRN 0012345", "", "Müller-Lee^Anna Sofia", "19500217")


@pytest.mark.parametrize(
    "text",
    [
        *("Cavity_Müller", "cavity MULLER", "GTVmuller", "Anna", "CavityAnna", "Lee_cavity", "0012345", "x_MRN0012345"),
        *("T1 19500217", "cavity-sofia", "CavitySofia2"),
    ],
)
def test_a_text_with_name_id_or_birth_date_names_the_patient(text):
    assert MULLER.is_named_in(text)


@pytest.mark.parametrize("text", ["", "Cavity", "annotator 2", "GTV_obs2", "T1 mprage", "sleep", "obs 12"])
def test_other_texts_do_not(text):
    assert not MULLER.is_named_in(text)


def test_letters_that_are_not_latin_are_compared_too():
    assert Patient(name="Иванов^Пётр").is_named_in("Полость Иванов")
    assert Patient(name="Wang^XiaoDong=王^小东").is_named_in("T1 王 小东")
    assert not Patient(name="王^小东").is_named_in("T1")


def test_one_patient_is_known_by_the_id_and_its_issuer_or_else_by_name_and_birth_date():
    assert Patient("1", "A", "x").key == Patient("1", "A", "y").key
    assert Patient("1", "A").key != Patient("1", "B").key
    assert Patient("", "", "Lee^Ann", "1950").key == Patient("", "", "LEE Ann", "1950").key
    assert Patient("", "", "Lee^Ann", "1950").key != Patient("", "", "Lee^Ann", "1951").key
    assert not Patient(birth_date="1950").is_known


@pytest.mark.parametrize(
    ("patient", "texts"),
    [
        (Patient(name="Müller^Hans"), ("Cavity Mueller", "cavity muller", "Cavity_Müller")),
        (Patient(name="Mueller^Anna"), ("Müller",)),
        (Patient(name="Øster^Åse"), ("Oster", "oester", "Aase", "cavity ase")),
        (Patient(birth_date="19500312"), ("Cavity 12.03.1950 B", "12.3.50", "03/12/1950", "1950-03-12", "B 120350")),
        (Patient(id="00012345"), ("Cavity 12345 A", "12345")),
        (Patient(name="Li^Bo"), ("libo", "BoLi")),
        (Patient(name="Doe^J"), ("JDoe", "doej")),
    ],
)
def test_other_ways_to_write_a_name_an_id_or_a_date_name_the_patient(patient, texts):
    for text in texts:
        assert patient.is_named_in(text), text


def test_dates_and_numbers_of_others_do_not():
    assert not Patient("00012345", "", "Doe^J", "19500312").is_named_in("T1 3.12.2024 slice 12 50 mm 3D")
    assert not Patient(birth_date="19500312").is_named_in("0.5 x 0.5 x 1 mm")
