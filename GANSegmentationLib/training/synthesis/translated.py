"""The cases of a prepared dataset translated into another domain, with their masks: labelled pairs that nobody drew.

Source: seed 002, which generates an image together with its mask by translating an image whose mask is known. Slices
are translated as they would look in the other domain, masks stay what they are to the last pixel.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...datasets.dataset import Case, Dataset, array_bytes, write_atomically
from ...datasets.mixing import SYNTHETIC
from ...errors import GANSegmentationError
from ...inference import Translator
from ..evaluation.references import case_volume

PROVENANCE = "translation.json"
"""The file of a translated dataset that says how it came about."""

_GREYS = 2**16 - 1


def translate_dataset(
    translator: Translator,
    dataset: Dataset,
    target: str,
    output: Path,
    *,
    patients: Sequence[str] = (),
    values: tuple[float, float] | None = None,
    report: Callable[[int, int, str], None] | None = None,
) -> Dataset:
    """Translate cases into a domain and write them with their masks as a prepared dataset.

    Every case keeps its patient, resolution, slices and mask. Its source is ``"synthetic"`` and it names its patient as
    the one it is derived from, so that ``ganseg train --synthetic`` mixes it in and every split keeps it on the
    patient's side. Grey values are 16 bits over the range that translations into the domain have.
    ``translation.json`` says of every case where it comes from.

    Parameters
    ----------
    target:
        A domain of the model; cases of that domain are left out.
    patients:
        Only these; all where empty.
    values:
        As `Translator.translate`.
    report:
        Called as ``report(done, total, case)`` before each case.

    Raises
    ------
    GANSegmentationError
        ``unknown_domain``; ``unknown_patient``; ``nothing_to_translate`` if no case is of another domain that the model
        knows; ``folder_in_use`` if there is something in `output`; as `Translator.translate`.
    """
    if output.exists() and any(output.iterdir()):
        raise GANSegmentationError(
            "folder_in_use",
            f"{output} holds something already.",
            action="Choose a new or empty folder for the translated dataset.",
        )
    wanted = translator.domain(target)
    chosen = dataset.of_patients(patients) if patients else dataset
    cases = [case for case in chosen.cases if _source_domain(translator, case) not in (None, wanted)]
    if not cases:
        found = ", ".join(sorted({case.modality for case in chosen.cases}))
        raise GANSegmentationError(
            "nothing_to_translate",
            f"No case of {dataset.folder} can be translated into {wanted}: they are {found}.",
            cause=f"The model knows {', '.join(translator.card.domains)}.",
            action="Give a dataset with cases of another of its domains.",
        )
    translated = []
    for done, case in enumerate(cases):
        if report is not None:
            report(done, len(cases), case.id)
        translated.append(_translate_case(translator, dataset, case, wanted, values, output))
    result = Dataset(output, tuple(translated), dataset.labels)
    facts = _provenance(translator, wanted, cases, translated)
    write_atomically(output / PROVENANCE, json.dumps(facts, indent=1).encode())
    result.write_manifest()
    return result


def _source_domain(translator: Translator, case: Case) -> str | None:
    """The domain of a case as the model spells it; None where the model does not know it."""
    known = {name.casefold(): name for name in translator.card.domains}
    return known.get(case.modality.casefold())


def _translate_case(
    translator: Translator,
    dataset: Dataset,
    case: Case,
    target: str,
    values: tuple[float, float] | None,
    output: Path,
) -> Case:
    done = translator.translate(case_volume(dataset, case), target, values=values)
    low, high = done.values.low, done.values.high
    slope = (high - low) / _GREYS
    greys = np.rint((done.volume.array - low) / slope).clip(0, _GREYS).astype(np.uint16)
    name = f"{SYNTHETIC}_{target.lower()}_{case.id}"
    contents = {"images": array_bytes(greys), "masks": array_bytes(np.asarray(dataset.masks(case)))}
    for kind, content in contents.items():
        write_atomically(output / kind / f"{name}.npy", content)
    licence = f"translated by {translator.card.id} from a scan under {case.licence or 'an unknown licence'}"
    return Case(
        id=name,
        source=SYNTHETIC,
        patient=case.patient,
        modality=done.volume.modality or case.modality,
        unit=done.values.unit,
        slices=case.slices,
        shape=case.shape,
        slope=slope,
        intercept=low,
        value_range=(low, high),
        slice_index=case.slice_index,
        foreground=case.foreground,
        fingerprint=hashlib.sha256(contents["images"] + contents["masks"]).hexdigest(),
        spacing_zyx=case.spacing_zyx,
        licence=licence,
        is_volume=case.is_volume,
        labelled=case.labelled,
        derived_from=case.derived_from or (case.patient,),
    )


def _provenance(
    translator: Translator, target: str, cases: Sequence[Case], translated: Sequence[Case]
) -> dict[str, Any]:
    card = translator.card
    return {
        "model": {"id": card.id, "version": card.version, "preset": card.training.preset},
        "weights_sha256": {name: fact.sha256 for name, fact in card.files.items()},
        "split_sha256": card.training.split_sha256,
        "target": target,
        "cases": [
            {"case": after.id, "from": before.id, "source": before.source, "domain": before.modality}
            for before, after in zip(cases, translated, strict=True)
        ],
    }
