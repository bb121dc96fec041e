"""The network of a model package, ready to run: its weights in, its normalisations folded away."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from .. import networks
from ..errors import GANSegmentationError
from .tiles import whole_scores

if TYPE_CHECKING:
    from ..models import Card, Package

_CACHE_BYTES = 32 << 20
_DEFAULT_BATCH = 4
_LARGEST_BATCH = 16
_COUNTER = ".num_batches_tracked"
"""Of batch normalisation: a whole number that only training reads; packages may leave it out."""


def load_network(package: Package, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> nn.Module:
    """The generator of a package in ``eval()``, without gradients, channels last, on a device.

    Built on the meta device and given the weights as they come (no random initialisation, no second copy); every batch
    normalisation is folded into its convolution in float32, whatever `dtype` then is.

    Raises
    ------
    GANSegmentationError
        ``invalid_weights`` if weights are missing, unknown or of the wrong shape; ``unknown_network`` and
        ``invalid_network`` as `networks.build`.
    """
    spec = package.card.network
    with torch.device("meta"):
        network = networks.build(spec.name, spec.config)
    assign_weights(network, package.weights(), f"{package.card.title!r} ({spec.name})")
    network.eval().requires_grad_(False)
    networks.fold_batch_norm(network)
    # A second call: `to` cannot know which of the two a 4-D weight needs first, and both are cheap.
    return network.to(device=device, dtype=dtype).to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def suggest_batch_size(card: Card, shape: tuple[int, int], dtype: torch.dtype, device: torch.device) -> int:
    """How many slices of `shape` ``(H, W)`` to run at once.

    On a CPU, so many that the largest activation is about the size of the last-level cache (32 MiB): more is slower. A
    GPU gets a batch that hides the launches of kernels.
    """
    if device.type != "cpu":
        return _LARGEST_BATCH
    try:
        pixels = _largest_activation(card, shape)
    except (RuntimeError, NotImplementedError, TypeError):
        return _DEFAULT_BATCH  # a network that cannot run on the meta device, or not on an image alone
    return max(1, min(_LARGEST_BATCH, _CACHE_BYTES // (pixels * dtype.itemsize)))


def in_precision(network: nn.Module, dtype: torch.dtype) -> nn.Module:
    """A copy of a network in another number type; the original's weights are never doubled on the way."""
    tensors = [*network.parameters(), *network.buffers()]
    converted: dict[int, Any] = {
        id(tensor): nn.Parameter(tensor.to(dtype), requires_grad=False) if isinstance(tensor, nn.Parameter) else tensor
        for tensor in tensors
        if tensor.is_floating_point()
    }
    return copy.deepcopy(network, converted).to(dtype)


def assign_weights(network: nn.Module, weights: Mapping[str, npt.NDArray[Any]], what: str) -> None:
    """Give a network built on the meta device its weights, in float32.

    Raises
    ------
    GANSegmentationError
        ``invalid_weights`` if some are missing, unknown, of the wrong shape or no floating-point numbers; `what` names
        the model.
    """
    whole = [name for name, array in weights.items() if array.dtype.kind != "f" and not name.endswith(_COUNTER)]
    if whole:
        raise GANSegmentationError(
            "invalid_weights",
            f"The weights of the model {what} are no floating-point numbers: {', '.join(whole[:3])}.",
            cause="The package was quantised, or is damaged.",
            action="Get the model again from where it came, or pack it again.",
        )
    state = {name: _tensor(array) for name, array in weights.items()}
    for name in network.state_dict():
        if name.endswith(_COUNTER):
            state.setdefault(name, torch.zeros((), dtype=torch.int64))
    try:
        network.load_state_dict(state, strict=True, assign=True)
    except RuntimeError as error:
        raise GANSegmentationError(
            "invalid_weights",
            f"The weights do not fit the network of the model {what}.",
            cause="The card describes another network than the one the weights were trained in.",
            action="Get the model again from where it came, or pack it again.",
            details=str(error),
        ) from error
    left = [name for name, tensor in (*network.named_parameters(), *network.named_buffers()) if tensor.is_meta]
    if left:
        raise GANSegmentationError("invalid_weights", f"The weights of the model {what} lack {', '.join(left)}.")


def _tensor(array: npt.NDArray[Any]) -> Tensor:
    if array.dtype.kind == "f":
        return torch.from_numpy(np.array(array, dtype=np.float32))
    return torch.from_numpy(np.array(array))


def _largest_activation(card: Card, shape: tuple[int, int]) -> int:
    """Numbers in the largest tensor that enters or leaves a layer, for one slice; nothing is computed."""
    with torch.device("meta"):
        network = networks.build(card.network.name, card.network.config).eval()
        given = [torch.empty(1, card.input_channels, *shape)]
        if networks.entry(card.network.name).takes_domain:
            given.append(torch.empty(1, len(card.domains)))
    largest = 1

    def measure(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal largest
        largest = max(largest, *(tensor.numel() for tensor in (*inputs, output) if isinstance(tensor, Tensor)))

    for module in network.modules():
        module.register_forward_hook(measure)
    with torch.inference_mode():
        whole_scores(network, *given)
    return largest
