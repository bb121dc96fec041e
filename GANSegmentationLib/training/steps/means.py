"""Means of what the steps of an epoch measure."""

from __future__ import annotations

import torch
from torch import Tensor

from ...objectives.base import Terms
from .processes import Processes


class Means:
    """Adds up terms by name; the sums stay on the device, so that adding to them never waits for it."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], Tensor] = {}
        self._counts: dict[str, int] = {}

    def add(self, terms: Terms) -> None:
        """The scalar terms of one step; steps need not have the same ones."""
        if not terms:
            return
        names, values = tuple(terms), torch.stack(list(terms.values()))
        self._sums[names] = self._sums[names] + values if names in self._sums else values
        for name in names:
            self._counts[name] = self._counts.get(name, 0) + 1

    def over(self, processes: Processes) -> dict[str, float]:
        """The mean of every term over the steps that had it and over the processes, which all ask."""
        sums: dict[str, float] = {}
        for names, values in self._sums.items():
            for name, value in zip(names, processes.average(values).tolist(), strict=True):
                sums[name] = sums.get(name, 0.0) + value
        return {name: value / self._counts[name] for name, value in sums.items()}
