from __future__ import annotations

import numpy as np
import pytest


def test_the_area_under_risk_and_coverage_by_hand() -> None:
    from case_quality import area_under_risk_coverage

    true = np.array([0.9, 0.5, 0.7])
    # The best first: risks 0.1, 0.3, 0.5, of which the means over one, two and three cases are 0.1, 0.2 and 0.3.
    assert area_under_risk_coverage(true, true) == pytest.approx(0.2)
    assert area_under_risk_coverage(-true, true) == pytest.approx((0.5 + 0.4 + 0.3) / 3)


def test_candidates_agree_where_nothing_is_unsure_and_differ_in_what_they_make_of_doubt() -> None:
    from case_quality import CANDIDATES, LINE, OURS, Drawn

    sure = np.zeros((2, 10, 10), np.float32)
    sure[:, 2:6, 2:6] = 1
    found = {name: function(Drawn(sure, np.stack([sure] * 5))) for name, function in CANDIDATES.items()}
    assert found.pop(LINE) == 0
    assert found == dict.fromkeys(found, 1.0)
    # Samples that say the same half-heartedly agree with each other; the probability tells of the doubt.
    doubt = np.where(sure > 0, np.float32(0.76), np.float32(0.04))
    found = {name: function(Drawn(doubt, np.stack([doubt] * 5))) for name, function in CANDIDATES.items()}
    assert [value for name, value in found.items() if name.startswith("(a)")] == [1, 1]
    inside, all_of_it = 32 * 0.76, 32 * 0.76 + 168 * 0.04
    assert found["(c) voxels independent"] == pytest.approx(2 * inside / (32 + all_of_it), abs=1e-6)
    # Of 50 levels the lowest 2 mark everything, the next 36 the segmentation, the others nothing.
    assert found["(c) mean over levels"] == pytest.approx((2 * 2 * 32 / 232 + 36) / 50)
    assert found[OURS] == 1


def test_the_entropys_line_is_fitted_to_the_other_data_sets() -> None:
    from case_quality import LINE, SAME, Outcome, on_a_line, rows_of

    def outcome(entropy: list[float], true: list[float]) -> Outcome:
        nothing = np.zeros(len(true))
        return Outcome(np.array(true), {LINE: np.array(entropy)}, nothing, nothing)

    outcomes = {
        "here": outcome([0.1, 0.3], [0.5, 0.4]),
        "there": outcome([0.0, 0.2, 0.4], [1.0, 0.8, 0.6]),  # 1 - entropy
    }
    assert on_a_line(outcomes, "here") == pytest.approx([0.9, 0.7])
    error, bias, ranks, area = rows_of(outcomes, "here")[LINE]
    assert (error, bias, ranks) == pytest.approx((0.35, 0.35, 1))
    assert area == pytest.approx((0.5 + 0.55) / 2)
    assert rows_of(outcomes, "here")[SAME][:2] == pytest.approx((0.35, 0.35))
