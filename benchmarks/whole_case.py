"""T = 20 over a 240x240x155 case of four sequences, from its files to the result's files, in a process that is warm.

The paper's cavity network with random weights on the device at hand. What a process does once (imports, loading the
model, a first sample) is shown apart; then the case is read, prepared, drawn and written: five times on a GPU, on a CPU
once.

    python benchmarks/whole_case.py
    python benchmarks/whole_case.py --device cuda:0
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_STARTED = time.perf_counter()

import torch  # noqa: E402  (importing is a part of what is measured)

from cost import forward_flops, matmul_rate  # noqa: E402
from measuring import Floor, Machine, Report, Series, Target, parser, run, spread  # noqa: E402
from ObserverUncertaintyLib.base.process_memory import keep_freed_memory  # noqa: E402
from ObserverUncertaintyLib.cohort.fingerprints import file_digest  # noqa: E402
from ObserverUncertaintyLib.cohort.loading import load_case  # noqa: E402
from ObserverUncertaintyLib.model.description import WEIGHTS_FILE  # noqa: E402
from ObserverUncertaintyLib.model.devices import choose_device, describe_device, peak_memory_mib  # noqa: E402
from ObserverUncertaintyLib.model.precision import choose_precision  # noqa: E402
from ObserverUncertaintyLib.model.settings import Precision, PredictionSettings  # noqa: E402
from ObserverUncertaintyLib.network.stored import load_model  # noqa: E402
from ObserverUncertaintyLib.prediction.case import predict_case  # noqa: E402
from ObserverUncertaintyLib.prediction.maps import save_prediction  # noqa: E402
from prediction_memory import SEQUENCES, write_head, write_model  # noqa: E402
from random_networks import CAVITY, CAVITY_SEQUENCES  # noqa: E402

IMPORTED = time.perf_counter() - _STARTED
SAMPLES = 20
GPU_SECONDS = 3.0


class Clock:
    """Seconds of named steps, one value for each time that a step was done."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, list[float]] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what happens inside; a GPU's work is waited for."""
        started = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        self.seconds.setdefault(name, []).append(time.perf_counter() - started)

    def series(self) -> tuple[Series, ...]:
        """Every step's."""
        return tuple(Series(name, tuple(values)) for name, values in self.seconds.items())


def measure(arguments: argparse.Namespace) -> Report:
    """The once, then the case as often as asked for."""
    keep_freed_memory()
    device = choose_device(arguments.device)
    precision = choose_precision(Precision.AUTO, device)
    samples, slices = (2, 6) if arguments.quick else (SAMPLES, 155)
    once, clock = Clock(device), Clock(device)
    once.seconds["imports"] = [IMPORTED]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_model(folder / "model")
        write_head(folder / "case", slices)
        files = {sequence: str(folder / "case" / f"{sequence}.nii.gz") for sequence in SEQUENCES}
        with once.step("model loaded"):
            network, description = load_model(folder / "model", device)
            weights = file_digest(folder / "model" / WEIGHTS_FILE)
        settings = PredictionSettings(samples=samples)
        with once.step("warm-up: one sample"):
            predict_case(
                network, description, load_case("head", files, {}), PredictionSettings(samples=1), weights=weights
            )
        usual = 1 if device.type == "cpu" else 5
        for _ in range(1 if arguments.quick else arguments.repetitions or usual):
            with clock.step("all"):
                with clock.step("read"):
                    case = load_case("head", files, {})
                with clock.step("prepare, draw, entropies"):
                    prediction, report = predict_case(network, description, case, settings, weights=weights)
                with clock.step("write"):
                    save_prediction(folder / "out", case.grid, prediction, report)
        shape = description.preprocessing.prepare(case).images.shape
    on_gpu = device.type != "cpu"
    operations = forward_flops(CAVITY_SEQUENCES, CAVITY, *shape[-2:], as_defined=on_gpu) * shape[0] * samples
    rate = matmul_rate(device, precision)
    steps = {series.name: series for series in clock.series()}
    whole = steps["all"].median
    memory = (f"{place} memory: {peak:.0f} MiB at most" for place, peak in peak_memory_mib(device).items() if peak)
    return Report(
        f"A whole case: T = {samples} over 240x240x{slices}, from files to files",
        Machine.here(describe_device(device)),
        (
            spread("once (s)", once.series()),
            spread("each case (s)", tuple(steps.values())),
            Floor.table(
                [
                    Floor(
                        f"prepare, draw, entropies, {precision.value}",
                        operations,
                        rate,
                        steps["prepare, draw, entropies"],
                    )
                ]
            ),
        ),
        (*once.series(), *steps.values()),
        (f"{prediction.batch_size} slices at a time.", *memory),
        (Target(f"on a GPU below {GPU_SECONDS:g} s", f"{whole:.2f} s", whole < GPU_SECONDS),) if on_gpu else (),
    )


if __name__ == "__main__":
    options = parser(__doc__)
    options.add_argument("--device", default="auto")
    options.add_argument("--repetitions", type=int, help="how often the case is done")
    run(options, measure)
