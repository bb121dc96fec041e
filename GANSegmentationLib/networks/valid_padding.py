"""What networks of unpadded convolutions lose at the border, and the mirrored image that gives it back.

Source: O. Ronneberger et al., *U-Net*, MICCAI 2015 (arXiv 1505.04597): every convolution uses only pixels that have all
their neighbours, so 572 x 572 pixels give scores for the inner 388 x 388. Pixels near an image's border are scored by
extrapolating the image by mirroring.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import GANSegmentationError
from .layers import check_channels


@dataclass(frozen=True)
class LostBorder:
    """How much smaller the scores are than the image, and which images fit; the same along rows and columns.

    Parameters
    ----------
    margin:
        Pixels lost on each side: scores ``(B, classes, H - 2 margin, W - 2 margin)``, centred.
    smallest:
        The smallest side of an image.
    step:
        Larger sides are ``smallest + n step``. A network moves with its image in whole steps only: scores of an image
        shifted by `step` pixels are the shifted scores.
    """

    margin: int
    smallest: int
    step: int

    def fits(self, side: int) -> bool:
        """Whether an image of this side, in pixels, can be computed."""
        return side >= self.smallest and (side - self.smallest) % self.step == 0

    def scored(self, side: int) -> int:
        """Pixels along a side that get scores, of an image that fits."""
        return side - 2 * self.margin

    def needed(self, scored: int) -> int:
        """The smallest side that fits and gives scores to at least so many pixels."""
        beyond = max(0, scored - self.scored(self.smallest))
        return self.smallest + -(-beyond // self.step) * self.step


def check_valid_input(x: Tensor, channels: int, border: LostBorder) -> None:
    """Refuses an input ``x (B, C, H, W)`` of other channels or of sides that do not fit.

    Raises
    ------
    GANSegmentationError
        ``invalid_input_channels``, ``invalid_input_size``.
    """
    check_channels(x, channels)
    height, width = x.shape[-2:]
    wrong = [side for side in (height, width) if not border.fits(side)]
    if wrong:
        above = border.needed(border.scored(wrong[0]))
        below = [above - border.step] if above > border.smallest else []
        raise GANSegmentationError(
            "invalid_input_size",
            f"The network of unpadded convolutions takes sides of {border.smallest} pixels and {border.step} more each "
            f"time, not {height} x {width}.",
            cause="Halvings must come out even at every level, and every side loses "
            f"{border.margin} pixels at either end.",
            action=f"Cut images to a side of {' or '.join(map(str, [*below, above]))}, or extend them by mirroring.",
        )


def mirror(images: Tensor, rows: tuple[int, int], columns: tuple[int, int]) -> Tensor:
    """``images (B, C, H, W)`` extended by mirroring at the outermost pixel, which is not repeated.

    Parameters
    ----------
    rows, columns:
        How many to add before and after. Beyond the image's own size the mirror image is mirrored again; an image of
        one pixel is repeated.
    """
    for axis, (before, after) in ((-2, rows), (-1, columns)):
        if before or after:
            side = images.shape[axis]
            place = torch.arange(-before, side + after, device=images.device)
            turn = max(1, 2 * (side - 1))
            # A triangular wave: 0, 1, ... side - 1, side - 2, ... 1, 0, 1, ...
            images = images.index_select(axis, (side - 1) - ((place.remainder(turn)) - (side - 1)).abs())
    return images


def mirrored(images: Tensor, border: LostBorder) -> Tensor:
    """``images (B, C, H, W)`` of any size, extended so that a network scores every pixel of them.

    The scores' first ``H x W`` pixels from the top left are those of the images; what follows belongs to the extension
    to a side that fits.
    """
    (top, bottom), (left, right) = (
        (border.margin, border.needed(side) - border.margin - side) for side in images.shape[-2:]
    )
    return mirror(images, (top, bottom), (left, right))


def centre(x: Tensor, height: int, width: int) -> Tensor:
    """The middle ``height x width`` pixels of ``x (..., H, W)``, as many cut off on either side.

    Raises
    ------
    ValueError
        `x` is smaller, or what is to be cut off is odd, so that there is no middle.
    """
    rows, columns = x.shape[-2] - height, x.shape[-1] - width
    if min(rows, columns) < 0 or rows % 2 or columns % 2:
        raise ValueError(f"{tuple(x.shape[-2:])} pixels have no middle of {height} x {width}")
    top, left = rows // 2, columns // 2
    return x[..., top : top + height, left : left + width]
