"""The committed presets as a person looks for one: by system, task and recipe."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import GANSegmentationError
from ..objectives import build as build_objective
from .preset import Preset, load_preset, nearest, preset_names

SYSTEMS = ("transfer", "synthesis", "pix2pix", "unet", "segnet", "lgan", "cyclegan", "segan", "stargan", "uagan")
"""The systems of the seeds, as words of preset names; what a preset does with a network counts before the network."""

_FAITHFUL, _TWIN = "faithful", "supervised"


@dataclass(frozen=True)
class PresetFacts:
    """A preset in a line.

    Parameters
    ----------
    system:
        One of `SYSTEMS`, or the name's first word.
    task:
        ``"segmentation"`` or ``"synthesis"``.
    recipe:
        ``"faithful"`` (as its source has it) or ``"modern"``.
    twin:
        Whether it is the supervised twin that an adversary is held against.
    """

    name: str
    system: str
    task: str
    recipe: str
    twin: bool
    title: str
    source: str


def facts_of(preset: Preset) -> PresetFacts:
    """What a list says of a preset; system and recipe are words of its name."""
    words = preset.name.split("_")
    return PresetFacts(
        name=preset.name,
        system=next((system for system in SYSTEMS if system in words), words[0]),
        task=build_objective(preset.objective.name, preset.objective.config).task,
        recipe=_FAITHFUL if _FAITHFUL in words else "modern",
        twin=_TWIN in words,
        title=preset.title,
        source=preset.source,
    )


def catalogue(wanted: str | None = None) -> list[PresetFacts]:
    """The committed presets by system and name; only those that have to do with the word `wanted`, if there is one.

    A word is a system, a task, a recipe, or a part of the name.

    Raises
    ------
    GANSegmentationError
        ``unknown_preset`` if there is none such.
    """
    everything = sorted(
        (facts_of(load_preset(name)) for name in preset_names()), key=lambda facts: (facts.system, facts.name)
    )
    if wanted is None:
        return everything
    word = wanted.lower()
    exact = [facts for facts in everything if word in (facts.system, facts.task, facts.recipe)]
    found = exact or [facts for facts in everything if word in facts.name.lower()]
    if not found:
        systems = sorted({facts.system for facts in everything})
        raise GANSegmentationError(
            "unknown_preset",
            f"No preset has to do with '{wanted}'.",
            action=f"{nearest(word, [*systems, *preset_names()])}The systems are {', '.join(systems)}.",
        )
    return found
