"""A volume goes to network slices and its labels come back to the same voxels, for every storage order and size."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.slicing import (
    ByModality,
    LabelAssembler,
    Percentiles,
    SliceAssembler,
    SliceSpec,
    SliceStack,
    Window,
    ZScore,
)
from GANSegmentationLib.volumes import Geometry, Volume


def spec(plane="axial", neighbours=1, size=8, multiple=1, normalisation=None):
    return SliceSpec(plane, neighbours, size, multiple, normalisation or Window(0, 100))


def plain(array, spacing=(1.0, 1.0, 1.0)):
    return Volume(array, Geometry(array.shape[::-1], spacing))


def restore_all(stack, score_of, batch_size=3):
    """Labels on the volume's grid from ``score_of(start, stop) -> scores``, in batches as a predictor does it."""
    assembler = LabelAssembler(stack)
    for start in range(0, stack.n_slices, batch_size):
        stop = min(start + batch_size, stack.n_slices)
        assembler.put(start, stack.restore(score_of(start, stop)))
    return assembler.result()


def one_hot(labels, classes):
    return torch.nn.functional.one_hot(labels, classes).permute(0, 3, 1, 2).float()


# ---------------------------------------------------------------------------------------------------- identity


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal", "acquisition"])
def test_labels_come_back_exactly_for_every_storage_order(plane, storage, store):
    generator = np.random.default_rng(1)
    volume = store(generator.integers(0, 4, (5, 7, 6)).astype(np.uint8), order=storage)
    size = max(SliceStack([volume], spec(plane)).in_plane_shape)
    stack = SliceStack([volume], spec(plane, size=size, multiple=4))
    assert stack.resized_shape == stack.in_plane_shape
    labels = restore_all(stack, lambda start, stop: one_hot(stack.labels(volume.array, start, stop), 4))
    np.testing.assert_array_equal(labels, volume.array)


@settings(deadline=None, max_examples=80)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    plane=st.sampled_from(["axial", "coronal", "sagittal", "acquisition"]),
    neighbours=st.sampled_from([1, 3, 5]),
    multiple=st.integers(1, 16),
    batch_size=st.integers(1, 4),
    seed=st.integers(0, 1000),
)
def test_any_small_volume_comes_back_exactly_through_its_own_intensities(
    shape, plane, neighbours, multiple, batch_size, seed
):
    binary = np.random.default_rng(seed).integers(0, 2, shape).astype(np.int16)
    volume = plain(binary)
    probe = SliceStack([volume], spec(plane))
    stack = SliceStack(
        [volume], spec(plane, neighbours, max(probe.in_plane_shape), multiple, normalisation=Window(0, 1))
    )
    middle = neighbours // 2
    labels = restore_all(stack, lambda a, b: stack.batch(a, b)[:, middle : middle + 1], batch_size)
    np.testing.assert_array_equal(labels, binary)


@pytest.mark.parametrize("shape", [(1, 255, 255), (2, 300, 511), (1, 1, 1), (3, 1, 40)])
def test_odd_sizes_come_back_exactly(shape):
    labels = np.random.default_rng(2).integers(0, 3, shape).astype(np.uint8)
    volume = plain(labels)
    stack = SliceStack([volume], spec(size=max(shape[1:]), multiple=32))
    assert all(side % 32 == 0 for side in stack.network_shape)
    back = restore_all(stack, lambda start, stop: one_hot(stack.labels(labels, start, stop), 3))
    np.testing.assert_array_equal(back, labels)


# ------------------------------------------------------------------------------------------ resampled round trip


def smooth_blob(shape):
    """A smooth asymmetric body of about half of the field of view."""
    grids = np.meshgrid(*[(np.arange(n) + 0.5) / n for n in shape], indexing="ij")
    z, y, x = (grid - centre for grid, centre in zip(grids, (0.52, 0.45, 0.56), strict=True))
    radius = 0.27 + 0.05 * np.sin(2 * np.arctan2(y, x) + 0.6)
    return ((z / 1.3) ** 2 + y**2 + x**2 < radius**2).astype(np.uint8)


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


USUAL_SCANS = [
    ((7, 512, 512), (3.0, 0.7, 0.7), 256),  # the usual CT, exactly 2:1
    ((5, 300, 511), (2.5, 0.9, 0.9), 256),
    ((5, 255, 255), (5.0, 1.2, 1.2), 256),
]
SOLID_SCANS = [
    ((60, 200, 160), (2.0, 1.1, 1.9), 192),  # anisotropic pixels in every plane
    ((40, 120, 150), (3.0, 2.1, 1.4), 256),  # enlarged
]


@pytest.mark.parametrize(
    ("plane", "shape", "spacing", "size"),
    [("axial", *scan) for scan in USUAL_SCANS]
    + [(plane, *scan) for plane in ("axial", "coronal", "sagittal") for scan in SOLID_SCANS],
)
def test_a_smooth_blob_returns_to_its_place(plane, shape, spacing, size):
    blob = smooth_blob(shape)
    volume = plain(blob.astype(np.int16) * 100, spacing[::-1])
    stack = SliceStack([volume], spec(plane, size=size, multiple=32))
    back = restore_all(stack, lambda start, stop: stack.batch(start, stop), batch_size=8)
    assert dice(back, blob) > 0.99
    drift = np.array([grid.mean() for grid in np.nonzero(back)]) - [grid.mean() for grid in np.nonzero(blob)]
    assert np.abs(drift).max() < 0.1  # voxels


def test_network_labels_follow_the_image_through_resampling():
    blob = smooth_blob((4, 300, 420))
    two = blob * (1 + (np.arange(420) > 220).astype(np.uint8))
    stack = SliceStack([plain(two)], spec(size=200, multiple=16))
    labels = stack.labels(two, 0, 4)
    back = restore_all(stack, lambda start, stop: one_hot(labels[start:stop], 3))
    for value in (1, 2):
        assert dice(back == value, two == value) > 0.98
    np.testing.assert_allclose(np.mean(np.nonzero(back == 1), axis=1), np.mean(np.nonzero(two == 1), axis=1), atol=0.3)


@pytest.mark.parametrize("spacing_yx", [(1.0, 1.0), (0.8, 1.6), (2.0, 0.5)])
def test_network_pixels_are_square(spacing_yx):
    stack = SliceStack([plain(np.zeros((2, 60, 90), np.int16), (spacing_yx[1], spacing_yx[0], 1.0))], spec(size=128))
    pixel = [n * step / resized for n, step, resized in zip((60, 90), spacing_yx, stack.resized_shape, strict=True)]
    assert max(stack.resized_shape) == 128
    assert pixel[0] == pytest.approx(pixel[1], rel=0.02)


# ----------------------------------------------------------------------------------------------- where things are


@pytest.mark.parametrize("neighbours", [1, 3])
def test_a_marked_voxel_is_at_the_same_place_of_the_network_slice_for_every_storage_order(neighbours, storage, store):
    """One bright voxel superior, anterior and far to the patient's left."""
    canonical = np.zeros((6, 8, 10), np.int16)
    canonical[4, 1, 9] = 100
    volume = store(canonical, order=storage)
    for plane, place in {
        "axial": (4, 1, 9),  # slice from inferior, row from anterior, column: patient's left is the right of the image
        "coronal": (1, 1, 9),  # slice from anterior, row from superior
        "sagittal": (9, 1, 1),  # slice from the right, row from superior, column from anterior
    }.items():
        probe = SliceStack([volume], spec(plane))
        stack = SliceStack([volume], spec(plane, neighbours, size=max(probe.in_plane_shape)))
        images = stack.batch(0, stack.n_slices)[:, neighbours // 2]
        assert np.argwhere(images.numpy() > 0).tolist() == [list(place)]


def test_padding_is_air_centred_and_cut_away():
    volume = plain(np.full((1, 5, 7), 50, np.int16))
    stack = SliceStack([volume], spec(size=7, multiple=16))
    image = stack.batch(0, 1)[0, 0]
    assert image.shape == (16, 16)
    expected = torch.full((16, 16), -1.0)
    expected[5:10, 4:11] = 0.0
    torch.testing.assert_close(image, expected)
    assert stack.restore(torch.ones(1, 1, 16, 16)).shape == (1, 5, 7)


def test_a_z_scored_volume_is_padded_with_its_darkest_voxel():
    array = np.arange(24, dtype=np.int16).reshape(1, 4, 6)
    stack = SliceStack([plain(array)], spec(size=6, multiple=8, normalisation=ZScore(9)))
    image = stack.batch(0, 1)[0, 0]
    assert image[0, 0] == image.min() == pytest.approx((0 - array.mean()) / array.std(), abs=1e-6)


# --------------------------------------------------------------------------------------------- neighbours, channels


def test_neighbours_ascend_and_the_end_slices_repeat():
    array = np.broadcast_to(np.arange(5, dtype=np.int16)[:, None, None], (5, 4, 4))
    stack = SliceStack([plain(array)], spec(neighbours=5, size=4, normalisation=Window(0, 2)))
    seen = stack.batch(0, 5)[:, :, 0, 0] + 1
    clamp = lambda k: min(max(k, 0), 2)  # noqa: E731
    expected = [[clamp(min(max(k + offset, 0), 4)) for offset in range(-2, 3)] for k in range(5)]
    assert seen.tolist() == expected


@pytest.mark.parametrize("neighbours", [1, 3, 5])
def test_batches_are_the_same_however_they_are_cut(neighbours):
    array = np.random.default_rng(0).integers(0, 100, (19, 12, 9)).astype(np.int16)
    stack = SliceStack([plain(array)], spec(neighbours=neighbours, size=10, multiple=4))
    whole = stack.batch(0, 19)
    for step in (1, 2, 7):
        parts = torch.cat([stack.batch(k, min(k + step, 19)) for k in range(0, 19, step)])
        torch.testing.assert_close(parts, whole, rtol=0, atol=0)


def test_a_single_slice_is_its_own_neighbour():
    stack = SliceStack([plain(np.full((1, 4, 4), 100, np.int16))], spec(neighbours=5, size=4))
    assert stack.batch(0, 1).shape == (1, 5, 4, 4)
    assert bool((stack.batch(0, 1) == 1).all())


def test_channels_are_ordered_by_volume_then_offset():
    ramp = np.broadcast_to(np.arange(4, dtype=np.int16)[:, None, None], (4, 4, 4))
    stack = SliceStack([plain(ramp), plain(ramp + 10)], spec(neighbours=3, size=4, normalisation=Window(0, 20)))
    assert stack.channels == 6
    assert ((stack.batch(2, 3)[0, :, 0, 0] + 1) * 10).round().tolist() == [1, 2, 3, 11, 12, 13]


def test_each_volume_is_normalised_by_its_own_percentiles():
    ramp = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    stack = SliceStack([plain(ramp), plain(ramp * 1000 + 5)], spec(normalisation=Percentiles(0, 100)))
    first, second = stack.batch(0, 1)[0]
    torch.testing.assert_close(first, second, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "dtype", ["?", "i1", "u1", "<i2", ">i2", "<u2", ">u2", "i4", "u4", "i8", "u8", "f2", "<f4", ">f4", "f8"]
)
def test_every_number_type_gives_the_same_slices(dtype):
    array = np.random.default_rng(0).integers(0, 2, (3, 6, 6))
    reference = SliceStack([plain(array.astype(np.int16))], spec(normalisation=Window(0, 1))).batch(0, 3)
    stack = SliceStack([plain(array.astype(dtype))], spec(normalisation=Window(0, 1)))
    torch.testing.assert_close(stack.batch(0, 3), reference)


@pytest.mark.parametrize("dtype", ["<u2", ">u2", "i4", "u4", "i8", "f4"])
def test_values_beyond_eight_and_fifteen_bits_do_not_wrap(dtype):
    values = [0, 300, 65000, 100]
    image = SliceStack([plain(np.array([[values]], dtype))], spec(size=4, normalisation=Window(0, 65000))).batch(0, 1)
    np.testing.assert_allclose((image.flatten() + 1) * 32500, values, atol=0.5)


def test_the_precision_is_the_one_asked_for():
    stack = SliceStack([plain(np.zeros((2, 4, 4), np.int16))], spec())
    assert stack.batch(0, 2).dtype == torch.float32
    assert stack.batch(0, 2, dtype=torch.bfloat16).dtype == torch.bfloat16


# -------------------------------------------------------------------------------------------------- what is refused


def test_volumes_on_different_grids_are_refused():
    array = np.zeros((2, 3, 4), np.int16)
    other = Volume(array, Geometry((4, 3, 2), (1.0, 1.0, 1.1)))
    with pytest.raises(GANSegmentationError) as caught:
        SliceStack([plain(array), other], spec())
    assert caught.value.code == "geometry_mismatch"


def test_no_volume_is_refused():
    with pytest.raises(GANSegmentationError) as caught:
        SliceStack([], spec())
    assert caught.value.code == "no_volume"


def test_a_missing_slice_cannot_pass_for_background():
    stack = SliceStack([plain(np.zeros((3, 4, 4), np.int16))], spec())
    assembler = LabelAssembler(stack)
    assembler.put(0, np.zeros((2, 4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"\[2\]"):
        assembler.result()


@pytest.mark.parametrize(("start", "stop"), [(-1, 2), (2, 2), (2, 4)])
def test_slices_that_are_not_there_are_refused(start, stop):
    stack = SliceStack([plain(np.zeros((3, 4, 4), np.int16))], spec())
    with pytest.raises(ValueError, match="do not lie in 0 to 3"):
        stack.batch(start, stop)


def test_pictures_come_back_to_the_volume_s_own_voxels(store, storage):
    """In every storage order, from slices that were padded, and doubled by resampling."""
    canonical = np.random.default_rng(0).uniform(0, 100, (3, 5, 7)).astype(np.float32)
    canonical = np.kron(canonical, np.ones((1, 2, 2), np.float32))  # pixels in pairs survive the way there and back
    volume = store(canonical, (4.0, 1.0, 1.0), storage)
    for size, tolerance in ((14, 1e-5), (28, 25.0)):
        stack = SliceStack([volume], spec(size=size, multiple=8))
        assembler = SliceAssembler(stack, np.float32)
        for start in range(0, 3, 2):
            pictures = stack.batch(start, min(start + 2, 3))
            assembler.put(start, stack.restore_pictures(pictures))
        found = (assembler.result() + 1) * 50
        assert found.dtype == np.float32 and found.shape == volume.array.shape
        assert np.abs(found - volume.array).max() < tolerance * 100
        assert np.abs(found - volume.array).mean() < tolerance


@pytest.mark.parametrize("shape", [(2, 4, 4), (2, 2, 4, 4), (2, 1, 4, 5)])
def test_pictures_of_another_shape_are_refused(shape):
    stack = SliceStack([plain(np.zeros((2, 4, 4), np.int16))], spec(size=4))
    with pytest.raises(ValueError, match="pictures have the shape"):
        stack.restore_pictures(torch.zeros(shape))


def test_an_assembler_keeps_its_number_type():
    assembler = SliceAssembler(SliceStack([plain(np.zeros((2, 4, 4), np.int16))], spec(size=4)), np.float32)
    with pytest.raises(ValueError, match="not float32"):
        assembler.put(0, np.zeros((1, 4, 4), np.float64))
    assembler.put(1, np.full((1, 4, 4), 2.5, np.float32))
    with pytest.raises(ValueError, match=r"slices \[0\] were never put"):
        assembler.result()


def test_labels_of_the_wrong_place_are_refused():
    assembler = LabelAssembler(SliceStack([plain(np.zeros((3, 4, 5), np.int16))], spec()))
    for start, block in [(2, np.zeros((2, 4, 5), np.uint8)), (0, np.zeros((1, 5, 4), np.uint8))]:
        with pytest.raises(ValueError, match="do not fit"):
            assembler.put(start, block)
    with pytest.raises(ValueError, match="not uint8"):
        assembler.put(0, np.zeros((1, 4, 5), np.int64))


@pytest.mark.parametrize("normalisation", [Percentiles(1, 99), ByModality({"CT": Window(0, 160), "MR": ZScore(3)})])
def test_a_specification_survives_its_dictionary(normalisation):
    original = spec("coronal", 3, 256, 32, normalisation)
    assert SliceSpec.from_dict(original.to_dict()) == original


@pytest.mark.parametrize(
    "change",
    [
        {"plane": "oblique"},
        {"neighbours": 2},
        {"neighbours": True},
        {"size": -1},
        {"size": 256.0},
        {"size": 1 << 20},
        {"multiple": -1},
        {"normalisation": "window"},
        {"normalisation": {"kind": "none"}},
        {"extra": 1},
    ],
)
def test_a_bad_specification_is_refused(change):
    with pytest.raises(GANSegmentationError) as caught:
        SliceSpec.from_dict({**spec().to_dict(), **change})
    assert caught.value.code == "invalid_slicing"


def test_every_volume_is_normalised_by_its_own_modality():
    by_modality = spec(size=4, normalisation=ByModality({"CT": Window(0, 100), "MR": Window(0, 1000)}))
    grid = Geometry((4, 4, 2), (1.0, 1.0, 1.0))
    ct, mr = (Volume(np.full((2, 4, 4), 75, np.int16), grid, modality) for modality in ("CT", "MR"))
    batch = SliceStack([ct, mr], by_modality).batch(0, 2)
    torch.testing.assert_close(batch[:, 0], torch.full((2, 4, 4), 0.5))
    torch.testing.assert_close(batch[:, 1], torch.full((2, 4, 4), -0.85))


def test_a_volume_of_a_modality_without_a_scheme_cannot_be_stacked():
    with pytest.raises(GANSegmentationError) as caught:
        SliceStack([plain(np.zeros((2, 4, 4), np.int16))], spec(normalisation=ByModality({"CT": Window(0, 100)})))
    assert caught.value.code == "modality_unknown"


# ------------------------------------------------------------------------------------------------------------ memory


def test_the_volume_is_never_copied_as_a_whole():
    array = np.zeros((200, 256, 256), np.int16)
    volume = plain(array)
    tracemalloc.start()
    stack = SliceStack([volume], spec("sagittal", 5, size=64, normalisation=Percentiles(1, 99)))
    stack.batch(100, 108)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < array.nbytes / 8


def test_the_volume_s_memory_is_not_shared_with_torch():
    array = np.full((2, 4, 4), 50, np.float32)
    stack = SliceStack([plain(array)], spec(size=4))
    stack.batch(0, 2).fill_(7)
    assert bool((array == 50).all())


def test_without_a_size_slices_keep_their_own_pixels():
    generator = np.random.default_rng(4)
    array = generator.integers(0, 100, (3, 21, 34)).astype(np.int16)
    # Neither the extent nor the shape of the pixels changes anything: not every image has a physical size.
    stack = SliceStack([plain(array, (0.5, 2.0, 1.0))], spec(size=0, multiple=8))
    assert stack.network_shape == (24, 40) and stack.resized_shape == (21, 34)
    image = stack.batch(1, 2)
    top, left = (24 - 21) // 2, (40 - 34) // 2
    expected = torch.from_numpy(array[1] / 50 - 1).float()
    torch.testing.assert_close(image[0, 0, top : top + 21, left : left + 34], expected)
    assert SliceSpec.from_dict(stack.spec.to_dict()) == stack.spec
    with pytest.raises(GANSegmentationError):
        spec(size=-1)
