"""Intensities become what a network expects, for any number type, without a copy of the volume."""

from __future__ import annotations

import copy
import json
import pickle
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.slicing import ByModality, Normalisation, Percentiles, Window, ZScore
from GANSegmentationLib.slicing.normalisation import lower_percentiles

DTYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float16, np.float32, np.float64]


def test_a_window_maps_its_ends_to_minus_one_and_one_and_clips():
    window = Window(-40, 160).fit(np.zeros((1, 1, 1)))
    np.testing.assert_allclose(window.apply_array([-1000, -40, 60, 160, 3000]), [-1, -1, 0, 1, 1])
    assert window.floor == -1


def test_array_and_tensor_normalise_alike_and_nan_becomes_air():
    values = np.array([np.nan, -np.inf, -3.0, 40.0, np.inf], np.float32)
    intensity = Window(0, 80).fit(values[None, None])
    from_array = intensity.apply_array(values)
    np.testing.assert_array_equal(from_array, [-1, -1, -1, 0, 1])
    np.testing.assert_array_equal(intensity.apply_(torch.from_numpy(values)).numpy(), from_array)


def test_percentiles_follow_the_volume():
    volume = np.arange(1000, dtype=np.int16).reshape(10, 10, 10)
    intensity = Percentiles(10, 90).fit(volume)
    np.testing.assert_allclose(intensity.apply_array([0, 99, 499, 899, 999]), [-1, -1, 0, 1, 1], atol=1e-6)


def test_a_z_score_has_mean_zero_and_deviation_one():
    # An offset that a naive sum of squares loses, and slices whose means differ, in several chunks.
    volume = np.random.default_rng(0).normal(1e6, 3.0, (40, 128, 128)) + np.arange(40)[:, None, None]
    intensity = ZScore(5).fit(volume)
    assert (intensity.centre, 1 / intensity.scale) == pytest.approx((volume.mean(), volume.std()), rel=1e-9)
    assert intensity.floor == pytest.approx((volume.min() - volume.mean()) / volume.std())
    assert intensity.apply_array([2e6, -2e6]).tolist() == [5, -5]


@pytest.mark.parametrize("scheme", [Percentiles(1, 99), ZScore(3)])
@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_a_constant_or_empty_volume_gives_finite_numbers(scheme, value):
    result = scheme.fit(np.full((2, 3, 4), value)).apply_array(np.full((2, 3, 4), value))
    assert np.isfinite(result).all()
    assert np.ptp(result) == 0


@settings(deadline=None, max_examples=60)
@given(
    volume=st.sampled_from(DTYPES).flatmap(
        lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=3, max_dims=3, max_side=6))
    ),
    percentage=st.floats(0, 100),
)
def test_percentiles_equal_numpy_on_finite_voxels(volume, percentage):
    finite = volume[np.isfinite(volume)]
    if finite.size and float(finite.max()) - float(finite.min()) == np.inf:
        return  # the range itself overflows: not an image
    expected = np.percentile(finite, percentage, method="lower") if finite.size else 0.0
    assert lower_percentiles(volume, [percentage]) == [float(expected)]


def test_percentiles_are_exact_where_half_of_a_float_volume_is_one_value():
    generator = np.random.default_rng(3)
    volume = generator.gamma(2.0, 1e-3, (8, 64, 64)).astype(np.float32)
    volume[:, :, :32] = 0.5
    volume[0, 0, 0] = 1e9  # squeezes all else into the first bin
    for percentage in (0, 1, 30, 50, 99, 100):
        assert lower_percentiles(volume, [percentage]) == [np.percentile(volume, percentage, method="lower")]


@pytest.mark.parametrize("scheme", [Percentiles(1, 99), ZScore(3)])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_fitting_takes_a_fraction_of_the_volume_s_memory(scheme, dtype):
    volume = np.random.default_rng(0).normal(0, 500, (160, 256, 256)).astype(dtype)
    tracemalloc.start()
    scheme.fit(volume)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < volume.size  # a byte a voxel; any float copy is four


CT_AND_MR = ByModality({"CT": Window(0.0, 160.0), "MR": Percentiles(0.5, 99.5)})


@pytest.mark.parametrize("scheme", [Window(0.0, 160.0), Percentiles(0.5, 99.5), ZScore(4.0), CT_AND_MR])
def test_a_scheme_survives_its_dictionary(scheme):
    assert Normalisation.from_dict(json.loads(json.dumps(scheme.to_dict()))) == scheme


@pytest.mark.parametrize("scheme", [Window(0.0, 160.0), CT_AND_MR])
def test_a_scheme_can_be_copied_sent_to_another_process_and_be_a_key(scheme):
    for copied in (copy.deepcopy(scheme), pickle.loads(pickle.dumps(scheme))):
        assert copied == scheme
        assert hash(copied) == hash(scheme)


@pytest.mark.parametrize("modality", ["CT", None, "anything"])
@pytest.mark.parametrize("scheme", [Window(0.0, 160.0), Percentiles(0.5, 99.5), ZScore(4.0)])
def test_a_plain_scheme_is_the_same_for_every_modality(scheme, modality):
    assert scheme.for_modality(modality) is scheme


def test_every_modality_has_its_own_scheme_in_any_case():
    assert CT_AND_MR.for_modality("CT") == Window(0.0, 160.0)
    assert CT_AND_MR.for_modality("mr") == Percentiles(0.5, 99.5)
    assert ByModality({"ct": ZScore(3.0)}).for_modality("CT") == ZScore(3.0)


@pytest.mark.parametrize("modality", [None, "", "OT", "PT"])
def test_a_modality_without_a_scheme_is_an_error_that_names_those_with_one(modality):
    with pytest.raises(GANSegmentationError) as caught:
        CT_AND_MR.for_modality(modality)
    assert caught.value.code == "modality_unknown"
    assert "CT, MR" in caught.value.action


def test_schemes_by_modality_cannot_be_fitted_without_one():
    with pytest.raises(GANSegmentationError) as caught:
        CT_AND_MR.fit(np.zeros((1, 2, 2)))
    assert caught.value.code == "modality_unknown"


def test_the_order_of_the_schemes_makes_no_difference():
    turned = ByModality({"MR": Percentiles(0.5, 99.5), "CT": Window(0.0, 160.0)})
    assert turned == CT_AND_MR
    assert turned.to_dict() == CT_AND_MR.to_dict()


def test_the_dictionary_is_as_cards_write_it():
    assert Window(0.0, 160.0).to_dict() == {"kind": "window", "low": 0.0, "high": 160.0}


@pytest.mark.parametrize(
    "description",
    [
        {},
        {"kind": "gamma"},
        {"kind": ["window"]},
        {"kind": "window", "low": 0.0},
        {"kind": "window", "low": 0.0, "high": 160.0, "gamma": 1.0},
        {"kind": "window", "low": "0", "high": 160.0},
        {"kind": "window", "low": 160.0, "high": 160.0},
        {"kind": "window", "low": float("nan"), "high": 1.0},
        {"kind": "percentiles", "lower": 99.0, "upper": 1.0},
        {"kind": "percentiles", "lower": -1.0, "upper": 99.0},
        {"kind": "zscore", "clip": 0.0},
        {"kind": "zscore", "clip": True},
        {"kind": "by_modality"},
        {"kind": "by_modality", "schemes": {}},
        {"kind": "by_modality", "schemes": []},
        {"kind": "by_modality", "schemes": {"CT": 3.0}},
        {"kind": "by_modality", "schemes": {"CT": {"kind": "window", "low": 1.0, "high": 0.0}}},
        {"kind": "by_modality", "schemes": {"": {"kind": "zscore", "clip": 3.0}}},
        {
            "kind": "by_modality",
            "schemes": {"CT": {"kind": "zscore", "clip": 3.0}, "ct": {"kind": "zscore", "clip": 4.0}},
        },
        {
            "kind": "by_modality",
            "schemes": {"CT": {"kind": "by_modality", "schemes": {"CT": {"kind": "zscore", "clip": 3.0}}}},
        },
    ],
)
def test_a_bad_description_is_refused(description):
    with pytest.raises(GANSegmentationError) as caught:
        Normalisation.from_dict(description)
    assert caught.value.code == "invalid_slicing"
