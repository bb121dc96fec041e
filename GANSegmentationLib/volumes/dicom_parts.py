"""A four-dimensional series taken apart: time points, echoes, b-values, each of which is a volume.

Images belong together if they agree in a tag that has one image of every slice position for each of its values; where
no tag does, if the instance numbers run through the volumes one by one, or through the slices one by one. Whatever
cannot be told for certain is not taken apart.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .dicom_facts import read_facts
from .dicom_image import SliceHeader

# Keyword, what one value is called, what several are called; in the order in which they are tried.
_DIMENSIONS = (
    ("TemporalPositionIdentifier", "time point", "time points"),
    ("TemporalPositionIndex", "time point", "time points"),
    ("EchoTime", "echo time", "echo times"),
    ("EffectiveEchoTime", "echo time", "echo times"),
    ("DiffusionBValue", "b-value", "b-values"),
    ("TriggerTime", "trigger time", "trigger times"),
    ("NominalCardiacTriggerDelayTime", "trigger time", "trigger times"),
    ("InversionTime", "inversion time", "inversion times"),
    ("InversionTimes", "inversion time", "inversion times"),
    ("FlipAngle", "flip angle", "flip angles"),
    ("ComplexImageComponent", "component", "components"),
    ("FrameType", "kind of image", "kinds of image"),
    ("ImageType", "kind of image", "kinds of image"),
    ("ConvolutionKernel", "kernel", "reconstruction kernels"),
    ("StackID", "stack", "stacks"),
    ("AcquisitionNumber", "acquisition", "acquisitions"),
    ("FrameAcquisitionNumber", "acquisition", "acquisitions"),
    ("AcquisitionTime", "acquisition time", "acquisition times"),
    ("FrameReferenceDateTime", "acquisition time", "acquisition times"),
    ("ContentTime", "time of the image", "times of the image"),
)
_KEYWORDS = tuple(keyword for keyword, _, _ in _DIMENSIONS)
_OF_THE_IMAGE = "InstanceNumber"
_IDENTITY = "SOPInstanceUID"

COPIES = "copies of the same image"
"""What `what_varies` says where nothing does."""


@dataclass(frozen=True)
class Part:
    """The images of one volume of a series, and what makes it that one: ``time point 2``."""

    images: tuple[SliceHeader, ...]
    label: str


def images_at_each_position(
    images: Sequence[SliceHeader], gaps: npt.NDArray[np.float64], tolerance: float
) -> list[list[SliceHeader]]:
    """Images sorted along the normal, in groups that lie at one place; `gaps` are the distances of neighbours, mm."""
    groups = [[images[0]]]
    for image, gap in zip(images[1:], gaps, strict=True):
        if gap <= tolerance:
            groups[-1].append(image)
        else:
            groups.append([image])
    return groups


def what_varies(images: Sequence[SliceHeader]) -> str:
    """Which of the usual tags differ between images at one position, in words."""
    facts = _facts(images)
    uids = {(fact.get(_IDENTITY, ""), image.frame) for fact, image in zip(facts, images, strict=True)}
    if len(uids) < len(images) and all(uid for uid, _ in uids):
        return COPIES
    found: dict[str, int] = {}
    for keyword, _, words in _DIMENSIONS:
        count = len({fact.get(keyword, "") for fact in facts})
        if count > 1:
            found.setdefault(words, count)
    return ", ".join(f"{count} {words}" for words, count in found.items())


def take_apart(groups: Sequence[Sequence[SliceHeader]]) -> tuple[Part, ...]:
    """The volumes of a four-dimensional series, from its images in groups of the same position.

    Every position has the same number of images. Empty if it is not certain which images belong together.
    """
    places = {id(image): place for place, group in enumerate(groups) for image in group}
    images = [image for group in groups for image in group]
    facts = dict(zip(map(id, images), _facts(images), strict=True))
    varying = [
        (keyword, word)
        for keyword, word, _ in _DIMENSIONS
        if len({facts[id(image)].get(keyword, "") for image in images}) > 1
    ]
    count = len(groups[0])
    for number in (1, 2):
        for chosen in itertools.combinations(varying, number):
            parts = _by_tags(images, places, facts, chosen, count)
            if parts:
                return parts
    return _by_number(images, places, facts, count)


def _facts(images: Sequence[SliceHeader]) -> list[Mapping[str, str]]:
    """What may tell images apart; a file is read once, whichever frames of it are asked for."""
    files: dict[Any, Mapping[str, str]] = {}
    for image in images:
        if image.path not in files:
            files[image.path] = read_facts(image.path, (*_KEYWORDS, _OF_THE_IMAGE, _IDENTITY))
    return [{**files[image.path], **image.facts} for image in images]


def _by_tags(
    images: Sequence[SliceHeader],
    places: Mapping[int, int],
    facts: Mapping[int, Mapping[str, str]],
    chosen: Sequence[tuple[str, str]],
    count: int,
) -> tuple[Part, ...]:
    """The parts whose images agree in all of the chosen tags; none if one of them would not be whole."""
    members: dict[tuple[str, ...], list[SliceHeader]] = {}
    for image in images:
        values = tuple(facts[id(image)].get(keyword, "") for keyword, _ in chosen)
        members.setdefault(values, []).append(image)
    whole = len(images) // count
    if len(members) != count or any(
        len(group) != whole or len({places[id(image)] for image in group}) != whole for group in members.values()
    ):
        return ()
    return tuple(
        Part(
            tuple(members[values]),
            ", ".join(f"{word} {_shown(value)}" for (_, word), value in zip(chosen, values, strict=True)),
        )
        for values in sorted(members, key=lambda values: [_order(value) for value in values])
    )


def _by_number(
    images: Sequence[SliceHeader],
    places: Mapping[int, int],
    facts: Mapping[int, Mapping[str, str]],
    count: int,
) -> tuple[Part, ...]:
    """The parts by instance numbers that run through the volumes, or through the slices, one by one."""
    numbers: dict[int, tuple[int, int]] = {}
    for image in images:
        text = facts[id(image)].get(_OF_THE_IMAGE, "")
        if not text.isdecimal():
            return ()
        numbers[id(image)] = (int(text), image.frame or 0)
    if len(set(numbers.values())) != len(images):
        return ()
    ordered = sorted(images, key=lambda image: numbers[id(image)])
    sequence = [places[id(image)] for image in ordered]
    whole = len(images) // count
    rounds = [sequence[start : start + whole] for start in range(0, len(sequence), whole)]
    stays = [sequence[start : start + count] for start in range(0, len(sequence), count)]
    if len(set(rounds[0])) == whole and all(each == rounds[0] for each in rounds):  # one volume after the other
        volumes = [ordered[start : start + whole] for start in range(0, len(ordered), whole)]
    elif all(len(set(stay)) == 1 for stay in stays):  # all images of one slice, then of the next
        volumes = [ordered[index::count] for index in range(count)]
    else:
        return ()
    return tuple(Part(tuple(volume), f"volume {index} by instance number") for index, volume in enumerate(volumes, 1))


def _shown(value: str) -> str:
    """A value for a label: numbers without superfluous digits."""
    kind, number, text = _order(value)
    return f"{number:g}" if kind == 0 else text or "unknown"


def _order(value: str) -> tuple[int, float, str]:
    """Numbers by size, then words by alphabet."""
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value
