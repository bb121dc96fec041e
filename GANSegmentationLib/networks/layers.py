"""What every network here is made of: a convolution followed directly by its normalisation, and how the two fold."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ..errors import GANSegmentationError

Norm = Literal["batch", "instance", "group", "none"]


class ConvNorm(nn.Module):
    """``norm(conv(x))``: the two are always siblings named ``conv`` and ``norm``, so that `fold_batch_norm` finds them.

    In a state dict: ``<block>.conv.weight``, ``<block>.conv.bias`` where there is one, ``<block>.norm.*``.
    """

    def __init__(self, conv: nn.Module, norm: nn.Module | None = None) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.Identity() if norm is None else norm

    def forward(self, x: Tensor) -> Tensor:
        normalised: Tensor = self.norm(self.conv(x))
        return normalised


def norm_layer(kind: Norm, channels: int) -> nn.Module | None:
    """The normalisation of a layer of `channels` channels; None for ``"none"``.

    Instance normalisation has an affine part and no running statistics (running ones differ between training and use,
    a frequent complaint about pix2pix). Group normalisation has eight groups, or fewer where eight do not divide the
    channels.
    """
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    if kind == "instance":
        return nn.InstanceNorm2d(channels, affine=True)
    if kind == "group":
        return nn.GroupNorm(math.gcd(channels, 8), channels)
    return None


def needs_bias(kind: Norm) -> bool:
    """Whether a convolution before this normalisation keeps its bias: batch and instance norm subtract it again."""
    return kind in ("group", "none")


def fold_batch_norm(network: nn.Module) -> nn.Module:
    """`network` with every batch normalisation merged into the convolution before it, in place, and returned.

    For ``eval()`` only: the running statistics become weights. The result computes the same numbers up to rounding.

    Raises
    ------
    ValueError
        The network is in training mode.
    """
    if network.training:
        raise ValueError("A network in training mode has no fixed statistics to fold; call eval() first.")
    for block in network.modules():
        if isinstance(block, ConvNorm) and isinstance(block.norm, nn.BatchNorm2d):
            transposed = isinstance(block.conv, nn.ConvTranspose2d)
            block.conv = fuse_conv_bn_eval(block.conv, block.norm, transpose=transposed)  # type: ignore[type-var]
            block.norm = nn.Identity()
    return network


def check_channels(x: Tensor, channels: int) -> None:
    """Refuses an input ``x (B, C, H, W)`` of other channels.

    Raises
    ------
    GANSegmentationError
        ``invalid_input_channels``.
    """
    given = x.shape[-3]
    if given != channels:
        raise GANSegmentationError(
            "invalid_input_channels",
            f"The network takes slices of {channels} channels, and these have {given}.",
            cause="It was made for another number of volumes or of neighbouring slices.",
            action="Give as many volumes as the model asks for.",
        )


def check_input(x: Tensor, channels: int, multiple: int) -> None:
    """Refuses an input ``x (B, C, H, W)`` of other channels or of sides that the halvings do not divide.

    Raises
    ------
    GANSegmentationError
        ``invalid_input_channels``, ``invalid_input_size``.
    """
    check_channels(x, channels)
    height, width = x.shape[-2:]
    if height % multiple or width % multiple:
        raise GANSegmentationError(
            "invalid_input_size",
            f"The network halves its input and needs sides divisible by {multiple}, not {height} x {width}.",
            cause="The slices were not padded to the network's multiple.",
            action=f"Prepare the slices with a multiple of {multiple}.",
        )
