"""Commands: from the panel to the worker."""

from __future__ import annotations

from dataclasses import dataclass, field

from .base import JsonObject, Message


@dataclass(frozen=True)
class Cancel(Message, command="cancel"):
    """Stop the run `id` after the slice batch in hand."""

    id: str = ""


@dataclass(frozen=True)
class Release(Message, command="release"):
    """Let go of the model and the memory of the device, once no run is left to do; answered by `Released`."""


@dataclass(frozen=True)
class Quit(Message, command="quit"):
    """End the worker; a run in hand is cancelled."""


@dataclass(frozen=True)
class Run(Message):
    """A job for the worker; `id` comes back in each of its events, `folder` is the run's private folder."""

    id: str
    folder: str


@dataclass(frozen=True)
class RunSegment(Run, command="run", job="segment"):
    """Segment volumes with a model; the labels come back as a file in `folder`.

    Parameters
    ----------
    volumes:
        Volumes on one grid in `folder`, as `volumes.exchange.save_volume` describes them, in the order of the model's
        channels.
    inputs:
        Instead of `volumes`: paths of image files or DICOM folders, one for each channel.
    model:
        The id of a model in the library; empty to choose by the modality of the first volume.
    package:
        Instead of `model`: the path of a model package.
    device:
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    domain:
        For models with domains; None to take it from the modality.
    force:
        Go on in spite of a modality that the model does not know.
    batch_size:
        Slices at once; None for a number that suits network and device. Halved where memory runs out.
    postprocessing:
        Fields of `models.PostProcessing` that replace the card's: ``largest_component``, ``fill_holes``,
        ``minimum_volume_ml``.
    region:
        Where to look: six voxel indices ``(x start, x stop, y start, y stop, z start, z stop)``, each stop the first
        beyond. Labels outside are background, and cleaning looks at the inside alone; the labelmap keeps the whole
        grid. None for everywhere.
    segments:
        The label values of the model's segments that are wanted; none for all.
    """

    volumes: tuple[JsonObject, ...] = ()
    inputs: tuple[str, ...] = ()
    model: str = ""
    package: str = ""
    device: str = "auto"
    domain: str | None = None
    force: bool = False
    batch_size: int | None = None
    postprocessing: JsonObject = field(default_factory=dict)
    region: tuple[int, int, int, int, int, int] | None = None
    segments: tuple[int, ...] = ()


@dataclass(frozen=True)
class RunCheck(Run, command="run", job="check"):
    """Say what is suspicious about volumes for a model, without segmenting; the fields are those of `RunSegment`."""

    volumes: tuple[JsonObject, ...] = ()
    inputs: tuple[str, ...] = ()
    model: str = ""
    package: str = ""
    domain: str | None = None
    force: bool = False


@dataclass(frozen=True)
class RunCompare(Run, command="run", job="compare"):
    """Score a labelmap against a reference on the same grid.

    Parameters
    ----------
    mask, reference:
        Labelmaps in `folder`, as `volumes.exchange.save_labelmap` describes them.
    pairs:
        Which labels to compare, each ``(label of the mask, label of the reference)`` by value or by name; none for all
        pairs that the names and values suggest.
    metrics:
        The names of the scores that are wanted (`metrics.Scores`, and ``chaos``); none for all.
    surface_tolerance_mm:
        The tolerance of the surface Dice; None leaves it out.
    per_slice:
        Give all scores of every slice too, which costs time.
    slice_dice:
        Give the Dice of every slice too.
    differences:
        Write a labelmap with what the mask has too much and too little.
    """

    mask: JsonObject = field(default_factory=dict)
    reference: JsonObject = field(default_factory=dict)
    pairs: tuple[tuple[int | str, int | str], ...] = ()
    metrics: tuple[str, ...] = ()
    surface_tolerance_mm: float | None = None
    per_slice: bool = False
    slice_dice: bool = False
    differences: bool = False


@dataclass(frozen=True)
class RunExport(Run, command="run", job="export"):
    """Write a labelmap to a file that stays; the ending of its name decides the format (`volumes.write_labelmap`).

    `labelmap` lies in `folder`, as `volumes.exchange.save_labelmap` describes it. `source` is the DICOM folder of the
    scan, or its files, for formats that refer to it (DICOM SEG). `algorithm` is what made the labels, for the file;
    empty for a labelmap that no algorithm made.
    """

    labelmap: JsonObject = field(default_factory=dict)
    path: str = ""
    source: tuple[str, ...] = ()
    algorithm: str = "GANSegmentation"
    algorithm_version: str = ""
    overwrite: bool = True


@dataclass(frozen=True)
class RunBatch(Run, command="run", job="batch"):
    """Segment every scan in a folder; the fields are those of `batch.BatchOptions`, and of `batch.CaseFilter`.

    `model` is the id of a model in the library, `package` the path of one; neither chooses for each scan by its
    modality, among the shipped models and those in the folder `models` (empty: the user's own). With `dry_run` the
    cases are listed, and nothing is done.
    """

    input: str = ""
    output: str = ""
    references: str = ""
    model: str = ""
    package: str = ""
    models: str = ""
    format: str = "seg.nrrd"
    domain: str | None = None
    device: str = "auto"
    force: bool = False
    surface_tolerance_mm: float | None = None
    time_limit: float | None = None
    retry_failed: bool = False
    names: str = "checked"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    correct_tilt: bool = False
    channels: tuple[str, ...] = ()
    dry_run: bool = False


@dataclass(frozen=True)
class RunProbe(Run, command="run", job="probe"):
    """Say whether PyTorch is there and works, and which devices compute."""
