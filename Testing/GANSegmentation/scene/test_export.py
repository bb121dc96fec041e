"""Segmentations leave the scene whole, and a button that cannot work says why."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest
import slicer
import slicer.util

from GANSegmentationLib.datasets.synthetic_patient import write_dicom_series
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, Volume, read_labelmap
from Testing.GANSegmentation.scene_objects import LIVER, SHAPE, TUMOUR, add_volume, make_labelmap, read_tag


@pytest.fixture
def volume_node(border):
    return add_volume(name="CT")


@pytest.fixture
def node(border, volume_node):
    labelmap = make_labelmap(border.geometryFromNode(volume_node))
    return border.addLabelmapToSegmentation(labelmap, volume_node, algorithmName="tiny 1.0")


def read_node(path):
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    read = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    assert storage.ReadData(read)
    return read


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nii.gz", ".nrrd", ".mha"])
def test_the_ending_of_the_name_decides_the_format(border, node, volume_node, tmp_path, suffix):
    size = slicer.mrmlScene.GetNumberOfNodes()
    path = border.exportSegmentation(node, tmp_path / f"Läsion 肝{suffix}")
    expected = border.labelmapFromNode(node)
    back = read_labelmap(path, geometry=expected.geometry)
    assert np.array_equal(back.array, expected.array)
    assert back.geometry.corner_distance(expected.geometry) < 1e-4
    if suffix == ".seg.nrrd":
        assert back.segments == (LIVER, TUMOUR)
        segment = read_node(path).GetSegmentation().GetNthSegment(0)
        assert read_tag(segment, "DICOM.SegmentAlgorithmName") == "tiny 1.0"
    else:
        assert slicer.mrmlScene.GetNumberOfNodes() == size


def test_what_a_person_drew_is_not_called_automatic(border, node, tmp_path):
    node.GetSegmentation().GetNthSegment(1).SetTag("DICOM.SegmentAlgorithmType", "MANUAL")
    segmentation = read_node(border.exportSegmentation(node, tmp_path / "x.seg.nrrd")).GetSegmentation()
    kinds = [read_tag(segmentation.GetNthSegment(i), "DICOM.SegmentAlgorithmType") for i in range(2)]
    assert kinds == ["AUTOMATIC", "MANUAL"]


def test_what_was_corrected_everywhere_is_not_called_automatic(border, node, tmp_path):
    for index in range(2):
        node.GetSegmentation().GetNthSegment(index).SetTag("DICOM.SegmentAlgorithmType", "SEMIAUTOMATIC")
    segmentation = read_node(border.exportSegmentation(node, tmp_path / "x.seg.nrrd")).GetSegmentation()
    kinds = {read_tag(segmentation.GetNthSegment(i), "DICOM.SegmentAlgorithmType") for i in range(2)}
    assert kinds == {"SEMIAUTOMATIC"}


def test_overlapping_segments_need_a_format_that_can_hold_them(border, node, volume_node, tmp_path):
    whole = Labelmap(np.ones(SHAPE, np.uint8), border.geometryFromNode(volume_node), (Segment(1, "All", (1, 2, 3)),))
    border.addLabelmapToSegmentation(whole, volume_node, node, algorithmName="tiny 1.0")
    read = read_node(border.exportSegmentation(node, tmp_path / "x.seg.nrrd"))
    read.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    for identifier in ("Liver", "All"):
        shown = [slicer.util.arrayFromSegmentBinaryLabelmap(each, identifier, volume_node) for each in (node, read)]
        assert np.array_equal(*shown)
    with pytest.raises(GANSegmentationError) as caught:
        border.exportSegmentation(node, tmp_path / "x.nii.gz")
    assert caught.value.code == "overlapping_segments"
    assert [file.name for file in tmp_path.iterdir()] == ["x.seg.nrrd"]


@pytest.mark.parametrize(("name", "code"), [("x.png", "unknown_format"), ("missing/x.seg.nrrd", "folder_not_found")])
@pytest.mark.parametrize("mixed", [False, True])
def test_a_file_that_cannot_be_written_leaves_nothing(border, node, tmp_path, name, code, mixed):
    if mixed:
        node.GetSegmentation().GetNthSegment(1).SetTag("DICOM.SegmentAlgorithmType", "MANUAL")
    with pytest.raises(GANSegmentationError) as caught:
        border.exportSegmentation(node, tmp_path / name)
    assert caught.value.code == code
    assert not list(tmp_path.iterdir())


def test_a_removed_segmentation_is_not_exported(border, node, tmp_path):
    slicer.mrmlScene.RemoveNode(node)
    with pytest.raises(GANSegmentationError) as caught:
        border.exportSegmentation(node, tmp_path / "x.seg.nrrd")
    assert caught.value.code == "segmentation_removed"


# Source files of DICOM SEG


@pytest.fixture
def series(tmp_path):
    array = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)
    volume = Volume(array, Geometry(SHAPE[::-1], (1, 1, 2)), "CT", "x")
    folder = tmp_path / "Bilder ä"
    folder.mkdir()
    write_dicom_series(volume, folder)
    return sorted(str(path) for path in folder.rglob("*") if path.is_file())


class Database:
    def __init__(self, files):
        self.files = files

    def fileForInstance(self, instance):
        return self.files.get(instance, "")

    def instanceValue(self, instance, tag):
        return ""


def test_the_sources_come_from_the_database(border, volume_node, series, monkeypatch):
    volume_node.SetAttribute("DICOM.instanceUIDs", " ".join(f"1.{i}" for i in range(len(series))))
    monkeypatch.setattr(slicer, "dicomDatabase", Database({f"1.{i}": f for i, f in enumerate(series)}), raising=False)
    assert border.sourceFiles(volume_node).files == tuple(series)
    volume_node.SetAttribute("DICOM.instanceUIDs", "1.0 9.9")  # the second was deleted from the database
    assert border.sourceFiles(volume_node).files == ()
    assert border.whyNoDicomSeg(volume_node)


def test_the_sources_come_from_the_files_that_were_loaded(border, volume_node, series):
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    storage.SetFileName(series[0])
    for file in series:
        storage.AddFileName(file)
    volume_node.SetAndObserveStorageNodeID(storage.GetID())
    assert sorted(border.sourceFiles(volume_node).files) == series


def test_without_source_files_the_reason_is_said(border, volume_node, series, tmp_path):
    assert "not loaded from DICOM" in border.sourceFiles(volume_node).reason
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    volume_node.SetAndObserveStorageNodeID(storage.GetID())
    plain = tmp_path / "scan.nrrd"
    plain.write_bytes(b"NRRD0004\n" + bytes(200))
    storage.SetFileName(str(plain))
    assert "not loaded from DICOM" in border.sourceFiles(volume_node).reason
    storage.SetFileName(str(tmp_path / "gone.dcm"))
    assert "gone.dcm" in border.sourceFiles(volume_node).reason
    slicer.mrmlScene.RemoveNode(volume_node)
    assert border.sourceFiles(volume_node).reason
    assert border.whyNoDicomSeg(None)


# Statistics


class Parameters(dict):
    def SetParameter(self, name, value):
        self[name] = value


@pytest.fixture
def statistics(monkeypatch):
    """Stands for Slicer's module SegmentStatistics: the calls in its documentation, and what they were given."""
    calls = []

    class SegmentStatisticsLogic:
        def __init__(self):
            self.parameters = Parameters()

        def getParameterNode(self):
            return self.parameters

        def computeStatistics(self):
            calls.append(dict(self.parameters))

        def exportToTable(self, table):
            calls.append(table)

        def showTable(self, table):
            calls.append(("shown", table))

    module = types.ModuleType("SegmentStatistics")
    module.SegmentStatisticsLogic = SegmentStatisticsLogic
    monkeypatch.setitem(sys.modules, "SegmentStatistics", module)
    monkeypatch.setattr(slicer.modules, "segmentstatistics", object(), raising=False)
    return calls


def test_statistics_fill_one_table_again_and_again(border, node, volume_node, statistics):
    assert border.hasStatistics()
    table = border.showStatistics(node, volume_node)
    assert statistics == [
        {"Segmentation": node.GetID(), "ScalarVolume": volume_node.GetID()}, table, ("shown", table)
    ]  # fmt: skip
    assert border.showStatistics(node, None, table) is table
    assert statistics[3]["ScalarVolume"] == ""


def test_without_the_module_or_the_segmentation_statistics_are_refused(border, node, monkeypatch, request):
    with pytest.raises(GANSegmentationError) as caught:
        border.showStatistics(node)
    assert caught.value.code == "no_statistics"
    assert not border.hasStatistics()
    request.getfixturevalue("statistics")
    slicer.mrmlScene.RemoveNode(node)
    with pytest.raises(GANSegmentationError) as caught:
        border.showStatistics(node)
    assert caught.value.code == "segmentation_removed"
