"""The supervised objective: its weights, its classes, and that it can learn a batch by heart."""

from __future__ import annotations

import pytest
import torch

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import whole_scores
from GANSegmentationLib.objectives import build, losses


def test_the_total_is_the_weighted_sum(small, make_batch):
    objective = build("supervised", {"generator": small["generator"], "dice": 2.0, "cross_entropy": 0.5})
    scores = torch.randn(2, 1, 64, 64)
    batch = make_batch(2, 64)
    terms = objective.phases[0].loss({}, batch, {"scores": scores})
    dice = losses.soft_dice_loss(scores, batch["mask"])
    entropy = losses.cross_entropy_loss(scores, batch["mask"])
    torch.testing.assert_close(terms["total"], 2 * dice + 0.5 * entropy)
    torch.testing.assert_close(terms["dice"], dice)
    torch.testing.assert_close(terms["cross_entropy"], entropy)


def test_dice_settings_reach_the_loss(small, make_batch):
    settings = {"generator": small["generator"], "cross_entropy": 0.0, "dice_over": "sample", "dice_smooth": 7.0}
    batch, scores = make_batch(3, 64), torch.randn(3, 1, 64, 64)
    terms = build("supervised", settings).phases[0].loss({}, batch, {"scores": scores})
    torch.testing.assert_close(terms["total"], losses.soft_dice_loss(scores, batch["mask"], over="sample", smooth=7.0))


UNPADDED = {"name": "unet", "config": {"width": 8, "depth": 2, "norm": "batch", "padding": "valid"}}


def test_unpadded_scores_are_compared_with_the_middle_of_the_mask(make_batch):
    objective = build("supervised", {"generator": UNPADDED})
    batch, margin = make_batch(2, 64), 20
    shared = objective.forward(objective.build_networks(), batch)
    assert shared["scores"].shape == (2, 1, 24, 24)
    terms = objective.phases[0].loss({}, batch, shared)
    middle = batch["mask"][:, margin:-margin, margin:-margin]
    expected = losses.soft_dice_loss(shared["scores"], middle) + losses.cross_entropy_loss(shared["scores"], middle)
    torch.testing.assert_close(terms["total"], expected)


def test_with_a_mirrored_border_every_pixel_is_scored_as_in_use(make_batch):
    objective = build("supervised", {"generator": UNPADDED, "border": "mirrored"})
    players, batch = objective.build_networks(), make_batch(2, 50)
    for generator in players.values():
        generator.eval()
    shared = objective.forward(players, batch)
    torch.testing.assert_close(shared["scores"], whole_scores(players["generator"], batch["image"], largest=20))
    terms = objective.phases[0].loss(players, batch, shared)
    torch.testing.assert_close(terms["dice"], losses.soft_dice_loss(shared["scores"], batch["mask"]))


@pytest.mark.parametrize(
    ("generator", "side"), [({"name": "pix2pix_modern"}, 24), (UNPADDED, 64), (UNPADDED, 26), (UNPADDED, 22)]
)
def test_no_other_mismatch_of_scores_and_mask_passes(generator, side, make_batch):
    """Only what an unpadded network loses may be missing: 24 pixels of 64, here also from one that loses nothing."""
    objective = build("supervised", {"generator": generator})
    batch = make_batch(2, 64)
    with pytest.raises(ValueError, match="do not belong"):
        objective.phases[0].loss({}, batch, {"scores": torch.zeros(2, 1, side, side)})


def test_images_that_do_not_fit_unpadded_convolutions_are_refused_in_words(make_batch):
    objective = build("supervised", {"generator": UNPADDED})
    with pytest.raises(GANSegmentationError) as caught:
        objective.forward(objective.build_networks(), make_batch(1, 50))
    assert caught.value.code == "invalid_input_size" and "48 or 52" in caught.value.action


@pytest.mark.parametrize("generator", [{"name": "unet"}, {"name": "pix2pix_modern"}])
def test_mirroring_for_a_network_that_needs_none_is_refused(generator):
    with pytest.raises(GANSegmentationError, match="border") as caught:
        build("supervised", {"generator": generator, "border": "mirrored"})
    assert caught.value.code == "invalid_objective"


def test_an_objective_that_needs_whole_masks_refuses_unpadded_convolutions(small):
    with pytest.raises(GANSegmentationError, match="unpadded") as caught:
        build("conditional", {**small, "generator": UNPADDED})
    assert caught.value.code == "invalid_objective"


@pytest.mark.parametrize("border", ["lost", "mirrored"])
def test_one_batch_is_learned_by_heart_without_padding(make_batch, train, border):
    objective = build("supervised", {"generator": UNPADDED, "border": border})
    batch = make_batch(2, 64)
    scores = train(objective, objective.build_networks(), batch, steps=50, rate=5e-3)["scores"]
    found, mask = scores[:, 0] > 0, losses.centre_crop(batch["mask"], scores) > 0
    assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) > 0.95


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("unet", {"width": 8, "depth": 3}),
        ("unet", {"width": 8, "depth": 3, "activation": "leaky", "norm": "batch", "up_kernel": 4}),
        ("unet_sriker", {"width": 8}),
        ("segnet", {"width": 8}),
    ],
)
def test_each_network_learns_one_batch_by_heart(make_batch, train, name, config):
    objective = build("supervised", {"generator": {"name": name, "config": config}})
    batch = make_batch(2, 64)
    scores = train(objective, objective.build_networks(), batch, steps=60, rate=5e-3)["scores"]
    found, mask = scores[:, 0] > 0, batch["mask"] > 0
    assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) > 0.95


@pytest.mark.parametrize("labels", [1, 2])
def test_samples_without_a_mask_do_not_count(small, make_batch, labels):
    objective, batch = build("supervised", {"generator": small["generator"]}), make_batch(4, 64, labels)
    scores = torch.randn(4, 1 if labels == 1 else labels + 1, 64, 64, requires_grad=True)
    alone = objective.phases[0].loss({}, {"mask": batch["mask"][:2]}, {"scores": scores[:2]})
    batch["labelled"] = torch.tensor([True, True, False, False])
    batch["mask"][2:] = 0
    terms = objective.phases[0].loss({}, batch, {"scores": scores})
    for name, value in alone.items():
        torch.testing.assert_close(terms[name], value)
    (gradient,) = torch.autograd.grad(terms["total"], scores)
    assert gradient[:2].abs().sum() > 0 and not gradient[2:].any()


def test_a_batch_without_any_mask_teaches_nothing_and_keeps_its_graph(small, make_batch, step_gradients):
    objective = build("supervised", {"generator": small["generator"]})
    batch = {**make_batch(2, 64), "labelled": torch.zeros(2, dtype=torch.bool)}
    players = objective.build_networks()
    gradients = step_gradients(objective, players, batch)["generator"]
    assert len(gradients) == len([*players["generator"].parameters()])
    assert not any(gradient.any() for gradient in gradients.values())
    terms = objective.phases[0].loss(players, batch, objective.forward(players, batch))
    assert {name: value.item() for name, value in terms.items()} == {"total": 0, "dice": 0, "cross_entropy": 0}


@pytest.mark.parametrize("labels", [1, 2])
def test_one_batch_is_learned_by_heart(small, make_batch, train, labels):
    generator = {"name": "pix2pix_modern", "config": {**small["generator"]["config"], "dropout": 0.0}}
    if labels > 1:
        generator["config"]["classes"] = labels + 1
    objective = build("supervised", {"generator": generator})
    batch = make_batch(4, 64, labels)
    shared = train(objective, objective.build_networks(), batch, steps=60, rate=2e-3)
    scores = shared["scores"]
    found = (scores[:, 0] > 0).long() if labels == 1 else scores.argmax(dim=1)
    for label in range(1, labels + 1):
        a, b = found == label, batch["mask"] == label
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.95, label


@pytest.mark.parametrize(
    "config",
    [
        {"dice": -1.0},
        {"dice": 0.0, "cross_entropy": 0.0},
        {"dice_smooth": 0.0},
        {"dice_over": "image"},
        {"generater": {}},
        {"generator": "pix2pix_modern"},
        {"generator": {"name": "patch70"}},
        {"generator": {"config": {}}},
        {"generator": {"name": "pix2pix_modern", "conf": {}}},
        {"generator": {"name": "pix2pix_seed"}},
        {"initialisation": "xavier"},
    ],
    ids=str,
)
def test_what_makes_no_objective_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("supervised", config)
    assert caught.value.code == "invalid_objective"


@pytest.mark.parametrize(
    ("generator", "code"),
    [
        ({"name": "pix2pix_modern", "config": {"widths": [8]}}, "invalid_network"),
        ({"name": "pix2pix_modern", "config": [1]}, "invalid_network"),
        ({"name": "unet3000"}, "unknown_network"),
    ],
)
def test_a_wrong_network_is_refused_as_such(generator, code):
    with pytest.raises(GANSegmentationError) as caught:
        build("supervised", {"generator": generator})
    assert caught.value.code == code


def test_unknown_objective():
    with pytest.raises(GANSegmentationError, match="supervised") as caught:
        build("unsupervised", {})
    assert caught.value.code == "unknown_objective"
