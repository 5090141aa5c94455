import numpy as np

from ObserverUncertaintyLib.images.grid import Grid
from ObserverUncertaintyLib.simulation.random_fields import smooth_field

GRID = Grid((40, 36, 20), (1.5, 1.5, 3.0))


def many(count: int, **options) -> np.ndarray:
    rng = np.random.default_rng(5)
    return np.stack([smooth_field(GRID, 12.0, rng, **options) for _ in range(count)])


def test_every_voxel_has_mean_0_and_standard_deviation_1():
    fields = many(400)
    assert fields.shape == (400, *GRID.shape)
    assert np.abs(fields.mean(axis=0)).max() < 0.3
    assert fields.std(axis=0).min() > 0.8
    assert fields.std(axis=0).max() < 1.2


def test_neighbours_are_alike_and_distant_voxels_are_not():
    fields = many(400)
    here = fields[:, 10, 18, 2]
    near = np.corrcoef(here, fields[:, 10, 18, 4])[0, 1]
    far = np.corrcoef(here, fields[:, 10, 18, 38])[0, 1]
    assert near > 0.9
    assert abs(far) < 0.2


def test_smoothness_is_in_millimetres_not_voxels():
    fields = many(400)
    six_mm_in_plane = np.corrcoef(fields[:, 10, 18, 20], fields[:, 10, 22, 20])[0, 1]
    six_mm_across = np.corrcoef(fields[:, 10, 18, 20], fields[:, 12, 18, 20])[0, 1]
    assert abs(six_mm_in_plane - six_mm_across) < 0.1


def test_independent_slices_share_nothing_but_are_smooth_within():
    fields = many(400, independent_slices=True)
    assert abs(np.corrcoef(fields[:, 10, 18, 20], fields[:, 11, 18, 20])[0, 1]) < 0.2
    assert np.corrcoef(fields[:, 10, 18, 20], fields[:, 10, 18, 21])[0, 1] > 0.9
