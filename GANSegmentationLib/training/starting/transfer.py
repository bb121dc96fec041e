"""Transfer learning: a generator that starts from the weights of a model package, and what of it may move when.

Source: seed 003, which teaches a U-Net bones first and then the liver with little data. Its text freezes all but the
last layers; the policies here are that (``freeze_encoder``), the usual compromise (``staged``: first what is new, then
everything at a tenth of the learning rate; J. Howard and S. Ruder, ACL 2018, arXiv 1801.06146) and none (``all``).

Everything that changes over a run is a pure function of the epoch, so a resumed run goes on exactly; it takes its
weights from its own checkpoint and does not need the package any more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...errors import GANSegmentationError
from ...models import Card, Package, StartedFrom
from ...models.card import MODEL_FILE
from ...models.find import find_package
from ...networks import NetworkEntry, entry, read_network_config
from ..preset import TransferSettings

START = "start.json"
"""The file of a run's folder that says which package it started from, and what was taken of it."""

_COUNTER = "num_batches_tracked"


@dataclass(frozen=True)
class TransferReport:
    """What became of every tensor of the generator.

    Parameters
    ----------
    started_from:
        The package, by id, version and the SHA-256 of its weights.
    taken:
        Names of the tensors that hold the package's values.
    adapted:
        Tensors that hold them in another shape, and how they came to it.
    drawn:
        Tensors that were drawn anew, and why.
    notes:
        What else a person should know, in sentences.
    """

    started_from: StartedFrom
    taken: tuple[str, ...]
    adapted: Mapping[str, str] = field(default_factory=dict)
    drawn: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        origin = self.started_from
        return {
            "started_from": {"id": origin.id, "version": origin.version, "sha256": origin.sha256},
            "taken": list(self.taken),
            "adapted": dict(self.adapted),
            "drawn": dict(self.drawn),
            "notes": list(self.notes),
        }

    def lines(self) -> list[str]:
        """The report in sentences, reasons that many tensors share said once."""
        origin = self.started_from
        lines = [f"starts from {origin.id} {origin.version}: {len(self.taken)} tensors taken"]
        lines += [f"{name}: {how}" for name, how in self.adapted.items()]
        for why in dict.fromkeys(self.drawn.values()):
            lines.append(f"drawn anew ({why}): {', '.join(name for name, each in self.drawn.items() if each == why)}")
        return [*lines, *self.notes]


def frozen_prefixes(settings: TransferSettings | None, network: NetworkEntry, epoch: int) -> tuple[str, ...]:
    """Prefixes of the generator's parameters that do not learn in this epoch (from 0); () where all do."""
    if settings is None or settings.policy == "all":
        return ()
    if settings.policy == "staged" and epoch >= settings.staged_epochs:
        return ()
    return network.encoder


def lr_factor(settings: TransferSettings | None, epoch: int) -> float:
    """The factor on all learning rates in this epoch (from 0)."""
    if settings is None or settings.policy != "staged" or epoch < settings.staged_epochs:
        return 1.0
    return settings.staged_lr_factor


def held_parameters(network: nn.Module, frozen: Sequence[str]) -> list[nn.Parameter]:
    """The parameters whose names begin with one of the prefixes."""
    return [parameter for name, parameter in network.named_parameters() if name.startswith(tuple(frozen))]


def hold_statistics(network: nn.Module, frozen: Sequence[str]) -> None:
    """Put the frozen layers that keep running statistics into ``eval()``: they stay what the package brought.

    To be called after each ``network.train()``. A layer whose weights are frozen and whose statistics drift is neither
    the old network nor a new one.
    """
    for name, module in network.named_modules():
        # The common base class of batch and instance normalisation, which has no public name.
        if isinstance(module, nn.modules.batchnorm._NormBase) and f"{name}.".startswith(tuple(frozen)):
            module.train(module.training and not module.track_running_stats)


def load_start(
    generator: nn.Module,
    network_name: str,
    network_config: Mapping[str, Any],
    settings: TransferSettings,
    package: Package | None = None,
) -> TransferReport:
    """Give a generator the weights of a package, in place, and say what was taken.

    Weights in half precision become float32. A last layer for other classes stays as it was drawn, as does one that
    `TransferSettings.new_head` asks for. A first layer for other input channels gets the mean of the old channels'
    weights in every new channel, scaled so that one image repeated in all channels gives the same answer as before.

    Parameters
    ----------
    generator:
        The new network, on any device, with its first weights drawn.
    network_name, network_config:
        What it is in the registry.
    package:
        The package where it is open already; else the one that the settings name.

    Raises
    ------
    GANSegmentationError
        ``transfer_mismatch`` for another network, other shapes elsewhere, or a policy that the network has no parts
        for; what opening and reading the package raise.
    """
    package = find_package(settings.package) if package is None else package
    card = package.card
    described = entry(network_name)
    _require_same_network(card, described)
    _require_parts(described, settings)
    configs = _configs(card, network_config)
    old = {name: torch.from_numpy(np.array(array)) for name, array in package.weights().items()}
    state = generator.state_dict()
    drawn = _drawn(described, state, old, settings)
    taken: list[str] = []
    adapted: dict[str, str] = {}
    wrong = [f"{name}: only the package has it" for name in old if name not in state and not _is(name, described.head)]
    for name, new in state.items():
        if name in drawn or (name not in old and name.endswith(_COUNTER)):
            continue
        if name in old and old[name].shape == new.shape:
            state[name] = old[name].to(new)
            taken.append(name)
        elif name in old and _is_first_layer(name, described, old[name], new, configs):
            state[name] = _spread(old[name], new)
            adapted[name] = f"its {old[name].shape[1]} input channels became {new.shape[1]}, each the mean of the old"
        else:
            wrong.append(f"{name}: {_shape(old.get(name))} in the package, {_shape(new)} here")
    if wrong or not taken:
        raise _mismatch(card, wrong or ["no tensor of the package would be taken"])
    generator.load_state_dict(state)
    origin = StartedFrom(card.id, card.version, card.files[MODEL_FILE].sha256)
    return TransferReport(origin, tuple(taken), adapted, drawn, _notes(configs))


def started_from(run: Path) -> StartedFrom | None:
    """The package that the run in this folder started from; None where it started anew.

    Raises
    ------
    GANSegmentationError
        ``invalid_run`` if the run's file cannot be read.
    """
    path = run / START
    if not path.exists():
        return None
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))["started_from"]
        return StartedFrom(str(origin["id"]), str(origin["version"]), str(origin["sha256"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise GANSegmentationError(
            "invalid_run",
            f"{path} does not say which model the run started from: {error!r}.",
            cause="The file was edited or damaged.",
            action="Give the folder as `ganseg train` wrote it.",
        ) from error


def _require_same_network(card: Card, described: NetworkEntry) -> None:
    if card.network.name != described.name:
        raise GANSegmentationError(
            "transfer_mismatch",
            f"{card.id} is a {card.network.name}, and this preset trains a {described.name}.",
            cause="Weights mean something only in the network that they were learnt in.",
            action=f"Start from a model whose network is {described.name}, or train a preset with {card.network.name}.",
        )


def _require_parts(described: NetworkEntry, settings: TransferSettings) -> None:
    """The network has the parts that the settings speak of."""
    missing = "encoder" if settings.policy != "all" and not described.encoder else ""
    if settings.new_head and not described.head:
        missing = "last layer"
    if missing:
        raise GANSegmentationError(
            "transfer_mismatch",
            f"Nobody has said which parameters of {described.name} are its {missing}.",
            cause="The settings freeze or replace a part that this network does not name.",
            action='Set transfer.policy to "all" and transfer.new_head to false.',
        )


def _configs(card: Card, network_config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The complete configurations of the package's network and of the new one."""
    name = card.network.name
    return tuple(  # type: ignore[return-value]
        read_network_config(name, config).to_dict() for config in (card.network.config, network_config)
    )


def _drawn(
    described: NetworkEntry, new: Mapping[str, Tensor], old: Mapping[str, Tensor], settings: TransferSettings
) -> dict[str, str]:
    """The tensors that keep their new values: the parts of the head that do not fit, whole, or all of it if asked."""
    drawn: dict[str, str] = {}
    for prefix in described.head:
        members = [name for name in new if name.startswith(prefix)]
        fits = all(name in old and old[name].shape == new[name].shape for name in members)
        if settings.new_head or not fits:
            why = "asked for by transfer.new_head" if settings.new_head else "the last layer gives other classes"
            drawn.update(dict.fromkeys(members, why))
    return drawn


def _is_first_layer(
    name: str, described: NetworkEntry, old: Tensor, new: Tensor, configs: tuple[dict[str, Any], dict[str, Any]]
) -> bool:
    """Whether a weight sees the image itself, and differs in nothing but the image's channels."""
    before, after = (config["in_channels"] for config in configs)
    if before == after or not _is(name, described.encoder) or (old.ndim, new.ndim) != (4, 4):
        return False
    alike = (old.shape[0], *old.shape[2:]) == (new.shape[0], *new.shape[2:])
    return alike and (old.shape[1], new.shape[1]) == (before, after)


def _spread(old: Tensor, new: Tensor) -> Tensor:
    """Weights ``(out, C, h, w)`` for the channels of `new`: the mean over the old ones, of the same sum."""
    mean = old.to(new).mean(dim=1, keepdim=True) * (old.shape[1] / new.shape[1])
    return mean.expand_as(new).contiguous()


def _notes(configs: tuple[dict[str, Any], dict[str, Any]]) -> tuple[str, ...]:
    """Settings of the two networks that differ without changing a shape."""
    before, after = configs
    return tuple(
        f"{name} is {after[name]!r} here and was {before[name]!r} in the package's network"
        for name in after
        if name not in ("in_channels", "out_channels", "classes") and before[name] != after[name]
    )


def _mismatch(card: Card, wrong: Sequence[str]) -> GANSegmentationError:
    return GANSegmentationError(
        "transfer_mismatch",
        f"The weights of {card.id} {card.version} do not fit this preset's generator: {wrong[0]}"
        f"{f', and {len(wrong) - 1} more' if len(wrong) > 1 else ''}.",
        cause="Its network has other widths or parts; only the first layer's channels and the last layer may differ.",
        action="Give the preset's generator the configuration on the model's card (ganseg models info).",
        details="\n".join(wrong),
    )


def _is(name: str, prefixes: Sequence[str]) -> bool:
    return name.startswith(tuple(prefixes))


def _shape(tensor: Tensor | None) -> str:
    return "nothing" if tensor is None else " x ".join(map(str, tensor.shape)) or "a number"
