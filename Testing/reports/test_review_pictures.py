"""The slices to look at first are the worst ones; the body in 3D lies the right way round, in true proportions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from GANSegmentationLib.reports.display import display
from GANSegmentationLib.reports.relief import relief
from GANSegmentationLib.reports.review import slices_to_review
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, Volume
from Testing.reports.conftest import LIVER, Patient, stored_otherwise

OTHER = Segment(2, "Other", (40, 200, 40))


def shown_of(mask: np.ndarray, reference: np.ndarray | None = None):
    geometry = Geometry(mask.shape[::-1], (1.0, 1.0, 1.0))
    volume = Volume(np.zeros(mask.shape, np.int16), geometry, "CT")
    label = [Labelmap(array.astype(np.uint8), geometry) for array in (mask, reference) if array is not None]
    return display(volume, label[0], label[1] if reference is not None else None, "axial")


def column(n: int = 30) -> np.ndarray:
    mask = np.zeros((n, 20, 20), bool)
    mask[4:26, 5:15, 5:15] = True
    mask[15, 4:16, 4:16] = True
    return mask


class TestSlices:
    def test_with_a_reference_the_worst_come_first(self):
        mask = column()
        reference = mask.copy()
        reference[8, :, :] = True  # 300 pixels missed
        reference[20, 5:15, 5:15] = False
        reference[20, 5:9, 5:8] = True  # less is wrong, but little of it is right
        chosen = slices_to_review(shown_of(mask, reference), one_structure=True)
        assert [(one.index, one.why) for one in chosen] == [
            (8, "most wrong pixels"), (20, "lowest Dice"), (15, "largest section")
        ]  # fmt: skip
        assert chosen[0].dice == pytest.approx(2 * 100 / (100 + 400))
        assert chosen[2].dice == 1.0

    def test_small_ends_do_not_count_for_the_lowest_dice(self):
        mask = column()
        reference = mask.copy()
        reference[3, 5, 5] = True  # a Dice of 0, of one pixel
        reference[10, 5:15, 5] = False
        whys = {one.why: one.index for one in slices_to_review(shown_of(mask, reference), one_structure=True)}
        assert whys["most wrong pixels"] == 10

    def test_a_perfect_mask_has_no_worst_slice(self):
        assert [one.why for one in slices_to_review(shown_of(column(), column()), one_structure=True)] == [
            "largest section"
        ]

    def test_without_a_reference_doubt_and_jumps_count(self):
        mask = column()
        mask[20] = False
        doubt = [0.1] * 30
        doubt[10] = 0.9
        doubt[29] = 1.0  # far from the organ
        chosen = slices_to_review(shown_of(mask), doubt=doubt)
        assert [(one.index, one.why) for one in chosen] == [
            (10, "least certain"), (20, "differs most from its neighbours"), (15, "largest section")
        ]  # fmt: skip

    def test_where_nothing_was_found_one_slice_is_shown(self):
        nothing = np.zeros((7, 8, 8), bool)
        assert [(one.index, one.why) for one in slices_to_review(shown_of(nothing))] == [(3, "middle slice")]
        doubt = [0.0] * 5 + [1.0, 0.0]
        assert [one.index for one in slices_to_review(shown_of(nothing), doubt=doubt)] == [5]

    def test_a_single_slice_is_shown_once(self):
        mask = np.ones((1, 8, 8), bool)
        assert len(slices_to_review(shown_of(mask, np.zeros_like(mask)), one_structure=True)) == 1


def lit(picture: np.ndarray) -> np.ndarray:
    return picture.astype(int).max(axis=2) > 40


class TestRelief:
    @pytest.mark.parametrize(
        ("axes", "flips"), [((0, 1, 2), ()), ((0, 1, 2), (0,)), ((2, 1, 0), (1, 2)), ((1, 0, 2), (0, 1))]
    )
    def test_however_it_is_stored_it_looks_the_same(self, patient: Patient, axes, flips):
        plain = relief(patient.mask, (LIVER,), (160, 120))
        turned = relief(stored_otherwise(patient, axes, flips).mask, (LIVER,), (160, 120))
        assert plain is not None and np.array_equal(plain, turned)

    def test_right_is_left_and_head_is_up(self):
        array = np.zeros((20, 10, 20), np.uint8)
        array[2:18, 2:8, 2:5] = 1  # a column on the patient's right
        array[2:5, 2:8, 5:15] = 1  # with a foot to the left
        picture = relief(Labelmap(array, Geometry((20, 10, 20), (1.0, 1.0, 1.0))), (LIVER,), (200, 200))
        body = lit(picture)
        rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
        upper = body[rows[0] : rows[len(rows) // 2]]
        assert upper[:, : columns[len(columns) // 3]].any() and not upper[:, columns[len(columns) // 2] :].any()

    def test_proportions_are_those_in_millimetres(self):
        mask = Labelmap(np.ones((10, 6, 30), np.uint8), Geometry((30, 6, 10), (1.0, 1.0, 6.0)))
        body = lit(relief(mask, (LIVER,), (400, 400)))
        high, wide = np.count_nonzero(body.any(axis=1)), np.count_nonzero(body.any(axis=0))
        assert high / wide == pytest.approx(60 / 30, rel=0.05)

    def test_what_lies_in_front_hides_what_is_behind(self):
        array = np.zeros((20, 20, 20), np.uint8)
        array[3:17, 12:18, 3:17] = 1
        array[6:14, 2:6, 6:14] = 2  # rows run to posterior: this is the front
        picture = relief(Labelmap(array, Geometry((20, 20, 20), (1.0, 1.0, 1.0))), (LIVER, OTHER), (200, 200))
        middle, rim = picture[100, 100].astype(int), picture[40, 100].astype(int)
        assert middle[1] > middle[0] and rim[0] > rim[1]

    def test_the_reference_is_an_outline(self, patient: Patient):
        colour = (0, 0, 255)
        plain = relief(patient.mask, (LIVER,), (160, 120))
        both = relief(patient.mask, (LIVER,), (160, 120), reference=patient.reference, reference_colour=colour)
        blue = (both.astype(int)[..., 2] - both[..., 0]) > 120
        assert 20 < np.count_nonzero(blue) < 1500 and not ((plain.astype(int)[..., 2] - plain[..., 0]) > 120).any()

    def test_where_there_is_nothing_to_see_there_is_no_picture(self, patient: Patient):
        empty = replace(patient.mask, array=np.zeros_like(patient.mask.array))
        assert relief(empty, (LIVER,), (100, 100)) is None
        assert relief(empty, (LIVER,), (100, 100), reference=patient.reference) is not None
        flat = Labelmap(np.ones((1, 9, 9), np.uint8), Geometry((9, 9, 1), (1.0, 1.0, 1.0)))
        assert relief(flat, (LIVER,), (100, 100)) is None
