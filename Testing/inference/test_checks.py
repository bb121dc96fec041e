"""What does not fit a model is refused or warned of, with the reason."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import Warning_, check_input, resolve_domain
from GANSegmentationLib.inference.checks import with_modalities
from GANSegmentationLib.slicing import ByModality, SliceSpec, Window
from GANSegmentationLib.volumes import Geometry, Volume


def volume(array=None, modality="CT", spacing=(1.0, 1.0, 1.0), name="series 3"):
    array = np.linspace(-1000, 1200, 4 * 5 * 6).reshape(4, 5, 6).astype(np.int16) if array is None else array
    return Volume(array, Geometry(array.shape[::-1], spacing), modality, name)


@pytest.fixture
def card(make_card):
    def make(**changes):
        return make_card({}, **changes)

    return make


def codes(warnings):
    return [warning.code for warning in warnings]


def test_a_scan_as_the_model_wants_it_has_no_warnings(card):
    assert check_input(card(), [volume()]) == []


def test_a_known_other_modality_is_refused(card):
    with pytest.raises(GANSegmentationError) as caught:
        check_input(card(), [volume(modality="MR")])
    assert caught.value.code == "modality_mismatch"
    assert "MR" in caught.value.message
    assert "CT" in caught.value.message


def test_a_known_other_modality_can_be_forced_and_is_warned_of(card):
    assert codes(check_input(card(), [volume(modality="MR")], force=True)) == ["modality_mismatch"]


@pytest.mark.parametrize("modality", [None, "", "OT"])
def test_an_unknown_modality_is_warned_of(card, modality):
    assert codes(check_input(card(), [volume(modality=modality)])) == ["modality_unknown"]


def test_the_modality_of_every_volume_counts(card):
    two = card(channels=2, channel_names=["a", "b"])
    with pytest.raises(GANSegmentationError) as caught:
        check_input(two, [volume(), volume(modality="PT")])
    assert caught.value.code == "modality_mismatch"


@pytest.mark.parametrize("count", [0, 2])
def test_the_number_of_volumes_is_the_model_s(card, count):
    with pytest.raises(GANSegmentationError) as caught:
        check_input(card(), [volume()] * count)
    assert caught.value.code == "channel_count"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-1000, 1200, []),
        (0, 255, ["intensity_8bit"]),
        (-150, 1200, ["intensity_range"]),  # no air: cropped, or masked
        (24, 2200, ["intensity_range"]),  # the intercept of -1000 or -1024 was not applied
        (-1000, 60, ["intensity_range"]),
        (7, 7, ["intensity_constant"]),
    ],
)
def test_implausible_hounsfield_units_are_warned_of(card, low, high, expected):
    array = np.linspace(low, high, 120).reshape(4, 5, 6).astype(np.float32)
    assert codes(check_input(card(), [volume(array)])) == expected


def test_a_missing_intercept_is_named(card):
    (warning,) = check_input(card(), [volume(np.arange(24, 2424, 20, dtype=np.uint16).reshape(4, 5, 6))])
    assert "intercept" in warning


def test_a_range_that_begins_at_zero_does_not_hide_a_scan_without_hounsfield_units(card):
    window = card(intensity={"unit": "HU", "range": [0.0, 160.0]})
    assert check_input(window, [volume()]) == []
    picture = np.linspace(0, 855, 120).reshape(4, 5, 6)
    assert codes(check_input(window, [volume(picture, modality=None)])) == ["modality_unknown", "intensity_range"]


def test_the_name_of_a_volume_is_spelt_as_it_is(card):
    (warning,) = check_input(card(), [volume(modality="MR", name="MR T2")], force=True)
    assert warning.startswith("The volume 'MR T2' is MR")


def test_the_card_s_own_range_counts(card):
    strict = card(intensity={"unit": "arbitrary", "range": [0.0, 500.0]}, modalities=["MR"])
    array = np.linspace(0, 400, 120).reshape(4, 5, 6)
    assert codes(check_input(strict, [volume(array, "MR")])) == ["intensity_range"]
    assert check_input(strict, [volume(array * 2, "MR")]) == []


def test_arbitrary_units_have_no_range_of_their_own(card):
    mr = card(intensity={"unit": "arbitrary", "range": None}, modalities=["MR"])
    assert check_input(mr, [volume(np.arange(120, dtype=np.uint8).reshape(4, 5, 6), "MR")]) == []


def test_a_volume_of_nothing_but_nan_is_constant(card):
    (warning,) = check_input(card(), [volume(np.full((4, 5, 6), np.nan))])
    assert warning.code == "intensity_constant"
    assert "finite" in warning


def test_too_few_slices_are_warned_of_in_the_model_s_plane(card):
    array = np.tile(np.array([-1000, 1200], np.int16), (4, 5, 3))
    assert codes(check_input(card(), [volume(array[:1])])) == ["few_slices"]
    three = SliceSpec("axial", 3, 16, 4, Window(0, 1)).to_dict()
    assert codes(check_input(card(slicing=SliceSpec.from_dict(three)), [volume(array[:2])])) == ["few_slices"]
    coronal = SliceSpec("coronal", 1, 16, 4, Window(0, 1))
    assert codes(check_input(card(slicing=coronal), [volume(array[:, :1])])) == ["few_slices"]


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ((0.7, 0.7, 3.0), 0),
        ((0.5, 0.9, 5.0), 0),
        ((0.7, 0.95, 3.0), 1),
        ((0.4, 0.4, 3.0), 1),
        ((0.7, 0.7, 0.9), 1),
        ((2.0, 2.0, 8.0), 2),
        ((0.9 * 1.01, 0.7, 3.0), 0),  # within rounding
    ],
)
def test_spacing_out_of_the_trained_range_is_warned_of(card, spacing, expected):
    ranged = card(spacing_range={"in_plane_mm": [0.5, 0.9], "slice_mm": [1.0, 5.0]})
    assert codes(check_input(ranged, [volume(spacing=spacing)])) == ["spacing_out_of_range"] * expected


def test_spacing_is_read_in_the_model_s_plane(card):
    sagittal = card(
        spacing_range={"in_plane_mm": [0.5, 0.9], "slice_mm": [1.0, 5.0]},
        slicing=SliceSpec("sagittal", 1, 16, 4, Window(0, 1)),
    )
    assert check_input(sagittal, [volume(spacing=(3.0, 0.7, 0.7))]) == []


def test_a_domain_is_named_or_follows_from_the_modality(card):
    two = card(domains=["CT", "MR"], modalities=["CT", "MR"])
    assert resolve_domain(two, [volume()], None) == "CT"
    assert resolve_domain(two, [volume()], "mr") == "MR"
    assert resolve_domain(card(), [volume()], None) is None


def test_an_unknown_or_missing_domain_is_an_error(card):
    two = card(domains=["t1", "t2"], modalities=["MR"])
    for domain, code in (("flair", "unknown_domain"), (None, "domain_needed")):
        with pytest.raises(GANSegmentationError) as caught:
            check_input(two, [volume(modality="MR")], domain)
        assert caught.value.code == code
        assert "t1, t2" in caught.value.action


def test_a_domain_for_a_model_without_domains_is_warned_of(card):
    assert codes(check_input(card(), [volume()], "CT")) == ["domain_ignored"]


def test_a_named_domain_that_the_scan_contradicts_is_warned_of(card):
    two = card(domains=["CT", "MR"], modalities=["CT", "MR"])
    assert codes(check_input(two, [volume()], "MR")) == ["domain_contradicts"]
    assert check_input(two, [volume()], "ct") == []
    assert codes(check_input(two, [volume(modality=None)], "MR")) == ["modality_unknown"]


@pytest.fixture
def ct_or_mr(card):
    spec = SliceSpec("axial", 1, 16, 4, ByModality({"CT": Window(0, 160), "MR": Window(0, 900)}))

    def make(**changes):
        return card(slicing=spec, **{"modalities": ["CT", "MR"], **changes})

    return make


@pytest.mark.parametrize(
    ("own", "domain", "force", "expected"),
    [
        ("CT", None, False, "CT"),
        (None, "mr", False, "MR"),  # the domain stands in for what the file does not say
        ("OT", "MR", False, "MR"),
        ("CT", "MR", False, "CT"),  # the file knows better
        ("CT", "MR", True, "MR"),  # ... unless the user insists
        ("CT", None, True, "CT"),
    ],
)
def test_what_a_scan_is_normalised_as(ct_or_mr, own, domain, force, expected):
    for one in (ct_or_mr(domains=["CT", "MR"]), ct_or_mr()):
        (decided,) = with_modalities(one, [volume(modality=own)], domain, force=force)
        assert decided.modality == expected


def test_a_scan_that_cannot_be_normalised_is_an_error_before_anything_is_computed(ct_or_mr):
    for modality, domain, force in ((None, None, False), ("OT", None, True), ("PT", None, True)):
        with pytest.raises(GANSegmentationError) as caught:
            check_input(ct_or_mr(), [volume(modality=modality)], domain, force=force)
        assert caught.value.code == "modality_unknown"
    with pytest.raises(GANSegmentationError) as caught:
        check_input(ct_or_mr(), [volume(modality="PT")])
    assert caught.value.code == "modality_mismatch"


def test_a_domain_named_for_a_model_that_normalises_by_modality_is_not_ignored(ct_or_mr):
    assert codes(check_input(ct_or_mr(), [volume(modality=None)], "CT")) == ["modality_unknown"]


def test_the_volumes_of_a_model_with_one_normalisation_stay_as_they_are(card):
    original = volume(modality="MR")
    assert with_modalities(card(domains=["CT", "MR"]), [original], "CT", force=True) == (original,)


def test_a_warning_is_a_text_with_a_code_through_every_copy():
    warning = Warning_("few_slices", "There is only one slice.")
    for copied in (copy.deepcopy(warning), pickle.loads(pickle.dumps(warning))):
        assert copied == "There is only one slice."
        assert copied.code == "few_slices"


@pytest.mark.parametrize(("said", "expected"), [("HU", []), ("", []), ("US", []), ("MGML", ["intensity_unit"])])
def test_a_ct_that_says_that_its_values_are_no_hounsfield_units_is_warned_of(card, said, expected):
    scan = volume()
    scan = Volume(scan.array, scan.geometry, "CT", "iodine", {"RescaleType": said} if said else {})
    assert codes(check_input(card(), [scan])) == expected
