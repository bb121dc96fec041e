"""Labels learnt, classes of the network and the label table of the package count the same structures.

Masks of too many values stop the first step; of too few networks train to the end and fail at the export; and one
foreground of several organs would be shipped under the name of the first.
"""

from __future__ import annotations

import numpy as np

from ...datasets.dataset import Dataset
from ...errors import GANSegmentationError
from ...objectives import Objective
from ...objectives.synthesis import Synthesis
from ..packing.card import labels_of
from ..preset import Preset


def check_classes(preset: Preset, objective: Objective, used: Dataset) -> None:
    """Refuse a preset whose labels, classes and label table do not count the same structures.

    Parameters
    ----------
    used:
        The cases that the preset uses.

    Raises
    ------
    GANSegmentationError
        ``invalid_preset``; as `labels_of`; ``invalid_dataset`` if masks cannot be read.
    """
    classes = foreground_classes(objective)
    if classes is None:
        return
    expected = list(range(1, classes + 1))
    table = sorted(segment.value for segment in labels_of(preset))
    if table != expected:
        raise _misfit(
            f"its generator tells {classes} structures apart, and {preset.model.labels} names {len(table)}",
            "Change model.labels, or classes of the generator: 1 for one structure, else one more than structures.",
        )
    labels = preset.data.labels
    if labels is not None:
        if len(labels) != classes:
            raise _misfit(
                f"data.labels names {len(labels)} labels, and its generator tells {classes} structures apart",
                "Change data.labels, or classes of the generator and model.labels.",
            )
        return
    if sorted(used.labels) == expected:
        return
    # The dataset may have more labels than the cases that are used.
    values = sorted(set().union(*(_values(preset, used, name) for name in used.by_id)))
    if not set(values) <= set(expected) or (used.labels and not set(expected) <= set(used.labels)):
        named = ", ".join(f"{value} {name}" for value, name in sorted(used.labels.items()))
        raise _misfit(
            f"data.labels is null, which learns the labels of the dataset as they are ({named or values}), and its "
            f"generator tells {classes} structures apart",
            "Say with data.labels which of them are learnt, or leave out the sources that have the others.",
        )


def foreground_classes(objective: Objective) -> int | None:
    """The structures that an objective's masks hold; None where it does without masks.

    One class is one structure by sigmoid, n >= 2 are background and n - 1 structures by softmax; a generator that
    paints its mask as a picture knows one.
    """
    if isinstance(objective, Synthesis):
        return objective.config.classes
    if objective.task != "segmentation":
        return None
    classes = int(objective.generator_spec()[1].get("classes", 1))
    return classes if classes == 1 else classes - 1


def _values(preset: Preset, dataset: Dataset, name: str) -> set[int]:
    """The labels that occur in a case, none where its masks are not looked at."""
    case = dataset.by_id[name]
    if not preset.data.view.is_labelled(case):
        return set()
    return {int(value) for value in np.unique(np.asarray(dataset.masks(case)))} - {0}


def _misfit(what: str, action: str) -> GANSegmentationError:
    return GANSegmentationError("invalid_preset", f"The preset does not fit together: {what}.", action=action)
