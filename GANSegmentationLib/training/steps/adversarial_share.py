"""How much of what the generator learns comes through its adversary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Crossing:
    """The tensors on their way into networks that do not learn in this phase: the border a gradient crosses back.

    Each is replaced by a view of itself, so that the gradient found there is the adversary's alone, also where the same
    tensor meets other losses.
    """

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []

    def _watch(self, network: nn.Module, arguments: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(self._through(argument) for argument in arguments)

    def _through(self, argument: object) -> object:
        if not isinstance(argument, Tensor) or not argument.requires_grad:
            return argument
        border = argument.view_as(argument)
        if border.requires_grad:  # not where the loss is only measured, without a graph
            self.tensors.append(border)
        return border

    @contextmanager
    def watched(self, networks: Iterable[nn.Module]) -> Iterator[None]:
        """Watch what these networks are given."""
        hooks = [network.register_forward_pre_hook(self._watch) for network in networks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def share(self, loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
        """The adversary's share of the gradient of `loss` in these parameters, 0 to 1.

        ``|a| / (|a| + |g - a|)``, where g is the gradient and a the part of it that comes back over the border. The
        parameters of the last layer are enough: all of it passes there (as P. Esser et al., CVPR 2021,
        arXiv 2012.09841, weigh their losses). The graph stays for the backward pass.
        """
        nothing = torch.zeros((), device=loss.device)
        if not self.tensors:
            return nothing
        targets = [*parameters, *self.tensors]
        found = torch.autograd.grad(loss, targets, retain_graph=True, allow_unused=True)
        whole, back = found[: len(parameters)], found[len(parameters) :]
        met = [(tensor, gradient) for tensor, gradient in zip(self.tensors, back, strict=True) if gradient is not None]
        if not met:
            return nothing
        tensors, gradients = zip(*met, strict=True)
        part = torch.autograd.grad(tensors, parameters, gradients, retain_graph=True, allow_unused=True)
        rest = [_difference(one, other) for one, other in zip(whole, part, strict=True)]
        through, beside = _norm(part), _norm(rest)
        return through / (through + beside).clamp(min=torch.finfo(torch.float32).tiny)


def _difference(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return one
    return one - other


def _norm(gradients: Iterable[Tensor | None]) -> Tensor:
    """The 2-norm of all of them together; None is nothing."""
    norms = [gradient.float().norm() for gradient in gradients if gradient is not None]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())
    return norm
