"""Which labels are compared with which."""

from __future__ import annotations

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import compare_labelmaps
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment

Found = list[tuple[str, int | None, int | None]]


def _labelmap(values: list[int], **names: int) -> Labelmap:
    """A row of voxels with these values, and a table of segments ``name=value``."""
    array = np.array([[values]], dtype=np.uint8)
    segments = [Segment(value=value, name=name, colour=(0, 0, 0)) for name, value in names.items()]
    return Labelmap(array, Geometry(size=(len(values), 1, 1), spacing=(1, 1, 1)), segments)


def _pairs(mask: Labelmap, reference: Labelmap, **options: object) -> Found:
    scores = compare_labelmaps(mask, reference, **options)  # type: ignore[arg-type]
    return [(one.name, one.value, one.reference_value) for one in scores]


def test_labels_without_names_pair_by_value() -> None:
    assert _pairs(_labelmap([0, 1, 2]), _labelmap([2, 1, 0])) == [("label 1", 1, 1), ("label 2", 2, 2)]


def test_names_count_more_than_values() -> None:
    mask, reference = _labelmap([1, 2, 0], Liver=1, Tumour=2), _labelmap([2, 1, 0], tumour=1, LIVER=2)
    assert _pairs(mask, reference) == [("Liver", 1, 2), ("Tumour", 2, 1)]
    assert [one.dice for one in compare_labelmaps(mask, reference)] == [1.0, 1.0]


def test_a_name_on_one_side_is_enough() -> None:
    assert _pairs(_labelmap([1, 2], Liver=1), _labelmap([1, 2], Spleen=2)) == [("Liver", 1, 1), ("Spleen", 2, 2)]


def test_different_names_for_the_same_value_are_different_structures_where_names_are_shared() -> None:
    found = _pairs(_labelmap([1, 2], Liver=1, Spleen=2), _labelmap([1, 2], Liver=1, Pancreas=2))
    assert found == [("Liver", 1, 1), ("Spleen", 2, None), ("Pancreas", None, 2)]


def test_a_label_of_the_reference_is_compared_once() -> None:
    found = _pairs(_labelmap([1, 2], Liver=2), _labelmap([1, 0], Liver=1))
    assert found == [("label 1", 1, None), ("Liver", 2, 1)]


def test_two_languages_pair_by_value() -> None:
    found = _pairs(_labelmap([1, 2], Liver=1, Spleen=2), _labelmap([1, 2], Leber=1, Milz=2))
    assert found == [("Liver", 1, 1), ("Spleen", 2, 2)]


@pytest.mark.parametrize("value", [1, 6, 63, 255])
def test_one_label_each_belongs_together_whatever_its_value(value: int) -> None:
    (found,) = compare_labelmaps(_labelmap([0, 1, 1], Liver=1), _labelmap([0, value, value]))
    assert (found.name, found.value, found.reference_value, found.dice) == ("Liver", 1, value, 1.0)


def test_labels_of_one_side_are_listed_with_their_status() -> None:
    scores = compare_labelmaps(_labelmap([0, 1, 5]), _labelmap([7, 1, 0], Aorta=7))
    found = [(one.name, one.value, one.reference_value, one.status) for one in scores]
    assert found == [
        ("label 1", 1, 1, "ok"),
        ("label 5", 5, None, "reference_empty"),
        ("Aorta", None, 7, "mask_empty"),
    ]


def test_a_segment_that_the_mask_promises_and_lacks_is_found_missing() -> None:
    (found,) = compare_labelmaps(_labelmap([0, 0, 0], Liver=1), _labelmap([0, 1, 1]))
    assert (found.name, found.status, found.dice) == ("Liver", "mask_empty", 0.0)


def test_pairs_by_value_and_by_name() -> None:
    mask, reference = _labelmap([0, 1, 2], Liver=1), _labelmap([9, 4, 4], Leber=4, Niere=9)
    assert _pairs(mask, reference, pairs=[("liver", "LEBER"), (2, 9), (3, "Niere")]) == [
        ("Liver", 1, 4),
        ("Niere", 2, 9),
        ("Niere", 3, 9),
    ]
    assert compare_labelmaps(mask, reference, pairs=[(3, 8)])[0].status == "both_empty"


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(GANSegmentationError, match=r"reference has no segment named 'Liver'.*Leber \(4\)") as caught:
        compare_labelmaps(_labelmap([1]), _labelmap([4], Leber=4), pairs=[(1, "Liver")])
    assert caught.value.code == "unknown_label"


def test_a_value_that_the_type_of_the_labels_cannot_hold_is_an_empty_mask() -> None:
    assert compare_labelmaps(_labelmap([1]), _labelmap([1]), pairs=[(300, 1)])[0].status == "mask_empty"
