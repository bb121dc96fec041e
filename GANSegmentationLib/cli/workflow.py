"""What several commands do with a scan: read it, choose its model, segment it, compare and show the result."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import GANSegmentationError
from .terminal import number, print_table, progress_bar, wrong_use

if TYPE_CHECKING:
    from ..inference import Result
    from ..models import Package
    from ..volumes import Geometry, Labelmap, Volume

Scores = dict[str, Any]
"""The scores of one structure, JSON-ready: `LabelScores.to_dict` and the CHAOS scores under ``chaos``."""


@dataclass(frozen=True)
class Segmented:
    """A segmented scan: what went in, what came out and where it was written."""

    volumes: tuple[Volume, ...]
    package: Package
    result: Result
    output: Path
    reference: Labelmap | None
    labels: tuple[Scores, ...]
    overlay: Path | None

    @property
    def segments(self) -> list[dict[str, Any]]:
        """Value, name, volume (ml) and what was cleaned of every segment of the model, empty ones too."""
        rows: list[dict[str, Any]] = self.result.to_dict()["segments"]
        return rows

    def to_dict(self) -> dict[str, Any]:
        """The whole outcome for ``--json``."""
        card = self.package.card
        geometry = self.result.labelmap.geometry
        fields: dict[str, Any] = {
            "output": str(self.output),
            "overlay": None if self.overlay is None else str(self.overlay),
            "model": {"id": card.id, "title": card.title, "version": card.version},
            "modality": self.volumes[0].modality,
            **self.result.to_dict(),
            "geometry": {
                "size_xyz": list(geometry.size),
                "spacing_xyz_mm": list(geometry.spacing),
                "origin_lps_mm": list(geometry.origin),
                "direction_lps": list(geometry.direction),
            },
        }
        if self.reference is not None:
            fields["labels"] = list(self.labels)
        return fields

    def print_table(self) -> None:
        """Print the structures and, where there was a reference, their scores."""
        if self.reference is not None:
            print_scores(self.labels)
            return
        rows = [[each["name"], number(each["volume_ml"], 1)] for each in self.segments]
        print_table(["structure", "ml"], rows)


def segment_scan(
    inputs: Sequence[Path],
    output: Path,
    *,
    series: Sequence[str] = (),
    correct_tilt: bool = False,
    model: str | None = None,
    domain: str | None = None,
    device: str = "auto",
    force: bool = False,
    reference: Path | None = None,
    overlay: Path | None = None,
    review: Path | None = None,
) -> Segmented:
    """Segment a scan from its files to a mask file, and compare and draw it where that is asked for.

    Parameters
    ----------
    inputs:
        A DICOM folder or a file for each channel of the model.
    output:
        The mask; its name decides the format. A ``.dcm`` is a DICOM SEG that belongs to the series of the first input.
    series:
        For each input which series, as `volumes.read_volume` takes it, or none.
    correct_tilt:
        Whether a CT with a tilted gantry is resampled to a regular grid, on which the mask then lies.
    model:
        The id of a model in the library or the path of a package; None chooses by the modality of the first input.
    reference, overlay:
        What to compare with; where the picture goes.
    review:
        Where the table of how far each slice can be trusted goes.

    Raises
    ------
    GANSegmentationError
        Before any work, ``wrong_use`` if the output's name says no format or a file to write is one to read,
        ``dicom_source_needed`` and ``highdicom_missing`` for a DICOM SEG that could not be written, and
        ``write_failed`` if nothing can be written there; else whatever the rooms say.
    """
    from ..inference import Predictor, signals_of
    from ..volumes import find_series, write_labelmap

    check_output(output, inputs[0])
    for path in (output, *(extra for extra in (overlay, review) if extra is not None)):
        check_place(path, (*inputs, *([reference] if reference is not None else [])))
    volumes = tuple(
        read_scan(path, series[i] if series else None, correct_tilt=correct_tilt) for i, path in enumerate(inputs)
    )
    truth = None
    if reference is not None:  # before the long work, so that a wrong one is known at once
        chosen = series[0] if series else None
        truth = read_reference(reference, volumes[0].geometry, inputs[0], chosen, correct_tilt=correct_tilt)
    source = None
    if output.suffix.lower() == ".dcm":
        source = find_series(inputs[0], series_uid=series[0] if series else None, correct_tilt=correct_tilt)
    package = find_model(model, volumes[0].modality, any_modality=force)
    with progress_bar() as progress:
        result = Predictor(package, device).segment(
            volumes,
            domain=domain,
            force=force,
            signals=signals_of(package.card) if review is not None else (),
            progress=progress,
        )
    make_folder(output.parent)
    card = package.card
    write_labelmap(result.labelmap, output, algorithm_name=card.title, algorithm_version=card.version, source=source)
    if review is not None:
        write_review(result, review)
    labels: Sequence[Scores] = () if truth is None else score(result.labelmap, truth)
    if overlay is not None:
        shown = volumes[0]
        if shown.modality is None and not any(each.code.startswith("intensity_") for each in result.warnings):
            shown = replace(shown, modality=_only(package.card.modalities))  # what it was segmented as
        draw(shown, result.labelmap, truth, overlay)
    return Segmented(volumes, package, result, output, truth, tuple(labels), overlay)


def write_review(result: Result, path: Path) -> None:
    """Write the table of how far each slice can be trusted, the least trustworthy first.

    Slices are counted along the array axis (z, y or x, as stored) that the model's slices are cut across.
    """
    from ..reports import write_csv

    others = tuple(axis for axis in range(3) if axis != result.slice_axis)
    voxels = (result.labelmap.array > 0).sum(axis=others)
    rows = [
        {
            "rank": rank,
            "axis": "zyx"[result.slice_axis],
            "slice": index,
            "voxels": int(voxels[index]),
            **{name: values[index] for name, values in result.signals.items()},
        }
        for rank, index in enumerate(result.review_order or (), start=1)
    ]
    make_folder(path.parent)
    write_csv(rows, path)


def check_output(output: Path, scan: Path | None = None) -> None:
    """Refuse a mask that could not be written in the end, before any work; `scan` is what a DICOM SEG would belong to.

    Raises
    ------
    GANSegmentationError
        ``wrong_use`` for a name that says no format; what `volumes.require_writable` raises.
    """
    from ..volumes import LABELMAP_SUFFIXES, require_writable

    if output.name.lower() in LABELMAP_SUFFIXES:
        raise wrong_use(f"The mask {output} has an ending, but no name.", f"Call it mask{output.name} for example.")
    if not output.name.lower().endswith(LABELMAP_SUFFIXES):
        raise wrong_use(
            f"The name of the mask, {output.name}, says no format that can be written.",
            f"End it with one of {', '.join(LABELMAP_SUFFIXES)}.",
        )
    if output.is_dir():
        raise wrong_use(f"The mask {output} is a folder.", "Give the name of a file.")
    require_writable(output, scan)


def check_place(path: Path, read: Sequence[Path]) -> None:
    """Refuse to write over what is read, or where nothing can be written, before any work.

    Raises
    ------
    GANSegmentationError
        ``wrong_use`` if `path` is one of the files that are read, or lies among the pictures of a folder of them;
        ``write_failed`` if its folder is none, or nobody may write there.
    """
    target = path.resolve()
    for source in read:
        taken = source.resolve()
        if path.exists() and source.exists() and path.samefile(source):
            raise wrong_use(f"{path} is read: writing it would destroy it.", "Give another name to what is written.")
        if path.suffix.lower() == ".png" and target.parent == taken and any(taken.glob("*.[pP][nN][gG]")):
            raise wrong_use(f"{path} would lie among the pictures of {source}.", "Write it to another folder.")
    folder = next(parent for parent in target.parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise GANSegmentationError(
            "write_failed",
            f"{path} cannot be written: {folder} is {'not writable' if folder.is_dir() else 'a file, not a folder'}.",
            action="Choose another place.",
        )


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are missing.

    Raises
    ------
    GANSegmentationError
        ``write_failed``.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GANSegmentationError(
            "write_failed",
            f"The folder {folder} cannot be made: {error.strerror or error}.",
            action="Choose another place.",
            details=repr(error),
        ) from error


def find_model(wanted: str | None, modality: str | None, *, any_modality: bool = False) -> Package:
    """The model that the command line names, see `models.find.find_package`; unnamed, the one for this modality."""
    from ..models import ModelLibrary
    from ..models.find import find_package

    if wanted is None:
        return ModelLibrary().choose(modality, any_modality=any_modality)
    return find_package(wanted)


def read_scan(path: Path, series_uid: str | None, *, correct_tilt: bool = False) -> Volume:
    """The scan at a path, of a folder with several series the one that was chosen."""
    from ..volumes import read_volume
    from ..volumes.files import READ_SUFFIXES, has_suffix

    if series_uid is not None and path.is_file() and has_suffix(path, READ_SUFFIXES):
        raise wrong_use(f"--series chooses a DICOM series, but {path} is another kind of file.", "Leave it out.")
    return read_volume(path, series_uid=series_uid, correct_tilt=correct_tilt)


def read_reference(
    path: Path, geometry: Geometry, scan: Path, series_uid: str | None, *, correct_tilt: bool = False
) -> Labelmap:
    """The reference on the scan's grid; a folder of PNG slices is matched to the scan's DICOM files."""
    from ..volumes import find_series, read_labelmap

    chosen = path.is_dir() and (series_uid is not None or correct_tilt)
    series = find_series(scan, series_uid=series_uid, correct_tilt=correct_tilt) if chosen else scan
    return read_labelmap(path, geometry=geometry, series=series)


def score(
    mask: Labelmap,
    reference: Labelmap,
    *,
    surface_tolerance_mm: float | None = None,
    per_slice: bool = False,
) -> list[Scores]:
    """The scores of every structure, with those of the CHAOS challenge, JSON-ready."""
    from ..metrics import compare_labelmaps

    rows = compare_labelmaps(
        mask, reference, surface_tolerance_mm=surface_tolerance_mm, per_slice=per_slice, chaos=True
    )
    return [row.to_dict() for row in rows]


COLUMNS: tuple[tuple[str, str, int], ...] = (
    ("ml", "volume_ml", 1),
    ("reference ml", "reference_volume_ml", 1),
    ("Dice", "dice", 3),
    ("IoU", "iou", 3),
    ("HD mm", "hd_mm", 1),
    ("HD95 mm", "hd95_mm", 1),
    ("ASSD mm", "assd_mm", 2),
    ("surface Dice", "surface_dice", 3),
)


def print_scores(labels: Sequence[Mapping[str, Any]]) -> None:
    """Print the scores of every structure as a table; what was not asked for or cannot be said is ``-``."""
    columns = [column for column in COLUMNS if any(row.get(column[1]) is not None for row in labels)]
    headers = ["structure", *(header for header, _, _ in columns), "CHAOS score"]
    if not labels:
        print("Mask and reference are both empty: there is nothing to compare.")
        return
    rows = [
        [
            row["name"] if row["status"] == "ok" else f"{row['name']} ({row['status'].replace('_', ' ')})",
            *(number(row[key], digits) for _, key, digits in columns),
            number(row["chaos"]["score"], 1),
        ]
        for row in labels
    ]
    print_table(headers, rows)


def _only(modalities: Sequence[str]) -> str | None:
    return modalities[0] if len(modalities) == 1 else None


def draw(volume: Volume, mask: Labelmap, reference: Labelmap | None, path: Path) -> None:
    """Write the overlay picture."""
    from ..reports import overlay_montage

    make_folder(path.parent)
    overlay_montage(volume, mask, reference, path=path)
