"""CycleGAN: who is given what, which samples teach what, and that the painter learns at all."""

from __future__ import annotations

import copy
import io
import itertools

import pytest
import torch
from torch import Tensor, nn

from GANSegmentationLib import networks
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.objectives import build
from GANSegmentationLib.objectives.losses import cross_entropy_loss, soft_dice_loss

PLAYERS = {
    "generator": {"name": "pix2pix_modern", "config": {"channels": [16, 32, 32], "full_resolution": 8, "dropout": 0.0}},
    "painter": {"name": "cyclegan_resnet_image", "config": {"width": 4, "blocks": 2, "up": "resize"}},
    "mask_discriminator": {"name": "cyclegan_discriminator", "config": {"width": 8, "halvings": 3}},
    "image_discriminator": {"name": "cyclegan_image_discriminator", "config": {"width": 8, "halvings": 3}},
}
OF_TWO = {**PLAYERS["generator"], "config": {**PLAYERS["generator"]["config"], "classes": 3}}
FAITHFUL = {
    "setting": "faithful",
    "generator": {"name": "unet_sriker", "config": {"width": 8}},
    "painter": {"name": "unet_sriker_image", "config": {"width": 4}},
}
WEIGHTS = ("mask_adversarial_weight", "image_adversarial_weight", "cycle_image", "cycle_mask", "regenerated", "dice",
           "cross_entropy", "identity", "paired_image")  # fmt: skip


def cycle(**config):
    return build("cycle", {**PLAYERS, **config})


def only(**weights: float) -> dict[str, float]:
    """All weights of the generators 0 but for these."""
    return {**dict.fromkeys(WEIGHTS, 0.0), **weights}


class Stand(nn.Module):
    """A network that keeps what it is given and answers with a simple function of it."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.seen: list[Tensor] = []
        self.answer = answer
        self.weight = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return self.weight * self.answer(x)


def stands(judge_mask: float = 0.3, judge_image: float = 0.6) -> dict[str, Stand]:
    """A generator of scores 4 x, a painter of images 0.5 - m, and discriminators that always say the same."""

    def says(score: float):
        return lambda x: score + 0 * x.mean(dim=(1, 2, 3), keepdim=True)

    return {
        "generator": Stand(lambda x: 4 * x[:, :1]),
        "painter": Stand(lambda x: 0.5 - x[:, :1]),
        "mask_discriminator": Stand(says(judge_mask)),
        "image_discriminator": Stand(says(judge_image)),
    }


def losses_of(objective, players, batch):
    shared = objective.forward(players, batch)
    return {phase.name: phase.loss(players, batch, shared) for phase in objective.phases}


def unpaired(make_batch, count: int, size: int) -> dict[str, Tensor]:
    """The batch of a stream of its own."""
    return {f"unpaired/{name}": tensor for name, tensor in make_batch(count, size).items()}


def test_two_phases_of_two_networks_each():
    assert [(phase.name, phase.trains) for phase in cycle().phases] == [
        ("discriminators", ("mask_discriminator", "image_discriminator")),
        ("generators", ("generator", "painter")),
    ]


def test_each_network_is_given_what_is_its_business(make_batch):
    """Above all: the regenerated mask is found by the generator, in what the painter painted of the mask."""
    players, batch = stands(), make_batch(2, 32)
    losses_of(cycle(shown_masks="soft", noise_channels=0), players, batch)
    mask, image = batch["mask"][:, None].float(), batch["image"]
    soft = torch.sigmoid(4 * image)
    expected = {
        "generator": [image, 0.5 - mask],
        "painter": [mask, soft],
        "mask_discriminator": [mask, soft, soft],
        "image_discriminator": [image, 0.5 - mask, 0.5 - mask],
    }
    for role, tensors in expected.items():
        assert len(players[role].seen) == len(tensors), role
        for seen, wanted in zip(players[role].seen, tensors, strict=True):
            torch.testing.assert_close(seen, wanted, msg=role)


def test_the_terms_are_the_papers(make_batch):
    players, batch = stands(judge_mask=0.3, judge_image=0.6), make_batch(2, 32)
    weights = dict(zip(WEIGHTS, (0.2, 0.3, 5.0, 7.0, 0.5, 2.0, 3.0, 11.0, 13.0), strict=True))
    objective = cycle(shown_masks="soft", noise_channels=0, discriminator_weight=0.5, **weights)
    terms = losses_of(objective, players, batch)
    image, mask, labels = batch["image"], batch["mask"][:, None].float(), batch["mask"]
    scores, painted = 4 * image, 0.5 - mask
    found = 4 * painted
    expected = {
        "dice": soft_dice_loss(scores, labels),
        "cross_entropy": cross_entropy_loss(scores, labels),
        "mask_adversarial": torch.tensor(0.7**2),
        "image_adversarial": torch.tensor(0.4**2),
        "cycle_image": (0.5 - torch.sigmoid(scores) - image).abs().mean(),
        "cycle_mask": (torch.sigmoid(found) - mask).abs().mean(),
        "regenerated": 2 * soft_dice_loss(found, labels) + 3 * cross_entropy_loss(found, labels),
        "identity_mask": (torch.sigmoid(4 * (2 * mask - 1)) - mask).abs().mean(),
        "identity_image": (0.5 - (image + 1) / 2 - image).abs().mean(),
        "paired_image": (painted - image).abs().mean(),
    }
    generators = terms["generators"]
    assert set(generators) == {"total", *expected}
    for name, value in expected.items():
        torch.testing.assert_close(generators[name], value, msg=name)
    by_weight = {
        "dice": 2.0, "cross_entropy": 3.0, "mask_adversarial": 0.2, "image_adversarial": 0.3, "cycle_image": 5.0,
        "cycle_mask": 7.0, "regenerated": 0.5, "identity_mask": 11.0, "identity_image": 11.0, "paired_image": 13.0,
    }  # fmt: skip
    total = sum(weight * expected[name] for name, weight in by_weight.items())
    torch.testing.assert_close(generators["total"], total)
    discriminators = terms["discriminators"]
    assert discriminators["mask_real"].item() == pytest.approx(0.7**2)
    assert discriminators["image_fake"].item() == pytest.approx(0.6**2)
    assert discriminators["total"].item() == pytest.approx(0.5 * (0.7**2 + 0.3**2 + 0.4**2 + 0.6**2))
    assert discriminators["mask_accuracy"].item() == 0.5


def test_faithful_is_the_seeds_recipe():
    objective = build("cycle", {"setting": "faithful"})
    config = objective.config
    assert config.adversarial == "lsgan" and config.noise_channels == 0 and config.shown_masks == "soft"
    weights = {name: getattr(config, name) for name in WEIGHTS}
    assert weights == {**dict.fromkeys(WEIGHTS, 1.0), "dice": 0.0, "paired_image": 0.0}
    with torch.device("meta"):
        counts = {role: networks.count_parameters(player) for role, player in objective.build_networks().items()}
    assert counts["generator"] == counts["painter"] == 17_266_241
    assert counts["mask_discriminator"] == counts["image_discriminator"] == 2_759_105


@pytest.mark.parametrize(
    "weight", ["cycle_image", "image_adversarial_weight", "cycle_mask", "regenerated", "paired_image"]
)
def test_each_term_of_images_teaches_the_painter(make_batch, step_gradients, weight):
    weights = {weight: 1.0, **({"cross_entropy": 1.0} if weight == "regenerated" else {})}
    if weight in ("cycle_mask", "regenerated"):
        weights["paired_image"] = 1e-9  # an objective without any term of images is refused
    objective, batch = cycle(**only(**weights)), make_batch(2, 32)
    gradients = step_gradients(objective, objective.build_networks(), batch)["generators"]
    taught = [gradient.abs().sum().item() for name, gradient in gradients.items() if name.startswith("painter.")]
    assert taught and max(taught) > 1e-5


@pytest.mark.parametrize("shown_masks", ["soft", "hard", "gumbel"])
@pytest.mark.parametrize("weight", ["mask_adversarial_weight", "cycle_image", "cycle_mask", "dice"])
def test_each_term_of_masks_teaches_the_generator(make_batch, step_gradients, weight, shown_masks):
    objective = cycle(**only(**{"paired_image": 1.0, weight: 1.0}), shown_masks=shown_masks)
    gradients = step_gradients(objective, objective.build_networks(), make_batch(2, 32))["generators"]
    assert max(g.abs().sum().item() for name, g in gradients.items() if name.startswith("generator.")) > 1e-5


def test_a_discriminator_that_does_not_count_teaches_nobody(make_batch, step_gradients):
    objective, batch = cycle(**only(dice=1.0, paired_image=1.0)), make_batch(2, 32)
    twin = build("supervised", {"generator": PLAYERS["generator"], "cross_entropy": 0.0})
    players = objective.build_networks()
    one = step_gradients(objective, players, batch)["generators"]
    two = step_gradients(twin, {"generator": players["generator"]}, batch)["generator"]
    for name, gradient in two.items():
        torch.testing.assert_close(one[name], gradient)


# ------------------------------------------------------------------------------------------------ pools of samples


def test_paired_masks_are_those_of_the_labelled_samples(make_batch):
    players, batch = stands(), make_batch(4, 32)
    batch["labelled"] = torch.tensor([True, False, False, True])
    losses_of(cycle(noise_channels=0, paired_image=1.0, shown_masks="soft"), players, batch)
    mask = batch["mask"][[0, 3], None].float()
    torch.testing.assert_close(players["painter"].seen[0], mask)
    torch.testing.assert_close(players["mask_discriminator"].seen[0], mask)
    torch.testing.assert_close(players["generator"].seen[0], batch["image"])
    torch.testing.assert_close(players["image_discriminator"].seen[0], batch["image"])


def test_unpaired_masks_and_images_come_from_their_stream(make_batch):
    players, batch = stands(), {**make_batch(2, 32), **unpaired(make_batch, 3, 32)}
    batch["unpaired/labelled"] = torch.tensor([True, False, True])
    losses_of(cycle(noise_channels=0, shown_masks="soft"), players, batch)
    mask = batch["unpaired/mask"][[0, 2], None].float()
    torch.testing.assert_close(players["painter"].seen[0], mask)
    torch.testing.assert_close(players["mask_discriminator"].seen[0], mask)
    torch.testing.assert_close(players["image_discriminator"].seen[0], batch["unpaired/image"])
    torch.testing.assert_close(players["generator"].seen[0], batch["image"])


def test_the_supervised_terms_are_those_of_the_labelled_samples(make_batch):
    batch = {**make_batch(4, 32), **unpaired(make_batch, 2, 32)}
    labelled = torch.tensor([True, False, True, False])
    batch["mask"][~labelled] = 0
    terms = losses_of(cycle(), stands(), {**batch, "labelled": labelled})["generators"]
    scores, mask = 4 * batch["image"][labelled], batch["mask"][labelled]
    torch.testing.assert_close(terms["dice"], soft_dice_loss(scores, mask))
    torch.testing.assert_close(terms["cross_entropy"], cross_entropy_loss(scores, mask))


def test_unlabelled_images_teach_through_cycle_and_adversary_alone(make_batch, step_gradients):
    batch = {**make_batch(2, 32), **unpaired(make_batch, 2, 32), "labelled": torch.zeros(2, dtype=torch.bool)}
    batch["mask"].zero_()
    sums = {}
    for name, weights in {
        "supervised": {"dice": 1.0, "cross_entropy": 1.0},
        "cycle": {"cycle_image": 1.0},
        "adversary": {"mask_adversarial_weight": 1.0},
    }.items():
        objective = cycle(**only(**{"image_adversarial_weight": 1.0, **weights}))
        gradients = step_gradients(objective, objective.build_networks(), batch)["generators"]
        sums[name] = sum(g.abs().sum().item() for key, g in gradients.items() if key.startswith("generator."))
    assert sums["supervised"] == 0
    assert sums["cycle"] > 1e-4 and sums["adversary"] > 1e-4


@pytest.mark.parametrize("cycle_image", [1.0, 0.0])
def test_a_step_without_any_mask_teaches_what_it_can(make_batch, step_gradients, cycle_image):
    objective, batch = cycle(cycle_image=cycle_image), make_batch(2, 32)
    players = objective.build_networks()
    names = {name: set(terms) for name, terms in losses_of(objective, players, batch).items()}
    batch["labelled"] = torch.zeros(2, dtype=torch.bool)
    terms = losses_of(objective, players, batch)
    assert {name: set(found) for name, found in terms.items()} == names, "the log has the same columns"
    assert terms["discriminators"]["mask_accuracy"].item() == 0.5, "nothing was told apart"
    gradients = step_gradients(objective, players, batch)
    assert all(gradient.abs().sum() == 0 for gradient in gradients["discriminators"].values())
    for phase in objective.phases:
        expected = {f"{role}.{name}" for role in phase.trains for name, _ in players[role].named_parameters()}
        assert set(gradients[phase.name]) == expected
    painted = sum(g.abs().sum().item() for n, g in gradients["generators"].items() if n.startswith("painter."))
    assert (painted > 1e-4) == bool(cycle_image)
    assert gradients["generators"]["generator.head.conv.weight"].abs().sum() > 0


def test_pairs_are_refused_where_there_are_none(make_batch):
    batch = {**make_batch(2, 32), **unpaired(make_batch, 2, 32)}
    with pytest.raises(GANSegmentationError, match="unpaired") as caught:
        losses_of(cycle(paired_image=1.0), stands(), batch)
    assert caught.value.code == "invalid_objective"


# -------------------------------------------------------------------------------------- what the painter must not know


def test_the_painter_gets_fresh_noise_after_the_mask(make_batch):
    players, batch = stands(), make_batch(2, 32)
    losses_of(cycle(noise_channels=2), players, batch)
    first, second = players["painter"].seen
    assert first.shape == second.shape == (2, 3, 32, 32)
    torch.testing.assert_close(first[:, :1], batch["mask"][:, None].float())
    assert first[:, 1:].std().item() == pytest.approx(1, abs=0.05)
    assert not torch.equal(first[:, 1:], second[:, 1:])


@pytest.mark.parametrize("shown_masks", ["hard", "gumbel"])
def test_hard_masks_leave_painter_and_discriminator_no_shades(make_batch, shown_masks):
    players, batch = stands(), make_batch(2, 32)
    losses_of(cycle(shown_masks=shown_masks, noise_channels=0), players, batch)
    for seen in players["painter"].seen + players["mask_discriminator"].seen:
        assert set(seen.unique().tolist()) <= {0.0, 1.0}


@pytest.mark.parametrize(
    ("stop", "taught"),
    [("none", {"image": True, "mask": True}), ("image", {"image": False, "mask": True}),
     ("mask", {"image": True, "mask": False}), ("both", {"image": False, "mask": False})],
)  # fmt: skip
def test_cycles_can_be_kept_from_teaching_their_first_half(make_batch, step_gradients, stop, taught):
    batch = make_batch(2, 32)

    def moved(role: str, **weights: float) -> float:
        objective = cycle(**only(**weights), stop_gradient=stop)
        gradients = step_gradients(objective, objective.build_networks(), batch)["generators"]
        return sum(g.abs().sum().item() for name, g in gradients.items() if name.startswith(f"{role}."))

    assert (moved("generator", cycle_image=1.0) > 1e-5) == taught["image"]
    assert moved("painter", cycle_image=1.0) > 1e-5, "the second half learns in any case"
    # An objective must teach the painter images; next to nothing of it is asked for here.
    assert (moved("painter", cycle_mask=1.0, paired_image=1e-12) > 1e-5) == taught["mask"]
    assert moved("generator", cycle_mask=1.0, paired_image=1e-12) > 1e-5


# ------------------------------------------------------------------------------------------------------- adversaries


def opinions(objective, players, batch) -> dict[str, float]:
    """Mean score of real minus that of made samples, by kind."""
    with torch.no_grad():
        shared = objective.forward(players, batch)
        mask, image = players["mask_discriminator"], players["image_discriminator"]
        return {
            "mask": (mask(shared["masks"]).mean() - mask(shared["shown"]).mean()).item(),
            "image": (image(batch["image"]).mean() - image(shared["painted"]).mean()).item(),
        }


def test_discriminators_widen_the_gaps_and_generators_close_them(make_batch, train):
    objective, batch = cycle(**only(mask_adversarial_weight=1.0, image_adversarial_weight=1.0)), make_batch(4, 32)
    players = objective.build_networks()
    gaps = [opinions(objective, players, batch)]
    for phase, steps, rate in (("discriminators", 10, 1e-3), ("generators", 20, 2e-3)):
        train(objective, players, batch, steps=steps, rate=rate, only=phase)
        gaps.append(opinions(objective, players, batch))
    for kind in ("mask", "image"):
        before, wide, closed = (gap[kind] for gap in gaps)
        assert wide > before + 0.3, kind
        assert closed < wide - 0.1, kind


def test_discriminators_are_reminded_of_older_samples_of_their_own_kind(make_batch):
    objective, players = cycle(noise_channels=0, shown_masks="soft", buffer=2), stands()
    for _ in range(12):
        losses_of(objective, players, make_batch(2, 32))
    for role in ("mask_discriminator", "image_discriminator"):
        # Each step: the real samples, what the memory gives for the made ones, and these for the generators.
        shown, made = torch.cat(players[role].seen[1::3]), torch.cat(players[role].seen[2::3])
        age = [next(k for k in range(i + 1) if torch.equal(shown[i], made[i - k])) for i in range(len(shown))]
        assert not any(age[:2]), "there was nothing to remember"
        assert 4 <= sum(k > 0 for k in age) <= 18, "about half of the other 22"


def test_a_resumed_run_goes_the_same_way(make_batch, train):
    batch = make_batch(2, 32)
    config = {"buffer": 3, "shown_masks": "gumbel"}
    objective = cycle(**config)
    players = objective.build_networks()
    for _ in range(3):
        losses_of(objective, players, batch)
    file = io.BytesIO()
    states = {role: player.state_dict() for role, player in players.items()}
    torch.save({"networks": states, "objective": objective.state_dict(), "random": torch.get_rng_state()}, file)

    def go_on(objective, players) -> list[Tensor]:
        return [
            value
            for _ in range(4)
            for terms in losses_of(objective, players, batch).values()
            for value in terms.values()
        ]

    expected = go_on(objective, copy.deepcopy(players))
    file.seek(0)
    state = torch.load(file, weights_only=True)
    again = cycle(**config)
    others = again.build_networks()
    for role, player in others.items():
        player.load_state_dict(state["networks"][role])
    again.load_state_dict(state["objective"])
    torch.set_rng_state(state["random"])
    assert all(torch.equal(a, b) for a, b in zip(expected, go_on(again, others), strict=True))
    forgetful = cycle(**config)
    torch.set_rng_state(state["random"])
    assert any(not torch.equal(a, b) for a, b in zip(expected, go_on(forgetful, others), strict=True))


def test_the_adversarial_weights_ramp_and_the_terms_are_logged_throughout(make_batch):
    objective = cycle(**only(mask_adversarial_weight=2.0, image_adversarial_weight=4.0), warm_up=[10, 20])
    batch, totals = make_batch(1, 32), []
    for step in (0, 15, 20, 100):
        objective.set_progress(step, 1000)
        terms = losses_of(objective, stands(judge_mask=0.0, judge_image=0.0), batch)["generators"]
        assert terms["mask_adversarial"].item() == pytest.approx(1)
        totals.append(terms["total"].item())
    assert totals == pytest.approx([0, 3, 6, 6], abs=1e-5)


def test_the_reviewer_is_the_discriminator_of_masks(make_batch):
    objective = cycle(generator=OF_TWO)
    reviewer, players = objective.reviewer(), objective.build_networks()
    again = networks.build(reviewer.name, reviewer.config)
    again.load_state_dict(players[reviewer.role].state_dict())
    sees = networks.entry(reviewer.name).sees
    (given,) = networks.shown(sees, torch.zeros(2, 1, 64, 64), torch.softmax(torch.randn(2, 3, 32, 32), dim=1))
    assert sees == "mask" and again(given).shape == (2, 1, 4, 4)


@pytest.mark.parametrize(
    ("config", "count", "labels", "rate"),
    [({}, 2, 1, 2e-3), ({"generator": OF_TWO}, 2, 2, 2e-3), (FAITHFUL, 4, 1, 5e-3)],
    ids=["modern", "two-classes", "faithful"],
)
def test_one_batch_is_learned_by_heart(make_batch, train, config, count, labels, rate):
    objective, batch = cycle(**config), make_batch(count, 32, labels)
    scores = train(objective, objective.build_networks(), batch, steps=80, rate=rate)["scores"]
    found = (scores[:, 0] > 0).long() if labels == 1 else scores.argmax(dim=1)
    for label in range(1, labels + 1):
        a, b = found == label, batch["mask"] == label
        assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.95, label


def test_channels_follow_from_the_generator():
    generator = {"name": "pix2pix_modern", "config": {"channels": [8, 8], "in_channels": 3, "classes": 4}}
    players = cycle(generator=generator, noise_channels=2).build_networks()
    assert players["painter"].in_channels == 6 and players["painter"].head.conv.out_channels == 3
    assert players["mask_discriminator"].layers[0].in_channels == 4
    assert players["image_discriminator"].layers[0].in_channels == 3


def test_every_painter_of_the_registry_fits():
    painters = [name for name in networks.names("synthesiser") if not networks.entry(name).takes_domain]
    assert {"cyclegan_resnet_image", "unet_sriker_image"} <= set(painters)
    for name, noise in itertools.product(painters, (0, 1)):
        config = build("cycle", {**PLAYERS, "painter": {"name": name}, "noise_channels": noise})
        assert config.generator_spec()[0] == "pix2pix_modern"


@pytest.mark.parametrize(
    "config",
    [
        *({weight: -1.0} for weight in WEIGHTS),
        {"discriminator_weight": 0.0},
        only(dice=1.0),
        {"dice_smooth": 0.0},
        {"noise_channels": -1},
        {"temperature": 0.0},
        {"buffer": -1},
        {"warm_up": [2, 1]},
        {"shown_masks": "grey"},
        {"stop_gradient": "all"},
        {"setting": "published"},
        {"adversarial": "wgan"},
        {"identity": 1.0, "generator": OF_TWO},
        {"painter": {"name": "cyclegan_resnet"}},
        {"painter": {"name": "stargan_generator"}},
        {"painter": {"name": "cyclegan_resnet_image", "config": {"in_channels": 1}}},
        {"painter": {"name": "cyclegan_resnet_image", "config": {"out_channels": 2}}},
        {"mask_discriminator": {"name": "cyclegan_image_discriminator"}},
        {"image_discriminator": {"name": "cyclegan_discriminator"}},
        {"image_discriminator": {"name": "patch70"}},
        {"mask_discriminator": {"name": "cyclegan_discriminator", "config": {"in_channels": 2}}},
        {"generator": {"name": "pix2pix_seed"}},
        {"generator": {"name": "unet", "config": {"padding": "valid"}}},
        {"lambda_cycle": 10.0},
    ],
    ids=str,
)
def test_what_makes_no_objective_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        cycle(**config)
    assert caught.value.code == "invalid_objective"
