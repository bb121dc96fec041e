"""A ``.seg.nrrd`` opens in 3D Slicer, and Slicer's own opens here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Code, Geometry, Labelmap, Segment, read_labelmap, write_labelmap

OBLIQUE = np.array([[0.8, 0.0, -0.6], [0.36, 0.8, 0.48], [0.48, -0.6, 0.64]])
GRID = Geometry((9, 8, 7), (0.7, 0.8, 2.5), (-12.5, 30.0, 101.25), tuple(OBLIQUE.ravel()))
LIVER = Segment(
    1,
    "Leber größer",
    (221, 130, 101),
    category=Code("SCT", "123037004", "Anatomical Structure"),
    type=Code("SCT", "10200004", "Liver"),
)
MASS = Segment(2, "Mass", (144, 238, 144))
LIVER_TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure~"
    "SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
)

# Slicer loads a segmentation, tells what it sees, exports it on the reference geometry and saves it in its own way.
SLICER_SCRIPT = """
import json, sys
import numpy as np, slicer, slicer.util, vtk
source, copy, voxels = sys.argv[1:]
scene = slicer.vtkMRMLScene()
node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
storage.SetFileName(source)
assert storage.ReadData(node)
segmentation = node.GetSegmentation()
segments = []
for index in range(segmentation.GetNumberOfSegments()):
    segment = segmentation.GetNthSegment(index)
    tags = {}
    for tag in (segment.GetTerminologyEntryTagName(), "DICOM.SegmentAlgorithmType", "DICOM.SegmentAlgorithmName"):
        value = vtk.reference("")
        tags[tag] = str(value) if segment.GetTag(tag, value) else None
    segments.append({"id": segmentation.GetNthSegmentID(index), "name": segment.GetName(), "tags": tags,
                     "colour": list(segment.GetColor()), "value": segment.GetLabelValue()})
ids = vtk.vtkStringArray()
segmentation.GetSegmentIDs(ids)
export = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
extent = slicer.vtkSegmentation.EXTENT_REFERENCE_GEOMETRY
assert slicer.vtkSlicerSegmentationsModuleLogic.ExportSegmentsToLabelmapNode(node, ids, export, None, extent)
np.save(voxels, slicer.util.arrayFromVolume(export))
matrix = vtk.vtkMatrix4x4()
export.GetIJKToRASMatrix(matrix)
segmentation.SetConversionParameter("Reference image geometry", "")  # then Slicer saves a crop
storage.SetFileName(copy)
assert storage.WriteData(node)
numbers = [matrix.GetElement(r, c) for r in range(4) for c in range(4)]
print("RESULT" + json.dumps({"segments": segments, "ijk_to_ras": numbers}))
"""


def labelmap(segments: tuple[Segment, ...] = (LIVER, MASS)) -> Labelmap:
    array = np.zeros(GRID.shape, np.uint8)
    array[2:4, 3:6, 1:5] = 1
    array[5, 1, 7] = 2
    return Labelmap(array, GRID, segments)


def header_of(path: Path) -> dict[str, str]:
    image = SimpleITK.ReadImage(str(path))
    return {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}


@pytest.fixture(scope="module")
def slicer_sees(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What Slicer's own code finds in a file of ours, and the file that it saves."""
    if importlib.util.find_spec("slicer") is None:
        pytest.skip("slicer-core is not installed")
    folder = tmp_path_factory.mktemp("slicer")
    source = write_labelmap(labelmap(), folder / "mask.seg.nrrd", algorithm_name="Liver model 1.0")
    copy, voxels = folder / "copy.seg.nrrd", folder / "voxels.npy"
    command = [sys.executable, "-c", SLICER_SCRIPT, str(source), str(copy), str(voxels)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    return {**json.loads(line.removeprefix("RESULT")), "copy": copy, "voxels": np.load(voxels)}


def test_slicer_sees_names_colours_and_values(slicer_sees: dict[str, Any]) -> None:
    liver, mass = slicer_sees["segments"]
    assert (liver["name"], liver["value"]) == ("Leber größer", 1)
    assert (mass["name"], mass["value"]) == ("Mass", 2)
    np.testing.assert_allclose(np.array(liver["colour"]) * 255, [221, 130, 101], atol=1e-6)


def test_slicer_sees_the_terminology_and_the_algorithm(slicer_sees: dict[str, Any]) -> None:
    tags = slicer_sees["segments"][0]["tags"]
    assert tags == {
        "TerminologyEntry": LIVER_TERMINOLOGY,
        "DICOM.SegmentAlgorithmType": "AUTOMATIC",
        "DICOM.SegmentAlgorithmName": "Liver model 1.0",
    }


def test_slicer_sees_the_labels_at_their_place_on_the_whole_grid(slicer_sees: dict[str, Any]) -> None:
    np.testing.assert_array_equal(slicer_sees["voxels"], labelmap().array)
    matrix = np.array(slicer_sees["ijk_to_ras"]).reshape(4, 4)
    assert Geometry.from_index_to_ras(matrix, GRID.size).corner_distance(GRID) < 1e-4


def test_what_slicer_saves_cropped_comes_back_on_the_scan(slicer_sees: dict[str, Any]) -> None:
    cropped = read_labelmap(slicer_sees["copy"])
    assert cropped.geometry.size != GRID.size
    restored = read_labelmap(slicer_sees["copy"], geometry=GRID)
    np.testing.assert_array_equal(restored.array, labelmap().array)
    assert restored.segments[0] == LIVER


def test_labels_without_a_segment_get_one_so_that_none_is_lost(tmp_path: Path) -> None:
    copy = read_labelmap(write_labelmap(labelmap((LIVER,)), tmp_path / "mask.seg.nrrd"))
    assert [(segment.value, segment.name) for segment in copy.segments] == [(1, LIVER.name), (2, "Label 2")]


def test_an_empty_segment_has_an_empty_extent(tmp_path: Path) -> None:
    empty = Segment(3, "Nothing", (1, 2, 3))
    header = header_of(write_labelmap(labelmap((LIVER, MASS, empty)), tmp_path / "mask.seg.nrrd"))
    assert header["Segment0_Extent"] == "1 4 3 5 2 3"
    assert header["Segment1_Extent"] == "7 7 1 1 5 5"
    assert header["Segment2_Extent"] == "0 -1 0 -1 0 -1"


def test_a_mask_that_no_algorithm_made_does_not_claim_one(tmp_path: Path) -> None:
    header = header_of(write_labelmap(labelmap(), tmp_path / "mask.seg.nrrd", algorithm_name=None))
    assert "Algorithm" not in header["Segment0_Tags"]


def test_separators_in_names_do_not_break_the_header(tmp_path: Path) -> None:
    odd = Segment(1, "a|b~c\nd", (0, 0, 0), Code("SCT", "1", "x~y|z"), Code("SCT", "2", "p^q"))
    path = write_labelmap(labelmap((odd, MASS)), tmp_path / "mask.seg.nrrd", algorithm_name="net|v1:a~b")
    first, second = read_labelmap(path).segments
    assert first.name == "a|b~c d"
    assert first.category == Code("SCT", "1", "x y z")
    assert first.type == Code("SCT", "2", "p q")
    assert second == MASS


def test_overlapping_segments_in_layers_are_refused(tmp_path: Path) -> None:
    layers = np.zeros((*GRID.shape, 2), np.uint8)
    image = SimpleITK.GetImageFromArray(layers, isVector=True)
    for index in range(2):
        image.SetMetaData(f"Segment{index}_ID", f"Segment_{index}")
        image.SetMetaData(f"Segment{index}_Layer", str(index))
    SimpleITK.WriteImage(image, str(tmp_path / "layers.seg.nrrd"))
    with pytest.raises(GANSegmentationError) as caught:
        read_labelmap(tmp_path / "layers.seg.nrrd")
    assert caught.value.code == "overlapping_segments"
    assert "more than one segment" in caught.value.message


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [("Layer", "1", "overlapping_segments"), ("Color", "red", "damaged_file"), ("LabelValue", "x", "damaged_file")],
)
def test_descriptions_that_cannot_be_right_are_refused(tmp_path: Path, field: str, value: str, code: str) -> None:
    image = SimpleITK.GetImageFromArray(labelmap().array)
    image.SetMetaData("Segment0_ID", "Segment_1")
    image.SetMetaData(f"Segment0_{field}", value)
    SimpleITK.WriteImage(image, str(tmp_path / "mask.seg.nrrd"))
    with pytest.raises(GANSegmentationError) as caught:
        read_labelmap(tmp_path / "mask.seg.nrrd")
    assert caught.value.code == code
