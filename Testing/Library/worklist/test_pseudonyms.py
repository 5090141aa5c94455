from __future__ import annotations

from ObserverUncertaintyLib.worklist.found_cases import FoundCase
from ObserverUncertaintyLib.worklist.patients import Patient
from ObserverUncertaintyLib.worklist.pseudonyms import with_pseudonyms


def case(number: int, date: str = "2020") -> FoundCase:
    return FoundCase(Patient(f"id{number:02d}"), f"1.{number}.{date}", date)


def test_the_order_of_pseudonyms_is_not_that_of_the_names():
    cases = [case(number) for number in range(30)]
    orders = {tuple(found.study_uid for found in with_pseudonyms(cases, {}).values()) for _again in range(3)}
    assert len(orders) > 1


def test_known_cases_keep_their_names_and_new_ones_come_behind():
    known = {"patient002": case(1), "patient002-2": case(1, "2021"), "patient007": case(2)}
    named = with_pseudonyms([case(3), case(1), case(1, "2019")], known)
    assert list(named) == ["patient002", "patient002-3", "patient008"]
    assert named["patient002-3"].study_date == "2019"
    assert with_pseudonyms([case(2)], known) == {"patient007": case(2)}
