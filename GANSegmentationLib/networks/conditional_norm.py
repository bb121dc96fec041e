"""How a network is told the domain of its picture: constant channels beside it, or a normalisation of its own.

Source: V. Dumoulin et al., *A Learned Representation for Artistic Style*, ICLR 2017 (arXiv 1610.07629), for conditional
instance normalisation; Y. Choi et al., *StarGAN*, CVPR 2018 (arXiv 1711.09020), for the channels.

A channel that is constant over the picture is nearly invisible behind an instance normalisation: what a convolution
makes of it is one number for the whole plane, and the normalisation subtracts exactly that. Only the border, where the
padding is not constant, still shows it. A scale and a shift for each domain *after* the normalisation are seen at every
pixel.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import GANSegmentationError

Conditioning = Literal["conditional_instance_norm", "channels"]

SPREAD = 0.1
"""Deviation of the first scales (around 1) and shifts (around 0): with equal ones no domain would differ at first."""


class ConditionalInstanceNorm(nn.Module):
    """Instance normalisation with a scale and a shift for every domain.

    ``x (B, channels, H, W)`` and ``domain (B, domains)``, one-hot, to ``norm(x) * scale[domain] + shift[domain]`` of
    ``x``'s shape. State dict: ``scale`` and ``shift``, both ``(domains, channels)``.
    """

    def __init__(self, channels: int, domains: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(domains, channels))
        self.shift = nn.Parameter(torch.empty(domains, channels))
        nn.init.normal_(self.scale, 1.0, SPREAD)
        nn.init.normal_(self.shift, 0.0, SPREAD)

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        domain = domain.to(self.scale.dtype)
        scale, shift = (domain @ self.scale)[..., None, None], (domain @ self.shift)[..., None, None]
        return F.instance_norm(x) * scale.to(x.dtype) + shift.to(x.dtype)


class DomainConvNorm(nn.Module):
    """``norm(conv(x))`` where the normalisation may know the domain.

    Parameters
    ----------
    conv:
        The convolution; behind a conditional normalisation it needs no bias, which would be subtracted again.
    norm:
        A `ConditionalInstanceNorm`, or one that ignores the domain.
    """

    def __init__(self, conv: nn.Module, norm: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = norm

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        x = self.conv(x)
        normalised: Tensor = self.norm(x, domain) if isinstance(self.norm, ConditionalInstanceNorm) else self.norm(x)
        return normalised


def with_domain_channels(x: Tensor, domain: Tensor) -> Tensor:
    """``x (B, C, H, W)`` and after it the domain ``(B, D)`` as constant channels, ``(B, C + D, H, W)``."""
    return torch.cat((x, domain.to(x)[..., None, None].expand(-1, -1, *x.shape[-2:])), dim=1)


def check_domain(domain: Tensor, x: Tensor, domains: int) -> None:
    """Refuses a domain that is not one vector of `domains` numbers for each sample of ``x (B, C, H, W)``.

    Raises
    ------
    GANSegmentationError
        ``invalid_domain``.
    """
    if domain.shape != (len(x), domains):
        raise GANSegmentationError(
            "invalid_domain",
            f"The network knows {domains} domains and takes one vector of as many numbers a slice, "
            f"({len(x)}, {domains}); given is {tuple(domain.shape)}.",
            cause="The preset or the model names another number of domains than its network has.",
            action="Give the network's configuration as many domains as data.domains has names.",
        )
