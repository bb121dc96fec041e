"""Mask to picture: a generator paints the scan that a mask could belong to, judged at several resolutions.

Source: seed 004, which paints electron micrographs from masks of mitochondria and membranes; the discriminators and the
feature matching are pix2pixHD's (T.-C. Wang et al., CVPR 2018, arXiv 1711.11585). The generator minimises

    ``l1 * mean |G(m) - x| + adversarial_weight * sum over scales of the adversarial term``
    ``+ feature_matching * 1/scales * sum over scales and layers of 4/layers * mean |D_l(m, G(m)) - D_l(m, x)|``

where the features of the real pair are targets, not players: no gradient passes through them. Two settings:

``faithful``
    The seed's generator (pix2pix's U-Net with instance normalisation, noise by dropout alone) against three
    least-squares PatchGANs, L1 100 as in pix2pix.
``modern``
    A resize-convolution generator with a channel of noise beside the mask's, against three hinge PatchGANs with
    spectral normalisation; L1 10, since one mask has many pictures and a heavy L1 asks for their blurred mean.

Each step draws the pictures once. The discriminators learn first, from the detached pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .. import networks
from ..networks import Initialisation
from ..networks.pix2pix_image import mask_channels
from .base import Batch, Networks, Objective, Phase, Shared, Task, Terms
from .config import ObjectiveConfig, check_objective, network_spec
from .losses import (
    AdversarialLoss,
    discriminator_accuracy,
    discriminator_loss,
    generator_adversarial_loss,
    l1_loss,
)

Judged = tuple[tuple[Tensor, ...], ...]


@dataclass(frozen=True)
class SynthesisConfig(ObjectiveConfig):
    """The players, the setting and the weights; what is not given takes the setting's value of `SETTINGS`.

    Parameters
    ----------
    classes:
        Classes of the mask without the background: channels of the generator's input. With 1 every label is the class.
    generator, discriminator:
        ``{"name": ..., "config": {...}}``; their ``in_channels`` follow from classes, noise and pictures where absent.
    setting:
        ``"faithful"`` or ``"modern"``, see the module.
    adversarial, adversarial_weight:
        Form and weight of the generator's adversarial term, summed over scales; the discriminators have the same form.
    discriminator_weight:
        Factor of the discriminators' loss.
    l1, feature_matching:
        Weights of the other two terms.
    noise_channels:
        Channels of standard normal noise beside the mask's, drawn anew each time; 0 leaves noise to dropout.
    initialisation, discriminator_initialisation:
        See `networks.initialise`.
    """

    classes: int = 1
    generator: Mapping[str, Any] = field(default_factory=lambda: {"name": "pix2pix_modern_image"})
    discriminator: Mapping[str, Any] = field(
        default_factory=lambda: {"name": "multiscale_patch70", "config": {"spectral": True}}
    )
    setting: Literal["faithful", "modern"] = "modern"
    adversarial: AdversarialLoss = "hinge"
    adversarial_weight: float = 1.0
    discriminator_weight: float = 0.5
    l1: float = 10.0
    feature_matching: float = 10.0
    noise_channels: int = 1
    initialisation: Initialisation = "he"
    discriminator_initialisation: Initialisation = "normal"

    @classmethod
    def settings(cls) -> Mapping[str, Mapping[str, Any]]:
        return SETTINGS

    def __post_init__(self) -> None:
        weights = (self.adversarial_weight, self.discriminator_weight, self.l1, self.feature_matching)
        check_objective(min(weights) >= 0, self, "a weight is negative, which would turn a player's aim around")
        check_objective(self.discriminator_weight > 0, self, "discriminator_weight is 0, so it would learn nothing")
        aims = self.adversarial_weight + self.l1 + self.feature_matching
        check_objective(aims > 0, self, "all weights of the generator are 0")
        check_objective(1 <= self.classes <= 254, self, f"classes is {self.classes}, and masks have 1 to 254")
        check_objective(0 <= self.noise_channels <= 64, self, "noise_channels must lie in 0 to 64")


SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "faithful": {
        "generator": {"name": "pix2pix_seed_image", "config": {}},
        "discriminator": {"name": "multiscale_patch70", "config": {}},
        "adversarial": "lsgan",
        "l1": 100.0,
        "noise_channels": 0,
        "initialisation": "normal",
    },
    "modern": {},
}
"""What differs from `SynthesisConfig`'s own defaults by setting."""


class Synthesis(Objective):
    """A generator of pictures against discriminators at several scales, with L1 and feature matching."""

    name = "synthesis"
    task: Task = "synthesis"

    def __init__(self, config: SynthesisConfig) -> None:
        self.config = config
        taken = config.classes + config.noise_channels
        self._generator = network_spec(config.generator, "synthesiser", {"in_channels": taken})
        plain = self._generator.config.to_dict()
        self._check_channels("generator", plain["in_channels"], taken, "mask and noise")
        self.pictures: int = plain["out_channels"]
        """Channels of a picture: the neighbouring slices that are painted at once."""
        seen = config.classes + self.pictures
        self._discriminator = network_spec(config.discriminator, "discriminator", {"in_channels": seen})
        found = networks.entry(self._discriminator.name)
        check_objective(
            found.output == "features",
            config,
            f"{found.name} gives no features to match",
            action="Choose multiscale_patch70.",
        )
        given = self._discriminator.config.to_dict()["in_channels"]
        self._check_channels("discriminator", given, seen, "mask and picture")

    def _check_channels(self, role: str, given: int, needed: int, of: str) -> None:
        check_objective(
            given == needed,
            self.config,
            f"the {role} takes {given} channels, but {of} have {needed}",
            action=f"Leave the {role}'s in_channels out, then it follows.",
        )

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

    def mask_channels(self, mask: Tensor) -> Tensor:
        """What discriminators see of ``mask (B, H, W)``: see `networks.pix2pix_image.mask_channels`."""
        return mask_channels(mask, self.config.classes)

    def condition(self, mask: Tensor, noise: torch.Generator | None = None) -> Tensor:
        """What the generator is given for ``mask (B, H, W)``: its classes and fresh noise, ``(B, C, H, W) float32``.

        `noise` is a generator of the CPU, for pictures that can be made again; None draws as training does.
        """
        channels = self.mask_channels(mask)
        if not self.config.noise_channels:
            return channels
        shape = (len(mask), self.config.noise_channels, *mask.shape[1:])
        if noise is None:
            drawn = torch.randn(shape, device=mask.device)
        else:
            # On the CPU first: a seed then gives the same picture on every device.
            drawn = torch.randn(shape, generator=noise).to(mask.device)
        return torch.cat((channels, drawn), dim=1)

    def forward(self, networks: Networks, batch: Batch) -> Shared:
        """``picture (B, pictures, H, W)``: what the generator paints for the batch's masks."""
        return {"picture": networks["generator"](self.condition(batch["mask"]))}

    def generator_spec(self) -> tuple[str, dict[str, Any]]:
        return self._generator.name, self._generator.config.to_dict()

    def _judge(self, networks: Networks, batch: Batch, picture: Tensor) -> Judged:
        mask = self.mask_channels(batch["mask"])
        judged: Judged = networks["discriminator"](torch.cat((mask, picture.to(mask.dtype)), dim=1))
        return judged

    def _discriminator_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        real = _of_labelled(batch, _scores(self._judge(networks, batch, batch["image"])))
        fake = _of_labelled(batch, _scores(self._judge(networks, batch, shared["picture"].detach())))
        kind = self.config.adversarial
        losses = [discriminator_loss(kind, one, two) for one, two in zip(real, fake, strict=True)]
        loss_real, loss_fake = (torch.stack(parts).sum() for parts in zip(*losses, strict=True))
        right = [discriminator_accuracy(kind, one, two) for one, two in zip(real, fake, strict=True)]
        return _if_labelled(
            batch,
            {
                "total": self.config.discriminator_weight * (loss_real + loss_fake),
                "real": loss_real.detach(),
                "fake": loss_fake.detach(),
                "accuracy": torch.stack(right).mean(),
            },
        )

    def _generator_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        picture, image = _of_labelled(batch, (shared["picture"], batch["image"]))
        distance = l1_loss(picture, image)
        judged = self._judge(networks, batch, shared["picture"])
        fooling = torch.stack(
            [
                generator_adversarial_loss(self.config.adversarial, scores)
                for scores in _of_labelled(batch, _scores(judged))
            ]
        ).sum()
        matching = torch.zeros_like(distance)
        if self.config.feature_matching:
            with torch.no_grad():
                real = self._judge(networks, batch, batch["image"])
            matching = feature_distance(
                [_of_labelled(batch, scale[:-1]) for scale in judged],
                [_of_labelled(batch, scale[:-1]) for scale in real],
            )
        total = (
            self.config.l1 * distance
            + self.config.adversarial_weight * fooling
            + self.config.feature_matching * matching
        )
        return _if_labelled(
            batch,
            {
                "total": total,
                "l1": distance.detach(),
                "adversarial": fooling.detach(),
                "feature_matching": matching.detach(),
            },
        )


def feature_distance(fake: list[tuple[Tensor, ...]], real: list[tuple[Tensor, ...]]) -> Tensor:
    """pix2pixHD's feature matching: of every scale four times the mean over layers of mean |fake - real|, averaged.

    The factor four is the source's ``4 / (n_layers + 1)``, with which four layers count once each. The real features
    are targets: they carry no gradient.
    """
    scales = []
    for of_fake, of_real in zip(fake, real, strict=True):
        layers = [l1_loss(one, two.detach()) for one, two in zip(of_fake, of_real, strict=True)]
        scales.append(4 * torch.stack(layers).mean())
    return torch.stack(scales).mean()


def _scores(judged: Judged) -> tuple[Tensor, ...]:
    return tuple(scale[-1] for scale in judged)


def _of_labelled(batch: Batch, tensors: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The samples with a mask, of tensors ``(B, ...)``: a picture without its mask says nothing of the pair.

    All of them where none has one; `_if_labelled` then makes nothing of it.
    """
    labelled = batch.get("labelled")
    if labelled is None or not bool(labelled.any()):
        return tensors
    return tuple(tensor[labelled] for tensor in tensors)


def _if_labelled(batch: Batch, terms: Terms) -> Terms:
    """The terms; 0, on the same graph, where no sample has a mask."""
    labelled = batch.get("labelled")
    if labelled is None or bool(labelled.any()):
        return terms
    return {name: 0 * term for name, term in terms.items()}
