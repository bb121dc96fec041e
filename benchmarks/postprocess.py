"""From scores of 150 slices to a clean labelmap at full size: this library and the usual ones, step by step.

``python benchmarks/postprocess.py [--rounds N] [--stages]``. The steps: scores 256 x 256 to labels 512 x 512, the
largest component (6 neighbours), holes filled slice by slice.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk  # noqa: N813
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from phantom import SHAPE, SPACING_ZYX, mask_pair
from timing import alternate, report

from GANSegmentationLib.inference import postprocess
from GANSegmentationLib.models import PostProcessing
from GANSegmentationLib.slicing import LabelAssembler, SliceSpec, SliceStack, Window
from GANSegmentationLib.volumes import Geometry, Volume

Array = npt.NDArray[np.uint8]
GEOMETRY = Geometry(SHAPE[::-1], SPACING_ZYX[::-1])
OURS = "this library"
BATCH = 8


def phantom_scores() -> Tensor:
    """Scores ``(150, 1, 256, 256)`` as a network gives them: the phantom with islands and holes, a soft contour."""
    mask, _ = mask_pair()
    generator = np.random.default_rng(0)
    for centre in generator.integers((0, 0, 0), np.array(SHAPE) - 6, (380, 3)):
        box = tuple(slice(start, start + size) for start, size in zip(centre, generator.integers(2, 6, 3), strict=True))
        mask[box] ^= True
    halves = torch.from_numpy(mask.astype(np.float32))[:, None]
    return torch.nn.functional.avg_pool2d(halves, 2) * 8 - 4


class Ours:
    """This library; batches arrive as the predictor gives them."""

    def __init__(self) -> None:
        volume = Volume(np.zeros(SHAPE, np.int16), GEOMETRY, "CT")
        self.stack = SliceStack([volume], SliceSpec("axial", 1, 256, 1, Window(0.0, 1.0)))

    def restore(self, scores: Tensor) -> Array:
        assembler = LabelAssembler(self.stack)
        for start in range(0, len(scores), BATCH):
            assembler.put(start, self.stack.restore(scores[start : start + BATCH]))
        return assembler.result()

    def largest(self, labels: Array) -> Array:
        return postprocess(labels, PostProcessing(largest_component=True), GEOMETRY)[0]

    def fill(self, labels: Array) -> Array:
        return postprocess(labels, PostProcessing(fill_holes=True), GEOMETRY)[0]


class Scipy:
    """scipy.ndimage as most scripts use it; its zoom in the half-pixel grid, so that the results compare."""

    def restore(self, scores: Tensor) -> Array:
        from scipy import ndimage

        full = ndimage.zoom(scores[:, 0].numpy(), (1, 2, 2), order=1, grid_mode=True, mode="nearest")
        return (full > 0).view(np.uint8)

    def largest(self, labels: Array) -> Array:
        from scipy import ndimage

        component, _ = ndimage.label(labels)
        sizes = np.bincount(component.ravel())
        sizes[0] = 0
        return (component == sizes.argmax()).view(np.uint8)

    def fill(self, labels: Array) -> Array:
        from scipy import ndimage

        return np.stack([ndimage.binary_fill_holes(part) for part in labels]).view(np.uint8)


class SimpleItk:
    """SimpleITK's filters."""

    def restore(self, scores: Tensor) -> Array:
        image = sitk.GetImageFromArray(scores[:, 0].numpy())
        image.SetSpacing((1.4, 1.4, 3.0))
        reference = sitk.Image(SHAPE[::-1], sitk.sitkUInt8)
        reference.SetSpacing((0.7, 0.7, 3.0))
        reference.SetOrigin((-0.35, -0.35, 0.0))
        resampler = sitk.ResampleImageFilter()
        resampler.SetReferenceImage(reference)
        resampler.SetInterpolator(sitk.sitkLinear)
        resampler.SetOutputPixelType(sitk.sitkFloat32)
        resampler.UseNearestNeighborExtrapolatorOn()
        return sitk.GetArrayFromImage(resampler.Execute(image) > 0)

    def largest(self, labels: Array) -> Array:
        ranked = sitk.RelabelComponent(sitk.ConnectedComponent(sitk.GetImageFromArray(labels)))
        return sitk.GetArrayFromImage(ranked == 1)

    def fill(self, labels: Array) -> Array:
        filled = [sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(part))) for part in labels]
        return np.stack(filled)


class Monai:
    """MONAI's transforms; its own way to enlarge is torch's, for all slices at once."""

    def restore(self, scores: Tensor) -> Array:
        full = torch.nn.functional.interpolate(scores, size=SHAPE[1:], mode="bilinear", align_corners=False)
        return (full[:, 0] > 0).numpy().view(np.uint8)

    def largest(self, labels: Array) -> Array:
        from monai.transforms import KeepLargestConnectedComponent

        return np.asarray(KeepLargestConnectedComponent(connectivity=1)(labels[None])[0], np.uint8)

    def fill(self, labels: Array) -> Array:
        from monai.transforms import FillHoles

        fill = FillHoles()
        return np.stack([np.asarray(fill(part[None])[0], np.uint8) for part in labels])


Library = Ours | Scipy | SimpleItk | Monai


def whole(library: Library, scores: Tensor) -> Array:
    return library.fill(library.largest(library.restore(scores)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--stages", action="store_true", help="time every step by itself, too")
    arguments = parser.parse_args()

    scores = phantom_scores()
    libraries: dict[str, Library] = {OURS: Ours(), "scipy": Scipy(), "SimpleITK": SimpleItk(), "MONAI": Monai()}
    if importlib.util.find_spec("skimage") is None:
        complete = {name: library for name, library in libraries.items() if name != "MONAI"}
        print("MONAI needs scikit-image for the largest component: only its other steps are timed (--stages).")
    else:
        complete = libraries
    expected = whole(libraries[OURS], scores)
    different = {name: int(np.count_nonzero(whole(peer, scores) != expected)) for name, peer in complete.items()}
    notes = (
        f"150 x 256 x 256 scores to 150 x 512 x 512 labels ({int(expected.sum())} voxels), largest component, holes "
        f"slice by slice. Voxels that differ from ours: "
        + ", ".join(f"{name} {count}" for name, count in different.items() if name != OURS)
    )
    timings = alternate(
        {name: functools.partial(whole, library, scores) for name, library in complete.items()}, arguments.rounds
    )
    report("postprocess", timings, ours=OURS, notes=notes, extra={"voxels_that_differ": different})
    if arguments.stages:
        labels = libraries[OURS].restore(scores)
        report_stage("restore", libraries, scores, arguments.rounds)
        report_stage("largest", complete, labels, arguments.rounds)
        report_stage("fill", libraries, libraries[OURS].largest(labels), arguments.rounds)


def report_stage(step: str, libraries: Mapping[str, Library], given: Array | Tensor, rounds: int) -> None:
    """Time one step by itself, each library given the same input."""
    variants = {name: functools.partial(getattr(library, step), given) for name, library in libraries.items()}
    report(f"postprocess_{step}", alternate(variants, rounds), ours=OURS)


if __name__ == "__main__":
    main()
