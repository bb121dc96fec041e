"""SegAN: a critic looks for the scales at which the image under the mask differs from the image under the reference.

Source: Y. Xue et al., *SegAN: Adversarial Network with Multi-scale L1 Loss for Medical Image Segmentation*,
Neuroinformatics 2018 (arXiv 1706.01805); seed 002. With features f_1 ... f_L of the critic C, the pixels first,

    ``gap = mean over levels l of mean |f_l(x * S(x)) - f_l(x * y)|``

is what the critic maximises and the segmentor S minimises: ``min_S max_C gap``. Each level counts by its *mean*, so
that the many values of a fine one do not outvote a coarse one.

The segmentor may learn from soft Dice besides (the authors' code does, with squared denominators), and begin with it
alone: the adversarial term by itself often fails to start. The paper names nothing that keeps the critic from
multiplying its features without end. Two devices are here: its weights are clipped, or a gradient penalty (I. Gulrajani
et al., NIPS 2017, arXiv 1704.00028) keeps the gap's slope at 1.

Several classes go into one segmentor: each foreground class masks the image, and one critic sees all these products as
channels (the paper's S3-1C), or every class has a critic of its own (S3-3C).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .. import networks
from ..networks import Initialisation
from .adversary import gradient_if, labelled_only, ramp
from .base import Batch, Networks, Objective, Phase, Shared, Terms, WeightClip
from .config import ObjectiveConfig, check_objective, network_spec
from .losses import DiceOver, cross_entropy_loss, one_hot, probabilities, soft_dice_loss
from .masked_image import MaskedImage, masked_image
from .nothing import nothing
from .penalties import gradient_penalty
from .scores import check_scores

Features = tuple[Tensor, ...]


@dataclass(frozen=True)
class MultiscaleL1Config(ObjectiveConfig):
    """The players, what bounds the critic, and the weights.

    Parameters
    ----------
    generator, critic:
        ``{"name": ..., "config": {...}}``; the critic's ``in_channels`` follows from image and classes where absent.
    critics:
        ``"one"`` for all classes, its role ``"critic"``; ``"per_class"``, roles ``"critic_1"``, ``"critic_2"``, ... in
        the order of the foreground classes, whose gaps are averaged.
    adversarial_weight:
        Of the segmentor's gap.
    level_weights:
        Of the levels, pixels first; equal where empty. The gap is their weighted mean, so only proportions count. The
        authors' code has 1, 1, 2, 2, 2, 2, 4 (for a critic of six blocks).
    dice, cross_entropy, dice_over, dice_smooth:
        As in the objective supervised.
    dice_squared:
        The Dice's denominators sum squares.
    warm_up:
        ``[a, b]``: the adversarial weight is 0 up to update a, rises linearly and is full from update b; by default
        over five epochs of 250 updates. The critic learns from the start.
    lipschitz:
        ``"clip"`` or ``"penalty"``.
    clip:
        The bound of the critic's weights, 0.05 in the authors' code.
    clip_everything:
        Clip also biases and the parts of normalisations, as that code does; else the convolutions' weights alone.
    penalty:
        Weight of the gradient penalty. The slope is measured against the root mean square change of the masked image,
        which makes it independent of the slices' size.
    masked_image:
        What a mask multiplies: ``"unit"`` is the image in [0, 1], so that only black tissue looks like background;
        ``"signed"`` the image in [-1, 1] as it is, in which what lies in the middle of the window is invisible.
    initialisation, critic_initialisation:
        See `networks.initialise`.
    """

    generator: Mapping[str, Any] = field(default_factory=lambda: {"name": "segan_segmentor"})
    critic: Mapping[str, Any] = field(default_factory=lambda: {"name": "segan_critic"})
    critics: Literal["one", "per_class"] = "one"
    adversarial_weight: float = 1.0
    level_weights: tuple[float, ...] = ()
    dice: float = 1.0
    cross_entropy: float = 0.0
    dice_over: DiceOver = "batch"
    dice_smooth: float = 1.0
    dice_squared: bool = False
    warm_up: tuple[int, int] = (0, 1250)
    lipschitz: Literal["clip", "penalty"] = "clip"
    clip: float = 0.05
    clip_everything: bool = False
    penalty: float = 10.0
    masked_image: MaskedImage = "unit"
    initialisation: Initialisation = "he"
    critic_initialisation: Initialisation = "normal"

    def __post_init__(self) -> None:
        weights = (self.adversarial_weight, self.dice, self.cross_entropy, self.penalty, *self.level_weights)
        check_objective(min(weights) >= 0, self, "a weight is negative, which would turn a player's aim around")
        check_objective(self.dice_smooth > 0, self, "dice_smooth must be above 0, or empty slices divide by 0")
        check_objective(0 <= self.warm_up[0] <= self.warm_up[1], self, f"warm_up is {self.warm_up}, not 0 <= a <= b")
        check_objective(self.clip > 0, self, f"clip is {self.clip}, and must be above 0")
        check_objective(
            self.lipschitz == "clip" or self.penalty > 0, self, "penalty is 0, so nothing would bound the critic"
        )
        check_objective(
            not self.level_weights or sum(self.level_weights[1:]) > 0,
            self,
            "level_weights has no weight beyond the pixels, so the critic would learn nothing",
        )
        supervised = self.dice + self.cross_entropy > 0
        check_objective(
            supervised or self.adversarial_weight > 0, self, "dice, cross_entropy and adversarial_weight are all 0"
        )
        check_objective(
            supervised or self.warm_up == (0, 0),
            self,
            "without dice and cross_entropy nothing would be learned during warm_up",
            action='Set "warm_up": [0, 0], or give dice a weight.',
        )


class MultiscaleL1(Objective):
    """A segmentor against one or several critics of the image under the mask."""

    name = "multiscale_l1"

    def __init__(self, config: MultiscaleL1Config) -> None:
        self.config = config
        self._generator = network_spec(config.generator, "generator")
        image_channels, classes = check_scores(self._generator, config)
        self._foreground = max(classes - 1, 1)
        per_class = config.critics == "per_class"
        check_objective(
            not per_class or self._foreground > 1, config, "one foreground class has one critic", action='Choose "one".'
        )
        found = networks.entry(network_spec(config.critic, "discriminator").name)
        check_objective(
            found.output == "features" and found.sees == "product",
            config,
            f"{found.name} gives no features of the image under a mask",
            action="Choose segan_critic.",
        )
        seen = image_channels * (1 if per_class else self._foreground)
        self._critic = network_spec(config.critic, "discriminator", {"in_channels": seen})
        self.roles: tuple[str, ...] = (
            tuple(f"critic_{label}" for label in range(1, self._foreground + 1)) if per_class else ("critic",)
        )
        self._check_critic(seen)
        self._step = 0

    def _check_critic(self, seen: int) -> None:
        fields = self._critic.config.to_dict()
        check_objective(
            fields["in_channels"] == seen,
            self.config,
            f"the critic takes {fields['in_channels']} channels, but the image under the masks has {seen}",
            action="Leave the critic's in_channels out, then it follows.",
        )
        given, levels = len(self.config.level_weights), fields["blocks"] + 1
        check_objective(
            given in (0, levels), self.config, f"level_weights has {given} entries for {levels} levels (the pixels too)"
        )
        check_objective(
            self.config.lipschitz != "penalty" or fields["norm"] != "batch",
            self.config,
            "a gradient penalty looks at one sample's slope, which batch normalisation mixes with the others'",
            action='Give the critic "norm": "instance", "group" or "none".',
        )

    def build_networks(self) -> dict[str, nn.Module]:
        critics = {role: self._critic.build(self.config.critic_initialisation) for role in self.roles}
        return {"generator": self._generator.build(self.config.initialisation), **critics}

    @property
    def phases(self) -> tuple[Phase, ...]:
        clip = None
        if self.config.lipschitz == "clip":
            clip = WeightClip(self.config.clip, only_convolutions=not self.config.clip_everything)
        return (
            Phase("critic", self.roles, self._critic_loss, clip=clip),
            Phase("generator", ("generator",), self._generator_loss),
        )

    def set_progress(self, step: int, total: int) -> None:
        self._step = step

    @property
    def _penalties(self) -> tuple[str, ...]:
        """What the critic's loss has beside the gap."""
        return ("penalty",) if self.config.lipschitz == "penalty" else ()

    @property
    def adversarial_weight(self) -> float:
        """The gap's weight for the segmentor at the current update."""
        return ramp(self.config.adversarial_weight, self.config.warm_up, self._step)

    def forward(self, networks: Networks, batch: Batch) -> Shared:
        """``scores (B, classes, H, W)``: what the segmentor gives."""
        return {"scores": networks["generator"](batch["image"])}

    def generator_spec(self) -> tuple[str, dict[str, Any]]:
        return self._generator.name, self._generator.config.to_dict()

    def masked(self, image: Tensor, mask: Tensor) -> tuple[Tensor, ...]:
        """What each critic sees of ``image (B, C, H, W)`` in [-1, 1] under ``mask (B, classes, H, W)`` in [0, 1].

        The background's channel is left out: it is what the other masks leave over.
        """
        return masked_image(image, mask, self.config.masked_image).chunk(len(self.roles), dim=1)

    def _distance(self, one: Features, two: Features) -> Tensor:
        """The weighted mean over levels of the mean absolute difference, for each sample: ``(B,) float32``."""
        weights = self.config.level_weights or (1.0,) * len(one)
        levels = [
            weight * (a.float() - b.float()).abs().flatten(1).mean(dim=1)
            for weight, a, b in zip(weights, one, two, strict=True)
        ]
        return torch.stack(levels).sum(dim=0) / sum(weights)

    def _critic_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        image, mask, scores = labelled_only(batch, batch["image"], batch["mask"], shared["scores"].detach())
        if not len(mask):
            total = nothing(networks[role] for role in self.roles)
            return {"total": total, **dict.fromkeys(("gap", *self._penalties), total.detach())}
        fakes = self.masked(image, probabilities(scores))
        reals = self.masked(image, one_hot(mask, scores.shape[1]))
        gaps, penalties = [], []
        for role, fake, real in zip(self.roles, fakes, reals, strict=True):
            critic = networks[role]
            gaps.append(self._distance(critic(fake), critic(real)).mean())
            if self._penalties:
                penalties.append(self._penalty(critic, fake, real))
        gap = torch.stack(gaps).mean()
        terms = {"total": -gap, "gap": gap.detach()}
        if penalties:
            penalty = torch.stack(penalties).mean()
            terms |= {"total": self.config.penalty * penalty - gap, "penalty": penalty.detach()}
        return terms

    def _penalty(self, critic: nn.Module, fake: Tensor, real: Tensor) -> Tensor:
        """The gradient penalty of the distance from the reference, as a function of the masked image."""
        pixels = math.sqrt(real[0].numel())

        def distance(between: Tensor) -> Tensor:
            # A slope of 1 against the root mean square is one of 1 / sqrt(pixels) against the sum of squares.
            return pixels * self._distance(critic(between), critic(real.float()))

        return gradient_penalty(distance, (real,), (fake,))

    def _generator_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        image, mask, scores = labelled_only(batch, batch["image"], batch["mask"], shared["scores"])
        if not len(mask):
            total = 0 * shared["scores"].float().sum()
            return {"total": total, **dict.fromkeys(("dice", "cross_entropy", "adversarial"), total.detach())}
        config = self.config
        dice = soft_dice_loss(
            scores, mask, over=config.dice_over, smooth=config.dice_smooth, squared=config.dice_squared
        )
        entropy = cross_entropy_loss(scores, mask)
        weight = self.adversarial_weight
        with gradient_if(weight):
            gap = self._gap(networks, image, mask, scores)
        return {
            "total": config.dice * dice + config.cross_entropy * entropy + weight * gap,
            "dice": dice.detach(),
            "cross_entropy": entropy.detach(),
            "adversarial": gap.detach(),
        }

    def _gap(self, networks: Networks, image: Tensor, mask: Tensor, scores: Tensor) -> Tensor:
        """The gap as the segmentor meets it: the reference's features are fixed."""
        gaps = []
        fakes = self.masked(image, probabilities(scores))
        reals = self.masked(image, one_hot(mask, scores.shape[1]))
        for role, fake, real in zip(self.roles, fakes, reals, strict=True):
            with torch.no_grad():
                expected = networks[role](real)
            gaps.append(self._distance(networks[role](fake), expected).mean())
        return torch.stack(gaps).mean()
