"""One training step: who learns from what, what is skipped, and what holds the weights in bounds."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.objectives import Objective, Phase
from GANSegmentationLib.objectives.base import Batch, Networks, Shared, Terms, WeightClip
from GANSegmentationLib.training import Preset
from GANSegmentationLib.training.steps.learners import Learners
from GANSegmentationLib.training.steps.processes import Processes

BATCH = {"image": torch.linspace(-1, 1, 4 * 64).reshape(4, 1, 8, 8), "mask": torch.ones(4, 8, 8, dtype=torch.int64)}


class _Game(Objective):
    """A generator and a critic of one layer each; what differs between tests is given."""

    name = "game"

    def __init__(
        self,
        *,
        every: int = 1,
        clip: WeightClip | None = None,
        spoil: Callable[[str, Tensor], Tensor] = lambda phase, total: total,
        norm: bool = False,
    ) -> None:
        self.every, self.clip, self.spoil, self.norm = every, clip, spoil, norm
        self.seen: list[tuple[str, dict[str, bool]]] = []
        self.graphs: list[bool] = []
        self.passes = 0

    def build_networks(self) -> dict[str, nn.Module]:
        norm = nn.BatchNorm2d(4) if self.norm else nn.Identity()
        layers = OrderedDict(stem=nn.Conv2d(1, 4, 3, padding=1), norm=norm, head=nn.Conv2d(4, 1, 1))
        return {"generator": nn.Sequential(layers), "critic": nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3))}

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("critic", ("critic",), self._critic, clip=self.clip),
            Phase("generator", ("generator",), self._generator, every=self.every),
        )

    def forward(self, networks: Networks, batch: Batch) -> Shared:
        self.passes += 1
        scores = networks["generator"](batch["image"])
        self.graphs.append(scores.requires_grad)
        return {"scores": scores}

    def generator_spec(self) -> tuple[str, dict[str, Any]]:
        return "pix2pix_modern", {}

    def _note(self, phase: str, networks: Networks) -> None:
        frozen = {role: not any(p.requires_grad for p in network.parameters()) for role, network in networks.items()}
        self.seen.append((phase, frozen))

    def _critic(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        self._note("critic", networks)
        total = _judged(networks, shared["scores"].detach()).square().mean()
        return {"total": self.spoil("critic", total)}

    def _generator(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        self._note("generator", networks)
        distance = (shared["scores"] - batch["image"]).square().mean()
        total = distance + 0.1 * _judged(networks, shared["scores"]).mean()
        return {"total": self.spoil("generator", total), "distance": distance}


def _judged(networks: Networks, scores: Tensor) -> Tensor:
    """Of one column only: the mean of all that batch normalisation gives is the same whatever it is given."""
    column: Tensor = networks["critic"](scores)[..., 0]
    return column


@pytest.fixture
def preset(preset_json: dict[str, Any]) -> Preset:
    sgd = {"name": "sgd", "lr": 0.1}
    return Preset.from_dict(preset_json | {"optimisers": {"generator": sgd, "critic": sgd}, "clip_norm": 0.0})


def _learners(preset: Preset, game: _Game, **changes: Any) -> Learners:
    torch.manual_seed(0)
    return Learners(replace(preset, **changes), game, Processes(torch.device("cpu")))


def _weights(learners: Learners, role: str) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in learners.networks[role].parameters()]


def _same(one: list[Tensor], two: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, two, strict=True))


def test_each_network_moves_in_its_own_phase_alone(preset: Preset) -> None:
    game = _Game()
    learners = _learners(preset, game)
    terms = learners.step(BATCH, 0, 1.0)
    assert game.seen == [
        ("critic", {"generator": True, "critic": False}),
        ("generator", {"generator": False, "critic": True}),
    ]
    assert game.passes == 1, "all phases share one forward pass"
    assert all(p.requires_grad for network in learners.networks.values() for p in network.parameters())
    assert set(terms) == {
        "critic/total", "critic/gradient_norm", "generator/total", "generator/distance", "generator/gradient_norm",
        "generator/adversarial_share",
    }  # fmt: skip
    assert not any(term.requires_grad for term in terms.values())


def test_the_adversary_s_share_is_measured_once_an_epoch_and_changes_nothing(preset: Preset) -> None:
    watched, blind = _learners(preset, _Game()), _learners(preset, _Game())
    blind._measures_share = False
    for number in range(4):
        if number == 2:
            watched.train()
            blind.train()
            blind._measures_share = False
        terms = watched.step(BATCH, number, 1.0)
        assert ("generator/adversarial_share" in terms) is (number in (0, 2))
        blind.step(BATCH, number, 1.0)
        if number == 0:
            assert 1e-4 < float(terms["generator/adversarial_share"]) < 0.99
    assert _same(_weights(watched, "generator"), _weights(blind, "generator"))


def test_a_phase_may_run_in_every_third_step_only(preset: Preset) -> None:
    game = _Game(every=3)
    learners = _learners(preset, game)
    moved = []
    for number in range(6):
        before = _weights(learners, "generator")
        learners.step(BATCH, number, 1.0)
        moved.append(not _same(before, _weights(learners, "generator")))
    assert moved == [False, False, True, False, False, True]
    assert game.graphs == moved, "a generator that does not learn builds no graph"
    assert learners.average.updates == 2


def test_weights_are_held_within_bounds_after_the_update(preset: Preset) -> None:
    for only_convolutions in (False, True):
        learners = _learners(preset, _Game(clip=WeightClip(0.02, only_convolutions)))
        nn.init.constant_(learners.networks["critic"][1].weight, 3.0)
        learners.step(BATCH, 0, 1.0)
        convolution, norm = learners.networks["critic"]
        assert float(convolution.weight.detach().abs().max()) == pytest.approx(0.02)
        assert (float(norm.weight.detach().abs().max()) <= 0.02) is not only_convolutions
        assert (float(convolution.bias.detach().abs().max()) <= 0.02) is not only_convolutions
        assert max(float(weight.abs().max()) for weight in _weights(learners, "generator")) > 0.1, "only the critic's"


@pytest.mark.parametrize("what", ["loss", "gradient", "value"])
def test_what_is_not_finite_is_skipped_and_then_ends_the_run(preset: Preset, what: str) -> None:
    # The root's slope is infinite at 0, while its value is an innocent 0.
    # A number that is added has none, and is infinite.
    spoil = {
        "loss": lambda total: total * float("nan"),
        "gradient": lambda total: total + (total * 0).sqrt(),
        "value": lambda total: total + float("inf"),
    }[what]
    game = _Game(spoil=lambda phase, total: spoil(total) if phase == "critic" else total)
    said: list[str] = []
    learners = _learners(preset, game)
    learners._say = said.append
    before, other = _weights(learners, "critic"), _weights(learners, "generator")
    terms = learners.step(BATCH, 0, 1.0)
    assert _same(before, _weights(learners, "critic")) and not _same(other, _weights(learners, "generator"))
    assert "critic/total" not in terms and "generator/total" in terms
    assert learners.skipped == {"critic": 1, "generator": 0} and "critic" in said[0]
    with pytest.raises(GANSegmentationError, match="learning rate") as caught:
        for number in range(1, 40):
            learners.step(BATCH, number, 1.0)
    assert caught.value.code == "training_diverged" and learners.skipped_in_all == 20


def test_a_skipped_step_leaves_no_trace_in_statistics_or_average(preset: Preset) -> None:
    learners = _learners(preset, _Game(norm=True), ema_decay=0.9)
    learners.step(BATCH, 0, 1.0)
    average = {name: value.clone() for name, value in learners.average.network.state_dict().items()}
    learners.step({**BATCH, "image": BATCH["image"] * float("nan")}, 1, 1.0)
    generator = learners.networks["generator"].state_dict()
    assert all(torch.isfinite(value).all() for value in generator.values())
    assert all(torch.equal(value, average[name]) for name, value in learners.average.network.state_dict().items())
    learners.step(BATCH, 2, 1.0)
    assert learners.skipped == {"critic": 0, "generator": 0} and learners.average.updates == 2


def test_every_network_recovers_from_statistics_that_are_not_finite(preset: Preset) -> None:
    learners = _learners(preset, _Game())
    learners.step(BATCH, 0, 1.0)
    good = copy.deepcopy(learners.networks["critic"].state_dict())
    learners.step({**BATCH, "image": BATCH["image"] * float("nan")}, 1, 1.0)
    critic = learners.networks["critic"].state_dict()
    for name in ("1.running_mean", "1.running_var"):  # the critic's statistics met the NaN too
        torch.testing.assert_close(critic[name], good[name])
        beginning = float(name == "1.running_var")
        assert float((critic[name] - beginning).abs().max()) > 0


def test_gradients_are_limited_by_norm_and_by_value(preset: Preset) -> None:
    for changes, norm, value in (
        ({"clip_norm": 0.01}, 0.01, None),
        ({"clip_value": 0.001}, None, 0.001),
        ({"clip_value": 0.001, "clip_norm": 1e-4}, 1e-4, None),
    ):
        learners = _learners(preset, _Game(), **changes)
        learners.step(BATCH, 0, 1.0)
        for network in learners.networks.values():
            gradients = torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])
            if norm is not None:
                assert float(gradients.norm()) == pytest.approx(norm, rel=1e-2)
            if value is not None:
                assert float(gradients.abs().max()) == pytest.approx(value)


def test_the_norm_that_is_told_is_that_before_the_limit(preset: Preset) -> None:
    free = _learners(preset, _Game()).step(BATCH, 0, 1.0)
    limited = _learners(preset, _Game(), clip_norm=1e-3).step(BATCH, 0, 1.0)
    assert float(free["critic/gradient_norm"]) > 1e-3
    torch.testing.assert_close(free["critic/gradient_norm"], limited["critic/gradient_norm"])


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_parts_make_the_update_of_the_whole_batch(preset: Preset, parts: int) -> None:
    # The critic's batch normalisation sees one part at a time, so it stays out of this: in eval() it has no batch.
    whole, cut = (_learners(preset, _Game(), accumulate=n) for n in (1, parts))
    for learners in (whole, cut):
        learners.networks["critic"].eval()
    for number in range(3):
        one, two = whole.step(BATCH, number, 1.0), cut.step(BATCH, number, 1.0)
        for name, value in one.items():
            if name != "generator/adversarial_share":  # that of the first part
                torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6)
    for role in whole.networks:
        for a, b in zip(_weights(whole, role), _weights(cut, role), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_in_half_precision_each_phase_meets_the_weights_of_its_own_time(preset: Preset) -> None:
    # Autocast keeps the low-precision copies of weights: those of a critic from before its update must not be met.
    game = _Game()
    learners = _learners(preset, game)
    learners.processes.use_precision("bf16-mixed")
    learners.networks["critic"].eval()
    judged: list[Tensor] = []
    generator = game._generator

    def watched(networks: Networks, batch: Batch, shared: Shared) -> Terms:
        judged.append(networks["critic"](BATCH["image"]).detach())
        return generator(networks, batch, shared)

    game._generator = watched  # type: ignore[method-assign]
    before = learners.networks["critic"](BATCH["image"]).detach()
    learners.step(BATCH, 0, 10.0)
    after = learners.networks["critic"](BATCH["image"]).detach()
    assert judged[0].dtype is torch.bfloat16 and float((before - after).abs().max()) > 0.1
    torch.testing.assert_close(judged[0].float(), after, rtol=0.02, atol=0.02)


def test_a_state_goes_on_where_it_was_saved(preset: Preset) -> None:
    adam = replace(preset.optimisers["generator"], name="rmsprop", momentum=0.9, lr=1e-2)
    changes = {"optimisers": {"generator": adam, "critic": adam}, "ema_decay": 0.9}
    straight = _learners(preset, _Game(norm=True), **changes)
    for number in range(2):
        straight.step(BATCH, number, 1.0)
    later = _learners(preset, _Game(norm=True), **changes)
    later.step(BATCH, 0, 0.5)
    later.load_state_dict(copy.deepcopy(straight.state_dict()))
    for learners in (straight, later):
        learners.step(BATCH, 2, 1.0)
    for role in straight.networks:
        assert _same(_weights(straight, role), _weights(later, role))
    assert _same(list(straight.average.network.parameters()), list(later.average.network.parameters()))
