"""Who a scan is of, kept out of everything that a batch writes and says.

Names of folders and files, messages and ledger lines pass through a `Redactor`. What identifies a patient is learnt
from the DICOM headers themselves (PS3.15, Annex E names the attributes); a file without such a header cannot tell, so
that `pseudonym` can also stand for every name.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

IDENTITY_KEYWORDS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientBirthName",
    "OtherPatientNames",
    "OtherPatientIDs",
    "AccessionNumber",
)
"""The DICOM attributes whose values never leave the headers."""

REMOVED = "[removed]"

_NAMES = ("PatientName", "PatientBirthName", "OtherPatientNames")
_NOBODY = frozenset(
    (
        *("anonym", "anonymous", "anonymised", "anonymized", "anon", "unknown", "none", "null"),
        *("patient", "subject", "case", "phantom"),
    )
)
_GAP = r"[\W_]{0,3}"


class Redactor:
    """Knows what identifies the patients of a batch, and takes it out of texts.

    Parameters
    ----------
    keep:
        Change nothing: somebody asked for names to be kept.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self.keep = keep
        self._patterns: dict[str, None] = {}
        self._compiled: re.Pattern[str] | None = None

    def learn(self, facts: Mapping[str, str]) -> None:
        """Remember the values of `IDENTITY_KEYWORDS` of one header."""
        self._remember(_patterns(facts))

    def learn_text(self, text: str) -> None:
        """Remember a text, such as the name of a folder, as it is."""
        if len(text) >= 3:
            self._remember([_bounded(re.escape(text), len(text))])

    def names_somebody(self, text: str) -> bool:
        """Whether a text holds what identifies one of the patients."""
        return not self.keep and bool(self._patterns) and self._pattern().search(text) is not None

    def clean(self, text: str) -> str:
        """The text with `REMOVED` in the place of whatever identifies one of the patients."""
        if self.keep or not self._patterns:
            return text
        return self._pattern().sub(REMOVED, text)

    def clean_json(self, value: Any) -> Any:
        """Every text within plain JSON types cleaned; keys and numbers stay."""
        if isinstance(value, str):
            return self.clean(value)
        if isinstance(value, Mapping):
            return {key: self.clean_json(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.clean_json(item) for item in value]
        return value

    def _remember(self, patterns: Iterable[str]) -> None:
        before = len(self._patterns)
        self._patterns.update(dict.fromkeys(patterns))
        if len(self._patterns) != before:
            self._compiled = None

    def _pattern(self) -> re.Pattern[str]:
        if self._compiled is None:
            # The longest first: of a full name and its parts, the full name goes in one piece.
            longest_first = sorted(self._patterns, key=len, reverse=True)
            self._compiled = re.compile("|".join(longest_first), re.IGNORECASE)
        return self._compiled


def pseudonym(key: bytes, text: str) -> str:
    """A stable name for a text that tells nothing of it without the key: ``case-`` and 10 hexadecimal digits.

    A plain checksum would not do: names and numbers of patients are few enough to try them all.
    """
    return f"case-{hmac.new(key, text.encode('utf-8', 'surrogateescape'), hashlib.sha256).hexdigest()[:10]}"


def _patterns(facts: Mapping[str, str]) -> Iterator[str]:
    """Regular expressions for what the values look like in names of files and in texts."""
    for keyword in IDENTITY_KEYWORDS:
        for value in facts.get(keyword, "").split("\\"):
            if keyword == "PatientBirthDate":
                yield from _dates(value)
            elif keyword in _NAMES:
                for group in value.split("="):  # alphabetic, ideographic, phonetic (PS3.5 6.2.1.2)
                    yield from _names(group)
            else:
                yield from _identifiers(value)


def _names(value: str) -> Iterator[str]:
    words = [word for word in re.split(r"[\W_\d]+", value) if word and word.casefold() not in _NOBODY]
    family_and_given = words[:2]
    if len(family_and_given) == 2 and sum(map(len, family_and_given)) >= 4:
        for pair in (family_and_given, family_and_given[::-1]):
            yield _bounded(_GAP.join(map(re.escape, pair)), 4)
    for word in words:
        if len(word) >= (3 if word.isascii() else 2):
            yield _bounded(re.escape(word), len(word))


def _identifiers(value: str) -> Iterator[str]:
    text = value.strip()
    if len(text) >= 3 and text.casefold() not in _NOBODY:
        parts = [re.escape(part) for part in re.split(r"[\W_]+", text) if part]
        if parts:
            yield _bounded(_GAP.join(parts), len(text))


def _dates(value: str) -> Iterator[str]:
    if not re.fullmatch(r"\d{8}", value.strip()):
        return
    year, month, day = value.strip()[:4], value.strip()[4:6], value.strip()[6:]
    for order in ((year, month, day), (day, month, year), (month, day, year)):
        yield rf"(?<!\d){_GAP.join(order)}(?!\d)"


def _bounded(pattern: str, length: int) -> str:
    """Short words only where they stand alone, or every "liver" would hold a "Li"; long ones anywhere."""
    return pattern if length >= 5 else rf"(?<![^\W_]){pattern}(?![^\W_])"
