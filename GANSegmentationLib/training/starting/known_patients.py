"""Whether the model that a run starts from has seen the patients that this run is judged by.

A package names no patients. What it has seen is told by the hash of its split: of every split that can be rebuilt (the
one written beside it by its own run, or one of the cases at hand) the hash says whether it is the very one. Where none
is, nobody can tell, and that is said.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ...datasets.dataset import Case, Dataset
from ...datasets.integrity import Finding
from ...datasets.pseudo_labels import original_source
from ...datasets.splits import Split, patient_split
from ...errors import GANSegmentationError
from ...models import Card, Package
from ..preset import Preset, load_preset, preset_names
from .preflight import FACTS, dataset_of


def check_start(package: Package, preset: Preset, dataset: Dataset, split: Split) -> list[Finding]:
    """What to know of the model that a run starts from: whose images it has seen, and how its slices were made.

    Parameters
    ----------
    dataset:
        The whole prepared dataset, also what of it the preset leaves out.
    split:
        The run's.

    Raises
    ------
    GANSegmentationError
        ``patient_leakage`` if a validation patient of the run has trained the package, unless
        `TransferSettings.allow_leakage` is set.
    """
    return [*_check_patients(package, preset, dataset, split), *_check_slices(package.card, preset)]


def cases_trained_on(package: Package, dataset: Dataset, split: Split) -> frozenset[str] | None:
    """The names of the cases that a package was trained on; None where that cannot be told.

    Parameters
    ----------
    dataset, split:
        As `check_start`.
    """
    found = split_of_package(package, dataset, split)
    return None if found is None else frozenset(found.train)


def split_of_package(package: Package, dataset: Dataset, split: Split) -> Split | None:
    """The split that a package was trained with, by its hash; None where it cannot be told. As `cases_trained_on`."""
    wanted = package.card.training.split_sha256
    for candidate in (*_beside(package.path), *_rebuilt(package.card, dataset, split)):
        if wanted is not None and candidate.sha256 == wanted:
            return candidate
    return None


def _check_patients(package: Package, preset: Preset, dataset: Dataset, split: Split) -> Iterator[Finding]:
    card = package.card
    judges = [dataset.by_id[name] for name in split.validation]
    if not {case.modality for case in judges} & set(card.modalities):
        return  # an MR model has not seen these CT
    trained = cases_trained_on(package, dataset, split)
    if trained is None:
        yield Finding(
            "warning",
            card.id,
            "this run starts from it, and nobody can tell whether this run's validation patients have trained it: then "
            "every score would be too good",
        )
    else:
        patients = {dataset.by_id[name].patient for name in trained if name in dataset.by_id}
        shared = sorted(patients & {case.patient for case in judges})
        if shared and not (preset.transfer and preset.transfer.allow_leakage):
            raise _leakage(card, shared)
        if shared:
            yield Finding("warning", card.id, f"{_some(shared)} have trained it and validate here: scores are too good")
    if card.training.started_from is not None:
        origin = card.training.started_from
        yield Finding("warning", card.id, f"it has itself started from {origin.id}, whose patients are not known here")


def _check_slices(card: Card, preset: Preset) -> Iterator[Finding]:
    """How the slices of the package differ from the run's: features are learnt at one scale and one window."""
    before, after = card.slicing.to_dict(), preset.slicing.to_dict()
    other = [
        f"{name} {_plain(before[name])}, here {_plain(after[name])}"
        for name in after
        if name != "multiple" and before.get(name) != after[name]
    ]
    if other:
        yield Finding("warning", card.id, f"its slices were made otherwise: {'; '.join(other)}")


def _plain(value: object) -> str:
    """A setting as a person reads it."""
    if isinstance(value, Mapping):
        return " ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return str(value)


def _beside(path: Path) -> Iterator[Split]:
    """The split that a run has written into the folder where its package lies, if there is one."""
    try:
        facts = json.loads((path.resolve().parent / FACTS).read_text(encoding="utf-8"))
        yield Split(tuple(map(str, facts["train"])), tuple(map(str, facts["validation"])))
    except (OSError, ValueError, KeyError, TypeError):
        return  # the package was moved away from its run, which is its right


def _rebuilt(card: Card, dataset: Dataset, split: Split) -> Iterator[Split]:
    """Splits that a preset could have made of the cases at hand: of its sources, with its validation patients."""
    held_out = [{dataset.by_id[name].patient for name in split.validation}]
    if card.training.preset in preset_names():
        held_out.append(set(load_preset(card.training.preset).data.validation_patients))
    for base in _bases(card, dataset):
        for patients in held_out:
            for judges in (dataset.cases, base):  # a validation patient may have cases of other sources, too
                yield Split(
                    tuple(case.id for case in base if case.patient not in patients),
                    tuple(case.id for case in judges if case.patient in patients),
                )


def _bases(card: Card, dataset: Dataset) -> Iterator[Sequence[Case]]:
    """The cases that a package may have been trained and validated on.

    Those of its sources; or, where these are pseudo-labels, the cases of the original sources that train in one of the
    committed presets, for which the pseudo-labels were derived.
    """
    sources = {data.name for data in card.training.data}
    originals = {original_source(source) for source in sources}
    if sources == originals:
        yield [case for case in dataset.cases if case.source in sources]
        if card.training.preset in preset_names():
            with suppress(GANSegmentationError):  # its few patients are not among these cases
                used = dataset_of(load_preset(card.training.preset), dataset)
                yield [case for case in used.cases if case.source in sources]
        return
    for name in preset_names():
        preset = load_preset(name)
        with suppress(GANSegmentationError):  # a preset of other data, which these cannot be split for
            used = dataset_of(preset, dataset)
            train = patient_split(used, validation=preset.data.validation_patients).train
            yield [used.by_id[each] for each in train if used.by_id[each].source in originals]


def _leakage(card: Card, shared: list[str]) -> GANSegmentationError:
    return GANSegmentationError(
        "patient_leakage",
        f"{_some(shared)} validate in this run and have trained {card.id}, which it starts from.",
        cause="What the model has learnt of them would count as skill.",
        action="Start from a model that has not seen them, choose other validation patients, or set "
        "transfer.allow_leakage to true and mistrust every score.",
        details=", ".join(shared),
    )


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    if len(listed) == 1:
        return f"the patient {listed[0]}"
    return f"{len(listed)} patients ({', '.join(listed[:3])}{', ...' if len(listed) > 3 else ''})"
