"""Comparing labelmaps: every label and slice as if it were alone, statuses, grids, and what JSON gets."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import (
    MaskScores,
    Scores,
    chaos_scores,
    compare_labelmaps,
    count_overlap,
    score_masks,
    surface_dice,
    surface_distances,
)
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment

BoolArray = npt.NDArray[np.bool_]
Cases = Callable[..., Iterator[tuple[BoolArray, BoolArray, tuple[float, ...]]]]
OVERLAPS = ("status", "dice", "iou", "precision", "recall", "accuracy", "rvd")
DISTANCES = ("hd_mm", "hd95_mm", "hd95_pooled_mm", "assd_mm", "masd_mm")


def _labelmap(array: npt.ArrayLike, *segments: Segment, spacing: tuple[float, ...] = (0.7, 0.8, 3.0)) -> Labelmap:
    labels = np.asarray(array, dtype=np.uint8)
    return Labelmap(labels, Geometry(size=labels.shape[::-1], spacing=spacing), segments)


def _segment(value: int, name: str) -> Segment:
    return Segment(value=value, name=name, colour=(255, 0, 0))


def _same(found: Scores, expected: Scores) -> None:
    a, b = found.to_dict(), expected.to_dict()
    assert {name: a[name] for name in Scores.__dataclass_fields__} == {
        name: pytest.approx(b[name]) if isinstance(b[name], float) else b[name] for name in Scores.__dataclass_fields__
    }


@pytest.fixture(scope="module")
def two_labels() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Two labels that touch each other and the border, and the same with noise: arrays (z, y, x)."""
    rng = np.random.default_rng(11)
    z, y, x = np.mgrid[0:9, 0:20, 0:24]
    reference = np.zeros(z.shape, dtype=np.uint8)
    reference[((y - 8) / 9) ** 2 + ((x - 8) / 9) ** 2 + ((z - 3) / 5) ** 2 < 1] = 1
    reference[((y - 13) / 5) ** 2 + ((x - 18) / 6) ** 2 + ((z - 5) / 3) ** 2 < 1] = 3
    mask = reference.copy()
    mask[rng.random(mask.shape) < 0.02] = 0
    mask[rng.random(mask.shape) < 0.01] = 3
    return mask, reference


def test_scores_of_masks_are_those_of_each_measure_alone(random_cases: Cases) -> None:
    for mask, reference, spacing in random_cases(30, seed=21):
        found = score_masks(mask, reference, spacing, surface_tolerance_mm=1.2, chaos=True)
        overlap, distances = count_overlap(mask, reference), surface_distances(mask, reference, spacing)
        assert [getattr(found, name) for name in OVERLAPS] == [getattr(overlap, name) for name in OVERLAPS]
        assert [getattr(found, name) for name in DISTANCES] == [getattr(distances, name) for name in DISTANCES]
        assert found.surface_dice == surface_dice(mask, reference, spacing, surface_tolerance_mm=1.2)
        assert found.surface_tolerance_mm == 1.2
        assert found.chaos == chaos_scores(mask, reference, spacing)
        assert found.volume_ml == pytest.approx(mask.sum() * math.prod(spacing) / 1000)
        assert found.reference_volume_ml == pytest.approx(reference.sum() * math.prod(spacing) / 1000)


def test_every_label_is_scored_as_if_it_were_alone(two_labels: tuple[Any, Any]) -> None:
    mask, reference = two_labels
    found = compare_labelmaps(
        _labelmap(mask), _labelmap(reference), surface_tolerance_mm=1.0, per_slice=True, chaos=True
    )
    assert [(one.value, one.reference_value) for one in found] == [(1, 1), (3, 3)]
    for one in found:
        alone = score_masks(
            mask == one.value,
            reference == one.value,
            (3.0, 0.8, 0.7),
            surface_tolerance_mm=1.0,
            per_slice=True,
            chaos=True,
        )
        _same(one, alone)
        assert one.chaos == alone.chaos
        assert json.dumps(one.to_dict()["slices"]) == json.dumps(alone.to_dict()["slices"])


def test_spacing_comes_from_the_geometry_in_the_order_of_the_axes() -> None:
    reference = np.zeros((6, 6, 6), dtype=np.uint8)
    reference[1, 1, 1] = 1
    for axis, step in ((0, 3.0), (1, 0.8), (2, 0.7)):
        found = compare_labelmaps(_labelmap(np.roll(reference, 2, axis)), _labelmap(reference))[0]
        assert found.hd_mm == pytest.approx(2 * step)
        assert found.volume_ml == pytest.approx(0.7 * 0.8 * 3.0 / 1000)


def test_every_slice_is_scored_in_its_plane(two_labels: tuple[Any, Any]) -> None:
    mask, reference = (array == 3 for array in two_labels)
    mask = mask.copy()
    mask[:4] = mask[8] = reference[8] = False
    mask[1, 0, 0] = True
    reference[:2] = mask[0] = False
    found = score_masks(mask, reference, (3.0, 0.8, 0.7), surface_tolerance_mm=1.0, per_slice=True)
    assert found.slices is not None
    assert [one.index for one in found.slices] == list(range(9))
    assert {one.status for one in found.slices} == {"ok", "both_empty", "mask_empty", "reference_empty"}
    for one in found.slices:
        own, other = mask[one.index], reference[one.index]
        overlap, distances = count_overlap(own, other), surface_distances(own, other, (0.8, 0.7))
        for names, source in ((OVERLAPS, overlap), (DISTANCES, distances)):
            for name in names:
                expected = getattr(source, name)
                same = expected if isinstance(expected, str) else pytest.approx(expected, nan_ok=True)
                assert getattr(one, name) == same, (one.index, name)
        near = surface_dice(own, other, (0.8, 0.7), surface_tolerance_mm=1.0)
        assert one.surface_dice == pytest.approx(near, nan_ok=True)
    assert sum(one.volume_ml for one in found.slices) == pytest.approx(found.volume_ml)


@pytest.mark.parametrize(
    ("status", "own", "other", "overlap", "distance"),
    [
        ("both_empty", 0, 0, math.nan, math.nan),
        ("mask_empty", 0, 1, 0.0, math.inf),
        ("reference_empty", 1, 0, 0.0, math.inf),
        ("ok", 1, 1, 1.0, 0.0),
    ],
)
def test_status_of_empty_masks(status: str, own: int, other: int, overlap: float, distance: float) -> None:
    mask, reference = (_labelmap(np.full((2, 3, 4), v), _segment(1, "Liver")) for v in (own, other))
    (found,) = compare_labelmaps(mask, reference, surface_tolerance_mm=1.0, per_slice=True, chaos=True)
    assert found.status == status
    for name in ("dice", "iou", "precision", "recall", "surface_dice"):
        assert getattr(found, name) == pytest.approx(overlap, nan_ok=True), name
    for name in DISTANCES:
        assert getattr(found, name) == pytest.approx(distance, nan_ok=True), name
    assert found.slices is not None
    assert [one.status for one in found.slices] == [status, status]
    assert found.chaos is not None
    assert found.chaos.assd_mm == pytest.approx(distance, nan_ok=True)
    voxels = 24 * 0.7 * 0.8 * 3.0 / 1000
    assert (found.volume_ml, found.reference_volume_ml) == (pytest.approx(own * voxels), pytest.approx(other * voxels))


def test_json_has_null_for_what_is_no_number() -> None:
    empty, full = _labelmap(np.zeros((2, 3, 4))), _labelmap(np.ones((2, 3, 4)))
    (missed,) = compare_labelmaps(empty, full, per_slice=True, chaos=True)
    text = json.dumps(missed.to_dict(), allow_nan=False)
    back = json.loads(text)
    assert (back["hd_mm"], back["dice"], back["rvd"], back["status"]) == (None, 0.0, -1.0, "mask_empty")
    assert (back["value"], back["reference_value"], back["name"]) == (None, 1, "label 1")
    assert (back["chaos"]["assd_mm"], back["chaos"]["score"]) == (None, 0.0)
    assert back["slices"][1]["hd_mm"] is None
    assert back["slices"][1]["index"] == 1
    nothing = _labelmap(np.zeros((2, 3, 4)), _segment(1, "Liver"))
    (blank,) = compare_labelmaps(nothing, nothing, surface_tolerance_mm=1.0)
    back = json.loads(json.dumps(blank.to_dict(), allow_nan=False))
    assert {back[name] for name in (*DISTANCES, "dice", "rvd", "surface_dice")} == {None}
    assert back["volume_ml"] == 0.0


def test_json_names_every_score() -> None:
    (found,) = compare_labelmaps(_labelmap(np.ones((2, 3, 4))), _labelmap(np.ones((2, 3, 4))))
    expected = {
        *("name", "value", "reference_name", "reference_value", "status", "volume_ml", "reference_volume_ml"),
        *("dice", "iou", "precision", "recall", "accuracy", "rvd", "surface_dice", "surface_tolerance_mm"),
        *DISTANCES,
    }
    assert set(found.to_dict()) == expected
    assert found.to_dict()["surface_dice"] is None


def test_two_empty_labelmaps_without_segments_have_nothing_to_compare() -> None:
    empty = _labelmap(np.zeros((2, 3, 4)))
    assert compare_labelmaps(empty, empty) == []


def test_different_grids_are_refused_and_both_are_named() -> None:
    labels = np.ones((2, 3, 4), dtype=np.uint8)
    mask = _labelmap(labels)
    for other in (
        Geometry(size=(4, 3, 2), spacing=(0.7, 0.8, 3.2)),
        Geometry(size=(4, 3, 2), spacing=(0.7, 0.8, 3.0), origin=(0.0, 0.0, 12.5)),
        Geometry(size=(4, 3, 2), spacing=(0.7, 0.8, 3.0), direction=(1, 0, 0, 0, -1, 0, 0, 0, -1)),
    ):
        with pytest.raises(GANSegmentationError) as caught:
            compare_labelmaps(mask, Labelmap(labels, other))
        assert caught.value.code == "geometry_mismatch"
        for geometry in (mask.geometry, other):
            for numbers in (geometry.spacing, geometry.origin, geometry.direction):
                assert ", ".join(f"{number:.6g}" for number in numbers) in str(caught.value)
    with pytest.raises(GANSegmentationError, match=r"4, 3, 2.*4, 3, 3"):
        compare_labelmaps(mask, _labelmap(np.ones((3, 3, 4))))


def test_the_same_grid_in_single_precision_is_accepted() -> None:
    labels = np.ones((2, 3, 4), dtype=np.uint8)
    rounded = Geometry(size=(4, 3, 2), spacing=tuple(float(np.float32(step)) for step in (0.7, 0.8, 3.0)))
    (found,) = compare_labelmaps(_labelmap(labels), Labelmap(labels, rounded))
    assert found.dice == 1.0


def test_wrong_arguments_are_refused() -> None:
    full = np.ones((2, 3, 4), dtype=bool)
    for code, call in (
        ("shape_mismatch", lambda: score_masks(full, full[:1], (1, 1, 1))),
        ("shape_mismatch", lambda: score_masks(full[0], full[0], (1, 1, 1))),
        ("invalid_spacing", lambda: score_masks(full, full, (1, 1))),
        ("invalid_spacing", lambda: score_masks(full, full, (1, 0, 1))),
        ("invalid_tolerance", lambda: score_masks(full, full, (1, 1, 1), surface_tolerance_mm=-1)),
    ):
        with pytest.raises(GANSegmentationError) as caught:
            call()
        assert caught.value.code == code


def test_scores_cannot_be_changed() -> None:
    found = score_masks(np.ones((2, 2, 2), bool), np.ones((2, 2, 2), bool), (1, 1, 1))
    assert isinstance(found, MaskScores)
    with pytest.raises(AttributeError):
        found.dice = 0.5  # type: ignore[misc]
