"""Who a scan is of, kept out of everything that a batch writes and says.

Names of folders and files, messages and ledger lines pass through a `Redactor`. What identifies a patient is learnt
from the DICOM headers themselves (PS3.15, Annex E names the attributes); a file without such a header cannot tell, so
that `pseudonym` can also stand for every name.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

IDENTITY_KEYWORDS = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientBirthName",
    "PatientMotherBirthName",
    "ResponsiblePerson",
    "OtherPatientNames",
    "OtherPatientIDs",
    "AccessionNumber",
    "AdmissionID",
)
"""The DICOM attributes whose values never leave the headers."""

REMOVED = "[removed]"

_NAMES = ("PatientName", "PatientBirthName", "PatientMotherBirthName", "ResponsiblePerson", "OtherPatientNames")
_NOBODY = frozenset(
    (
        *("anonym", "anonymous", "anonymised", "anonymized", "anon", "unknown", "none", "null", "deidentified"),
        *("removed", "redacted", "withheld", "patient", "subject", "case", "phantom", "test", "name", "dicom"),
    )
)
"""Words in the place of a name that name nobody, and that messages need."""

_LETTERS_OR_DIGITS = re.compile(r"\d+|\D+")
_GAP = r"[\W_]{0,3}"
_SOME_GAP = r"[\W_]{1,3}"
_TRANSLITERATED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "æ": "ae", "ø": "oe", "å": "aa"})
_IN_ASCII = str.maketrans({"ß": "ss", "æ": "ae", "ø": "o", "ł": "l", "đ": "d", "ı": "i"})


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

    def learn(self, facts: Mapping[str, str] | Iterable[tuple[str, str]]) -> None:
        """Remember values of `IDENTITY_KEYWORDS`, by keyword; a keyword may come with several readings."""
        self._remember(_patterns(facts.items() if isinstance(facts, Mapping) else facts))

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
        return each_text(value, self.clean)

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


def without_names(value: Any, names: Iterable[str]) -> Any:
    """Plain JSON types with `REMOVED` in the place of some names, such as those of files."""
    longest_first = sorted(names, key=len, reverse=True)

    def clean(text: str) -> str:
        for name in longest_first:
            text = text.replace(name, REMOVED)
        return text

    return each_text(value, clean) if longest_first else value


def pseudonym(key: bytes, text: str) -> str:
    """A stable name for a text that tells nothing of it without the key: ``case-`` and 10 hexadecimal digits.

    A plain checksum would not do: names and numbers of patients are few enough to try them all.
    """
    return f"case-{hmac.new(key, text.encode('utf-8', 'surrogateescape'), hashlib.sha256).hexdigest()[:10]}"


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """Plain JSON types with every text within them changed; keys and numbers stay."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: each_text(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [each_text(item, change) for item in value]
    return value


def _patterns(facts: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Regular expressions for what the values look like in names of files and in texts."""
    for keyword, values in facts:
        for value in values.split("\\"):
            if keyword == "PatientBirthDate":
                yield from _dates(value)
            elif keyword in _NAMES:
                for group in value.split("="):  # alphabetic, ideographic, phonetic (PS3.5 6.2.1.2)
                    yield from _names(group)
            else:
                yield from _identifiers(value)


def _names(value: str) -> Iterator[str]:
    for spelling in _spellings(value):
        words = [word for word in _words(spelling) if word.casefold() not in _NOBODY]
        family_and_given = words[:2]
        if len(family_and_given) == 2 and sum(map(len, family_and_given)) >= 4:
            for pair in (family_and_given, family_and_given[::-1]):
                yield _bounded(_GAP.join(map(re.escape, pair)), 4)
        for word in words:
            if len(word) >= (3 if word.isascii() else 2):
                yield _bounded(re.escape(word), len(word))


def _spellings(value: str) -> Iterator[str]:
    """A name as names of files have it: its letters in one piece or with their accents apart, or without accents."""
    lower = unicodedata.normalize("NFC", value).lower()
    apart = unicodedata.normalize("NFD", lower)
    plain = "".join(sign for sign in apart if not unicodedata.combining(sign)).translate(_IN_ASCII)
    yield from dict.fromkeys([value, lower, lower.casefold(), apart, plain, lower.translate(_TRANSLITERATED)])


def _words(text: str, *, digits: bool = False) -> list[str]:
    """The words of a text. Accents that stand apart belong to them, and so do signs for bytes that were no text."""

    def is_within(sign: str) -> bool:
        if sign.isalnum():
            return digits or not sign.isdigit()
        return unicodedata.category(sign)[0] == "M" or "\udc80" <= sign <= "\udcff" or sign == "\ufffd"

    return "".join(sign if is_within(sign) else " " for sign in text).split()


def _identifiers(value: str) -> Iterator[str]:
    for text in dict.fromkeys(unicodedata.normalize(form, value.strip()) for form in ("NFC", "NFD")):
        if len(text) >= 3 and text.casefold() not in _NOBODY:
            # PX778812 may be PX-778812 in the name of a folder, too.
            parts = [re.escape(part) for word in _words(text, digits=True) for part in _LETTERS_OR_DIGITS.findall(word)]
            if parts:
                yield _bounded(_GAP.join(parts), len(text))


def _dates(value: str) -> Iterator[str]:
    found = re.fullmatch(r"(\d{4})[-./]?(\d\d)[-./]?(\d\d)", value.strip())  # with points before 1993
    if found is None:
        return
    year, month, day = found.groups()
    for order in ((year, month, day), (day, month, year), (month, day, year)):
        yield rf"(?<!\d){_GAP.join(order)}(?!\d)"
        if month[0] == "0" or day[0] == "0":  # 2.8.1964, never without anything in between
            parts = [part.removeprefix("0") if part != year else part for part in order]
            yield rf"(?<!\d){_SOME_GAP.join(parts)}(?!\d)"
    for order in ((day, month, year[2:]), (year[2:], month, day), (month, day, year[2:])):
        yield rf"(?<!\d){_GAP.join(order)}(?!\d)"


def _bounded(pattern: str, length: int) -> str:
    """Short words only where they stand alone, or every "liver" would hold a "Li"; long ones anywhere."""
    return pattern if length >= 5 else rf"(?<![^\W_]){pattern}(?![^\W_])"
