"""The losses that objectives add up; each is a scalar that is *minimised*, computed in float32 also under autocast.

Scores are raw: ``(B, C, H, W)`` with one logit (C = 1, sigmoid) or softmax scores (C >= 2, background first). Masks are
``(B, H, W) int64``, 0 = background; for one logit every other label is foreground.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..networks.valid_padding import centre

DiceOver = Literal["batch", "sample"]
AdversarialLoss = Literal["vanilla", "lsgan", "hinge"]


def probabilities(scores: Tensor) -> Tensor:
    """``scores (B, C, H, W)`` as probabilities in float32: sigmoid of one logit, softmax of several scores."""
    scores = scores.float()
    return torch.sigmoid(scores) if scores.shape[1] == 1 else torch.softmax(scores, dim=1)


def one_hot(mask: Tensor, classes: int) -> Tensor:
    """``mask (B, H, W)`` as ``(B, classes, H, W) float32``; of one class it is the foreground, any label above 0."""
    if classes == 1:
        return (mask > 0).unsqueeze(1).float()
    return F.one_hot(mask, classes).permute(0, 3, 1, 2).float()


def soft_dice_loss(
    scores: Tensor, mask: Tensor, *, over: DiceOver = "batch", smooth: float = 1.0, squared: bool = False
) -> Tensor:
    """One minus the mean soft Dice of the foreground classes (F. Milletari et al., 3DV 2016, arXiv 1606.04797).

    ``Dice = (2 sum(p t) + smooth) / (sum(p) + sum(t) + smooth)``, with sums over the pixels of each sample
    (``over="sample"``) or of the whole batch (``"batch"``). The denominator's sums are linear, or of squares with
    `squared` (the paper's), which forgives soft borders.

    ``smooth`` is in pixels. It makes an empty prediction of an empty slice perfect (loss 0), and with ``"sample"``
    gives slices without the organ a steep gradient near there; ``"batch"`` avoids that where any slice has the organ.
    """
    p, t = probabilities(scores), one_hot(mask, scores.shape[1])
    if scores.shape[1] > 1:
        p, t = p[:, 1:], t[:, 1:]
    axes = (0, 2, 3) if over == "batch" else (2, 3)
    overlap = (p * t).sum(dim=axes)
    size = (p.square() if squared else p).sum(dim=axes) + t.sum(dim=axes)  # references, 0 or 1, are their own squares
    dice = (2 * overlap + smooth) / (size + smooth)
    return 1 - dice.mean()


def cross_entropy_loss(scores: Tensor, mask: Tensor, weights: Sequence[float] = ()) -> Tensor:
    """Mean over pixels of the negative log-likelihood in nats: binary for one logit, else over the classes.

    With `weights`, of the background and of every other class, the mean is the weighted one: each pixel counts as much
    as its class in the mask.
    """
    of_class = scores.new_tensor(weights, dtype=torch.float32) if weights else None
    if scores.shape[1] > 1:
        return F.cross_entropy(scores.float(), mask, of_class)
    foreground = one_hot(mask, 1)
    if of_class is None:
        return F.binary_cross_entropy_with_logits(scores.float(), foreground)
    of_pixel = of_class[foreground.long()]
    return F.binary_cross_entropy_with_logits(scores.float(), foreground, of_pixel, reduction="sum") / of_pixel.sum()


def centre_crop(mask: Tensor, like: Tensor) -> Tensor:
    """The middle of ``mask (B, ..., H, W)`` that scores ``like (B, C, h, w)`` of unpadded convolutions belong to.

    Raises
    ------
    ValueError
        The mask is smaller than the scores, or larger by an odd number of pixels.
    """
    return centre(mask, like.shape[-2], like.shape[-1])


def l1_loss(picture: Tensor, target: Tensor) -> Tensor:
    """Mean absolute difference of two pictures of equal shape."""
    return F.l1_loss(picture.float(), target.float())


def discriminator_loss(kind: AdversarialLoss, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """What a discriminator minimises, as its real and its fake part; each *falls* as the discriminator gets it right.

    Parameters
    ----------
    kind:
        ``"vanilla"``: binary cross-entropy of logits against 1 for real and 0 for fake (I. Goodfellow et al.,
        NIPS 2014, arXiv 1406.2661). ``"lsgan"``: squared distance to 1 and to 0 (X. Mao et al., ICCV 2017,
        arXiv 1611.04076).
        ``"hinge"``: ``relu(1 - real)`` and ``relu(1 + fake)`` (J. Lim, J. Ye, 2017, arXiv 1705.02894).
    real, fake:
        The discriminator's raw scores, any shape.
    """
    real, fake = real.float(), fake.float()
    if kind == "vanilla":
        # softplus(-x) = -log(sigmoid(x)), the cross-entropy against 1; softplus(x) the one against 0.
        return F.softplus(-real).mean(), F.softplus(fake).mean()
    if kind == "lsgan":
        return (real - 1).square().mean(), fake.square().mean()
    return F.relu(1 - real).mean(), F.relu(1 + fake).mean()


def generator_adversarial_loss(kind: AdversarialLoss, fake: Tensor) -> Tensor:
    """What a generator minimises against a discriminator; it *falls* as the discriminator takes the fake for real.

    ``"vanilla"`` is the non-saturating form (cross-entropy of the fake scores against 1), ``"lsgan"`` the squared
    distance to 1, ``"hinge"`` minus the mean score.
    """
    fake = fake.float()
    if kind == "vanilla":
        return F.softplus(-fake).mean()
    if kind == "lsgan":
        return (fake - 1).square().mean()
    return -fake.mean()


def discriminator_accuracy(kind: AdversarialLoss, real: Tensor, fake: Tensor) -> Tensor:
    """Share in [0, 1] of the patches that the discriminator sorts rightly; 0.5 is guessing. Without gradient."""
    threshold = 0.5 if kind == "lsgan" else 0.0
    with torch.no_grad():
        return 0.5 * ((real > threshold).float().mean() + (fake <= threshold).float().mean())
