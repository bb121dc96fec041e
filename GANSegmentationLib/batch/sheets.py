"""What the report shows of a case beside its figures: pictures, their legend, the scan, the model; a small file each.

The sheets of a batch lie in `SHEETS_FOLDER` of the output folder, in the same places as the masks. They outlive the run
that made them, so that the report of a batch that was stopped and went on has all of its pictures.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..errors import GANSegmentationError
from ..settings import read_settings, write_settings
from .outcome import Status

SHEETS_FOLDER: Final = ".report"
"""In the output folder. It may be removed: the report then has no pictures of what is not done again."""

SIGNALS: Final = ("entropy",)
"""What the predictor is asked for, to choose slices by where there is no reference: the one that costs little."""

_SUFFIX: Final = ".json"


@dataclass(frozen=True)
class Picture:
    """One view of a scan with its mask.

    Parameters
    ----------
    view, why:
        What it shows (``"axial 57, S 123.5 mm"``), and why just that.
    dice:
        Of what it shows, with the reference; None without one.
    width, height:
        Pixels.
    webp:
        The picture in base64.
    """

    view: str
    why: str
    dice: float | None
    width: int
    height: int
    webp: str


@dataclass(frozen=True)
class Colour:
    """A structure's name and its colour in the pictures (red, green, blue, 0 to 255)."""

    name: str
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class ModelFacts:
    """What the model's card says, as far as a reader of the report needs it."""

    id: str
    version: str
    title: str
    modalities: tuple[str, ...]
    intended_use: str
    limitations: str
    measured: tuple[str, ...]
    weights_licence: str
    weights_sha256: str
    date: str


@dataclass(frozen=True)
class Sheet:
    """A case's pictures and what belongs to them; `scan` and `window` are words, `reference` the outline's colour."""

    model: ModelFacts
    scan: str
    window: str = ""
    structures: tuple[Colour, ...] = ()
    reference: tuple[int, int, int] | None = None
    pictures: tuple[Picture, ...] = ()


def staged_sheet(staged_mask: Path) -> Path:
    """Where a worker leaves the sheet of a mask: beside the folder that the mask is staged in."""
    return staged_mask.parent.with_name(f"{staged_mask.parent.name}{_SUFFIX}")


def write_sheet(sheet: Sheet, path: Path) -> None:
    """Write a sheet.

    Raises
    ------
    OSError
        If the file system refuses.
    """
    path.write_text(json.dumps(write_settings(sheet), allow_nan=False), encoding="utf-8")


def settle_sheet(staged_mask: Path, output: Path, case: str, status: Status) -> None:
    """Move the sheet of a case that is done to its place; where there is none, remove that of an earlier mask.

    Nothing is raised: the pictures are not what a batch is for.
    """
    staged, place = staged_sheet(staged_mask), _place(output, case)
    with contextlib.suppress(OSError):
        if status == "done" and staged.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            staged.replace(place)
            return
    with contextlib.suppress(OSError):
        place.unlink(missing_ok=True)


def read_sheet(output: Path, case: str) -> Sheet | None:
    """The sheet of a case; None where there is none, or where it cannot be read (by a crash, of another version)."""
    try:
        return read_settings(Sheet, json.loads(_place(output, case).read_bytes()), code="damaged_sheet")
    except (OSError, ValueError, GANSegmentationError):
        return None


def _place(output: Path, case: str) -> Path:
    return Path(os.path.normpath(output / SHEETS_FOLDER / f"{case}{_SUFFIX}"))
