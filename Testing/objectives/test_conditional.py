"""pix2pix: what each player sees and minimises, in both settings."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from GANSegmentationLib import networks
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.objectives import build
from GANSegmentationLib.objectives.losses import discriminator_loss, generator_adversarial_loss, l1_loss


class Recorder(nn.Module):
    """A discriminator that keeps what it is shown and answers with what it is told to, one answer a call."""

    def __init__(self, *answers: float) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []
        self.answers = list(answers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(x.detach())
        return x.mean() * 0 + torch.full((x.shape[0], 1, 4, 4), self.answers[(len(self.seen) - 1) % len(self.answers)])


def modern(small, **config):
    return build("conditional", {**small, **config})


def losses_of(objective, batch, scores, judge):
    shared = {"scores": scores}
    return {phase.name: phase.loss({"discriminator": judge}, batch, shared) for phase in objective.phases}


def test_phases_come_in_pix2pix_order(small):
    assert [phase.name for phase in modern(small).phases] == ["discriminator", "generator"]


def test_modern_discriminator_sees_image_and_probabilities(small, make_batch):
    batch, scores, judge = make_batch(2, 32), torch.randn(2, 1, 32, 32), Recorder(0.0)
    losses_of(modern(small), batch, scores, judge)
    real, fake, again = judge.seen
    assert real.shape == (2, 2, 32, 32)
    for shown in judge.seen:
        torch.testing.assert_close(shown[:, :1], batch["image"])
    torch.testing.assert_close(real[:, 1], batch["mask"].float())
    torch.testing.assert_close(fake[:, 1:], torch.sigmoid(scores))
    torch.testing.assert_close(again, fake)


def test_modern_discriminator_sees_softmax_and_one_hot_of_several_classes(small, make_batch):
    generator = {"name": "pix2pix_modern", "config": {**small["generator"]["config"], "classes": 3}}
    batch, scores, judge = make_batch(2, 32, 2), torch.randn(2, 3, 32, 32), Recorder(0.0)
    losses_of(modern(small, generator=generator), batch, scores, judge)
    real, fake, _ = judge.seen
    assert real.shape == (2, 4, 32, 32)
    torch.testing.assert_close(real[:, 1:].argmax(dim=1), batch["mask"])
    torch.testing.assert_close(fake[:, 1:], torch.softmax(scores, dim=1))


def test_smoothing_keeps_the_discriminator_from_knowing_references_by_their_hardness(small, make_batch):
    judge = Recorder(0.0)
    losses_of(modern(small, mask_smoothing=0.1), make_batch(1, 32), torch.zeros(1, 1, 32, 32), judge)
    shown = judge.seen[0][:, 1].unique()
    torch.testing.assert_close(shown, torch.tensor([0.1, 0.9]))


def test_instance_noise_is_on_both_masks_and_not_on_the_image(small, make_batch):
    batch, judge = make_batch(2, 64), Recorder(0.0)
    scores = torch.randn(2, 1, 64, 64)
    losses_of(modern(small, instance_noise=0.2), batch, scores, judge)
    for shown, clean in zip(judge.seen[:2], (batch["mask"].float(), torch.sigmoid(scores[:, 0])), strict=True):
        assert (shown[:, 1] - clean).std().item() == pytest.approx(0.2, rel=0.05)
        torch.testing.assert_close(shown[:, :1], batch["image"])


def test_faithful_masks_are_pictures_and_grey_images_three_channels(make_batch):
    objective = build("conditional", {"setting": "faithful"})
    batch, judge = make_batch(1, 32), Recorder(0.0)
    picture = torch.tanh(torch.randn(1, 3, 32, 32))
    losses_of(objective, batch, picture, judge)
    real, fake, _ = judge.seen
    assert real.shape == (1, 6, 32, 32)
    torch.testing.assert_close(real[:, :3], batch["image"].expand(-1, 3, -1, -1))
    torch.testing.assert_close(real[:, 3:], (2.0 * batch["mask"] - 1)[:, None].expand(-1, 3, -1, -1))
    torch.testing.assert_close(fake[:, 3:], picture)


def test_faithful_losses_are_the_seeds(make_batch):
    objective = build("conditional", {"setting": "faithful"})
    batch, picture = make_batch(1, 32), torch.tanh(torch.randn(1, 3, 32, 32))
    terms = losses_of(objective, batch, picture, Recorder(0.7, -0.4, -0.4))
    real, fake = discriminator_loss("vanilla", torch.tensor(0.7), torch.tensor(-0.4))
    torch.testing.assert_close(terms["discriminator"]["total"], 0.5 * (real + fake))
    target = (2.0 * batch["mask"] - 1)[:, None].expand(-1, 3, -1, -1)
    expected = generator_adversarial_loss("vanilla", torch.tensor(-0.4)) + 100 * l1_loss(picture, target)
    torch.testing.assert_close(terms["generator"]["total"], expected)


def test_faithful_uses_the_seeds_networks_and_first_weights():
    objective = build("conditional", {"setting": "faithful"})
    players = objective.build_networks()
    assert sum(p.numel() for p in players["generator"].parameters()) == 54_419_459
    assert sum(p.numel() for p in players["discriminator"].parameters()) == 6_965_441
    assert players["generator"].decoder[0].conv.weight.std().item() == pytest.approx(0.02, rel=0.01)


def test_each_player_has_its_own_first_weights(small):
    drawn = modern(small, initialisation="he", discriminator_initialisation="normal").build_networks()
    assert drawn["discriminator"].layers[2].conv.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert drawn["generator"].encoder[1].down.conv.weight.std().item() > 0.05


def test_modern_total_adds_a_small_adversarial_term(small, make_batch):
    batch, scores = make_batch(2, 32), torch.randn(2, 1, 32, 32)
    terms = losses_of(modern(small, adversarial_weight=0.03), batch, scores, Recorder(0.7, -0.4, -0.4))
    generator = terms["generator"]
    assert generator["adversarial"].item() == pytest.approx(1.4**2)
    torch.testing.assert_close(generator["total"], generator["dice"] + generator["cross_entropy"] + 0.03 * 1.4**2)
    assert terms["discriminator"]["total"].item() == pytest.approx(0.5 * (0.3**2 + 0.4**2))
    assert terms["discriminator"]["accuracy"].item() == 1


def test_without_adversarial_weight_the_generator_learns_as_its_supervised_twin(small, make_batch, step_gradients):
    batch = make_batch(2, 64)
    generator = {"name": "pix2pix_modern", "config": {**small["generator"]["config"], "dropout": 0.0}}
    twin = build("supervised", {"generator": generator})
    adversarial = modern(small, generator=generator, adversarial_weight=0.0)
    gradients = []
    for objective in (twin, adversarial):
        torch.manual_seed(1)
        gradients.append(step_gradients(objective, objective.build_networks(), batch)["generator"])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=0, atol=0)


def test_the_adversary_reaches_the_generator(small, make_batch, step_gradients):
    batch = make_batch(2, 64)
    generator = {"name": "pix2pix_modern", "config": {**small["generator"]["config"], "dropout": 0.0}}
    gradients = []
    for weight in (0.0, 0.5):
        torch.manual_seed(1)
        objective = modern(small, generator=generator, adversarial_weight=weight)
        gradients.append(step_gradients(objective, objective.build_networks(), batch)["generator"])
    assert any(not torch.allclose(gradients[0][name], gradients[1][name], rtol=1e-3) for name in gradients[0])


def test_the_weight_ramps_with_the_training_step(small):
    objective = modern(small, warm_up=[100, 300], adversarial_weight=0.04)
    given = []
    for step in (0, 100, 150, 200, 300, 5000):
        objective.set_progress(step, 10_000)
        given.append(objective.adversarial_weight)
    assert given == pytest.approx([0, 0, 0.01, 0.02, 0.04, 0.04])


def test_without_warm_up_the_weight_is_full_from_the_start(small):
    assert modern(small, adversarial_weight=0.04).adversarial_weight == 0.04


def test_the_ramp_reaches_the_loss_and_the_term_is_logged_throughout(small, make_batch):
    objective = modern(small, warm_up=[10, 20], adversarial_weight=1.0)
    batch, scores = make_batch(1, 32), torch.randn(1, 1, 32, 32, requires_grad=True)
    extra = []
    for step in (0, 15, 20):
        objective.set_progress(step, 100)
        terms = losses_of(objective, batch, scores, Recorder(1.0, 0.0, 0.0))["generator"]
        assert terms["adversarial"].item() == pytest.approx(1)
        extra.append((terms["total"] - terms["dice"] - terms["cross_entropy"]).item())
    assert extra == pytest.approx([0, 0.5, 1], abs=1e-5)


@pytest.mark.parametrize("adversarial", ["vanilla", "lsgan", "hinge"])
def test_the_gap_between_real_and_fake_grows_under_discriminator_steps(small, make_batch, train, adversarial):
    """A critic that cooperates with the generator would close it."""
    objective, batch = modern(small, adversarial=adversarial), make_batch(4, 64)
    players = objective.build_networks()

    def gap() -> float:
        with torch.no_grad():
            shared = objective.forward(players, batch)
            real = objective._judge(players, batch["image"], objective.reference(batch["mask"]))
            fake = objective._judge(players, batch["image"], torch.sigmoid(shared["scores"]))
        return (real.mean() - fake.mean()).item()

    before = gap()
    train(objective, players, batch, steps=12, rate=2e-3, only="discriminator")
    assert gap() > before + 0.3


@pytest.mark.parametrize("adversarial", ["vanilla", "lsgan", "hinge"])
def test_generator_steps_raise_the_discriminators_opinion_of_the_fakes(small, make_batch, train, adversarial):
    objective = modern(small, adversarial=adversarial, adversarial_weight=1.0, dice=1e-6, cross_entropy=0.0)
    batch, players = make_batch(4, 64), objective.build_networks()
    train(objective, players, batch, steps=8, rate=2e-3, only="discriminator")

    def opinion() -> float:
        with torch.no_grad():
            shared = objective.forward(players, batch)
            return objective._judge(players, batch["image"], torch.sigmoid(shared["scores"])).mean().item()

    before = opinion()
    train(objective, players, batch, steps=8, rate=2e-3, only="generator")
    assert opinion() > before + 0.1


def dice(found: torch.Tensor, reference: torch.Tensor) -> float:
    return (2 * (found & reference).sum() / (found.sum() + reference.sum())).item()


def test_modern_learns_one_batch_by_heart(small, make_batch, train):
    objective, batch = modern(small), make_batch(4, 64)
    shared = train(objective, objective.build_networks(), batch, steps=40, rate=2e-3)
    assert dice(shared["scores"][:, 0] > 0, batch["mask"] > 0) > 0.95


def test_faithful_learns_one_slice_by_heart(make_batch, train):
    objective, batch = build("conditional", {"setting": "faithful"}), make_batch(1, 256)
    shared = train(objective, objective.build_networks(), batch, steps=6, rate=1e-3)
    assert dice(shared["scores"].mean(dim=1) > 0, batch["mask"] > 0) > 0.9


def test_discriminator_channels_follow_from_the_generator(small):
    generator = {"name": "pix2pix_modern", "config": {"channels": [8, 8], "in_channels": 3, "classes": 4}}
    players = modern(small, generator=generator).build_networks()
    assert players["discriminator"].layers[0].conv.in_channels == 7


def partly(batch, labelled):
    batch = {**batch, "labelled": torch.tensor(labelled)}
    batch["mask"] = torch.where(batch["labelled"][:, None, None], batch["mask"], 0)
    return batch


@pytest.mark.parametrize("setting", ["modern", "faithful"])
def test_samples_without_reference_are_fakes_and_never_references(small, make_batch, setting):
    objective = modern(small) if setting == "modern" else build("conditional", {"setting": "faithful"})
    batch, judge = partly(make_batch(4, 32), [True, False, True, False]), Recorder(0.0)
    scores = torch.randn(4, 1, 32, 32) if setting == "modern" else torch.tanh(torch.randn(4, 3, 32, 32))
    terms = losses_of(objective, batch, scores, judge)
    real, fake, fooling = judge.seen
    channels = real.shape[1] // 2
    torch.testing.assert_close(real[:, :1], batch["image"][batch["labelled"]])
    torch.testing.assert_close(real[:, channels:], objective.reference(batch["mask"][[0, 2]]))
    assert len(fake) == len(fooling) == 4
    alone = {name: value[[0, 2]] for name, value in batch.items() if name != "labelled"}
    expected = losses_of(objective, alone, scores[[0, 2]], Recorder(0.0))
    torch.testing.assert_close(terms["generator"]["total"], expected["generator"]["total"])


@pytest.mark.parametrize("setting", ["modern", "faithful"])
def test_a_batch_without_any_reference_teaches_by_the_adversary_alone(small, make_batch, setting):
    objective = modern(small) if setting == "modern" else build("conditional", {"setting": "faithful"})
    batch = partly(make_batch(2, 32), [False, False])
    scores = torch.randn(2, 1 if setting == "modern" else 3, 32, 32, requires_grad=True)
    judge = torch.nn.Conv2d(2 if setting == "modern" else 6, 1, 4, 2, 1)
    terms = losses_of(objective, batch, scores, judge)
    discriminator, generator = terms["discriminator"], terms["generator"]
    assert all(value.isfinite() for values in terms.values() for value in values.values())
    assert discriminator["real"] == 0 and discriminator["fake"] > 0
    torch.testing.assert_close(generator["total"], objective.adversarial_weight * generator["adversarial"])
    (gradient,) = torch.autograd.grad(generator["total"], scores)
    assert gradient.abs().sum() > 0


@pytest.mark.parametrize("name", ["patch70", "patch142_keras", "lgan_early_fusion"])
def test_any_discriminator_of_pairs_plays(make_batch, step_gradients, name):
    generator = {"name": "pix2pix_modern", "config": {"channels": [8, 8], "in_channels": 2, "classes": 3}}
    objective = build("conditional", {"generator": generator, "discriminator": {"name": name}, "adversarial": "hinge"})
    batch, players = make_batch(2, 64, 2), objective.build_networks()
    batch["image"] = batch["image"].repeat(1, 2, 1, 1)
    gradients = step_gradients(objective, players, batch)
    assert len(gradients["discriminator"]) == len([*players["discriminator"].parameters()])
    assert all(gradient.isfinite().all() for gradient in gradients["generator"].values())


@pytest.mark.parametrize("config", [{}, {"setting": "faithful"}], ids=str)
def test_the_discriminator_reviews(small, config):
    objective = build("conditional", {**({} if config else small), **config})
    reviewer = objective.reviewer()
    assert reviewer.role == "discriminator" and reviewer.role in objective.build_networks()
    again, trained = networks.build(reviewer.name, reviewer.config), objective.build_networks()[reviewer.role]
    again.load_state_dict(trained.state_dict())


@pytest.mark.parametrize(
    "config",
    [
        {"setting": "faithfull"},
        {"discriminator": {"name": "lgan_basic"}},
        {"discriminator": {"name": "lgan_late_fusion"}},
        {"discriminator": {"name": "multiscale_patch70"}},
        {"discriminator": {"name": "lgan_early_fusion", "config": {"mask_channels": 2}}},
        {"setting": "faithful", "dice": 1.0},
        {"setting": "faithful", "instance_noise": 0.1},
        {"setting": "faithful", "generator": {"name": "pix2pix_modern"}},
        {"setting": "faithful", "l1": 0.0, "adversarial_weight": 0.0},
        {"generator": {"name": "pix2pix_seed"}},
        {"l1": 100.0},
        {"adversarial_weight": -0.1},
        {"discriminator_weight": 0.0},
        {"adversarial": "wgan"},
        {"warm_up": [20, 10]},
        {"warm_up": [10]},
        {"mask_smoothing": 0.5},
        {"instance_noise": -1},
        {"dice": 0, "cross_entropy": 0},
        {"discriminator": {"name": "pix2pix_modern"}},
        {"discriminator": {"name": "patch70", "config": {"in_channels": 5}}},
        {"lambda": 100},
    ],
    ids=str,
)
def test_what_makes_no_objective_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("conditional", config)
    assert caught.value.code == "invalid_objective"
