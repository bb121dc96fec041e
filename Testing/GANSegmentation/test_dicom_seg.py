"""A DICOM SEG of a real scan in Slicer's scene: the segment lies on the organ, in the world and in the picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from GANSegmentationLib.volumes import Code, Labelmap, Segment, read_labelmap, write_dicom_seg

pytestmark = pytest.mark.real_data
pytest.importorskip("highdicom")

LIVER = Segment(
    1,
    "Liver",
    (221, 130, 101),
    Code("SCT", "123037004", "Anatomical Structure"),
    Code("SCT", "10200004", "Liver"),
)


@pytest.fixture
def series(shared_data) -> Path:
    return shared_data / "liver_ct_chaos_set3"


@pytest.fixture
def volume_node(scene, series):
    """CHAOS CT 3, read by Slicer's own logic from the files sorted by position, as its DICOM plugin does."""
    from pydicom import dcmread

    files = (series / "DICOM_anon").iterdir()
    heights = {str(path): float(dcmread(path, stop_before_pixels=True).ImagePositionPatient[2]) for path in files}
    names = vtk.vtkStringArray()
    for file in sorted(heights, key=heights.__getitem__):
        names.InsertNextValue(file)
    return slicer.modules.volumes.logic().AddArchetypeVolume(names.GetValue(0), "CHAOS 3", 0, names)


@pytest.fixture
def truth(series) -> Labelmap:
    """The liver that the challenge's experts drew, from its PNG pictures."""
    drawn = read_labelmap(series / "Ground", series=series / "DICOM_anon")
    return Labelmap(drawn.array, drawn.geometry, (LIVER,))


@pytest.fixture
def segmentation_node(volume_node, truth, series, tmp_path):
    """The segmentation that the DICOM SEG of the truth holds, beside the volume."""
    from GANSegmentationPanel import scene as border

    path = write_dicom_seg(truth, tmp_path / "liver.dcm", source=series / "DICOM_anon")
    grid = border.volumeFromNode(volume_node).geometry
    return border.addLabelmapToSegmentation(read_labelmap(path, geometry=grid), volume_node)


def ras_of(mask: np.ndarray, ijk_to_ras: np.ndarray) -> np.ndarray:
    """The RAS positions of the voxels of a mask ``(k, j, i)``, mm, sorted."""
    index = np.argwhere(mask)[:, ::-1]
    points = np.c_[index, np.ones(len(index))] @ ijk_to_ras.T
    return np.unique(points[:, :3].round(3), axis=0)


def test_the_segment_has_its_voxels_name_and_colour_where_the_truth_is(segmentation_node, truth):
    segmentation = segmentation_node.GetSegmentation()
    assert segmentation.GetNumberOfSegments() == 1
    segment = segmentation.GetNthSegment(0)
    assert segment.GetName() == "Liver"
    assert np.rint(255 * np.array(segment.GetColor())).astype(int).tolist() == [221, 130, 101]
    # Straight from MRML: the segment's own image with its own matrix and extent.
    image = segment.GetRepresentation("Binary labelmap")
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    extent = image.GetExtent()
    voxels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars())
    voxels = voxels.reshape(extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
    shift = np.eye(4)
    shift[:3, 3] = extent[0], extent[2], extent[4]
    seen = ras_of(voxels == segment.GetLabelValue(), slicer.util.arrayFromVTKMatrix(matrix) @ shift)
    expected = ras_of(truth.array > 0, truth.geometry.index_to_ras)
    assert seen.shape == expected.shape
    assert np.abs(seen - expected).max() < 2e-3


def test_the_slice_view_shows_the_segment_on_the_liver(application, volume_node, segmentation_node, truth, tmp_path):
    from PIL import Image

    from Testing.slicer_host.render import render_segmentation

    areas = (truth.array > 0).sum(axis=(1, 2))
    index = int(areas.argmax())
    offset = float((truth.geometry.index_to_ras @ [0, 0, index, 1])[2])
    pictures = []
    for name, visible in (("with", True), ("without", False)):
        (tmp_path / name).mkdir()
        segmentation_node.GetDisplayNode().SetVisibility(visible)
        path, _ = render_segmentation(
            application.core, volume_node, segmentation_node, tmp_path / name, offset_mm=offset
        )
        pictures.append(np.asarray(Image.open(path).convert("RGB")).astype(int))
    with_mask, without = pictures

    painted = np.abs(with_mask - without).max(axis=2) > 8
    # The view is square and as wide as the image: radiological, patient's right on the left, front up.
    rows, columns = np.nonzero(painted)
    place = (np.argwhere(truth.array[index] > 0) + 0.5) / truth.array.shape[1:]
    drawn = np.array([rows.mean() / painted.shape[0], columns.mean() / painted.shape[1]])
    np.testing.assert_allclose(drawn, place.mean(axis=0), atol=0.01)
    assert painted.mean() == pytest.approx(len(place) / truth.array[index].size, rel=0.1)
    # What is painted is the liver: in the window of the abdomen all of it has nearly one grey.
    assert without[..., 0][painted].std() < without[..., 0].std() / 2
