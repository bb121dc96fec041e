"""One DICOM series as it was found: what it is, where its images are, and whether they make a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import GANSegmentationError
from .dicom_facts import read_facts
from .dicom_grid import arrange, images_by_position
from .dicom_image import SliceHeader
from .dicom_parts import Part, take_apart
from .dicom_tilt import Tilt
from .geometry import Geometry


@dataclass(frozen=True)
class SeriesInfo:
    """One DICOM series that was found in a folder, or one volume of a four-dimensional series.

    Parameters
    ----------
    uid:
        Its Series Instance UID.
    files:
        Its image files: in the order of the volume's slices where it is a volume, else by name. Localizers among the
        images of a scan are left out.
    rows, columns:
        Size of an image.
    geometry:
        The grid of the volume; None if the series is not one.
    problem:
        Why the series is not a volume; None if it is.
    tilt:
        How the slices of a tilted gantry are shifted to lie on `geometry`; None for all others.
    part:
        Of one volume of a four-dimensional series: its number, from 1; None for a whole series.
    part_label:
        Of such a volume: what makes it that one, ``time point 2``.
    parts:
        Of a four-dimensional series: its volumes; empty for others, and where it is not certain which images belong
        together.
    """

    uid: str
    modality: str
    description: str
    number: str
    files: tuple[Path, ...]
    rows: int
    columns: int
    geometry: Geometry | None
    problem: GANSegmentationError | None
    headers: tuple[SliceHeader, ...] = field(repr=False, compare=False)
    tilt: Tilt | None = None
    part: int | None = None
    part_label: str = ""
    parts: tuple[SeriesInfo, ...] = field(default=(), repr=False, compare=False)

    @property
    def selector(self) -> str:
        """What chooses this series, or this volume of it, among others: ``UID`` or ``UID#2``."""
        return self.uid if self.part is None else f"{self.uid}#{self.part}"

    @property
    def slices(self) -> int:
        """How many images the series has; several can be frames of one file."""
        return len(self.headers)

    @property
    def spacing_zyx(self) -> tuple[float, float, float] | None:
        """Voxel spacing ``(z, y, x)``, mm; None if the series is not a volume."""
        return self.geometry.spacing_zyx if self.geometry is not None else None

    @property
    def is_scan(self) -> bool:
        """Whether the series could be meant: not one of localizers only, and not one of screenshots."""
        return any(not header.format.is_localizer and header.position is not None for header in self.headers) or any(
            header.format.frames > 1 for header in self.headers
        )

    def summary(self) -> str:
        """The series in one line: modality, description, size, spacing or what is wrong with it, UID."""
        what = f"{self.modality or '?'} {self.description!r}" if self.description else self.modality or "?"
        if self.part is not None:
            what += f", {self.part_label}"
        count = f"{self.slices} image{'s' if self.slices != 1 else ''} {self.columns} x {self.rows}"
        if self.spacing_zyx is not None:
            z, y, x = self.spacing_zyx
            grid = f"spacing {x:.3g} x {y:.3g} x {z:.3g} mm"
        elif self.parts:
            grid = f"{len(self.parts)} volumes, UID#1 to UID#{len(self.parts)}"
        else:
            grid = f"not a volume ({self.problem.code if self.problem else 'unknown'})"
        return f"{what}, {count}, {grid}, UID {self.selector}"


def describe(uid: str, headers: Sequence[SliceHeader], problem: GANSegmentationError | None) -> SeriesInfo:
    """The series that some images make; with a `problem`, one that cannot be read for that reason."""
    facts = read_facts(headers[0].path, ("SeriesDescription", "SeriesNumber"))
    form = headers[0].format
    series = SeriesInfo(
        uid=uid,
        modality=form.modality,
        description=facts.get("SeriesDescription", ""),
        number=facts.get("SeriesNumber", ""),
        files=_files(headers),
        rows=form.rows,
        columns=form.columns,
        geometry=None,
        problem=problem,
        headers=tuple(headers),
    )
    return series if problem is not None else _arranged(series)


def with_tilt_corrected(series: SeriesInfo) -> SeriesInfo:
    """The series on the regular grid that its sheared one fits into; as it is if its gantry was not tilted."""
    if series.problem is None or series.problem.code != "gantry_tilt":
        return series
    return _arranged(series, correct_tilt=True)


def _arranged(series: SeriesInfo, *, correct_tilt: bool = False) -> SeriesInfo:
    """The series with its grid, or with the reason why it has none."""
    try:
        stack = arrange(series.headers, correct_tilt=correct_tilt)
    except GANSegmentationError as error:
        series = replace(series, problem=error)
        return _taken_apart(series) if error.code == "four_dimensional" else series
    return replace(
        series,
        files=_files(stack.images),
        headers=stack.images,
        geometry=stack.geometry,
        problem=None,
        tilt=stack.tilt,
    )


def _taken_apart(series: SeriesInfo) -> SeriesInfo:
    parts = take_apart(images_by_position(series.headers))
    assert series.problem is not None
    if not parts:
        return series
    volumes = tuple(_part(series, part, number) for number, part in enumerate(parts, 1))
    problem = GANSegmentationError(
        series.problem.code,
        series.problem.message,
        cause=series.problem.cause,
        action="Choose one of its volumes (--series on the command line, series_uid in Python): "
        f"{_shortened(volumes)}.",
    )
    return replace(series, problem=problem, parts=volumes)


def _part(series: SeriesInfo, part: Part, number: int) -> SeriesInfo:
    whole = replace(series, headers=part.images, files=_files(part.images), problem=None, part=number)
    return _arranged(replace(whole, part_label=part.label))


def _shortened(volumes: Sequence[SeriesInfo]) -> str:
    named = [f"{one.selector} ({one.part_label})" for one in (volumes if len(volumes) <= 4 else volumes[:3])]
    if len(volumes) > 4:
        named.append(f"... {volumes[-1].selector} ({volumes[-1].part_label})")
    return ", ".join(named)


def _files(headers: Sequence[SliceHeader]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(header.path for header in headers))
