"""First weights of a network, drawn from torch's global generator (which the training loop seeds)."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor, nn
from torch.nn.utils import parametrize

Initialisation = Literal["normal", "he", "segan", "torch"]

SEED_DEVIATION = 0.02


def initialise(network: nn.Module, scheme: Initialisation = "normal") -> nn.Module:
    """Draws the weights of every convolution and linear layer of `network` anew, in place, and returns it.

    Parameters
    ----------
    scheme:
        ``"normal"``: N(0, 0.02), biases 0, normalisation 1 and 0 (pix2pix; seed 000).
        ``"he"``: normal with the variance that keeps activations' scale through LeakyReLU 0.2, biases 0
        (K. He et al., ICCV 2015, arXiv 1502.01852); for layers without normalisation the better choice.
        ``"segan"``: as "he", but the scales of normalisations from N(1, 0.02) (SegAN's published code; seed 002).
        ``"torch"``: as PyTorch built them.
    """
    if scheme == "torch":
        return network
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            weight = _raw_weight(layer)
            nn.init.normal_(weight, 0.0, SEED_DEVIATION if scheme == "normal" else _he_deviation(layer))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm)) and layer.weight is not None:
            nn.init.ones_(layer.weight)
            if scheme == "segan":
                nn.init.normal_(layer.weight, 1.0, SEED_DEVIATION)
            nn.init.zeros_(layer.bias)
    return network


def _he_deviation(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear) -> float:
    """The weights' deviation that keeps the variance of activations: gain / sqrt(inputs that meet in one output)."""
    if isinstance(layer, nn.Linear):
        inputs = float(layer.in_features)
    else:
        inputs = layer.in_channels / layer.groups * math.prod(layer.kernel_size)
        if isinstance(layer, nn.ConvTranspose2d):
            # Of a 4 x 4 kernel of stride 2 only a quarter meets in each output pixel.
            inputs /= math.prod(layer.stride)
    return nn.init.calculate_gain("leaky_relu", 0.2) / math.sqrt(inputs)


def _raw_weight(layer: nn.Module) -> Tensor:
    """The tensor that training changes: behind a spectral norm it is the original weight, not the divided one."""
    if parametrize.is_parametrized(layer, "weight"):
        original: Tensor = layer.parametrizations["weight"].original  # type: ignore[index, union-attr]
        return original
    weight: Tensor = layer.weight  # type: ignore[assignment]
    return weight
