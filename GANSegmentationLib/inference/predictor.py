"""Volumes and a model to a labelmap: slices stream through the network in batches, and only labels are kept."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .. import networks
from ..errors import GANSegmentationError
from ..slicing import LabelAssembler, SliceStack
from ..volumes import Labelmap, Volume
from . import precision
from .batches import compute_in_batches, memory_said
from .checks import Warning_, check_input, intensities, resolve_domain, with_modalities
from .crf import CrfSettings, refine
from .device import DeviceChoice, choose_device
from .network import in_precision, load_network, suggest_batch_size
from .plausibility import DISCRIMINATOR_SIGNALS, SliceReviewer, review_order, sorting_signal
from .postprocess import PostProcessReport, postprocess, voxel_counts
from .progress import Countdown, Progress
from .run_length import Labels
from .tiles import whole_scores

if TYPE_CHECKING:
    from ..models import Card, Package, PostProcessing

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """A segmentation and how it came about.

    Parameters
    ----------
    labelmap:
        On the very grid of the first input volume, with the model's segments.
    seconds:
        Wall time of the whole run; `stages` has it by stage.
    device, precision, batch_size:
        What computed, in which number type, how many slices at once at the end.
    warnings:
        What a user should know, each a text with a `code`.
    volumes_ml:
        Volume of every segment of the model by its value, ml; 0 for one that was not found.
    postprocessing:
        What cleaning removed and filled.
    signals:
        What was asked for of how far each slice can be trusted, by the signal's name (`plausibility.SIGNALS`); one
        value a slice, in the order of the array axis `slice_axis`.
    slice_axis:
        The axis of the labelmap's array ``(z, y, x)`` that the model's slices are cut across.
    review_signal:
        Which of the signals sorts the slices: the one that the card recommends, else the first.
    """

    labelmap: Labelmap
    seconds: float
    device: str
    precision: str
    batch_size: int
    warnings: tuple[Warning_, ...]
    volumes_ml: Mapping[int, float]
    postprocessing: PostProcessReport
    stages: Mapping[str, float] = field(default_factory=dict)
    signals: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    slice_axis: int = 0
    review_signal: str | None = None

    @property
    def plausibility(self) -> tuple[float, ...] | None:
        """What the discriminator thinks of each slice, higher = more plausible; None if nobody asked it."""
        return self.signals.get("plausibility")

    @property
    def review_order(self) -> tuple[int, ...] | None:
        """The slices' indices along `slice_axis`, those to look at first at the front; None without signals."""
        if self.review_signal is None:
            return None
        others = tuple(axis for axis in range(3) if axis != self.slice_axis)
        found = np.asarray(self.labelmap.array.any(axis=others)).tolist()
        return review_order(self.review_signal, self.signals[self.review_signal], found)

    def to_dict(self) -> dict[str, Any]:
        """All but the voxels, as plain types for JSON."""
        cleaned = self.postprocessing
        review = {
            "signals": {name: list(values) for name, values in self.signals.items()},
            "slice_axis": self.slice_axis,
            "sorted_by": self.review_signal,
            "order": self.review_order,
        }
        return {
            **({"review": review} if self.signals else {}),
            "seconds": self.seconds,
            "stages": dict(self.stages),
            "device": self.device,
            "precision": self.precision,
            "batch_size": self.batch_size,
            "warnings": [{"code": warning.code, "message": str(warning)} for warning in self.warnings],
            "slices": self.labelmap.array.shape[self.slice_axis],
            "segments": [
                {
                    "value": segment.value,
                    "name": segment.name,
                    "volume_ml": self.volumes_ml[segment.value],
                    "slices": self._slices_of(segment.value),
                    "removed_ml": cleaned.removed_ml.get(segment.value, 0.0),
                    "removed_pieces": cleaned.removed_pieces.get(segment.value, 0),
                    "filled_ml": cleaned.filled_ml.get(segment.value, 0.0),
                }
                for segment in self.labelmap.segments
            ],
        }

    def _slices_of(self, value: int) -> int:
        """In how many of the model's slices a segment was found."""
        slices = np.moveaxis(self.labelmap.array, self.slice_axis, 0)
        return sum(bool((part == value).any()) for part in slices) if self.volumes_ml[value] else 0


class Predictor:
    """A model on a device, loaded once and used for any number of scans.

    Parameters
    ----------
    package:
        The model.
    device:
        As `choose_device`.
    batch_size:
        Slices at once; None for a number that suits network and device. Halved where memory runs out.
    half:
        None: half precision where the device is faster in it; True: where the device can; False: never. In any case
        single precision is used if the labels of sample slices of the first scan do not agree.

    Raises
    ------
    GANSegmentationError
        ``wrong_task`` for a model that does not segment; as `choose_device` and `load_network`; ``invalid_card`` or
        ``label_mismatch`` if card, labels and network do not fit together.
    """

    def __init__(
        self, package: Package, device: str = "auto", *, batch_size: int | None = None, half: bool | None = None
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"a batch of {batch_size} slices cannot be")
        _require_segmentation(package.card)
        self.package = package
        self.choice: DeviceChoice = choose_device(device)
        self.card: Card = package.card
        self._entry = networks.entry(self.card.network.name)
        self._takes_domain = self._entry.takes_domain
        self._network = load_network(package, self.choice.device)
        self._dtype = torch.float32
        self._half = _wanted_half(self.choice, half)
        self._batch_size = batch_size
        self._crf = (
            None if self.card.postprocessing.crf is None else CrfSettings.from_dict(self.card.postprocessing.crf)
        )
        self._check_package()

    def segment(
        self,
        volumes: Sequence[Volume],
        *,
        domain: str | None = None,
        force: bool = False,
        postprocessing: PostProcessing | None = None,
        plausibility: bool = False,
        signals: Sequence[str] = (),
        progress: Callable[[Progress], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> Result:
        """Segment volumes on one grid.

        Parameters
        ----------
        volumes:
            The model's inputs, in the order of its card's channels.
        domain:
            For a model with domains: which one; None takes the volumes' modality. Where the intensities are normalised
            by modality, it also stands in for a volume's unknown one.
        force:
            Segment although the modality is not the model's; a named domain then also overrules the volumes' modality.
        postprocessing:
            What cleans the labels instead of what the card says; the random field remains the card's.
        plausibility:
            Also ask the packaged discriminator how plausible each slice is: short for `DISCRIMINATOR_SIGNALS` in front
            of `signals`.
        signals:
            Names of further signals of how far each slice can be trusted, see `plausibility`; each costs time.
        progress:
            Called from this thread when a stage begins and after every batch.
        cancel:
            Asked between batches and between the steps of cleaning whether to stop.

        Raises
        ------
        GANSegmentationError
            ``cancelled``; ``out_of_memory`` if not even one slice fits; as `check_input`, `SliceStack` and, for
            signals, `SliceReviewer`.
        """
        begin = time.perf_counter()
        wanted = (*(DISCRIMINATOR_SIGNALS if plausibility else ()), *signals)
        reviewer = SliceReviewer(self.package, self.choice.device, wanted) if wanted else None
        warnings = check_input(self.card, volumes, domain, force=force)
        with memory_said(self.choice):
            decided = with_modalities(self.card, volumes, domain, force=force)
            stack = SliceStack(decided, self.card.slicing, intensities(self.card, decided))
            run = _Run(stack, Countdown(stack.n_slices, progress, cancel), self._domain_vector(volumes, domain))
            run.flips = self._flips(stack, warnings)
            run.reviewer = reviewer
            run.countdown.enter("prepare")
            self._settle_precision(run, warnings)
            prepared = time.perf_counter()
            labels, batch_size = self._label(run)
            segmented = time.perf_counter()
            run.countdown.enter("postprocess", stack.n_slices)
            labels, report = postprocess(
                labels,
                postprocessing or self.card.postprocessing,
                stack.geometry,
                in_place=True,
                cancelled=run.countdown.check,
            )
        labelmap = Labelmap(labels, volumes[0].geometry, self.package.labels)
        volumes_ml = self._volumes_ml(labelmap)
        if not any(volumes_ml.values()):
            warnings.append(_empty(self.card, report))
        end = time.perf_counter()
        return Result(
            labelmap=labelmap,
            seconds=end - begin,
            device=self.choice.name,
            precision=str(self._dtype).removeprefix("torch."),
            batch_size=batch_size,
            warnings=tuple(warnings),
            volumes_ml=volumes_ml,
            postprocessing=report,
            stages={"prepare": prepared - begin, "segment": segmented - prepared, "postprocess": end - segmented},
            signals=run.signals(),
            slice_axis=stack.orientation.axes[0],
            review_signal=sorting_signal(self.card, reviewer.signals) if reviewer else None,
        )

    def _label(self, run: _Run) -> tuple[Labels, int]:
        """The labels ``(z, y, x)`` of all slices, and the batch size at the end."""
        stack, assembler = run.stack, LabelAssembler(run.stack)
        size = self._batch_size or suggest_batch_size(self.card, stack.network_shape, self._dtype, self.choice.device)
        run.countdown.enter("segment")

        def labels_of(start: int, stop: int) -> Tensor:
            scores = self._scores(self._network, self._dtype, run, start, stop)
            if run.reviewer is not None:
                self._review(run.reviewer, run, scores, start, stop)
            return stack.restore(scores).cpu()

        size = compute_in_batches(stack.n_slices, size, labels_of, assembler.put, run.countdown, self.choice)
        return assembler.result(), size

    def _review(self, reviewer: SliceReviewer, run: _Run, scores: Tensor, start: int, stop: int) -> None:
        """What speaks for and against each slice of a batch, kept in the order of the stack."""
        images = run.stack.batch(start, stop, self.choice.device)

        def forward(slices: Tensor) -> Tensor:
            inputs = slices.to(dtype=self._dtype, memory_format=torch.channels_last)
            return self._forward(self._network, inputs, run.domain)

        for name, values in reviewer(images, scores, forward).items():
            run.reviewed.setdefault(name, {}).update(zip(range(start, stop), values.tolist(), strict=True))

    @torch.inference_mode()
    def _scores(self, network: nn.Module, dtype: torch.dtype, run: _Run, start: int, stop: int) -> Tensor:
        """Scores ``(n, classes, H, W)`` of slices, averaged over the card's flips, refined where the card says so."""
        images = run.stack.batch(start, stop, self.choice.device)
        # NHWC in memory is what the convolutions were laid out for.
        inputs = images.to(dtype=dtype, memory_format=torch.channels_last)
        total = self._forward(network, inputs, run.domain)
        for dimension in run.flips:
            total = total + self._forward(network, inputs.flip(dimension), run.domain).flip(dimension)
        scores = total / (1 + len(run.flips)) if run.flips else total
        self._check_classes(scores)
        self._check_finite(scores, start, stop)
        return scores if self._crf is None else refine(scores, images, self._crf)

    def _forward(self, network: nn.Module, inputs: Tensor, domain: Tensor | None) -> Tensor:
        conditions = () if domain is None else (domain.to(inputs).expand(len(inputs), -1),)
        output = whole_scores(network, inputs, *conditions)
        return networks.scores(self._entry, output).float()

    def _settle_precision(self, run: _Run, warnings: list[Warning_]) -> None:
        """Once for every predictor: to half precision, if sample slices of this scan come out the same."""
        if self._half is None:
            return
        dtype = self._half
        half = in_precision(self._network, dtype)

        def scores_of(network: nn.Module, number_type: torch.dtype) -> Callable[[int], Tensor]:
            def scores(number: int) -> Tensor:
                run.countdown.check()
                return self._scores(network, number_type, run, number, number + 1)

            return scores

        same = precision.agrees(
            scores_of(self._network, torch.float32), scores_of(half, dtype), run.stack.restore, run.stack.n_slices
        )
        self._half = None  # settled; not before, for the user may cancel meanwhile
        if same:
            self._network, self._dtype = half, dtype
            return
        text = f"Half precision ({dtype}) changed the labels on this device; single precision is used instead."
        _log.info(text)
        warnings.append(Warning_("half_precision_disagrees", text))

    def _flips(self, stack: SliceStack, warnings: list[Warning_]) -> tuple[int, ...]:
        """The dimensions of a batch to reverse for test-time augmentation."""
        dimensions = []
        for name in self.card.test_time_augmentation:
            dimension = stack.orientation.flip_dimension(name)
            if dimension is None:
                warnings.append(
                    Warning_("flip_skipped", f"The flip {name} does not lie in {stack.plane} slices; it was left out.")
                )
            else:
                dimensions.append(dimension)
        return tuple(dimensions)

    def _domain_vector(self, volumes: Sequence[Volume], domain: str | None) -> Tensor | None:
        """The one-hot domain ``(1, domains)`` for a network that takes one."""
        name = resolve_domain(self.card, volumes, domain)
        if name is None or not self._takes_domain:
            return None
        vector = torch.zeros(1, len(self.card.domains))
        vector[0, self.card.domains.index(name)] = 1.0
        return vector

    def _volumes_ml(self, labelmap: Labelmap) -> dict[int, float]:
        counts = voxel_counts(labelmap.array)
        ml = labelmap.geometry.voxel_volume_ml
        return {segment.value: float(counts[segment.value]) * ml for segment in labelmap.segments}

    def _check_package(self) -> None:
        values = sorted(segment.value for segment in self.package.labels)
        if values != list(range(1, len(values) + 1)) or not 1 <= len(values) <= 255:
            raise _misfit("label_mismatch", self.card, f"its segments have the values {values}, not 1, 2, ...")
        needed = int(getattr(self._network, "multiple", 1))
        if self.card.slicing.multiple % needed:
            raise _misfit(
                "invalid_card",
                self.card,
                f"its slices are padded to a multiple of {self.card.slicing.multiple}, its network needs {needed}",
            )

    def _check_finite(self, scores: Tensor, start: int, stop: int) -> None:
        """Scores that are no numbers would become background: an empty place in a mask that looks right."""
        if not bool(torch.isfinite(scores).all()):
            raise GANSegmentationError(
                "invalid_scores",
                f"The network of the model '{self.card.title}' gave scores that are no finite numbers, in the slices "
                f"{start + 1} to {stop}.",
                cause="Its weights are damaged, or its numbers overflow on this device.",
                action="Run on the CPU; get the model again if that does not help.",
            )

    def _check_classes(self, scores: Tensor) -> None:
        classes, segments = scores.shape[1], len(self.package.labels)
        if classes != segments + 1 and not classes == segments == 1:
            raise _misfit(
                "label_mismatch",
                self.card,
                f"its network gives {classes} classes for {segments} segments and the background",
            )


@dataclass
class _Run:
    """What the steps of one segmentation share."""

    stack: SliceStack
    countdown: Countdown
    domain: Tensor | None
    flips: tuple[int, ...] = ()
    reviewer: SliceReviewer | None = None
    reviewed: dict[str, dict[int, float]] = field(default_factory=dict)

    def signals(self) -> dict[str, tuple[float, ...]]:
        """The signals of all slices in the order of the array axis, against which a stack may run."""
        order = range(self.stack.n_slices)[:: -1 if self.stack.orientation.flips[0] else 1]
        return {name: tuple(values[index] for index in order) for name, values in self.reviewed.items()}


def _require_segmentation(card: Card) -> None:
    if card.task == "segmentation":
        return
    translates = networks.entry(card.network.name).translates
    does, command = ("translates scans", "translate") if translates else ("makes pictures from masks", "synthesize")
    raise GANSegmentationError(
        "wrong_task",
        f"The model {card.title!r} does not segment: it {does}.",
        cause=f"A model for {'translation' if translates else 'synthesis'} was chosen.",
        action=f"Choose a model that segments; this one is for `ganseg {command}`.",
    )


def _wanted_half(choice: DeviceChoice, half: bool | None) -> torch.dtype | None:
    """The half precision to try: what is faster here, or where asked for what there is."""
    if half is None:
        return choice.half
    if not half:
        return None
    return choice.half or (torch.bfloat16 if choice.device.type == "cpu" else torch.float16)


def _empty(card: Card, report: PostProcessReport) -> Warning_:
    text = f"The model {card.title!r} found nothing in this scan."
    if report.removed_ml:
        removed = sum(report.removed_ml.values())
        text = f"All that the model {card.title!r} found was removed as too small ({removed:.2g} ml)."
    return Warning_("empty_result", f"{text} It may not show what the model was made for.")


def _misfit(code: str, card: Card, what: str) -> GANSegmentationError:
    return GANSegmentationError(
        code,
        f"The model {card.title!r} contradicts itself: {what}.",
        action="Get the model again from where it came, or pack it again.",
    )
