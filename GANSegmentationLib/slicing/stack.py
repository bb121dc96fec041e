"""Volumes as a stack of network-ready slices, and the labels of those slices back on the volumes' grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError
from ..volumes import Volume
from .normalisation import IntensityMap, Normalisation
from .orientation import PLANES, orient
from .resize import CHUNK, labels_from_scores, resize

if TYPE_CHECKING:
    import torch
    from torch import Tensor

NEIGHBOURS: Final = (1, 3, 5)
"""How many adjacent slices a network may see of each volume: its own, and none, one or two on either side (2.5D)."""

_LARGEST_SIDE = 4096


@dataclass(frozen=True)
class SliceSpec:
    """How a network wants its slices; part of every model card.

    Parameters
    ----------
    plane:
        ``"axial"``, ``"coronal"``, ``"sagittal"``, or ``"acquisition"`` for the volume's own slices.
    neighbours:
        1, 3 or 5 adjacent slices of each volume as channels.
    size:
        Pixels of the physically longer side of a slice after resampling; pixels become square. 0 leaves slices as they
        are, for networks that learnt at one pixel size and meet slices of any extent at that size (microscopy).
    multiple:
        Both sides are padded to a multiple of it.
    normalisation:
        What happens to intensities.

    Raises
    ------
    GANSegmentationError
        ``invalid_slicing`` if a value is not possible.
    """

    plane: str
    neighbours: int
    size: int
    multiple: int
    normalisation: Normalisation

    def __post_init__(self) -> None:
        if self.plane not in PLANES:
            raise _invalid(f"the plane is {self.plane!r}, not one of {', '.join(PLANES)}")
        if not _is_whole(self.neighbours) or self.neighbours not in NEIGHBOURS:
            raise _invalid(f"the number of neighbouring slices is {self.neighbours!r}, not 1, 3 or 5")
        for name in ("size", "multiple"):
            value = getattr(self, name)
            least = 0 if name == "size" else 1
            if not _is_whole(value) or not least <= value <= _LARGEST_SIDE:
                raise _invalid(f"{name} is {value!r}, not a whole number from {least} to {_LARGEST_SIDE}")
        if not isinstance(self.normalisation, Normalisation):
            raise _invalid("there is no normalisation")

    def to_dict(self) -> dict[str, Any]:
        """Plain types for JSON."""
        return {
            "plane": self.plane,
            "neighbours": self.neighbours,
            "size": self.size,
            "multiple": self.multiple,
            "normalisation": self.normalisation.to_dict(),
        }

    @classmethod
    def from_dict(cls, description: Mapping[str, Any]) -> SliceSpec:
        """The specification that `to_dict` described.

        Raises
        ------
        GANSegmentationError
            ``invalid_slicing`` for missing or unknown fields and impossible values.
        """
        expected = {"plane", "neighbours", "size", "multiple", "normalisation"}
        if set(description) != expected:
            raise _invalid(f"its fields are {sorted(description)}, not {sorted(expected)}")
        if not isinstance(description["normalisation"], Mapping):
            raise _invalid("the normalisation is not an object")
        values = {**description, "normalisation": Normalisation.from_dict(description["normalisation"])}
        return cls(**values)


class SliceStack:
    """Volumes on one grid as a stack of slices for a network, in radiological display (see `orient`).

    Only the slices asked for are copied; the volumes themselves stay as they are, in their own number type.

    Parameters
    ----------
    volumes:
        The input volumes of a model, in the order of its channels, on one grid.
    spec:
        How to slice.
    intensities:
        The normalisation of each volume where it has been fitted before; None fits `spec`'s to each volume, by the
        volume's modality where the scheme depends on it.

    Raises
    ------
    GANSegmentationError
        ``no_volume`` without a volume, ``geometry_mismatch`` if the grids differ, ``modality_unknown`` if the
        normalisation depends on the modality and has none for a volume's.

    Examples
    --------
    >>> stack = SliceStack([ct], SliceSpec("axial", 1, 256, 32, Window(0, 160)))
    >>> assembler = LabelAssembler(stack)
    >>> for start in range(0, stack.n_slices, 8):
    ...     stop = min(start + 8, stack.n_slices)
    ...     assembler.put(start, stack.restore(network(stack.batch(start, stop))))
    >>> labels = assembler.result()
    """

    def __init__(
        self, volumes: Sequence[Volume], spec: SliceSpec, intensities: Sequence[IntensityMap] | None = None
    ) -> None:
        if not volumes:
            raise GANSegmentationError("no_volume", "There is no volume to slice.", action="Choose an input volume.")
        _check_one_grid(volumes)
        self.volumes = tuple(volumes)
        self.spec = spec
        self.geometry = volumes[0].geometry
        self.orientation = orient(self.geometry, spec.plane)
        self.plane = self.orientation.plane
        """What the slices are nearest to: ``"axial"``, ``"coronal"`` or ``"sagittal"``."""
        self.channels = len(volumes) * spec.neighbours
        shape = [self.geometry.shape[axis] for axis in self.orientation.axes]
        spacing = [self.geometry.spacing_zyx[axis] for axis in self.orientation.axes]
        self.n_slices = shape[0]
        self.in_plane_shape = (shape[1], shape[2])
        """Rows and columns of a displayed slice at the volume's own resolution, ``(h, w)``."""
        self.slice_spacing_mm = spacing[0]
        self.in_plane_spacing_mm = (spacing[1], spacing[2])
        self.resized_shape = self.in_plane_shape
        if spec.size:
            self.resized_shape = _square_pixels(self.in_plane_shape, self.in_plane_spacing_mm, spec.size)
        """Rows and columns with square pixels, before padding."""
        rows, columns = self.resized_shape
        self.network_shape = (_padded(rows, spec.multiple), _padded(columns, spec.multiple))
        """Rows and columns of a network slice, ``(H, W)``."""
        self._slices = [self.orientation.apply(volume.array) for volume in self.volumes]
        self.intensities = tuple(
            intensities
            or (spec.normalisation.for_modality(volume.modality).fit(volume.array) for volume in self.volumes)
        )
        """The fitted normalisation of each volume."""

    def batch(
        self, start: int, stop: int, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
    ) -> Tensor:
        """Network slices `start` to `stop` (exclusive): ``(stop - start, channels, H, W)`` on a device.

        Channels are ordered by volume, then by slice offset ascending; beyond the ends the outermost slice is repeated.
        Voxels travel to the device as they are stored; there they are normalised and resampled in float32, then
        converted to `dtype` (float32 where None).
        """
        import torch

        self._check_range(start, stop)
        reach = self.spec.neighbours // 2
        first, last = max(0, start - reach), min(self.n_slices, stop + reach)
        wanted = torch.arange(start, stop)[:, None] + torch.arange(-reach, reach + 1)
        wanted = (wanted.clamp(0, self.n_slices - 1) - first).to(device)
        parts = []
        for slices, intensity in zip(self._slices, self.intensities, strict=True):
            prepared = self._prepare(slices[first:last], intensity, device)
            parts.append(prepared[wanted] if reach else prepared[:, None])
        images = parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)
        return images if dtype is None else images.to(dtype)

    def labels(self, labels: npt.NDArray[Any], start: int, stop: int) -> Tensor:
        """Labels on the volumes' grid, ``(z, y, x)`` integer, as network slices: ``(n, H, W)`` int64, padded with 0.

        Each label's mask is resampled as the image is and the strongest one wins, so contours keep their place to a
        fraction of a pixel. For training and for measuring what resampling alone costs.
        """
        import torch

        if labels.shape != self.geometry.shape:
            raise ValueError(f"labels have the shape {labels.shape}, the volume {self.geometry.shape}")
        self._check_range(start, stop)
        part = torch.from_numpy(np.array(self.orientation.apply(labels)[start:stop], dtype=np.int64, order="C"))
        if self.resized_shape == self.in_plane_shape:
            return self._pad(part, 0)
        decided = torch.zeros((len(part), *self.resized_shape), dtype=torch.int64)
        strongest = torch.full(decided.shape, -1.0)
        for value in np.unique(part.numpy()).tolist():
            weight = resize((part == value)[:, None].float(), self.resized_shape)[:, 0]
            stronger = weight > strongest
            strongest[stronger] = weight[stronger]
            decided[stronger] = value
        return self._pad(decided, 0)

    def restore(self, scores: Tensor) -> Tensor:
        """A network's scores ``(n, classes, H, W)`` as labels ``(n, h, w)`` uint8 at the volume's in-plane resolution.

        One class: label 1 where the score is above 0; more: the class with the largest score. Padding is cut off,
        scores are resampled, then decided (see `labels_from_scores`), on the scores' device.
        """
        if tuple(scores.shape[-2:]) != self.network_shape or scores.ndim != 4:
            raise ValueError(
                f"scores have the shape {tuple(scores.shape)}, expected (n, classes, *{self.network_shape})"
            )
        return labels_from_scores(self.unpadded(scores), self.in_plane_shape)

    def restore_pictures(self, pictures: Tensor) -> Tensor:
        """A network's pictures ``(n, 1, H, W)`` at the volume's in-plane resolution: ``(n, h, w)`` float32.

        Padding is cut off and the rest resampled, on the pictures' device; values stay the network's.
        """
        if pictures.ndim != 4 or pictures.shape[1] != 1 or tuple(pictures.shape[-2:]) != self.network_shape:
            raise ValueError(f"pictures have the shape {tuple(pictures.shape)}, expected (n, 1, *{self.network_shape})")
        return resize(self.unpadded(pictures).float(), self.in_plane_shape)[:, 0]

    def unpadded(self, images: Tensor) -> Tensor:
        """Network slices ``(..., H, W)`` without their padding: a view ``(..., *resized_shape)``."""
        top, left = self._padding_before()
        height, width = self.resized_shape
        return images[..., top : top + height, left : left + width]

    def _prepare(self, slices: npt.NDArray[Any], intensity: IntensityMap, device: str | torch.device) -> Tensor:
        """Slices ``(n, h, w)`` as stored -> normalised, resampled and padded ``(n, H, W)`` float32."""
        import torch

        prepared = torch.empty((len(slices), *self.network_shape), dtype=torch.float32, device=device)
        for start in range(0, len(slices), CHUNK):
            raw = torch.from_numpy(_as_torch_can_read(slices[start : start + CHUNK])).to(device)
            part = intensity.apply_(raw.to(torch.float32), maybe_nan=raw.is_floating_point())
            part = resize(part[:, None], self.resized_shape)[:, 0]
            prepared[start : start + CHUNK] = self._pad(part, intensity.floor)
        return prepared

    def _padding_before(self) -> tuple[int, int]:
        top, left = ((full - inner) // 2 for full, inner in zip(self.network_shape, self.resized_shape, strict=True))
        return top, left

    def _pad(self, images: Tensor, value: float) -> Tensor:
        import torch.nn.functional as F

        top, left = self._padding_before()
        bottom = self.network_shape[0] - self.resized_shape[0] - top
        right = self.network_shape[1] - self.resized_shape[1] - left
        return F.pad(images, (left, right, top, bottom), value=value)

    def _check_range(self, start: int, stop: int) -> None:
        if not 0 <= start < stop <= self.n_slices:
            raise ValueError(f"slices {start} to {stop} do not lie in 0 to {self.n_slices}")


class SliceAssembler:
    """Collects what slices became into one array on the volumes' grid, in the volume's own axis order.

    Parameters
    ----------
    stack:
        The stack the slices come from.
    dtype:
        Number type of the array.
    """

    def __init__(self, stack: SliceStack, dtype: npt.DTypeLike) -> None:
        self._array = np.zeros(stack.geometry.shape, dtype)
        # A view: what is put slice by slice lands where it belongs, whatever the storage order, without a second copy.
        self._slices = stack.orientation.apply(self._array)
        self._filled = np.zeros(stack.n_slices, np.bool_)

    def put(self, start: int, slices: Tensor | npt.NDArray[Any]) -> None:
        """Slices ``(n, h, w)`` of the array's number type from `start` on, as `SliceStack` restores them."""
        block = np.asarray(slices if isinstance(slices, np.ndarray) else slices.cpu())
        stop = start + len(block)
        if start < 0 or stop > len(self._filled) or block.shape[1:] != self._slices.shape[1:]:
            raise ValueError(f"slices {block.shape} from slice {start} on do not fit {self._slices.shape}")
        if block.dtype != self._array.dtype:
            raise ValueError(f"slices are {block.dtype}, not {self._array.dtype}")
        self._slices[start:stop] = block
        self._filled[start:stop] = True

    def result(self) -> npt.NDArray[Any]:
        """The array ``(z, y, x)``; an error if a slice was never put, so that no gap can pass for background."""
        if not self._filled.all():
            raise ValueError(f"slices {np.flatnonzero(~self._filled).tolist()} were never put")
        return self._array


class LabelAssembler(SliceAssembler):
    """Collects the labels of slices, uint8 ``(n, h, w)`` as `SliceStack.restore` gives them; see `SliceAssembler`."""

    def __init__(self, stack: SliceStack) -> None:
        super().__init__(stack, np.uint8)


def _check_one_grid(volumes: Sequence[Volume]) -> None:
    first = volumes[0]
    for volume in volumes[1:]:
        if not volume.geometry.matches(first.geometry):
            raise GANSegmentationError(
                "geometry_mismatch",
                f"The volumes {first.name!r} and {volume.name!r} do not lie on the same grid: "
                f"{first.geometry.size} and {volume.geometry.size} voxels of {first.geometry.spacing} and "
                f"{volume.geometry.spacing} mm.",
                cause="They come from different series, or one was resampled or cropped.",
                action="Resample one volume to the grid of the other.",
            )


def _square_pixels(shape: tuple[int, int], spacing: tuple[float, float], size: int) -> tuple[int, int]:
    """Rows and columns after the physically longer side became `size` square pixels; at least one each."""
    height, width = (n * step for n, step in zip(shape, spacing, strict=True))
    longer = max(height, width)
    return max(1, round(size * height / longer)), max(1, round(size * width / longer))


def _padded(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _as_torch_can_read(slices: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A fresh contiguous copy of a few slices, of the nearest type that every torch device reads."""
    # A copy even where the slices are contiguous: torch must not share (and could write to) the volume's memory.
    kind, width = slices.dtype.kind, slices.dtype.itemsize
    target: npt.DTypeLike
    if kind == "b":
        target = np.uint8
    elif kind == "u" and width == 2:
        target = np.int32  # unsigned 16 bit is missing on some devices
    elif kind in "iu" and width <= 2:
        target = {("i", 1): np.int8, ("u", 1): np.uint8, ("i", 2): np.int16}[kind, width]
    else:
        target = np.float32
    return np.array(slices, dtype=target, order="C")


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _invalid(what: str) -> GANSegmentationError:
    return GANSegmentationError("invalid_slicing", f"The way of slicing cannot be used: {what}.")
