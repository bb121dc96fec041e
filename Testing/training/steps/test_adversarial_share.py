"""The adversary's share of the generator's gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from GANSegmentationLib.training.steps.adversarial_share import Crossing


class _Player(nn.Module):
    """``weight * x``, or of two inputs their sum."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([weight]))

    def forward(self, x: Tensor, other: Tensor | None = None) -> Tensor:
        return self.weight * (x if other is None else x + other)


INPUT = torch.ones(4)


def _share(adversarial: float, supervised: float) -> float:
    """Both losses pull at the generator's one weight with these slopes."""
    generator, critic = _Player(1.0), _Player(1.0).requires_grad_(False)
    crossing = Crossing()
    with crossing.watched([critic]):
        made = generator(INPUT)
        # The very tensor that the critic judges meets the other loss too.
        loss = adversarial * critic(made).mean() + supervised * made.mean()
    share = crossing.share(loss, list(generator.parameters()))
    loss.backward()
    assert generator.weight.grad is not None, "the graph is left for the backward pass"
    assert float(generator.weight.grad) == pytest.approx(adversarial + supervised)
    return float(share)


@pytest.mark.parametrize(
    ("adversarial", "supervised", "share"),
    [(1.0, 1.0, 0.5), (3.0, 1.0, 0.75), (0.01, 1.0, 0.01 / 1.01), (1.0, 0.0, 1.0), (0.0, 1.0, 0.0), (-1.0, 3.0, 0.25)],
)
def test_the_share_is_that_of_the_slopes(adversarial: float, supervised: float, share: float) -> None:
    assert _share(adversarial, supervised) == pytest.approx(share)


def test_everything_that_the_adversary_is_given_counts() -> None:
    generator, critic = _Player(1.0), _Player(1.0)
    crossing = Crossing()
    with crossing.watched([critic]):
        made = generator(INPUT)
        loss = critic(made, made * 2).mean() + critic(INPUT, made).mean() + 4 * made.mean()
    assert float(crossing.share(loss, list(generator.parameters()))) == pytest.approx(0.5)


def test_an_adversary_that_is_only_measured_has_no_share() -> None:
    generator, critic = _Player(1.0), _Player(1.0)
    crossing = Crossing()
    with crossing.watched([critic]):
        made = generator(INPUT)
        with torch.no_grad():
            critic(made)
        loss = made.mean() + critic(INPUT).mean()
    assert float(crossing.share(loss, list(generator.parameters()))) == 0.0


def test_nothing_is_watched_afterwards_and_nothing_is_changed() -> None:
    generator, critic = _Player(2.0), _Player(3.0)
    crossing = Crossing()
    with pytest.raises(RuntimeError, match="stop"), crossing.watched([critic]):
        assert torch.equal(critic(generator(INPUT)), 6 * INPUT)
        raise RuntimeError("stop")
    assert len(crossing.tensors) == 1
    critic(generator(INPUT))
    assert len(crossing.tensors) == 1
