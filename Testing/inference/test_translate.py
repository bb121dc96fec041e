"""A scan becomes another domain's on its own grid, with values whose meaning is said."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import Translator
from GANSegmentationLib.slicing import ByModality, Percentiles, SliceSpec, Window
from GANSegmentationLib.volumes import Geometry, Volume

WINDOW = Window(0.0, 200.0)
BOTH = SliceSpec("axial", 1, 16, 4, ByModality({"CT": WINDOW, "MR": Percentiles(0.5, 99.5)}))
DOMAINS = {
    "domains": ["CT", "MR"],
    "modalities": ["CT", "MR"],
    "slicing": BOTH,
    "intensity": {"unit": "arbitrary", "range": None},
}
UAGAN = {"width": 2, "levels": 2, "domains": 2}
STARGAN = {"width": 2, "blocks": 1, "domains": 2}


@pytest.fixture
def uagan(packages):
    """A UAGAN package with random weights."""
    return lambda **fields: packages.random(
        {**UAGAN, **fields.pop("config", {})}, network_name="uagan_generator", **{**DOMAINS, **fields}
    )


@pytest.fixture
def stargan(packages):
    """A StarGAN package with random weights."""
    return lambda **fields: packages.random(
        {**STARGAN, **fields.pop("config", {})},
        network_name="stargan_generator",
        task="synthesis",
        schema="1.1",
        **{**DOMAINS, **fields},
    )


class Negative(nn.Module):
    """Paints every picture's negative, and keeps what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[list[float], list[float] | None]] = []
        self.batches: list[int] = []

    def forward(self, image, domain, target=None):
        self.told.append((domain[0].tolist(), None if target is None else target[0].tolist()))
        self.batches.append(len(image))
        return (image, -image) if target is not None else -image


def negative(package, **options):
    translator = Translator(package, "cpu", **options)
    translator._network = Negative()
    return translator


def test_every_storage_order_is_painted_where_its_voxels_are(uagan, ct):
    """Without resampling each voxel of 0 to 200 HU becomes its negative in the range of the target."""
    translator = negative(uagan(), batch_size=5)
    for permutation, flips in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        array = np.ascontiguousarray(ct.array[:: flips[0], :: flips[1], :: flips[2]].transpose(permutation))
        identity = np.diag(np.array(flips[::-1], float))
        direction = identity[:, [2 - axis for axis in permutation][::-1]]
        scan = Volume(array, Geometry(array.shape[::-1], (1, 1, 1), direction=tuple(direction.ravel())), "CT")
        done = translator.translate(scan, "MR")
        assert done.volume.geometry is scan.geometry
        np.testing.assert_allclose(done.volume.array, 1000 - np.clip(array, 0, 200) * 5.0, atol=1e-3)


def test_slices_that_are_resampled_and_padded_come_back_to_their_place(uagan):
    """A smooth scan of other spacing and shape than the network's slices is the same up to interpolation."""
    z, y, x = np.mgrid[0:5, 0:26, 0:38]
    array = (100 + 60 * np.sin(y / 6) * np.cos(x / 8) + 5 * z).astype(np.float32)
    angle = np.deg2rad(10)
    direction = (1, 0, 0, 0, np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle))
    scan = Volume(array, Geometry((38, 26, 5), (0.8, 1.1, 4.0), (3.0, -7.0, 9.0), direction), "CT", "oblique")
    done = negative(uagan(slicing=SliceSpec("axial", 1, 64, 16, BOTH.normalisation))).translate(scan, "MR")
    assert done.volume.geometry is scan.geometry
    assert done.volume.array.dtype == np.float32
    inside = (slice(None), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(done.volume.array[inside], (1000 - array * 5)[inside], atol=12)


def test_the_network_is_told_the_own_domain_and_the_target(uagan, stargan, ct):
    for package, expected in ((uagan(), ([0, 1], [1, 0])), (stargan(), ([1, 0], None))):
        translator = negative(package)
        done = translator.translate(Volume(np.abs(ct.array), ct.geometry, "MR"), "ct")
        assert (done.source, done.target) == ("MR", "CT")
        assert set(map(str, translator._network.told)) == {
            str(tuple(each and list(map(float, each)) for each in expected))
        }


def test_values_are_the_target_s_window_or_have_no_unit(uagan, ct):
    translator = negative(uagan())
    into_ct, into_mr = (translator.values(target) for target in ("CT", "MR"))
    assert (into_ct.low, into_ct.high, into_ct.unit) == (0.0, 200.0, "HU")
    assert (into_mr.low, into_mr.high, into_mr.unit) == (0.0, 1000.0, "arbitrary")
    done = translator.translate(ct, "MR", values=(-10.0, 30.0))
    assert (done.values.low, done.values.high, done.values.unit) == (-10.0, 30.0, "arbitrary")
    assert (done.volume.array.min(), done.volume.array.max()) == pytest.approx((0.0, 30.0))  # 150 and -1000 HU
    windowed = Translator(
        uagan(slicing=SliceSpec("axial", 1, 16, 4, Window(-100, 300)), intensity={"unit": "HU", "range": None}), "cpu"
    )
    assert windowed.values("MR") == windowed.values("CT")
    assert (windowed.values("MR").low, windowed.values("MR").unit) == (-100.0, "HU")


def test_the_translation_says_what_it_is(uagan, ct):
    done = negative(uagan()).translate(ct, "MR")
    assert done.volume.modality == "MR" and done.volume.name == "chest as MR"
    assert done.to_dict()["values"] == {"low": 0.0, "high": 1000.0, "unit": "arbitrary"}
    sequences = uagan(domains=["T1", "T2"], modalities=["MR"], slicing=SliceSpec("axial", 1, 16, 4, Percentiles(1, 99)))
    scan = Volume(np.abs(ct.array), ct.geometry, "MR", "series")
    assert negative(sequences).translate(scan, "t2", domain="T1").volume.modality == "MR"


def test_of_neighbouring_slices_the_middle_one_is_taken(stargan, ct):
    spec = SliceSpec("axial", 3, 16, 4, BOTH.normalisation)
    translator = negative(stargan(slicing=spec, config={"in_channels": 3}))
    np.testing.assert_allclose(
        translator.translate(ct, "MR").volume.array, 1000 - np.clip(ct.array, 0, 200) * 5.0, atol=1e-3
    )


@pytest.mark.parametrize("kind", ["uagan", "stargan"])
@pytest.mark.parametrize("target", ["CT", "MR"])
def test_a_real_package_paints_within_the_range_and_the_same_again(request, ct, kind, target):
    package = request.getfixturevalue(kind)()
    scan = Volume(np.abs(ct.array) + np.arange(16, dtype=np.int16), ct.geometry, "MR", "scan")
    done = Translator(package, "cpu").translate(scan, target)
    assert done.volume.array.min() >= done.values.low and done.volume.array.max() <= done.values.high
    assert done.volume.array.std() > 0
    again = Translator(package, "cpu", batch_size=5).translate(scan, target)
    np.testing.assert_allclose(again.volume.array, done.volume.array, atol=0.5)


def test_targets_differ(uagan, ct):
    translator = Translator(uagan(), "cpu")
    pictures = [translator.translate(ct, target, values=(-1, 1)).volume.array for target in ("CT", "MR")]
    assert np.abs(pictures[0] - pictures[1]).mean() > 0.01


def test_published_running_statistics_travel_in_the_package(stargan, ct):
    package = stargan(config={"conditioning": "channels", "up": "transposed", "running_statistics": True})
    translator = Translator(package, "cpu")
    assert not translator._network.training
    assert translator.translate(ct, "MR").volume.array.std() > 0


# ------------------------------------------------------------------------------------------------ warnings and refusals


def test_the_own_domain_is_painted_anew_with_a_warning(uagan, ct):
    assert [warning.code for warning in negative(uagan()).translate(ct, "CT").warnings] == ["same_domain"]


def test_a_scan_that_does_not_say_what_it_is_has_to_be_named(uagan, ct):
    silent = Volume(ct.array, ct.geometry, None)
    with pytest.raises(GANSegmentationError) as caught:
        negative(uagan()).translate(silent, "MR")
    assert caught.value.code == "domain_needed"
    named = negative(uagan()).translate(silent, "MR", domain="CT")
    assert named.source == "CT"
    np.testing.assert_allclose(named.volume.array, 1000 - np.clip(ct.array, 0, 200) * 5.0, atol=1e-3)


@pytest.mark.parametrize(
    ("target", "options", "code"),
    [
        ("PET", {}, "unknown_domain"),
        ("MR", {"domain": "PET"}, "unknown_domain"),
        ("MR", {"values": (5.0, 5.0)}, "invalid_range"),
        ("MR", {"values": (0.0, float("nan"))}, "invalid_range"),
        ("MR", {"cancel": lambda: True}, "cancelled"),
    ],
)
def test_what_cannot_be_translated_is_an_error_with_a_reason(uagan, ct, target, options, code):
    with pytest.raises(GANSegmentationError) as caught:
        negative(uagan()).translate(ct, target, **options)
    assert caught.value.code == code


def test_a_scan_of_another_modality_is_refused(uagan, ct):
    with pytest.raises(GANSegmentationError) as caught:
        negative(uagan()).translate(Volume(ct.array, ct.geometry, "PT"), "MR", domain="CT")
    assert caught.value.code == "modality_mismatch"


def test_models_that_have_not_learnt_to_translate_are_refused(packages, uagan):
    supervised = {"preset": "p", "objective": "supervised", "seed": 0, "split_sha256": None, "epochs": 1,
                  "date": "2026-01-01", "data": []}  # fmt: skip
    for package, cause in (
        (packages.thresholds(100.0), "pix2pix_modern"),
        (uagan(training=supervised), "trained to segment alone"),
    ):
        with pytest.raises(GANSegmentationError) as caught:
            Translator(package, "cpu")
        assert caught.value.code == "cannot_translate"
        assert cause in caught.value.cause


def test_weights_that_give_no_numbers_are_no_picture(uagan, ct):
    translator = Translator(uagan(), "cpu")
    nn.init.constant_(translator._network.translation_head.conv.bias, float("nan"))
    with pytest.raises(GANSegmentationError) as caught:
        translator.translate(ct, "MR")
    assert caught.value.code == "invalid_scores"


def test_where_memory_runs_out_fewer_slices_go_at_once(uagan, ct):
    class Small(Negative):
        def forward(self, image, domain, target=None):
            if len(image) > self.fits:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return super().forward(image, domain, target)

    translator = negative(uagan(), batch_size=8)
    expected = translator.translate(ct, "MR").volume.array
    translator._network = Small()
    translator._network.fits = 3
    done = translator.translate(ct, "MR")
    assert done.batch_size == 2 and max(translator._network.batches) == 2
    np.testing.assert_array_equal(done.volume.array, expected)
    translator._network.fits = 0
    with pytest.raises(GANSegmentationError) as caught:
        translator.translate(ct, "MR")
    assert caught.value.code == "out_of_memory"


def test_progress_counts_the_slices(uagan, ct):
    said = []
    negative(uagan(), batch_size=5).translate(ct, "MR", progress=said.append)
    assert [(each.stage, each.done, each.total) for each in said] == [("translate", n, 12) for n in (0, 5, 10, 12)]
