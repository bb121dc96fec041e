"""From volumes and a model package to a labelmap on the very same grid."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import Predictor
from GANSegmentationLib.slicing import ByModality, SliceSpec, SliceStack, Window
from GANSegmentationLib.volumes import Geometry, Volume

PROJECT = Path(__file__).resolve().parents[2]
WINDOW = Window(0.0, 200.0)


def single(package, **options):
    """A predictor that computes in single precision, so that labels are exact."""
    return Predictor(package, "cpu", half=False, **options)


# ------------------------------------------------------------------------------------------------------ the labels


def test_the_labels_are_those_of_the_network_voxel_by_voxel(packages, ct):
    result = single(packages.thresholds(100.0)).segment([ct])
    np.testing.assert_array_equal(result.labelmap.array, ct.array > 100)


def test_the_geometry_is_the_scan_s_own_object_and_the_segments_are_the_package_s(packages, ct):
    package = packages.thresholds(100.0)
    result = single(package).segment([ct])
    assert result.labelmap.geometry is ct.geometry
    assert result.labelmap.segments == package.labels


@pytest.mark.parametrize("plane", ["coronal", "acquisition"])
def test_every_storage_order_has_its_labels_where_its_voxels_are(packages, ct, plane):
    predictor = single(packages.thresholds(100.0, slicing=SliceSpec(plane, 1, 16, 4, WINDOW)))
    for permutation, flips in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        array = np.ascontiguousarray(ct.array[:: flips[0], :: flips[1], :: flips[2]].transpose(permutation))
        identity = np.diag(np.array(flips[::-1], float))  # columns: index axes x, y, z of the unpermuted array
        order = [2 - axis for axis in permutation][::-1]
        direction = identity[:, order]
        volume = Volume(array, Geometry(array.shape[::-1], (1, 1, 1), direction=tuple(direction.ravel())), "CT")
        np.testing.assert_array_equal(predictor.segment([volume]).labelmap.array, array > 100)


def test_several_classes_become_several_labels(packages, ct):
    array = ct.array.copy()
    array[5, 6, 8:11] = 190
    volume = Volume(array, ct.geometry, "CT")
    result = single(packages.thresholds(30.0, 100.0, 170.0)).segment([volume])
    expected = (array > 30).astype(np.uint8) + (array > 100) + (array > 170)
    np.testing.assert_array_equal(result.labelmap.array, expected)
    assert result.volumes_ml == {value: pytest.approx((expected == value).sum() / 1000) for value in (1, 2, 3)}


def test_a_resampled_organ_comes_back_with_its_shape(packages):
    _, y, x = np.meshgrid(np.arange(6), np.arange(256), np.arange(256), indexing="ij")
    array = np.where((y - 120.0) ** 2 + (x - 150.0) ** 2 < 70**2, 150, 50).astype(np.int16)
    volume = Volume(array, Geometry((256, 256, 6), (0.7, 0.7, 3.0)), "CT")
    package = packages.thresholds(100.0, slicing=SliceSpec("axial", 1, 128, 16, WINDOW))
    labels = single(package).segment([volume]).labelmap.array
    both = np.count_nonzero(labels & (array > 100))
    assert 2 * both / (np.count_nonzero(labels) + np.count_nonzero(array > 100)) > 0.99


@pytest.mark.parametrize("channel", [0, 1])
def test_each_volume_is_the_channel_it_should_be(packages, ct, channel):
    other = Volume(ct.array[::-1].copy(), ct.geometry, "CT")
    package = packages.thresholds(100.0, in_channels=2, channel=channel, channels=2, channel_names=["a", "b"])
    labels = single(package).segment([ct, other]).labelmap.array
    np.testing.assert_array_equal(labels, (ct, other)[channel].array > 100)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_neighbouring_slices_are_the_channels_in_order(packages, ct, channel):
    package = packages.thresholds(100.0, in_channels=3, channel=channel, slicing=SliceSpec("axial", 3, 16, 4, WINDOW))
    array = ct.array.copy()
    array[7:] = -1000  # or the box would look the same from above and from below
    shifted = np.clip(np.arange(12) + channel - 1, 0, 11)
    labels = single(package).segment([Volume(array, ct.geometry, "CT")]).labelmap.array
    np.testing.assert_array_equal(labels, array[shifted] > 100)


@pytest.mark.parametrize("batch_size", [1, 5, 12, 100])
def test_the_batch_size_changes_no_label(packages, ct, batch_size):
    package = packages.random({"in_channels": 1, "channels": [4, 8], "norm": "instance"})
    expected = single(package).segment([ct]).labelmap.array
    labels = single(package, batch_size=batch_size).segment([ct]).labelmap.array
    assert 0 < expected.sum() < expected.size
    assert np.count_nonzero(labels != expected) <= 3  # convolutions of other batch sizes round otherwise


def test_a_predictor_serves_one_scan_after_another(packages, ct):
    predictor = single(packages.thresholds(100.0))
    first = predictor.segment([ct]).labelmap.array
    small = Volume(ct.array[:3, :9].copy(), Geometry((16, 9, 3), (1, 1, 1)), "CT")
    np.testing.assert_array_equal(predictor.segment([small]).labelmap.array, small.array > 100)
    np.testing.assert_array_equal(first, ct.array > 100)


# ----------------------------------------------------------------------------------------- what the card asks for


def test_cleaning_follows_the_card(packages, ct):
    array = ct.array.copy()
    array[1, 13, 3] = 150  # an island
    array[5, 6, 9] = 50  # a hole
    cleaning = {"largest_component": True, "fill_holes": True, "minimum_volume_ml": 0.0, "crf": None}
    result = single(packages.thresholds(100.0, postprocessing=cleaning)).segment([Volume(array, ct.geometry, "CT")])
    np.testing.assert_array_equal(result.labelmap.array, ct.array > 100)
    assert result.postprocessing.removed_ml == {1: pytest.approx(0.001)}
    assert result.postprocessing.filled_ml == {1: pytest.approx(0.001)}
    raw = single(packages.thresholds(100.0)).segment([Volume(array, ct.geometry, "CT")])
    np.testing.assert_array_equal(raw.labelmap.array, array > 100)


def test_the_random_field_runs_where_the_card_asks(packages, ct):
    array = np.where(ct.array > 100, 104, 97).astype(np.int16)
    noisy = array + np.random.default_rng(0).integers(-6, 7, array.shape, dtype=np.int16)
    volume = Volume(noisy, ct.geometry, "CT")
    field = {"iterations": 5.0, "appearance_weight": 0.0, "smoothness_weight": 3.0}
    cleaning = {"largest_component": False, "fill_holes": False, "minimum_volume_ml": 0.0, "crf": field}
    without = single(packages.thresholds(100.0)).segment([volume]).labelmap.array
    refined = single(packages.thresholds(100.0, postprocessing=cleaning)).segment([volume]).labelmap.array
    wrong = np.count_nonzero(refined != (array > 100)), np.count_nonzero(without != (array > 100))
    assert wrong[0] < wrong[1] / 2


def test_flips_are_averaged_where_the_card_lists_them(packages, ct):
    config = {"in_channels": 1, "channels": [4, 8], "norm": "instance"}
    plain = single(packages.random(config))
    flipped = single(packages.random(config, test_time_augmentation=["left_right"]))
    mirrored = Volume(ct.array[:, :, ::-1].copy(), ct.geometry, "CT")

    def asymmetry(predictor):
        straight = predictor.segment([ct]).labelmap.array
        return np.count_nonzero(predictor.segment([mirrored]).labelmap.array[:, :, ::-1] != straight)

    assert asymmetry(plain) > 50
    assert asymmetry(flipped) <= 3


def test_a_flip_that_leaves_the_plane_of_the_scan_is_skipped_and_said(packages, ct):
    package = packages.thresholds(
        100.0, test_time_augmentation=["superior_inferior"], slicing=SliceSpec("acquisition", 1, 16, 4, WINDOW)
    )
    result = single(package).segment([ct])
    assert [warning.code for warning in result.warnings] == ["flip_skipped"]
    np.testing.assert_array_equal(result.labelmap.array, ct.array > 100)


def test_a_network_with_domains_is_given_the_one_hot_domain(packages, ct):
    """This one answers with it."""

    class Domains(nn.Module):
        def forward(self, image, domain):
            seen.append(domain.tolist())
            return (domain[:, 1] - 0.5)[:, None, None, None].expand(len(image), 1, *image.shape[-2:])

    seen = []
    predictor = single(packages.thresholds(100.0, domains=["CT", "MR"], modalities=["CT", "MR"]), batch_size=8)
    predictor._network, predictor._takes_domain = Domains(), True
    assert not predictor.segment([ct]).labelmap.array.any()
    assert predictor.segment([ct], domain="MR").labelmap.array.all()
    assert seen == [[[1, 0]] * 8, [[1, 0]] * 4, [[0, 1]] * 8, [[0, 1]] * 4]


def test_a_uagan_segments_each_scan_in_its_own_domain(packages, ct):
    package = packages.random(
        {"width": 4, "levels": 2, "domains": 2, "classes": 3},
        labels=2,
        network_name="uagan_generator",
        domains=["CT", "MR"],
        modalities=["CT", "MR"],
    )
    predictor = single(package, batch_size=5)
    stack = SliceStack([ct], package.card.slicing)
    labels = {}
    for name, domain in (("CT", [1.0, 0.0]), ("MR", [0.0, 1.0])):
        with torch.inference_mode():
            scores = predictor._network(stack.batch(0, 12), torch.tensor([domain] * 12))
        labels[name] = stack.restore(scores).numpy()
        scan = Volume(ct.array, ct.geometry, name)
        assert np.mean(predictor.segment([scan]).labelmap.array != labels[name]) < 0.001
        asked = predictor.segment([Volume(ct.array, ct.geometry, None)], domain=name.lower())
        assert np.mean(asked.labelmap.array != labels[name]) < 0.001
    assert np.mean(labels["CT"] != labels["MR"]) > 0.01, "the domain is seen inside"
    for modality in (None, "OT"):
        with pytest.raises(GANSegmentationError) as caught:
            predictor.segment([Volume(ct.array, ct.geometry, modality)])
        assert caught.value.code == "domain_needed"


def test_a_network_with_domains_has_a_batch_that_suits_it(packages, ct):
    package = packages.random(
        {"width": 2, "levels": 2}, network_name="uagan_generator", domains=["CT", "MR"], modalities=["CT", "MR"]
    )
    assert single(package).segment([ct]).batch_size == 12  # small slices: all of the scan's at once


def test_a_scan_is_normalised_by_its_modality_or_by_the_domain_that_stands_in_for_it(packages, ct):
    """The same patient as CT, and as an MR whose values are shifted by 1000."""
    spec = SliceSpec("axial", 1, 16, 4, ByModality({"CT": WINDOW, "MR": Window(1000.0, 1200.0)}))
    package = packages.thresholds(
        100.0,
        slicing=spec,
        domains=["CT", "MR"],
        modalities=["CT", "MR"],
        intensity={"unit": "arbitrary", "range": None},
    )
    predictor, expected = single(package), ct.array > 100
    shifted = ct.array + 1000
    for array, modality, domain in ((ct.array, "CT", None), (shifted, "MR", None), (shifted, None, "MR")):
        result = predictor.segment([Volume(array, ct.geometry, modality)], domain=domain)
        np.testing.assert_array_equal(result.labelmap.array, expected)
    wrongly_labelled = Volume(shifted, ct.geometry, "CT")
    assert predictor.segment([wrongly_labelled], domain="MR").labelmap.array[0, 7, 7]  # read as CT, all is bright
    forced = predictor.segment([wrongly_labelled], domain="MR", force=True)
    np.testing.assert_array_equal(forced.labelmap.array, expected)
    assert [warning.code for warning in forced.warnings] == ["domain_contradicts"]


# -------------------------------------------------------------------------------------------- warnings and refusals


def test_an_empty_result_is_warned_of(packages, ct):
    result = single(packages.thresholds(190.0)).segment([ct])
    assert [warning.code for warning in result.warnings] == ["empty_result"]
    assert result.volumes_ml == {1: 0.0}


def test_scores_that_are_no_numbers_are_refused(packages, ct):
    class Overflowing(nn.Module):
        def forward(self, images):
            return torch.where(images > 0.2, torch.inf, images)

    predictor = single(packages.thresholds(100.0))
    predictor._network = Overflowing()
    with pytest.raises(GANSegmentationError) as caught:
        predictor.segment([ct])
    assert caught.value.code == "invalid_scores"


def test_a_result_that_was_cleaned_away_says_so(packages, ct):
    cleaning = {"largest_component": False, "fill_holes": False, "minimum_volume_ml": 5.0, "crf": None}
    (warning,) = single(packages.thresholds(100.0, postprocessing=cleaning)).segment([ct]).warnings
    assert warning.code == "empty_result"
    assert "too small" in warning


def test_another_modality_is_refused_unless_forced(packages, ct):
    predictor = single(packages.thresholds(100.0))
    mr = Volume(ct.array, ct.geometry, "MR")
    with pytest.raises(GANSegmentationError) as caught:
        predictor.segment([mr])
    assert caught.value.code == "modality_mismatch"
    assert "modality_mismatch" in [warning.code for warning in predictor.segment([mr], force=True).warnings]


def test_volumes_on_different_grids_are_refused(packages, ct):
    package = packages.thresholds(100.0, in_channels=2, channels=2, channel_names=["a", "b"])
    moved = Volume(ct.array, Geometry(ct.geometry.size, ct.geometry.spacing), "CT")
    with pytest.raises(GANSegmentationError) as caught:
        single(package).segment([ct, moved])
    assert caught.value.code == "geometry_mismatch"


def test_a_card_whose_padding_does_not_fit_its_network_is_refused(packages):
    with pytest.raises(GANSegmentationError) as caught:
        single(packages.thresholds(100.0, slicing=SliceSpec("axial", 1, 16, 2, WINDOW)))
    assert caught.value.code == "invalid_card"


def test_a_network_with_other_classes_than_the_labels_is_refused(packages, ct):
    predictor = single(packages.thresholds(100.0))
    predictor._network = nn.Conv2d(1, 4, 1)
    with pytest.raises(GANSegmentationError) as caught:
        predictor.segment([ct])
    assert caught.value.code == "label_mismatch"


def test_the_facts_of_a_run_are_json(packages, ct):
    result = single(packages.thresholds(190.0)).segment([ct])
    facts = json.loads(json.dumps(result.to_dict()))
    assert facts["segments"][0]["name"] == "Liver"
    assert facts["warnings"][0]["code"] == "empty_result"
    assert facts["precision"] == "float32"
    assert facts["slices"] == 12 and facts["segments"][0]["slices"] == 0
    assert result.seconds == pytest.approx(sum(result.stages.values()))


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_the_facts_count_the_slices_of_the_models_plane(packages, ct, plane):
    result = single(packages.thresholds(100.0, slicing=SliceSpec(plane, 1, 16, 4, WINDOW))).segment([ct])
    facts = result.to_dict()
    axis = {"axial": 0, "coronal": 1, "sagittal": 2}[plane]
    found = result.labelmap.array.any(axis=tuple({0, 1, 2} - {axis}))
    assert facts["slices"] == ct.array.shape[axis]
    assert 0 < facts["segments"][0]["slices"] == np.count_nonzero(found) < facts["slices"]


# ------------------------------------------------------------------------------------------------ progress, cancel


def test_progress_runs_from_nothing_to_all_slices(packages, ct):
    said = []
    single(packages.thresholds(100.0), batch_size=5).segment([ct], progress=said.append)
    assert [(progress.stage, progress.done) for progress in said] == [
        ("prepare", 0),
        ("segment", 0),
        ("segment", 5),
        ("segment", 10),
        ("segment", 12),
        ("postprocess", 12),
    ]
    assert {progress.total for progress in said} == {12}


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 5])
def test_cancel_stops_between_batches(packages, ct, after):
    said = []
    predictor = single(packages.thresholds(100.0), batch_size=4)
    with pytest.raises(GANSegmentationError) as caught:
        predictor.segment([ct], progress=said.append, cancel=lambda: len(said) > after)
    assert caught.value.code == "cancelled"
    assert len(said) == after + 1
    np.testing.assert_array_equal(predictor.segment([ct]).labelmap.array, ct.array > 100)  # usable afterwards


# ---------------------------------------------------------------------------------------------------------- memory


class Narrow(nn.Module):
    """A network on a device with room for so many slices."""

    def __init__(self, network, room, error=None):
        super().__init__()
        self.network, self.room, self.seen = network, room, []
        self.error = error or torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    def forward(self, image):
        self.seen.append(len(image))
        if len(image) > self.room:
            raise self.error
        return self.network(image)


def test_the_batch_is_halved_until_it_fits(packages, ct):
    predictor = single(packages.thresholds(100.0), batch_size=8)
    predictor._network = Narrow(predictor._network, 2)
    result = predictor.segment([ct])
    assert predictor._network.seen[:3] == [8, 4, 2]
    assert set(predictor._network.seen[2:]) == {2}
    assert result.batch_size == 2
    np.testing.assert_array_equal(result.labelmap.array, ct.array > 100)


@pytest.mark.parametrize("error", [None, MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_no_room_for_one_slice_is_a_clear_error(packages, ct, error):
    predictor = single(packages.thresholds(100.0), batch_size=8)
    predictor._network = Narrow(predictor._network, 0, error)
    with pytest.raises(GANSegmentationError) as caught:
        predictor.segment([ct])
    assert caught.value.code == "out_of_memory"
    assert predictor._network.seen == [8, 4, 2, 1]


def test_another_error_of_the_network_is_not_taken_for_a_full_memory(packages, ct):
    predictor = single(packages.thresholds(100.0), batch_size=8)
    predictor._network = Narrow(predictor._network, 0, RuntimeError("Expected all tensors to be on the same device"))
    with pytest.raises(RuntimeError, match="same device"):
        predictor.segment([ct])
    assert predictor._network.seen == [8]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
def test_memory_beyond_the_scan_is_about_its_labels_and_a_batch(packages):
    """140 x 512 x 512: labels take 37 MB; a float copy of the scan or all scores at full size take 147 MB each."""
    package = packages.thresholds(100.0, slicing=SliceSpec("axial", 1, 256, 4, WINDOW))
    run = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(package.path)], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert float(run.stdout) < 130, run.stdout


_MEASURE = """
import sys
from pathlib import Path
import numpy as np
from GANSegmentationLib.inference import Predictor
from GANSegmentationLib.models import open_package
from GANSegmentationLib.volumes import Geometry, Volume

def megabytes(key):
    status = Path("/proc/self/status").read_text()
    return int(status.split(key + ":")[1].split()[0]) / 1024

def scan(depth):
    array = np.zeros((depth, 512, 512), np.int16)
    array[:, 100:300, 100:350] = 150
    return Volume(array, Geometry((512, 512, depth), (0.7, 0.7, 1.0)), "CT")

predictor = Predictor(open_package(sys.argv[1]), "cpu", half=False)
predictor.segment([scan(8)])  # libraries, threads, allocator
volume = scan(140)
Path("/proc/self/clear_refs").write_text("5")
before = megabytes("VmRSS")
result = predictor.segment([volume])
print(megabytes("VmHWM") - before)
"""


# ------------------------------------------------------------------------------------------------------- precision


def test_half_precision_is_used_where_it_agrees(packages, ct):
    predictor = Predictor(packages.thresholds(100.0), "cpu", half=True)
    result = predictor.segment([ct])
    assert result.precision == "bfloat16"
    np.testing.assert_array_equal(result.labelmap.array, ct.array > 100)


def test_half_precision_that_changes_labels_is_given_up_and_said(packages, ct):
    array = np.where(ct.array > 100, 180.04, 179.96).astype(np.float32)  # eight bits do not tell these apart
    predictor = Predictor(packages.thresholds(180.0), "cpu", half=True)
    volume = Volume(array, ct.geometry, "CT")
    result = predictor.segment([volume])
    assert result.precision == "float32"
    assert "half_precision_disagrees" in [warning.code for warning in result.warnings]
    np.testing.assert_array_equal(result.labelmap.array, ct.array > 100)
    assert "half_precision_disagrees" not in [warning.code for warning in predictor.segment([volume]).warnings]


def test_a_cancelled_comparison_is_made_again(packages, ct):
    predictor = Predictor(packages.thresholds(100.0), "cpu", half=True)
    asked = itertools.count()
    with pytest.raises(GANSegmentationError):
        predictor.segment([ct], cancel=lambda: next(asked) > 2)
    assert predictor._dtype == torch.float32
    assert predictor.segment([ct]).precision == "bfloat16"


def test_the_device_s_own_choice_is_followed(packages, ct):
    predictor = Predictor(packages.thresholds(100.0), "cpu")
    expected = "float32" if predictor.choice.half is None else "bfloat16"
    assert predictor.segment([ct]).precision == expected


def test_scores_are_averaged_before_they_are_restored(packages, ct):
    """The mean of the straight and the mirrored pass, computed here by hand."""
    config = {"in_channels": 1, "channels": [4, 8], "norm": "instance"}
    predictor = single(packages.random(config, test_time_augmentation=["left_right", "anterior_posterior"]))
    stack = SliceStack([ct], predictor.card.slicing)
    images = stack.batch(0, stack.n_slices)
    with torch.inference_mode():
        passes = [predictor._network(images)]
        passes += [predictor._network(images.flip(dimension)).flip(dimension) for dimension in (-1, -2)]
        expected = stack.restore(torch.stack(passes).mean(dim=0)).numpy()
    labels = predictor.segment([ct]).labelmap.array
    assert np.count_nonzero(labels != expected) <= 3
