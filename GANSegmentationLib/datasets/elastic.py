"""Elastic deformation: the classical way to new training pairs, and the rival that synthesis is held against.

Source: P. Simard et al., ICDAR 2003, in the form of O. Ronneberger et al., *U-Net*, MICCAI 2015 (arXiv 1505.04597):
displacements are drawn on a coarse grid of control points, normal with a standard deviation of about 10 pixels of 512
on 3 x 3 points, and interpolated bicubically to every pixel. Image and mask move with one field; beyond the border the
outermost pixels go on. Imported by training only; needs MONAI.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, RandomizableTransform
from torch import Tensor
from torch.nn import functional as F


class RandElasticd(RandomizableTransform, MapTransform):
    """Deforms the tensors ``(C, H, W)`` of several keys by one random field, as MONAI's dictionary transforms do.

    Parameters
    ----------
    keys, modes:
        What is deformed, and ``"bilinear"`` or ``"nearest"`` for each.
    prob:
        Probability that anything happens.
    sigma:
        Standard deviation of the control points' displacement, as a fraction of the side.
    points:
        Control points along each side, those at the corners included.

    Raises
    ------
    ValueError
        Fewer than two points, or a negative sigma.
    """

    def __init__(
        self, keys: Sequence[Hashable], modes: Sequence[str], *, prob: float, sigma: float, points: int
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        if points < 2 or sigma < 0:
            raise ValueError(f"{points} control points that move by {sigma} of the side make no deformation")
        self.modes = tuple(modes)
        self.sigma = sigma
        self.points = points
        self.offsets: np.ndarray[Any, np.dtype[np.float64]] = np.zeros((2, points, points))

    def randomize(self, data: Any = None) -> None:
        """Draw whether and how much, from the generator that MONAI's transforms share."""
        super().randomize(None)
        if self._do_transform:
            self.offsets = self.R.normal(0.0, self.sigma, (2, self.points, self.points))

    def __call__(self, data: Mapping[Hashable, Tensor]) -> dict[Hashable, Tensor]:
        """The mapping with its keys deformed."""
        result = dict(data)
        self.randomize()
        if self._do_transform:
            for key, mode in zip(self.keys, self.modes, strict=True):
                result[key] = deform(result[key], torch.from_numpy(self.offsets), mode=mode)
        return result


def draw_offsets(generator: np.random.Generator, *, sigma: float, points: int) -> Tensor:
    """Displacements of the control points (rows, columns), as fractions of the side: ``(2, points, points)``."""
    return torch.from_numpy(generator.normal(0.0, sigma, (2, points, points)))


def deform(values: Tensor, offsets: Tensor, *, mode: str = "bilinear") -> Tensor:
    """``values (C, H, W)`` read at each pixel's displaced place, of the same shape and type.

    Parameters
    ----------
    offsets:
        As `draw_offsets` gives them: positive rows read further down, positive columns further right.
    mode:
        ``"bilinear"``, or ``"nearest"`` for labels, which stay what they were.
    """
    height, width = values.shape[-2:]
    field = displacement_field(offsets, (height, width))
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    # grid_sample counts from -1 to 1, so a displacement of the whole side is 2.
    grid = torch.stack((columns + 2 * field[1], rows + 2 * field[0]), dim=-1)
    moved = F.grid_sample(values[None].float(), grid[None], mode=mode, padding_mode="border", align_corners=True)
    return moved[0].to(values.dtype)


def displacement_field(offsets: Tensor, size: tuple[int, int]) -> Tensor:
    """The displacement of every pixel as fractions of the side, ``(2, H, W)`` float32: bicubic between the points."""
    return F.interpolate(offsets[None].float(), size=size, mode="bicubic", align_corners=True)[0]
