"""SegAN: what the critic compares, who wants what of the gap, and what keeps the critic within bounds."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from GANSegmentationLib import networks
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.objectives import build
from GANSegmentationLib.objectives.base import WeightClip
from GANSegmentationLib.objectives.losses import cross_entropy_loss, soft_dice_loss

SEGMENTOR = {"name": "segan_segmentor", "config": {"width": 16}}
CRITIC = {"name": "segan_critic", "config": {"width": 8}}
TWO = {"generator": {"name": "segan_segmentor", "config": {"width": 16, "classes": 3}}}
PENALTY = {"lipschitz": "penalty", "critic": {"name": "segan_critic", "config": {"width": 8, "norm": "instance"}}}
PURE = {"dice": 0.0, "warm_up": [0, 0]}


class Levels(nn.Module):
    """A critic with known features: the pixels, and twice every second of them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.seen.append(x.detach())
        return x, self.gain * x[..., ::2, ::2]


def segan(**config):
    return build("multiscale_l1", {"generator": SEGMENTOR, "critic": CRITIC, **config})


def two_levels(**config):
    """An objective whose critic has as many levels as `Levels`."""
    return segan(**{"critic": {"name": "segan_critic", "config": {"blocks": 1, "norm": "none"}}, **config})


def losses_of(objective, batch, scores, critics):
    return {phase.name: phase.loss(critics, batch, {"scores": scores}) for phase in objective.phases}


def test_the_critic_learns_before_the_segmentor():
    assert [(phase.name, phase.trains) for phase in segan().phases] == [
        ("critic", ("critic",)),
        ("generator", ("generator",)),
    ]


def test_the_gap_is_the_mean_over_levels_of_mean_differences(make_batch):
    batch, scores = make_batch(3, 16), torch.randn(3, 1, 16, 16)
    terms = losses_of(two_levels(warm_up=[0, 0]), batch, scores, {"critic": Levels()})
    image = (batch["image"] + 1) / 2
    difference = image * (torch.sigmoid(scores) - batch["mask"][:, None])
    gap = (difference.abs().mean() + 2 * difference[..., ::2, ::2].abs().mean()) / 2
    torch.testing.assert_close(terms["critic"]["gap"], gap)
    torch.testing.assert_close(terms["critic"]["total"], -gap)
    torch.testing.assert_close(terms["generator"]["adversarial"], gap)
    torch.testing.assert_close(terms["generator"]["total"], gap + soft_dice_loss(scores, batch["mask"]))


def test_levels_can_be_weighed_and_only_proportions_count(make_batch):
    batch, scores = make_batch(2, 16), torch.randn(2, 1, 16, 16)
    gaps = {}
    for weights in ((1, 3), (10, 30), (1, 0.5)):
        terms = losses_of(two_levels(level_weights=list(weights)), batch, scores, {"critic": Levels()})
        gaps[weights] = terms["critic"]["gap"].item()
    difference = (batch["image"] + 1) / 2 * (torch.sigmoid(scores) - batch["mask"][:, None])
    pixels, layer = difference.abs().mean().item(), 2 * difference[..., ::2, ::2].abs().mean().item()
    assert gaps[(1, 3)] == pytest.approx(0.25 * pixels + 0.75 * layer)
    assert gaps[(10, 30)] == pytest.approx(gaps[(1, 3)])
    assert gaps[(1, 0.5)] == pytest.approx((pixels + 0.5 * layer) / 1.5)


def test_the_repositorys_weights_fit_six_blocks():
    critic = {"name": "segan_critic", "config": {"width": 4, "blocks": 6}}
    assert segan(critic=critic, level_weights=[1, 1, 2, 2, 2, 2, 4])


def test_the_image_is_shown_under_the_mask_in_unit_range_so_that_mid_grey_tissue_is_seen(make_batch):
    batch, scores = make_batch(2, 16), torch.randn(2, 1, 16, 16)
    batch["image"] = torch.zeros_like(batch["image"])  # the middle of the window, where a liver often lies
    for kind, expected in (("unit", 0.5), ("signed", 0.0)):
        critic = Levels()
        losses_of(two_levels(masked_image=kind), batch, scores, {"critic": critic})
        fake, real, *_ = critic.seen
        torch.testing.assert_close(real, expected * batch["mask"][:, None].float())
        torch.testing.assert_close(fake, expected * torch.sigmoid(scores))


def test_one_critic_sees_the_image_under_every_foreground_class(make_batch):
    objective, critic = two_levels(**TWO), Levels()
    batch, scores = make_batch(2, 16, 2), torch.randn(2, 3, 16, 16)
    losses_of(objective, batch, scores, {"critic": critic})
    fake, real, *_ = critic.seen
    image = (batch["image"] + 1) / 2
    assert real.shape == (2, 2, 16, 16), "the background masks nothing"
    torch.testing.assert_close(real, torch.cat([image * (batch["mask"] == n)[:, None] for n in (1, 2)], dim=1))
    torch.testing.assert_close(fake, image * torch.softmax(scores, dim=1)[:, 1:])
    assert objective.build_networks()["critic"].layers[0].conv.in_channels == 2


def test_every_class_can_have_its_critic_and_their_gaps_are_averaged(make_batch):
    objective = two_levels(**TWO, critics="per_class", warm_up=[0, 0])
    critics = {"critic_1": Levels(), "critic_2": Levels()}
    batch, scores = make_batch(2, 16, 2), torch.randn(2, 3, 16, 16)
    terms = losses_of(objective, batch, scores, critics)
    image = (batch["image"] + 1) / 2
    gaps = []
    for label in (1, 2):
        fake, real, *_ = critics[f"critic_{label}"].seen
        torch.testing.assert_close(real, image * (batch["mask"] == label)[:, None])
        pixels = (fake - real).abs().mean()
        gaps.append((pixels + 2 * (fake - real)[..., ::2, ::2].abs().mean()) / 2)
    torch.testing.assert_close(terms["critic"]["gap"], torch.stack(gaps).mean())
    torch.testing.assert_close(terms["generator"]["adversarial"], torch.stack(gaps).mean())
    players = objective.build_networks()
    assert sorted(players) == ["critic_1", "critic_2", "generator"]
    assert not torch.equal(players["critic_1"].layers[0].conv.weight, players["critic_2"].layers[0].conv.weight)


def test_several_channels_are_all_masked():
    generator = {"name": "segan_segmentor", "config": {"width": 4, "in_channels": 3, "classes": 3}}
    assert segan(generator=generator).build_networks()["critic"].layers[0].conv.in_channels == 6
    players = segan(generator=generator, critics="per_class").build_networks()
    assert players["critic_2"].layers[0].conv.in_channels == 3


def gap_of(objective, players, batch) -> float:
    with torch.no_grad():
        return objective.phases[0].loss(players, batch, objective.forward(players, batch))["gap"].item()


@pytest.mark.parametrize(
    "config",
    [{}, {"clip_everything": True}, {**PENALTY, "penalty": 1e-3}, {**TWO, "critics": "per_class"}],
    ids=["clip", "clip-everything", "penalty", "two-critics"],
)
def test_the_gap_grows_under_critic_steps_and_falls_under_the_segmentors(make_batch, train, config):
    """A critic that cooperates would close it."""
    objective = segan(**PURE, **config)
    batch, players = make_batch(4, 32, 2 if "critics" in config else 1), objective.build_networks()
    train(objective, players, batch, steps=1, rate=1e-6, only="critic")  # clips what was drawn too large
    before = gap_of(objective, players, batch)
    train(objective, players, batch, steps=12, rate=2e-3, only="critic")
    between = gap_of(objective, players, batch)
    train(objective, players, batch, steps=12, rate=2e-3, only="generator")
    after = gap_of(objective, players, batch)
    assert between > 1.02 * before
    assert after < 0.8 * between


def test_clipping_is_declared_for_the_convolutions_alone_or_for_everything():
    assert segan().phases[0].clip == WeightClip(0.05, only_convolutions=True)
    assert segan(clip=0.1, clip_everything=True).phases[0].clip == WeightClip(0.1, only_convolutions=False)
    assert segan().phases[1].clip is None and segan(**PENALTY).phases[0].clip is None


@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize(("gain", "slope"), [(1.0, 1.0), (3.0, 2.0), (0.0, 0.5)])
def test_the_penalty_holds_the_slope_against_the_root_mean_square_change(size, gain, slope):
    """Features x and gain * x: the gap's slope is (1 + gain) / 2 where every pixel differs, whatever the size."""

    class Scaled(nn.Module):
        def forward(self, x):
            return x, gain * x

    objective = two_levels(lipschitz="penalty", penalty=7.0)
    batch = {"image": torch.ones(2, 1, size, size), "mask": torch.zeros(2, size, size, dtype=torch.int64)}
    terms = objective.phases[0].loss({"critic": Scaled()}, batch, {"scores": torch.zeros(2, 1, size, size)})
    assert terms["penalty"].item() == pytest.approx((slope - 1) ** 2, abs=1e-5)
    assert terms["total"].item() == pytest.approx(7 * (slope - 1) ** 2 - terms["gap"].item(), abs=1e-4)


def test_the_penalty_reaches_the_critic_and_not_the_segmentor(make_batch):
    objective, batch = segan(**PENALTY, **PURE), make_batch(2, 32)
    players = objective.build_networks()
    scores = torch.randn(2, 1, 32, 32, requires_grad=True)
    terms = objective.phases[0].loss(players, batch, {"scores": scores})
    (terms["total"] + terms["gap"]).backward()
    assert scores.grad is None
    assert all(layer.conv.weight.grad.abs().sum() > 0 for layer in players["critic"].layers)


def test_dice_comes_first_and_the_gap_is_phased_in(make_batch):
    objective = two_levels(warm_up=[10, 20], adversarial_weight=2.0)
    batch, scores = make_batch(2, 16), torch.randn(2, 1, 16, 16, requires_grad=True)
    extra = []
    for step in (0, 10, 15, 20, 500):
        objective.set_progress(step, 1000)
        terms = losses_of(objective, batch, scores, {"critic": Levels()})["generator"]
        extra.append(((terms["total"] - terms["dice"]) / terms["adversarial"]).item())
    assert extra == pytest.approx([0, 0, 1, 2, 2], abs=1e-4)


def test_warm_up_is_the_default():
    objective = segan()
    assert objective.adversarial_weight == 0
    objective.set_progress(1250, 5000)
    assert objective.adversarial_weight == 1


def test_during_warm_up_the_segmentor_learns_as_without_a_critic(make_batch, step_gradients):
    batch, gradients = make_batch(2, 32), []
    for config in ({"adversarial_weight": 0.0}, {"warm_up": [100, 200]}, {"warm_up": [0, 0]}):
        torch.manual_seed(1)
        objective = segan(**config)
        gradients.append(step_gradients(objective, objective.build_networks(), batch)["generator"])
    for name, gradient in gradients[0].items():
        assert torch.equal(gradient, gradients[1][name])
    assert any(not torch.allclose(gradients[0][name], gradients[2][name], rtol=1e-3) for name in gradients[0])


def test_the_total_is_the_weighted_sum_and_the_dice_may_be_squared(make_batch):
    batch, scores = make_batch(2, 16), torch.randn(2, 1, 16, 16)
    objective = two_levels(
        dice=3.0, cross_entropy=0.5, dice_squared=True, dice_over="sample", dice_smooth=2.0, adversarial_weight=0.0
    )
    terms = losses_of(objective, batch, scores, {"critic": Levels()})["generator"]
    dice = soft_dice_loss(scores, batch["mask"], over="sample", smooth=2.0, squared=True)
    torch.testing.assert_close(terms["total"], 3 * dice + 0.5 * cross_entropy_loss(scores, batch["mask"]))
    torch.testing.assert_close(terms["dice"], dice)


@pytest.mark.parametrize("config", [{}, {"lipschitz": "penalty"}], ids=["clip", "penalty"])
def test_samples_without_a_reference_count_nowhere(make_batch, config):
    objective = two_levels(warm_up=[0, 0], cross_entropy=1.0, **config)
    batch, scores = make_batch(4, 16), torch.randn(4, 1, 16, 16)
    labelled = torch.tensor([True, False, True, False])
    batch["mask"][~labelled] = 0
    known = {name: tensor[labelled] for name, tensor in batch.items()}
    torch.manual_seed(5)
    expected = losses_of(objective, known, scores[labelled], {"critic": Levels()})
    torch.manual_seed(5)
    found = losses_of(objective, {**batch, "labelled": labelled}, scores, {"critic": Levels()})
    for phase, terms in expected.items():
        for name, value in terms.items():
            torch.testing.assert_close(found[phase][name], value)


@pytest.mark.parametrize("config", [{}, PENALTY], ids=["clip", "penalty"])
def test_without_any_reference_nothing_is_learned(make_batch, step_gradients, config):
    objective, batch = segan(warm_up=[0, 0], **config), make_batch(2, 32)
    players = objective.build_networks()
    whole = {p.name: set(p.loss(players, batch, objective.forward(players, batch))) for p in objective.phases}
    batch["labelled"] = torch.zeros(2, dtype=torch.bool)
    shared = objective.forward(players, batch)
    for phase in objective.phases:
        terms = phase.loss(players, batch, shared)
        assert set(terms) == whole[phase.name] and all(value.item() == 0 for value in terms.values())
    gradients = step_gradients(objective, players, batch)
    for phase in objective.phases:
        assert len(gradients[phase.name]) == sum(len(list(players[role].parameters())) for role in phase.trains)
        assert all(gradient.abs().sum() == 0 for gradient in gradients[phase.name].values())


def test_a_label_begins_at_probability_one_half_and_not_at_a_score_of_one_half(make_batch):
    scores = torch.tensor([-0.3, 0.3]).view(2, 1, 1, 1)
    found = networks.scores(networks.entry("segan_segmentor"), scores) > 0
    assert found.flatten().tolist() == (torch.sigmoid(scores).flatten() > 0.5).tolist() == [False, True]


@pytest.mark.parametrize(
    ("config", "labels", "steps"),
    [
        ({"warm_up": [5, 20]}, 1, 60),
        (PURE, 1, 70),
        ({"warm_up": [5, 20], **PENALTY}, 1, 45),
        ({"warm_up": [5, 20], **TWO}, 2, 60),
        ({"warm_up": [5, 20], **TWO, "critics": "per_class"}, 2, 70),
    ],
    ids=["warm-up", "pure", "penalty", "two-classes", "two-critics"],
)
def test_one_batch_is_learned_by_heart(make_batch, train, config, labels, steps):
    objective, batch = segan(**config), make_batch(4, 32, labels)
    scores = train(objective, objective.build_networks(), batch, steps=steps, rate=2e-3)["scores"]
    found = (scores[:, 0] > 0).long() if labels == 1 else scores.argmax(dim=1)
    for label in range(1, labels + 1):
        a, b = found == label, batch["mask"] == label
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.95, label


def test_any_generator_of_scores_can_stand_in(small, make_batch, step_gradients):
    objective = segan(generator=small["generator"], warm_up=[0, 0])
    gradients = step_gradients(objective, objective.build_networks(), make_batch(2, 64))
    assert all(math.isfinite(gradient.sum()) for gradient in gradients["generator"].values())


def test_it_remembers_nothing_and_reviews_nothing():
    assert segan().state_dict() == {} and segan().reviewer() is None


@pytest.mark.parametrize(
    "config",
    [
        {"adversarial_weight": -1.0},
        {"dice": -1.0},
        {"level_weights": [1, -1, 1, 1]},
        {"level_weights": [1, 1]},
        {"level_weights": [1, 0, 0, 0]},
        {"dice_smooth": 0.0},
        {"warm_up": [20, 10]},
        {"dice": 0.0},
        {"dice": 0.0, "warm_up": [0, 0], "adversarial_weight": 0.0},
        {"clip": 0.0},
        {"lipschitz": "penalty"},
        {**PENALTY, "penalty": 0.0},
        {"lipschitz": "spectral"},
        {"critics": "per_class"},
        {"critics": "three"},
        {"masked_image": "hounsfield"},
        {"critic": {"name": "patch70"}},
        {"critic": {"name": "segan_critic", "config": {"in_channels": 2}}},
        {"critic": {"name": "segan_segmentor"}},
        {"generator": {"name": "pix2pix_seed"}},
        {"generator": {"name": "segan_critic"}},
        {"generator": {"name": "unet", "config": {"padding": "valid"}}},
        {"lambda_dice": 1.0},
    ],
    ids=str,
)
def test_what_makes_no_objective_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        segan(**config)
    assert caught.value.code == "invalid_objective"


def test_a_network_that_asks_for_the_domain_is_refused():
    asking = [name for name in networks.names("generator") if networks.entry(name).takes_domain]
    for name in asking:
        with pytest.raises(GANSegmentationError, match="domain") as caught:
            segan(generator={"name": name})
        assert caught.value.code == "invalid_objective"
