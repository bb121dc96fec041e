"""The image under a mask, as SegAN's critics see it."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from .. import networks

MaskedImage = Literal["unit", "signed"]


def masked_image(image: Tensor, masks: Tensor, how: MaskedImage = "unit") -> Tensor:
    """``image (B, C, H, W)`` in [-1, 1] under every foreground mask of ``masks (B, classes, H, W)`` in [0, 1], as
    channels one after the other: ``(B, foreground classes x C, H, W)``.

    The background's channel, the first of several, is left out: it is what the other masks leave over.

    Parameters
    ----------
    how:
        ``"unit"`` takes the image in [0, 1], so that only black tissue looks like background; ``"signed"`` as it is.
    """
    foreground = max(masks.shape[1] - 1, 1)
    (product,) = networks.shown("product", (image + 1) / 2 if how == "unit" else image, masks[:, -foreground:])
    return product
