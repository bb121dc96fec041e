"""Sharpening scores along the image's edges: a conditional random field with a small window, by mean field.

Every pixel talks to the pixels within a few pixels' distance, more strongly the closer they lie and the more alike they
look. Sources: P. Krähenbühl and V. Koltun, *Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials*,
NIPS 2011 (kernels and mean-field update); M. Teichmann and R. Cipolla, *Convolutional CRFs for Semantic Segmentation*,
BMVC 2019 (the window in place of full connection). Off unless a model card asks for it.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import GANSegmentationError


@dataclass(frozen=True)
class CrfSettings:
    """Weights and widths of the two kernels, in network pixels and in units of the normalised image.

    Parameters
    ----------
    iterations:
        Mean-field updates.
    radius:
        Half the side of the window a pixel sees.
    appearance_weight, appearance_px, appearance_intensity:
        Of the kernel that joins pixels close and alike.
    smoothness_weight, smoothness_px:
        Of the kernel that joins pixels close, whatever they look like.

    Raises
    ------
    GANSegmentationError
        ``invalid_crf`` for a number out of range.
    """

    iterations: int = 5
    radius: int = 3
    appearance_weight: float = 3.0
    appearance_px: float = 3.0
    appearance_intensity: float = 0.15
    smoothness_weight: float = 1.0
    smoothness_px: float = 1.5

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
                raise _invalid(f"{entry.name} is {value!r}")
        for name in ("iterations", "radius"):
            value = getattr(self, name)
            if value != int(value):
                raise _invalid(f"{name} is {value!r}, not a whole number")
            object.__setattr__(self, name, int(value))  # a card's numbers are all floats
        if self.radius < 1 or min(self.appearance_px, self.appearance_intensity, self.smoothness_px) <= 0:
            raise _invalid("a window or kernel has no width")

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> CrfSettings:
        """Settings from a model card; what is missing has its default, what is unknown is ``invalid_crf``."""
        unknown = set(description) - {entry.name for entry in dataclasses.fields(cls)}
        if unknown:
            raise _invalid(f"there is no setting {sorted(unknown)}")
        return cls(**description)


def refine(scores: Tensor, images: Tensor, settings: CrfSettings) -> Tensor:
    """Scores that follow the image's edges.

    Parameters
    ----------
    scores:
        ``(n, classes, H, W)``; one class: a logit, more: softmax scores.
    images:
        The normalised slices ``(n, channels, H, W)`` the scores belong to.
    settings:
        Weights and widths.

    Returns
    -------
    Tensor
        Scores of the same shape and meaning, float32.
    """
    scores, images = scores.float(), images.float()
    unary = torch.cat((torch.zeros_like(scores), scores), dim=1) if scores.shape[1] == 1 else scores
    unary = unary.log_softmax(dim=1)
    beliefs = unary
    for _ in range(settings.iterations):
        # Potts model: agreeing neighbours add their belief to a label, disagreeing ones to no other.
        beliefs = unary + _messages(beliefs.exp(), images, settings)
        beliefs = beliefs.log_softmax(dim=1)
    return beliefs[:, 1:] - beliefs[:, :1] if scores.shape[1] == 1 else beliefs


def _messages(probabilities: Tensor, images: Tensor, settings: CrfSettings) -> Tensor:
    """What all neighbours in the window say to each pixel: each kernel's weighted mean of their probabilities."""
    appearance, smoothness = torch.zeros_like(probabilities), torch.zeros_like(probabilities)
    appearance_sum = torch.zeros_like(probabilities[:, :1])
    smoothness_sum = torch.zeros_like(probabilities[:1, :1])
    for distance, here, there in _window(settings.radius, probabilities.shape[-2], probabilities.shape[-1]):
        difference = (images[here] - images[there]).square().sum(dim=1, keepdim=True)
        alike = torch.exp(
            -distance / (2 * settings.appearance_px**2) - difference / (2 * settings.appearance_intensity**2)
        )
        close = math.exp(-distance / (2 * settings.smoothness_px**2))
        appearance[here] += alike * probabilities[there]
        appearance_sum[here] += alike
        smoothness[here] += close * probabilities[there]
        smoothness_sum[here] += close
    return settings.appearance_weight * appearance / appearance_sum.clamp_min(
        1e-12
    ) + settings.smoothness_weight * smoothness / smoothness_sum.clamp_min(1e-12)


def _window(radius: int, height: int, width: int) -> Iterator[tuple[float, Any, Any]]:
    """Each offset of the window: its squared length, and the index of all pixels that have such a neighbour, and of
    those neighbours."""
    for dy, dx in itertools.product(range(-radius, radius + 1), repeat=2):
        if (dy, dx) == (0, 0) or abs(dy) >= height or abs(dx) >= width:
            continue
        rows, rows_there = _overlap(dy, height)
        columns, columns_there = _overlap(dx, width)
        yield float(dy * dy + dx * dx), (..., rows, columns), (..., rows_there, columns_there)


def _overlap(step: int, length: int) -> tuple[slice, slice]:
    here = slice(max(0, -step), length - max(0, step))
    return here, slice(here.start + step, here.stop + step)


def _invalid(what: str) -> GANSegmentationError:
    return GANSegmentationError(
        "invalid_crf", f"The random field's settings cannot be used: {what}.", action="Correct the model's card."
    )
