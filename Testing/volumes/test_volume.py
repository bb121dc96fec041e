from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Volume

GRID = Geometry((4, 3, 2), (1.0, 1.0, 1.0))


def test_nothing_in_a_volume_can_be_changed() -> None:
    source = np.zeros(GRID.shape, np.int16)
    facts = {"SeriesDescription": "Abdomen"}
    volume = Volume(source, GRID, facts=facts)
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        volume.array = source  # type: ignore[misc]
    with pytest.raises(TypeError):
        volume.facts["PatientName"] = "x"  # type: ignore[index]
    facts["SeriesDescription"] = "changed"
    assert volume.facts["SeriesDescription"] == "Abdomen"


def test_voxels_are_shared_and_the_caller_keeps_the_right_to_write() -> None:
    source = np.zeros(GRID.shape, np.int16)
    volume = Volume(source, GRID)
    assert np.shares_memory(volume.array, source)
    source[0, 0, 0] = 1  # the caller's own array stays writeable


@pytest.mark.parametrize("shape", [(4, 3, 2), (2, 3), (2, 3, 4, 1), (2, 3, 5)])
def test_another_shape_than_the_grid_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        Volume(np.zeros(shape), GRID)
    assert caught.value.code == "invalid_volume"
    assert str(shape) in caught.value.message


@pytest.mark.parametrize("dtype", [np.complex64, "U3", object])
def test_what_is_no_number_is_refused(dtype: object) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        Volume(np.zeros(GRID.shape, dtype), GRID)  # type: ignore[call-overload]
    assert caught.value.code == "invalid_volume"
