"""What objectives with a discriminator share: which one fits the generator, what it sees and learns, when it counts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import fields as fields_of
from typing import Any

import torch
from torch import Tensor

from .. import networks
from ..networks import NetworkEntry, Sees
from .base import Batch, Terms
from .config import NetworkSpec, check_objective, network_spec
from .losses import AdversarialLoss, discriminator_accuracy, discriminator_loss


def channels(generator: NetworkSpec) -> tuple[int, int]:
    """Channels of the images and of the masks that a discriminator sees beside this generator."""
    config = generator.config.to_dict()
    return config["in_channels"], config["classes"] if "classes" in config else config["out_channels"]


def discriminator_spec(
    fields: Mapping[str, Any],
    generator: NetworkSpec,
    sees: tuple[Sees, ...],
    owner: object,
    defaults: Mapping[str, Any] | None = None,
) -> NetworkSpec:
    """The discriminator that ``{"name": ..., "config": {...}}`` describes, with the channels that it is shown.

    Parameters
    ----------
    generator:
        Whose masks it judges; its channels of image and mask follow where `fields` leaves them out.
    sees:
        What the objective can show it.
    owner:
        The objective's configuration, for messages.
    defaults:
        Further settings where `fields` does not give them and the network has them.

    Raises
    ------
    GANSegmentationError
        ``invalid_objective`` for a network that is no discriminator, sees something else, gives something else than
        scores or takes other channels; what `networks.read_network_config` raises.
    """
    name = network_spec(fields, "discriminator").name
    entry = networks.entry(name)
    fitting = [
        other
        for other in networks.names("discriminator")
        if networks.entry(other).sees in sees and networks.entry(other).output in ("patch", "critic")
    ]
    check_objective(
        name in fitting,
        owner,
        f"{name} judges {entry.sees} and gives {entry.output}, which does not fit",
        action=f"Choose one of {', '.join(fitting)}.",
    )
    known = {field.name for field in fields_of(entry.config_class)}  # type: ignore[arg-type]
    seen = _channels_seen(entry, "mask_channels" in known, *channels(generator))
    chosen = {key: value for key, value in (defaults or {}).items() if key in known}
    found = network_spec(fields, "discriminator", {**chosen, **seen})
    taken = found.config.to_dict()
    for key, value in seen.items():
        check_objective(
            taken[key] == value,
            owner,
            f"the {key} of {name} is {taken[key]}, but with {generator.name} it sees {value}",
            action=f"Leave {key} out, then it follows from the generator.",
        )
    return found


def _channels_seen(entry: NetworkEntry, apart: bool, image: int, mask: int) -> dict[str, int]:
    """The settings of a discriminator that say how many channels it sees; `apart` where it counts those of the mask
    by themselves."""
    if apart:
        return {"in_channels": image, "mask_channels": mask}
    return {"in_channels": {"pair": image + mask, "image": image}.get(str(entry.sees), mask)}


def labelled_only(batch: Batch, *tensors: Tensor) -> tuple[Tensor, ...]:
    """The rows of ``tensors (B, ...)`` whose samples have a mask: all of them where the batch does not say."""
    labelled = batch.get("labelled")
    return tensors if labelled is None else tuple(tensor[labelled] for tensor in tensors)


def told_apart(kind: AdversarialLoss, real: Tensor, fake: Tensor) -> Terms:
    """How a discriminator tells real samples from made ones, by its raw scores of both.

    ``real`` and ``fake``, the two parts of its loss, which carry the gradient, and ``accuracy``.
    """
    loss_real, loss_fake = discriminator_loss(kind, real, fake)
    return {"real": loss_real, "fake": loss_fake, "accuracy": discriminator_accuracy(kind, real, fake)}


def gradient_if(weight: float) -> AbstractContextManager[Any]:
    """A context for an adversarial term of this weight: without weight nothing of it reaches the network that is
    taught, so the term is measured for the log and its gradient saved."""
    return torch.set_grad_enabled(weight > 0 and torch.is_grad_enabled())


def ramp(weight: float, warm_up: tuple[int, int], step: int) -> float:
    """An adversarial weight at update `step`: 0 up to the warm-up's begin, linear within it, full from its end."""
    start, end = warm_up
    if step >= end:
        return weight
    if step <= start:
        return 0.0
    return weight * (step - start) / (end - start)
