"""What the tags of a DICOM file say in words: facts of study and series, never of the patient."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FACT_KEYWORDS = (
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SOPClassUID",
    "StudyDescription",
    "SeriesDescription",
    "SeriesNumber",
    "ProtocolName",
    "BodyPartExamined",
    "PatientPosition",
    "ImageType",
    "Manufacturer",
    "ManufacturerModelName",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "KVP",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleType",
    "PixelPaddingValue",
    "PhotometricInterpretation",
    "MagneticFieldStrength",
    "ScanningSequence",
    "SequenceVariant",
    "RepetitionTime",
    "EchoTime",
    "FlipAngle",
)
"""The facts that a `Volume` keeps of its series. None of them says who the patient is."""


def read_facts(path: Path, keywords: tuple[str, ...]) -> Mapping[str, str]:
    """The values of DICOM keywords of one file as text; empty and absent ones are left out."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return facts_of(pydicom.dcmread(path, stop_before_pixels=True, force=True), keywords)


def facts_of(dataset: Any, keywords: tuple[str, ...]) -> dict[str, str]:
    """As `read_facts`, of a dataset or of one item of a sequence."""
    facts: dict[str, str] = {}
    for keyword in keywords:
        try:
            value = dataset.get(keyword)
        except Exception:  # noqa: BLE001 - a value that cannot be decoded is a fact not known
            continue
        if value is None:
            continue
        parts = value if isinstance(value, list | tuple) or type(value).__name__ == "MultiValue" else [value]
        text = "\\".join(str(part).strip() for part in parts)
        if text.strip("\\") and text.rstrip("\0").isprintable():  # else a damaged length: it holds what follows, too
            facts[keyword] = text.rstrip("\0")
    return facts
