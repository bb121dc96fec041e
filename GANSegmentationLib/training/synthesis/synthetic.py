"""A trained painter and the masks of its training patients become a synthetic dataset.

A generator has learnt its training slices, so what it paints belongs to them: only masks of patients that it was
trained on are used, and every painted case names the patient (`Case.derived_from`), so that no split can put it on the
other side of anybody whose masks are in it. Masks are deformed elastically before they are painted, or little would be
new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ...datasets.dataset import Case, Dataset, array_bytes, write_atomically
from ...datasets.elastic import deform, draw_offsets
from ...datasets.mixing import SYNTHETIC
from ...datasets.slices import SliceView
from ...datasets.splits import patient_split
from ...errors import GANSegmentationError
from ...inference.synthesise import Synthesiser
from ...models import Package
from ...slicing import IntensityMap, SliceStack, Window
from ...volumes import Geometry, Volume
from ..preset import Preset
from ..starting.preflight import dataset_of

PROVENANCE = "synthesis.json"
"""The file of a synthetic dataset that says how every slice came about."""

_GREYS = 255
_BATCH = 16
_AS_IT_IS = IntensityMap(0.0, 1.0, -1.0, 1.0, -1.0)


@dataclass(frozen=True)
class PaintPlan:
    """What is painted.

    Parameters
    ----------
    count:
        Slices; None for as many as the training patients have with a mask.
    masks:
        ``"elastic"``: deformed anew for every slice (`datasets.elastic`); ``"as-is"``.
    elastic_sigma, elastic_points:
        The deformation's strength, as `Augmentation` has it.
    mirror:
        Mirror every second mask left to right. Not for organs that have a side.
    seed:
        Of everything that is drawn.
    """

    count: int | None = None
    masks: Literal["elastic", "as-is"] = "elastic"
    elastic_sigma: float = 0.02
    elastic_points: int = 5
    mirror: bool = False
    seed: int = 0


@dataclass(frozen=True)
class Draw:
    """A slice to paint: from which slice's mask, and the seed of its deformation and noise."""

    case: str
    position: int
    seed: int


def training_part(package: Package, preset: Preset, dataset: Dataset, patients: Sequence[str] = ()) -> Dataset:
    """The cases whose masks a synthesis model may paint: of patients that it was trained on, labels not withheld.

    Parameters
    ----------
    preset:
        The one that the model was trained with; it says who was held out, and the card's hash of the split proves it.
    patients:
        Only these of them; all where empty.

    Raises
    ------
    GANSegmentationError
        ``wrong_preset`` for another preset than the card's; ``other_split`` if the split of dataset and preset is not
        the one that the model was trained with; ``held_out_patient`` for a patient who is not a training one.
    """
    facts = package.card.training
    if preset.name != facts.preset:
        raise GANSegmentationError(
            "wrong_preset",
            f"{package.card.id} was trained with the preset '{facts.preset}', not '{preset.name}'.",
            action="Give the preset of the model; the run's folder has it as preset.json.",
        )
    used = dataset_of(preset, dataset)
    split = patient_split(used, validation=preset.data.validation_patients)
    if split.sha256 != facts.split_sha256:
        raise GANSegmentationError(
            "other_split",
            f"{package.card.id} was trained on other patients than {dataset.folder} and the preset give, so nobody can "
            "tell here whom it was kept from.",
            cause="The dataset was prepared from other sources since, or has synthetic cases.",
            action="Give the dataset that the model was trained on.",
        )
    training = used.subset(split.train)
    strange = sorted(set(patients) - {case.patient for case in training.cases})
    if strange:
        raise GANSegmentationError(
            "held_out_patient",
            f"{', '.join(strange)} did not train {package.card.id}.",
            cause="Validation patients judge what is learnt from synthetic slices; their masks must not be in them.",
            action="Name training patients, or none to take all of them.",
        )
    chosen = training.of_patients(patients) if patients else training
    return chosen.subset(case.id for case in chosen.cases if preset.data.view.is_labelled(case))


def synthesize(
    synthesiser: Synthesiser,
    training: Dataset,
    view: SliceView,
    output: Path,
    plan: PaintPlan,
    *,
    report: Callable[[int, int, str], None] | None = None,
) -> Dataset:
    """Paint slices and write them with their masks as a prepared dataset of the source ``"synthetic"``.

    A painted case belongs to a real one. Slices have the model's resolution, masks the label values of the real
    dataset (those that the model does not take are background), grey values 8 bits over the model's window where it
    has one, else 0 to 255 without a unit. ``synthesis.json`` says of every slice where it comes from.

    Parameters
    ----------
    training:
        As `training_part` gives it.
    view:
        The preset's: which prepared labels are the model's classes.
    report:
        Called as ``report(done, total, case)`` before each case.

    Raises
    ------
    GANSegmentationError
        ``folder_in_use`` if there is something in `output`; ``no_masks`` if no slice has a label that the model takes;
        ``nothing_new`` if more slices are wanted than a model without noise can paint from masks as they are.
    """
    if output.exists() and any(output.iterdir()):
        raise GANSegmentationError(
            "folder_in_use",
            f"{output} holds something already.",
            action="Choose a new or empty folder for the synthetic dataset.",
        )
    draws = draw_slices(training, view, plan, varies=synthesiser.varies)
    cases = []
    for done, (case, members) in enumerate(draws.items()):
        if report is not None:
            report(done, len(draws), case.id)
        cases.append(_paint_case(synthesiser, training, view, case, members, plan, output))
    labels = {value: name for value, name in training.labels.items() if value in _taken(training, view)}
    dataset = Dataset(output, tuple(cases), labels)
    provenance = _provenance(synthesiser, plan, draws)
    write_atomically(output / PROVENANCE, json.dumps(provenance, indent=1).encode())
    dataset.write_manifest()
    return dataset


def draw_slices(training: Dataset, view: SliceView, plan: PaintPlan, *, varies: bool) -> dict[Case, list[Draw]]:
    """Whose masks are painted: every slice with a mask once before any comes twice, in random order, case by case.

    Raises
    ------
    GANSegmentationError
        ``no_masks``, ``nothing_new``, as `synthesize`.
    """
    eligible = [
        (case, position)
        for case in training.cases
        for position in np.flatnonzero([mask.any() for mask in view.remap(np.asarray(training.masks(case)))]).tolist()
    ]
    if not eligible:
        raise GANSegmentationError(
            "no_masks",
            "No slice of the training patients has a label that the model takes.",
            cause="The model was trained for other labels than the dataset has.",
            action="Give the dataset that the model was trained on.",
        )
    count = len(eligible) if plan.count is None else plan.count
    if count > len(eligible) and plan.masks == "as-is" and not varies and not plan.mirror:
        raise GANSegmentationError(
            "nothing_new",
            f"There are {len(eligible)} masks, and of each the model paints one picture: {count} would repeat them.",
            action="Deform the masks (--masks elastic), or leave dropout on (--stochastic).",
        )
    generator = np.random.default_rng(plan.seed)
    order = [index for _ in range(-(-count // len(eligible))) for index in generator.permutation(len(eligible))]
    draws: dict[Case, list[Draw]] = {}
    for index in order[:count]:
        case, position = eligible[index]
        draws.setdefault(case, []).append(Draw(case.id, position, int(generator.integers(2**31))))
    return {case: draws[case] for case in sorted(draws, key=lambda case: case.id)}


def _paint_case(
    synthesiser: Synthesiser,
    training: Dataset,
    view: SliceView,
    case: Case,
    draws: Sequence[Draw],
    plan: PaintPlan,
    output: Path,
) -> Case:
    stack = _grid(case, synthesiser)
    stored, taken = training.masks(case), _taken(training, view)
    images, masks = [], []
    for start in range(0, len(draws), _BATCH):
        members = draws[start : start + _BATCH]
        kept = [_kept(stored[draw.position], taken) for draw in members]
        labels = torch.cat([_network_labels(stack, *pair, plan) for pair in zip(kept, members, strict=True)])
        pictures = synthesiser.paint(view.remap_tensor(labels), [draw.seed for draw in members])
        images.append(((stack.unpadded(pictures) + 1) * (_GREYS / 2)).round().clamp(0, _GREYS).to(torch.uint8).numpy())
        masks.append(stack.unpadded(labels).to(torch.uint8).numpy())
    return _store(case, synthesiser, stack, np.concatenate(images), np.concatenate(masks), output)


def _grid(case: Case, synthesiser: Synthesiser) -> SliceStack:
    """One slice of the case's size, to bring masks to the network's grid as its slices are."""
    rows, columns = case.shape
    spacing = case.spacing_zyx or (1.0, 1.0, 1.0)
    geometry = Geometry((columns, rows, 1), (spacing[2], spacing[1], spacing[0]))
    empty = Volume(np.zeros((1, rows, columns), np.uint8), geometry, case.modality, case.id)
    return SliceStack([empty], synthesiser.spec, [_AS_IT_IS])


def _taken(dataset: Dataset, view: SliceView) -> tuple[int, ...]:
    """The prepared labels that the model takes."""
    return tuple(dataset.labels) if view.labels is None else view.labels


def _kept(mask: npt.NDArray[np.uint8], labels: Sequence[int]) -> npt.NDArray[np.uint8]:
    return np.where(np.isin(mask, labels), mask, 0).astype(np.uint8)


def _network_labels(stack: SliceStack, mask: npt.NDArray[np.uint8], draw: Draw, plan: PaintPlan) -> Tensor:
    """A mask, changed as the plan says, on the network's grid: ``(1, H, W)`` int64 of prepared labels."""
    generator = np.random.default_rng([plan.seed, draw.seed])
    if plan.masks == "elastic":
        offsets = draw_offsets(generator, sigma=plan.elastic_sigma, points=plan.elastic_points)
        mask = deform(torch.from_numpy(mask)[None], offsets, mode="nearest")[0].numpy()
    if plan.mirror and generator.random() < 0.5:
        mask = mask[:, ::-1]
    return stack.labels(mask[None], 0, 1)


def _store(
    case: Case,
    synthesiser: Synthesiser,
    stack: SliceStack,
    images: npt.NDArray[np.uint8],
    masks: npt.NDArray[np.uint8],
    output: Path,
) -> Case:
    name = f"{SYNTHETIC}_{case.id}"
    contents = {"images": array_bytes(images), "masks": array_bytes(masks)}
    for kind, content in contents.items():
        write_atomically(output / kind / f"{name}.npy", content)
    window = synthesiser.spec.normalisation.for_modality(case.modality)
    low, high = (window.low, window.high) if isinstance(window, Window) else (0.0, float(_GREYS))
    rows, columns = images.shape[1:]
    spacing = None
    if case.spacing_zyx is not None:
        across, down, along = case.spacing_zyx
        spacing = (across, down * case.shape[0] / rows, along * case.shape[1] / columns)
    return Case(
        id=name,
        source=SYNTHETIC,
        patient=f"{SYNTHETIC}_{case.patient}",
        modality=case.modality,
        unit=case.unit if isinstance(window, Window) else "arbitrary",
        slices=len(images),
        shape=(rows, columns),
        slope=(high - low) / _GREYS,
        intercept=low,
        value_range=(low, high),
        slice_index=tuple(range(len(images))),
        foreground=tuple(int(np.count_nonzero(mask)) for mask in masks),
        fingerprint=hashlib.sha256(contents["images"] + contents["masks"]).hexdigest(),
        spacing_zyx=spacing,
        licence=f"painted by {synthesiser.package.card.id} from masks under {case.licence or 'an unknown licence'}",
        is_volume=False,
        derived_from=(case.patient,),
    )


def _provenance(synthesiser: Synthesiser, plan: PaintPlan, draws: dict[Case, list[Draw]]) -> dict[str, Any]:
    card = synthesiser.package.card
    return {
        "model": {"id": card.id, "version": card.version, "preset": card.training.preset},
        "weights_sha256": {name: fact.sha256 for name, fact in card.files.items()},
        "split_sha256": card.training.split_sha256,
        "stochastic": synthesiser.stochastic,
        "plan": asdict(plan),
        "slices": list(_slices(draws)),
    }


def _slices(draws: dict[Case, list[Draw]]) -> Iterator[dict[str, Any]]:
    for case, members in draws.items():
        for position, draw in enumerate(members):
            yield {"case": f"{SYNTHETIC}_{case.id}", "position": position, "from": [draw.case, draw.position],
                   "seed": draw.seed}  # fmt: skip
