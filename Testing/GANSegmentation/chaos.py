"""CHAOS CT 3, a real scan, in the scene, with the liver that the challenge's experts drew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from pydicom import dcmread

from GANSegmentationLib.volumes import read_labelmap


@pytest.fixture
def chaos(shared_data) -> Path:
    """The folder of the scan: its DICOM files are in ``DICOM_anon``, the experts' pictures in ``Ground``."""
    return shared_data / "liver_ct_chaos_set3"


@pytest.fixture
def chaos_node(border, chaos):
    """The volume, read by Slicer's logic; like its DICOM plugin, this hands it the files sorted by position."""
    files = (chaos / "DICOM_anon").iterdir()
    heights = {str(path): float(dcmread(path, stop_before_pixels=True).ImagePositionPatient[2]) for path in files}
    names = vtk.vtkStringArray()
    for file in sorted(heights, key=heights.__getitem__):
        names.InsertNextValue(file)
    node = slicer.modules.volumes.logic().AddArchetypeVolume(names.GetValue(0), "CHAOS 3", 0, names)
    hierarchy, item = border.hierarchyItem(node)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    return node


@pytest.fixture
def chaos_reference(border, chaos, chaos_node):
    """The experts' liver as a labelmap node, its slices stored in the order of the volume's."""
    drawn = read_labelmap(chaos / "Ground", series=chaos / "DICOM_anon")
    array, to_ras = np.array(drawn.array), drawn.geometry.index_to_ras
    if not drawn.geometry.matches(border.geometryFromNode(chaos_node)):
        reverse = np.eye(4)
        reverse[2, 2], reverse[2, 3] = -1, array.shape[0] - 1
        array, to_ras = np.ascontiguousarray(array[::-1]), to_ras @ reverse
    return slicer.util.addVolumeFromArray(
        array, ijkToRAS=to_ras, name="Ground", nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
