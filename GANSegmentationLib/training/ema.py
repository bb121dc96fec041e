"""The exponential moving average of a generator's weights."""

from __future__ import annotations

import copy

import torch
from torch import nn


class MovingAverage:
    """Keeps a copy of a network whose weights follow the trained ones slowly; steadier than any single step.

    Parameters follow with the decay, which starts small (as in Tarvainen and Valpola, 2017) so that the random
    beginning is forgotten; buffers (batch norm's running statistics) are copied, for they are averages already.
    A decay of 0 makes the copy equal to the network.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Follow the network by one step."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 10.0)) if self.decay else 0.0
        averages = [average.data for average in self.network.parameters()]
        torch._foreach_lerp_(averages, [parameter.data for parameter in network.parameters()], 1.0 - decay)
        for copied, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            copied.copy_(buffer)

    @torch.no_grad()
    def mend_buffers(self, network: nn.Module) -> None:
        """Give the network back the last good values of its buffers that are no longer finite."""
        for good, buffer in zip(self.network.buffers(), network.buffers(), strict=True):
            if buffer.is_floating_point() and not bool(torch.isfinite(buffer).all()):
                buffer.copy_(good)
