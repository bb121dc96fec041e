"""FID and KID against what is known of them on paper, and the encoder's features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import torch

from GANSegmentationLib import networks
from GANSegmentationLib.datasets import Dataset, patient_split
from GANSegmentationLib.datasets.dataset import array_bytes, write_atomically
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import Package, open_package, write_package
from GANSegmentationLib.training import Preset
from GANSegmentationLib.training.packing.card import labels_of, model_card
from GANSegmentationLib.training.synthesis.fidelity import EncoderFeatures, fidelity, frechet_distance, kernel_distance
from Testing.painter import write_painter
from Testing.training.conftest import tiny_preset


def gaussian(rng: np.random.Generator, n: int, mean: list[float], factor: list[list[float]]) -> np.ndarray:
    """Samples whose mean and covariance are exactly these, not only on average."""
    raw = rng.normal(size=(n, len(mean)))
    raw -= raw.mean(axis=0)
    raw = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False))).T
    return raw @ np.array(factor).T + mean


def test_frechet_distance_of_two_gaussians_is_the_formulas():
    rng = np.random.default_rng(0)
    one = gaussian(rng, 300, [0, 0], [[1, 0], [0, 2]])
    two = gaussian(rng, 200, [3, -4], [[2, 0], [0, 5]])
    # |mean|^2 = 25; the covariances commute: the sum of the squared differences of the deviations, 1 + 9.
    assert frechet_distance(one, two) == pytest.approx(35)
    assert frechet_distance(two, one) == pytest.approx(35)


def test_frechet_distance_where_covariances_do_not_commute():
    rng = np.random.default_rng(1)
    one = gaussian(rng, 100, [0, 0, 0], [[1, 0, 0], [0.7, 1.5, 0], [0.2, -0.4, 0.6]])
    two = gaussian(rng, 100, [1, 0, 0], [[2, 0, 0], [-1, 0.5, 0], [0.3, 0.1, 1.1]])
    a, b = np.cov(one, rowvar=False), np.cov(two, rowvar=False)
    expected = 1 + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    assert frechet_distance(one, two) == pytest.approx(expected)


def test_equal_sets_are_at_distance_nothing_also_with_fewer_samples_than_features():
    few = np.random.default_rng(2).normal(size=(10, 40))
    assert frechet_distance(few, few) == pytest.approx(0, abs=1e-6)
    assert frechet_distance(few, few[::-1] + 2) == pytest.approx(160, rel=1e-6)


def test_kernel_distance_is_zero_on_average_for_one_distribution_and_grows_with_the_shift():
    rng = np.random.default_rng(3)
    values = []
    for _ in range(60):
        one, two = rng.normal(size=(2, 30, 6))
        values.append(kernel_distance(one, two, subsets=1, subset_size=30)[0])
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * error and min(values) < 0 < max(values), "unbiased"
    shifts = [kernel_distance(rng.normal(size=(80, 6)), rng.normal(size=(80, 6)) + by)[0] for by in (0, 1, 2)]
    assert shifts[0] < 0.2 < shifts[1] < shifts[2]


def test_kernel_distance_by_hand():
    a, b = np.array([[1.0], [2.0]]), np.array([[0.0], [3.0]])
    # (1 * 2 + 1)^3, (0 * 3 + 1)^3, and the mean of (0 + 1)^3, (3 + 1)^3, (0 + 1)^3, (6 + 1)^3.
    expected = 27 + 1 - 2 * (1 + 64 + 1 + 343) / 4
    assert kernel_distance(a, b, subset_size=2)[0] == pytest.approx(expected)


def test_subsets_follow_the_seed_and_must_fit():
    one, two = np.random.default_rng(4).normal(size=(2, 20, 3))
    assert kernel_distance(one, two, seed=1) == kernel_distance(one, two, seed=1) != kernel_distance(one, two, seed=2)
    assert kernel_distance(one, two)[1] > 0
    for size in (1, 21):
        with pytest.raises(ValueError, match="subsets"):
            kernel_distance(one, two, subset_size=size)


@pytest.fixture(scope="module")
def package(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Package:
    preset = Preset.from_dict(tiny_preset("supervised"))
    split = patient_split(dataset, validation=preset.data.validation_patients)
    card = model_card(preset, dataset, split, 1, "2026-01-01")
    torch.manual_seed(0)
    network = networks.initialise(networks.build(card.network.name, dict(card.network.config)), "he")
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    path = tmp_path_factory.mktemp("features") / "tiny.ganseg"
    write_package(path, card, weights, labels_of(preset))
    return open_package(path)


def test_features_are_of_every_resolution_of_the_encoder_and_say_whose_they_are(package):
    features = EncoderFeatures(package, "cpu")
    found = features(torch.rand(3, 1, 64, 64) * 2 - 1)
    assert found.shape == (3, 4 * 8) and found.dtype == np.float64, "the stem and three halvings of eight channels"
    assert (found >= 0).all() and found.std(axis=0).max() > 0
    assert "tiny-model 0.0.1" in features.description and "pix2pix_modern" in features.description


def test_a_slices_features_do_not_depend_on_its_batch(package):
    features, images = EncoderFeatures(package, "cpu"), torch.rand(4, 1, 64, 64) * 2 - 1
    np.testing.assert_allclose(features(images)[2:3], features(images[2:3]), rtol=1e-4, atol=1e-6)


def test_real_slices_are_near_themselves_and_far_from_noise(package, dataset, tmp_path: Path):
    features = EncoderFeatures(package, "cpu")
    lits = dataset.subset([case.id for case in dataset.cases if case.source == "lits_slices"])
    same = fidelity(features, lits, lits)
    assert same.fid == pytest.approx(0, abs=1e-4) and same.kid <= 0
    assert same.real == same.painted == 24 and same.features == 32
    assert same.fid_among_real is not None and same.kid_among_real is not None
    noise = _noisy(lits, tmp_path)
    other = fidelity(features, lits, noise)
    assert other.kid > 5 * abs(same.kid_among_real) and other.fid > 5 * same.fid_among_real
    assert other.to_dict()["feature_network"] == features.description


def _noisy(dataset: Dataset, folder: Path) -> Dataset:
    """The same cases with their pixels shuffled."""
    rng = np.random.default_rng(0)
    for case in dataset.cases:
        images = np.array(dataset.images(case))
        shuffled = rng.permuted(images.reshape(case.slices, -1), axis=1).reshape(images.shape)
        for kind, array in (("images", shuffled), ("masks", dataset.masks(case))):
            write_atomically(folder / kind / f"{case.id}.npy", array_bytes(array))
    return Dataset(folder, dataset.cases, dataset.labels)


def test_models_without_comparable_features_and_too_few_slices_are_refused(package, dataset, tmp_path: Path):
    with pytest.raises(GANSegmentationError) as caught:
        EncoderFeatures(write_painter(tmp_path / "painter.ganseg", dataset), "cpu")
    assert caught.value.code == "unsuitable_features"
    with pytest.raises(GANSegmentationError) as caught:
        fidelity(EncoderFeatures(package, "cpu"), dataset, dataset.subset(["msd_c001"]))
    assert caught.value.code == "too_few_slices"
