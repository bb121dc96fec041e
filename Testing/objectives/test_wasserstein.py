"""LGAN: both players' signs, what bounds the critic's slope, the five critics, and samples without a reference."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from GANSegmentationLib import networks
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.objectives import build
from GANSegmentationLib.objectives.base import WeightClip
from GANSegmentationLib.objectives.penalties import gradient_penalty

CRITICS = ("lgan_basic", "lgan_product", "lgan_early_fusion", "lgan_late_fusion", "lgan_regression")
SLOPES = ("gradient_penalty", "clip", "spectral")


def lgan(small, critic="lgan_early_fusion", **config):
    return build("wasserstein", {"generator": small["generator"], "critic": small_critic(critic), **config})


def small_critic(name):
    return {"name": name, "config": {"width": 4}}


class Recorder(nn.Module):
    """A critic that keeps what it is shown and answers with what it is told to, one answer a call."""

    def __init__(self, *answers: float) -> None:
        super().__init__()
        self.seen: list[tuple[torch.Tensor, ...]] = []
        self.answers = list(answers)

    def forward(self, *shown: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(x.detach() for x in shown))
        answer = self.answers[(len(self.seen) - 1) % len(self.answers)]
        return sum(x.flatten(1).mean(dim=1, keepdim=True) * 0 for x in shown) + answer


def losses_of(objective, batch, scores, judge):
    return {phase.name: phase.loss({"critic": judge}, batch, {"scores": scores}) for phase in objective.phases}


# --- signs ---------------------------------------------------------------------------------------------------------


def gap_of(objective, players, batch):
    with torch.no_grad():
        shared = objective.forward(players, batch)
        return objective._critic_loss(players, batch, shared)["gap"].item()


@pytest.mark.parametrize("slope", ["gradient_penalty", "spectral"])
@pytest.mark.parametrize("critic", [*CRITICS, "patch70"])
def test_the_gap_grows_under_critic_steps(small, make_batch, train, critic, slope):
    """A critic that cooperates with the generator, as the published code's, would close it."""
    objective, batch = lgan(small, critic, lipschitz=slope), make_batch(4, 32)
    players = objective.build_networks()
    before = gap_of(objective, players, batch)
    train(objective, players, batch, steps=12, rate=4e-3, only="critic")
    assert gap_of(objective, players, batch) > before + 0.03


@pytest.mark.parametrize("critic", CRITICS)
def test_the_gap_grows_under_critic_steps_within_the_box(small, make_batch, train, critic):
    objective, batch = lgan(small, critic, lipschitz="clip", clip=0.1), make_batch(4, 32)
    players = objective.build_networks()
    train(objective, players, batch, steps=1, rate=2e-3, only="critic")  # into the box
    before = gap_of(objective, players, batch)
    train(objective, players, batch, steps=15, rate=2e-3, only="critic")
    assert gap_of(objective, players, batch) > max(2 * before, 1e-4)
    assert all(parameter.abs().max() <= 0.1 for parameter in players["critic"].parameters())


@pytest.mark.parametrize("critic", CRITICS)
def test_generator_steps_close_the_gap(small, make_batch, train, critic):
    objective = lgan(small, critic, adversarial_weight=1.0, dice=0.0, cross_entropy=1e-6)
    batch, players = make_batch(4, 32), objective.build_networks()
    train(objective, players, batch, steps=15, rate=4e-3, only="critic")
    before = gap_of(objective, players, batch)
    train(objective, players, batch, steps=8, rate=4e-3, only="generator")
    assert gap_of(objective, players, batch) < before - 0.05


@pytest.mark.parametrize("critic", [name for name in CRITICS if name != "lgan_regression"])
def test_losses_of_known_scores(small, make_batch, critic):
    """References rated 0.7, masks -0.4: the gap is 1.1, and the generator wants the masks' score up."""
    objective = lgan(small, critic, adversarial_weight=0.5, lipschitz="spectral", anchor=0.1)
    terms = losses_of(objective, make_batch(2, 32), torch.randn(2, 1, 32, 32), Recorder(0.7, -0.4, -0.4))
    assert terms["critic"]["gap"].item() == pytest.approx(1.1)
    assert terms["critic"]["total"].item() == pytest.approx(-1.1 + 0.1 * 0.49)
    generator = terms["generator"]
    assert generator["adversarial"].item() == pytest.approx(0.4)
    torch.testing.assert_close(generator["total"], generator["dice"] + generator["cross_entropy"] + 0.5 * 0.4)


def test_the_regression_critic_rates_differences(small, make_batch):
    """Reference with itself rated 0.2, mask with reference 0.9: the critic wants the second up, the generator down."""
    objective = lgan(small, "lgan_regression", adversarial_weight=0.5, lipschitz="spectral")
    terms = losses_of(objective, make_batch(2, 32), torch.randn(2, 1, 32, 32), Recorder(0.2, 0.9, 0.9))
    assert terms["critic"]["gap"].item() == pytest.approx(0.7)
    assert terms["critic"]["total"].item() == pytest.approx(-0.7 + 0.2**2), "D(reference, reference) is held at 0"
    assert terms["generator"]["adversarial"].item() == pytest.approx(0.9)


def test_the_anchor_holds_the_regression_critics_zero(small, make_batch, train):
    objective, batch = lgan(small, "lgan_regression"), make_batch(4, 32)
    players = objective.build_networks()
    nn.init.constant_(players["critic"].last.bias, 3.0)
    # Slow enough to settle: at larger steps the value swings around 0, and how far depends on the machine.
    train(objective, players, batch, steps=40, rate=3e-3, only="critic")
    with torch.no_grad():
        reference = batch["mask"][:, None].float()
        # Without the anchor it is 5 by then.
        assert players["critic"](reference, reference).mean().abs() < 1
    assert gap_of(objective, players, batch) > 1


@pytest.mark.parametrize(
    ("config", "weight"),
    [
        ({}, 0.001),
        ({"critic": small_critic("lgan_regression")}, 1.0),
        ({"anchor": 0.0, "critic": small_critic("lgan_regression")}, 0.0),
        ({"setting": "faithful"}, 0.0),
        ({"anchor": 0.3}, 0.3),
    ],
)
def test_weight_of_the_anchor(config, weight):
    assert build("wasserstein", config).anchor == weight


# --- what critics see ----------------------------------------------------------------------------------------------


def test_critics_see_probabilities_and_never_raw_scores(small, make_batch):
    batch, scores, judge = make_batch(2, 32), 20 * torch.randn(2, 1, 32, 32), Recorder(0.0)
    losses_of(lgan(small, "lgan_late_fusion", lipschitz="spectral"), batch, scores, judge)
    (image, real), (_, fake), (_, again) = judge.seen
    torch.testing.assert_close(image, batch["image"])
    torch.testing.assert_close(real[:, 0], batch["mask"].float())
    torch.testing.assert_close(fake, torch.sigmoid(scores))
    torch.testing.assert_close(again, fake)


def test_several_classes_are_softmax_and_one_hot_with_the_background(small, make_batch):
    generator = {"name": "pix2pix_modern", "config": {**small["generator"]["config"], "classes": 3, "in_channels": 2}}
    objective = build("wasserstein", {"generator": generator, "critic": small_critic("lgan_product")})
    batch, judge = make_batch(2, 32, 2), Recorder(0.0)
    batch["image"] = batch["image"].repeat(1, 2, 1, 1)
    batch["image"][:, 1] += 1
    scores = torch.randn(2, 3, 32, 32)
    shared = {"scores": scores}
    objective._generator_loss({"critic": judge}, batch, shared)
    (product,) = judge.seen[0]
    p = torch.softmax(scores, dim=1)
    torch.testing.assert_close(
        product, torch.stack([p[:, k] * batch["image"][:, c] for k in range(3) for c in (0, 1)], 1)
    )
    players = objective.build_networks()
    assert players["critic"].in_channels == (6,)
    assert objective._critic_loss(players, batch, shared)["total"].isfinite()


def test_the_regression_critic_sees_the_mask_first_and_the_reference_second(small, make_batch):
    batch, scores, judge = make_batch(2, 32), torch.randn(2, 1, 32, 32), Recorder(0.0)
    losses_of(lgan(small, "lgan_regression", lipschitz="spectral"), batch, scores, judge)
    reference = batch["mask"][:, None].float()
    for (first, second), mask in zip(
        judge.seen, (reference, torch.sigmoid(scores), torch.sigmoid(scores)), strict=True
    ):
        torch.testing.assert_close(first, mask)
        torch.testing.assert_close(second, reference)


@pytest.mark.parametrize("critic", CRITICS)
def test_the_penalty_is_that_of_what_the_critic_sees(small, make_batch, critic):
    objective, batch = lgan(small, critic, penalty_weight=7.0), make_batch(3, 32)
    players, scores = objective.build_networks(), torch.randn(3, 1, 32, 32)
    torch.manual_seed(5)
    terms = objective._critic_loss(players, batch, {"scores": scores})
    reference, sees = batch["mask"][:, None].float(), networks.entry(critic).sees
    real, fake = (networks.shown(sees, batch["image"], mask, reference) for mask in (reference, torch.sigmoid(scores)))
    torch.manual_seed(5)
    expected = gradient_penalty(players["critic"], real, fake)
    torch.testing.assert_close(terms["penalty"], expected.detach())
    torch.testing.assert_close(terms["total"], -terms["gap"] + objective.anchor * terms["drift"] + 7 * expected)


def test_scores_are_float32_under_autocast(small, make_batch):
    """In bfloat16 a score of 100 has a neighbour at 100.5, and the gap would be 0."""
    objective, batch = lgan(small, lipschitz="spectral"), make_batch(2, 32)
    players, shared = objective.build_networks(), {"scores": torch.randn(2, 1, 32, 32)}
    players["critic"].eval()
    nn.init.constant_(players["critic"].last.bias, 100.0)
    exact = objective._critic_loss(players, batch, shared)["gap"]
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(objective._critic_loss(players, batch, shared)["gap"], exact, rtol=0, atol=0)
    assert exact.abs() > 0


# --- phases --------------------------------------------------------------------------------------------------------


def test_the_critic_learns_before_the_generator_and_more_often(small):
    critic, generator = lgan(small, n_critic=5).phases
    assert (critic.name, critic.trains, critic.every) == ("critic", ("critic",), 1)
    assert (generator.name, generator.trains, generator.every) == ("generator", ("generator",), 5)


@pytest.mark.parametrize(
    ("slope", "clip"), [("gradient_penalty", None), ("spectral", None), ("clip", WeightClip(0.02))]
)
def test_only_clipping_clips(small, slope, clip):
    critic, generator = lgan(small, lipschitz=slope, clip=0.02).phases
    assert critic.clip == clip and generator.clip is None


@pytest.mark.parametrize("slope", SLOPES)
def test_terms_in_the_log(small, make_batch, slope):
    objective, batch = lgan(small, lipschitz=slope), make_batch(2, 64)
    players = objective.build_networks()
    shared = objective.forward(players, batch)
    critic, generator = (set(phase.loss(players, batch, shared)) for phase in objective.phases)
    assert critic == {"total", "gap", "drift"} | ({"penalty"} if slope == "gradient_penalty" else set())
    assert generator == {"total", "dice", "cross_entropy", "adversarial"}


@pytest.mark.parametrize("critic", CRITICS)
def test_the_adversarial_term_alone_reaches_the_generator(small, make_batch, step_gradients, critic):
    batch = make_batch(2, 64)
    generator = {"name": "pix2pix_modern", "config": {**small["generator"]["config"], "dropout": 0.0}}
    gradients = []
    for weight in (0.0, 1.0):
        torch.manual_seed(1)
        objective = build(
            "wasserstein", {"generator": generator, "critic": small_critic(critic), "adversarial_weight": weight}
        )
        gradients.append(step_gradients(objective, objective.build_networks(), batch)["generator"])
    for name in ("generator.stem.first.conv.weight", "generator.head.conv.weight"):
        alone = gradients[1][name] - gradients[0][name]
        assert alone.norm() > 0.01 * gradients[0][name].norm(), name


def test_without_adversarial_weight_the_generator_learns_as_its_supervised_twin(small, make_batch, step_gradients):
    batch = make_batch(2, 64)
    generator = {"name": "pix2pix_modern", "config": {**small["generator"]["config"], "dropout": 0.0}}
    gradients = []
    for objective in (
        build("supervised", {"generator": generator}),
        build("wasserstein", {"generator": generator, "adversarial_weight": 0.0}),
    ):
        torch.manual_seed(1)
        gradients.append(step_gradients(objective, objective.build_networks(), batch)["generator"])
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=0, atol=0)


def test_the_weight_ramps_and_the_term_is_logged_throughout(small, make_batch):
    objective = lgan(small, warm_up=[10, 20], adversarial_weight=0.4)
    batch, scores, extra = make_batch(1, 32), torch.randn(1, 1, 32, 32), []
    for step in (0, 10, 15, 20, 99):
        objective.set_progress(step, 100)
        terms = objective._generator_loss({"critic": Recorder(-1.0)}, batch, {"scores": scores})
        assert terms["adversarial"].item() == 1
        extra.append((terms["total"] - terms["dice"] - terms["cross_entropy"]).item())
    assert extra == pytest.approx([0, 0, 0.2, 0.4, 0.4], abs=1e-5)


# --- samples without a reference -----------------------------------------------------------------------------------


def partly(batch, labelled):
    batch = {**batch, "labelled": torch.tensor(labelled)}
    batch["mask"] = torch.where(batch["labelled"][:, None, None], batch["mask"], 0)
    return batch


def test_samples_without_reference_are_fakes_and_never_references(small, make_batch):
    batch, judge = partly(make_batch(4, 32), [True, False, True, False]), Recorder(0.0)
    scores = torch.randn(4, 1, 32, 32)
    losses_of(lgan(small, "lgan_late_fusion"), batch, scores, judge)
    labelled = batch["labelled"]
    (image, real), (_, fake), (_, between), (_, fooling) = judge.seen
    torch.testing.assert_close(image, batch["image"][labelled])
    torch.testing.assert_close(real[:, 0], batch["mask"][labelled].float())
    assert between.shape == real.shape, "the penalty's points lie between pairs that exist"
    for shown in (fake, fooling):
        torch.testing.assert_close(shown, torch.sigmoid(scores))


def test_the_regression_critic_leaves_them_out(small, make_batch):
    batch, judge = partly(make_batch(4, 32), [True, False, True, False]), Recorder(0.0)
    losses_of(lgan(small, "lgan_regression"), batch, torch.randn(4, 1, 32, 32), judge)
    assert len(judge.seen) == 4 and all(len(mask) == 2 for mask, _ in judge.seen)


def test_masks_of_unlabelled_samples_are_zeros_that_teach_nothing(small, make_batch):
    """Cross-entropy and Dice are those of the labelled samples by themselves."""
    objective, whole = lgan(small, adversarial_weight=0.0), make_batch(4, 32)
    scores, batch = torch.randn(4, 1, 32, 32), partly(whole, [True, False, True, False])
    alone = {name: value[[0, 2]] for name, value in whole.items()}
    judge = {"critic": Recorder(0.0)}
    terms = objective._generator_loss(judge, batch, {"scores": scores})
    expected = objective._generator_loss(judge, alone, {"scores": scores[[0, 2]]})
    for name in ("total", "dice", "cross_entropy"):
        torch.testing.assert_close(terms[name], expected[name])


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("critic", ["lgan_basic", "lgan_regression"])
def test_a_batch_without_any_reference_moves_no_critic_and_is_finite(small, make_batch, step_gradients, critic, slope):
    objective = lgan(small, critic, lipschitz=slope, adversarial_weight=1.0)
    players, batch = objective.build_networks(), partly(make_batch(2, 64), [False, False])
    gradients = step_gradients(objective, players, batch)
    assert gradients["critic"] and all(not gradient.any() for gradient in gradients["critic"].values())
    taught = any(bool(gradient.any()) for gradient in gradients["generator"].values())
    assert taught == (critic == "lgan_basic"), "the critic's word on the masks needs no reference, the comparison does"
    shared = objective.forward(players, batch)
    full = objective.phases[0].loss(players, make_batch(2, 64), shared)
    assert objective.phases[0].loss(players, batch, shared).keys() == full.keys(), "the log has the same columns"


# --- learning ------------------------------------------------------------------------------------------------------


def dice(found: torch.Tensor, reference: torch.Tensor) -> float:
    return (2 * (found & reference).sum() / (found.sum() + reference.sum())).item()


@pytest.mark.parametrize("critic", CRITICS)
def test_one_batch_is_learned_by_heart(small, make_batch, train, critic):
    objective, batch = lgan(small, critic), make_batch(4, 64)
    shared = train(objective, objective.build_networks(), batch, steps=32, rate=3e-3)
    assert dice(shared["scores"][:, 0] > 0, batch["mask"] > 0) > 0.95


def test_faithful_learns_one_batch_by_heart(make_batch, train):
    """At reduced width and with a test's learning rate; the paper's 1e-5 would take long."""
    objective = build(
        "wasserstein",
        {
            "setting": "faithful",
            "generator": {"name": "unet", "config": {"activation": "leaky", "width": 8}},
            "critic": {"name": "lgan_basic", "config": {"width": 8, "head": "fc", "size": 64}},
            "initialisation": "he",
        },
    )
    batch = make_batch(4, 64)
    shared = train(objective, objective.build_networks(), batch, steps=40, rate=3e-3)
    assert dice(shared["scores"][:, 0] > 0, batch["mask"] > 0) > 0.95


# --- configurations ------------------------------------------------------------------------------------------------


def test_faithful_is_the_paper_with_clipped_weights():
    objective = build("wasserstein", {"setting": "faithful"})
    with torch.device("meta"):
        players = objective.build_networks()
    assert networks.count_parameters(players["generator"]) == 31_030_593
    assert any(isinstance(layer, nn.BatchNorm2d) for layer in players["critic"].modules())
    config = objective.config
    assert (config.dice, config.cross_entropy, config.adversarial_weight) == (0, 1, 1)
    assert objective.phases[0].clip == WeightClip(0.01)


@pytest.mark.parametrize(
    ("slope", "norm", "spectral"),
    [("gradient_penalty", "none", False), ("clip", "batch", False), ("spectral", "none", True)],
)
def test_a_critics_norm_follows_from_what_bounds_its_slope(slope, norm, spectral):
    config = build("wasserstein", {"lipschitz": slope}).reviewer().config
    assert (config["norm"], config["spectral"]) == (norm, spectral)


@pytest.mark.parametrize("norm", ["layer", "group", "instance"])
def test_norms_that_keep_samples_apart_go_with_the_penalty(norm):
    critic = {"name": "lgan_basic", "config": {"norm": norm}}
    assert build("wasserstein", {"critic": critic}).reviewer().config["norm"] == norm


@pytest.mark.parametrize("critic", CRITICS)
def test_the_critic_reviews_unless_it_needs_a_reference(small, critic):
    reviewer = lgan(small, critic).reviewer()
    if critic == "lgan_regression":
        assert reviewer is None
        return
    assert (reviewer.role, reviewer.name) == ("critic", critic)
    players = lgan(small, critic).build_networks()
    networks.build(reviewer.name, reviewer.config).load_state_dict(players["critic"].state_dict())


def test_the_critics_channels_follow_from_the_generator():
    generator = {"name": "pix2pix_modern", "config": {"channels": [8, 8], "in_channels": 3, "classes": 4}}
    expected = {"lgan_basic": (4,), "lgan_product": (12,), "lgan_early_fusion": (7,), "lgan_late_fusion": (3, 4),
                "lgan_regression": (4, 4)}  # fmt: skip
    for name, channels in expected.items():
        objective = build("wasserstein", {"generator": generator, "critic": small_critic(name)})
        assert objective.build_networks()["critic"].in_channels == channels


def test_sriker_critic_is_clipped(small, make_batch):
    critic = {"name": "sriker_critic", "config": {"size": 64, "width": 4}}
    objective = build("wasserstein", {"generator": small["generator"], "critic": critic, "lipschitz": "clip"})
    players, batch = objective.build_networks(), make_batch(2, 64)
    shared = objective.forward(players, batch)
    assert objective.phases[0].loss(players, batch, shared)["total"].requires_grad


@pytest.mark.parametrize(
    "config",
    [
        {"setting": "faithfull"},
        {"setting": "faithful", "dice": 1.0},
        {"setting": "faithful", "warm_up": [0, 10]},
        {"critic": {"name": "lgan_basic", "config": {"norm": "batch"}}},
        {"critic": {"name": "sriker_critic"}},
        {"critic": {"name": "patch142_keras"}},
        {"critic": {"name": "lgan_basic", "config": {"norm": "layer"}}, "lipschitz": "spectral"},
        {"critic": {"name": "lgan_basic", "config": {"spectral": False}}, "lipschitz": "spectral"},
        {"critic": {"name": "lgan_basic", "config": {"mask_channels": 2}}},
        {"critic": {"name": "lgan_early_fusion", "config": {"in_channels": 2}}},
        {"critic": {"name": "pix2pix_modern"}},
        {"critic": {"name": "stargan_discriminator"}},
        {"critic": {"name": "multiscale_patch70"}},
        {"generator": {"name": "pix2pix_seed"}},
        {"generator": {"name": "unet", "config": {"padding": "valid"}}},
        {"lipschitz": "hope"},
        {"penalty_weight": 0.0},
        {"clip": 0.0},
        {"n_critic": 0},
        {"anchor": -1.0},
        {"adversarial_weight": -0.1},
        {"dice": 0.0, "cross_entropy": 0.0},
        {"dice_smooth": 0.0},
        {"warm_up": [20, 10]},
        {"cooperative": True},
    ],
    ids=str,
)
def test_what_makes_no_objective_is_refused(config):
    with pytest.raises(GANSegmentationError) as caught:
        build("wasserstein", config)
    assert caught.value.code == "invalid_objective"
