"""A generator alone learns the reference by soft Dice and cross-entropy: the twin every adversary is held against.

Source: the sum of Dice and cross-entropy of F. Isensee et al., *nnU-Net*, Nature Methods 2021 (arXiv 1809.10486).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from .. import networks
from ..networks import Initialisation
from .base import Batch, Networks, Objective, Phase, Shared, Terms
from .config import ObjectiveConfig, check_objective, network_spec
from .losses import DiceOver, cross_entropy_loss, soft_dice_loss


@dataclass(frozen=True)
class SupervisedConfig(ObjectiveConfig):
    """What is trained and on what.

    Parameters
    ----------
    generator:
        ``{"name": ..., "config": {...}}``, a generator that gives raw scores.
    dice, cross_entropy:
        Weights of the two losses.
    dice_over, dice_smooth:
        See `losses.soft_dice_loss`.
    initialisation:
        See `networks.initialise`.
    """

    generator: Mapping[str, Any] = field(default_factory=lambda: {"name": "pix2pix_modern"})
    dice: float = 1.0
    cross_entropy: float = 1.0
    dice_over: DiceOver = "batch"
    dice_smooth: float = 1.0
    initialisation: Initialisation = "he"

    def __post_init__(self) -> None:
        check_objective(
            min(self.dice, self.cross_entropy) >= 0, self, "a weight is negative, which would reward a wrong mask"
        )
        check_objective(self.dice + self.cross_entropy > 0, self, "both weights are 0, so nothing would be learned")
        check_objective(self.dice_smooth > 0, self, "dice_smooth must be above 0, or empty slices divide by 0")


class Supervised(Objective):
    """Soft Dice + cross-entropy of one generator, for one logit or several classes."""

    name = "supervised"

    def __init__(self, config: SupervisedConfig) -> None:
        self.config = config
        self._generator = network_spec(config.generator, "generator")
        check_objective(
            networks.entry(self._generator.name).output != "tanh",
            config,
            f"{self._generator.name} draws a picture of the mask, and Dice and cross-entropy need raw scores",
            action="Choose pix2pix_modern, or train this network with the objective conditional.",
        )

    def build_networks(self) -> dict[str, nn.Module]:
        return {"generator": self._generator.build(self.config.initialisation)}

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("generator", ("generator",), self._generator_loss),)

    def forward(self, networks: Networks, batch: Batch) -> Shared:
        return {"scores": networks["generator"](batch["image"])}

    def generator_spec(self) -> tuple[str, dict[str, Any]]:
        return self._generator.name, self._generator.config.to_dict()

    def _generator_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        return segmentation_terms(self.config, shared["scores"], batch["mask"])


def segmentation_terms(config: Any, scores: Tensor, mask: Tensor) -> Terms:
    """``dice``, ``cross_entropy`` (for the log, detached) and their weighted sum ``total``.

    `config` has ``dice, cross_entropy, dice_over, dice_smooth``.
    """
    dice = soft_dice_loss(scores, mask, over=config.dice_over, smooth=config.dice_smooth)
    entropy = cross_entropy_loss(scores, mask)
    return {
        "total": config.dice * dice + config.cross_entropy * entropy,
        "dice": dice.detach(),
        "cross_entropy": entropy.detach(),
    }
