"""Public layouts of slices and scans, read case by case into the project's own form; one family of layouts a file.

Each importer is a generator function over a folder and is registered under the layout's name. It yields `CaseSource`
objects in a fixed order and never changes grey values: what the numbers mean is said by slope and intercept.
"""

from . import (  # noqa: F401  (each registers its layouts)
    chaos,
    chest_xray,
    decathlon,
    ircadb,
    lits,
    liver_slices,
    microscopy,
    npy_stack,
    paired_folders,
    picture_pairs,
    promise12,
    single_slices,
)
from .case import CaseSource, ImportedCase
from .registry import Source, cases_of, labels_of, layouts, options_of
from .same_patients import patients_by_alias, same_patients

__all__ = [
    "CaseSource",
    "ImportedCase",
    "Source",
    "cases_of",
    "labels_of",
    "layouts",
    "options_of",
    "patients_by_alias",
    "same_patients",
]
