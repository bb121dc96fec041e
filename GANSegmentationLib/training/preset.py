"""Presets: JSON files that say everything about a training run, named after their source."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..datasets.augmentation import Augmentation
from ..datasets.slices import SampleGroup, SliceView
from ..errors import GANSegmentationError
from ..settings import read_settings, write_settings
from ..slicing import SliceSpec
from .steps.schedule import Schedule

PRECISIONS = ("auto", "32-true", "bf16-mixed")
OPTIMISERS = ("adam", "adamw", "rmsprop", "sgd")
POLICIES = ("all", "freeze_encoder", "staged")
_PROBABILITIES = ("affine", "distort", "elastic", "flip_left_right", "intensity", "gamma", "blur", "sharpen", "noise")
_RANGES = ("rotate_degrees", "scale", "shear", "translate", "brightness", "contrast", "shift", "noise_sigma")


@dataclass(frozen=True)
class OptimiserSettings:
    """How one network role learns.

    Parameters
    ----------
    name:
        One of `OPTIMISERS`; betas belong to Adam and AdamW, momentum to RMSprop and SGD.
    encoder_lr_factor, head_lr_factor:
        Factors on the learning rate of a generator's encoder and of its last layer (`networks.NetworkEntry`).
    """

    name: str = "adamw"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    momentum: float = 0.0
    encoder_lr_factor: float = 1.0
    head_lr_factor: float = 1.0


@dataclass(frozen=True)
class TransferSettings:
    """Which weights the generator starts from, and what of it may move.

    Parameters
    ----------
    package:
        A model's id, or the path of a package.
    policy:
        ``"all"`` trains everything; ``"freeze_encoder"`` never touches the encoder; ``"staged"`` trains the rest for
        `staged_epochs`, then everything at the learning rates times `staged_lr_factor`.
    new_head:
        Draw the last layer anew although it would fit.
    allow_leakage:
        Start although validation patients have trained the package; every score is then too good.
    """

    package: str
    policy: str = "staged"
    staged_epochs: int = 3
    staged_lr_factor: float = 0.1
    new_head: bool = False
    allow_leakage: bool = False


@dataclass(frozen=True)
class DataSettings:
    """What of a prepared dataset is used, and how slices are drawn.

    Parameters
    ----------
    validation_patients:
        The patients held out for validation; everybody else trains.
    excluded_sources:
        Sources never used by this preset, neither to train nor to validate (a test-only scan).
    excluded_patients:
        Patients never used by this preset: their references are wrong, say.
    score_source:
        The source whose validation patients decide which weights are best; None for all. Sources without whole volumes
        give a Dice over few slices, which is a noisier word.
    groups:
        How the slices of an epoch are drawn.
    labels:
        The prepared labels that are learnt, as classes 1, 2, ... in this order, everything else background; None takes
        all labels as they are.
    input_labels:
        Prepared labels whose masks are given to the network as further channels after the image's, -1 outside and 1
        inside (a mask-to-mask or image-and-mask network).
    domains:
        DICOM modality words in the order of the generator's domain vector; a batch then says each slice's domain.
    streams:
        Further samples of every step, drawn independently by groups of their own, by the name that an objective asks
        for.
    unlabelled_patients:
        Training patients whose masks are withheld: their slices teach only the terms that need no mask.
    training_patients:
        The only patients that train, for experiments with few; None for all but the validation's.
    crop:
        Side of the random squares that are cut from training slices, in network pixels; 0 trains on whole slices.
    """

    validation_patients: tuple[str, ...]
    groups: tuple[SampleGroup, ...] = (SampleGroup(),)
    excluded_sources: tuple[str, ...] = ()
    excluded_patients: tuple[str, ...] = ()
    score_source: str | None = None
    labels: tuple[int, ...] | None = None
    input_labels: tuple[int, ...] = ()
    domains: tuple[str, ...] = ()
    streams: dict[str, tuple[SampleGroup, ...]] = field(default_factory=dict)
    unlabelled_patients: tuple[str, ...] = ()
    training_patients: tuple[str, ...] | None = None
    crop: int = 0

    @property
    def named_streams(self) -> dict[str, tuple[SampleGroup, ...]]:
        """The further streams' groups by their place in the preset."""
        return {f"data.streams.{name}": groups for name, groups in self.streams.items()}

    @property
    def view(self) -> SliceView:
        """What the slices' masks and channels become."""
        return SliceView(self.labels, self.input_labels, self.domains, self.unlabelled_patients)


@dataclass(frozen=True)
class ObjectiveSettings:
    """The objective's registered name and its configuration."""

    name: str
    config: dict[str, Any]


@dataclass(frozen=True)
class ModelSettings:
    """What the model card says in words; numbers come from the run.

    With `with_discriminator` the package carries the network that judged the masks, as a reviewer.
    """

    id: str
    title: str
    version: str
    labels: str
    modalities: tuple[str, ...]
    weights_licence: str
    intended_use: str
    limitations: str
    channel_names: tuple[str, ...] = ("image",)
    default_for: tuple[str, ...] = ()
    citation: str = ""
    with_discriminator: bool = False


@dataclass(frozen=True)
class Preset:
    """A training run, whole.

    Parameters
    ----------
    name, title:
        The file's name without suffix, containing the system's name; and one line for people.
    source:
        The paper or seed that the recipe comes from.
    deviations:
        What differs from the source, one sentence each.
    batch_size, steps_per_epoch, epochs:
        Slices a step over all processes, steps an epoch, epochs.
    accumulate:
        A step's slices are computed in this many parts of equal size, their gradients added up, for less memory.
        Batch normalisation and losses over a whole batch see one part.
    early_stop:
        End when the validation score has not risen for this many epochs; 0 = never.
    ema_decay:
        Decay of the exponential moving average of the generator's weights, which is validated and shipped; 0 = none.
    precision:
        One of `PRECISIONS`, Lightning Fabric's words; ``"auto"`` is bfloat16 where the device is faster with it.
    clip_norm:
        Upper bound of the norm of a network's gradient; 0 = none.
    clip_value:
        Upper bound of every element of a gradient; 0 = none.
    transfer:
        Start from the weights of a package; None starts anew.
    """

    name: str
    title: str
    source: str
    data: DataSettings
    slicing: SliceSpec
    objective: ObjectiveSettings
    optimisers: dict[str, OptimiserSettings]
    model: ModelSettings
    deviations: tuple[str, ...] = ()
    augmentation: Augmentation = field(default_factory=Augmentation)
    schedule: Schedule = field(default_factory=Schedule)
    batch_size: int = 16
    steps_per_epoch: int = 250
    epochs: int = 20
    ema_decay: float = 0.0
    precision: str = "auto"
    clip_norm: float = 0.0
    clip_value: float = 0.0
    accumulate: int = 1
    early_stop: int = 0
    seed: int = 0
    transfer: TransferSettings | None = None

    def to_dict(self) -> dict[str, Any]:
        """The preset as JSON holds it."""
        return write_settings(self)

    def __post_init__(self) -> None:
        whole = {
            "batch_size": self.batch_size,
            "steps_per_epoch": self.steps_per_epoch,
            "epochs": self.epochs,
            "accumulate": self.accumulate,
        }
        for name, value in whole.items():
            _require(value >= 1, name, value, "at least 1")
        _require(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "in [0, 1)")
        _require(0 <= self.clip_norm < math.inf, "clip_norm", self.clip_norm, "0 or a positive number")
        _require(0 <= self.clip_value < math.inf, "clip_value", self.clip_value, "0 or a positive number")
        _require(self.early_stop >= 0, "early_stop", self.early_stop, "0 or more epochs")
        _require(
            self.batch_size % self.accumulate == 0, "accumulate", self.accumulate, f"a divisor of {self.batch_size}"
        )
        if self.transfer is not None:
            policy = self.transfer.policy
            _require(policy in POLICIES, "transfer.policy", policy, f"one of {', '.join(POLICIES)}")
            staged = self.transfer.staged_epochs
            _require(staged >= 0, "transfer.staged_epochs", staged, "0 or more")
            factor = self.transfer.staged_lr_factor
            _require(0 < factor < math.inf, "transfer.staged_lr_factor", factor, "a positive number")
        _require(0 <= self.seed < 2**63, "seed", self.seed, "from 0 to 2^63 - 1")
        _require(self.precision in PRECISIONS, "precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        for role, settings in self.optimisers.items():
            where = f"optimisers.{role}"
            _require(settings.name in OPTIMISERS, f"{where}.name", settings.name, f"one of {', '.join(OPTIMISERS)}")
            _require(0 < settings.lr < math.inf, f"{where}.lr", settings.lr, "a positive number")
            _require(all(0 <= beta < 1 for beta in settings.betas), f"{where}.betas", settings.betas, "in [0, 1)")
            decay = settings.weight_decay
            _require(0 <= decay < math.inf, f"{where}.weight_decay", decay, "0 or a positive number")
            _require(0 <= settings.momentum < 1, f"{where}.momentum", settings.momentum, "in [0, 1)")
            for name in ("encoder_lr_factor", "head_lr_factor"):
                value = getattr(settings, name)
                _require(0 <= value < math.inf, f"{where}.{name}", value, "0 or a positive number")
        for where, groups in {"data.groups": self.data.groups, **self.data.named_streams}.items():
            _require(len(groups) > 0, where, groups, "at least one group")
            for index, group in enumerate(groups):
                _require(0 < group.weight < math.inf, f"{where}[{index}].weight", group.weight, "a positive number")
        self._check_data()
        self.schedule.factor(0, 1)  # refuses a kind that does not exist
        for name in ("warmup", "flat", "floor"):
            _require(
                0 <= getattr(self.schedule, name) <= 1, f"schedule.{name}", getattr(self.schedule, name), "in [0, 1]"
            )
        for name in _PROBABILITIES:
            value = getattr(self.augmentation, name)
            _require(0 <= value <= 1, f"augmentation.{name}", value, "a probability")
        for name in _RANGES:
            value = getattr(self.augmentation, name)
            _require(0 <= value < math.inf, f"augmentation.{name}", value, "0 or a positive number")
        # A size is multiplied by 1 - scale at the least, and nothing is mirrored or turned into a point.
        _require(self.augmentation.scale < 1, "augmentation.scale", self.augmentation.scale, "below 1")
        sigma, points = self.augmentation.elastic_sigma, self.augmentation.elastic_points
        _require(0 <= sigma < 1, "augmentation.elastic_sigma", sigma, "a fraction of the side")
        _require(2 <= points <= 64, "augmentation.elastic_points", points, "from 2 to 64")

    def _check_data(self) -> None:
        data = self.data
        _require(data.crop >= 0, "data.crop", data.crop, "0 or a number of pixels")
        _require(data.labels != (), "data.labels", [], "a list of labels, or null for all of them")
        for name, labels in (("data.labels", data.labels or ()), ("data.input_labels", data.input_labels)):
            _require(all(1 <= label <= 255 for label in labels), name, list(labels), "labels from 1 to 255")
            _require(len(set(labels)) == len(labels), name, list(labels), "labels that are all different")

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Preset:
        """The preset that JSON describes.

        Raises
        ------
        GANSegmentationError
            ``invalid_preset`` naming the key that is missing, unknown or of the wrong type.
        """
        return read_settings(cls, plain, code="invalid_preset", where="preset")


def presets_folder() -> Path:
    """The folder of the committed presets."""
    return Path(__file__).parent / "presets"


def preset_names() -> tuple[str, ...]:
    """The names of the committed presets."""
    return tuple(sorted(path.stem for path in presets_folder().glob("*.json")))


def load_preset(name_or_path: str | Path, changes: Sequence[str] = ()) -> Preset:
    """The committed preset of this name, or the preset in this JSON file, with changes ``a.b=value`` applied.

    A file may name others in ``"extends"``: presets beside it, committed ones, or the committed parts (data, slicing
    and words of a task). Their settings hold where its own say nothing.

    Raises
    ------
    GANSegmentationError
        ``unknown_preset`` or ``invalid_preset``.
    """
    path = Path(name_or_path)
    if path.suffix != ".json":
        path = presets_folder() / f"{name_or_path}.json"
    if not path.is_file():
        raise GANSegmentationError(
            "unknown_preset",
            f"There is no preset '{name_or_path}'.",
            action=nearest(str(name_or_path), preset_names()) + "`ganseg train --list` shows all of them."
            if nearest(str(name_or_path), preset_names())
            else f"Choose one of {', '.join(preset_names())}, or give a JSON file.",
        )
    plain = _extended(path, ())
    for change in changes:
        _apply_change(plain, change)
    return Preset.from_dict(plain)


def nearest(word: str, names: Sequence[str]) -> str:
    """``"Did you mean a or b? "`` for a word that is like some of the names; empty where none is."""
    near = difflib.get_close_matches(word, names, n=3, cutoff=0.6)
    return f"Did you mean {' or '.join(near)}? " if near else ""


_WHOLE = ("objective", "optimisers", "transfer", "normalisation")
"""Settings that a preset replaces as a whole: those of two objectives do not mix."""


def _extended(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """The JSON object of a preset over those that it extends, the last named winning; objects are merged key by key."""
    if path in above:
        raise _invalid(f"{path} extends itself")
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _invalid(f"{path} is not JSON ({error})") from error
    if not isinstance(plain, dict):
        raise _invalid(f"{path} is not a JSON object")
    names = plain.pop("extends", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise _invalid(f"extends of {path} is not a list of names")
    merged: dict[str, Any] = {}
    for name in names:
        places = [folder / f"{name}.json" for folder in (path.parent, presets_folder(), presets_folder() / "parts")]
        found = next((place for place in places if place.is_file()), None)
        if found is None:
            raise _invalid(f"{path} extends '{name}', and there is no such preset or part")
        merged = _merged(merged, _extended(found, (*above, path)))
    return _merged(merged, plain)


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        mixes = key not in _WHOLE and isinstance(value, Mapping) and isinstance(below.get(key), Mapping)
        merged[key] = _merged(below[key], value) if mixes else value
    return merged


def _apply_change(plain: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition("=")
    if not equals:
        raise _invalid(f"the change '{change}' is not of the form key.key=value")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    *way, last = key.split(".")
    place: Any = plain
    for part in way:
        if isinstance(place, dict) and place.get(part) is None:
            place[part] = {}  # absent, or null as a preset written by a run has it
        place = place[part] if isinstance(place, dict) else None
    if not isinstance(place, dict):
        raise _invalid(f"the change '{change}' leads through something that has no keys")
    place[last] = value


def _require(condition: bool, name: str, value: object, what: str) -> None:
    if not condition:
        raise _invalid(f"{name} is {value!r} and should be {what}")


def _invalid(what: str) -> GANSegmentationError:
    return GANSegmentationError(
        "invalid_preset",
        f"The preset cannot be used: {what}.",
        cause="A setting is misspelt, of the wrong type or out of range.",
        action="Compare with a preset that `ganseg train --list` shows.",
    )
