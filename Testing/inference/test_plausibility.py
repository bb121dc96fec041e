"""What says how far a slice can be trusted: each signal by itself, and through the predictor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from GANSegmentationLib import models, networks
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import Predictor
from GANSegmentationLib.inference.plausibility import (
    CHANGES,
    LOWER_IS_BETTER,
    SIGNALS,
    Change,
    Judge,
    changed,
    contour_entropy,
    disagreement,
    flip_disagreement,
    mean_at_contour,
    near_contour,
    probabilities,
    review_order,
    signals_of,
    soft_agreement,
    sorting_signal,
)
from GANSegmentationLib.models import DiscriminatorSpec, ReviewFact
from GANSegmentationLib.slicing import SliceSpec
from GANSegmentationLib.volumes import Geometry, Segment, Volume
from Testing.inference.conftest import WINDOW, PackageMaker, card_of, threshold_network

SIDE = 32
SHARP = 8.0


def spots(flags: list[bool]) -> tuple[Volume, np.ndarray]:
    """A scan of a disk of 150 HU in each slice, and where the flag says so a bright square that is not the organ."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    array = np.full((len(flags), SIDE, SIDE), 40, np.int16)
    reference = np.zeros(array.shape, bool)
    for index, flag in enumerate(flags):
        rng = np.random.default_rng(index)
        row, column = rng.integers(10, 16, 2)
        reference[index] = (rows - row) ** 2 + (columns - column) ** 2 < 36
        array[index][reference[index]] = 150
        if flag:
            at = rng.integers(20, 24, 2)
            array[index, at[0] : at[0] + 7, at[1] : at[1] + 7] = 150
    return Volume(array, Geometry((SIDE, SIDE, len(flags)), (1, 1, 1)), "CT"), reference


def as_tensors(volume: Volume, reference: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Network slices, what the threshold network would give for them without spots, and what it gives with them.

    As probabilities ``(n, 1, H, W)`` each; its score is the intensity times `SHARP`.
    """
    images = torch.from_numpy(volume.array.astype(np.float32))[:, None] / 100 - 1  # WINDOW is 0 to 200
    clean = torch.where(torch.from_numpy(reference)[:, None], images, torch.full_like(images, -0.6))
    return images, (SHARP * clean).sigmoid(), (SHARP * images).sigmoid()


def train_discriminator(name: str, config: dict[str, Any], steps: int = 60) -> dict[str, np.ndarray]:
    """A discriminator that learnt to tell masks without spots from those with them, by least squares."""
    torch.manual_seed(0)
    network = networks.build(name, config)
    sees = networks.entry(name).sees
    assert sees is not None
    volume, reference = spots([True] * 24)
    images, real, fake = as_tensors(volume, reference)
    optimiser = torch.optim.Adam(network.parameters(), 0.004)
    for _ in range(steps):
        optimiser.zero_grad()
        good, bad = (network(*networks.shown(sees, images, mask)) for mask in (real, fake))
        ((good - 1).square().mean() + bad.square().mean()).backward()
        optimiser.step()
    return {key: value.numpy() for key, value in network.state_dict().items() if value.is_floating_point()}


def reviewed_package(
    folder: Path, weights: dict[str, np.ndarray], discriminator: DiscriminatorSpec, **fields: Any
) -> models.Package:
    """The threshold network with a discriminator beside it."""
    config, generator = threshold_network(1, 0, (100.0,))
    generator = {name: array * SHARP if name.startswith("head") else array for name, array in generator.items()}
    card = replace(
        card_of(config, slicing=SliceSpec("axial", 1, SIDE, 4, WINDOW)), discriminator=discriminator, **fields
    )
    path = models.write_package(
        folder / "reviewed.ganseg", card, generator, [Segment(1, "Liver", (1, 2, 3))], discriminator_weights=weights
    )
    return models.open_package(path)


PATCH = ("patch70", {"in_channels": 2, "width": 8, "halvings": 2, "norm": "none"})


@pytest.fixture(scope="module")
def patch_weights() -> dict[str, np.ndarray]:
    return train_discriminator(*PATCH)


@pytest.fixture
def reviewed(tmp_path: Path, patch_weights: dict[str, np.ndarray]) -> models.Package:
    return reviewed_package(tmp_path, patch_weights, DiscriminatorSpec(*PATCH, "pair", "lsgan"))


FLAGS = [False, True, False, True, True, False, False, True]


# ------------------------------------------------------------------------------------------------- the discriminator


def test_slices_that_the_discriminator_learnt_to_doubt_are_less_plausible(reviewed: models.Package) -> None:
    volume, _ = spots(FLAGS)
    result = Predictor(reviewed, "cpu", half=False, batch_size=3).segment([volume], plausibility=True)
    assert result.plausibility is not None and len(result.plausibility) == len(FLAGS)
    for name in ("plausibility", "plausibility_at_contour"):
        values = np.array(result.signals[name])
        assert values[np.array(FLAGS)].max() < values[~np.array(FLAGS)].min(), name
        assert values.min() >= 0 and values.max() <= 1
    assert set(result.review_order[:4]) == {index for index, flag in enumerate(FLAGS) if flag}  # type: ignore[index]


def test_a_slice_s_plausibility_is_the_mean_over_its_patches(
    reviewed: models.Package, patch_weights: dict[str, np.ndarray]
) -> None:
    volume, reference = spots([True, False])
    images, _, mask = as_tensors(volume, reference)
    network = networks.build(*PATCH).eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in patch_weights.items()})
    with torch.no_grad():
        raw = network(torch.cat((images, mask), dim=1))[:, 0]
    for kind, expected in (("lsgan", raw.clamp(0, 1)), ("vanilla", raw.sigmoid()), ("", raw.sigmoid()), ("hinge", raw)):
        spec = DiscriminatorSpec(*PATCH, "pair", kind)
        package = replace(reviewed, card=replace(reviewed.card, discriminator=spec))
        torch.testing.assert_close(Judge(package, "cpu")(images, mask), expected)


@pytest.mark.parametrize("name", ["lgan_basic", "lgan_product", "lgan_early_fusion", "lgan_late_fusion"])
def test_critics_of_every_sight_are_shown_what_they_learnt_from(tmp_path: Path, name: str) -> None:
    config = {"in_channels": 1, "mask_channels": 1, "width": 4, "norm": "none"}
    torch.manual_seed(2)
    critic = networks.build(name, config).eval()
    for parameter in critic.parameters():
        parameter.data *= 3  # fresh weights hardly tell slices apart
    sees = networks.entry(name).sees
    assert sees in ("pair", "mask", "product", "both")
    weights = {key: value.numpy() for key, value in critic.state_dict().items()}
    package = reviewed_package(tmp_path, weights, DiscriminatorSpec(name, config, sees, "wasserstein"))
    volume, reference = spots(FLAGS)
    images, _, mask = as_tensors(volume, reference)
    given = {"mask": (mask,), "product": (images * mask,), "pair": (torch.cat((images, mask), 1),)}
    with torch.no_grad():
        expected = critic(*given.get(sees, (images, mask)))[:, 0].numpy()
    result = Predictor(package, "cpu", half=False).segment([volume], plausibility=True)
    np.testing.assert_allclose(result.plausibility, expected, rtol=1e-3, atol=1e-4)  # type: ignore[arg-type]
    assert np.ptp(expected) > 0.01 * np.abs(expected).max()
    assert result.signals["plausibility"] == result.signals["plausibility_at_contour"], "a critic has no patches"


def test_the_seeds_generator_is_judged_by_the_pictures_it_paints(tmp_path: Path) -> None:
    torch.manual_seed(1)
    config = {"in_channels": 3, "out_channels": 3, "width": 4}
    generator = networks.build("pix2pix_seed", config)
    judge = networks.build("patch70", {"in_channels": 6, "width": 4}).eval()
    card = replace(
        card_of(config, network_name="pix2pix_seed", slicing=SliceSpec("axial", 1, 256, 256, WINDOW)),
        discriminator=DiscriminatorSpec("patch70", {"in_channels": 6, "width": 4}, "pair", "vanilla"),
    )
    arrays = [{name: each.numpy() for name, each in network.state_dict().items()} for network in (generator, judge)]
    path = models.write_package(
        tmp_path / "a.ganseg", card, arrays[0], [Segment(1, "Liver", (1, 2, 3))], discriminator_weights=arrays[1]
    )
    images, scores = torch.randn(2, 1, 64, 64), torch.rand(2, 1, 64, 64) * 2 - 1
    found = Judge(models.open_package(path), "cpu")(images, probabilities(scores, pictures=True))
    with torch.no_grad():
        expected = judge(torch.cat((images.expand(-1, 3, -1, -1), scores.expand(-1, 3, -1, -1)), dim=1))
    torch.testing.assert_close(found, expected[:, 0].sigmoid())


def test_a_package_without_discriminator_says_so(packages: PackageMaker, ct: Volume) -> None:
    predictor = Predictor(packages.thresholds(100.0), "cpu", half=False)
    with pytest.raises(GANSegmentationError, match="carries no discriminator") as caught:
        predictor.segment([ct], plausibility=True)
    assert caught.value.code == "no_discriminator"
    with pytest.raises(GANSegmentationError) as caught:
        predictor.segment([ct], signals=["certainty"])
    assert caught.value.code == "unknown_signal" and "entropy" in caught.value.action
    assert predictor.segment([ct]).plausibility is None
    assert predictor.segment([ct]).review_order is None and "review" not in predictor.segment([ct]).to_dict()


def test_a_discriminator_for_another_size_says_so(tmp_path: Path) -> None:
    config = {"width": 4, "head": "fc", "size": 64, "norm": "none"}
    state = networks.build("lgan_basic", config).state_dict()
    weights = {name: each.numpy() for name, each in state.items()}
    package = reviewed_package(tmp_path, weights, DiscriminatorSpec("lgan_basic", config, "mask"))
    volume, _ = spots([False])
    with pytest.raises(GANSegmentationError, match="32 x 32 pixels") as caught:
        Predictor(package, "cpu", half=False).segment([volume], plausibility=True)
    assert caught.value.code == "discriminator_misfit"


def test_signals_change_no_label(reviewed: models.Package) -> None:
    volume, _ = spots(FLAGS)
    predictor = Predictor(reviewed, "cpu", half=False)
    plain, asked = predictor.segment([volume]), predictor.segment([volume], signals=SIGNALS)
    np.testing.assert_array_equal(plain.labelmap.array, asked.labelmap.array)
    assert set(asked.signals) == set(SIGNALS)
    said = asked.to_dict()["review"]
    assert said["sorted_by"] == "plausibility" and len(said["order"]) == len(FLAGS)


@pytest.mark.parametrize("backwards", [False, True])
def test_signals_are_in_the_order_of_the_array(reviewed: models.Package, backwards: bool) -> None:
    volume, _ = spots(FLAGS)
    flags = FLAGS
    if backwards:  # stored from head to foot: slices are shown the other way round
        geometry = Geometry((SIDE, SIDE, len(FLAGS)), (1, 1, 1), direction=(1, 0, 0, 0, 1, 0, 0, 0, -1))
        volume, flags = Volume(volume.array, geometry, "CT"), FLAGS
    result = Predictor(reviewed, "cpu", half=False).segment([volume], plausibility=True)
    assert result.slice_axis == 0
    doubted = np.argsort(result.plausibility)[:4]  # type: ignore[arg-type]
    assert sorted(doubted) == [index for index, flag in enumerate(flags) if flag]


def test_the_card_decides_what_sorts(tmp_path: Path, patch_weights: dict[str, np.ndarray]) -> None:
    spec = DiscriminatorSpec(*PATCH, "pair", "lsgan")
    package = reviewed_package(tmp_path, patch_weights, spec, review=ReviewFact("entropy", 0.5, None, 1))
    assert signals_of(package.card) == ("entropy", "plausibility", "plausibility_at_contour")
    volume, _ = spots(FLAGS)
    result = Predictor(package, "cpu", half=False).segment([volume], signals=signals_of(package.card))
    assert result.review_signal == "entropy"
    assert sorting_signal(package.card, ("plausibility",)) == "plausibility"
    assert sorting_signal(package.card, ()) is None


def test_a_model_that_makes_pictures_does_not_segment(tmp_path: Path, packages: PackageMaker) -> None:
    package = packages.thresholds(100.0)
    maker = replace(package, card=replace(package.card, task="synthesis"))
    with pytest.raises(GANSegmentationError, match="does not segment") as caught:
        Predictor(maker, "cpu")
    assert caught.value.code == "wrong_task"


# ------------------------------------------------------------------------------------------------------- the others


def test_the_contour_s_neighbourhood_is_a_band_and_the_picture_s_edge_is_none() -> None:
    mask = torch.zeros(2, 12, 12, dtype=torch.bool)
    mask[0, :, 6:] = True
    band = near_contour(mask, 2)
    assert band[0].all(dim=0).tolist() == [False] * 4 + [True] * 4 + [False] * 4
    assert not band[1].any() and not near_contour(~mask, 2)[1].any()


def test_entropy_is_measured_where_the_contour_is() -> None:
    mask = torch.full((3, 1, 16, 16), 0.001)
    mask[:2, :, 4:12, 4:12] = 0.999
    mask[1, :, 4, 4:12] = 0.5  # a doubtful edge
    mask[2, :, 0, :4] = 0.5  # nothing found, and four doubtful pixels
    contour = near_contour(mask[:, 0] > 0.6, 1)
    certain, doubtful, nothing = contour_entropy(mask, contour).tolist()
    assert certain < 0.02 < doubtful < 1
    assert nothing == pytest.approx(4 / 64 + 60 / 64 * certain, abs=0.002)
    everywhere = torch.ones(1, 16, 16, dtype=torch.bool)
    for classes in (1, 2, 5):
        alike = torch.full((1, classes, 16, 16), 0.5 if classes == 1 else 1 / classes)
        assert contour_entropy(alike, everywhere).item() == pytest.approx(1.0)


def test_patches_count_where_the_contour_runs() -> None:
    patches = torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]).repeat(2, 1, 1)
    contour = torch.zeros(2, 8, 8, dtype=torch.bool)
    contour[0, 1, 6] = contour[0, 6, 6] = True
    assert mean_at_contour(patches, contour).tolist() == [3.0, 2.5]


@pytest.mark.parametrize("shape", [(64, 64), (96, 64), (40, 128)])
@pytest.mark.parametrize("name", CHANGES)
def test_every_change_can_be_undone(name: str, shape: tuple[int, int]) -> None:
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]]
    blob = np.exp(-(((rows - shape[0] / 2 - 3) / 6) ** 2 + ((columns - shape[1] / 2 + 4) / 5) ** 2))
    image = torch.from_numpy(blob).float()[None, None]
    change = CHANGES[name]
    other = changed(image, change)
    assert (other - image).abs().max() > 0.05, "it changes something"
    back = changed(other, Change((-change.shift[0], -change.shift[1]), -change.turn, -change.brightness))
    assert (back - image).abs().max() < 0.04


def test_a_shift_moves_by_whole_pixels_and_a_turn_goes_the_way_it_says() -> None:
    image = torch.zeros(1, 1, 64, 128)
    image[0, 0, 32, 100] = 1
    assert changed(image, Change(shift=(1, -2)))[0, 0].argmax().item() == 34 * 128 + 96
    turned = changed(F.avg_pool2d(image, 3, 1, 1) * 9, Change(turn=20.0))
    row, column = divmod(turned[0, 0].argmax().item(), 128)
    # To the right of the middle, turned anticlockwise: up. 36.5 pixels times the sine of 20 degrees are 12.5.
    assert (row, column) == (pytest.approx(32 - 12.5, abs=1.6), pytest.approx(63.5 + 34.3, abs=1.6))


def threshold(slices: Tensor) -> Tensor:
    return torch.sigmoid(40 * slices[:, 0])


def test_a_network_that_follows_its_input_agrees_with_itself_and_one_that_does_not_does_not() -> None:
    volume, reference = spots([False] * 3)
    images, _, _ = as_tensors(volume, reference)
    own = threshold(images)
    fixed = own.clone()

    def stubborn(slices: Tensor) -> Tensor:
        return fixed  # the same mask, wherever the organ went

    changes = tuple(CHANGES.values())
    follows, stays = disagreement(images, own, threshold, changes), disagreement(images, own, stubborn, changes)
    assert follows.max() < 0.02 < 0.04 < stays.min()
    assert flip_disagreement(images, own, threshold).max() < 1e-6
    assert flip_disagreement(images, own, stubborn).min() > 0.2


def test_next_to_nothing_agrees_with_nothing() -> None:
    nothing, dust, much = torch.zeros(1, 32, 32), torch.full((1, 32, 32), 1e-5), torch.ones(1, 32, 32)
    assert soft_agreement(nothing, dust).item() == pytest.approx(1, abs=0.02)
    assert soft_agreement(nothing, much).item() < 0.01
    assert soft_agreement(much, much).item() == 1


def test_probabilities_of_all_kinds_of_generators() -> None:
    logit = torch.tensor([[[[0.0, 100.0]]]])
    assert probabilities(logit).flatten().tolist() == [0.5, 1.0]
    assert probabilities(torch.zeros(1, 4, 1, 1)).flatten().tolist() == [0.25] * 4
    assert probabilities(torch.tensor([[[[-1.0, 0.0, 1.0]]]]), pictures=True).flatten().tolist() == [0, 0.5, 1]


# ------------------------------------------------------------------------------------------------------- the order


def test_the_least_trustworthy_slices_of_the_organ_come_first_and_air_last() -> None:
    found = [False, False, True, False, True, False, False]
    values = [0.0, 0.9, 0.3, 0.1, 0.8, 0.5, 0.0]
    # Slices 1 to 5 hold the organ or lie beside it; slice 3 is a gap in it.
    assert review_order("plausibility", values, found) == (3, 2, 5, 4, 1, 0, 6)
    assert review_order("entropy", values, found) == (1, 4, 5, 2, 3, 0, 6)
    assert review_order("entropy", [0.1, 0.2], [False, False]) == (1, 0)


def test_every_signal_says_which_way_is_better() -> None:
    assert set(SIGNALS) > LOWER_IS_BETTER
    assert not any(name in LOWER_IS_BETTER for name in SIGNALS if name.startswith("plausibility"))


# ------------------------------------------------------------------------------------------------ masks as channels


@pytest.mark.parametrize("inside", [1, 7, 255])
def test_a_mask_given_as_a_channel_is_inside_or_outside_whatever_its_label(
    packages: PackageMaker, ct: Volume, inside: int
) -> None:
    config, weights = threshold_network(2, 1, (100.0,))  # looks at the second volume: above the middle of the range
    fields: dict[str, Any] = {"channels": 2, "channel_names": ["CT", "organ"], "mask_channels": ["organ"]}
    package = packages.write(config, weights, schema="1.1", **fields)
    organ = Volume(np.where(ct.array > 100, inside, 0).astype(np.uint8), ct.geometry)
    result = Predictor(package, "cpu", half=False).segment([ct, organ])
    np.testing.assert_array_equal(result.labelmap.array, ct.array > 100)
    assert not result.warnings, "a mask has no modality and no unit"


Make = Callable[..., models.Card]


def test_the_changes_are_small(make_card: Make) -> None:
    assert all(abs(change.turn) <= 5 and abs(change.brightness) <= 0.1 for change in CHANGES.values())
    assert all(max(map(abs, change.shift)) <= 1 for change in CHANGES.values())
    assert math.isclose(sum(change.brightness for change in CHANGES.values()), 0, abs_tol=1e-12)
