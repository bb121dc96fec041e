"""The model that a person means: an id of the library, or the path of a package."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import GANSegmentationError
from .library import ModelLibrary
from .package import Package, open_package


def find_package(wanted: str) -> Package:
    """The model with this id, or at this path.

    A name with a path separator or the ending ``.ganseg``, and ``.`` and ``..``, is a path; any other is an id, which a
    folder of the same name in the working directory does not hide; only where there is no such id, the name may be a
    path.

    Raises
    ------
    GANSegmentationError
        As `open_package` and `ModelLibrary.get`.
    """
    path = Path(wanted)
    separators = tuple(filter(None, (os.sep, os.altsep)))
    if path.suffix == ".ganseg" or any(separator in wanted for separator in separators) or wanted in (".", ".."):
        return open_package(path)
    try:
        return ModelLibrary().get(wanted)
    except GANSegmentationError as error:
        if error.code == "unknown_model" and path.exists():
            return open_package(path)
        raise
