"""Overlay pictures show the right pixels, on the right side, at the right size."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.reports import overlay_montage, overlay_slice, preview_picture
from GANSegmentationLib.reports.colours import colour_distance, contrasting_colour
from GANSegmentationLib.reports.display import body_box, choose_window, display
from GANSegmentationLib.reports.drawing import paint_mask
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, Volume
from Testing.reports.conftest import LIVER, pixels, stored_otherwise

REFERENCE_COLOUR = contrasting_colour([LIVER.colour])


def panel(png: bytes) -> npt.NDArray[np.int64]:
    """The slice of a picture of one slice, without heading, legend and margin."""
    return pixels(png)[86:-14, 14:-14]


def like(picture: npt.NDArray[np.int64], colour: tuple[int, int, int], tolerance: int = 40) -> npt.NDArray[np.bool_]:
    return np.abs(picture - np.array(colour)).max(axis=2) <= tolerance


def middle(where: npt.NDArray[np.bool_]) -> tuple[float, float]:
    rows, columns = np.nonzero(where)
    return float(rows.mean()) / where.shape[0], float(columns.mean()) / where.shape[1]


def empty(patient: Any) -> Labelmap:
    return Labelmap(np.zeros_like(patient.mask.array), patient.mask.geometry, patient.mask.segments)


class TestPixels:
    def test_mask_pixels_are_tinted_and_the_others_stay_grey(self, patient: Any) -> None:
        with_mask = panel(overlay_slice(patient.volume, patient.mask, index=12))
        without = panel(overlay_slice(patient.volume, empty(patient), index=12))
        changed = np.abs(with_mask - without).max(axis=2) > 8
        liver = without[:, :, 0] > 130
        height, width = liver.shape
        inner = liver[: height // 2 + 60, : width // 2]
        assert changed[: height // 2 + 60, : width // 2][inner].mean() > 0.97
        assert changed.sum() < 1.1 * liver.sum()
        row, column = (round(n * s) for n, s in zip(middle(changed), changed.shape, strict=True))
        grey = without[row, column]
        assert (grey == grey[0]).all()
        np.testing.assert_allclose(with_mask[row, column], grey + 0.32 * (np.array(LIVER.colour) - grey), atol=1.5)

    def test_the_contour_has_the_segments_colour(self, patient: Any) -> None:
        png = overlay_slice(patient.volume, patient.mask, index=12)
        assert like(panel(png), LIVER.colour, 6).sum() > 300

    def test_the_reference_is_a_contour_in_another_colour(self, patient: Any) -> None:
        png = overlay_slice(patient.volume, patient.mask, patient.reference, index=12)
        found = like(panel(png), REFERENCE_COLOUR, 30)
        alone = panel(overlay_slice(patient.volume, patient.mask, index=12))
        assert not like(alone, REFERENCE_COLOUR, 30).any()
        rows, columns = np.nonzero(found)
        # A thin ring: far fewer pixels than the area that it surrounds.
        assert 200 < found.sum() < 0.1 * np.ptp(rows) * np.ptp(columns)
        # 4 voxels of 2 mm to the patient's left of the mask, which is to the right.
        scale = panel(png).shape[1] / (display_width(patient) * 2.0)
        mask_columns = np.nonzero(like(alone, LIVER.colour, 6))[1]
        shift = columns.max() - mask_columns.max()
        assert shift == pytest.approx(8.0 * scale, abs=3)

    def test_a_label_of_one_voxel_is_seen(self, patient: Any) -> None:
        labels = np.zeros_like(patient.mask.array)
        labels[12, 60, 80] = 1
        mask = Labelmap(labels, patient.mask.geometry, (Segment(1, "Lesion", (144, 238, 144)),))
        png = overlay_montage(patient.volume, mask, panel_width=60)
        assert like(pixels(png)[80:], (144, 238, 144), 90).any()

    @pytest.mark.parametrize("place", [(0, 0), (151, 152), (153, 150), (299, 299)])
    def test_a_picture_coarser_than_the_mask_loses_nothing(self, place: tuple[int, int]) -> None:
        mask = np.zeros((300, 300), dtype=bool)
        mask[place] = True
        canvas = np.zeros((40, 40, 3), np.float32)
        paint_mask(canvas, mask, (255, 255, 255), fill=0.5, line=2.0)
        rows, columns = np.nonzero(canvas[:, :, 0] > 10)
        assert (rows[0], columns[0]) == (place[0] * 40 // 300, place[1] * 40 // 300)

    def test_the_reference_is_not_filled(self, patient: Any) -> None:
        without = panel(overlay_slice(patient.volume, empty(patient), index=12))
        outlined = panel(overlay_slice(patient.volume, empty(patient), patient.mask, index=12))
        row, column = (round(n * s) for n, s in zip(middle(without[:, :, 0] > 130), without.shape[:2], strict=True))
        inside = np.s_[row - 10 : row + 10, column - 10 : column + 10]
        assert np.abs(without - outlined).max() > 40
        assert without[inside].min() > 130
        np.testing.assert_array_equal(without[inside], outlined[inside])

    def test_labels_without_a_table_are_drawn(self, patient: Any) -> None:
        bare = Labelmap(patient.mask.array * np.uint8(7), patient.mask.geometry)
        with_mask = panel(overlay_slice(patient.volume, bare, index=12))
        without = panel(overlay_slice(patient.volume, empty(patient), index=12))
        assert (np.abs(with_mask - without).max(axis=2) > 8).mean() > 0.05

    def test_what_is_not_a_number_is_black(self, patient: Any) -> None:
        array = patient.volume.array.astype(np.float32)
        array[:, 60:70, 70:80] = np.nan
        array[:, 60:70, 82:90] = np.inf
        volume = Volume(array, patient.volume.geometry, "CT")
        shown = display(volume, empty(patient), None, "axial")
        rows, columns = body_box(shown, (-100, 240))
        picture = panel(overlay_slice(volume, empty(patient), index=12))
        scale = picture.shape[1] / (columns.stop - columns.start)
        row = round((65 - rows.start) * scale)
        assert picture[row, round((75 - columns.start) * scale)].max() == 0
        assert picture[row, round((86 - columns.start) * scale)].min() == 255

    def test_pixels_are_square_in_millimetres(self, patient: Any) -> None:
        # 24 slices of 5 mm are as tall as 60 columns of 2 mm are wide.
        height, width = panel(overlay_slice(patient.volume, patient.mask, plane="coronal")).shape[:2]
        shown = display(patient.volume, patient.mask, None, "coronal")
        rows, columns = body_box(shown, (-100, 240))
        expected = (rows.stop - rows.start) * 5.0 / ((columns.stop - columns.start) * 2.0)
        assert height / width == pytest.approx(expected, rel=0.01)


def display_width(patient: Any) -> int:
    _, columns = body_box(display(patient.volume, patient.mask, patient.reference, "axial"), (-100, 240))
    return columns.stop - columns.start


class TestSides:
    @pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
    def test_every_storage_order_gives_the_same_picture(self, patient: Any, plane: str) -> None:
        expected = panel(overlay_slice(patient.volume, patient.mask, plane=plane, size=200))
        orders = list(itertools.product(itertools.permutations(range(3)), [(), (0,), (1,), (2,), (0, 1, 2)]))
        for axes, flips in orders[::3]:
            other = stored_otherwise(patient, axes, flips)
            found = panel(overlay_slice(other.volume, other.mask, plane=plane, size=200))
            # The words differ: the index counts along the array's own axis.
            assert np.array_equal(found[40:-40, 30:-60], expected[40:-40, 30:-60]), (axes, flips)

    def test_the_patients_right_is_on_the_left_and_anterior_up(self, patient: Any) -> None:
        png = overlay_slice(patient.volume, patient.mask, index=12)
        row, column = middle(like(panel(png), LIVER.colour, 6))
        assert column < 0.4  # a liver
        assert row < 0.5  # before the spine

    def test_the_head_is_up_in_a_coronal_slice(self, patient: Any) -> None:
        labels = np.zeros_like(patient.mask.array)
        labels[18:22, 30:60, 40:80] = 1
        mask = Labelmap(labels, patient.mask.geometry, (LIVER,))
        png = overlay_slice(patient.volume, mask, plane="coronal")
        assert middle(like(panel(png), LIVER.colour, 6))[0] < 0.35

    def test_index_and_position_are_those_of_the_array(self, patient: Any) -> None:
        flipped = stored_otherwise(patient, (0, 1, 2), (0,))
        straight = display(patient.volume, patient.mask, None, "axial")
        reverse = display(flipped.volume, flipped.mask, None, "axial")
        assert (straight.array_index(20), straight.position(20)) == (20, "S 42.5 mm")
        assert (reverse.array_index(20), reverse.position(20)) == (3, "S 42.5 mm")
        assert straight.position(0) == "I 57.5 mm"
        assert display(patient.volume, patient.mask, None, "coronal").position(0) == "A 95.0 mm"
        assert display(patient.volume, patient.mask, None, "sagittal").position(0) == "R 119.0 mm"

    def test_the_slice_asked_for_is_that_of_the_array(self, patient: Any) -> None:
        labels = np.zeros_like(patient.mask.array)
        labels[20, 40:60, 30:60] = 1
        one = type(patient)(patient.volume, Labelmap(labels, patient.mask.geometry, (LIVER,)), patient.reference)
        for each, index in ((one, 20), (stored_otherwise(one, (0, 1, 2), (0,)), 3)):
            assert like(panel(overlay_slice(each.volume, each.mask, index=index)), LIVER.colour, 6).any()
            other = panel(overlay_slice(each.volume, each.mask, index=23 - index))
            assert not like(other, LIVER.colour, 6).any()


class TestMontage:
    def test_it_is_written_as_it_is_returned(self, patient: Any, tmp_path: Path) -> None:
        path = tmp_path / "picture.png"
        png = overlay_montage(patient.volume, patient.mask, patient.reference, path=path, panel_width=120)
        assert path.read_bytes() == png
        assert [entry.name for entry in tmp_path.iterdir()] == ["picture.png"]

    def test_it_has_a_panel_for_each_slice_and_view(self, patient: Any) -> None:
        def size(**options: Any) -> tuple[int, ...]:
            return pixels(overlay_montage(patient.volume, patient.mask, panel_width=160, **options)).shape[:2]

        one_row = size(indices=[8, 12, 16], views=())
        two_rows = size(indices=[8, 12, 16], views=("coronal", "sagittal"))
        assert one_row[1] == 3 * 160 + 2 * 4 + 2 * 14
        assert two_rows[1] == 4 * 160 + 3 * 4 + 2 * 14
        assert two_rows[0] - one_row[0] == (one_row[0] - 86 - 14) + 4

    def test_the_slices_are_spread_over_the_mask_with_the_head_first(self, patient: Any) -> None:
        # Slices 5 to 19 have liver: both ends are shown smaller than the middle.
        png = overlay_montage(patient.volume, patient.mask, n=3, views=(), panel_width=200)
        sheet = pixels(png)
        areas = [like(sheet[86:, 14 + i * 204 : 214 + i * 204], LIVER.colour, 6).sum() for i in range(3)]
        assert areas[1] > areas[0] > 0
        assert areas[1] > areas[2] > 0
        widening = np.zeros_like(patient.mask.array)
        for index in range(4, 20):
            widening[index, 40:60, 30 : 34 + 3 * (index - 4)] = 1
        sheet = pixels(
            overlay_montage(
                patient.volume, Labelmap(widening, patient.mask.geometry, (LIVER,)), n=3, views=(), panel_width=200
            )
        )
        areas = [like(sheet[86:, 14 + i * 204 : 214 + i * 204], LIVER.colour, 6).sum() for i in range(3)]
        assert areas[0] > areas[1] > areas[2] > 0

    def test_the_slices_asked_for_are_shown_in_their_order(self, patient: Any) -> None:
        labels = np.zeros_like(patient.mask.array)
        labels[2:4, 40:60, 30:60] = 1
        labels[20, 40:60, 30:60] = 1
        spread = Labelmap(labels, patient.mask.geometry, (LIVER,))
        sheet = pixels(overlay_montage(patient.volume, spread, indices=[20, 12, 3], views=(), panel_width=200))
        marked = [like(sheet[86:, 14 + i * 204 : 214 + i * 204], LIVER.colour, 6).any() for i in range(3)]
        assert marked == [True, False, True]

    def test_an_empty_mask_is_drawn_and_said(self, patient: Any) -> None:
        sheet = pixels(overlay_montage(patient.volume, empty(patient), panel_width=120))
        assert not like(sheet[86:], LIVER.colour, 6).any()
        assert (sheet[86:] > 60).any()

    def test_a_single_slice_is_enough(self, patient: Any) -> None:
        geometry = Geometry(size=(120, 96, 1), spacing=(2.0, 2.0, 5.0))
        volume = Volume(patient.volume.array[12:13], geometry, "CT")
        mask = Labelmap(patient.mask.array[12:13], geometry, (LIVER,))
        sheet = pixels(overlay_montage(volume, mask, mask, panel_width=120))
        assert like(sheet, LIVER.colour, 90).any()
        assert np.array_equal(sheet, pixels(overlay_montage(volume, mask, mask, panel_width=120, views=())))

    def test_the_dice_of_another_label_value_for_the_same_organ_counts(self, patient: Any) -> None:
        other = Labelmap(patient.mask.array * np.uint8(255), patient.mask.geometry)
        same = overlay_slice(patient.volume, patient.mask, patient.mask, index=12)
        assert overlay_slice(patient.volume, patient.mask, other, index=12) == same


class TestPreview:
    def test_it_is_a_square_with_the_mask(self, patient: Any) -> None:
        picture = pixels(preview_picture(patient.volume, patient.mask))
        assert picture.shape == (256, 256, 3)
        assert middle(like(picture, LIVER.colour, 6))[1] < 0.4

    def test_it_takes_an_empty_mask(self, patient: Any) -> None:
        assert pixels(preview_picture(patient.volume, empty(patient))).shape == (256, 256, 3)


class TestRefusal:
    def test_a_mask_on_another_grid(self, patient: Any) -> None:
        moved = Geometry(size=(120, 96, 24), spacing=(2.0, 2.0, 5.0), origin=(-119.0, -95.0, -50.0))
        for mask, reference, said in (
            (Labelmap(patient.mask.array, moved, (LIVER,)), None, "mask"),
            (patient.mask, Labelmap(patient.mask.array, moved), "reference"),
        ):
            with pytest.raises(GANSegmentationError) as caught:
                overlay_montage(patient.volume, mask, reference)
            assert caught.value.code == "geometry_mismatch"
            assert said in caught.value.message

    def test_a_slice_that_is_not_there(self, patient: Any) -> None:
        for index in (-1, 24):
            with pytest.raises(GANSegmentationError) as caught:
                overlay_slice(patient.volume, patient.mask, index=index)
            assert caught.value.code == "no_such_slice"
            assert "0 to 23" in caught.value.message

    def test_a_window_that_shows_nothing(self, patient: Any) -> None:
        for window in ((5.0, 5.0), (0.0, float("nan"))):
            with pytest.raises(GANSegmentationError) as caught:
                overlay_slice(patient.volume, patient.mask, window=window)
            assert caught.value.code == "invalid_window"

    def test_a_folder_that_is_not_there(self, patient: Any, tmp_path: Path) -> None:
        with pytest.raises(GANSegmentationError) as caught:
            overlay_slice(patient.volume, patient.mask, path=tmp_path / "none" / "a.png")
        assert caught.value.code == "folder_not_found"


class TestWindow:
    def test_ct_is_shown_in_a_soft_tissue_window(self, patient: Any) -> None:
        assert choose_window(patient.volume) == (-100.0, 240.0)

    def test_other_modalities_by_their_own_percentiles(self) -> None:
        array = np.arange(8000, dtype=np.float32).reshape(20, 20, 20)
        array[0, 0, 0] = np.nan
        low, high = choose_window(Volume(array, Geometry((20, 20, 20), (1, 1, 1)), "MR"))
        assert (low, high) == pytest.approx((80, 7959), abs=3)

    def test_a_flat_or_empty_volume_has_a_window_too(self) -> None:
        geometry = Geometry((4, 4, 4), (1, 1, 1))
        for value in (7.0, np.nan):
            low, high = choose_window(Volume(np.full((4, 4, 4), value), geometry))
            assert low < high


@pytest.mark.parametrize("colour", [(221, 130, 101), (128, 174, 128), (241, 214, 145), (86, 180, 233), (0, 158, 115)])
def test_the_references_colour_is_far_from_the_segments_for_every_sight(colour: tuple[int, int, int]) -> None:
    assert colour_distance(contrasting_colour([colour]), colour) > 40


def test_red_and_green_are_close_for_the_colour_blind() -> None:
    assert colour_distance((200, 80, 60), (120, 120, 40)) < 35


@pytest.mark.real_data
def test_the_chaos_scan_has_its_liver_on_the_left(shared_data: Path) -> None:
    from GANSegmentationLib.volumes import read_labelmap, read_volume

    folder = shared_data / "liver_ct_chaos_set3"
    volume = read_volume(folder / "DICOM_anon")
    truth = read_labelmap(folder / "Ground", geometry=volume.geometry, series=folder / "DICOM_anon")
    mask = Labelmap((truth.array > 0).astype(np.uint8), volume.geometry, (LIVER,))
    picture = pixels(preview_picture(volume, mask))
    assert middle(like(picture, LIVER.colour, 6))[1] < 0.45
    # The liver is brighter than the fat around it: the mask lies on the organ.
    sheet = panel(overlay_slice(volume, mask, truth, size=400))
    assert like(sheet, REFERENCE_COLOUR, 40).sum() > 300


def test_without_a_known_spacing_nothing_is_said_in_millimetres(monkeypatch: pytest.MonkeyPatch) -> None:
    from GANSegmentationLib.reports import overlay

    said: list[str] = []
    write = overlay.text
    monkeypatch.setattr(
        overlay, "text", lambda draw, place, words, *a, **k: said.append(words) or write(draw, place, words, *a, **k)
    )
    volume = Volume(np.zeros((3, 32, 32), np.int16), Geometry((32, 32, 3), (1, 1, 1)), "CT", "scan")
    mask = Labelmap(
        (np.indices((3, 32, 32))[2] > 15).astype(np.uint8), volume.geometry, (Segment(1, "Liver", (1, 2, 3)),)
    )
    for measured in (True, False):
        said.clear()
        overlay_montage(volume, mask, mask, views=(), measured=measured)
        assert any(" mm" in words or " ml" in words or " cm" in words for words in said) == measured
        assert any(words.startswith("Liver") for words in said) and any(words.startswith("Dice") for words in said)
