"""Masks and a synthesis model to pictures: the generator of a package, painting what a mask could belong to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .. import networks
from ..errors import GANSegmentationError
from ..networks.pix2pix_image import mask_channels
from .device import choose_device
from .network import load_network

if TYPE_CHECKING:
    from ..models import Package

_PIXELS_AT_ONCE = 8 * 256 * 256


class Synthesiser:
    """A model that paints slices from masks, loaded once on a device.

    Parameters
    ----------
    package:
        The model; its labels are the classes of the masks it takes.
    device:
        As `choose_device`.
    stochastic:
        Leave dropout on, as pix2pix does for want of other noise; one mask then has many pictures, one a seed.

    Raises
    ------
    GANSegmentationError
        ``wrong_task`` for a model that does not paint; as `choose_device` and `load_network`.
    """

    def __init__(self, package: Package, device: str = "auto", *, stochastic: bool = False) -> None:
        translates = networks.entry(package.card.network.name).translates
        if package.card.task != "synthesis" or translates:
            does = "translates scans" if translates else "finds masks in scans"
            raise GANSegmentationError(
                "wrong_task",
                f"The model '{package.card.title}' {does}; it cannot paint scans from masks.",
                cause=f"It was trained for {'translation' if translates else 'segmentation'}.",
                action="Choose a model whose task is synthesis.",
            )
        self.package = package
        self.spec = package.card.slicing
        self.classes = len(package.labels)
        self.device = choose_device(device).device
        self.stochastic = stochastic
        self._network = load_network(package, self.device).train(stochastic)
        self.noise_channels = int(package.card.network.config["in_channels"]) - self.classes
        if self.noise_channels < 0:
            raise GANSegmentationError(
                "label_mismatch",
                f"The model '{package.card.title}' names {self.classes} classes of masks, and its network takes "
                f"{self.classes + self.noise_channels} channels.",
                action="Get the package again from where it came, or pack the model again.",
            )

    @property
    def varies(self) -> bool:
        """Whether one mask has more than one picture."""
        return self.noise_channels > 0 or self.stochastic

    @torch.inference_mode()
    def paint(self, masks: Tensor, seeds: Sequence[int]) -> Tensor:
        """The pictures of ``masks (n, H, W)`` int64, as the network's grid and classes have them.

        Parameters
        ----------
        seeds:
            One a mask: the same mask, seed and model give the same picture, whatever else is painted with it.

        Returns
        -------
        Tensor
            ``(n, H, W) float32`` in [-1, 1] on the CPU: the centre one, where the model paints neighbours too.
        """
        if len(seeds) != len(masks):
            raise ValueError(f"{len(masks)} masks and {len(seeds)} seeds")
        # Dropout draws for a whole batch at once, so a seed of its own needs a batch of its own.
        size = 1 if self.stochastic else max(1, _PIXELS_AT_ONCE // masks[0].numel())
        batches = [slice(start, start + size) for start in range(0, len(masks), size)]
        return torch.cat([self._batch(masks[batch], seeds[batch]) for batch in batches])

    def _batch(self, masks: Tensor, seeds: Sequence[int]) -> Tensor:
        given = mask_channels(masks, self.classes)
        if self.noise_channels:
            noise = [_noise((self.noise_channels, *masks.shape[1:]), seed) for seed in seeds]
            given = torch.cat((given, torch.stack(noise)), dim=1)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices, enabled=self.stochastic):
            if self.stochastic:
                torch.manual_seed(seeds[0])
            pictures: Tensor = self._network(given.to(self.device, memory_format=torch.channels_last)).float().cpu()
        return pictures[:, pictures.shape[1] // 2]


def _noise(shape: tuple[int, ...], seed: int) -> Tensor:
    """Standard normal numbers, drawn on the CPU, so that every device paints the same."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))
