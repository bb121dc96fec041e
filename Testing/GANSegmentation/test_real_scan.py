"""The main job through the module's Logic: a real CT, read by Slicer's own reader, segmented and compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from GANSegmentationLib.volumes import read_labelmap, read_volume

pytestmark = pytest.mark.real_data


@pytest.fixture(scope="module")
def series(shared_data) -> Path:
    return shared_data / "liver_ct_chaos_set3"


@pytest.fixture
def volume_node(scene, series):
    """CHAOS CT 3, read by Slicer's logic; like its DICOM plugin, this hands it the files sorted by position."""
    from GANSegmentationPanel import scene as border
    from pydicom import dcmread

    files = (series / "DICOM_anon").iterdir()
    heights = {str(path): float(dcmread(path, stop_before_pixels=True).ImagePositionPatient[2]) for path in files}
    names = vtk.vtkStringArray()
    for file in sorted(heights, key=heights.__getitem__):
        names.InsertNextValue(file)
    node = slicer.modules.volumes.logic().AddArchetypeVolume(names.GetValue(0), "CHAOS 3", 0, names)
    hierarchy, item = border.hierarchyItem(node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    return node


def test_slicer_and_the_library_read_the_same_volume(volume_node, series):
    from GANSegmentationPanel import scene as border

    seen, read = border.volumeFromNode(volume_node), read_volume(series / "DICOM_anon")
    assert seen.modality == read.modality == "CT"
    # The slices may come in the other order; the same voxel has to lie at the same place all the same.
    flipped = np.sign(seen.geometry.direction_matrix[:, 2] @ read.geometry.direction_matrix[:, 2]) < 0
    array = seen.array[::-1] if flipped else seen.array
    assert np.array_equal(array, read.array)
    for geometry in (seen.geometry, read.geometry):
        assert geometry.spacing == pytest.approx((0.727, 0.727, 2.0), abs=1e-3)
    ours, theirs = (np.sort(geometry.corners(), axis=0) for geometry in (read.geometry, seen.geometry))
    assert np.abs(ours - theirs).max() < 1e-4


def test_the_shipped_model_finds_the_liver(module, volume_node, series, tmp_path, monkeypatch):
    from GANSegmentationPanel import scene as border

    monkeypatch.setenv("GANSEG_MODELS", str(tmp_path))
    logic = module.GANSegmentationLogic()
    node = logic.process(volume_node)
    seen = border.volumeFromNode(volume_node)
    found = border.labelmapFromNode(node)
    assert found.geometry.corner_distance(seen.geometry) < 1e-4

    reference = read_labelmap(series / "Ground", series=series / "DICOM_anon")
    reference_node = slicer.util.addVolumeFromArray(
        np.array(reference.array),
        ijkToRAS=reference.geometry.index_to_ras,
        nodeClassName="vtkMRMLLabelMapVolumeNode",
    )
    if not reference.geometry.matches(seen.geometry):
        reference_node = flipped_slices(reference_node)
    (scores,) = logic.compare(node, reference_node)
    assert scores["dice"] >= 0.95
    assert scores["hd95_mm"] <= 8.0


def flipped_slices(labelmap_node):
    """The same labels with their slices stored in the other order."""
    array = slicer.util.arrayFromVolume(labelmap_node)
    matrix = vtk.vtkMatrix4x4()
    labelmap_node.GetIJKToRASMatrix(matrix)
    to_ras = slicer.util.arrayFromVTKMatrix(matrix)
    reverse = np.eye(4)
    reverse[2, 2], reverse[2, 3] = -1, array.shape[0] - 1
    return slicer.util.addVolumeFromArray(
        np.ascontiguousarray(array[::-1]), ijkToRAS=to_ras @ reverse, nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
