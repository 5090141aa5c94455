from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
# A study of data that one must have, and what runs in Slicer's Python, have commands of their own.
APART = {
    "shipped_model",
    "demo_seeds",
    "alternatives",
    "brain_growth",
    "calibration",
    "case_quality",
    "slicer_clicks",
    "measuring",
    "cost",
    "drawn_raters",
    "entropy_errors",
    "growing_steps",
    "random_networks",
    "review_corrections",
    "review_places",
    "roofline",
    "run_all",
}


def test_candidates_take_turns_and_the_first_call_of_each_is_not_measured():
    import measuring

    called, times = [], iter([0, 100, 100, 200, 0, 1, 1, 3, 10, 12, 12, 18, 20, 26, 26, 38])
    candidates = {"a": lambda: called.append("a"), "b": lambda: called.append("b")}
    a, b = measuring.interleaved(candidates, 3, clock=lambda: next(times))
    assert "".join(called) == "abababab"
    assert (a.values, b.values) == ((1, 2, 6), (2, 6, 12))
    assert (a.median, b.median) == (2, 6)
    assert b.over(a, "b / a").values == (2, 3, 2)
    assert measuring.spread("seconds", (a, b)).rows == (("a", "2", "1", "6"), ("b", "6", "2", "12"))


def test_a_warm_candidate_is_called_once_more_before_each_measured_call():
    import measuring

    called = []
    measuring.interleaved({name: (lambda name=name: called.append(name)) for name in "ab"}, 2, warm=True)
    assert "".join(called) == "ab" + 2 * "aabb"


def test_a_floor_is_the_amount_of_work_at_the_rate():
    import measuring

    floor = measuring.Floor("copying", 6e9, 2e9, measuring.Series("copying (s)", (4.5, 6.0, 100.0)))
    assert (floor.seconds, floor.ratio) == (3, 2)
    assert measuring.Floor.table([floor], "B").header[1:3] == ("GB", "GB/s")
    assert measuring.Floor.table([floor], "B").rows == (("copying", "6", "2", "3", "6", "2.00"),)


def test_errors_of_entropies_are_means_over_all_voxels_and_over_the_unsure_ones():
    from entropy_errors import entropy_errors

    found, expected = np.array([0.5, 0.0, 0.5], np.float32), np.array([0.25, 0.0, 1.0])
    assert entropy_errors(found, expected, expected > 0.5) == (0.25, 0.5)


def run(monkeypatch, tmp_path: Path, *options: str, reached: bool = True) -> tuple[int, Path, Path]:
    """The exit code and the files of a benchmark of nothing."""
    import measuring

    def measure(arguments):
        if arguments.missing:
            raise measuring.CannotRunError("no GPU")
        series = measuring.Series("nothing (s)", (2.0, 1.0, float("nan")))
        table = measuring.Table(("what", "value"), (("nothing", "1"), ("something", "20")))
        target = measuring.Target("below 2", "1", reached)
        return measuring.Report("Nothing", measuring.Machine.here(), (table,), (series,), ("A note.",), (target,))

    parser = measuring.parser("Nothing.")
    parser.add_argument("--missing", action="store_true")
    written, section = tmp_path / "nothing.json", tmp_path / "nothing.md"
    arguments = ["benchmarks/nothing.py", f"--json={written}", "--markdown", str(section), *options]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit) as exit_info:
        measuring.run(parser, measure)
    return int(exit_info.value.code or 0), written, section


def test_a_report_is_written_as_json_and_as_a_section(monkeypatch, tmp_path, capsys):
    code, written, section = run(monkeypatch, tmp_path, "--quick")
    assert code == 0
    content = json.loads(written.read_text(encoding="utf-8"))
    assert content["command"] == "python benchmarks/nothing.py --quick"
    assert content["settings"] == {"quick": True, "missing": False}
    assert content["repetitions"] == [{"name": "nothing (s)", "values": [2.0, 1.0, None]}]
    assert {"python", "numpy", "SimpleITK", "torch"} <= content["machine"]["versions"].keys()
    assert content["machine"]["cores"] >= 1
    text = section.read_text(encoding="utf-8")
    assert text.startswith("## Nothing\n\n`python benchmarks/nothing.py --quick`\n")
    assert "| what | value |\n| --- | --- |\n| nothing | 1 |\n| something | 20 |\n" in text
    assert text.endswith("- A note.\n- reached: below 2; found 1\n")
    assert "nothing        1\nsomething     20\n" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "code"), [((), 1), (("--quick",), 0)])
def test_a_missed_target_is_an_error_unless_in_a_hurry(monkeypatch, tmp_path, options, code):
    assert run(monkeypatch, tmp_path, *options, reached=False)[0] == code


def test_what_cannot_run_here_says_why(monkeypatch, tmp_path, capsys):
    code, written, section = run(monkeypatch, tmp_path, "--missing")
    assert code == 3
    assert "no GPU" in capsys.readouterr().err
    assert not written.exists()
    assert not section.exists()


def test_one_section_can_be_made_again_and_the_others_stay(monkeypatch, tmp_path):
    import run_all

    file = tmp_path / "RESULTS.md"
    names = run_all.BENCHMARKS
    for arguments, text in (([], "old"), ([names[1]], "new")):
        monkeypatch.setattr(run_all, "section", lambda name, _, text=text: f"## {name}\n\n{text}\n")
        monkeypatch.setattr(sys, "argv", ["run_all.py", *arguments, "--out", str(file)])
        run_all.main()
    found = run_all.earlier_sections(file)
    assert found == {name: f"## {name}\n\n{'new' if name == names[1] else 'old'}\n" for name in names}


def test_every_benchmark_uses_the_harness_and_runs_with_all():
    import run_all

    scripts = {file.stem: file.read_text(encoding="utf-8") for file in BENCHMARKS.glob("*.py")}
    assert scripts.keys() - APART == set(run_all.BENCHMARKS)
    assert [name for name in run_all.BENCHMARKS if "parser(__doc__)" not in scripts[name]] == []


def test_the_exponent_of_growth_is_fitted_over_the_largest_half_of_the_sizes():
    import growth

    sizes = [1, 2, 4, 8, 16, 32]
    # A fixed cost hides the growth of small sizes only.
    found = growth.Fit.of(sizes, [100, 100, 100, 3 * 8**1.5, 3 * 16**1.5, 3 * 32**1.5])
    assert found.exponent == pytest.approx(1.5)
    assert found.r_squared == pytest.approx(1.0)
    assert str(found) == "1.50 worse than linear"
    assert growth.Fit.of(sizes, [5.0] * 6).exponent == pytest.approx(0.0)
    # log2 y = 3, 4, 7 at log2 x = 3, 4, 5: the slope is 2, and 8 of the 26/3 of the variance are explained.
    uneven = growth.Fit.of(sizes, [1, 1, 1, 8, 16, 128])
    assert uneven.exponent == pytest.approx(2.0)
    assert uneven.r_squared == pytest.approx(8 / (26 / 3))
