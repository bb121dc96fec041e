"""What an objective is: it declares networks and phases; the training loop does everything else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

Batch = Mapping[str, Tensor]
"""``image (B, C, H, W) float32``, normalised for the network; ``mask (B, H, W) int64``, 0 = background."""

Networks = Mapping[str, nn.Module]
"""The networks of an objective by role; ``"generator"`` is the one that segments and is always there."""

Shared = dict[str, Tensor]
"""What one forward pass computes for all phases of a step, such as the generator's output."""

Terms = dict[str, Tensor]
"""The scalar terms of a loss by name; the loop minimises their sum under the phase's ``total``."""


@dataclass(frozen=True)
class Phase:
    """One update within a training step: who learns, and from which loss.

    Parameters
    ----------
    name:
        What the log calls it: ``"discriminator"``, ``"generator"``.
    trains:
        The roles whose parameters this phase updates. The loop freezes every other network while the loss is computed
        and stepped, so each network belongs to exactly one phase.
    loss:
        ``loss(networks, batch, shared) -> terms``; ``terms["total"]`` is what is minimised, the rest is logged.
    """

    name: str
    trains: tuple[str, ...]
    loss: Callable[[Networks, Batch, Shared], Terms]


class Objective(ABC):
    """One adversarial (or plain) idea: which networks play, and what each one minimises.

    An objective never steps an optimiser, moves a tensor to a device, sets ``requires_grad`` or knows of precision:
    the loop in `GANSegmentationLib.training` does that, for every objective alike.
    """

    name: str
    """The registered name, as presets write it."""

    @abstractmethod
    def build_networks(self) -> dict[str, nn.Module]:
        """Newly initialised networks by role; called once, by the loop, after it has seeded the generators."""

    @property
    @abstractmethod
    def phases(self) -> tuple[Phase, ...]:
        """The phases of one step, in the order they run."""

    @abstractmethod
    def forward(self, networks: Networks, batch: Batch) -> Shared:
        """What all phases of a step share; with gradients, so that a generator phase can use it. Discriminator phases
        detach it."""

    @abstractmethod
    def generator_spec(self) -> tuple[str, dict[str, Any]]:
        """Registry name and configuration of the generator, as a model card holds them."""

    def set_progress(self, step: int, total: int) -> None:  # noqa: B027
        """How far training is: `step` updates of `total` are done. The loop calls it before each step, so that weights
        which change over training follow from the step alone and resuming restores them; the default does nothing."""
