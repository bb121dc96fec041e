"""A generator alone learns the reference by soft Dice and cross-entropy: the twin every adversary is held against.

Source: the sum of Dice and cross-entropy of F. Isensee et al., *nnU-Net*, Nature Methods 2021 (arXiv 1809.10486).

A generator of unpadded convolutions scores less than the image. Its border is either lost, and the reference cut to
what is scored, or mirrored outwards first, so that every pixel is scored (O. Ronneberger et al., MICCAI 2015).

A generator that is told the domain of each slice learns from the batch's; its translation is not asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn

from .. import networks
from ..networks import Initialisation
from ..networks.valid_padding import mirrored
from .base import Batch, Networks, Objective, Phase, Shared, Terms
from .config import ObjectiveConfig, check_objective, network_spec
from .domains import domain_vectors
from .losses import DiceOver, centre_crop, cross_entropy_loss, soft_dice_loss


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
    border:
        Of a generator of unpadded convolutions: ``"lost"`` scores the middle of each image, whose sides must fit, and
        leaves its border to be context, so images are best cut from larger slices; ``"mirrored"`` scores every pixel of
        images of any size, the border with mirrored context as in use.
    """

    generator: Mapping[str, Any] = field(default_factory=lambda: {"name": "pix2pix_modern"})
    dice: float = 1.0
    cross_entropy: float = 1.0
    dice_over: DiceOver = "batch"
    dice_smooth: float = 1.0
    initialisation: Initialisation = "he"
    border: Literal["lost", "mirrored"] = "lost"

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
        self._generator = network_spec(config.generator, "generator", may_lose_border=True, may_take_domain=True)
        self._lost = self._generator.config.lost_border
        check_objective(
            config.border == "lost" or self._lost is not None,
            config,
            f"border is 'mirrored', but {self._generator.name} with this configuration scores every pixel anyway",
            action="Leave border out, or give the generator unpadded convolutions.",
        )
        check_objective(
            networks.entry(self._generator.name).output != "tanh",
            config,
            f"{self._generator.name} draws a picture of the mask, and Dice and cross-entropy need raw scores",
            action="Choose pix2pix_modern, or train this network with the objective conditional.",
        )
        told = networks.entry(self._generator.name).takes_domain
        self._domains: int = self._generator.config.to_dict()["domains"] if told else 0

    def build_networks(self) -> dict[str, nn.Module]:
        return {"generator": self._generator.build(self.config.initialisation)}

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (Phase("generator", ("generator",), self._generator_loss),)

    def forward(self, networks: Networks, batch: Batch) -> Shared:
        """``scores (B, classes, h, w)``; smaller than the image where a border is lost."""
        image = batch["image"]
        if self._domains:
            return {"scores": networks["generator"](image, domain_vectors(batch, self._domains))}
        if self._lost is None or self.config.border == "lost":
            return {"scores": networks["generator"](image)}
        scores = networks["generator"](mirrored(image, self._lost))
        return {"scores": scores[..., : image.shape[-2], : image.shape[-1]]}

    def generator_spec(self) -> tuple[str, dict[str, Any]]:
        return self._generator.name, self._generator.config.to_dict()

    def _generator_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        margin = self._lost.margin if self._lost is not None and self.config.border == "lost" else 0
        return segmentation_terms(
            self.config, shared["scores"], batch["mask"], margin=margin, labelled=batch.get("labelled")
        )


def segmentation_terms(
    config: Any, scores: Tensor, mask: Tensor, *, margin: int = 0, labelled: Tensor | None = None
) -> Terms:
    """``dice``, ``cross_entropy`` (for the log, detached) and their weighted sum ``total``.

    Parameters
    ----------
    config:
        Has ``dice, cross_entropy, dice_over, dice_smooth``.
    scores, mask:
        ``(B, classes, H, W)`` and ``(B, H, W)``.
    margin:
        Pixels that the generator's unpadded convolutions lose on each side: the mask is so much larger than the scores,
        and its middle counts. Any other difference of their sizes is an error.
    labelled:
        ``(B,) bool``: which samples have a mask; the others do not count. Without any, all terms are 0, and so is the
        total's gradient.

    Raises
    ------
    ValueError
        The mask is not larger by just the margin.
    """
    if tuple(mask.shape[-2:]) != tuple(side + 2 * margin for side in scores.shape[-2:]):
        raise ValueError(
            f"Scores of {tuple(scores.shape[-2:])} pixels do not belong to a mask of {tuple(mask.shape[-2:])} with "
            f"{margin} lost on each side."
        )
    if margin:
        mask = centre_crop(mask, scores)
    if labelled is not None:
        if not labelled.any():
            nothing = 0 * scores.float().sum()
            return {"total": nothing, "dice": nothing.detach(), "cross_entropy": nothing.detach()}
        scores, mask = scores[labelled], mask[labelled]
    dice = soft_dice_loss(scores, mask, over=config.dice_over, smooth=config.dice_smooth)
    entropy = cross_entropy_loss(scores, mask)
    return {
        "total": config.dice * dice + config.cross_entropy * entropy,
        "dice": dice.detach(),
        "cross_entropy": entropy.detach(),
    }
