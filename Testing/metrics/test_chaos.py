"""The CHAOS score: the challenge's own example, its points, and its convention at the border of the image."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import ChaosScores, chaos_scores, score_masks


def _stack(folder: Path) -> npt.NDArray[np.bool_]:
    from PIL import Image

    slices = [np.asarray(Image.open(path)) > 0 for path in sorted(folder.glob("*.png"))]
    assert len(slices) == 78
    return np.stack(slices)


def _spacing_zyx(folder: Path) -> tuple[float, float, float]:
    """Pixel spacing, and the step between neighbouring positions: the tag SliceThickness says 3.2 mm and is no step."""
    import pydicom

    first, second = (pydicom.dcmread(path, stop_before_pixels=True) for path in sorted(folder.glob("*.dcm"))[:2])
    step = math.dist(first.ImagePositionPatient, second.ImagePositionPatient)
    y, x = (float(value) for value in first.PixelSpacing)
    return step, y, x


@pytest.mark.real_data
def test_the_challenges_own_example(shared_data: Path) -> None:
    folder = shared_data / "liver_ct_chaos_set3"
    mask, reference = _stack(folder / "Segmentation"), _stack(folder / "Ground")
    spacing = _spacing_zyx(folder / "DICOM_anon")
    assert spacing == pytest.approx((2.0, 0.7265625, 0.7265625))
    found = chaos_scores(mask, reference, spacing)
    assert found.dice == pytest.approx(0.9784, abs=5e-5)
    assert found.ravd == pytest.approx(0.6645, abs=5e-5)
    assert found.assd_mm == pytest.approx(0.7341, abs=5e-5)
    assert found.mssd_mm == pytest.approx(14.0)
    assert found.score == pytest.approx(89.08, abs=5e-3)
    together = score_masks(mask, reference, spacing, chaos=True)
    assert together.chaos == found
    # The last slice cuts the liver off: our default counts that face as surface, the challenge does not.
    assert together.assd_mm == pytest.approx(0.713, abs=5e-4)
    assert together.assd_mm < found.assd_mm


def test_points_of_the_four_measures() -> None:
    scores = ChaosScores(dice=0.9, ravd=2.0, assd_mm=3.0, mssd_mm=12.0)
    assert (scores.dice_points, scores.ravd_points) == (pytest.approx(90), pytest.approx(60))
    assert (scores.assd_points, scores.mssd_points) == (pytest.approx(80), pytest.approx(80))
    assert scores.score == pytest.approx((90 + 60 + 80 + 80) / 4)


@pytest.mark.parametrize(
    ("measures", "points"),
    [
        ((0.8, 0.0, 0.0, 0.0), (80, 100, 100, 100)),
        ((0.7999, 5.0, 15.0, 60.0), (0, 0, 0, 0)),
        ((1.0, 4.999, 14.999, 59.999), (100, 0.02, 0.0066667, 0.0016667)),
        ((0.5, 80.0, math.inf, math.inf), (0, 0, 0, 0)),
    ],
)
def test_points_at_the_limits(measures: tuple[float, ...], points: tuple[float, ...]) -> None:
    scores = ChaosScores(*measures)
    found = (scores.dice_points, scores.ravd_points, scores.assd_points, scores.mssd_points)
    assert found == pytest.approx(points, abs=1e-6)


def test_volume_difference_is_unsigned_and_in_percent() -> None:
    mask, reference = np.zeros((2, 3, 10, 10), dtype=bool)
    mask[1, 2:7, 2:6] = reference[1, 2:7, 2:7] = True
    assert chaos_scores(mask, reference, (1, 1, 1)).ravd == pytest.approx(20)
    assert chaos_scores(reference, mask, (1, 1, 1)).ravd == pytest.approx(25)


def test_beyond_the_border_the_mask_goes_on() -> None:
    """Two columns through all slices, 4 and 6 wide: without end faces every surface voxel lies on a flank."""
    mask, reference = np.zeros((2, 5, 9, 9), dtype=bool)
    mask[:, :, 2:6] = reference[:, :, 2:8] = True
    found = chaos_scores(mask, reference, (7.0, 3.0, 1.0))
    assert found.assd_mm == pytest.approx(1.0)
    assert found.mssd_mm == 2.0
    assert score_masks(mask, reference, (7.0, 3.0, 1.0)).assd_mm < 1.0


def test_away_from_the_border_both_conventions_agree() -> None:
    rng = np.random.default_rng(5)
    mask, reference = (np.pad(rng.random((6, 7, 8)) < 0.6, 1) for _ in range(2))
    ours = score_masks(mask, reference, (2.0, 0.7, 0.9), chaos=True)
    alone = chaos_scores(mask, reference, (2.0, 0.7, 0.9))
    assert ours.chaos == alone
    assert (alone.assd_mm, alone.mssd_mm) == (pytest.approx(ours.assd_mm), pytest.approx(ours.hd_mm))


def test_only_the_faces_where_the_image_ends_are_open() -> None:
    """A block at one face of the image, in a crop that ends on all sides: the inner faces stay surface."""
    mask = np.zeros((6, 8, 8), dtype=bool)
    mask[:3, 2:6, 2:6] = True
    reference = mask.copy()
    reference[2] = False
    found = chaos_scores(mask, reference, (5.0, 1.0, 1.0))
    assert found.mssd_mm == 5.0


def test_empty_masks_earn_nothing_and_two_are_no_case() -> None:
    empty, mask = np.zeros((3, 4, 5), dtype=bool), np.zeros((3, 4, 5), dtype=bool)
    mask[1, 1:3, 1:4] = True
    assert chaos_scores(empty, mask, (1, 1, 1)).score == 0
    assert chaos_scores(mask, empty, (1, 1, 1)).score == 0
    assert chaos_scores(mask, empty, (1, 1, 1)).to_dict()["ravd"] is None
    assert math.isnan(chaos_scores(empty, empty, (1, 1, 1)).score)
    assert set(chaos_scores(empty, empty, (1, 1, 1)).to_dict().values()) == {None}


def test_two_full_volumes_are_equal_although_neither_has_a_surface() -> None:
    full = np.ones((3, 4, 5), dtype=bool)
    assert chaos_scores(full, full, (1, 1, 1)) == ChaosScores(dice=1.0, ravd=0.0, assd_mm=0.0, mssd_mm=0.0)
    almost = full.copy()
    almost[1, 1, 1] = False
    assert chaos_scores(almost, full, (1, 1, 1)).mssd_mm == math.inf


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(GANSegmentationError) as caught:
        chaos_scores(np.ones((2, 3, 4), bool), np.ones((2, 3, 1), bool), (1, 1, 1))
    assert caught.value.code == "shape_mismatch"
