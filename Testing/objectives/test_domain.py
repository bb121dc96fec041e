"""Translation between domains and the segmentation of all of them: what each player sees and minimises."""

from __future__ import annotations

import json

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.objectives import build, losses

UAGAN = {"name": "uagan_generator", "config": {"width": 8, "levels": 2, "dropout": 0.0}}
STARGAN = {"name": "stargan_generator", "config": {"width": 8, "blocks": 1}}
JUDGE = {"name": "stargan_discriminator", "config": {"width": 8, "halvings": 4}}
CRITIC = {"name": "segan_critic", "config": {"width": 8}}
PLAYERS = {
    "stargan": {"generator": STARGAN, "discriminator": JUDGE, "n_critic": 1},
    "uagan": {"generator": UAGAN, "discriminator": JUDGE},
    "uasegan": {"generator": UAGAN, "discriminator": JUDGE, "critic": CRITIC},
}


def domain(setting="uagan", **config):
    return build("domain", {"setting": setting, **PLAYERS[setting], **config})


@pytest.fixture
def make_domains(make_batch):
    """``make_domains(count, size)``: slices of two domains in turn, whose grey values are each other's negative."""

    def make(count, size, labels=1):
        batch = make_batch(count, size, labels)
        which = torch.arange(count) % 2
        image = batch["image"].clamp(-1, 1) * torch.where(which == 0, 1.0, -1.0)[:, None, None, None]
        return {**batch, "image": image, "domain": which}

    return make


def losses_of(objective, players, batch, shared=None):
    shared = objective.forward(players, batch) if shared is None else shared
    return {phase.name: phase.loss(players, batch, shared) for phase in objective.phases}


class Painter(nn.Module):
    """A generator that keeps what it is told, gives fixed scores and paints the picture halved."""

    def __init__(self, scores: torch.Tensor | None) -> None:
        super().__init__()
        self.scores, self.told = scores, []

    def forward(self, image, domain, target=None):
        self.told.append((image.detach(), domain, target))
        return 0.5 * image if self.scores is None else (self.scores, 0.5 * image)


class Judge(nn.Module):
    """A discriminator of slope 2 per root pixel that names domains by what it is told."""

    def __init__(self, named: torch.Tensor) -> None:
        super().__init__()
        self.named, self.seen = named, []

    def forward(self, image):
        self.seen.append(image.detach())
        return image.mean(dim=(2, 3), keepdim=True), self.named


# ------------------------------------------------------------------------------------------------------- what is told


def test_targets_are_the_batch_s_domains_in_another_order(make_domains):
    batch, objective = make_domains(8, 16), domain()
    players = objective.build_networks()
    orders = set()
    for _ in range(6):
        shared = objective.forward(players, batch)
        assert torch.equal(shared["domain"].argmax(dim=1), batch["domain"])
        target = shared["target"].argmax(dim=1)
        assert sorted(target.tolist()) == sorted(batch["domain"].tolist())
        orders.add(tuple(target.tolist()))
    assert len(orders) > 1


@pytest.fixture
def exchanged(monkeypatch):
    """Every slice's target is the other of two domains."""
    monkeypatch.setattr(torch, "randperm", lambda count: torch.arange(count).flip(0))


def test_the_way_there_is_told_the_target_and_the_way_back_the_own_domain(make_domains, exchanged):
    batch, painter = make_domains(4, 16), Painter(torch.zeros(4, 1, 16, 16, requires_grad=True))
    objective, judge = domain(), Judge(torch.zeros(4, 2))
    players = {"generator": painter, "discriminator": judge}
    shared = objective.forward(players, batch)
    objective.phases[-1].loss(players, batch, shared)
    there, back = painter.told
    own = F.one_hot(batch["domain"], 2).float()
    assert torch.equal(shared["target"], own.flip(1))
    torch.testing.assert_close(there[0], batch["image"])
    assert torch.equal(there[1], own) and torch.equal(there[2], shared["target"])
    torch.testing.assert_close(back[0], 0.5 * batch["image"])
    assert torch.equal(back[1], shared["target"]) and torch.equal(back[2], own)


def test_stargan_s_generator_is_told_targets_alone(make_domains, exchanged):
    batch, painter = make_domains(4, 16), Painter(None)
    objective, players = domain("stargan"), {"generator": painter, "discriminator": Judge(torch.zeros(4, 2))}
    shared = objective.forward(players, batch)
    objective.phases[-1].loss(players, batch, shared)
    assert [told[2] for told in painter.told] == [None, None]
    assert torch.equal(painter.told[0][1], shared["target"]) and torch.equal(painter.told[1][1], shared["domain"])
    assert set(shared) == {"translated", "target", "domain"}


@pytest.mark.parametrize("setting", PLAYERS)
def test_slices_without_a_domain_are_an_error_that_says_what_to_set(make_batch, setting):
    objective = domain(setting)
    with pytest.raises(GANSegmentationError) as caught:
        objective.forward(objective.build_networks(), make_batch(2, 32))
    assert caught.value.code == "domains_missing"
    assert "data.domains" in caught.value.action


# -------------------------------------------------------------------------------------------------------------- losses


def test_the_discriminator_s_loss_is_wgan_gp_and_the_domain_of_real_slices(make_domains):
    batch, named = make_domains(4, 16), torch.randn(4, 2)
    objective, judge = domain(classification=2.0, penalty=3.0), Judge(named)
    translated = torch.rand(4, 1, 16, 16)
    shared = {"translated": translated, "domain": F.one_hot(batch["domain"], 2).float()}
    terms = objective.phases[0].loss({"discriminator": judge}, batch, shared)
    gap = batch["image"].mean() - translated.mean()
    entropy = F.cross_entropy(named, batch["domain"])
    slope = 1 / 16  # of the mean over 16 x 16 pixels
    torch.testing.assert_close(terms["gap"], gap)
    torch.testing.assert_close(terms["classification"], entropy)
    assert terms["penalty"].item() == pytest.approx((1 - slope) ** 2, rel=1e-4)
    torch.testing.assert_close(terms["total"], 2 * entropy + 3 * terms["penalty"] - gap)
    torch.testing.assert_close(judge.seen[0], batch["image"])
    torch.testing.assert_close(judge.seen[1], translated)


def test_the_generator_s_loss_is_the_published_sum(make_domains):
    batch, named, scores = make_domains(4, 16), torch.randn(4, 2), torch.randn(4, 1, 16, 16, requires_grad=True)
    weights = {"classification": 2.0, "reconstruction": 5.0, "segmentation": 7.0, "shape": 11.0, "shape_ramp": 0.0}
    objective = domain(adversarial_weight=3.0, dice=0.5, cross_entropy=1.5, **weights)
    players = {"generator": Painter(scores), "discriminator": Judge(named)}
    shared = objective.forward(players, batch)
    terms = objective.phases[-1].loss(players, batch, shared)
    image = batch["image"]
    masks = 0.5 * losses.soft_dice_loss(scores, batch["mask"]) + 1.5 * losses.cross_entropy_loss(scores, batch["mask"])
    expected = (
        3 * -(0.5 * image).mean()
        + 2 * F.cross_entropy(named, shared["target"].argmax(dim=1))
        + 5 * (image - 0.25 * image).abs().mean()
        + (7 + 11) * masks
    )
    torch.testing.assert_close(terms["total"], expected)
    torch.testing.assert_close(terms["shape"], masks.detach())


def test_stargan_s_generator_translates_and_nothing_else(make_domains):
    batch, objective = make_domains(2, 32), domain("stargan")
    players = objective.build_networks()
    terms = losses_of(objective, players, batch)["generator"]
    assert set(terms) == {"total", "adversarial", "classification", "reconstruction"}
    total = terms["adversarial"] + terms["classification"] + 10 * terms["reconstruction"]
    torch.testing.assert_close(terms["total"].detach(), total)
    assert objective.task == "synthesis" and domain().task == "segmentation"


def test_the_class_weighted_entropy_is_torch_s_for_one_logit_as_for_two_classes():
    scores, mask = torch.randn(2, 2, 8, 8), torch.randint(2, (2, 8, 8))
    expected = F.cross_entropy(scores, mask, torch.tensor([0.02, 0.98]))
    torch.testing.assert_close(losses.cross_entropy_loss(scores, mask, (0.02, 0.98)), expected)
    logit = (scores[:, 1] - scores[:, 0])[:, None]
    torch.testing.assert_close(losses.cross_entropy_loss(logit, mask, (0.02, 0.98)), expected)
    torch.testing.assert_close(
        losses.cross_entropy_loss(logit, mask, (1.0, 1.0)), losses.cross_entropy_loss(logit, mask)
    )


def test_class_weights_reach_the_loss(make_domains):
    batch, scores = make_domains(2, 16), torch.randn(2, 1, 16, 16, requires_grad=True)
    players = {"generator": Painter(scores), "discriminator": Judge(torch.zeros(2, 2))}
    terms = losses_of(domain(class_weights=[0.1, 0.9]), players, batch)["generator"]
    torch.testing.assert_close(
        terms["cross_entropy"], losses.cross_entropy_loss(scores, batch["mask"], (0.1, 0.9)).detach()
    )


def test_the_weight_of_shape_grows_over_the_first_part_of_training():
    objective, given = domain(shape=50.0, shape_ramp=0.6), []
    for step in (0, 150, 300, 600, 1000):
        objective.set_progress(step, 1000)
        given.append(objective.shape_weight)
    assert given == pytest.approx([0, 12.5, 25, 50, 50])
    assert domain(shape=50.0, shape_ramp=0.0).shape_weight == 50


def test_the_segan_critic_sees_the_image_in_0_to_1_under_found_and_real_masks(make_domains):
    class Features(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = []

        def forward(self, x):
            self.seen.append(x)
            return x, 3 * x

    batch, critic = make_domains(2, 16), Features()
    objective, scores = domain("uasegan"), torch.randn(2, 1, 16, 16)
    critics = [phase for phase in objective.phases if phase.name == "critic"]
    assert critics[0].clip.bound == 0.05 and critics[0].clip.only_convolutions
    terms = critics[0].loss({"critic": critic}, batch, {"scores": scores})
    unit, real = (batch["image"] + 1) / 2, batch["mask"][:, None].float()
    torch.testing.assert_close(critic.seen[0], unit * torch.sigmoid(scores))
    torch.testing.assert_close(critic.seen[1], unit * real)
    difference = (unit * (torch.sigmoid(scores) - real)).abs().mean()
    torch.testing.assert_close(terms["gap"], 2 * difference)
    torch.testing.assert_close(terms["total"], -2 * difference)


def test_the_segan_critic_sees_every_foreground_class(make_domains):
    generator = {"name": "uagan_generator", "config": {**UAGAN["config"], "classes": 3}}
    objective = domain("uasegan", generator=generator)
    players = objective.build_networks()
    assert players["critic"].layers[0].conv.in_channels == 2
    assert losses_of(objective, players, make_domains(2, 32, 2))["generator"]["multiscale"] > 0


# -------------------------------------------------------------------------------------------------- signs and gradients


@pytest.mark.parametrize("setting", ["stargan", "uagan"])
def test_discriminator_steps_widen_the_gap_and_learn_to_name_the_domain(make_domains, train, setting):
    """A critic that cooperates with the generator would close it."""
    objective, batch = domain(setting), make_domains(4, 32)
    players = objective.build_networks()
    torch.manual_seed(1)
    before = losses_of(objective, players, batch)["discriminator"]
    train(objective, players, batch, steps=10, rate=2e-3, only="discriminator")
    torch.manual_seed(1)
    after = losses_of(objective, players, batch)["discriminator"]
    assert after["gap"] > before["gap"] + 0.3
    assert after["classification"] < 0.7 * before["classification"]


def test_critic_steps_widen_the_segan_gap(make_domains, train):
    objective, batch = domain("uasegan"), make_domains(4, 32)
    players = objective.build_networks()
    train(objective, players, batch, steps=1, rate=1e-3, only="critic")  # clipped, from where it may grow
    before = losses_of(objective, players, batch)["critic"]["gap"]
    train(objective, players, batch, steps=15, rate=2e-3, only="critic")
    assert losses_of(objective, players, batch)["critic"]["gap"] > 1.02 * before


@pytest.mark.parametrize(
    ("term", "weights"),
    [
        ("adversarial", {"adversarial_weight": 1.0}),
        ("classification", {"classification": 1.0}),
        ("reconstruction", {"reconstruction": 1.0}),
        ("shape", {"shape": 1.0, "shape_ramp": 0.0}),
    ],
)
def test_generator_steps_lower_each_term_of_translation(make_domains, train, term, weights):
    alone = {
        "adversarial_weight": 0.0,
        "classification": 0.0,
        "reconstruction": 0.0,
        "segmentation": 1e-9,
        "shape": 0.0,
    }
    objective, batch = domain(**{**alone, **weights}), make_domains(4, 32)
    players = objective.build_networks()
    train(objective, players, batch, steps=8, rate=2e-3, only="discriminator")

    def value():
        torch.manual_seed(1)
        return losses_of(objective, players, batch)["generator"][term].item()

    before = value()
    train(objective, players, batch, steps=10, rate=2e-3, only="generator")
    assert value() < before - 0.02


def test_the_adversary_alone_reaches_both_encoders_and_the_translating_decoder(make_domains):
    objective, batch = domain(), make_domains(2, 32)
    players = objective.build_networks()
    translated = objective.forward(players, batch)["translated"]
    (-players["discriminator"](translated)[0].mean()).backward()
    moved = {
        name.split(".")[0]
        for name, parameter in players["generator"].named_parameters()
        if parameter.grad is not None and parameter.grad.abs().sum() > 0
    }
    assert moved == {
        "segmentation_encoder",
        "translation_encoder",
        "bottleneck",
        "translation_decoder",
        "translation_head",
    }


def test_the_shape_of_translations_reaches_the_translating_decoder(make_domains, step_gradients):
    """Segmentation of slices does not; that of translations must, or they need not keep what the mask shows."""
    moved = []
    for shape in (0.0, 1.0):
        torch.manual_seed(3)
        weights = {"adversarial_weight": 0.0, "classification": 0.0, "reconstruction": 0.0, "shape_ramp": 0.0}
        objective = domain(shape=shape, **weights)
        gradients = step_gradients(objective, objective.build_networks(), make_domains(2, 32))["generator"]
        moved.append(gradients["generator.translation_head.conv.weight"].abs().sum().item())
    assert moved[0] == 0 and moved[1] > 0


def test_the_segan_critic_reaches_the_generator(make_domains):
    gradients = []
    for multiscale in (1e-9, 1.0):
        torch.manual_seed(3)
        objective, batch = domain("uasegan", multiscale=multiscale), make_domains(2, 32)
        players = objective.build_networks()
        losses_of(objective, players, batch)["generator"]["total"].backward()
        gradients.append(players["generator"].segmentation_head.conv.weight.grad.clone())
    assert not torch.allclose(*gradients, rtol=1e-3)


@pytest.mark.parametrize("setting", PLAYERS)
def test_the_label_of_the_domain_changes_what_is_computed(make_domains, setting):
    """Not at the border alone: see the tests of the networks."""
    objective, batch = domain(setting), make_domains(2, 64)
    players = objective.build_networks()
    torch.manual_seed(1)
    one = objective.forward(players, batch)
    torch.manual_seed(1)
    other = objective.forward(players, {**batch, "domain": 1 - batch["domain"]})
    for name in ("translated", "scores"):
        if name in one:
            inside = (one[name] - other[name])[..., 8:-8, 8:-8].abs().mean()
            assert inside > 0.02 * one[name].abs().mean(), name


# ------------------------------------------------------------------------------------------------- slices without masks


@pytest.mark.parametrize("setting", ["uagan", "uasegan"])
def test_masks_that_are_withheld_have_no_say(make_domains, setting):
    objective, batch = domain(setting, shape_ramp=0.0), make_domains(4, 32)
    players = {role: network.eval() for role, network in objective.build_networks().items()}
    batch["labelled"] = torch.tensor([True, False, True, False])
    totals = []
    for change in (0, 1):
        mask = batch["mask"].clone()
        mask[~batch["labelled"]] = change
        torch.manual_seed(1)
        totals.append({n: t["total"] for n, t in losses_of(objective, players, {**batch, "mask": mask}).items()})
    assert totals[0]["generator"] == totals[1]["generator"]
    if setting == "uasegan":
        assert totals[0]["critic"] == totals[1]["critic"]


def test_labelled_slices_count_by_their_own_mean(make_domains):
    batch, scores = make_domains(4, 16), torch.randn(4, 1, 16, 16, requires_grad=True)
    batch["labelled"] = torch.tensor([False, True, True, False])
    players = {"generator": Painter(scores), "discriminator": Judge(torch.zeros(4, 2))}
    terms = losses_of(domain(), players, batch)["generator"]
    kept = batch["labelled"]
    torch.testing.assert_close(terms["dice"], losses.soft_dice_loss(scores[kept], batch["mask"][kept]).detach())
    torch.testing.assert_close(
        terms["cross_entropy"], losses.cross_entropy_loss(scores[kept], batch["mask"][kept]).detach()
    )


@pytest.mark.parametrize("setting", ["uagan", "uasegan"])
def test_without_any_mask_translation_still_learns(make_domains, step_gradients, setting):
    objective, batch = domain(setting, shape_ramp=0.0), make_domains(2, 32)
    batch["labelled"] = torch.zeros(2, dtype=torch.bool)
    players = objective.build_networks()
    terms = losses_of(objective, players, batch)["generator"]
    assert terms["dice"] == terms["cross_entropy"] == terms["shape"] == 0
    gradients = step_gradients(objective, players, batch)
    assert gradients["generator"]["generator.translation_head.conv.weight"].abs().sum() > 0
    assert gradients["generator"]["generator.segmentation_head.conv.weight"].abs().sum() == 0
    assert all(gradient.isfinite().all() for phase in gradients.values() for gradient in phase.values())
    if setting == "uasegan":
        assert all(gradient.abs().sum() == 0 for gradient in gradients["critic"].values())


# ------------------------------------------------------------------------------------------------------ whole trainings


def dice(found, reference):
    return (2 * (found & reference).sum() / (found.sum() + reference.sum())).item()


@pytest.mark.parametrize("setting", ["uagan", "uasegan"])
def test_one_batch_of_two_domains_is_learned_by_heart(make_domains, train, setting):
    """At width 8 and a learning rate of 4e-3, while translating."""
    objective, batch = domain(setting), make_domains(4, 32)
    shared = train(objective, objective.build_networks(), batch, steps=60, rate=4e-3)
    assert dice(shared["scores"][:, 0] > 0, batch["mask"] > 0) > 0.95


def test_stargan_learns_to_turn_one_domain_into_the_other(make_domains, train):
    """The domains are each other's negative: dark becomes bright, and back again."""
    objective, batch = domain("stargan"), make_domains(4, 16)
    rows, signs = torch.linspace(-1, 1, 16), torch.tensor([1.0, -1.0, 1.0, -1.0]).view(4, 1, 1, 1)
    batch["image"] = signs * (0.6 + 0.2 * rows)[None, None, :, None].expand(4, 1, 16, 16)
    players = objective.build_networks()
    train(objective, players, batch, steps=120, rate=2e-3)
    own = F.one_hot(batch["domain"], 2).float()
    with torch.no_grad():
        other, same = players["generator"](batch["image"], own.flip(1)), players["generator"](batch["image"], own)
    assert (other * -signs).mean() > 0.3, "of the other domain's brightness"
    assert (same * signs).mean() > 0.3, "left as it is in its own domain"


def test_supervised_trains_a_generator_that_is_told_the_domain(make_domains, make_batch, train):
    objective = build("supervised", {"generator": UAGAN})
    batch, players = make_domains(2, 32), objective.build_networks()
    before = objective.forward(players, batch)["scores"]
    assert not torch.allclose(before, objective.forward(players, {**batch, "domain": 1 - batch["domain"]})["scores"])
    shared = train(objective, players, batch, steps=40, rate=4e-3)
    assert dice(shared["scores"][:, 0] > 0, batch["mask"] > 0) > 0.9
    with pytest.raises(GANSegmentationError) as caught:
        objective.forward(players, make_batch(2, 32))
    assert caught.value.code == "domains_missing"


# ------------------------------------------------------------------------------------------------------- configurations


def test_settings_and_recipes_take_the_published_networks_and_weights():
    def made(**config):
        return build("domain", config)

    faithful = made(setting="uagan", recipe="faithful")
    assert faithful.generator_spec()[1]["conditioning"] == "channels"
    assert faithful.generator_spec()[1]["up"] == "transposed"
    assert faithful.config.class_weights == (0.02, 0.98) and faithful.config.dice == 0
    assert (faithful.config.segmentation, faithful.config.shape, faithful.config.n_critic) == (100, 100, 1)
    modern = made(setting="uagan")
    assert modern.generator_spec()[1]["conditioning"] == "conditional_instance_norm"
    assert modern.config.class_weights == () and modern.config.dice == 1
    assert (modern.config.segmentation, modern.config.shape) == (10, 10)
    stargan = made(setting="stargan", recipe="faithful")
    assert stargan.generator_spec()[1]["running_statistics"] and stargan.phases[-1].every == 5
    assert [phase.name for phase in made(setting="uasegan").phases] == ["discriminator", "critic", "generator"]
    for objective in (faithful, modern, stargan):
        assert (objective.config.classification, objective.config.reconstruction, objective.config.penalty) == (
            1,
            10,
            10,
        )
        assert objective.reviewer() is None


def test_channels_and_domains_follow_from_the_generator():
    generator = {"name": "uagan_generator", "config": {**UAGAN["config"], "in_channels": 3, "domains": 4}}
    objective = build("domain", {"setting": "uasegan", "generator": generator})
    assert objective._discriminator.config.to_dict()["in_channels"] == 3
    assert objective._discriminator.config.to_dict()["domains"] == 4
    assert objective._critic.config.to_dict()["in_channels"] == 3
    assert json.loads(json.dumps(objective.generator_spec()[1])) == objective.generator_spec()[1]


@pytest.mark.parametrize(
    ("objective", "network"),
    [
        ("conditional", "uagan_generator"),
        ("wasserstein", "uagan_generator"),
        ("multiscale_l1", "uagan_generator"),
        ("synthesis", "stargan_generator"),
    ],
)
def test_objectives_that_know_no_domain_refuse_networks_that_ask_for_it(objective, network):
    with pytest.raises(GANSegmentationError, match="domain") as caught:
        build(objective, {"generator": {"name": network}})
    assert caught.value.code == "invalid_objective"


@pytest.mark.parametrize(
    "config",
    [
        {"setting": "cyclegan"},
        {"recipe": "published"},
        {"penalty": 0.0},
        {"classification": -1.0},
        {"segmentation": 0.0},
        {"dice": 0.0, "cross_entropy": 0.0},
        {"dice_smooth": 0.0},
        {"shape_ramp": 1.5},
        {"n_critic": 0},
        {"clip": 0.0},
        {"class_weights": [1.0]},
        {"class_weights": [1.0, -1.0]},
        {"critic": {"name": "segan_critic"}},
        {"multiscale": 1.0},
        {"setting": "uasegan", "multiscale": 0.0},
        {"setting": "uasegan", "critic": {"name": "patch70"}},
        {"setting": "uasegan", "critic": {"name": "segan_critic", "config": {"in_channels": 2}}},
        {"setting": "stargan", "segmentation": 1.0},
        {"setting": "stargan", "generator": {"name": "uagan_generator"}},
        {"generator": {"name": "stargan_generator"}},
        {"generator": {"name": "pix2pix_modern"}},
        {"discriminator": {"name": "patch70"}},
        {"discriminator": {"name": "stargan_discriminator", "config": {"domains": 3}}},
        {"discriminator": {"name": "stargan_discriminator", "config": {"in_channels": 3}}},
        {"lambda_rec": 10},
    ],
    ids=str,
)
def test_what_makes_no_objective_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("domain", config)
    assert caught.value.code == "invalid_objective"
