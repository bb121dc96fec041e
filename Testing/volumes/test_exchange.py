"""Voxels cross the border of a process through files, unchanged."""

from __future__ import annotations

import json

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Code, Geometry, Labelmap, Segment, Volume
from GANSegmentationLib.volumes.exchange import load_labelmap, load_volume, save_labelmap, save_volume

ANGLE = np.deg2rad(17.3)
OBLIQUE = Geometry(
    size=(5, 4, 3),
    spacing=(0.7, 1 / 3, 2.5),
    origin=(-101.1, 0.1, 1e-3),
    direction=(np.cos(ANGLE), -np.sin(ANGLE), 0, np.sin(ANGLE), np.cos(ANGLE), 0, 0, 0, -1),
)
LIVER = Segment(
    1,
    "Liver",
    (221, 130, 101),
    category=Code("SCT", "123037004", "Anatomical Structure"),
    type=Code("SCT", "10200004", "Liver"),
)


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float32])
def test_a_volume_comes_back_as_it_was(tmp_path, dtype):
    array = np.arange(60).reshape(OBLIQUE.shape).astype(dtype)
    volume = Volume(array, OBLIQUE, modality="CT", name="portal venous", facts={"StudyInstanceUID": "1.2"})
    back = load_volume(json.loads(json.dumps(save_volume(volume, tmp_path, "input"))), tmp_path)
    assert np.array_equal(back.array, array)
    assert back.array.dtype == dtype
    assert back.geometry == OBLIQUE
    assert (back.modality, back.name, dict(back.facts)) == ("CT", "portal venous", {"StudyInstanceUID": "1.2"})


def test_a_volume_of_unknown_modality_stays_unknown(tmp_path):
    description = save_volume(Volume(np.zeros(OBLIQUE.shape, np.int16), OBLIQUE), tmp_path, "input")
    assert load_volume(description, tmp_path).modality is None


def test_a_strided_view_comes_back_in_c_order(tmp_path):
    array = np.asfortranarray(np.arange(60, dtype=np.int16).reshape(OBLIQUE.shape))
    back = load_volume(save_volume(Volume(array, OBLIQUE), tmp_path, "input"), tmp_path)
    assert np.array_equal(back.array, array)
    assert back.array.flags.c_contiguous


def test_a_labelmap_comes_back_with_its_segments(tmp_path):
    array = (np.arange(60).reshape(OBLIQUE.shape) % 2).astype(np.uint8)
    labelmap = Labelmap(array, OBLIQUE, (LIVER, Segment(2, "Other", (1, 2, 3))))
    back = load_labelmap(json.loads(json.dumps(save_labelmap(labelmap, tmp_path, "labels"))), tmp_path)
    assert np.array_equal(back.array, array)
    assert back.geometry == OBLIQUE
    assert back.segments == labelmap.segments


@pytest.mark.parametrize("file", ["missing.npy", "../input.npy", "/etc/hostname"])
def test_a_file_that_is_missing_or_elsewhere_is_refused(tmp_path, file):
    folder = tmp_path / "private"
    folder.mkdir()
    volume = Volume(np.zeros(OBLIQUE.shape, np.int16), OBLIQUE)
    save_volume(volume, tmp_path, "input")
    description = {**save_volume(volume, folder, "input"), "file": file}
    with pytest.raises(GANSegmentationError) as caught:
        load_volume(description, folder)
    assert caught.value.code == "invalid_exchange"


def test_a_description_without_a_grid_is_refused(tmp_path):
    description = save_volume(Volume(np.zeros(OBLIQUE.shape, np.int16), OBLIQUE), tmp_path, "input")
    del description["geometry"]
    with pytest.raises(GANSegmentationError, match="geometry"):
        load_volume(description, tmp_path)
