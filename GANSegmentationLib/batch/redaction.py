"""What the outcome of a case may say: nothing of who the scan is of, and no folder of this computer.

Ledger, summaries and report are passed on; where a file lies within the input is all that its reader can use.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from .cases import Case
from .naming import as_said
from .outcome import CaseOutcome
from .privacy import Redactor, each_text, without_names

_BEGIN: Final = r"""(?:(?<=[\s"'`(\[<=,;])|^)"""
"""Where a path begins in a sentence: not at a slash within one, as in ``site (2)/scan``."""
_FOLDERS: Final = re.compile(_BEGIN + r"(?:[A-Za-z]:)?[\\/](?:(?:(?! [\\/])[^\\/\n])*[\\/])+")
"""The folders of an absolute path, spaces in their names included; another path after a space begins anew."""


class Redaction:
    """Takes out of outcomes what identifies a patient, and makes paths relative to the folders of the batch.

    Parameters
    ----------
    redactor:
        Who must not be named.
    folders, references:
        The input and whatever else belongs to the batch: of paths below them the part below is left, for references
        after the name of their folder; of all other absolute paths the bare name.
    """

    def __init__(self, redactor: Redactor, *folders: Path, references: Path | None = None) -> None:
        self._redactor = redactor
        if references is not None:
            folders = (*folders, references.absolute().parent, references.resolve().parent)
        forms = {
            form
            for folder in folders
            for form in (str(folder), str(folder.absolute()), str(folder.resolve()))
            if form not in ("", ".", "/")
        }
        longest_first = sorted(forms, key=len, reverse=True)
        self._own = re.compile(_BEGIN + f"(?:{'|'.join(map(re.escape, longest_first))})[\\\\/]") if forms else None

    def of(self, outcome: CaseOutcome, case: Case) -> CaseOutcome:
        """The outcome of a case as it may be written down and said."""
        names = {form for file in case.files for form in as_said(file.name)} if case.hides_files else set()

        def clean(value: Any) -> Any:
            return self._redactor.clean_json(without_names(each_text(value, self.without_folders), names))

        return replace(
            outcome,
            error=clean(outcome.error),
            warnings=tuple(clean(outcome.warnings)),
            scores=None if outcome.scores is None else tuple(clean(outcome.scores)),
        )

    def without_folders(self, text: str) -> str:
        """A text with paths as they are below the folders of the batch; of other absolute ones the bare names."""
        return _FOLDERS.sub("", text if self._own is None else self._own.sub("", text))
