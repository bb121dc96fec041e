"""Masks as others see them: as probabilities, or hard, with a gradient as if they were soft.

A discriminator tells soft masks from references by their grey alone, and a painter reads from the grey what the mask
should not hold; hard masks leave neither. The straight-through gradient (Y. Bengio et al., 2013, arXiv 1308.3432)
treats the hardening as if it were not there; Gumbel's form draws the hard mask from the probabilities (E. Jang et al.,
*Categorical Reparameterization with Gumbel-Softmax*, ICLR 2017, arXiv 1611.01144).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from .losses import probabilities

ShownMask = Literal["soft", "hard", "gumbel"]


def shown_mask(scores: Tensor, how: ShownMask, temperature: float = 1.0) -> Tensor:
    """Raw ``scores (B, C, H, W)`` as a mask ``(B, C, H, W) float32`` in [0, 1].

    Parameters
    ----------
    how:
        ``"soft"``: the probabilities. ``"hard"``: 1 for the label (one logit: where the probability is above 0.5;
        several scores: the highest), else 0, with the probabilities' gradient. ``"gumbel"``: the same of a draw from
        the probabilities, with the gradient of that draw's soft form.
    temperature:
        Of the draw's soft form: the lower, the closer to the hard mask, and the steeper.
    """
    if how == "soft":
        return probabilities(scores)
    if how == "gumbel":
        # A uniform number of exactly 0 would give an infinite one.
        uniform = torch.rand(scores.shape, device=scores.device).clamp_min(torch.finfo(torch.float32).tiny)
        noise = torch.logit(uniform, eps=1e-7) if scores.shape[1] == 1 else -(-uniform.log()).log()
        soft = probabilities((scores.float() + noise) / temperature)
    else:
        soft = probabilities(scores)
    hard = (soft > 0.5).float() if scores.shape[1] == 1 else _highest(soft)
    return hard + (soft - soft.detach())


def _highest(soft: Tensor) -> Tensor:
    """One-hot of the highest of ``soft (B, C, H, W)``."""
    return F.one_hot(soft.argmax(dim=1), soft.shape[1]).permute(0, 3, 1, 2).float()
