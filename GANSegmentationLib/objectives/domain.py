"""One generator for several domains: it translates slices between them and, but for StarGAN, segments them all.

Sources: Y. Choi et al., *StarGAN*, CVPR 2018 (arXiv 1711.09020); W. Yuan et al., *UAGAN*, MICCAI 2019
(arXiv 1907.03548); Y. Xue et al., *SegAN*, Neuroinformatics 2018 (arXiv 1706.01805); seed 002. Slices of different
domains show different patients: nothing is paired. Three settings:

``stargan``
    The generator G translates alone. With the critic's word on real and fake D, on the domain C, a target t drawn for
    each slice x of domain s, and ``x' = G(x, t)``:

    critic:     ``-(mean D(x) - mean D(x')) + classification * CE(C(x), s) + penalty * gradient penalty``
    generator:  ``-adversarial_weight * mean D(x') + classification * CE(C(x'), t)``
    ``          + reconstruction * mean |x - G(x', s)|``

``uagan``
    G also segments. To the generator's terms come ``segmentation * (dice * Dice + cross_entropy * CE)`` of its scores
    for x, and ``shape`` times the same sum of its scores for x', held against *the same mask*: a translation must keep
    what the mask shows. It is what makes a translation and its source's mask a labelled pair of the target domain. Its
    weight grows linearly over the first part of training, for there is nothing to keep before translations are any.
``uasegan``
    UAGAN whose segmentations a SegAN critic judges, too: ``multiscale`` times its gap joins Dice and cross-entropy.

And two recipes: ``faithful`` has the published generators, whose normalisation hides the domain (see
`networks.conditional_norm`), and for UAGAN the class-weighted cross-entropy, made for small tumours; ``modern``
generators know the domain inside, and segmentation learns from Dice and plain cross-entropy.

Slices without a mask take part in translation alone. Targets are the batch's own domains in random order, so that
some slices are "translated" into their own domain, as they are in use where they are only segmented.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import networks
from ..networks import Initialisation
from .adversary import labelled_only
from .base import Batch, Networks, Objective, Phase, Shared, Task, Terms, WeightClip
from .config import NetworkSpec, ObjectiveConfig, check_objective, network_spec
from .domains import domain_vectors
from .losses import DiceOver, cross_entropy_loss, l1_loss, one_hot, probabilities, soft_dice_loss
from .masked_image import masked_image
from .nothing import nothing
from .penalties import gradient_penalty

Setting = Literal["stargan", "uagan", "uasegan"]
Recipe = Literal["faithful", "modern"]


@dataclass(frozen=True)
class DomainConfig(ObjectiveConfig):
    """The players, the setting and the weights; what is not given takes the value of `SETTINGS` and `FAITHFUL`.

    Parameters
    ----------
    generator, discriminator, critic:
        ``{"name": ..., "config": {...}}``; the discriminator's ``in_channels`` and ``domains`` and the critic's
        ``in_channels`` follow from the generator where absent. Only ``uasegan`` has a critic.
    setting, recipe:
        See the module.
    adversarial_weight, classification, reconstruction, penalty:
        Weights of translation; the published 1, 1, 10 and 10.
    segmentation, shape:
        Weights of the segmentation of slices and of translations. Published are 100 and 100, of a class-weighted
        cross-entropy; Dice and plain cross-entropy together are several times as large, and the modern 10 and 10 keep
        the published balance with translation.
    shape_ramp:
        Share of training over which the weight of shape rises from 0, 0.6 as published; 0 = full from the start.
    dice, cross_entropy, dice_over, dice_smooth:
        As in the objective supervised, both times.
    class_weights:
        Weights of the classes in the cross-entropy, background first; () for equal ones.
    multiscale, clip:
        Weight of the SegAN critic's gap beside Dice and cross-entropy; the bound of its convolutions' weights.
    n_critic:
        The generator learns in every n-th step.
    initialisation, discriminator_initialisation:
        See `networks.initialise`; the second is also the critic's.
    """

    generator: Mapping[str, Any] = field(default_factory=lambda: {"name": "uagan_generator"})
    discriminator: Mapping[str, Any] = field(default_factory=lambda: {"name": "stargan_discriminator"})
    critic: Mapping[str, Any] | None = None
    setting: Setting = "uagan"
    recipe: Recipe = "modern"
    adversarial_weight: float = 1.0
    classification: float = 1.0
    reconstruction: float = 10.0
    penalty: float = 10.0
    segmentation: float = 10.0
    shape: float = 10.0
    shape_ramp: float = 0.6
    dice: float = 1.0
    cross_entropy: float = 1.0
    dice_over: DiceOver = "batch"
    dice_smooth: float = 1.0
    class_weights: tuple[float, ...] = ()
    multiscale: float = 0.0
    clip: float = 0.05
    n_critic: int = 1
    initialisation: Initialisation = "he"
    discriminator_initialisation: Initialisation = "he"

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> DomainConfig:
        """As `ObjectiveConfig.from_dict`, over the defaults of the setting and the recipe that `fields` names."""
        given = fields if isinstance(fields, Mapping) else {}
        setting, recipe = given.get("setting", "uagan"), given.get("recipe", "modern")
        defaults: dict[str, Any] = {}
        if isinstance(setting, str):
            defaults.update(SETTINGS.get(setting, {}))
            defaults.update(FAITHFUL.get(setting, {}) if recipe == "faithful" else {})
        return super().from_dict({**defaults, **fields})

    def __post_init__(self) -> None:
        weights = (self.adversarial_weight, self.classification, self.reconstruction, self.segmentation, self.shape)
        inner = (self.dice, self.cross_entropy, self.multiscale, *self.class_weights)
        check_objective(min(weights + inner) >= 0, self, "a weight is negative, which would turn a player's aim around")
        check_objective(self.penalty > 0, self, "penalty must be above 0, or nothing bounds the critic's slope")
        check_objective(0 <= self.shape_ramp <= 1, self, "shape_ramp is a share of training and must lie in [0, 1]")
        check_objective(self.n_critic >= 1, self, f"n_critic is {self.n_critic}, and at least 1 is needed")
        check_objective(self.clip > 0, self, f"clip is {self.clip}, and must be above 0")
        check_objective(self.dice_smooth > 0, self, "dice_smooth must be above 0, or empty slices divide by 0")
        if self.setting == "stargan":
            check_objective(
                not any((self.segmentation, self.shape, self.multiscale)),
                self,
                "the setting stargan segments nothing and has no weight for segmentation, shape or multiscale",
                action='Leave them out, or choose "setting": "uagan".',
            )
        else:
            check_objective(self.segmentation > 0, self, "segmentation is 0, so nobody would learn to segment")
            check_objective(self.dice + self.cross_entropy > 0, self, "dice and cross_entropy are both 0")
        check_objective(
            (self.critic is not None) == (self.multiscale > 0) == (self.setting == "uasegan"),
            self,
            "a critic and a weight multiscale above 0 belong to the setting uasegan, and to no other",
        )


SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "stargan": {
        "generator": {"name": "stargan_generator"},
        "segmentation": 0.0,
        "shape": 0.0,
        "n_critic": 5,
    },
    "uagan": {},
    "uasegan": {"critic": {"name": "segan_critic"}, "multiscale": 1.0},
}
"""What differs from `DomainConfig`'s own defaults by setting; the published weights and numbers of critic steps."""

_AS_PUBLISHED: Mapping[str, Any] = {"initialisation": "torch", "discriminator_initialisation": "torch"}
_SMALL_FOREGROUND: Mapping[str, Any] = {
    "segmentation": 100.0,
    "shape": 100.0,
    "dice": 0.0,
    "class_weights": [0.02, 0.98],
}

FAITHFUL: Mapping[str, Mapping[str, Any]] = {
    "stargan": {
        "generator": {
            "name": "stargan_generator",
            "config": {"conditioning": "channels", "up": "transposed", "running_statistics": True},
        },
        **_AS_PUBLISHED,
    },
    "uagan": {
        "generator": {"name": "uagan_generator", "config": {"conditioning": "channels", "up": "transposed"}},
        **_SMALL_FOREGROUND,
        **_AS_PUBLISHED,
    },
    # Seed 002 describes the combination and asks for a domain that is visible inside; it was never published.
    "uasegan": {**_SMALL_FOREGROUND, **_AS_PUBLISHED},
}
"""What differs from `SETTINGS` where the recipe is faithful."""


_TRANSLATION_HEAD = "translation_head."
"""The layer of a generator that segments, too, which gives the translation; its entry's head is the other one."""


class Domain(Objective):
    """StarGAN, UAGAN, and UAGAN with SegAN's critic."""

    name = "domain"

    def __init__(self, config: DomainConfig) -> None:
        self.config = config
        self.segments = self.uses_masks = config.setting != "stargan"
        self.task: Task = "segmentation" if self.segments else "synthesis"
        self._generator = network_spec(
            config.generator, "generator" if self.segments else "synthesiser", may_take_domain=True
        )
        fields = self._generator.config.to_dict()
        check_objective(
            networks.entry(self._generator.name).translates,
            config,
            f"{self._generator.name} does not translate",
            action=f"Choose {'uagan_generator' if self.segments else 'stargan_generator'}.",
        )
        self.domains: int = fields["domains"]
        self._discriminator = self._discriminator_spec(fields["in_channels"])
        self._classes: int = fields["classes"] if self.segments else 0
        self._critic = None if config.critic is None else self._critic_spec(config.critic, fields["in_channels"])
        check_objective(
            len(config.class_weights) in (0, max(self._classes, 2)),
            config,
            f"class_weights has {len(config.class_weights)} entries for {max(self._classes, 2)} classes",
        )
        self._progress = 0.0

    def _discriminator_spec(self, channels: int) -> NetworkSpec:
        follows = {"in_channels": channels, "domains": self.domains}
        names = [name for name in networks.names("discriminator") if networks.entry(name).output == "patch_domain"]
        return self._follower(self.config.discriminator, names, "says nothing of the domain", follows)

    def _critic_spec(self, fields: Mapping[str, Any], channels: int) -> NetworkSpec:
        follows = {"in_channels": channels * max(self._classes - 1, 1)}
        found = [networks.entry(name) for name in networks.names("discriminator")]
        names = [entry.name for entry in found if (entry.output, entry.sees) == ("features", "product")]
        return self._follower(fields, names, "gives no features of the image under a mask", follows)

    def _follower(
        self, fields: Mapping[str, Any], fitting: list[str], otherwise: str, follows: Mapping[str, int]
    ) -> NetworkSpec:
        """A discriminator of one of the fitting names, whose settings `follows` are those of the generator."""
        name = network_spec({**fields, "config": {}}, "discriminator").name
        check_objective(name in fitting, self.config, f"{name} {otherwise}", action=f"Choose {' or '.join(fitting)}.")
        found = network_spec(fields, "discriminator", follows)
        taken = found.config.to_dict()
        for key, value in follows.items():
            check_objective(
                taken[key] == value,
                self.config,
                f"the {key} of {name} is {taken[key]}, but with {self._generator.name} it is {value}",
                action=f"Leave {key} out, then it follows from the generator.",
            )
        return found

    def build_networks(self) -> dict[str, nn.Module]:
        players = {
            "generator": self._generator.build(self.config.initialisation),
            "discriminator": self._discriminator.build(self.config.discriminator_initialisation),
        }
        if self._critic is not None:
            players["critic"] = self._critic.build(self.config.discriminator_initialisation)
        return players

    @property
    def phases(self) -> tuple[Phase, ...]:
        discriminator = Phase("discriminator", ("discriminator",), self._discriminator_loss)
        generator = Phase("generator", ("generator",), self._generator_loss, every=self.config.n_critic)
        if self._critic is None:
            return discriminator, generator
        clip = WeightClip(self.config.clip, only_convolutions=True)
        return discriminator, Phase("critic", ("critic",), self._critic_loss, clip=clip), generator

    def set_progress(self, step: int, total: int) -> None:
        self._progress = step / total if total else 0.0

    @property
    def shape_weight(self) -> float:
        """The weight of the translations' segmentation at the current update."""
        ramp = self.config.shape_ramp
        return self.config.shape * (min(1.0, self._progress / ramp) if ramp else 1.0)

    def generator_spec(self) -> tuple[str, dict[str, Any]]:
        return self._generator.name, self._generator.config.to_dict()

    def forward(self, networks: Networks, batch: Batch) -> Shared:
        """``translated (B, C, H, W)`` in (-1, 1), its ``target`` and the slices' own ``domain``, one-hot
        ``(B, domains)``, and of a generator that segments ``scores (B, classes, H, W)``."""
        domain = domain_vectors(batch, self.domains)
        # Drawn on the CPU: a seed then gives the same targets on every device.
        target = domain[torch.randperm(len(domain)).to(domain.device)]
        scores, translated = self.translate(networks["generator"], batch["image"], domain, target)
        shared = {"translated": translated, "target": target, "domain": domain}
        return shared if scores is None else {**shared, "scores": scores}

    def translate(
        self, generator: nn.Module, image: Tensor, domain: Tensor, target: Tensor
    ) -> tuple[Tensor | None, Tensor]:
        """The scores of slices ``(B, C, H, W)``, if the generator segments, and their translations of the same shape;
        from a domain into a target, both one-hot ``(B, domains)``."""
        if not self.segments:
            return None, generator(image, target)
        scores, translated = generator(image, domain, target=target)
        return scores, translated

    def last_layers(self) -> tuple[str, ...]:
        """Both heads of a generator that segments and translates: the adversary judges what it translates."""
        return (*super().last_layers(), *((_TRANSLATION_HEAD,) if self.segments else ()))

    # ------------------------------------------------------------------------------------------------ what each learns

    def _discriminator_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        judge = networks["discriminator"]
        image, fake = batch["image"], shared["translated"].detach()
        real_scores, named = judge(image)
        gap = real_scores.float().mean() - judge(fake)[0].float().mean()
        classification = F.cross_entropy(named.float(), shared["domain"])
        penalty = gradient_penalty(lambda x: judge(x)[0], (image,), (fake,))
        return {
            "total": self.config.classification * classification + self.config.penalty * penalty - gap,
            "gap": gap.detach(),
            "classification": classification.detach(),
            "penalty": penalty.detach(),
        }

    def _critic_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        image, mask, scores = labelled_only(batch, batch["image"], batch["mask"], shared["scores"].detach())
        if not len(mask):
            total = nothing([networks["critic"]])
            return {"total": total, "gap": total.detach()}
        gap = self._gap(networks["critic"], image, mask, scores)
        return {"total": -gap, "gap": gap.detach()}

    def _generator_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        config, translated = self.config, shared["translated"]
        judged, named = networks["discriminator"](translated)
        fooling = -judged.float().mean()
        classification = F.cross_entropy(named.float(), shared["target"])
        again, back = self.translate(networks["generator"], translated, shared["target"], shared["domain"])
        reconstruction = l1_loss(back, batch["image"])
        total = (
            config.adversarial_weight * fooling
            + config.classification * classification
            + config.reconstruction * reconstruction
        )
        terms = {
            "adversarial": fooling.detach(),
            "classification": classification.detach(),
            "reconstruction": reconstruction.detach(),
        }
        if again is None:
            return {"total": total, **terms}
        segmentation = self._segmentation(networks, batch, shared["scores"])
        shape = self._masks_loss(batch, again)["total"]
        return {
            "total": total + config.segmentation * segmentation.pop("total") + self.shape_weight * shape,
            **terms,
            **segmentation,
            "shape": shape.detach(),
        }

    def _segmentation(self, networks: Networks, batch: Batch, scores: Tensor) -> Terms:
        """What the scores of slices are held to: their masks, and the critic's features of them."""
        terms = self._masks_loss(batch, scores)
        if self._critic is None:
            return terms
        image, mask, scores = labelled_only(batch, batch["image"], batch["mask"], scores)
        gap = self._gap(networks["critic"], image, mask, scores) if len(mask) else 0 * terms["total"]
        return {**terms, "total": terms["total"] + self.config.multiscale * gap, "multiscale": gap.detach()}

    def _masks_loss(self, batch: Batch, scores: Tensor) -> Terms:
        """``dice``, ``cross_entropy`` and their weighted sum ``total`` over the slices with a mask; 0 without any."""
        config = self.config
        found, mask = labelled_only(batch, scores, batch["mask"])
        if not len(mask):
            zero = 0 * scores.float().sum()
            return {"total": zero, "dice": zero.detach(), "cross_entropy": zero.detach()}
        dice = soft_dice_loss(found, mask, over=config.dice_over, smooth=config.dice_smooth)
        entropy = cross_entropy_loss(found, mask, config.class_weights)
        return {
            "total": config.dice * dice + config.cross_entropy * entropy,
            "dice": dice.detach(),
            "cross_entropy": entropy.detach(),
        }

    def _gap(self, critic: nn.Module, image: Tensor, mask: Tensor, scores: Tensor) -> Tensor:
        """SegAN's gap: the mean over the critic's levels of the mean difference under mask and found mask."""
        found, real = (
            critic(masked_image(image, masks)) for masks in (probabilities(scores), one_hot(mask, scores.shape[1]))
        )
        return torch.stack([l1_loss(one, two) for one, two in zip(found, real, strict=True)]).mean()
