"""How far each slice of a mask can be trusted where there is no reference, in several signals to sort slices by.

``plausibility`` (*higher* is better)
    The packaged discriminator's judgement of the slice and its predicted probabilities. Of one that scores patches: the
    mean over the patches of the probability that the patch is real. Of a critic (one score a slice): that probability,
    or the raw score where the loss gives scores no scale. A probability is the sigmoid of the score for the vanilla
    loss (and where the card does not say which it was), and the score held to 0..1 for least squares; scores of hinge
    and Wasserstein losses are left as they are, compare them within one model only. The discriminator's own training
    noise is left out, so that the same scan gives the same numbers.
``plausibility_at_contour`` (*higher* is better)
    The same over the patches that the predicted contour runs through: far from it image and mask are background for
    the reference and for any prediction. Of a critic it is ``plausibility``.
``entropy`` (*lower* is better)
    The mean entropy of the predicted probabilities, 0 to 1, within `BAND` pixels of the predicted contour; where
    nothing was found, over the `FEW` most uncertain pixels.
``disagreement`` (*lower* is better)
    One minus the mean soft Dice between the foreground and what the network finds in a slightly changed slice, changed
    back: `CHANGES`, small shifts, turns and changes of brightness that every training scan could have had.
``disagreement_flips`` (*lower* is better)
    The same for the slice mirrored left to right and upside down. A network that never saw mirrored patients in
    training disagrees with itself in all slices of a one-sided organ, right or wrong.

The first two need a package with a discriminator. Which of them sorts slices best is measured where there is a
reference, and the card says it (`models.ReviewFact`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import networks
from ..errors import GANSegmentationError
from .device import is_out_of_memory
from .network import assign_weights

if TYPE_CHECKING:
    from ..models import Card, Package

DISCRIMINATOR_SIGNALS: Final = ("plausibility", "plausibility_at_contour")
SIGNALS: Final = (*DISCRIMINATOR_SIGNALS, "entropy", "disagreement", "disagreement_flips")
"""The signals by name."""

LOWER_IS_BETTER: Final = frozenset({"entropy", "disagreement", "disagreement_flips"})

BAND: Final = 3
FEW: Final = 64


@dataclass(frozen=True)
class Change:
    """A slight change of network slices ``(n, C, H, W)``.

    Parameters
    ----------
    shift:
        Rows and columns, in 64ths of the longer side; whole pixels are moved, and the border repeated.
    turn:
        Degrees about the middle, anticlockwise on the screen.
    brightness:
        Added to the intensities, which run from -1 to 1.
    """

    shift: tuple[int, int] = (0, 0)
    turn: float = 0.0
    brightness: float = 0.0


CHANGES: Final[Mapping[str, Change]] = MappingProxyType(
    {
        "shifted down": Change(shift=(1, 0)),
        "shifted right": Change(shift=(0, 1)),
        "turned left by 5 degrees": Change(turn=5.0),
        "turned right by 5 degrees": Change(turn=-5.0),
        "brighter by 5 % of the window": Change(brightness=0.1),
        "darker by 5 % of the window": Change(brightness=-0.1),
    }
)
"""What ``disagreement`` is the mean of."""

Forward = Callable[[Tensor], Tensor]
"""What the generator gives of slices ``(n, C, H, W)``: raw scores ``(n, classes, H, W)``, or foreground ``(n, H, W)``.
"""


class SliceReviewer:
    """Computes signals for the slices that a predictor segments.

    Parameters
    ----------
    package, device:
        The model, and where its discriminator is to run.
    signals:
        Which of `SIGNALS`; the discriminator is only read if one of them needs it.

    Raises
    ------
    GANSegmentationError
        ``unknown_signal``; ``no_discriminator`` if the package carries none; ``invalid_weights``.
    """

    def __init__(self, package: Package, device: torch.device | str, signals: Sequence[str]) -> None:
        for name in signals:
            if name not in SIGNALS:
                raise GANSegmentationError(
                    "unknown_signal", f"There is no signal {name!r}.", action=f"Choose from {', '.join(SIGNALS)}."
                )
        self.signals = tuple(dict.fromkeys(signals))
        needed = any(name in DISCRIMINATOR_SIGNALS for name in self.signals)
        self._judge = Judge(package, device) if needed else None
        self._pictures = networks.entry(package.card.network.name).output == "tanh"

    @torch.inference_mode()
    def __call__(self, images: Tensor, scores: Tensor, forward: Forward) -> dict[str, Tensor]:
        """The signals ``(n,)`` float32 of network slices ``images (n, C, H, W)`` with these raw scores, by name."""

        def again(slices: Tensor) -> Tensor:
            return foreground(probabilities(forward(slices), pictures=self._pictures))

        found: dict[str, Tensor] = {}
        mask = probabilities(scores, pictures=self._pictures)
        own = foreground(mask)
        contour = near_contour(own > 0.5, BAND)
        if self._judge is not None:
            patches = self._judge(images, mask)
            found["plausibility"] = patches.flatten(1).mean(dim=1)
            found["plausibility_at_contour"] = mean_at_contour(patches, contour)
        if "entropy" in self.signals:
            found["entropy"] = contour_entropy(mask, contour)
        if "disagreement" in self.signals:
            found["disagreement"] = disagreement(images, own, again, tuple(CHANGES.values()))
        if "disagreement_flips" in self.signals:
            found["disagreement_flips"] = flip_disagreement(images, own, again)
        return {name: found[name].float().cpu() for name in self.signals}


class Judge:
    """The packaged discriminator: ``judge(images, mask)`` gives what it thinks of each patch of each slice.

    Raises
    ------
    GANSegmentationError
        ``no_discriminator``; ``invalid_weights``; from a call ``discriminator_misfit`` if it cannot take slices of this
        size or this model's classes.
    """

    def __init__(self, package: Package, device: torch.device | str) -> None:
        spec, weights = package.card.discriminator, package.discriminator_weights()
        if spec is None or weights is None:
            raise no_discriminator(package.card)
        with torch.device("meta"):
            network = networks.build(spec.name, spec.config)
        assign_weights(network, weights, f"{package.card.title!r} ({spec.name})")
        self.network: nn.Module = network.eval().requires_grad_(False).to(device)
        self._spec = spec
        self._entry = networks.entry(spec.name)
        generator = networks.entry(package.card.network.name)
        config = networks.read_network_config(package.card.network.name, package.card.network.config).to_dict()
        self._image_channels = int(config["in_channels"])
        self._colours = int(config["out_channels"]) if generator.output == "tanh" else 0

    @torch.inference_mode()
    def __call__(self, images: Tensor, mask: Tensor) -> Tensor:
        """``(n, h, w)`` float32, or ``(n, 1, 1)`` of a critic: higher is more plausible; see the module for the scale.

        Parameters
        ----------
        images, mask:
            Network slices ``(n, C, H, W)``, and what the generator found there, as `probabilities`.
        """
        if self._colours:
            # The seed's network paints the mask in (-1, 1), the same in each colour, and so it was shown in training.
            mask = (2 * mask - 1).expand(-1, self._colours, -1, -1)
        images = images.float().expand(-1, max(self._image_channels, images.shape[1]), -1, -1)
        try:
            raw: Tensor = self.network(*networks.shown(self._spec.sees, images, mask)).float()
        except (RuntimeError, GANSegmentationError) as error:
            if isinstance(error, RuntimeError) and is_out_of_memory(error):
                raise
            raise GANSegmentationError(
                "discriminator_misfit",
                f"The discriminator {self._spec.name} of the model cannot judge slices of {mask.shape[-2]} x "
                f"{mask.shape[-1]} pixels with {mask.shape[1]} mask channels.",
                cause="It was trained on slices of one size, and this scan's have other proportions.",
                action="Sort the slices by another signal, such as entropy.",
                details=str(error),
            ) from error
        return self._scaled(raw).reshape(len(raw), *(raw.shape[-2:] if raw.ndim == 4 else (1, 1)))

    def _scaled(self, raw: Tensor) -> Tensor:
        kind = self._spec.adversarial
        if kind == "lsgan":
            return raw.clamp(0, 1) if self._entry.output == "patch" else raw
        return raw if kind in ("hinge", "wasserstein") else torch.sigmoid(raw)


def probabilities(scores: Tensor, *, pictures: bool = False) -> Tensor:
    """What a generator gives as float32 probabilities ``(n, classes, H, W)``.

    Parameters
    ----------
    scores:
        Raw scores ``(n, classes, H, W)``: one logit, or softmax scores with the background first.
    pictures:
        Whether the one score is the grey value of a picture of the mask in (-1, 1) instead.
    """
    scores = scores.float()
    if pictures:
        return (scores + 1) / 2
    return torch.sigmoid(scores) if scores.shape[1] == 1 else torch.softmax(scores, dim=1)


def foreground(mask: Tensor) -> Tensor:
    """The probability ``(n, H, W)`` of any structure, of probabilities ``(n, classes, H, W)``."""
    return mask[:, 0] if mask.shape[1] == 1 else 1 - mask[:, 0]


def near_contour(mask: Tensor, reach: int) -> Tensor:
    """The pixels within `reach` pixels (along rows, columns and diagonals) of a contour of ``mask (n, H, W)`` bool."""
    values = mask[:, None].float()
    window = 2 * reach + 1
    # Border pixels repeat outwards: the edge of the picture is no contour.
    padded = F.pad(values, (reach,) * 4, mode="replicate")
    grown, shrunk = F.max_pool2d(padded, window, 1), -F.max_pool2d(-padded, window, 1)
    return (grown != shrunk)[:, 0]


def mean_at_contour(patches: Tensor, contour: Tensor) -> Tensor:
    """The mean of ``patches (n, h, w)`` that pixels of ``contour (n, H, W)`` lie in; of all where there is none."""
    touched = F.adaptive_max_pool2d(contour[:, None].float(), patches.shape[-2:])[:, 0]
    touched = torch.where(touched.sum(dim=(1, 2), keepdim=True) > 0, touched, torch.ones_like(touched))
    return (patches * touched).sum(dim=(1, 2)) / touched.sum(dim=(1, 2))


def contour_entropy(mask: Tensor, contour: Tensor) -> Tensor:
    """The mean entropy ``(n,)``, 0 to 1 (1: all classes alike), of probabilities ``(n, classes, H, W)`` at a contour.

    Where the contour ``(n, H, W)`` is empty, of the `FEW` most uncertain pixels.
    """
    if mask.shape[1] == 1:
        mask = torch.cat((mask, 1 - mask), dim=1)
    each = torch.special.entr(mask).sum(dim=1) / math.log(mask.shape[1])
    flat, chosen = each.flatten(1), contour.flatten(1)
    at_contour = (flat * chosen).sum(dim=1) / chosen.sum(dim=1).clamp(min=1)
    most = flat.topk(min(FEW, flat.shape[1]), dim=1).values.mean(dim=1)
    return torch.where(chosen.any(dim=1), at_contour, most)


def disagreement(images: Tensor, own: Tensor, again: Forward, changes: Sequence[Change]) -> Tensor:
    """One minus the mean soft Dice ``(n,)`` of the foreground and that found in changed slices, changed back.

    Parameters
    ----------
    images, own:
        Network slices ``(n, C, H, W)`` and the probability of foreground in them ``(n, H, W)``.
    again:
        The probability of foreground in other slices.
    """
    agreements = []
    for change in changes:
        back = Change(shift=(-change.shift[0], -change.shift[1]), turn=-change.turn)
        found = again(changed(images, change))[:, None]
        agreements.append(soft_agreement(own, changed(found, back)[:, 0]))
    return 1 - torch.stack(agreements).mean(dim=0)


def flip_disagreement(images: Tensor, own: Tensor, again: Forward) -> Tensor:
    """As `disagreement`, for slices mirrored left to right and upside down."""
    found = [again(images.flip(axis)).flip(axis) for axis in (-1, -2)]
    return 1 - torch.stack([soft_agreement(own, each) for each in found]).mean(dim=0)


def soft_agreement(first: Tensor, second: Tensor) -> Tensor:
    """``2 sum min(p, q) / (sum p + sum q)`` of ``(n, H, W)`` probabilities, 1 where they are equal or all but empty."""
    both = torch.minimum(first, second).sum(dim=(1, 2))
    # One pixel's worth on both sides of the fraction: what is next to nothing in both agrees.
    return (2 * both + 1) / (first.sum(dim=(1, 2)) + second.sum(dim=(1, 2)) + 1)


def changed(images: Tensor, change: Change) -> Tensor:
    """Slices ``(n, C, H, W)`` changed so, of the same size; what comes in from outside repeats the border."""
    unit = max(1, round(max(images.shape[-2:]) / 64))
    down, right = (steps * unit for steps in change.shift)
    if down or right:
        images = _shifted(images, down, right)
    if change.turn:
        images = _turned(images, change.turn)
    return images + change.brightness if change.brightness else images


def _shifted(images: Tensor, down: int, right: int) -> Tensor:
    height, width = images.shape[-2:]
    rows = (torch.arange(height, device=images.device) - down).clamp(0, height - 1)
    columns = (torch.arange(width, device=images.device) - right).clamp(0, width - 1)
    return images[..., rows, :][..., columns]


def _turned(images: Tensor, degrees: float) -> Tensor:
    height, width = images.shape[-2:]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    # The grid counts both sides from -1 to 1, whatever their lengths: a turn in pixels has to be stretched to it.
    rows = [[cos, -sin * height / width, 0.0], [sin * width / height, cos, 0.0]]
    matrix = torch.tensor(rows, device=images.device).expand(len(images), -1, -1)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    turned = F.grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=False)
    return turned.to(images.dtype)


def signals_of(card: Card) -> tuple[str, ...]:
    """What to compute for a model when somebody wants its slices sorted: what its card recommends, the discriminator's
    judgement if there is one, and entropy, which costs nothing."""
    names = [card.review.signal] if card.review is not None and card.review.signal in SIGNALS else []
    if card.discriminator is not None:
        names += DISCRIMINATOR_SIGNALS
    return tuple(dict.fromkeys([*names, "entropy"]))


def sorting_signal(card: Card, signals: Sequence[str]) -> str | None:
    """Which of the computed signals sorts the slices: the card's choice where it was made, else the first."""
    if card.review is not None and card.review.signal in signals:
        return card.review.signal
    return signals[0] if signals else None


def review_order(signal: str, values: Sequence[float], found: Sequence[bool]) -> tuple[int, ...]:
    """The slices by index, the least trustworthy first.

    First come the slices between the outermost ones with foreground, and one more on either side: an organ does not
    vanish in its middle, and it ends where the signal was never measured. All others follow, in the same way.

    Parameters
    ----------
    values, found:
        The signal of every slice, and whether anything was found there.
    """
    there = [index for index, each in enumerate(found) if each]
    inside = range(there[0] - 1, there[-1] + 2) if there else range(0)
    sign = -1.0 if signal in LOWER_IS_BETTER else 1.0
    return tuple(sorted(range(len(values)), key=lambda index: (index not in inside, sign * values[index], index)))


def no_discriminator(card: Card) -> GANSegmentationError:
    """The error for a package that cannot judge its masks."""
    return GANSegmentationError(
        "no_discriminator",
        f"The model {card.title!r} carries no discriminator, so nothing can say how plausible its slices are.",
        cause="It was trained without one, or was packed without it.",
        action="Pack it with `ganseg train --with-discriminator`, or sort by another signal, such as entropy.",
    )
