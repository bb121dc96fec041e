"""The layouts by their names: what reads each, what its labels mean, which options it has."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, get_origin, get_type_hints

from ...errors import GANSegmentationError
from ...settings import read_settings, write_settings
from .case import CaseSource

Labels = Mapping[int, str]
Options = TypeVar("Options")

LIVER: Labels = {1: "Liver"}


class Source(NamedTuple):
    """A data set to import: its layout, its folder, and the layout's options as text, by name."""

    layout: str
    folder: Path
    options: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class NoOptions:
    """The options of a layout that has none."""


@dataclass(frozen=True)
class Layout:
    """One layout: its importer, its labels, the dataclass of its options.

    ``cases(folder, options)`` yields the cases in a fixed order and reads none; ``labels(folder, options)`` says what
    the mask values mean.
    """

    name: str
    cases: Callable[[Path, Any], Iterator[CaseSource]]
    labels: Callable[[Path, Any], Labels]
    options: type

    def read_options(self, texts: Mapping[str, str]) -> Any:
        """The options from text: JSON for numbers, ``true`` and ``false``, commas between the parts of a list.

        Raises
        ------
        GANSegmentationError
            ``wrong_option`` for a name or value that cannot be.
        """
        hints = get_type_hints(self.options)
        parsed = {name: _parsed(text, hints.get(name, str)) for name, text in texts.items()}
        return read_settings(self.options, parsed, code="wrong_option", where=self.name)


_LAYOUTS: dict[str, Layout] = {}


def importer(
    name: str, labels: Labels = LIVER
) -> Callable[[Callable[[Path], Iterator[CaseSource]]], Callable[[Path], Iterator[CaseSource]]]:
    """Registers an importer without options under the name of its layout, with what its masks' values mean."""

    def register(function: Callable[[Path], Iterator[CaseSource]]) -> Callable[[Path], Iterator[CaseSource]]:
        _LAYOUTS[name] = Layout(name, lambda folder, _: function(folder), lambda folder, _: labels, NoOptions)
        return function

    return register


def importer_with(
    name: str, options: type[Options], labels: Callable[[Path, Options], Labels]
) -> Callable[[Callable[[Path, Options], Iterator[CaseSource]]], Callable[[Path, Options], Iterator[CaseSource]]]:
    """Registers an importer that has options, a frozen dataclass; the meaning of the masks' values may follow them."""

    def register(
        function: Callable[[Path, Options], Iterator[CaseSource]],
    ) -> Callable[[Path, Options], Iterator[CaseSource]]:
        _LAYOUTS[name] = Layout(name, function, labels, options)
        return function

    return register


def layouts() -> tuple[str, ...]:
    """The names of the layouts that can be imported."""
    return tuple(sorted(_LAYOUTS))


def options_of(layout: str) -> tuple[str, ...]:
    """The names of a layout's options."""
    return tuple(field.name for field in fields(_layout(layout).options))


def labels_of(used: Sequence[str | Source]) -> dict[int, str]:
    """What the mask values mean when these sources, or layouts with the options they have by themselves, are joined.

    Raises
    ------
    GANSegmentationError
        ``mixed_labels`` if a value means two things; ``unknown_layout``, ``wrong_option``.
    """
    labels: dict[int, str] = {}
    sources = [each if isinstance(each, Source) else Source(each, Path()) for each in used]
    for source in sources:
        layout = _layout(source.layout)
        for value, name in layout.labels(source.folder, layout.read_options(source.options)).items():
            if labels.setdefault(value, name) != name:
                raise GANSegmentationError(
                    "mixed_labels",
                    f"The mask value {value} is {labels[value]} in one of the layouts "
                    f"{', '.join(each.layout for each in sources)} and {name} in another.",
                    action="Prepare them as two datasets.",
                )
    return labels


def cases_of(source: Source) -> Iterator[CaseSource]:
    """The cases of a source.

    Raises
    ------
    GANSegmentationError
        ``unknown_layout``; ``wrong_option``; ``source_not_found`` if the folder is missing or has no case of that
        layout.
    """
    layout = _layout(source.layout)
    options = layout.read_options(source.options)
    how = json.dumps(write_settings(options), sort_keys=True)
    found = False
    if source.folder.is_dir():
        folder = source.folder.resolve()  # a folder's name may become a patient's, so "." must not be it
        for entry in layout.cases(folder, options):
            found = True
            yield replace(entry, how=how, origin=_origin(folder, entry.files))
    if not found:
        raise GANSegmentationError(
            "source_not_found",
            f"{source.folder} holds no case in the layout '{source.layout}'.",
            cause="The path is wrong, or the folder holds another data set.",
            action=f"Check the path; the layouts are {', '.join(layouts())}.",
        )


def _layout(name: str) -> Layout:
    if name not in _LAYOUTS:
        raise GANSegmentationError(
            "unknown_layout", f"There is no layout '{name}'.", action=f"Choose one of {', '.join(layouts())}."
        )
    return _LAYOUTS[name]


def _parsed(text: str, hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    if hint is str:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _origin(folder: Path, files: Sequence[Path]) -> str:
    """Where some files lie within the folder of their source: one or two by name, more by their folder and number."""
    inside = [path.relative_to(folder).as_posix() for path in files]
    if len(inside) <= 2:
        return ", ".join(inside)
    return f"{os.path.commonpath([str(Path(name).parent) for name in inside]) or '.'} ({len(inside)} files)"
