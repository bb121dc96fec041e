"""What an objective is: it declares networks and phases; the training loop does everything else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from .. import networks

Task = Literal["segmentation", "synthesis"]

Batch = Mapping[str, Tensor]
"""``image (B, C, H, W) float32``, normalised for the network; ``mask (B, H, W) int64``, 0 = background.

Where the preset asks for them also ``labelled (B,) bool`` (False: the mask is withheld or missing and holds only
zeros), ``domain (B,) int64`` (index into the preset's domains), and for every further stream of samples
``<stream>/image``, ``<stream>/mask``, ``<stream>/labelled`` and ``<stream>/domain``, drawn independently of the main
one.
"""

Networks = Mapping[str, nn.Module]
"""The networks of an objective by role; ``"generator"`` is the one that segments and is always there."""

Shared = dict[str, Tensor]
"""What one forward pass computes for all phases of a step, such as the generator's output."""

Terms = dict[str, Tensor]
"""The scalar terms of a loss by name; the loop minimises their sum under the phase's ``total``."""


@dataclass(frozen=True)
class WeightClip:
    """Weights are held in ``[-bound, bound]`` after each update (M. Arjovsky et al., ICML 2017, arXiv 1701.07875).

    ``only_convolutions`` leaves biases and the scales of normalisations as they are.
    """

    bound: float
    only_convolutions: bool = False


@dataclass(frozen=True)
class Reviewer:
    """The network that can judge a mask later, beside the model: its role, registered name and configuration."""

    role: str
    name: str
    config: dict[str, Any]


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
    every:
        The phase runs in every n-th step only: a generator with ``every=5`` meets a critic that has learnt five times.
    clip:
        What the loop does to the trained networks' weights after the update.
    """

    name: str
    trains: tuple[str, ...]
    loss: Callable[[Networks, Batch, Shared], Terms]
    every: int = 1
    clip: WeightClip | None = None


class Objective(ABC):
    """One adversarial (or plain) idea: which networks play, and what each one minimises.

    An objective never steps an optimiser, moves a tensor to a device, sets ``requires_grad`` or knows of precision:
    the loop in `GANSegmentationLib.training` does that, for every objective alike.
    """

    name: str
    """The registered name, as presets write it."""

    task: Task = "segmentation"
    """What the generator makes: masks of images, or images of masks."""

    uses_masks: bool = True
    """Whether any loss knows the slices' masks."""

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

    def last_layers(self) -> tuple[str, ...]:
        """The generator's layers that give what its losses see, as prefixes of their parameters' names: through them
        all of its gradient passes, so the adversary's share is measured there. The default is the network's head."""
        return networks.entry(self.generator_spec()[0]).head

    def set_progress(self, step: int, total: int) -> None:  # noqa: B027
        """How far training is: `step` updates of `total` are done. The loop calls it before each step, so that weights
        which change over training follow from the step alone and resuming restores them; the default does nothing."""

    def state_dict(self) -> dict[str, Any]:
        """What the objective remembers from step to step beside its networks, as plain types and tensors, for the
        checkpoint: resuming exactly needs it. Most remember nothing, which is the default."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Goes on from what `state_dict` gave; the default has nothing to go on from."""

    def reviewer(self) -> Reviewer | None:
        """The discriminator that judges masks of the trained generator, for the model package; None where there is
        none or it judges something else."""
        return None
