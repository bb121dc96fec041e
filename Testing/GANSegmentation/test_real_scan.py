"""The main job through the module's Logic: a real CT, read by Slicer's own reader, segmented and compared."""

from __future__ import annotations

import numpy as np
import pytest

from GANSegmentationLib.volumes import read_volume

pytest_plugins = ["Testing.GANSegmentation.chaos"]
pytestmark = pytest.mark.real_data


def test_slicer_and_the_library_read_the_same_volume(border, chaos, chaos_node):
    seen, read = border.volumeFromNode(chaos_node), read_volume(chaos / "DICOM_anon")
    assert seen.modality == read.modality == "CT"
    # The slices may come in the other order; the same voxel has to lie at the same place all the same.
    flipped = np.sign(seen.geometry.direction_matrix[:, 2] @ read.geometry.direction_matrix[:, 2]) < 0
    array = seen.array[::-1] if flipped else seen.array
    assert np.array_equal(array, read.array)
    for geometry in (seen.geometry, read.geometry):
        assert geometry.spacing == pytest.approx((0.727, 0.727, 2.0), abs=1e-3)
    ours, theirs = (np.sort(geometry.corners(), axis=0) for geometry in (read.geometry, seen.geometry))
    assert np.abs(ours - theirs).max() < 1e-4


def test_the_shipped_model_finds_the_liver(module, border, chaos_node, chaos_reference, tmp_path, monkeypatch):
    monkeypatch.setenv("GANSEG_MODELS", str(tmp_path))
    logic = module.GANSegmentationLogic()
    node = logic.process(chaos_node)
    found = border.labelmapFromNode(node)
    assert found.geometry.corner_distance(border.geometryFromNode(chaos_node)) < 1e-4
    (scores,) = logic.compare(node, chaos_reference)
    assert scores["dice"] >= 0.95
    assert scores["hd95_mm"] <= 8.0
