"""A scan as it would look in another domain: a CT as an MR, by a model whose generator translates."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .. import networks
from ..errors import GANSegmentationError
from ..slicing import ByModality, SliceAssembler, SliceStack, Window
from ..volumes import Volume
from .batches import compute_in_batches, memory_said
from .checks import Warning_, check_input, resolve_domain, with_modalities
from .device import DeviceChoice, choose_device
from .network import load_network, suggest_batch_size
from .progress import Countdown, Progress

if TYPE_CHECKING:
    from ..models import Card, Package

WITHOUT_UNIT: Final = (0.0, 1000.0)
"""The values of translations into domains whose intensities have no unit (MR)."""


@dataclass(frozen=True)
class ValueRange:
    """What the darkest and the brightest pixel a network can paint become, and their unit."""

    low: float
    high: float
    unit: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise GANSegmentationError(
                "invalid_range",
                f"Values from {self.low:g} to {self.high:g} are no range.",
                action="Give the lower value first.",
            )

    def of_pictures(self, pictures: Tensor) -> Tensor:
        """Pictures in [-1, 1] as values of the range."""
        return (pictures + 1) * ((self.high - self.low) / 2) + self.low


@dataclass(frozen=True)
class Translation:
    """A translated scan and how it came about.

    Parameters
    ----------
    volume:
        On the very grid of the scan, float32.
    source, target:
        The domains, in the model's words.
    values:
        What range its values were mapped to.
    seconds, device, batch_size:
        Wall time, what computed, how many slices at once at the end.
    warnings:
        What a user should know, each a text with a `code`: as `check_input`, and ``same_domain``.
    """

    volume: Volume
    source: str
    target: str
    values: ValueRange
    seconds: float
    device: str
    batch_size: int
    warnings: tuple[Warning_, ...]

    def to_dict(self) -> dict[str, Any]:
        """All but the voxels, as plain types for JSON."""
        return {
            "source": self.source,
            "target": self.target,
            "values": {"low": self.values.low, "high": self.values.high, "unit": self.values.unit},
            "seconds": self.seconds,
            "device": self.device,
            "batch_size": self.batch_size,
            "warnings": [{"code": warning.code, "message": str(warning)} for warning in self.warnings],
        }


class Translator:
    """A model that translates, on a device, loaded once and used for any number of scans.

    Parameters
    ----------
    package:
        The model.
    device:
        As `choose_device`.
    batch_size:
        Slices at once; None for a number that suits network and device. Halved where memory runs out.

    Raises
    ------
    GANSegmentationError
        ``cannot_translate`` for a model that has not learnt to; as `choose_device` and `load_network`.
    """

    def __init__(self, package: Package, device: str = "auto", *, batch_size: int | None = None) -> None:
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"a batch of {batch_size} slices cannot be")
        require_translator(package.card)
        self.package = package
        self.card: Card = package.card
        self.choice: DeviceChoice = choose_device(device)
        self._segments = networks.entry(self.card.network.name).role == "generator"
        self._network = load_network(package, self.choice.device)
        self._batch_size = batch_size

    def domain(self, name: str) -> str:
        """A domain as the model spells it.

        Raises
        ------
        GANSegmentationError
            ``unknown_domain``.
        """
        return resolve_domain(self.card, (), name) or ""

    def values(self, target: str) -> ValueRange:
        """The range that translations into a domain have by themselves: the window that its scans are normalised by,
        or `WITHOUT_UNIT` where that follows each scan."""
        scheme = self.card.slicing.normalisation
        if isinstance(scheme, ByModality) and scheme.knows(target):
            hounsfield, scheme = target.upper() == "CT", scheme.for_modality(target)
        else:
            hounsfield = self.card.intensity.unit.upper() == "HU"
        if isinstance(scheme, Window):
            return ValueRange(scheme.low, scheme.high, "HU" if hounsfield else "arbitrary")
        return ValueRange(*WITHOUT_UNIT, "arbitrary")

    def translate(
        self,
        volume: Volume,
        target: str,
        *,
        domain: str | None = None,
        force: bool = False,
        values: tuple[float, float] | None = None,
        progress: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Translation:
        """Translate a scan.

        Parameters
        ----------
        volume:
            The scan.
        target:
            The domain to translate into.
        domain:
            The scan's own domain; None takes its modality.
        force:
            As `Predictor.segment`.
        values:
            The values of the darkest and of the brightest pixel the network can paint; None takes those of `values`.
            What the source's normalisation clips is lost, and no translation brings it back.
        progress, cancel:
            As `Predictor.segment`.

        Raises
        ------
        GANSegmentationError
            ``unknown_domain``, ``domain_needed``; ``invalid_range``; ``cancelled``; ``out_of_memory``; as `check_input`
            and `SliceStack`.
        """
        begin = time.perf_counter()
        wanted = self.domain(target)
        reach = self.values(wanted)
        if values is not None:
            reach = ValueRange(*values, reach.unit)
        warnings = check_input(self.card, [volume], domain, force=force)
        source = resolve_domain(self.card, [volume], domain) or ""
        if source == wanted:
            warnings.append(Warning_("same_domain", f"The scan is {source} already; it is only painted anew."))
        stack = SliceStack(with_modalities(self.card, [volume], domain, force=force), self.card.slicing)
        countdown = Countdown(stack.n_slices, progress, cancel)
        with memory_said(self.choice):
            array, size = self._paint(stack, source, wanted, reach, countdown)
        modality = wanted.upper() if wanted.upper() in self.card.modalities else volume.modality
        name = f"{volume.name} as {wanted}".strip()
        return Translation(
            volume=Volume(array, volume.geometry, modality, name),
            source=source,
            target=wanted,
            values=reach,
            seconds=time.perf_counter() - begin,
            device=self.choice.name,
            batch_size=size,
            warnings=tuple(warnings),
        )

    def _paint(
        self, stack: SliceStack, source: str, target: str, reach: ValueRange, countdown: Countdown
    ) -> tuple[npt.NDArray[np.float32], int]:
        """The translated voxels ``(z, y, x)``, and the batch size at the end."""
        assembler = SliceAssembler(stack, np.float32)
        size = self._batch_size or suggest_batch_size(self.card, stack.network_shape, torch.float32, self.choice.device)
        countdown.enter("translate")

        def pictures_of(start: int, stop: int) -> Tensor:
            return stack.restore_pictures(self._pictures(stack, source, target, start, stop)).cpu()

        def put(start: int, pictures: Tensor) -> None:
            assembler.put(start, reach.of_pictures(pictures))

        size = compute_in_batches(stack.n_slices, size, pictures_of, put, countdown, self.choice)
        return assembler.result(), size

    @torch.inference_mode()
    def _pictures(self, stack: SliceStack, source: str, target: str, start: int, stop: int) -> Tensor:
        """The translations ``(n, 1, H, W)`` of network slices; of neighbouring slices, the one in the middle."""
        images = stack.batch(start, stop, self.choice.device).contiguous(memory_format=torch.channels_last)
        own, other = self._vectors(source, images), self._vectors(target, images)
        painted = self._network(images, own, target=other)[1] if self._segments else self._network(images, other)
        pictures: Tensor = painted
        middle = pictures.shape[1] // 2
        if not bool(torch.isfinite(pictures).all()):
            raise GANSegmentationError(
                "invalid_scores",
                f"The network of the model '{self.card.title}' painted values that are no finite numbers, in the "
                f"slices {start + 1} to {stop}.",
                cause="Its weights are damaged.",
                action="Get the model again from where it came.",
            )
        return pictures[:, middle : middle + 1]

    def _vectors(self, domain: str, images: Tensor) -> Tensor:
        """The one-hot domain of every image, ``(n, domains)``."""
        vector = torch.zeros(len(images), len(self.card.domains), device=images.device)
        vector[:, self.card.domains.index(domain)] = 1.0
        return vector


def require_translator(card: Card) -> None:
    """Refuse a model that does not translate, or whose translating part has never learnt to.

    Raises
    ------
    GANSegmentationError
        ``cannot_translate``.
    """
    cause = ""
    if not networks.entry(card.network.name).translates:
        cause = f"Its network, {card.network.name}, makes masks or pictures of one kind alone."
    elif card.training.objective == "supervised":
        cause = "Its network could, but it was trained to segment alone."
    elif card.channels != 1 or len(card.domains) < 2:
        cause = f"It takes {card.channels} scans at once and distinguishes {len(card.domains)} domains."
    if cause:
        raise GANSegmentationError(
            "cannot_translate",
            f"The model {card.title!r} cannot translate scans into another domain.",
            cause=cause,
            action="Choose a model that was trained by StarGAN or UAGAN.",
        )
