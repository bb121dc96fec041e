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
        self.updates = 0
        self._average = copy.deepcopy(network).eval().requires_grad_(False)
        self._latest: nn.Module | None = None

    @property
    def network(self) -> nn.Module:
        """The averaged network, in ``eval()``."""
        if self._latest is not None:
            self._follow(self._latest, 0.0)
            self._latest = None
        return self._average

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Follow the network by one step."""
        self.updates += 1
        if self.decay:
            self._follow(network, min(self.decay, self.updates / (self.updates + 10.0)))
        else:
            # An average of the last step alone is copied when somebody asks for it, and not in every step.
            self._latest = network

    @torch.no_grad()
    def _follow(self, network: nn.Module, decay: float) -> None:
        averages = [average.data for average in self._average.parameters()]
        torch._foreach_lerp_(averages, [parameter.data for parameter in network.parameters()], 1.0 - decay)
        for copied, buffer in zip(self._average.buffers(), network.buffers(), strict=True):
            copied.copy_(buffer)
