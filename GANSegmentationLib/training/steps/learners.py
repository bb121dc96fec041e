"""The networks that learn, and what one training step does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...errors import GANSegmentationError
from ...networks import entry
from ...objectives import Objective, Phase
from ...objectives.base import Batch, Shared, Terms
from ..preset import Preset
from ..starting.preflight import check_phases
from ..starting.transfer import held_parameters, hold_statistics
from .adversarial_share import Crossing
from .ema import MovingAverage
from .optimisation import Optimiser, gradient_norm, limit_gradients, limit_weights, parts_of
from .processes import Processes

_PATIENCE_WITH_NANS = 20
"""Steps in a row without a finite loss before a run is given up: one is bad luck, twenty are a diverged network."""


class Learners:
    """The networks of an objective with their optimisers and the average of the generator.

    First weights come from torch's global generator. Every process draws the same.

    Parameters
    ----------
    start:
        Called with the new generator before anything is made of it: gives it other first weights (`transfer`).
    say:
        Called with a line of text for people when a step is skipped.

    Raises
    ------
    GANSegmentationError
        ``invalid_objective`` if a network belongs to no or two phases or has no optimiser settings.
    """

    def __init__(
        self,
        preset: Preset,
        objective: Objective,
        processes: Processes,
        say: Callable[[str], None] = lambda text: None,
        *,
        start: Callable[[nn.Module], None] = lambda generator: None,
    ) -> None:
        self.preset = preset
        self.objective = objective
        self.processes = processes
        self.skipped: dict[str, int] = {}
        """Steps in a row that each phase could not make."""
        self.skipped_in_all = 0
        self._say = say
        networks = objective.build_networks()
        check_phases(objective.phases, networks, preset.optimisers)
        start(networks["generator"])
        self.average = MovingAverage(networks["generator"], preset.ema_decay)
        self.average.network.to(processes.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.networks = {role: processes.prepare(network) for role, network in networks.items()}
        self._described = entry(objective.generator_spec()[0])
        self.optimisers: dict[str, Optimiser] = {}
        self._parameters: dict[str, list[nn.Parameter]] = {}
        for role, network in self.networks.items():
            described = self._described if role == "generator" else None
            self.optimisers[role] = Optimiser(network, preset.optimisers[role], processes.device, described)
            self._parameters[role] = list(network.parameters())
        self._statistics = [_Statistics(network) for network in self.networks.values()]
        self._held: set[int] = set()
        self._measures_share = True

    def train(self, frozen: Sequence[str] = ()) -> None:
        """Put every network into training mode; what of the generator has one of these prefixes stays as it is."""
        for network in self.networks.values():
            network.train()
        generator = self.networks["generator"]
        hold_statistics(generator, frozen)
        self._held = {id(parameter) for parameter in held_parameters(generator, frozen)}
        self._measures_share = True

    def step(self, batch: Batch, number: int, factor: float) -> Terms:
        """One step: an update of every phase that is due.

        Parameters
        ----------
        number:
            Steps made before this one.
        factor:
            On every learning rate.

        Returns
        -------
        Terms
            The detached terms of the phases that were updated, as ``phase/term``, and the norm of the gradient of each
            network as ``role/gradient_norm``. Once after each `train`, ``generator/adversarial_share`` is among them.

        Raises
        ------
        GANSegmentationError
            ``training_diverged`` if a phase's loss or gradient stays NaN or infinite.
        """
        due = [phase for phase in self.objective.phases if (number + 1) % phase.every == 0]
        parts = parts_of(batch, self.preset.accumulate)
        shared = None
        if len(parts) == 1:
            # One forward pass serves all phases. Networks that do not learn in this step need no graph of it.
            self._train_only([role for phase in due for role in phase.trains])
            with self.processes.autocast():
                shared = self.objective.forward(self.networks, batch)
        logged: Terms = {}
        for phase in due:
            self._train_only(phase.trains)
            terms = self._gradients(phase, parts, shared)
            norms = self._update(phase, terms["total"], factor)
            if norms is None:
                self._skip(phase, number)
                continue
            self.skipped[phase.name] = 0
            logged.update({f"{phase.name}/{name}": value for name, value in terms.items()})
            logged.update({f"{role}/gradient_norm": norm for role, norm in norms.items()})
        self._train_only(tuple(self.networks))
        self._follow("generator/gradient_norm" in logged)
        return logged

    def _gradients(self, phase: Phase, parts: Sequence[Batch], shared: Shared | None) -> Terms:
        """The gradients of a phase's loss, averaged over the parts of the batch; returns its detached terms' means.

        Without what `shared` holds, each part has a forward pass of its own and is let go of before the next: that is
        the memory that accumulation saves.
        """
        for role in phase.trains:
            self.optimisers[role].zero_grad()
        sums: Terms = {}
        for part in parts:
            with self.processes.autocast(), self._watched(phase) as crossing:
                known = self.objective.forward(self.networks, part) if shared is None else shared
                terms = phase.loss(self.networks, part, known)
            if crossing is not None:
                share = crossing.share(terms["total"], self._last_layer())
                terms = {**terms, "adversarial_share": share * len(parts)}
            (terms["total"] / len(parts)).backward()  # type: ignore[no-untyped-call]
            for name, value in terms.items():
                value = value.detach().float() / len(parts)
                sums[name] = sums[name] + value if name in sums else value
        return sums

    @contextmanager
    def _watched(self, phase: Phase) -> Iterator[Crossing | None]:
        """Watch the adversaries of the generator where its gradient's share is to be measured, once after `train`."""
        adversaries = [network for role, network in self.networks.items() if role not in phase.trains]
        if not (self._measures_share and "generator" in phase.trains and adversaries and self._last_layer()):
            yield None
            return
        self._measures_share = False
        crossing = Crossing()
        with crossing.watched(adversaries):
            yield crossing

    def _last_layer(self) -> list[nn.Parameter]:
        """The parameters of the generator's last layers that learn."""
        head = held_parameters(self.networks["generator"], self.objective.last_layers())
        return [parameter for parameter in head if parameter.requires_grad]

    def _update(self, phase: Phase, loss: Tensor, factor: float) -> dict[str, Tensor] | None:
        """One update of a phase's networks from their gradients; returns these' norms.

        Nothing is done, and None returned, where the loss or a gradient is not finite.
        """
        trained = [parameter for role in phase.trains for parameter in self._parameters[role]]
        loss = self.processes.average_gradients(trained, loss)
        norms = {role: gradient_norm(self._parameters[role]) for role in phase.trains}
        # One look at the device for all of them: each look waits for it.
        if not bool(torch.isfinite(torch.stack([loss, *norms.values()])).all()):
            return None
        for role, norm in norms.items():
            preset = self.preset
            limit_gradients(self._parameters[role], norm, clip_norm=preset.clip_norm, clip_value=preset.clip_value)
            self.optimisers[role].step(preset.optimisers[role].lr * factor)
            if phase.clip is not None:
                limit_weights(self.networks[role], phase.clip)
        return norms

    def _skip(self, phase: Phase, number: int) -> None:
        """Count a step that cannot be made; too many in a row end the run."""
        self.skipped[phase.name] = self.skipped.get(phase.name, 0) + 1
        self.skipped_in_all += 1
        self._say(f"step {number}: the {phase.name}'s loss or gradient is not finite; the step is skipped")
        if self.skipped[phase.name] >= _PATIENCE_WITH_NANS:
            raise GANSegmentationError(
                "training_diverged",
                f"The {phase.name}'s loss or gradient was not finite in {self.skipped[phase.name]} steps in a row.",
                cause="The learning rate is too high for this network, or the data hold values without meaning.",
                action="Lower the learning rate or set clip_norm; the last checkpoint is from before.",
            )

    def _follow(self, updated: bool) -> None:
        """Let the average follow the generator where that has learnt."""
        if any(self.skipped.values()):
            for statistics in self._statistics:
                statistics.mend()
            return
        for statistics in self._statistics:
            statistics.keep()
        if updated:
            self.average.update(self.networks["generator"])

    def _train_only(self, trained: Sequence[str]) -> None:
        for role, parameters in self._parameters.items():
            for parameter in parameters:
                parameter.requires_grad_(role in trained and id(parameter) not in self._held)

    def state_dict(self) -> dict[str, Any]:
        """Weights, optimisers, average and counters, as a checkpoint holds them."""
        return {
            "networks": {role: network.state_dict() for role, network in self.networks.items()},
            "optimisers": {role: optimiser.state_dict() for role, optimiser in self.optimisers.items()},
            "average": self.average.network.state_dict(),
            "average_updates": self.average.updates,
            "skipped": dict(self.skipped),
            "skipped_in_all": self.skipped_in_all,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for role, network in self.networks.items():
            network.load_state_dict(state["networks"][role])
            self.optimisers[role].load_state_dict(state["optimisers"][role])
        self.average.network.load_state_dict(state["average"])
        self.average.updates = state["average_updates"]
        self.skipped = dict(state["skipped"])
        self.skipped_in_all = state["skipped_in_all"]
        for statistics in self._statistics:
            statistics.keep()


class _Statistics:
    """The running statistics of a network as they were after the last good step.

    The forward pass of a step without a finite loss may leave its NaN in them, where it would stay for ever.
    """

    def __init__(self, network: nn.Module) -> None:
        self._now = [buffer for buffer in network.buffers() if buffer.is_floating_point()]
        self._good = [buffer.clone() for buffer in self._now]

    def keep(self) -> None:
        """Remember them as they are."""
        if self._now:
            torch._foreach_copy_(self._good, self._now)

    def mend(self) -> None:
        """Put back those that are no longer finite."""
        for good, buffer in zip(self._good, self._now, strict=True):
            if not bool(torch.isfinite(buffer).all()):
                buffer.copy_(good)
