"""pix2pix: a discriminator learns to tell references from masks of the generator, given the image.

Source: P. Isola et al., CVPR 2017 (arXiv 1611.07004); seed 000. Two settings:

``faithful``
    As the seed: masks are pictures in [-1, 1], the generator ends in tanh, and minimises
    ``adversarial_weight * BCE(D(x, G(x)), 1) + l1 * mean |G(x) - y|`` with weights 1 and 100; the discriminator's loss
    counts half.
``modern``
    For segmentation: the discriminator sees probabilities, the generator minimises
    ``dice * Dice + cross_entropy * CE + adversarial_weight * adversarial`` with a small adversarial weight, which may
    ramp up. A discriminator must not win by telling hard references from soft masks: references can be smoothed
    (``mask_smoothing``) and both blurred by noise (``instance_noise``; C. Sønderby et al., 2016, arXiv 1610.04490).

Each step draws the generator's masks once. The discriminator learns first, from the detached masks; the generator then
meets the updated discriminator. Samples without a reference count in the adversarial terms of the generator's masks
only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .. import networks
from ..networks import Initialisation, shown
from .adversary import channels, discriminator_spec, gradient_if, labelled_only, ramp, told_apart
from .base import Batch, Networks, Objective, Phase, Reviewer, Shared, Terms
from .config import ObjectiveConfig, check_objective, network_spec
from .losses import (
    AdversarialLoss,
    DiceOver,
    generator_adversarial_loss,
    l1_loss,
    one_hot,
    probabilities,
)
from .supervised import segmentation_terms


@dataclass(frozen=True)
class ConditionalConfig(ObjectiveConfig):
    """Both players, the setting and the weights; what is not given takes the setting's value of `SETTINGS`.

    Parameters
    ----------
    generator, discriminator:
        ``{"name": ..., "config": {...}}``; any discriminator that sees image and mask as a pair, whose channels follow
        from the generator where absent.
    setting:
        ``"faithful"`` or ``"modern"``, see the module.
    adversarial, adversarial_weight:
        Form and weight of the generator's adversarial term; the discriminator has the same form.
    discriminator_weight:
        Factor of the discriminator's loss.
    l1:
        Weight of the pictures' mean absolute difference (faithful).
    dice, cross_entropy, dice_over, dice_smooth:
        As in the objective supervised (modern).
    warm_up:
        ``[a, b]``: the adversarial weight is 0 up to update a, rises linearly and is full from update b (modern).
    mask_smoothing:
        References are shown to the discriminator as ``smoothing`` and ``1 - smoothing`` instead of 0 and 1 (modern).
    instance_noise:
        Standard deviation of Gaussian noise on both kinds of masks before the discriminator (modern).
    initialisation, discriminator_initialisation:
        See `networks.initialise`.
    """

    generator: Mapping[str, Any] = field(default_factory=lambda: {"name": "pix2pix_modern"})
    discriminator: Mapping[str, Any] = field(default_factory=lambda: {"name": "patch70"})
    setting: Literal["faithful", "modern"] = "modern"
    adversarial: AdversarialLoss = "lsgan"
    adversarial_weight: float = 0.03
    discriminator_weight: float = 0.5
    l1: float = 0.0
    dice: float = 1.0
    cross_entropy: float = 1.0
    dice_over: DiceOver = "batch"
    dice_smooth: float = 1.0
    warm_up: tuple[int, int] = (0, 0)
    mask_smoothing: float = 0.0
    instance_noise: float = 0.0
    initialisation: Initialisation = "he"
    discriminator_initialisation: Initialisation = "normal"

    @classmethod
    def settings(cls) -> Mapping[str, Mapping[str, Any]]:
        return SETTINGS

    def __post_init__(self) -> None:
        weights = (self.adversarial_weight, self.discriminator_weight, self.l1, self.dice, self.cross_entropy)
        check_objective(min(weights) >= 0, self, "a weight is negative, which would turn a player's aim around")
        check_objective(self.discriminator_weight > 0, self, "discriminator_weight is 0, so it would learn nothing")
        check_objective(self.dice_smooth > 0, self, "dice_smooth must be above 0, or empty slices divide by 0")
        check_objective(0 <= self.warm_up[0] <= self.warm_up[1], self, f"warm_up is {self.warm_up}, not 0 <= a <= b")
        check_objective(0 <= self.mask_smoothing < 0.5, self, "mask_smoothing must lie in [0, 0.5)")
        check_objective(self.instance_noise >= 0, self, "instance_noise cannot be negative")
        if self.setting == "faithful":
            others = (self.dice, self.cross_entropy, self.mask_smoothing, self.instance_noise, *self.warm_up)
            check_objective(
                not any(others),
                self,
                "the faithful setting has no Dice, cross-entropy, warm-up, smoothing or noise",
                action='Leave them out, or choose "setting": "modern".',
            )
            check_objective(self.l1 + self.adversarial_weight > 0, self, "all weights of the generator are 0")
        else:
            check_objective(self.l1 == 0, self, "the modern setting has no l1", action="Weigh dice and cross_entropy.")
            check_objective(self.dice + self.cross_entropy > 0, self, "dice and cross_entropy are both 0")


SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "faithful": {
        "generator": {"name": "pix2pix_seed", "config": {}},
        "discriminator": {"name": "patch142_keras", "config": {}},
        "adversarial": "vanilla",
        "adversarial_weight": 1.0,
        "l1": 100.0,
        "dice": 0.0,
        "cross_entropy": 0.0,
        "initialisation": "normal",
    },
    "modern": {},
}
"""What differs from `ConditionalConfig`'s own defaults by setting; the faithful values are the seed's."""


class Conditional(Objective):
    """The conditional GAN of pix2pix, with the seed's losses or with those of segmentation."""

    name = "conditional"

    def __init__(self, config: ConditionalConfig) -> None:
        self.config = config
        self._generator = network_spec(config.generator, "generator")
        self._image_channels, self._mask_channels = channels(self._generator)
        self._discriminator = discriminator_spec(config.discriminator, self._generator, ("pair",), config)
        pictures = networks.entry(self._generator.name).output == "tanh"
        check_objective(
            pictures == (config.setting == "faithful"),
            config,
            f"{self._generator.name} does not fit the {config.setting} setting",
            action="The faithful setting wants pix2pix_seed, the modern one a generator of raw scores.",
        )
        self._step = 0

    def build_networks(self) -> dict[str, nn.Module]:
        return {
            "generator": self._generator.build(self.config.initialisation),
            "discriminator": self._discriminator.build(self.config.discriminator_initialisation),
        }

    @property
    def phases(self) -> tuple[Phase, ...]:
        return (
            Phase("discriminator", ("discriminator",), self._discriminator_loss),
            Phase("generator", ("generator",), self._generator_loss),
        )

    def set_progress(self, step: int, total: int) -> None:
        self._step = step

    @property
    def adversarial_weight(self) -> float:
        """The generator's adversarial weight at the current update: 0 up to warm-up's begin, full from its end."""
        return ramp(self.config.adversarial_weight, self.config.warm_up, self._step)

    def forward(self, networks: Networks, batch: Batch) -> Shared:
        """``scores``: what the generator gives, a picture of the mask in the faithful setting."""
        return {"scores": networks["generator"](batch["image"])}

    def generator_spec(self) -> tuple[str, dict[str, Any]]:
        return self._generator.name, self._generator.config.to_dict()

    def reviewer(self) -> Reviewer:
        """The discriminator, which sees an image beside a mask as it was trained to: see `reference`."""
        return Reviewer("discriminator", self._discriminator.name, self._discriminator.config.to_dict())

    def reference(self, mask: Tensor) -> Tensor:
        """``mask (B, H, W)`` as what the generator should give and the discriminator takes for real, float32.

        Faithful: -1 and 1 in every output channel. Modern: one-hot probabilities, smoothed.
        """
        if self.config.setting == "faithful":
            return (2 * one_hot(mask, 1) - 1).expand(-1, self._mask_channels, -1, -1)
        smoothing = self.config.mask_smoothing
        return one_hot(mask, self._mask_channels) * (1 - 2 * smoothing) + smoothing

    def _judge(self, networks: Networks, image: Tensor, mask: Tensor) -> Tensor:
        """Raw scores of the discriminator for ``image`` and ``mask (B, mask channels, H, W)`` together."""
        image = image.expand(-1, self._image_channels, -1, -1)
        if self.config.instance_noise:
            mask = mask + self.config.instance_noise * torch.randn_like(mask)
        scores: Tensor = networks["discriminator"](*shown("pair", image, mask))
        return scores

    def _generated(self, shared: Shared) -> Tensor:
        return shared["scores"] if self.config.setting == "faithful" else probabilities(shared["scores"])

    def _discriminator_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        image, mask = labelled_only(batch, batch["image"], batch["mask"])
        real = self._judge(networks, image, self.reference(mask)) if len(mask) else None
        fake = self._judge(networks, batch["image"], self._generated(shared).detach())
        # Without any reference the fake part is all there is to learn from, and the accuracy is that of guessing.
        known = fake if real is None else real
        terms = told_apart(self.config.adversarial, known, fake)
        if real is None:
            terms["real"] = torch.zeros_like(terms["fake"])
        total = self.config.discriminator_weight * (terms["real"] + terms["fake"])
        return {"total": total, **{name: term.detach() for name, term in terms.items()}}

    def _generator_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        scores = shared["scores"]
        terms = self._fidelity(scores, batch)
        weight = self.adversarial_weight
        with gradient_if(weight):
            judged = self._judge(networks, batch["image"], self._generated(shared))
            fooling = generator_adversarial_loss(self.config.adversarial, judged)
        return {**terms, "total": terms["total"] + weight * fooling, "adversarial": fooling.detach()}

    def _fidelity(self, scores: Tensor, batch: Batch) -> Terms:
        """The generator's terms that hold its masks against references."""
        if self.config.setting == "modern":
            return segmentation_terms(self.config, scores, batch["mask"], labelled=batch.get("labelled"))
        pictures, mask = labelled_only(batch, scores, batch["mask"])
        distance = l1_loss(pictures, self.reference(mask)) if len(mask) else 0 * scores.float().sum()
        return {"total": self.config.l1 * distance, "l1": distance.detach()}
