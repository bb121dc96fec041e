"""What a DICOM header says of the patient, in every reading of its bytes that could be meant.

Headers do not always hold what they announce: text in another character set than the declared one, or in none that was
declared. A name that is read wrongly would not be recognised in the name of a folder, so every reading that is possible
counts as the name; and where the right one may not be among them, that is said.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .privacy import IDENTITY_KEYWORDS

_CHARACTER_SETS = (
    *("utf-8", "latin-1", "cp1252", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "cp1250", "cp1251"),
    *("koi8-r", "gb18030", "big5", "shift_jis", "euc_jp", "iso2022_jp_2", "euc_kr", "iso2022_kr"),
)
"""Of the character sets of DICOM (PS3.3 C.12.1.1.2), and those that computers without DICOM have written."""

_SEQUENCES = ("OtherPatientIDsSequence",)
_NESTED = ("PatientID",)


@dataclass(frozen=True)
class Identity:
    """What identifies the patient of a header.

    Parameters
    ----------
    values:
        Keyword (one of `privacy.IDENTITY_KEYWORDS`) and text; a value that can be read in several ways is there in
        each of them.
    is_certain:
        Whether every value could be read as the header declares it. If not, nobody knows what to look for.
    """

    values: tuple[tuple[str, str], ...] = ()
    is_certain: bool = True


def read_identity(path: Path) -> Identity:
    """What identifies the patient of a DICOM file; not certain if its header cannot be read."""
    import pydicom

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            dataset = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            found = [*_elements(dataset)] if len(dataset) else [Identity(is_certain=False)]
        except Exception:  # noqa: BLE001 - a damaged header raises almost anything in pydicom
            return Identity(is_certain=False)
    return _together(found)


def readings(raw: bytes) -> tuple[str, ...]:
    """Every text that some bytes can be, the undecoded one among them: names of files keep bytes as they are."""
    found = dict.fromkeys([raw.decode("utf-8", "surrogateescape")])
    if raw.isascii() and b"\x1b" not in raw:
        return tuple(found)
    for name in _CHARACTER_SETS:
        try:
            found[raw.decode(name)] = None
        except UnicodeDecodeError:
            continue
    return tuple(found)


def _elements(dataset: Any) -> Iterator[Identity]:
    for keyword in IDENTITY_KEYWORDS:
        yield _element(dataset, keyword)
    for sequence in _SEQUENCES:
        if sequence in dataset:
            for item in dataset[sequence].value:
                for keyword in _NESTED:
                    yield _element(item, keyword)


def _element(dataset: Any, keyword: str) -> Identity:
    from pydicom.datadict import tag_for_keyword

    element = dataset.get_item(tag_for_keyword(keyword))
    raw = getattr(element, "value", None)
    if not raw:
        return Identity()
    if not isinstance(raw, bytes):  # decoded before
        return Identity(((keyword, str(raw)),), not _is_garbled(str(raw)))
    raw = raw.strip(b" \0")
    try:
        value = dataset.get(keyword)
        text = "\\".join(map(str, value)) if type(value).__name__ == "MultiValue" else str(value)
    except Exception:  # noqa: BLE001 - whatever pydicom makes of bytes that are not what they should be
        text = ""
    is_plain = raw.isascii() and b"\x1b" not in raw
    is_certain = is_plain or (bool(text) and not _is_garbled(text) and _says_its_character_set(dataset))
    texts = dict.fromkeys([text, *readings(raw)])
    return Identity(tuple((keyword, each) for each in texts if each.strip()), is_certain)


def _says_its_character_set(dataset: Any) -> bool:
    from pydicom.charset import python_encoding

    declared = dataset.get("SpecificCharacterSet")
    names = declared if isinstance(declared, list) or type(declared).__name__ == "MultiValue" else [declared]
    return bool(declared) and all(name in python_encoding for name in names)


def _is_garbled(text: str) -> bool:
    """Whether a text holds what no name does: signs for what could not be decoded, controls."""
    return "\ufffd" in text or not text.rstrip("\0").isprintable()


def _together(found: Iterable[Identity]) -> Identity:
    each = tuple(found)
    values = dict.fromkeys(value for identity in each for value in identity.values)
    return Identity(tuple(values), all(identity.is_certain for identity in each))
