"""Data to learn from and to measure on: importers of public layouts, the prepared dataset, checks, patient splits.

What needs torch or MONAI (`slices`, `augmentation`) is imported from its own file, by training only.
"""

from .dataset import Case, Dataset
from .importers import Source, labels_of, layouts, options_of, same_patients
from .integrity import Finding, check_dataset, require_sound
from .prepare import prepare
from .splits import Split, patient_split, random_patient_split, slice_split

__all__ = [
    "Case",
    "Dataset",
    "Finding",
    "Source",
    "Split",
    "check_dataset",
    "labels_of",
    "layouts",
    "options_of",
    "patient_split",
    "prepare",
    "random_patient_split",
    "require_sound",
    "same_patients",
    "slice_split",
]
