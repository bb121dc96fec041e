"""The documented way to segment and compare from Slicer's Python, over a real scene."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Geometry, Labelmap, Volume
from Testing.GANSegmentation.jobs.test_job_queue import Slow
from Testing.tiny_model import LIVER, tiny_scan, write_tiny_package

AXIAL = tiny_scan().geometry
TILT = np.deg2rad(14)
OBLIQUE = Geometry(
    AXIAL.size,
    (0.9, 1.1, 3.3),
    (12.5, -80.25, 7.125),
    (1, 0, 0, 0, np.cos(TILT), -np.sin(TILT), 0, np.sin(TILT), np.cos(TILT)),
)


@pytest.mark.parametrize("geometry", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
def test_process_gives_a_segmentation_on_the_volumes_grid(logic, border, tiny_model, geometry):
    scan = tiny_scan(geometry=geometry)
    volume_node = border.addVolumeNode(scan)
    node = logic.process(volume_node, tiny_model)
    found = border.labelmapFromNode(node)
    assert np.array_equal(found.array, scan.array > 100)
    assert found.geometry.corner_distance(geometry) < 1e-4
    assert found.segments == (LIVER,)
    assert node.GetName() == "tiny segmentation"


def test_the_segment_says_which_model_made_it(logic, border, tiny_model):
    import vtk

    node = logic.process(border.addVolumeNode(tiny_scan()), tiny_model)
    tag = vtk.reference("")
    node.GetSegmentation().GetSegment("Liver").GetTag("DICOM.SegmentAlgorithmName", tag)
    assert str(tag) == "Tiny liver 1.0.0"


def test_process_adds_to_the_segmentation_it_is_given(logic, border, tiny_model):
    volume_node = border.addVolumeNode(tiny_scan())
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    output.GetSegmentation().AddEmptySegment("tumour", "tumour")
    assert logic.process(volume_node, tiny_model, output) is output
    names = [output.GetSegmentation().GetNthSegment(i).GetName() for i in range(2)]
    assert names == ["tumour", "Liver"]


def test_the_run_is_told_to_who_asks(logic, border, tiny_model):
    events = []
    logic.process(border.addVolumeNode(tiny_scan()), tiny_model, onEvent=events.append)
    assert isinstance(events[0], protocol.Started)
    assert any(isinstance(event, protocol.Progress) and event.total == 6 for event in events)
    assert isinstance(events[-1], protocol.Result)
    assert not logic.isRunning


def test_cancelling_leaves_the_scene_as_it_was(logic, border, tiny_model):
    volume_node = border.addVolumeNode(tiny_scan())
    before = slicer.mrmlScene.GetNumberOfNodes()

    def cancel_at_once(event):
        logic.cancel()

    with pytest.raises(GANSegmentationError) as caught:
        logic.process(volume_node, tiny_model, onEvent=cancel_at_once)
    assert caught.value.code == "cancelled"
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert not logic.isRunning


def test_a_wrong_modality_is_refused_and_can_be_forced(logic, border, tiny_model):
    from GANSegmentationPanel.jobs.options import SegmentOptions

    volume_node = border.addVolumeNode(tiny_scan("MR"))
    with pytest.raises(GANSegmentationError) as caught:
        logic.process(volume_node, tiny_model)
    assert caught.value.code == "modality_mismatch"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0
    warnings = logic.checkInput(volume_node, tiny_model, SegmentOptions(force=True))
    assert "modality_mismatch" in [warning["code"] for warning in warnings]
    assert logic.process(volume_node, tiny_model, options=SegmentOptions(force=True)) is not None


def test_an_unknown_modality_warns(logic, border, tiny_model):
    warnings = logic.checkInput(border.addVolumeNode(tiny_scan(None)), tiny_model)
    assert [warning["code"] for warning in warnings] == ["modality_unknown"]


@pytest.mark.parametrize("nothing", [None, [], [None]])
def test_a_missing_volume_is_named(logic, nothing):
    with pytest.raises(GANSegmentationError) as caught:
        logic.process(nothing)
    assert caught.value.code == "no_volume"


def test_a_model_that_is_not_there_is_named(logic, border, tiny_model):
    with pytest.raises(GANSegmentationError, match="nowhere"):
        logic.process(border.addVolumeNode(tiny_scan()), "nowhere")


def test_the_check_is_of_the_domain_and_modality_of_the_run(module, border, tiny_model, tmp_path):
    from GANSegmentationPanel.jobs.options import SegmentOptions

    executor = Slow()
    logic = module.GANSegmentationLogic(executor)
    write_tiny_package(tmp_path / "models" / "both.ganseg", id="both", modalities=("CT", "MR"), domains=("CT", "MR"))
    logic.startCheck(border.addVolumeNode(tiny_scan()), "both", SegmentOptions(domain="MR", force=True))
    assert (executor.request.domain, executor.request.force) == ("MR", True)
    executor.answer(protocol.Cancelled)


def test_models_lists_the_imported_one(logic, tiny_model):
    assert tiny_model in [model.card.id for model in logic.models()]


def test_a_second_run_uses_the_loaded_model(logic, border, tiny_model):
    volume_node = border.addVolumeNode(tiny_scan())
    logic.process(volume_node, tiny_model)
    loaded = logic.executor._worker._predictor
    logic.process(volume_node, tiny_model)
    assert logic.executor._worker._predictor is loaded


def test_a_logic_that_was_closed_hears_nothing_of_the_scene(logic, border, tiny_model):
    def observers() -> int:
        return str(slicer.mrmlScene).count("Event: ")

    before = observers()
    logic.process(border.addVolumeNode(tiny_scan()), tiny_model)
    assert observers() > before  # for the way back
    logic.close()
    assert observers() == before


def test_another_folder_of_models_is_looked_into_at_once(logic, tiny_model, tmp_path, monkeypatch):
    assert tiny_model in [package.card.id for package in logic.models()]
    monkeypatch.setenv("GANSEG_MODELS", str(tmp_path / "others"))
    write_tiny_package(tmp_path / "others.ganseg", id="other")
    (tmp_path / "others").mkdir()
    (tmp_path / "others.ganseg").rename(tmp_path / "others" / "other.ganseg")
    listed = [package.card.id for package in logic.models()]
    assert "other" in listed and tiny_model not in listed


def test_no_private_folder_is_left_behind(logic, border, tiny_model, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    logic.process(border.addVolumeNode(tiny_scan()), tiny_model)
    with pytest.raises(GANSegmentationError):
        logic.process(border.addVolumeNode(tiny_scan("MR")), tiny_model)
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_unsuitable_output_is_refused_before_the_run(logic, border, tiny_model):
    volume_node = border.addVolumeNode(tiny_scan())
    surfaces = logic.process(volume_node, tiny_model)
    surfaces.CreateClosedSurfaceRepresentation()
    surfaces.GetSegmentation().SetSourceRepresentationName("Closed surface")
    for output in (surfaces, volume_node):
        events = []
        with pytest.raises(GANSegmentationError) as caught:
            logic.process(volume_node, tiny_model, output, onEvent=events.append)
        assert caught.value.code == "unsuitable_output"
        assert events == []


def test_a_scene_that_is_closed_during_a_run_stays_empty(logic, border, tiny_model):
    volume_node = border.addVolumeNode(tiny_scan())

    def close(event):
        if isinstance(event, protocol.Progress):
            slicer.mrmlScene.Clear(0)

    with pytest.raises(GANSegmentationError) as caught:
        logic.process(volume_node, tiny_model, onEvent=close)
    assert caught.value.code == "volume_removed"
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


# Comparison


@pytest.fixture
def reference_labels() -> np.ndarray:
    labels = (tiny_scan().array > 100).astype(np.uint8)
    labels[1] = 0
    return labels


def test_compare_scores_against_a_segmentation(logic, border, tiny_model, reference_labels):
    volume_node = border.addVolumeNode(tiny_scan())
    node = logic.process(volume_node, tiny_model)
    reference = border.addLabelmapToSegmentation(Labelmap(reference_labels, AXIAL, (LIVER,)), volume_node)
    (scores,) = logic.compare(node, reference, surfaceToleranceMm=1.0)
    assert not scores.get("slices")
    (per_slice,) = logic.compare(node, reference, perSlice=True)
    assert [each["index"] for each in per_slice["slices"]] == sorted(each["index"] for each in per_slice["slices"])
    assert {each["dice"] for each in per_slice["slices"]} > {0.0}
    assert scores["name"] == "Liver"
    assert scores["dice"] == pytest.approx(2 * 30 / (30 + 45))
    assert scores["hd_mm"] == pytest.approx(AXIAL.spacing[2])
    assert scores["chaos"]["dice"] == pytest.approx(scores["dice"])
    assert 0 < scores["surface_dice"] < 1


def test_compare_scores_against_a_labelmap_volume(logic, border, tiny_model, reference_labels):
    node = logic.process(border.addVolumeNode(tiny_scan()), tiny_model)
    labelmap_node = slicer.util.addVolumeFromArray(
        reference_labels, ijkToRAS=AXIAL.index_to_ras, nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    (scores,) = logic.compare(node, labelmap_node)
    assert scores["dice"] == pytest.approx(2 * 30 / (30 + 45))


def test_compare_takes_a_reference_that_was_imported_without_its_volume(logic, border, tiny_model, reference_labels):
    node = logic.process(border.addVolumeNode(tiny_scan()), tiny_model)
    labelmap_node = slicer.util.addVolumeFromArray(
        reference_labels, ijkToRAS=AXIAL.index_to_ras, nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    reference = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labelmap_node, reference)
    reference.GetSegmentation().GetNthSegment(0).SetName("Liver")
    (scores,) = logic.compare(node, reference)
    assert scores["dice"] == pytest.approx(2 * 30 / (30 + 45))


def test_compare_refuses_another_grid(logic, border, tiny_model):
    node = logic.process(border.addVolumeNode(tiny_scan()), tiny_model)
    other_node = border.addVolumeNode(Volume(np.zeros(OBLIQUE.shape, np.int16), OBLIQUE, "CT", "other"))
    labels = Labelmap(np.ones(OBLIQUE.shape, np.uint8), OBLIQUE, (LIVER,))
    with pytest.raises(GANSegmentationError) as caught:
        logic.compare(node, border.addLabelmapToSegmentation(labels, other_node))
    assert caught.value.code == "geometry_mismatch"


def test_the_scores_become_a_table_that_tells_infinite_from_undefined(logic, border, tiny_model, reference_labels):
    node = logic.process(border.addVolumeNode(tiny_scan()), tiny_model)
    empty = slicer.util.addVolumeFromArray(
        np.zeros_like(reference_labels), ijkToRAS=AXIAL.index_to_ras, nodeClassName="vtkMRMLLabelMapVolumeNode"
    )
    table = logic.addScoresTable(logic.compare(node, empty)).GetTable()
    columns = {table.GetColumnName(i): i for i in range(table.GetNumberOfColumns())}
    assert table.GetNumberOfRows() == 1
    assert table.GetValue(0, columns["name"]).ToString() == "Liver"
    assert table.GetValue(0, columns["status"]).ToString() == "not in the reference"
    assert table.GetValue(0, columns["hd_mm"]).ToString() == "inf"
    assert table.GetValue(0, columns["rvd"]).ToString() == "nan"
    assert float(table.GetValue(0, columns["dice"]).ToString()) == 0.0
    assert "chaos" not in columns


# The self test of the module


def test_the_module_test_runs_in_the_host(module, scene, monkeypatch, tmp_path):
    monkeypatch.setenv("GANSEG_MODELS", str(tmp_path))  # the shipped models only
    slicer.selfTests["GANSegmentation"](msec=1)


def test_the_module_test_has_the_name_that_slicer_looks_for(module):
    assert issubclass(module.GANSegmentationTest, slicer.ScriptedLoadableModule.ScriptedLoadableModuleTest)
    module.GANSegmentationTest().test_MissingVolume()
