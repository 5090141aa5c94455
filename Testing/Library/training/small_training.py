"""What the tests of training share: small settings, the weights of a model, and a listener."""

from __future__ import annotations

from pathlib import Path

from ObserverUncertaintyLib.jobs import Progress
from ObserverUncertaintyLib.model.settings import TrainingSettings, UNetSettings

SMALL = TrainingSettings(epochs=3, network=UNetSettings(depth=1, filters=4))


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


class Listener(Progress):
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.steps = self.done = 0
        self.texts: list[str] = []

    def start(self, task: str, steps: int, done: int = 0) -> None:
        self.task, self.steps, self.done = task, steps, done

    def advance(self, steps: int = 1, detail: str = "") -> None:
        self.done, self.detail = self.done + steps, detail

    def message(self, text: str) -> None:
        self.texts.append(text)

    warning = message
