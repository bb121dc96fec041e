"""A DICOM SEG of a real scan in Slicer's scene: the segment lies on the organ, in the world and in the picture."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from GANSegmentationLib.volumes import Code, Labelmap, Segment, read_labelmap, write_dicom_seg

pytest_plugins = ["Testing.GANSegmentation.chaos"]
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
def truth(chaos) -> Labelmap:
    """The liver that the challenge's experts drew, from its PNG pictures."""
    drawn = read_labelmap(chaos / "Ground", series=chaos / "DICOM_anon")
    return Labelmap(drawn.array, drawn.geometry, (LIVER,))


@pytest.fixture
def segmentation_node(border, chaos_node, truth, chaos, tmp_path):
    """The segmentation that the DICOM SEG of the truth holds, beside the volume."""
    path = write_dicom_seg(truth, tmp_path / "liver.dcm", source=chaos / "DICOM_anon")
    grid = border.volumeFromNode(chaos_node).geometry
    return border.addLabelmapToSegmentation(read_labelmap(path, geometry=grid), chaos_node)


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


def test_the_slice_view_shows_the_segment_on_the_liver(application, chaos_node, segmentation_node, truth, tmp_path):
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
            application.core, chaos_node, segmentation_node, tmp_path / name, offset_mm=offset
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
