"""One patient under several names: the LiTS, MSD liver and 3D-IRCADb sets share patients.

MSD Task03 numbers its cases as LiTS does, and LiTS 28 to 47 are the patients 1 to 20 of 3D-IRCADb: their importers give
these patients one name, that of LiTS, by themselves. The cases of the MSD *slices* are numbered otherwise, and a list
says which are whose.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from ...errors import GANSegmentationError

_IRCADB_IN_LITS = 27


def lits_patient(number: int) -> str:
    """The name of the patient of a LiTS volume."""
    return f"lits_v{number:02d}"


def ircadb_patient(number: int) -> str:
    """The name of a patient of 3D-IRCADb-01, who is one of LiTS."""
    return lits_patient(number + _IRCADB_IN_LITS)


def same_patients(path: Path) -> dict[str, str]:
    """Which cases of the MSD slices are patients of the LiTS slices: MSD case -> LiTS volume.

    The file is JSON with the object ``msd_to_lits``, e.g. ``{"msd_to_lits": {"c001": "v00"}}``.

    Raises
    ------
    GANSegmentationError
        ``invalid_same_patients`` if the file cannot be read so.
    """
    try:
        mapping = json.loads(path.read_text(encoding="utf-8"))["msd_to_lits"]
        aliases = {str(case): str(volume) for case, volume in mapping.items()}
        for case, volume in aliases.items():
            # A name that no case can have would be passed over in silence, and the patient land on both sides.
            if not (re.fullmatch(r"c\d+", case) and re.fullmatch(r"v\d+", volume)):
                raise ValueError(f"{case!r}: {volume!r} is not of the form 'c001': 'v00'")
        return aliases
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise GANSegmentationError(
            "invalid_same_patients",
            f"The list of same patients {path} cannot be read: {error!r}.",
            cause='It should be JSON with the object "msd_to_lits".',
            action="Give the file that came with the data.",
        ) from error


def patients_by_alias(cases: Mapping[str, str], msd_to_lits: Mapping[str, str]) -> dict[str, str]:
    """The patient of each case when some MSD cases are LiTS patients; ``cases`` maps case id to its own patient."""
    aliases = {f"msd_{case}": f"lits_{volume}" for case, volume in msd_to_lits.items()}
    return {case: aliases.get(patient, patient) for case, patient in cases.items()}
