"""How intensities become what a network expects: one small class per scheme, each an affine map with limits."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError

if TYPE_CHECKING:
    from torch import Tensor

_BINS = 1 << 16
_CHUNK = 1 << 18


@dataclass(frozen=True)
class IntensityMap:
    """``y = clamp((x - centre) * scale, low, high)``: a normalisation with the numbers of one volume filled in.

    Parameters
    ----------
    centre, scale:
        In the volume's units, and per such unit.
    low, high:
        Limits of the result.
    floor:
        What the darkest voxel (air) becomes; padding is filled with it.
    """

    centre: float
    scale: float
    low: float
    high: float
    floor: float

    def apply_(self, values: Tensor, *, maybe_nan: bool = True) -> Tensor:
        """Normalise a float tensor in place and return it; what is not a number becomes `floor`.

        Where the values came from integers, ``maybe_nan=False`` saves a pass over them.
        """
        values.sub_(self.centre).mul_(self.scale).clamp_(self.low, self.high)
        return values.nan_to_num_(nan=self.floor) if maybe_nan else values

    def of_stored(self, slope: float, intercept: float) -> IntensityMap:
        """The same map for stored values where ``stored * slope + intercept`` is the value; `slope` positive."""
        return replace(self, centre=(self.centre - intercept) / slope, scale=self.scale * slope)

    def apply_array(self, values: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """The same for an array of any type, as a new float32 array."""
        result = np.array(values, dtype=np.float32)
        result -= np.float32(self.centre)
        result *= np.float32(self.scale)
        np.clip(result, self.low, self.high, out=result)
        result[np.isnan(result)] = self.floor
        return result


@dataclass(frozen=True)
class Normalisation(ABC):
    """A scheme of normalisation, fitted to each volume as a whole; subclasses register themselves by `kind`."""

    kind: ClassVar[str]
    _kinds: ClassVar[dict[str, type[Normalisation]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        Normalisation._kinds[cls.kind] = cls

    @abstractmethod
    def fit(self, array: npt.NDArray[Any]) -> IntensityMap:
        """The map for a volume's voxels, ``(z, y, x)`` of any numeric type; never copies the volume as a whole."""

    def for_modality(self, modality: str | None) -> Normalisation:
        """The scheme for volumes of a DICOM modality (None = unknown): this one, unless it depends on the modality.

        Raises
        ------
        GANSegmentationError
            ``modality_unknown`` if there is none for this modality (`ByModality` alone).
        """
        return self

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON: ``{"kind": "window", "low": 0.0, "high": 160.0}``."""
        return {"kind": self.kind, **asdict(self)}

    @staticmethod
    def from_dict(description: Mapping[str, Any]) -> Normalisation:
        """The scheme that `to_dict` described.

        Raises
        ------
        GANSegmentationError
            ``invalid_slicing`` for an unknown kind, a missing or unknown field, or a value out of range.
        """
        values = dict(description)
        kind = values.pop("kind", None)
        scheme = Normalisation._kinds.get(kind) if isinstance(kind, str) else None
        if scheme is None:
            known = ", ".join(sorted(Normalisation._kinds))
            raise _invalid(f"there is no normalisation {kind!r}; known are {known}")
        expected = {entry.name for entry in fields(scheme)}
        if set(values) != expected:
            raise _invalid(f"the normalisation {kind!r} takes {sorted(expected)}, not {sorted(values)}")
        return scheme._read(values)

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> Normalisation:
        """The scheme with these fields, whose names are known to be right."""
        for name, value in values.items():
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise _invalid(f"{name} of the normalisation {cls.kind!r} is {value!r}, not a number")
        return cls(**{name: float(value) for name, value in values.items()})


@dataclass(frozen=True)
class Window(Normalisation):
    """A fixed window ``[low, high]`` (HU for CT) to [-1, 1], clipped beyond."""

    kind = "window"
    low: float
    high: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise _invalid(f"a window from {self.low} to {self.high} is empty or not finite")

    def fit(self, array: npt.NDArray[Any]) -> IntensityMap:
        return _between(self.low, self.high)


@dataclass(frozen=True)
class Percentiles(Normalisation):
    """The volume's own percentiles ``[lower, upper]`` (0 to 100, of all finite voxels) to [-1, 1], clipped beyond.

    For intensities without a unit, such as MR. The percentiles are voxel values, `numpy.percentile` with
    ``method="lower"``.
    """

    kind = "percentiles"
    lower: float
    upper: float

    def __post_init__(self) -> None:
        if not 0 <= self.lower < self.upper <= 100:
            raise _invalid(f"percentiles from {self.lower} to {self.upper} are not an increasing pair in 0 to 100")

    def fit(self, array: npt.NDArray[Any]) -> IntensityMap:
        low, high = lower_percentiles(array, (self.lower, self.upper))
        return _between(low, high)


@dataclass(frozen=True)
class ZScore(Normalisation):
    """Mean 0 and standard deviation 1 over the volume's finite voxels, clipped to ``[-clip, clip]``."""

    kind = "zscore"
    clip: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.clip) and self.clip > 0):
            raise _invalid(f"a z-score clipped at {self.clip} is empty or not finite")

    def fit(self, array: npt.NDArray[Any]) -> IntensityMap:
        mean, deviation, darkest = _moments(array)
        scale = 1.0 / deviation if deviation > 0 else 0.0
        return IntensityMap(mean, scale, -self.clip, self.clip, floor=max(-self.clip, (darkest - mean) * scale))


@dataclass(frozen=True)
class ByModality(Normalisation):
    """Another scheme for every DICOM modality, for one network that sees several (CT in HU, MR without a unit).

    Parameters
    ----------
    schemes:
        The scheme of each modality, by DICOM's word in any case (``"CT"``, ``"MR"``).

    Raises
    ------
    GANSegmentationError
        ``invalid_slicing`` without a scheme, for a name that is no word, two alike, or a scheme that depends on the
        modality again.
    """

    kind = "by_modality"
    schemes: Mapping[str, Normalisation]

    def __post_init__(self) -> None:
        if not self.schemes:
            raise _invalid("the normalisation 'by_modality' has no scheme")
        for modality, scheme in self.schemes.items():
            if not isinstance(modality, str) or not modality.strip():
                raise _invalid(f"the normalisation 'by_modality' has a scheme for {modality!r}, which is no modality")
            if not isinstance(scheme, Normalisation) or isinstance(scheme, ByModality):
                raise _invalid(f"the normalisation 'by_modality' has no plain scheme for {modality}")
        named = {modality.upper(): self.schemes[modality] for modality in sorted(self.schemes)}
        if len(named) != len(self.schemes):
            raise _invalid("the normalisation 'by_modality' names a modality twice")
        object.__setattr__(self, "schemes", MappingProxyType(named))

    def __hash__(self) -> int:
        return hash(tuple(self.schemes.items()))

    def __reduce__(self) -> tuple[type[ByModality], tuple[dict[str, Normalisation]]]:
        return ByModality, (dict(self.schemes),)  # a read-only mapping cannot be pickled for another process

    def fit(self, array: npt.NDArray[Any]) -> IntensityMap:
        """Never answers: which scheme to fit, only `for_modality` can say."""
        return self.for_modality(None).fit(array)

    def for_modality(self, modality: str | None) -> Normalisation:
        scheme = self.schemes.get((modality or "").upper())
        if scheme is None:
            known = ", ".join(self.schemes)
            raise GANSegmentationError(
                "modality_unknown",
                f"The intensities of a scan whose modality is {modality or 'unknown'} cannot be normalised: the model "
                f"knows {known}.",
                cause="The file does not say its modality, or the model was not made for it.",
                action=f"Name the modality or the domain of the scan: one of {known}.",
            )
        return scheme

    def knows(self, modality: str | None) -> bool:
        """Whether there is a scheme for a modality."""
        return (modality or "").upper() in self.schemes

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON: ``{"kind": "by_modality", "schemes": {"CT": {"kind": "window", ...}, ...}}``."""
        return {"kind": self.kind, "schemes": {name: scheme.to_dict() for name, scheme in self.schemes.items()}}

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> Normalisation:
        schemes = values["schemes"]
        if not isinstance(schemes, Mapping) or not all(isinstance(scheme, Mapping) for scheme in schemes.values()):
            raise _invalid("schemes of the normalisation 'by_modality' is no object of one normalisation a modality")
        return cls({modality: Normalisation.from_dict(scheme) for modality, scheme in schemes.items()})


def value_range(array: npt.NDArray[Any]) -> tuple[float, float, int] | None:
    """The lowest and highest finite voxel, and how many are finite; None where there are none."""
    low, high, count = math.inf, -math.inf, 0
    for values in _finite_chunks(array):
        low, high, count = min(low, float(values.min())), max(high, float(values.max())), count + values.size
    return (low, high, count) if count else None


def lower_percentiles(array: npt.NDArray[Any], percentages: Sequence[float]) -> list[float]:
    """Percentiles of the finite voxels, as ``numpy.percentile(..., method="lower")``, in bounded memory.

    Histograms are narrowed until one value is left, so the result is exact, the same for every storage order, and no
    second copy of the volume is made or sorted. 0 for an array without finite voxels.
    """
    limits = value_range(array)
    if limits is None:
        return [0.0] * len(percentages)
    low, high, count = limits
    first = _histogram(array, low, high)
    return [
        _order_statistic(array, math.floor(percentage / 100 * (count - 1)), low, high, first)
        for percentage in percentages
    ]


def _order_statistic(
    array: npt.NDArray[Any], rank: int, low: float, high: float, histogram: npt.NDArray[np.int64]
) -> float:
    """The value of the rank-th smallest voxel in [low, high], whose histogram is given."""
    while low < high:
        reached = np.cumsum(histogram)
        bin_ = int(np.searchsorted(reached, rank, side="right"))
        rank -= int(reached[bin_] - histogram[bin_])
        low, high = _bin_limits(array, low, high, bin_)
        if low < high:
            histogram = _histogram(array, low, high)
    return low


def _bin_numbers(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.int64]:
    # One function for counting and for finding again: rounding at a bin's edge then falls the same way in both.
    if values.dtype.kind in "iu" and high - low < _BINS:
        return values.astype(np.int64) - int(low)  # one bin a value: CT and most MR need no second pass
    scaled = (values.astype(np.float64) - low) / (high - low) * (_BINS - 1)
    return np.clip(scaled, 0, _BINS - 1).astype(np.int64)


def _histogram(array: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.int64]:
    counts = np.zeros(_BINS, np.int64)
    if low == high:
        return counts
    for inside in _chunks_within(array, low, high):
        counts += np.bincount(_bin_numbers(inside, low, high), minlength=_BINS)
    return counts


def _bin_limits(array: npt.NDArray[Any], low: float, high: float, bin_: int) -> tuple[float, float]:
    """The smallest and largest voxel of a bin."""
    smallest, largest = math.inf, -math.inf
    if array.dtype.kind in "iu" and high - low < _BINS:
        return low + bin_, low + bin_
    for values in _chunks_within(array, low, high):
        inside = values[_bin_numbers(values, low, high) == bin_]
        if inside.size:
            smallest, largest = min(smallest, float(inside.min())), max(largest, float(inside.max()))
    return smallest, largest


def _moments(array: npt.NDArray[Any]) -> tuple[float, float, float]:
    """Mean, standard deviation and minimum of the finite voxels; zeros where there are none."""
    count, mean, squares, darkest = 0, 0.0, 0.0, math.inf
    for values in _finite_chunks(array):
        chunk = values.astype(np.float64)
        chunk_mean = float(chunk.mean())
        # Chan, Golub and LeVeque 1983: merging the chunks' moments does not cancel as a sum of squares would.
        shift, total = chunk_mean - mean, count + chunk.size
        squares += float(((chunk - chunk_mean) ** 2).sum()) + shift**2 * count * chunk.size / total
        mean += shift * chunk.size / total
        count, darkest = total, min(darkest, float(chunk.min()))
    if count == 0:
        return 0.0, 0.0, 0.0
    return mean, math.sqrt(squares / count), darkest


def _finite_chunks(array: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    """The finite voxels, about a quarter of a million at a time (or one slice), flat."""
    step = max(1, _CHUNK // max(1, array[0].size)) if len(array) else 1
    for start in range(0, len(array), step):
        values = array[start : start + step].ravel()
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if values.size:
            yield values


def _chunks_within(array: npt.NDArray[Any], low: float, high: float) -> Iterator[npt.NDArray[Any]]:
    for values in _finite_chunks(array):
        if values.min() >= low and values.max() <= high:
            yield values
        else:
            yield values[(values >= low) & (values <= high)]


def _between(low: float, high: float) -> IntensityMap:
    """The map of [low, high] to [-1, 1]; an empty range maps everything to -1."""
    if high <= low:
        return IntensityMap(low, 0.0, -1.0, -1.0, floor=-1.0)
    return IntensityMap((low + high) / 2, 2 / (high - low), -1.0, 1.0, floor=-1.0)


def _invalid(what: str) -> GANSegmentationError:
    return GANSegmentationError("invalid_slicing", f"The way of slicing cannot be used: {what}.")
