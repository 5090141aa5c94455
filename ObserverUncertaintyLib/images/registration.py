"""Rigid registration of one image to another, for sequences that were not scanned in one position."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from ObserverUncertaintyLib.base.errors import InputError
from ObserverUncertaintyLib.images.foreground import foreground
from ObserverUncertaintyLib.images.grid import Grid, GridMismatchError

LEVELS = (48, 96, 160)
"""Voxels across the widest side of the fixed image, per level of the search, coarse to fine."""
HISTOGRAM_BINS = 32
SAMPLES = 40_000
"""Points of the fixed image that the metric looks at, at most."""
MIN_VOXELS = 4
"""An axis with fewer voxels cannot tell a rotation out of its plane from noise."""
MIN_INFORMATION = 0.05
"""Nats of mutual information below which an alignment means nothing: MR pairs reach 0.2 to 1, noise 0.01."""
MIN_CONTENT_SHARED = 0.5
"""An alignment must put this much of the smaller content onto the other image's content."""


class RegistrationError(InputError):
    """Two images could not be brought into alignment; the text says what to do."""


@dataclass(frozen=True)
class RigidAlignment:
    """Where a moving image lies relative to a fixed one.

    Attributes:
        transform: maps points of the fixed image to points of the moving one, mm LPS; what `resample` takes.
        rotation_degrees: the total rotation, as one angle about one axis, 0 to 180.
        translation_mm: how far the centre of the fixed image's grid moves.
        largest_shift_mm: how far the corner of a box around the fixed image's content moves that moves furthest;
            nothing that the image shows moves further.
        metric: the negative Mattes mutual information in nats on the finest level; lower is better.
    """

    transform: sitk.Transform
    rotation_degrees: float
    translation_mm: float
    largest_shift_mm: float
    metric: float


def register_rigid(
    moving: NDArray[np.float32],
    moving_grid: Grid,
    fixed: NDArray[np.float32],
    fixed_grid: Grid,
    seed: int = 0,
) -> RigidAlignment:
    """Find the rotation and translation that bring a moving image onto a fixed one.

    Maximises Mattes mutual information (Mattes et al. 2003, doi 10.1109/TMI.2003.809072), coarse to fine, so the two
    may be different MR sequences. The search starts from the scanner's own positions and from matching centres of
    content; the better of the two after the coarsest level is refined.

    Args:
        moving: shape (k, j, i), any intensity unit.
        moving_grid: the moving image's grid, in mm LPS.
        fixed: shape (k, j, i), any intensity unit.
        fixed_grid: the fixed image's grid; both 2-D or both 3-D.
        seed: chooses the points at which the metric is sampled; 0 or more; the same seed gives the same
            result on any number of cores.

    Returns:
        The alignment; `resample(moving, moving_grid, fixed_grid, "linear", alignment.transform)` applies it.

    Raises:
        RegistrationError: an image is constant, too thin or not finite, or no position was found where the contents
            lie on each other and have to do with each other. Another patient's image is not told apart.
        GridMismatchError: one image is 2-D, the other 3-D.
    """
    if moving_grid.dimension != fixed_grid.dimension:
        raise GridMismatchError(
            f"A {moving_grid.dimension}-D image cannot be registered to a {fixed_grid.dimension}-D one.\n"
            f"  moving: {moving_grid.describe()}\n  fixed: {fixed_grid.describe()}"
        )
    _require_registrable(moving, moving_grid, "moving")
    _require_registrable(fixed, fixed_grid, "fixed")
    pair = _Pair(*_image_and_content(fixed, fixed_grid), *_image_and_content(moving, moving_grid))
    found = _search(pair, seed)
    if found is None or -found[1] < MIN_INFORMATION or _content_shared(found[0], pair) < MIN_CONTENT_SHARED:
        raise RegistrationError(
            "The two images could not be aligned: no position was found where what they show matches.\n"
            f"  moving: {moving_grid.describe()}\n  fixed: {fixed_grid.describe()}\n"
            "Check that both show the same part of the same patient, align them by hand first "
            "(in 3D Slicer: the Transforms module), or leave one of them out."
        )
    transform, metric = found
    return RigidAlignment(
        transform,
        _rotation_degrees(transform),
        _centre_shift(transform, fixed_grid),
        _largest_shift(transform, pair.fixed_content),
        metric,
    )


@dataclass(frozen=True)
class _Pair:
    """The two images of one registration, and what they show, as SimpleITK images on their own grids."""

    fixed: sitk.Image
    fixed_content: sitk.Image
    moving: sitk.Image
    moving_content: sitk.Image


def _require_registrable(image: NDArray[np.float32], grid: Grid, name: str) -> None:
    """Raise RegistrationError for an image that holds nothing to align."""
    size = grid.size[: grid.dimension]
    if not np.isfinite(image).all():
        found, advice = "has voxels that are infinite or not a number", "Replace them, or export the image again."
    elif image.min() == image.max():
        found, advice = "has the same value everywhere", "Check that the right file or series was loaded."
    elif min(size) < MIN_VOXELS:
        found = f"has only {min(size)} voxel(s) along one axis"
        advice = f"A rotation needs at least {MIN_VOXELS}; load the whole series, or one slice as a 2-D image."
    else:
        return
    raise RegistrationError(f"The {name} image cannot be registered: it {found}.\n  {grid.describe()}\n{advice}")


def _image_and_content(image: NDArray[np.float32], grid: Grid) -> tuple[sitk.Image, sitk.Image]:
    """An image without its rare extremes, so that the metric's few bins resolve the tissues, and its foreground."""
    content = foreground(image)
    low, high = np.percentile(image, 0.5), np.percentile(image[content], 99.5)
    return grid.to_sitk(np.clip(image, low, high).astype(np.float32)), grid.to_sitk(content)


def _search(pair: _Pair, seed: int) -> tuple[sitk.Transform, float] | None:
    """Find the transform coarse to fine; None where the images do not meet."""
    coarse = [_refined(start, pair, LEVELS[0], seed) for start in _starts(pair)]
    plausible = [step for step in coarse if step and _content_shared(step[0], pair) >= MIN_CONTENT_SHARED]
    best = min(plausible, key=lambda step: step[1], default=None)
    for level in LEVELS[1:]:
        if best is not None:
            best = _refined(best[0], pair, level, seed)
    return best


def _starts(pair: _Pair) -> Iterator[sitk.Transform]:
    """The transforms to start from: the scanner's positions, then the contents' centres on each other."""
    dimension = pair.fixed.GetDimension()
    centre = _centroid(pair.fixed_content)
    for shift in (np.zeros(dimension), _centroid(pair.moving_content) - centre):
        if dimension == 2:
            yield sitk.Euler2DTransform(centre.tolist(), 0.0, shift.tolist())
        else:
            yield sitk.Euler3DTransform(centre.tolist(), 0.0, 0.0, 0.0, shift.tolist())


def _centroid(content: sitk.Image) -> NDArray[np.float64]:
    """The centre of a mask in mm LPS."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(content)
    return np.array(shape.GetCentroid(1))


def _coarsened(image: sitk.Image, spacing: float) -> sitk.Image:
    """Average whole blocks of voxels up to a spacing in mm; axes that are coarser already stay as they are."""
    factors = [
        max(1, min(round(spacing / s), n // MIN_VOXELS))
        for s, n in zip(image.GetSpacing(), image.GetSize(), strict=True)
    ]
    return sitk.BinShrink(image, factors)


def _refined(start: sitk.Transform, pair: _Pair, voxels_across: int, seed: int) -> tuple[sitk.Transform, float] | None:
    """Improve a transform at one resolution.

    Returns:
        The transform and its metric, or None where the images do not meet at `start` or lose each other on the way.
    """
    widest = max(n * s for n, s in zip(pair.fixed.GetSize(), pair.fixed.GetSpacing(), strict=True))
    spacing = widest / voxels_across
    fixed, moving = _coarsened(pair.fixed, spacing), _coarsened(pair.moving, spacing)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(HISTOGRAM_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    # ITK takes seed 0 as "use the clock".
    method.SetMetricSamplingPercentage(min(1.0, SAMPLES / fixed.GetNumberOfPixels()), seed + 1)
    method.SetInterpolator(sitk.sitkLinear)
    if voxels_across == LEVELS[-1]:
        method.SetMetricFixedMask(_near_content(pair.fixed_content, fixed, 4 * spacing))
        _polish_with(method, spacing, 0.3 * widest, fixed.GetDimension())
    else:
        _descend_with(method, spacing)
    # Work units add up the metric in whatever order they finish: with more than one, two runs differ, and so do
    # two machines. SetNumberOfThreads(1) does not prevent it (SimpleITK 2.5.7).
    method.SetNumberOfWorkUnits(1)
    transform = type(start)(start)
    method.SetInitialTransform(transform, inPlace=True)
    try:
        method.Execute(fixed, moving)
    except RuntimeError:  # ITK's only way to say that no sample of one image falls into the other
        return None
    metric = method.GetMetricValue()
    return (transform, metric) if np.isfinite(metric) else None


def _descend_with(method: sitk.ImageRegistrationMethod, spacing: float) -> None:
    """Go down the gradient over the whole image: the widest reach, but a bias of 1 to 2 mm on thick slices."""
    # Halving the step at every turn, ITK's default, stopped short of the optimum by up to 20 mm on real MR.
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=3 * spacing,
        minStep=spacing / 200,
        numberOfIterations=150,
        relaxationFactor=0.8,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()


def _polish_with(method: sitk.ImageRegistrationMethod, spacing: float, radius: float, dimension: int) -> None:
    """Search without the gradient, on the content alone: removes the bias, but needs a start within millimetres."""
    method.SetOptimizerAsPowell(
        numberOfIterations=10,
        maximumLineIterations=50,
        stepLength=0.7 * spacing,
        stepTolerance=1e-3 * spacing,
        valueTolerance=1e-4,
    )
    # One unit of any parameter moves the content's border by about 1 mm. ITK's own scales from the physical shift make
    # this optimiser's first rotations so small that it stops at the sampling noise, up to 2 mm away.
    rotations, translations = (1, 2) if dimension == 2 else (3, 3)
    method.SetOptimizerScales([radius] * rotations + [1.0] * translations)


def _near_content(content: sitk.Image, image: sitk.Image, margin: float) -> sitk.Image:
    """The content and its surroundings up to a margin in mm, on the grid of a coarser image."""
    mask = sitk.Resample(content, image, sitk.Transform(), sitk.sitkNearestNeighbor)
    return sitk.BinaryDilate(mask, [max(1, round(margin / s)) for s in image.GetSpacing()])


def _content_shared(transform: sitk.Transform, pair: _Pair) -> float:
    """The part of the smaller content that lies on the other image's content, 0 to 1."""
    moved = sitk.Resample(pair.moving_content, pair.fixed_content, transform, sitk.sitkNearestNeighbor)
    voxel = np.prod(pair.fixed_content.GetSpacing())
    moving_voxel = np.prod(pair.moving_content.GetSpacing())
    fixed_content = sitk.GetArrayViewFromImage(pair.fixed_content)
    common = np.count_nonzero(fixed_content & sitk.GetArrayViewFromImage(moved)) * voxel
    whole = np.count_nonzero(sitk.GetArrayViewFromImage(pair.moving_content)) * moving_voxel
    return float(common / min(whole, np.count_nonzero(fixed_content) * voxel))


def _rotation_degrees(transform: sitk.Transform) -> float:
    """The one angle, about one axis, of a 2-D or 3-D rigid transform."""
    dimension = transform.GetDimension()
    origin = np.array(transform.TransformPoint([0.0] * dimension))
    axes = [np.array(transform.TransformPoint(axis.tolist())) - origin for axis in np.eye(dimension)]
    # The trace of a rotation is 1 + 2 cos(angle) in 3-D and 2 cos(angle) in 2-D.
    cosine = (np.trace(axes) - (dimension - 2)) / 2
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def _centre_shift(transform: sitk.Transform, grid: Grid) -> float:
    """How far a transform moves the centre of a grid, in mm."""
    centre = grid.corners().mean(axis=0)[: grid.dimension]
    return float(np.linalg.norm(np.array(transform.TransformPoint(centre.tolist())) - centre))


def _largest_shift(transform: sitk.Transform, content: sitk.Image) -> float:
    """How far a transform moves the furthest of the corners of a box around a content, in mm."""
    shape = sitk.LabelShapeStatisticsImageFilter()
    shape.Execute(content)
    box, dimension = shape.GetBoundingBox(1), content.GetDimension()
    # Voxel centres stand at whole numbers, so the content begins half a voxel before its first one.
    edges = [(first - 0.5, first + size - 0.5) for first, size in zip(box[:dimension], box[dimension:], strict=True)]
    corners = map(content.TransformContinuousIndexToPhysicalPoint, itertools.product(*edges))
    return max(float(np.linalg.norm(np.subtract(transform.TransformPoint(c), c))) for c in corners)
