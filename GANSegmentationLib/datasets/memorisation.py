"""Whether painted slices are copies of the slices that a generator has learnt from.

Slices are compared by the thumbnails of `likeness`: 32 x 32 block means, mean taken off, length one. The distance of
two is the length of their difference, ``sqrt(2 - 2 r)`` with r their correlation: 0 for copies up to brightness and
contrast, 1.41 for strangers, 2 for negatives.

What is near is measured on the real slices themselves: each one's distance to the nearest *other* real slice, which is
as a rule its neighbour in the same scan. A painted slice that is nearer to a real one than the nearest 5 % of real
slices are to each other is a near-duplicate. Of slices of new patients about 5 % would be; a set with more than `BOUND`
of them teaches little that is new, and may give a patient away.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from .dataset import Dataset
from .likeness import fingerprints

QUANTILE = 0.05
BOUND = 0.2
"""The share of near-duplicates above which a synthetic dataset is refused."""

_ROWS = 2048
"""Thumbnails compared at once, so that memory stays small."""

Place = tuple[str, int]
"""A case and the position of one of its slices."""

Thumbnails = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Neighbour:
    """The real slice that is nearest to a painted one, and how far it is."""

    painted: Place
    real: Place
    distance: float


@dataclass(frozen=True)
class Memorisation:
    """How near painted slices are to real ones.

    Parameters
    ----------
    neighbours:
        Of every painted slice the nearest real one.
    threshold:
        The distance below which a painted slice is a near-duplicate.
    share:
        The share of near-duplicates, in [0, 1].
    real_quantiles, painted_quantiles:
        The 5 %, 50 % and 95 % quantile of the real slices' distances to each other, and of the painted ones' to them.
    """

    neighbours: tuple[Neighbour, ...]
    threshold: float
    share: float
    real_quantiles: tuple[float, float, float]
    painted_quantiles: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain types, without the single neighbours."""
        return {
            "slices": len(self.neighbours),
            "near_duplicates": self.share,
            "bound": BOUND,
            "threshold": self.threshold,
            "quantiles": [0.05, 0.5, 0.95],
            "real_to_real": list(self.real_quantiles),
            "painted_to_real": list(self.painted_quantiles),
        }

    def require(self) -> None:
        """Refuse a set with more near-duplicates than `BOUND` allows.

        Raises
        ------
        GANSegmentationError
            ``memorised_images``.
        """
        if self.share > BOUND:
            raise GANSegmentationError(
                "memorised_images",
                f"{self.share:.0%} of the synthetic slices are nearer to a real one than {self.threshold:.3f}, which "
                f"the nearest 5 % of real slices are to each other; at most {BOUND:.0%} may be.",
                cause="The masks were taken as they are, or the generator has learnt its slices by heart.",
                action="Synthesize from deformed masks (--masks elastic), or train the generator on more patients or "
                "for less long; or force it, knowing that little of it is new.",
            )


def memorisation(real: Dataset, synthetic: Dataset) -> Memorisation:
    """Measure the slices of a synthetic dataset against those of a real one.

    Raises
    ------
    GANSegmentationError
        ``too_few_slices`` with fewer than three real slices or no painted one: there would be no yardstick.
    """
    places, thumbnails = _thumbnails(real)
    painted_places, painted = _thumbnails(synthetic)
    if len(places) < 3 or not painted_places:
        raise GANSegmentationError(
            "too_few_slices",
            f"{len(painted_places)} synthetic and {len(places)} real slices are too few to tell copies from others.",
            action="Synthesize more slices, or give the whole real dataset.",
        )
    among, _ = nearest(thumbnails, thumbnails, skip_self=True)
    distances, index = nearest(painted, thumbnails)
    threshold = float(np.quantile(among, QUANTILE))
    found = zip(painted_places, index.tolist(), distances.tolist(), strict=True)
    return Memorisation(
        neighbours=tuple(Neighbour(place, places[other], distance) for place, other, distance in found),
        threshold=threshold,
        share=float(np.mean(distances < threshold)),
        real_quantiles=_quantiles(among),
        painted_quantiles=_quantiles(distances),
    )


def nearest(
    these: Thumbnails, those: Thumbnails, *, skip_self: bool = False
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Of each of `these` ``(n, d)`` the distance to the nearest of `those` ``(m, d)``, and which one it is.

    `skip_self`: the two are the same, and a row is not its own neighbour.
    """
    distances, index = np.empty(len(these)), np.empty(len(these), np.int64)
    for start in range(0, len(these), _ROWS):
        part = slice(start, start + _ROWS)
        alike = these[part] @ those.T
        rows = np.arange(len(alike))
        if skip_self:
            alike[rows, start + rows] = -np.inf
        index[part] = alike.argmax(axis=1)
        # Rounding takes the correlation of copies a little above 1.
        distances[part] = np.sqrt(np.clip(2 - 2 * alike[rows, index[part]].astype(np.float64), 0, None))
    return distances, index


def _thumbnails(dataset: Dataset) -> tuple[list[Place], Thumbnails]:
    """The thumbnails of all slices but those of one value, which are like nothing."""
    places: list[Place] = []
    found: list[Thumbnails] = []
    for case in dataset.cases:
        thumbnails = fingerprints(case, dataset.images(case)).thumbnails
        there = thumbnails.any(axis=1)
        places += [(case.id, int(position)) for position in np.flatnonzero(there)]
        found.append(thumbnails[there])
    return places, np.concatenate(found) if found else np.empty((0, 0), np.float32)


def _quantiles(distances: npt.NDArray[np.float64]) -> tuple[float, float, float]:
    low, middle, high = (float(value) for value in np.quantile(distances, (0.05, 0.5, 0.95)))
    return low, middle, high
