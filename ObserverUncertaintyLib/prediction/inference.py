"""Monte Carlo dropout over a case: T samples in, mean probability and entropies on the case's own grid out.

Source: Jungo et al. 2018, section 2.2; Gal and Ghahramani, ICML 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.base.progress import Progress
from ObserverUncertaintyLib.cohort.case import Case
from ObserverUncertaintyLib.formats.prediction_samples import to_levels
from ObserverUncertaintyLib.model.calibration import CalibrationMap
from ObserverUncertaintyLib.model.description import ModelDescription, ModelError
from ObserverUncertaintyLib.model.devices import out_of_memory_advice
from ObserverUncertaintyLib.model.likeness import Looks
from ObserverUncertaintyLib.model.precision import choose_precision
from ObserverUncertaintyLib.model.preprocessing import GridPath
from ObserverUncertaintyLib.model.settings import Augmentation, PredictionSettings
from ObserverUncertaintyLib.prediction.calibrated import calibrated
from ObserverUncertaintyLib.prediction.drawn_sums import drawn_sums
from ObserverUncertaintyLib.prediction.maps import Prediction
from ObserverUncertaintyLib.prediction.sampling import DrawsAs, Sampler, choose_batch_size, monte_carlo_samples
from ObserverUncertaintyLib.prediction.sums import MonteCarloSums
from ObserverUncertaintyLib.scores.entropy import Uncertainty

_MEMORY_ADVICE = "Choose a smaller batch size, or another device."


OnSample: TypeAlias = Callable[[NDArray[np.float32]], None]
"""Told of each sample's foreground probability on the case's own grid, float32, shape (k, j, i)."""


def require_samples_to_keep(keep: int, samples: int) -> None:
    """Raise InputError unless so many of the samples can be kept."""
    if not 0 <= keep <= samples:
        raise InputError(
            f"{keep} samples are to be saved, but {samples} are drawn; expected a number from 0 to {samples}. Save "
            "fewer, or draw more."
        )


def predict(
    network: nn.Module,
    description: ModelDescription,
    case: Case,
    settings: PredictionSettings = PredictionSettings(),
    *,
    skull_stripped: bool | None = None,
    calibration: CalibrationMap | None = None,
    keep_samples: int = 0,
    progress: Progress | None = None,
    on_sample: OnSample | None = None,
) -> Prediction:
    """Run Monte Carlo dropout over a case.

    Every sample is brought back to the case's grid before its entropy is taken, and only running sums are kept, so
    that memory does not grow with the number of samples; one that is kept takes a byte a voxel.

    Samples with balanced masks belong together in groups (five for p = 0.2). Each is a sample like any other; but what
    the masks cause cancels only in the mean of a whole group, and two of one group differ slightly more than two that
    were drawn each for itself. So keep whole groups.

    Args:
        network: the model's network, on the device to be used.
        description: the model's description.
        case: the case; its images are taken by name, further ones are ignored.
        settings: what decides the prediction.
        skull_stripped: whether the case's images show the brain only, if known.
        calibration: is done to the mean of the samples; single samples are never calibrated.
        keep_samples: how many of the samples are kept, the first ones, for what needs single samples afterwards.
        progress: is told of every batch, and can cancel.
        on_sample: is told of every sample, for what depends on single samples.

    Raises:
        InputError: more samples are to be kept than are drawn.
        ModelError: the model cannot be used on this case.
        DeviceError: the device ran out of memory.
    """
    samples = settings.samples
    if samples < 1:
        raise ValueError("at least one sample is needed")
    require_samples_to_keep(keep_samples, samples)
    progress = progress or Progress()
    warnings = description.check_case(case, skull_stripped)
    device = next(network.parameters()).device
    present = description.present(case.sequences)
    prepared = description.preprocessing.prepare(case.with_sequences(present))
    prepared = prepared.with_channels(present, description.sequences)
    warnings += prepared.warnings
    unlike = description.expects.unlike(Looks.of(case.with_sequences(present), prepared.inside))
    if unlike is not None:
        warnings.append(f"{case.name} is unlike the images that the model was trained on: {unlike}")
    if settings.flip and description.training.get("augmentation") != Augmentation.FLIP:
        warnings.append(
            "Every second sample sees the slices mirrored from left to right, which the model's training never did: "
            "the result may be worse for that"
        )
    path, images = prepared.path, torch.from_numpy(prepared.images)
    notes = []
    if path.interpolates:
        row, column = path.plane.spacing[1], path.plane.spacing[0]
        notes.append(f"{case.name} was resampled in-plane to the model's {row:.3g} x {column:.3g} mm, and back")
    with out_of_memory_advice(device, _MEMORY_ADVICE):
        rows, columns = images.shape[-2:]
        batch_size = settings.batch_size or choose_batch_size(network, rows, columns)
        precision = choose_precision(settings.precision, device)
        draws_as = _draws_as(description, settings.rater)
        sampler = Sampler(network, rows, columns, precision, settings.dropout_masks, draws_as, settings.flip)
        progress.start(f"predict {case.name}", samples * -(-len(images) // batch_size))

        def advance(sample: int) -> None:
            progress.check_cancelled()
            progress.advance(1, f"sample {sample + 1}/{samples}")

        kept = np.empty((keep_samples, *case.grid.shape), np.uint8)
        drawn = count()

        def tell(sample: NDArray[np.float32]) -> None:
            if (number := next(drawn)) < keep_samples:
                kept[number] = to_levels(sample)
            if on_sample:
                on_sample(sample)

        drawing = (sampler, images, samples, settings.seed, batch_size, advance)
        mean, uncertainty = _on_cases_grid(path, drawing, tell if on_sample or keep_samples else None)
    prediction = Prediction(
        mean, uncertainty, samples, batch_size, path.not_looked_at, tuple(notes), tuple(warnings), unlike, kept
    )
    return prediction if calibration is None else calibrated(prediction, calibration)


def _draws_as(description: ModelDescription, rater: str | None) -> DrawsAs | None:
    """Whose drawing a model makes; None for a model that knows no raters."""
    raters = description.imitates
    if rater is not None and rater not in raters:
        known = f"it knows {', '.join(raters)}" if raters else "it was not told whose drawings it saw in training"
        raise ModelError(
            f'The model cannot draw as "{rater}": {known}. Name one of its raters, or none, or train a model with the '
            "rater as an input."
        )
    if not raters:
        return None
    return DrawsAs(len(raters), None if rater is None else raters.index(rater))


def _on_cases_grid(
    path: GridPath, drawing: tuple[Sampler, Tensor, int, int, int, Callable[[int], None]], on_sample: OnSample | None
) -> tuple[NDArray[np.float32], Uncertainty]:
    """Mean probability and entropies of samples that are brought to the case's grid."""
    if path.interpolates:
        sums = MonteCarloSums(path.oriented.source.shape)
        for probability in monte_carlo_samples(*drawing):
            on_grid = path.to_case(probability)
            sums.add(on_grid)
            if on_sample:
                on_sample(on_grid)
        return sums.mean_probability().astype(np.float32), sums.uncertainty()
    # The entropies of the model's grid are those of the case's, and 0 outside the crop.
    tell = (lambda sample: on_sample(path.to_case(sample))) if on_sample else None
    sums = drawn_sums(*drawing, tell)
    mean, parts = path.to_case(sums.mean_probability().astype(np.float32)), sums.uncertainty()
    return mean, Uncertainty(*(path.to_case(part) for part in vars(parts).values()))
