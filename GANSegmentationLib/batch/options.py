"""What a batch is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import GANSegmentationError
from ..volumes import LABELMAP_SUFFIXES, require_writable
from .cases import CaseFilter
from .channels import Channels
from .naming import Names

if TYPE_CHECKING:
    from ..models import Card

EngineName = Literal["local", "ray"]

DICOM_SEG = "dicom-seg"

FORMATS: Mapping[str, str] = {
    **{suffix.removeprefix("."): suffix for suffix in LABELMAP_SUFFIXES if suffix != ".dcm"},
    DICOM_SEG: ".dcm",
}
"""What masks can be asked for as, and the endings of their names."""


@dataclass(frozen=True)
class BatchOptions:
    """A batch over a folder.

    Parameters
    ----------
    input, output:
        The folder with the scans; the folder for the masks, which lie in the same places, the ledger and the summary.
    references:
        A folder with references in the same places; None for none.
    package:
        The model package for all cases; None chooses for each one by its modality.
    models:
        The folder of imported models to choose from; None for the user's own (`models.user_models_folder`).
    format:
        One of `FORMATS`.
    domain, device, force:
        As `inference.Predictor`.
    correct_tilt:
        Resample a CT with a tilted gantry to a regular grid, on which its mask then lies; without it, it is refused.
    channels:
        For a model with several inputs: what chooses each of them (`channels.Channels.rules`).
    surface_tolerance_mm:
        Of the surface Dice; None for no surface Dice.
    time_limit:
        Seconds for one case; None for no limit.
    retry_failed:
        Do again what failed before.
    names:
        As `cases.find_cases`.
    wanted:
        Which of the cases.
    engine, workers, address:
        ``local``, or ``ray`` with how many workers at once (None: as many as the cluster has room for) on which
        cluster (None: one of this computer alone, made for the occasion).
    """

    input: Path
    output: Path
    references: Path | None = None
    package: Path | None = None
    models: Path | None = None
    format: str = "seg.nrrd"
    domain: str | None = None
    device: str = "auto"
    force: bool = False
    correct_tilt: bool = False
    channels: tuple[str, ...] = ()
    surface_tolerance_mm: float | None = None
    time_limit: float | None = None
    retry_failed: bool = False
    names: Names = "checked"
    wanted: CaseFilter = field(default_factory=CaseFilter)
    engine: EngineName = "local"
    workers: int | None = None
    address: str | None = None

    @property
    def suffix(self) -> str:
        """The ending of the masks' names."""
        return FORMATS[self.format]

    def check(self) -> None:
        """Refuse what cannot be meant.

        Raises
        ------
        GANSegmentationError
            ``wrong_use``; ``highdicom_missing`` for a format that cannot be written here.
        """
        if self.format not in FORMATS:
            raise _wrong(f"There is no format {self.format!r}.", f"Use one of {', '.join(FORMATS)}.")
        if self.format == DICOM_SEG:
            require_writable("masks.dcm", self.input)
        if self.channels and self.package is None:
            raise _wrong("Channels can only be said of a model that is named.", "Add --model.")
        self.inputs().check()
        if self.time_limit is not None and not self.time_limit > 0:
            raise _wrong(f"A time limit of {self.time_limit:g} s lets no case be done.", "Give a number above 0.")
        if self.workers is not None and self.workers < 1:
            raise _wrong(f"A batch with {self.workers} workers does nothing.", "Give 1 or more.")
        if self.engine == "local" and (self.workers not in (None, 1) or self.address is not None):
            raise _wrong("Workers and address are for the engine ray.", "Add --engine ray, or leave them out.")
        if self.output.exists() and self.input.exists() and self.output.samefile(self.input):
            raise _wrong(
                "Input and output are the same folder: masks would be taken for scans.", "Choose another output."
            )
        if self.references is not None and not self.references.is_dir():
            raise _wrong(f"There is no folder {self.references} with references.", "Check the path.")

    def inputs(self) -> Channels:
        """The inputs of the model; without a named one, a single scan."""
        if self.package is None:
            return Channels()
        return Channels(_card(self.package).channel_names, self.channels)

    def settings(self) -> dict[str, Any]:
        """What the masks of one output folder have in common, as plain JSON types, for the ledger."""
        return {
            "model": None if self.package is None else _model(self.package),
            "format": self.format,
            "domain": self.domain,
            "force": self.force,
            "correct_tilt": self.correct_tilt,
            "channels": list(self.channels),
            "surface_tolerance_mm": self.surface_tolerance_mm,
            "names": self.names,
        }


def _card(path: Path) -> Card:
    from ..models import open_package

    return open_package(path, check_network=False).card


def _model(path: Path) -> dict[str, str]:
    card = _card(path)
    weights = card.files["model.safetensors"].sha256 if "model.safetensors" in card.files else ""
    return {"id": card.id, "version": card.version, "weights_sha256": weights}


def _wrong(message: str, action: str) -> GANSegmentationError:
    return GANSegmentationError("wrong_use", message, action=action)
