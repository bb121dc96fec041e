"""What happens to a network between its gradient and its next weights: optimiser, learning rates, limits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ...networks import NetworkEntry
from ...objectives.base import Batch, WeightClip
from ..preset import OptimiserSettings

_FUSED = ("cpu", "cuda")


class Optimiser:
    """One of torch's optimisers over the parameters of a network, as they lie in memory.

    What is stepped are one-dimensional views of the weights, which all of these optimisers treat number by number. For
    torch's fused ones on the CPU (2.13) this matters twice: with weights in the memory format ``channels_last`` they
    make a copy of every gradient, and where a gradient's format differs from its weight's they pair the wrong numbers
    without a word.

    Parameters
    ----------
    settings:
        RMSprop is T. Tieleman and G. Hinton's (2012) with torch's smoothing constant 0.99.
    entry:
        Says which parameters are encoder and head; they learn at their own factor of the learning rate.
    """

    def __init__(
        self, network: nn.Module, settings: OptimiserSettings, device: torch.device, entry: NetworkEntry | None = None
    ) -> None:
        self._pairs: list[tuple[nn.Parameter, nn.Parameter]] = []
        groups = []
        for factor, parameters in _groups(network, settings, entry).items():
            views = [nn.Parameter(_flat(parameter.detach())) for parameter in parameters]
            self._pairs += zip(parameters, views, strict=True)
            groups.append({"params": views, "lr": settings.lr * factor, "lr_factor": factor})
        self.inner = _inner(groups, settings, device)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter, _ in self._pairs:
            parameter.grad = None

    def step(self, lr: float) -> None:
        """One update at this learning rate, times each group's factor; parameters without a gradient stay."""
        for parameter, view in self._pairs:
            view.grad = None if parameter.grad is None else _flat(_formatted(parameter.grad, parameter))
        for group in self.inner.param_groups:
            group["lr"] = lr * group["lr_factor"]
        self.inner.step()
        for _, view in self._pairs:
            view.grad = None

    def state_dict(self) -> dict[str, Any]:
        """torch's state; moments are one-dimensional, as the weights lie in memory."""
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave for a network in the same memory format."""
        self.inner.load_state_dict(dict(state))


def _inner(groups: list[dict[str, Any]], settings: OptimiserSettings, device: torch.device) -> torch.optim.Optimizer:
    """torch's optimiser, in a fused form where there is one: one kernel instead of a dozen."""
    common: dict[str, Any] = {"lr": settings.lr, "weight_decay": settings.weight_decay}
    fused = device.type in _FUSED
    if settings.name == "adam":
        return torch.optim.Adam(groups, **common, betas=settings.betas, fused=fused)
    if settings.name == "adamw":
        return torch.optim.AdamW(groups, **common, betas=settings.betas, fused=fused)
    if settings.name == "sgd":
        return torch.optim.SGD(groups, **common, momentum=settings.momentum, fused=fused)
    # torch has no fused RMSprop; its "foreach" form is the next best on a GPU.
    return torch.optim.RMSprop(groups, **common, momentum=settings.momentum, foreach=device.type == "cuda")


def _flat(tensor: Tensor) -> Tensor:
    """A view of all numbers of a tensor in the order of memory."""
    return tensor.as_strided((tensor.numel(),), (1,))


def _formatted(gradient: Tensor, parameter: Tensor) -> Tensor:
    """The gradient in the parameter's memory format; autograd gives it so, others may not."""
    if gradient.stride() == parameter.stride():
        return gradient
    return torch.empty_like(parameter).copy_(gradient)


def _groups(
    network: nn.Module, settings: OptimiserSettings, entry: NetworkEntry | None
) -> dict[float, list[nn.Parameter]]:
    """The parameters by their factor on the learning rate; one group where all have the same."""
    factors: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        factor = 1.0
        if entry is not None and name.startswith(entry.encoder):
            factor = settings.encoder_lr_factor
        elif entry is not None and name.startswith(entry.head):
            factor = settings.head_lr_factor
        factors.setdefault(factor, []).append(parameter)
    return factors


def gradient_norm(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The 2-norm of all gradients together, a scalar; not finite where any of them is not. 0 without gradients."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return torch.zeros((), device=parameters[0].device if parameters else None)
    norm: Tensor = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    return norm


def limit_gradients(
    parameters: Sequence[nn.Parameter], norm: Tensor, *, clip_norm: float = 0.0, clip_value: float = 0.0
) -> None:
    """Bound every element of the gradients by `clip_value`, then their `norm` by `clip_norm`; 0 = unbounded."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if not gradients:
        return
    if clip_value:
        torch._foreach_clamp_min_(gradients, -clip_value)
        torch._foreach_clamp_max_(gradients, clip_value)
        norm = gradient_norm(parameters)
    if clip_norm:
        torch._foreach_mul_(gradients, (clip_norm / (norm + 1e-6)).clamp(max=1.0))


@torch.no_grad()
def limit_weights(network: nn.Module, clip: WeightClip) -> None:
    """Hold a network's weights within the bound, all of them or those of convolutions."""
    weights: list[Tensor] = []
    for module in network.modules():
        convolution = isinstance(module, nn.modules.conv._ConvNd)
        for name, parameter in module.named_parameters(recurse=False):
            if not clip.only_convolutions or (convolution and name == "weight"):
                weights.append(parameter)
    if weights and math.isfinite(clip.bound):
        torch._foreach_clamp_min_(weights, -clip.bound)
        torch._foreach_clamp_max_(weights, clip.bound)


def parts_of(batch: Batch, parts: int) -> list[Mapping[str, Tensor]]:
    """A batch in `parts` of equal size, every stream cut alike."""
    if parts == 1:
        return [batch]
    cut = {name: value.chunk(parts) for name, value in batch.items()}
    return [{name: pieces[part] for name, pieces in cut.items()} for part in range(parts)]
