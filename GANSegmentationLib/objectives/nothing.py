"""What a phase minimises where no sample of a step can teach its networks."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def nothing(networks: Iterable[nn.Module]) -> Tensor:
    """A float32 zero on the graph of all parameters that learn in the networks.

    Their gradients become 0 and not None: an average over processes, some of which have something to learn from, needs
    them everywhere.
    """
    zero = torch.zeros(())
    for network in networks:
        for parameter in network.parameters():
            if parameter.requires_grad:
                zero = zero.to(parameter.device) + 0 * parameter.float().sum()
    return zero
