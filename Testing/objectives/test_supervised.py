"""The supervised objective: its weights, its classes, and that it can learn a batch by heart."""

from __future__ import annotations

import pytest
import torch

from GANSegmentationLib.errors import GANSegmentationError
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
