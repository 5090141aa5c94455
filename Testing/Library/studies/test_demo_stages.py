from __future__ import annotations

from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.studies.demo.stages import Stage, StagedProgress


class Heard(Progress):
    def __init__(self) -> None:
        self.steps = self.done = 0
        self.states: list[tuple[int, str]] = []
        self.messages: list[str] = []

    def start(self, task: str, steps: int, done: int = 0) -> None:
        assert (task, done, self.steps) == ("demo", 0, 0)
        self.steps = steps

    def message(self, text: str) -> None:
        self.messages.append(text)

    def advance(self, steps: int = 1, detail: str = "") -> None:
        self.done += steps
        self.states.append((self.done, detail))


def test_stages_become_one_task_by_their_shares() -> None:
    heard = Heard()
    staged = StagedProgress(
        heard, "demo", [Stage("simulating", 1), Stage("training", 2), Stage("predicting", 1, tasks=2)]
    )
    staged.enter()
    staged.start("simulate 4 cases", 4)
    staged.advance(2, "case01")
    assert heard.states[-1] == (12, "1/3 case01")  # half of a quarter, in whole per cent
    staged.advance(2)
    staged.enter()
    assert heard.states[-1] == (25, "2/3")
    staged.start("train", 10, done=5)  # of which a resumed run has done half
    assert heard.states[-1][0] == 50
    staged.advance(5)
    staged.enter()
    staged.start("predict case01", 5)
    staged.advance(5)
    assert heard.states[-1][0] == 87
    staged.start("predict case02", 5)
    staged.advance(5)
    assert heard.states[-1][0] == 100
    staged.finish()
    assert (heard.done, heard.steps) == (100, 100)
    assert heard.messages == ["step 1 of 3: simulating", "step 2 of 3: training", "step 3 of 3: predicting"]


def test_a_stage_that_was_done_before_counts_when_the_next_begins_and_too_many_tasks_do_not_overrun() -> None:
    heard = Heard()
    staged = StagedProgress(heard, "demo", [Stage("simulating", 3), Stage("training", 1)])
    staged.enter()
    staged.enter()
    assert heard.done == 75
    for _ in range(3):
        staged.start("train", 2)
        staged.advance(2)
        assert heard.done == 100
    staged.finish()
    assert heard.done == 100
