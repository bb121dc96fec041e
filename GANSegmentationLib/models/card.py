"""What a model says of itself: how to run it, what it was trained on, how good it is, and who may use it for what."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, TypeVar, get_args

from ..errors import GANSegmentationError
from ..slicing import FLIPS, SliceOrientation, SliceSpec
from .json_fields import Fields, frozen, parse_object, thawed

SCHEMA: Final = (1, 1)
"""Version of the card's form: another major number means other things by the same names, a minor one adds fields.

1.1 added the optional fields `NEW_FIELDS`. A card without them says 1, as all did before, so that every version of the
program reads it.
"""

NEW_FIELDS: Final = ("task", "mask_channels", "discriminator", "review")

Task = Literal["segmentation", "synthesis"]
TASKS: Final[tuple[Task, ...]] = get_args(Task)

Sees = Literal["pair", "mask", "product", "both"]
SEES: Final[tuple[Sees, ...]] = get_args(Sees)
"""What a packaged discriminator may be shown, in the words of `networks.NetworkEntry`: all that needs no reference."""

MODEL_FILE: Final = "model.safetensors"
DISCRIMINATOR_FILE: Final = "discriminator.safetensors"
CARD_FILE: Final = "card.json"
LABELS_FILE: Final = "labels.csv"
PREVIEW_FILE: Final = "preview.png"

_ID: Final = r"[a-z0-9][a-z0-9_-]{1,62}[a-z0-9]"
_ID_WORDS: Final = "3 to 64 lower-case letters, digits, - and _"
_VERSION: Final = r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})"
_MODALITY: Final = r"[A-Z][A-Z0-9_]{0,15}"
_MODALITY_WORDS: Final = "a modality in DICOM's letters, such as CT or MR"
_SHA256: Final = r"[0-9a-f]{64}"
_SHA256_WORDS: Final = "a SHA-256 of 64 lower-case hexadecimal digits"
_CODE: Final = "invalid_card"

T = TypeVar("T")


@dataclass(frozen=True)
class NetworkSpec:
    """The generator: its name in the registry of networks and its configuration, as plain JSON types."""

    name: str
    config: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", frozen(self.config))


@dataclass(frozen=True)
class DiscriminatorSpec:
    """The network that judged the generator's masks in training and travels with it: it can review masks later.

    Parameters
    ----------
    name, config:
        As `NetworkSpec`.
    sees:
        What it is shown, one of `SEES`.
    adversarial:
        The form of the loss it was trained with (``"vanilla"``, ``"lsgan"``, ``"hinge"``, ``"wasserstein"``), which
        says what its scores mean; empty where unknown.
    """

    name: str
    config: Mapping[str, Any]
    sees: Sees
    adversarial: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "config", frozen(self.config))


@dataclass(frozen=True)
class ReviewFact:
    """What sorts the slices of this model's masks best where there is no reference, and how well.

    Parameters
    ----------
    signal:
        The signal's name, as `inference.plausibility` has it.
    spearman, ci95:
        Spearman's correlation of the signal with the slices' true Dice, and its 95 % bootstrap interval over patients;
        None where there were too few patients for one.
    n:
        Patients it was measured on.
    dataset:
        Which cases these were.
    """

    signal: str
    spearman: float
    ci95: tuple[float, float] | None
    n: int
    dataset: str = ""


@dataclass(frozen=True)
class SpacingRange:
    """The voxel spacings a model was trained on, lowest and highest, mm."""

    in_plane_mm: tuple[float, float]
    slice_mm: tuple[float, float]


@dataclass(frozen=True)
class Intensity:
    """The unit of the input (``"HU"``, ``"arbitrary"``) and the range it is expected to reach; None where unknown."""

    unit: str
    range: tuple[float, float] | None


@dataclass(frozen=True)
class PostProcessing:
    """What happens to the labels after the network.

    Parameters
    ----------
    largest_component:
        Keep the largest 6-connected component (voxels that share faces) of every label.
    fill_holes:
        Fill what a label encloses within a slice of array axis 0.
    minimum_volume_ml:
        Remove components that are smaller; 0 keeps all.
    crf:
        Parameters of a mean-field conditional random field, by name; None = none.
    """

    largest_component: bool = False
    fill_holes: bool = False
    minimum_volume_ml: float = 0.0
    crf: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "crf", frozen(self.crf))


@dataclass(frozen=True)
class TrainingData:
    """One data set that the weights were made from. Patients or slices are None where nobody counted them."""

    name: str
    licence: str
    source: str
    patients: int | None
    slices: int | None


@dataclass(frozen=True)
class StartedFrom:
    """The model whose weights the training began with: its id and version, and the SHA-256 of its weights' file."""

    id: str
    version: str
    sha256: str


@dataclass(frozen=True)
class TrainingFacts:
    """How the weights came about: enough to do it again.

    Parameters
    ----------
    preset, objective:
        The preset's name and its objective's.
    split_sha256:
        SHA-256 of the patient-level split; None where there was none.
    epochs, date:
        Epochs of the weights that are shipped; the day they were made, ``YYYY-MM-DD``.
    started_from:
        The model that training began with (schema 1.1); None where it began anew.
    """

    preset: str
    objective: str
    seed: int
    split_sha256: str | None
    epochs: int
    date: str
    data: tuple[TrainingData, ...]
    started_from: StartedFrom | None = None


@dataclass(frozen=True)
class MetricFact:
    """One measured figure: the mean over n patients (or slices, as `comment` says) with its 95 % interval, if any."""

    name: str
    dataset: str
    split: str
    n: int
    mean: float
    ci95: tuple[float, float] | None
    unit: str
    comment: str = ""


@dataclass(frozen=True)
class FileFact:
    """What a file of the package must be."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Card:
    """A model's card; every field is checked when it is made from JSON (`from_dict`).

    Parameters
    ----------
    id, title, version:
        A short stable name (part of file names), one line for people, ``major.minor.patch``.
    network, slicing:
        The generator, and how its slices are cut and normalised.
    modalities:
        DICOM modalities it was made for.
    domains:
        Names of the domains it distinguishes; () for none.
    channels, channel_names:
        Volumes it takes, on one grid, and what each is.
    mask_channels:
        Those of `channel_names` that are masks and not scans: whatever is not 0 is inside. Networks see 1 there and -1
        elsewhere.
    spacing_range:
        Voxel spacings it was trained on; None where unknown.
    intensity:
        Unit and range of its input.
    postprocessing, test_time_augmentation:
        What happens after the network; names of flips that are averaged over, of `slicing.FLIPS`.
    training, metrics:
        Where the weights come from, and how good they are.
    default_for:
        Modalities for which it is chosen when nobody names a model.
    weights_licence, code_licence:
        SPDX identifiers where there are such.
    intended_use, limitations, citation:
        In sentences.
    files:
        Every other file of the package; empty for a card that is not packed yet.
    task:
        What the network makes: masks of scans (``"segmentation"``), or pictures of masks (``"synthesis"``).
    discriminator:
        The network beside the generator that can judge its masks; None for none.
    review:
        What sorts slices for review best, if that was measured.
    schema:
        The form it is written in; a card with one of `NEW_FIELDS` is of 1.1 at least.
    """

    id: str
    title: str
    version: str
    network: NetworkSpec
    slicing: SliceSpec
    modalities: tuple[str, ...]
    intensity: Intensity
    training: TrainingFacts
    weights_licence: str
    code_licence: str
    intended_use: str
    limitations: str
    domains: tuple[str, ...] = ()
    channels: int = 1
    channel_names: tuple[str, ...] = ("image",)
    spacing_range: SpacingRange | None = None
    postprocessing: PostProcessing = PostProcessing()
    test_time_augmentation: tuple[str, ...] = ()
    metrics: tuple[MetricFact, ...] = ()
    default_for: tuple[str, ...] = ()
    citation: str = ""
    files: Mapping[str, FileFact] = field(default_factory=dict)
    schema: str | int = 1
    task: Task = "segmentation"
    mask_channels: tuple[str, ...] = ()
    discriminator: DiscriminatorSpec | None = None
    review: ReviewFact | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "files", frozen(self.files))
        if (self._new_fields or self.training.started_from) and str(self.schema) in ("1", "1.0"):
            object.__setattr__(self, "schema", "1.1")

    @property
    def version_key(self) -> tuple[int, ...]:
        """The version as numbers, for sorting."""
        return tuple(int(part) for part in self.version.split("."))

    @property
    def input_channels(self) -> int:
        """Channels of a network slice: volumes times neighbouring slices."""
        return self.channels * self.slicing.neighbours

    def with_files(self, files: Mapping[str, FileFact]) -> Card:
        """The same card for a package of these files."""
        return replace(self, files=files)

    def to_dict(self) -> dict[str, Any]:
        """The card as ``card.json`` holds it, in the order a person reads it."""
        absent = {name for name in NEW_FIELDS if name not in self._new_fields}
        if not self.citation:
            absent.add("citation")
        return {name: _plain(getattr(self, name)) for name in _ORDER if name not in absent}

    @property
    def _new_fields(self) -> tuple[str, ...]:
        """Those of `NEW_FIELDS` that this card has something to say in."""
        said = {
            "task": self.task != "segmentation",
            "mask_channels": bool(self.mask_channels),
            "discriminator": self.discriminator is not None,
            "review": self.review is not None,
        }
        return tuple(name for name in NEW_FIELDS if said[name])

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Card:
        """The card that JSON describes.

        Raises
        ------
        GANSegmentationError
            ``unsupported_schema`` for a card of another form; ``invalid_card``, with the JSON path, for a field that is
            missing, unknown, of the wrong type or out of range.
        """
        return _read_card(values)

    @classmethod
    def from_json(cls, text: str) -> Card:
        """The card in the text of a ``card.json``; raises as `from_dict`."""
        return cls.from_dict(parse_object(text, code=_CODE, document=CARD_FILE))


_ORDER: Final = (
    "schema", "id", "title", "version", "task", "network", "discriminator", "slicing", "modalities", "domains",
    "channels", "channel_names", "mask_channels", "spacing_range", "intensity", "postprocessing",
    "test_time_augmentation", "training", "metrics", "review", "default_for", "weights_licence", "code_licence",
    "intended_use", "limitations", "citation", "files",
)  # fmt: skip


_LEFT_OUT_IF_EMPTY: Final[Mapping[type, tuple[str, ...]]] = {
    MetricFact: ("comment",),
    TrainingFacts: ("started_from",),
    DiscriminatorSpec: ("adversarial",),
    ReviewFact: ("dataset",),
}


def _read_card(values: Mapping[str, Any]) -> Card:
    top = Fields(values, "", code=_CODE, document=CARD_FILE)
    schema, newer = _read_schema(top)
    _check_fields_of_schema(top, schema)
    card = Card(
        schema=schema,
        id=top.text("id", pattern=_ID, hint=_ID_WORDS),
        title=top.text("title"),
        version=top.text("version", pattern=_VERSION, hint="three numbers, such as 1.0.0"),
        network=_read_network(top.child("network")),
        slicing=_read_slicing(top),
        modalities=top.texts("modalities", pattern=_MODALITY, hint=_MODALITY_WORDS, least=1),
        domains=top.texts("domains"),
        channels=top.integer("channels", 1, 16),
        channel_names=top.texts("channel_names"),
        spacing_range=top.optional("spacing_range", lambda key: _read_spacing(top.child(key))),
        intensity=_read_intensity(top.child("intensity")),
        postprocessing=_read_postprocessing(top.child("postprocessing")),
        test_time_augmentation=top.texts("test_time_augmentation"),
        training=_read_training(top.child("training")),
        metrics=tuple(_read_metric(item) for item in top.children("metrics")),
        default_for=top.texts("default_for"),
        weights_licence=top.text("weights_licence"),
        code_licence=top.text("code_licence"),
        intended_use=top.text("intended_use"),
        limitations=top.text("limitations"),
        citation=top.text("citation", default="", empty=True),
        files=_read_files(top.child("files")),
        task=_read_task(top),
        mask_channels=top.texts("mask_channels") if "mask_channels" in top.keys() else (),  # noqa: SIM118 - not a dict
        discriminator=_read_if_there(top, "discriminator", _read_discriminator),
        review=_read_if_there(top, "review", _read_review),
    )
    if newer and top.unknown():
        raise _newer_schema(schema, f"has fields that this version does not know: {', '.join(top.unknown())}")
    top.finish()
    _check_together(card, top)
    return card


def _read_schema(top: Fields) -> tuple[str | int, bool]:
    """The card's schema as it is written, and whether its minor number is higher than ours."""
    schema = top.raw("schema")
    match = re.fullmatch(r"(\d{1,4})(?:\.(\d{1,4}))?", str(schema))
    if match is None or isinstance(schema, (bool, float)):
        top.fail("schema", f'is {schema!r}, not a whole number or a text such as "1.2"')
    major, minor = int(match[1]), int(match[2] or 0)
    if major > SCHEMA[0]:
        raise _newer_schema(schema, f"is of schema {schema}; this version reads {SCHEMA[0]}")
    if major < SCHEMA[0]:
        raise GANSegmentationError(
            "unsupported_schema",
            f"{CARD_FILE} is of schema {schema}, which never was a released form; this version reads {SCHEMA[0]}.",
            action="Get the package again from where it came.",
        )
    return schema, (major, minor) > SCHEMA


def _check_fields_of_schema(top: Fields, schema: str | int) -> None:
    """A card of the first form has no field of a later one: no program of that form would have written it."""
    for name in NEW_FIELDS:
        if name in top.keys() and str(schema) in ("1", "1.0"):  # noqa: SIM118 - not a dict
            top.fail(name, f"belongs to schema 1.1, and the card says schema {schema}")


def _newer_schema(schema: object, problem: str) -> GANSegmentationError:
    return GANSegmentationError(
        "unsupported_schema",
        f"{CARD_FILE} {problem}.",
        cause=f"The model was packed by a newer version of GANSegmentation (schema {schema}).",
        action="Update GANSegmentation, or get the model in its older form.",
    )


def _read_network(source: Fields) -> NetworkSpec:
    config = source.raw("config")
    if not isinstance(config, Mapping):
        source.fail("config", "is not an object")
    network = NetworkSpec(name=source.text("name"), config=config)
    source.finish()
    return network


def _read_if_there(top: Fields, key: str, read: Callable[[Fields], T]) -> T | None:
    """An optional object: absent and null are the same."""
    if key not in top.keys():  # noqa: SIM118 - not a dict
        return None
    return top.optional(key, lambda name: read(top.child(name)))


def _read_task(top: Fields) -> Task:
    word = top.text("task", default="segmentation")
    task = next((known for known in TASKS if known == word), None)
    if task is None:
        top.fail("task", f"is {word!r}, not one of {', '.join(TASKS)}")
    return task


def _read_discriminator(source: Fields) -> DiscriminatorSpec:
    network = source.raw("config")
    if not isinstance(network, Mapping):
        source.fail("config", "is not an object")
    sees = next((word for word in SEES if word == source.text("sees")), None)
    if sees is None:
        source.fail("sees", f"is {source.text('sees')!r}, not one of {', '.join(SEES)}")
    adversarial = source.text("adversarial", default="", empty=True)
    spec = DiscriminatorSpec(name=source.text("name"), config=network, sees=sees, adversarial=adversarial)
    source.finish()
    return spec


def _read_review(source: Fields) -> ReviewFact:
    fact = ReviewFact(
        signal=source.text("signal"),
        spearman=source.number("spearman", -1.0),
        ci95=source.optional("ci95", lambda key: source.interval(key, -1.0)),
        n=source.integer("n", 1),
        dataset=source.text("dataset", default="", empty=True),
    )
    source.finish()
    for key, value in (("spearman", fact.spearman), ("ci95", fact.ci95[1] if fact.ci95 else 0.0)):
        if value > 1.0:
            source.fail(key, f"is {value:g}, and no correlation is above 1")
    return fact


def _read_slicing(top: Fields) -> SliceSpec:
    plain = top.raw("slicing")
    if not isinstance(plain, Mapping):
        top.fail("slicing", "is not an object")
    try:
        return SliceSpec.from_dict(plain)
    except GANSegmentationError as error:
        raise GANSegmentationError(_CODE, f"{CARD_FILE}: slicing: {error.message}", action=error.action) from error


def _read_spacing(source: Fields) -> SpacingRange:
    spacing = SpacingRange(in_plane_mm=source.interval("in_plane_mm", 0), slice_mm=source.interval("slice_mm", 0))
    source.finish()
    return spacing


def _read_intensity(source: Fields) -> Intensity:
    intensity = Intensity(unit=source.text("unit"), range=source.optional("range", source.interval))
    source.finish()
    return intensity


def _read_postprocessing(source: Fields) -> PostProcessing:
    spec = PostProcessing(
        largest_component=source.boolean("largest_component"),
        fill_holes=source.boolean("fill_holes"),
        minimum_volume_ml=source.number("minimum_volume_ml", 0),
        crf=source.optional("crf", lambda key: _read_numbers(source.child(key))),
    )
    source.finish()
    return spec


def _read_numbers(source: Fields) -> dict[str, float]:
    return {key: source.number(key) for key in source.keys()}  # noqa: SIM118 - not a dict


def _read_training(source: Fields) -> TrainingFacts:
    facts = TrainingFacts(
        preset=source.text("preset"),
        objective=source.text("objective"),
        seed=source.integer("seed", 0),
        split_sha256=source.optional("split_sha256", lambda key: source.text(key, pattern=_SHA256, hint=_SHA256_WORDS)),
        epochs=source.integer("epochs", 0),
        date=source.text("date", pattern=r"\d{4}-\d\d-\d\d", hint="a day as YYYY-MM-DD"),
        data=tuple(_read_data(item) for item in source.children("data")),
        started_from=_read_if_there(source, "started_from", _read_start),
    )
    source.finish()
    try:
        datetime.date.fromisoformat(facts.date)
    except ValueError:
        source.fail("date", f"is {facts.date}, which no calendar has")
    return facts


def _read_start(source: Fields) -> StartedFrom:
    start = StartedFrom(
        id=source.text("id", pattern=_ID, hint=_ID_WORDS),
        version=source.text("version", pattern=_VERSION, hint="three numbers, such as 1.0.0"),
        sha256=source.text("sha256", pattern=_SHA256, hint=_SHA256_WORDS),
    )
    source.finish()
    return start


def _read_data(source: Fields) -> TrainingData:
    data = TrainingData(
        name=source.text("name"),
        licence=source.text("licence"),
        source=source.text("source"),
        patients=source.optional("patients", lambda key: source.integer(key, 0)),
        slices=source.optional("slices", lambda key: source.integer(key, 0)),
    )
    source.finish()
    return data


def _read_metric(source: Fields) -> MetricFact:
    metric = MetricFact(
        name=source.text("name"),
        dataset=source.text("dataset"),
        split=source.text("split"),
        n=source.integer("n", 1),
        mean=source.number("mean"),
        ci95=source.optional("ci95", source.interval),
        unit=source.text("unit", empty=True),
        comment=source.text("comment", default="", empty=True),
    )
    source.finish()
    if metric.ci95 is not None and not metric.ci95[0] <= metric.mean <= metric.ci95[1]:
        source.fail("mean", f"is {metric.mean:g} and lies outside of its own interval {list(metric.ci95)}")
    return metric


def _read_files(source: Fields) -> dict[str, FileFact]:
    allowed = (MODEL_FILE, DISCRIMINATOR_FILE, LABELS_FILE, PREVIEW_FILE)
    facts = {}
    for name in allowed:
        if name in source.keys():  # noqa: SIM118 - not a dict
            entry = source.child(name)
            sha256 = entry.text("sha256", pattern=_SHA256, hint=_SHA256_WORDS)
            facts[name] = FileFact(sha256=sha256, bytes=entry.integer("bytes", 0))
            entry.finish()
    source.finish(allowed)
    return facts


def _check_together(card: Card, top: Fields) -> None:
    """What fields must be in the light of others."""
    if len(card.channel_names) != card.channels:
        top.fail("channel_names", f"has {len(card.channel_names)} names for {card.channels} channels")
    for name in card.mask_channels:
        if name not in card.channel_names:
            top.fail("mask_channels", f"has {name!r}, which channel_names has not")
    for modality in card.default_for:
        if modality not in card.modalities:
            top.fail("default_for", f"has {modality}, which modalities has not")
    for flip in card.test_time_augmentation:
        if flip not in FLIPS:
            top.fail("test_time_augmentation", f"has {flip!r}, which is none of {', '.join(FLIPS)}")
        if not _lies_in_slices(flip, card.slicing.plane):
            top.fail("test_time_augmentation", f"has {flip}, which is no flip within {card.slicing.plane} slices")
    if card.task != "segmentation" and (card.default_for or card.discriminator or card.review):
        told = next(name for name in ("default_for", "discriminator", "review") if getattr(card, name))
        top.fail(told, f"belongs to models that segment, and the task is {card.task}")
    if card.files and (DISCRIMINATOR_FILE in card.files) != (card.discriminator is not None):
        there = "names" if card.discriminator else "does not name"
        top.fail("files", f"and the card do not agree: the card {there} a discriminator")


def _lies_in_slices(flip: str, plane: str) -> bool:
    if plane == "acquisition":
        return True  # which plane that is, the scan says
    return SliceOrientation(plane, (0, 1, 2), (False, False, False)).flip_dimension(flip) is not None


def _plain(value: Any) -> Any:
    """A field as JSON types; dataclasses that have a `to_dict` of their own say it themselves."""
    if isinstance(value, SliceSpec):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "__dataclass_fields__"):
        silent = {name for name in _LEFT_OUT_IF_EMPTY.get(type(value), ()) if not getattr(value, name)}
        return {entry.name: _plain(getattr(value, entry.name)) for entry in fields(value) if entry.name not in silent}
    return thawed(value)
