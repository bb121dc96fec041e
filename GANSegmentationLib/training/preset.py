"""Presets: JSON files that say everything about a training run, named after their source."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..datasets.augmentation import Augmentation
from ..datasets.slices import SampleGroup
from ..errors import GANSegmentationError
from ..settings import read_settings, write_settings
from ..slicing import SliceSpec
from .schedule import Schedule

PRECISIONS = ("auto", "32-true", "bf16-mixed")
OPTIMISERS = ("adam", "adamw")
_PROBABILITIES = ("affine", "distort", "flip_left_right", "intensity", "gamma", "blur", "sharpen", "noise")


@dataclass(frozen=True)
class OptimiserSettings:
    """Adam or AdamW for one network role."""

    name: str = "adamw"
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0


@dataclass(frozen=True)
class DataSettings:
    """What of a prepared dataset is used, and how slices are drawn.

    Parameters
    ----------
    validation_patients:
        The patients held out for validation; everybody else trains.
    excluded_sources:
        Sources never used by this preset, neither to train nor to validate (a test-only scan).
    score_source:
        The source whose validation patients decide which weights are best; None for all. Sources without whole volumes
        give a Dice over few slices, which is a noisier word.
    groups:
        How the slices of an epoch are drawn.
    """

    validation_patients: tuple[str, ...]
    groups: tuple[SampleGroup, ...] = (SampleGroup(),)
    excluded_sources: tuple[str, ...] = ()
    score_source: str | None = None


@dataclass(frozen=True)
class ObjectiveSettings:
    """The objective's registered name and its configuration."""

    name: str
    config: dict[str, Any]


@dataclass(frozen=True)
class ModelSettings:
    """What the model card says in words; numbers come from the run."""

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
        Slices a step, steps an epoch, epochs.
    ema_decay:
        Decay of the exponential moving average of the generator's weights, which is validated and shipped; 0 = none.
    precision:
        One of `PRECISIONS`, Lightning Fabric's words; ``"auto"`` is bfloat16 where the device is faster with it.
    clip_norm:
        Upper bound of the norm of a network's gradient; 0 = none.
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
    seed: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The preset as JSON holds it."""
        return write_settings(self)

    def __post_init__(self) -> None:
        whole = {"batch_size": self.batch_size, "steps_per_epoch": self.steps_per_epoch, "epochs": self.epochs}
        for name, value in whole.items():
            _require(value >= 1, name, value, "at least 1")
        _require(0 <= self.ema_decay < 1, "ema_decay", self.ema_decay, "in [0, 1)")
        _require(0 <= self.clip_norm < math.inf, "clip_norm", self.clip_norm, "0 or a positive number")
        _require(0 <= self.seed < 2**63, "seed", self.seed, "from 0 to 2^63 - 1")
        _require(self.precision in PRECISIONS, "precision", self.precision, f"one of {', '.join(PRECISIONS)}")
        for role, settings in self.optimisers.items():
            where = f"optimisers.{role}"
            _require(settings.name in OPTIMISERS, f"{where}.name", settings.name, f"one of {', '.join(OPTIMISERS)}")
            _require(0 < settings.lr < math.inf, f"{where}.lr", settings.lr, "a positive number")
            _require(all(0 <= beta < 1 for beta in settings.betas), f"{where}.betas", settings.betas, "in [0, 1)")
            _require(settings.weight_decay >= 0, f"{where}.weight_decay", settings.weight_decay, "0 or more")
        _require(len(self.data.groups) > 0, "data.groups", self.data.groups, "at least one group")
        for index, group in enumerate(self.data.groups):
            where = f"data.groups[{index}].weight"
            _require(0 < group.weight < math.inf, where, group.weight, "a positive number")
        self.schedule.factor(0, 1)  # refuses a kind that does not exist
        for name in ("warmup", "flat", "floor"):
            _require(
                0 <= getattr(self.schedule, name) <= 1, f"schedule.{name}", getattr(self.schedule, name), "in [0, 1]"
            )
        for name in _PROBABILITIES:
            value = getattr(self.augmentation, name)
            _require(0 <= value <= 1, f"augmentation.{name}", value, "a probability")

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
            action=f"Choose one of {', '.join(preset_names())}, or give a JSON file.",
        )
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _invalid(f"{path} is not JSON ({error})") from error
    for change in changes:
        _apply_change(plain, change)
    return Preset.from_dict(plain)


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
        place = place.setdefault(part, {}) if isinstance(place, dict) else None
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
