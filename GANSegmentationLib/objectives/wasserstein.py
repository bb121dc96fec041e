"""LGAN: a critic rates masks without a sigmoid, and the generator closes the gap between references and its masks.

Source: J. Tan et al., *LGAN: Lung Segmentation in CT Scans Using Generative Adversarial Network*, arXiv 1901.03473
(seed 001), over M. Arjovsky et al., *Wasserstein GAN*, ICML 2017 (arXiv 1701.07875). With a critic D the losses are

    critic:     ``-gap``, where ``gap = mean D(references) - mean D(generated masks)``
    generator:  ``dice * Dice + cross_entropy * CE - adversarial_weight * mean D(generated masks)``

so the critic *widens* the gap and the generator closes it; a critic that narrows it too teaches nothing. The gap bounds
the Wasserstein distance only for a critic of bounded slope, and up to that bound: it is a figure to watch, never a
distance to report. The paper names no bound, so every choice of ``lipschitz`` adds to it. Critics see probabilities,
which raw scores are not: {0, 1} masks would be told from them by their range.

The regression critic rates how far a mask is from its reference. It widens ``mean D(mask, reference) - mean
D(reference, reference)``, the second being held at 0 by ``anchor``; the generator minimises ``mean D(mask,
reference)``. The paper prints only the generator's side. Here it is the same game with D's sign turned.

Two settings:

``faithful``
    The paper's generator (U-Net with LeakyReLU), cross-entropy and a critic of equal weight, Gaussian first weights;
    weights clipped, as in Wasserstein GAN, which leaves the critic its batch normalisation.
``modern``
    Dice and cross-entropy with a small adversarial weight, gradient penalty and a critic without normalisation.

Samples without a reference count in the critic's and the generator's adversarial terms of generated masks only, and
with the regression critic nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.nn.utils import parametrize

from .. import networks
from ..networks import Initialisation, Sees, shown
from .adversary import channels, discriminator_spec, gradient_if, labelled_only, ramp
from .base import Batch, Networks, Objective, Phase, Reviewer, Shared, Terms, WeightClip
from .config import ObjectiveConfig, check_objective, network_spec
from .losses import DiceOver, one_hot, probabilities
from .penalties import gradient_penalty
from .supervised import segmentation_terms

Lipschitz = Literal["gradient_penalty", "clip", "spectral"]


@dataclass(frozen=True)
class WassersteinConfig(ObjectiveConfig):
    """Both players, the setting and the weights; what is not given takes the setting's value of `SETTINGS`.

    Parameters
    ----------
    generator, critic:
        ``{"name": ..., "config": {...}}``; a generator of raw scores, and any discriminator of masks. The critic's
        channels follow from the generator where absent, its norm and spectral from `lipschitz`.
    setting:
        ``"faithful"`` or ``"modern"``, see the module.
    lipschitz:
        What bounds the critic's slope. ``"gradient_penalty"``: see `penalties.gradient_penalty`; not with batch
        normalisation. ``"clip"``: its weights are held in a box after each update. ``"spectral"``: each layer's largest
        singular value is 1 (T. Miyato et al., ICLR 2018, arXiv 1802.05957); not with any normalisation.
    penalty_weight, clip:
        Weight of the penalty; half the side of the box.
    anchor:
        Weight of ``mean D(references) ** 2``, which holds the scores' arbitrary zero (T. Karras et al., ICLR 2018,
        arXiv 1710.10196). None is 1 for the regression critic and otherwise 0.001, faithfully 0.
    n_critic:
        The generator learns in every n-th step. The papers of Wasserstein GANs have 5; here the references teach the
        generator most, and 1 gives it as many updates as its supervised twin has.
    adversarial_weight:
        Of the generator's term. A critic of slope 1 pulls at a mask with a gradient of norm 1 a sample, however many
        pixels that has, and the mean cross-entropy of n pixels with one of about ``1 / sqrt(n)``: at weight 1 it was 10
        to 50 times as strong as Dice and cross-entropy, on masks of 64 x 64 and 128 x 128. Clipped critics pull less:
        with the paper's width and head, at weight 1, a tenth as strongly, and a thousandth when narrower or with the
        averaging head, which leaves nothing of the game.
    warm_up:
        ``[a, b]``: the adversarial weight is 0 up to update a, rises linearly and is full from update b.
    dice, cross_entropy, dice_over, dice_smooth:
        As in the objective supervised.
    initialisation, critic_initialisation:
        See `networks.initialise`.
    """

    generator: Mapping[str, Any] = field(default_factory=lambda: {"name": "pix2pix_modern"})
    critic: Mapping[str, Any] = field(default_factory=lambda: {"name": "lgan_early_fusion"})
    setting: Literal["faithful", "modern"] = "modern"
    lipschitz: Lipschitz = "gradient_penalty"
    penalty_weight: float = 10.0
    clip: float = 0.01
    anchor: float | None = None
    n_critic: int = 1
    adversarial_weight: float = 0.01
    warm_up: tuple[int, int] = (0, 0)
    dice: float = 1.0
    cross_entropy: float = 1.0
    dice_over: DiceOver = "batch"
    dice_smooth: float = 1.0
    initialisation: Initialisation = "he"
    critic_initialisation: Initialisation = "he"

    @classmethod
    def settings(cls) -> Mapping[str, Mapping[str, Any]]:
        return SETTINGS

    def __post_init__(self) -> None:
        weights = (self.adversarial_weight, self.dice, self.cross_entropy, self.anchor or 0.0)
        check_objective(min(weights) >= 0, self, "a weight is negative, which would turn a player's aim around")
        check_objective(self.dice + self.cross_entropy > 0, self, "dice and cross_entropy are both 0")
        check_objective(self.dice_smooth > 0, self, "dice_smooth must be above 0, or empty slices divide by 0")
        check_objective(self.penalty_weight > 0, self, "penalty_weight must be above 0, or nothing bounds the critic")
        check_objective(self.clip > 0, self, "clip must be above 0, or the critic's weights are all 0")
        check_objective(self.n_critic >= 1, self, f"n_critic is {self.n_critic}, and at least 1 is needed")
        check_objective(0 <= self.warm_up[0] <= self.warm_up[1], self, f"warm_up is {self.warm_up}, not 0 <= a <= b")
        if self.setting == "faithful":
            check_objective(
                not any((self.dice, *self.warm_up)),
                self,
                "the faithful setting has no Dice and no warm-up",
                action='Leave them out, or choose "setting": "modern".',
            )


SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "faithful": {
        "generator": {"name": "unet", "config": {"activation": "leaky"}},
        "critic": {"name": "lgan_basic"},
        "lipschitz": "clip",
        "adversarial_weight": 1.0,
        "dice": 0.0,
        "initialisation": "normal",
        "critic_initialisation": "normal",
    },
    "modern": {},
}
"""What differs from `WassersteinConfig`'s own defaults by setting. The paper gives no deviation for its Gaussian first
weights; 0.02 is that of seed 000."""

_CRITICS: Mapping[Lipschitz, Mapping[str, Any]] = {
    "gradient_penalty": {"norm": "none"},
    "clip": {"norm": "batch"},
    "spectral": {"norm": "none", "spectral": True},
}
"""What a critic that leaves it open is built with."""


class Wasserstein(Objective):
    """The adversarial game of LGAN, for any of its critics or another discriminator of masks."""

    name = "wasserstein"

    def __init__(self, config: WassersteinConfig) -> None:
        self.config = config
        self._generator = network_spec(config.generator, "generator")
        check_objective(
            networks.entry(self._generator.name).output != "tanh",
            config,
            f"{self._generator.name} draws a picture of the mask, and this objective needs raw scores",
            action="Choose pix2pix_modern or unet, or train this network with the objective conditional.",
        )
        _, self._classes = channels(self._generator)
        sees: tuple[Sees, ...] = ("mask", "product", "pair", "both", "comparison")
        self._critic = discriminator_spec(config.critic, self._generator, sees, config, _CRITICS[config.lipschitz])
        found = networks.entry(self._critic.name).sees
        assert found is not None
        self._sees = found
        self._check_slope()
        self._step = 0

    def _check_slope(self) -> None:
        """Refuses a critic that `lipschitz` does not bound."""
        with torch.device("meta"):
            critic = networks.build(self._critic.name, self._critic.config)
        layers = [*critic.modules()]
        if self.config.lipschitz == "gradient_penalty":
            check_objective(
                not any(isinstance(layer, _BatchNorm) for layer in layers),
                self.config,
                f"{self._critic.name} has batch normalisation, so its slope at a sample holds that of all the others",
                action='Give it "norm": "none", "layer", "group" or "instance", or choose "lipschitz": "clip".',
            )
        if self.config.lipschitz == "spectral":
            weighted = [layer for layer in layers if isinstance(layer, (nn.Conv2d, nn.Linear))]
            scaled = any(isinstance(layer, (_BatchNorm, _InstanceNorm, nn.GroupNorm)) for layer in layers)
            check_objective(
                all(parametrize.is_parametrized(layer, "weight") for layer in weighted) and not scaled,
                self.config,
                f"{self._critic.name} as configured has layers that spectral normalisation does not bound",
                action='Give it "spectral": true and "norm": "none".',
            )

    def build_networks(self) -> dict[str, nn.Module]:
        return {
            "generator": self._generator.build(self.config.initialisation),
            "critic": self._critic.build(self.config.critic_initialisation),
        }

    @property
    def phases(self) -> tuple[Phase, ...]:
        clip = WeightClip(self.config.clip) if self.config.lipschitz == "clip" else None
        return (
            Phase("critic", ("critic",), self._critic_loss, clip=clip),
            Phase("generator", ("generator",), self._generator_loss, every=self.config.n_critic),
        )

    def set_progress(self, step: int, total: int) -> None:
        self._step = step

    @property
    def adversarial_weight(self) -> float:
        """The generator's adversarial weight at the current update: 0 up to warm-up's begin, full from its end."""
        return ramp(self.config.adversarial_weight, self.config.warm_up, self._step)

    @property
    def compares(self) -> bool:
        """Whether the critic rates a mask by its reference: then a high score says that they differ."""
        return self._sees == "comparison"

    @property
    def anchor(self) -> float:
        """Weight of the references' squared scores."""
        if self.config.anchor is not None:
            return self.config.anchor
        if self.compares:
            return 1.0
        return 0.0 if self.config.setting == "faithful" else 0.001

    def forward(self, networks: Networks, batch: Batch) -> Shared:
        """``scores``: the generator's raw scores ``(B, classes, H, W)``."""
        return {"scores": networks["generator"](batch["image"])}

    def generator_spec(self) -> tuple[str, dict[str, Any]]:
        return self._generator.name, self._generator.config.to_dict()

    def reviewer(self) -> Reviewer | None:
        """The critic, which rates plausible masks higher; None for the one that needs a reference."""
        if self.compares:
            return None
        return Reviewer("critic", self._critic.name, self._critic.config.to_dict())

    def _rate(self, networks: Networks, arguments: tuple[Tensor, ...]) -> Tensor:
        """How real the critic finds what it is shown, float32, any shape: the higher, the more like references."""
        # A gap is the small difference of large scores, which half precision would round away.
        with torch.autocast(arguments[0].device.type, enabled=False):
            scores: Tensor = networks["critic"](*(argument.float() for argument in arguments))
        return -scores if self.compares else scores

    def _critic_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        masks = probabilities(shared["scores"].detach())
        image, found, reference = labelled_only(batch, batch["image"], masks, one_hot(batch["mask"], self._classes))
        if not len(image):
            return self._nothing_to_learn(networks, batch, masks)
        real_shown = shown(self._sees, image, reference, reference)
        fake_shown = shown(self._sees, image, found, reference)
        real = self._rate(networks, real_shown)
        fake = self._rate(networks, fake_shown if self.compares else shown(self._sees, batch["image"], masks))
        gap = real.mean() - fake.mean()
        drift = real.square().mean()
        terms = {"total": -gap + self.anchor * drift, "gap": gap.detach(), "drift": drift.detach()}
        if self.config.lipschitz == "gradient_penalty":
            penalty = gradient_penalty(networks["critic"], real_shown, fake_shown)
            terms["total"] = terms["total"] + self.config.penalty_weight * penalty
            terms["penalty"] = penalty.detach()
        return terms

    def _nothing_to_learn(self, networks: Networks, batch: Batch, masks: Tensor) -> Terms:
        """Without a reference generated masks alone would only push all scores down without end: every term is 0."""
        arguments = shown(self._sees, batch["image"], masks, masks)
        nothing = 0 * self._rate(networks, arguments).mean()
        names = ("gap", "drift", *(["penalty"] if self.config.lipschitz == "gradient_penalty" else []))
        return {"total": nothing, **{name: nothing.detach() for name in names}}

    def _generator_loss(self, networks: Networks, batch: Batch, shared: Shared) -> Terms:
        scores = shared["scores"]
        terms = segmentation_terms(self.config, scores, batch["mask"], labelled=batch.get("labelled"))
        weight = self.adversarial_weight
        with gradient_if(weight):
            fooling = -self._rating_of_fakes(networks, batch, probabilities(scores))
        return {**terms, "total": terms["total"] + weight * fooling, "adversarial": fooling.detach()}

    def _rating_of_fakes(self, networks: Networks, batch: Batch, masks: Tensor) -> Tensor:
        image, reference = batch["image"], one_hot(batch["mask"], self._classes)
        if self.compares:
            image, masks, reference = labelled_only(batch, image, masks, reference)
            if not len(image):
                return 0 * masks.sum()
        return self._rate(networks, shown(self._sees, image, masks, reference)).mean()
