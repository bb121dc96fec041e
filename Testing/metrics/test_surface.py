"""Surface distances: by hand, by brute force, and against MedPy, MONAI and SimpleITK where the definitions agree."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import SurfaceDistances, surface, surface_distances

BoolArray = npt.NDArray[np.bool_]
Cases = Callable[..., Iterator[tuple[BoolArray, BoolArray, tuple[float, ...]]]]
MEASURES = ("hd_mm", "hd95_mm", "hd95_pooled_mm", "assd_mm", "masd_mm")


def _surface_by_looking(mask: BoolArray) -> list[tuple[int, ...]]:
    """Every foreground voxel that has, across one of its faces, background or the end of the image."""
    found = []
    for index in itertools.product(*(range(n) for n in mask.shape)):
        if not mask[index]:
            continue
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            other = tuple(i + step * (a == axis) for a, i in enumerate(index))
            inside = all(0 <= i < n for i, n in zip(other, mask.shape, strict=True))
            if not inside or not mask[other]:
                found.append(index)
                break
    return found


def _directed_by_looking(mask: BoolArray, reference: BoolArray, spacing: tuple[float, ...]) -> np.ndarray:
    own, other = (np.array(_surface_by_looking(one)) * spacing for one in (mask, reference))
    return np.sqrt(((own[:, None] - other[None]) ** 2).sum(-1)).min(1)


def _values(distances: SurfaceDistances) -> dict[str, float]:
    return {name: getattr(distances, name) for name in MEASURES}


@pytest.mark.parametrize("dimensions", [2, 3])
def test_every_distance_equals_brute_force(random_cases: Cases, dimensions: int) -> None:
    largest = 8 if dimensions == 3 else 16
    for mask, reference, spacing in random_cases(70, dimensions=dimensions, largest=largest, seed=1):
        found = surface_distances(mask, reference, spacing)
        forth, back = _directed_by_looking(mask, reference, spacing), _directed_by_looking(reference, mask, spacing)
        np.testing.assert_allclose(np.sort(found.to_reference), np.sort(forth), atol=1e-9)
        np.testing.assert_allclose(np.sort(found.to_mask), np.sort(back), atol=1e-9)
        both = np.concatenate((forth, back))
        assert found.hd_mm == pytest.approx(both.max())
        assert found.hd95_mm == pytest.approx(max(np.percentile(forth, 95), np.percentile(back, 95)))
        assert found.hd95_pooled_mm == pytest.approx(np.percentile(both, 95))
        assert found.assd_mm == pytest.approx(both.mean())
        assert found.masd_mm == pytest.approx((forth.mean() + back.mean()) / 2)


def test_surface_equals_looking_at_every_neighbour(random_cases: Cases) -> None:
    for mask, _, _ in random_cases(60, seed=2):
        assert [tuple(index) for index in np.argwhere(surface(mask))] == _surface_by_looking(mask)


def test_medpy_gives_the_same(random_cases: Cases) -> None:
    binary = pytest.importorskip("medpy.metric.binary")
    for mask, reference, spacing in random_cases(40, seed=3):
        found = surface_distances(mask, reference, spacing)
        assert found.hd_mm == pytest.approx(binary.hd(mask, reference, spacing), abs=1e-9)
        assert found.hd95_pooled_mm == pytest.approx(binary.hd95(mask, reference, spacing), abs=1e-9)
        assert found.assd_mm == pytest.approx(binary.assd(mask, reference, spacing), abs=1e-9)


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_monai_gives_the_same(random_cases: Cases) -> None:
    metrics, torch = pytest.importorskip("monai.metrics"), pytest.importorskip("torch")
    for mask, reference, spacing in random_cases(25, seed=4):
        tensors = [torch.from_numpy(array)[None, None] for array in (mask, reference)]
        options = {"include_background": True, "spacing": spacing}
        found = surface_distances(mask, reference, spacing)
        hd = metrics.compute_hausdorff_distance(*tensors, **options)
        hd95 = metrics.compute_hausdorff_distance(*tensors, percentile=95, **options)
        assd = metrics.compute_average_surface_distance(*tensors, symmetric=True, **options)
        assert found.hd_mm == pytest.approx(float(hd), rel=1e-5)
        assert found.hd95_mm == pytest.approx(float(hd95), rel=1e-5)
        assert found.assd_mm == pytest.approx(float(assd), rel=1e-5)


def test_simpleitk_gives_the_same_from_one_contour_to_the_other(random_cases: Cases) -> None:
    """ITK's contour (face neighbours) away from the image border is our surface. Its Hausdorff filter takes all voxels
    of an object: given the contours, it measures what we do, and its average is the mean of the directed means. (Its
    signed distance map of a mask measures to another contour.)"""
    sitk = pytest.importorskip("SimpleITK")

    def contour(mask: BoolArray, spacing: tuple[float, ...]) -> object:
        image = sitk.GetImageFromArray(np.pad(mask, 1).astype(np.uint8))
        image.SetSpacing(spacing[::-1])
        return sitk.LabelContour(image, fullyConnected=False)

    for mask, reference, spacing in random_cases(40, seed=5):
        own, other = contour(mask, spacing), contour(reference, spacing)
        assert np.array_equal(sitk.GetArrayFromImage(own)[1:-1, 1:-1, 1:-1] != 0, surface(mask))
        hausdorff = sitk.HausdorffDistanceImageFilter()
        hausdorff.Execute(own, other)
        found = surface_distances(mask, reference, spacing)
        assert found.hd_mm == pytest.approx(hausdorff.GetHausdorffDistance(), rel=1e-5)
        assert found.masd_mm == pytest.approx(hausdorff.GetAverageHausdorffDistance(), rel=1e-5, abs=1e-6)


def test_concentric_spheres_differ_by_their_radii() -> None:
    spacing = (1.5, 1.0, 0.8)
    grid = np.meshgrid(
        *((np.arange(n) - n / 2) * s for n, s in zip((60, 80, 100), spacing, strict=True)), indexing="ij"
    )
    radius = np.sqrt(sum(axis**2 for axis in grid))
    found = surface_distances(radius < 35, radius < 25, spacing)
    for name, value in _values(found).items():
        assert value == pytest.approx(10, abs=1.5), name
    assert found.assd_mm == pytest.approx(10, abs=0.5)


def test_disks_forty_apart_are_forty_apart() -> None:
    """The Hausdorff distance of masks, not of the rows of an image: two equal disks that lie one above the other."""
    y, x = np.mgrid[0:120, 0:120]
    disk, lower = (np.hypot(y - centre, x - 60) <= 15 for centre in (30, 70))
    assert surface_distances(disk, lower, (1.0, 1.0)).hd_mm == 40
    assert surface_distances(disk, lower, (0.5, 2.0)).hd_mm == 20


def test_boxes_apart_along_every_axis() -> None:
    spacing = (3.0, 0.7, 1.1)
    box = np.zeros((12, 12, 12), dtype=bool)
    box[2:5, 2:5, 2:5] = True
    for axis in range(3):
        found = surface_distances(np.roll(box, 4, axis), box, spacing)
        assert found.hd_mm == pytest.approx(4 * spacing[axis])
        assert found.masd_mm == found.assd_mm


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_single_voxels(dtype: type) -> None:
    mask, reference = np.zeros((2, 5, 6, 7), dtype=dtype)
    mask[1, 2, 3] = reference[3, 2, 1] = 1
    found = surface_distances(mask, reference, (2.0, 1.0, 0.5))
    assert list(_values(found).values()) == pytest.approx([math.hypot(4.0, 1.0)] * len(MEASURES))


def test_equal_masks_have_distance_zero() -> None:
    mask = np.random.default_rng(0).random((6, 7, 8)) < 0.5
    assert set(_values(surface_distances(mask, mask.copy(), (3, 1, 1))).values()) == {0.0}


def test_image_border_is_surface() -> None:
    """A block in the corner against one that is a slice thinner at the border: the faces at the border count."""
    mask = np.zeros((8, 8, 8), dtype=bool)
    mask[:4, :4, :4] = True
    reference = mask.copy()
    reference[0] = False
    assert surface(mask).sum() == 4**3 - 2**3
    assert surface_distances(mask, reference, (2.5, 1, 1)).hd_mm == 2.5


def test_a_full_volume_has_its_faces_as_surface() -> None:
    full = np.ones((4, 5, 6), dtype=bool)
    assert surface(full).sum() == full.size - 2 * 3 * 4
    voxel = np.zeros_like(full)
    voxel[0, 0, 0] = True
    assert surface_distances(voxel, full, (1, 1, 1)).hd_mm == pytest.approx(math.sqrt(9 + 16 + 25))


def test_where_the_outside_is_mask_the_border_is_no_surface() -> None:
    full = np.ones((4, 5, 6), dtype=bool)
    assert not surface(full, [(True, True)] * 3).any()
    first_face_only = surface(full, [(False, True), (True, True), (True, True)])
    assert first_face_only[0].all()
    assert not first_face_only[1:].any()


def test_empty_masks() -> None:
    empty, mask = np.zeros((3, 4, 5), dtype=bool), np.ones((3, 4, 5), dtype=bool)
    assert all(math.isnan(value) for value in _values(surface_distances(empty, empty, (1, 1, 1))).values())
    for pair in ((empty, mask), (mask, empty)):
        assert set(_values(surface_distances(*pair, (1, 1, 1))).values()) == {math.inf}


def test_the_order_of_memory_does_not_matter(random_cases: Cases) -> None:
    for mask, reference, spacing in random_cases(10, seed=6):
        turned = surface_distances(np.asfortranarray(mask), reference[::-1][::-1].astype(np.uint8) * 255, spacing)
        assert _values(turned) == _values(surface_distances(mask, reference, spacing))


def test_many_points_are_shared_among_threads_without_a_difference() -> None:
    z, y, x = np.mgrid[-40:40, -40:40, -40:40]
    ball, egg = z**2 + y**2 + x**2 < 35**2, z**2 + (y - 3) ** 2 + 1.2 * x**2 < 33**2
    found = surface_distances(egg, ball, (1.0, 0.9, 1.3))
    edges = [np.argwhere(surface(one)) * (1.0, 0.9, 1.3) for one in (egg, ball)]
    some = edges[0][::97]
    nearest = np.sqrt(((some[:, None] - edges[1][None]) ** 2).sum(-1)).min(1)
    assert found.to_reference.size > 10_000
    assert np.isin(np.round(nearest, 9), np.round(found.to_reference, 9)).all()


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(GANSegmentationError) as caught:
        surface_distances(np.ones((2, 3, 4), bool), np.ones((1, 3, 4), bool), (1, 1, 1))
    assert caught.value.code == "shape_mismatch"
