"""What is in a prepared dataset, counted, and what of it is unlike the rest: the report of `ganseg prepare`.

`integrity` refuses what cannot be learnt from. Here is what only a person can judge: a case of another size or spacing
than the others of its source, a mask that reaches the border of its slices, what the importers had to say.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import GANSegmentationError
from .dataset import Case, Dataset, write_atomically
from .integrity import Finding, check_dataset
from .storing import MaskFacts, mask_facts

REPORT = "integrity.json"

_FEW = 4
"""Of fewer cases nothing is usual."""
_USUAL = 0.75
"""What holds for this share of a source's cases is usual."""
_FACTOR = 2.0
"""A spacing that is larger or smaller than the median by more is unlike the others."""
_SHORT = 0.2
"""A volume with fewer slices than this share of the median is unlike the others."""


def dataset_report(dataset: Dataset, left_out: Sequence[tuple[str, GANSegmentationError]] = ()) -> dict[str, Any]:
    """The report on a dataset as plain types: fingerprint, counts by source and label, findings, what was left out.

    A finding names its case and the files that the case was read from.

    Raises
    ------
    GANSegmentationError
        ``invalid_dataset`` if an array cannot be read at all.
    """
    masks = {case.id: mask_facts(dataset, case) for case in dataset.cases}
    findings = [*check_dataset(dataset), *unlike_the_rest(dataset, masks)]
    return {
        "schema": 1,
        "fingerprint": dataset.fingerprint,
        "patients": len({case.patient for case in dataset.cases}),
        "sources": [_source(name, cases, masks) for name, cases in by_source(dataset).items()],
        "labels": [
            {
                "value": value,
                "name": dataset.labels.get(value, ""),
                "pixels": sum(dict(facts.label_pixels).get(value, 0) for facts in masks.values()),
                "cases": sum(value in dict(facts.label_pixels) for facts in masks.values()),
            }
            for value in sorted(
                {*dataset.labels, *(label for facts in masks.values() for label, _ in facts.label_pixels)}
            )
        ],
        "findings": [
            {**vars(finding), "files": dataset.by_id[finding.case].origin if finding.case in dataset.by_id else ""}
            for finding in findings
        ],
        "left_out": [{"case": name, "code": error.code, "reason": str(error)} for name, error in left_out],
    }


def write_report(folder: Path, report: dict[str, Any]) -> Path:
    """Write the report of a dataset into its folder, as JSON; returns the file."""
    path = folder / REPORT
    write_atomically(path, json.dumps(report, indent=1, ensure_ascii=False).encode())
    return path


def by_source(dataset: Dataset) -> dict[str, list[Case]]:
    """The cases of each source."""
    return {
        source: [case for case in dataset.cases if case.source == source]
        for source in sorted({case.source for case in dataset.cases})
    }


def unlike_the_rest(dataset: Dataset, masks: dict[str, MaskFacts]) -> list[Finding]:
    """Findings of level ``warning`` and ``note``: outliers of their source, masks at the border, notes of importers."""
    found: list[Finding] = []
    for cases in by_source(dataset).values():
        found += _of_another_kind(cases)
        found += _of_another_spacing(cases)
        found += _at_border(dataset, cases, masks)
        found += [Finding("note", case.id, note) for case in cases for note in case.notes]
    held = {label for facts in masks.values() for label, _ in facts.label_pixels}
    found += [
        Finding("warning", "all cases", f"no mask has label {value} ({name})")
        for value, name in sorted(dataset.labels.items())
        if value not in held
    ]
    return found


def _source(name: str, cases: Sequence[Case], masks: dict[str, MaskFacts]) -> dict[str, Any]:
    spacings = [case.spacing_zyx for case in cases if case.spacing_zyx is not None]
    return {
        "source": name,
        "cases": len(cases),
        "patients": len({case.patient for case in cases}),
        "slices": sum(case.slices for case in cases),
        "with_foreground": sum(count > 0 for case in cases for count in case.foreground),
        "label_pixels": dict(
            sorted(sum((Counter(dict(masks[case.id].label_pixels)) for case in cases), Counter[int]()).items())
        ),
        "sizes": {f"{rows} x {columns}": count for (rows, columns), count in _counted(case.shape for case in cases)},
        "orientations": dict(_counted(case.orientation for case in cases if case.orientation)),
        "spacing_zyx_mm": [[min(axis), max(axis)] for axis in zip(*spacings, strict=True)],
        "value_range": [min(case.value_range[0] for case in cases), max(case.value_range[1] for case in cases)],
    }


def _counted(values: Iterator[Any]) -> list[tuple[Any, int]]:
    return sorted(Counter(values).items(), key=lambda item: (-item[1], item[0]))


def _of_another_kind(cases: Sequence[Case]) -> Iterator[Finding]:
    """Slices of another size, files of another orientation, far fewer slices than the others have."""
    sizes = {case.id: f"{case.shape[0]} x {case.shape[1]}" for case in cases}
    yield from _unusual(sizes, "warning", "its slices are {}")
    yield from _unusual({case.id: case.orientation for case in cases}, "note", "its files run to {} (x, y, z)")
    volumes = [case for case in cases if case.is_volume]
    if len(volumes) >= _FEW:
        median = float(np.median([case.slices for case in volumes]))
        for case in volumes:
            if case.slices < _SHORT * median:
                yield Finding(
                    "warning", case.id, f"it has {case.slices} slices, and half of the cases {median:.0f} or more"
                )


def _unusual(words: Mapping[str, str], level: str, text: str) -> Iterator[Finding]:
    """The cases whose word is not the one that nearly all others have."""
    (usual, count), *_ = _counted(iter(words.values()))
    if usual and len(words) >= _FEW and _USUAL * len(words) <= count < len(words):
        for case, word in words.items():
            if word != usual:
                others = f"those of {count} of {len(words)} cases {usual}"
                yield Finding(level, case, f"{text.format(word or 'nobody knows where')}, {others}")


def _of_another_spacing(cases: Sequence[Case]) -> Iterator[Finding]:
    spacings = {case.id: case.spacing_zyx for case in cases if case.spacing_zyx is not None}
    if len(cases) < _FEW or len(spacings) < _USUAL * len(cases):
        return
    medians = np.median(list(spacings.values()), axis=0)
    for case in cases:
        spacing = spacings.get(case.id)
        if spacing is None:
            yield Finding("warning", case.id, "its spacing is not known, and that of the others is")
            continue
        for axis, step, median in zip(("slices", "rows", "columns"), spacing, medians, strict=True):
            if not median / _FACTOR <= step <= median * _FACTOR:
                text = f"its {axis} are {step:.3g} mm apart, those of half of the cases {median:.3g} mm or more"
                yield Finding("warning", case.id, text)


def _at_border(dataset: Dataset, cases: Sequence[Case], masks: dict[str, MaskFacts]) -> Iterator[Finding]:
    """Masks that reach the border of a slice; where most of a source do, it is how its pictures are cut."""
    for label, name in sorted(dataset.labels.items()):
        having = [case for case in cases if label in dict(masks[case.id].label_pixels)]
        touching = [case for case in having if label in masks[case.id].at_border]
        usual = len(touching) > len(having) / 2
        for case in touching:
            text = f"its masks of label {label} ({name}) touch the border of a slice"
            yield Finding("note" if usual else "warning", case.id, text)
