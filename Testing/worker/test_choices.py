"""What a user may choose for a run: a region, some of the segments, the cleaning, the batch."""

from __future__ import annotations

import numpy as np
import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.models import write_package
from GANSegmentationLib.slicing import SliceSpec
from GANSegmentationLib.slicing.normalisation import Normalisation
from GANSegmentationLib.volumes import Geometry, Segment, Volume
from GANSegmentationLib.volumes.exchange import load_labelmap, save_volume
from Testing.inference.conftest import WINDOW, card_of, threshold_network
from Testing.tiny_model import tiny_scan, write_tiny_package
from Testing.worker.requests import failure, result, run

TILT = np.deg2rad(20)
OBLIQUE = Geometry(
    (16, 16, 6),
    (0.9, 1.1, 3.3),
    (12.5, -80.25, 7.125),
    (1, 0, 0, 0, np.cos(TILT), -np.sin(TILT), 0, np.sin(TILT), np.cos(TILT)),
)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return write_tiny_package(tmp_path_factory.mktemp("model") / "tiny-liver.ganseg")


def request_of(folder, package, volume=None, **fields):
    volumes = (save_volume(tiny_scan() if volume is None else volume, folder, "volume"),)
    return protocol.RunSegment("1", str(folder), volumes=volumes, package=str(package), device="cpu", **fields)


def labels_of(events, folder):
    return load_labelmap(result(events)["labelmap"], folder)


def box_of(region) -> tuple[slice, ...]:
    return tuple(slice(region[2 * axis], region[2 * axis + 1]) for axis in (2, 1, 0))


@pytest.mark.parametrize("geometry", [None, OBLIQUE], ids=["straight", "oblique"])
@pytest.mark.parametrize("region", [(0, 16, 0, 16, 2, 4), (5, 9, 4, 6, 0, 6), (4, 7, 3, 8, 1, 4), (0, 16, 0, 16, 0, 6)])
def test_a_region_has_the_labels_of_the_whole_and_nothing_outside(tmp_path, package, region, geometry):
    scan = tiny_scan(geometry=geometry)
    found = labels_of(run(request_of(tmp_path, package, scan, region=region)), tmp_path)
    expected = np.zeros(scan.array.shape, np.uint8)
    expected[box_of(region)] = scan.array[box_of(region)] > 100
    assert np.array_equal(found.array, expected)
    assert found.geometry == scan.geometry


def test_only_the_slices_of_the_region_are_computed(tmp_path, package):
    events = run(request_of(tmp_path, package, region=(0, 16, 0, 16, 2, 4)))
    assert {event.total for event in events if isinstance(event, protocol.Progress)} == {2}
    segments = result(events)["segments"]
    assert segments[0]["volume_ml"] == pytest.approx(2 * 15 * 1.5 * 1.5 * 5 / 1000)


def test_neighbouring_slices_come_from_outside_of_the_region(tmp_path):
    """A network that answers by the slice above: at the edge of the region that slice must be the scan's own."""
    config, weights = threshold_network(3, 2, (100.0,))
    package = write_package(
        tmp_path / "m.ganseg", card_of(config, slicing=SliceSpec("axial", 3, 16, 4, WINDOW)), weights, LABELS[:1]
    )
    whole = labels_of(run(request_of(tmp_path, package)), tmp_path).array
    for first in range(6):
        region = (0, 16, 0, 16, first, first + 1)
        part = labels_of(run(request_of(tmp_path, package, region=region)), tmp_path).array
        assert np.array_equal(part[first], whole[first])
        assert np.count_nonzero(part) == np.count_nonzero(whole[first])


def test_intensities_are_those_of_the_whole_scan(tmp_path):
    """Where they are normalised by what is in the scan, a part of it alone would look different to the network."""
    scheme = Normalisation.from_dict({"kind": "percentiles", "lower": 0.5, "upper": 99.5})
    config, weights = threshold_network(1, 0, (100.0,))
    card = card_of(config, slicing=SliceSpec("axial", 1, 16, 4, scheme))
    package = write_package(tmp_path / "m.ganseg", card, weights, LABELS[:1])
    array = np.random.default_rng(0).normal(0, 30, (6, 16, 16)).astype(np.float32)
    array[4] *= 20
    scan = Volume(array, tiny_scan().geometry, "CT")
    whole = labels_of(run(request_of(tmp_path, package, scan)), tmp_path).array
    assert 0 < np.count_nonzero(whole[1:3]) < whole[1:3].size
    part = labels_of(run(request_of(tmp_path, package, scan, region=(0, 16, 0, 16, 1, 3))), tmp_path).array
    assert np.array_equal(part[1:3], whole[1:3])
    assert not part[[0, 3, 4, 5]].any()


def test_cleaning_looks_at_the_inside_of_a_region(tmp_path):
    cleaning = {"largest_component": True, "fill_holes": False, "minimum_volume_ml": 0.0, "crf": None}
    package = write_tiny_package(tmp_path / "m.ganseg", postprocessing=cleaning)
    array = np.full((6, 16, 16), -1000, np.int16)
    array[:, 2:8, 2:8] = 150  # the largest piece lies outside, in the same slices
    array[4:6, 12:14, 12:14] = 150
    scan = Volume(array, tiny_scan().geometry, "CT")
    found = labels_of(run(request_of(tmp_path, package, scan, region=(9, 16, 0, 16, 3, 6))), tmp_path).array
    assert np.count_nonzero(found) == np.count_nonzero(found[4:6, 12:14, 12:14]) == 8


def test_a_region_with_nothing_in_it_is_said(tmp_path, package):
    events = run(request_of(tmp_path, package, region=(0, 2, 0, 2, 0, 6)))
    assert [warning["code"] for warning in result(events)["warnings"]] == ["empty_result"]


@pytest.mark.parametrize(
    "region", [(0, 0, 0, 16, 0, 6), (0, 17, 0, 16, 0, 6), (-1, 4, 0, 16, 0, 6), (4, 2, 0, 16, 0, 6)]
)
def test_a_region_that_cannot_be_is_refused(tmp_path, package, region):
    assert failure(run(request_of(tmp_path, package, region=region)))["code"] == "invalid_region"


LABELS = (Segment(1, "Liver", (221, 130, 101)), Segment(2, "Bone", (241, 214, 145)))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A model of two segments: above 100 and above 180 HU."""
    config, weights = threshold_network(1, 0, (100.0, 180.0))
    card = card_of(config, slicing=SliceSpec("axial", 1, 16, 4, WINDOW))
    return write_package(tmp_path_factory.mktemp("model") / "two.ganseg", card, weights, LABELS)


def with_bone() -> Volume:
    array = np.array(tiny_scan().array)
    array[:, 10:12, 10:12] = 900
    return Volume(array, tiny_scan().geometry, "CT")


def test_the_segments_that_are_wanted_are_kept(tmp_path, two):
    everything = labels_of(run(request_of(tmp_path, two, with_bone())), tmp_path)
    assert set(np.unique(everything.array)) == {0, 1, 2}
    events = run(request_of(tmp_path, two, with_bone(), segments=(2,)))
    found = labels_of(events, tmp_path)
    assert [segment.name for segment in found.segments] == ["Bone"]
    assert np.array_equal(found.array, np.where(everything.array == 2, 2, 0))
    assert [row["name"] for row in result(events)["segments"]] == ["Bone"]


def test_a_segment_that_the_model_has_not_is_refused(tmp_path, two):
    assert failure(run(request_of(tmp_path, two, segments=(3,))))["code"] == "unknown_label"


def test_cleaning_can_be_changed_for_a_run(tmp_path, package):
    events = run(request_of(tmp_path, package, postprocessing={"minimum_volume_ml": 1000.0}))
    assert not labels_of(events, tmp_path).array.any()
    assert result(events)["segments"][0]["removed_pieces"] == 1


@pytest.mark.parametrize("wrong", [{"colour": 1}, {"fill_holes": "yes"}, {"minimum_volume_ml": None}])
def test_a_cleaning_that_is_none_is_refused(tmp_path, package, wrong):
    assert failure(run(request_of(tmp_path, package, postprocessing=wrong)))["code"] == "invalid_postprocessing"


def test_the_batch_can_be_chosen(tmp_path, package):
    events = run(request_of(tmp_path, package, batch_size=2))
    assert result(events)["batch_size"] == 2
    done = [event.done for event in events if isinstance(event, protocol.Progress) and event.stage == "segment"]
    assert (done[0], done[-1]) == (0, 6)
    assert failure(run(request_of(tmp_path, package, batch_size=0)))["code"] == "invalid_batch_size"
