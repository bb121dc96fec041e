"""The synthetic patient is listed in Sample Data, and loads without a network."""

from __future__ import annotations

import subprocess
import sys
import types

import numpy as np
import pytest
import slicer
import slicer.util
from PIL import Image

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.resources import resource_path

THUMBNAIL = str(resource_path("Icons", "SyntheticPatient.png"))


@pytest.fixture
def sample_data(border):
    from GANSegmentationPanel import sample_data

    return sample_data


def sample_data_module(with_categories: bool) -> types.ModuleType:
    """Stands for Slicer's module SampleData, with the arguments it takes; 5.10 knows no titles of categories."""
    module = types.ModuleType("SampleData")
    module.sources, module.titles = {}, {}

    class SampleDataLogic:
        @staticmethod
        def sampleDataSourcesByCategory(category=None):
            return module.sources.get(category, [])

        @staticmethod
        def registerCustomSampleDataSource(
            category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None,
            thumbnailFileName=None, loadFileType="VolumeFile", loadFiles=None, loadFileProperties=None, checksums=None,
        ):  # fmt: skip
            assert all(isinstance(text, str) for text in (uris, fileNames, nodeNames))  # as the real one needs them
            source = types.SimpleNamespace(
                sampleName=sampleName, customDownloader=customDownloader, thumbnailFileName=thumbnailFileName
            )
            module.sources.setdefault(category, []).append(source)

    if with_categories:
        SampleDataLogic.registerCustomSampleDataCategory = staticmethod(
            lambda category, title=None: module.titles.__setitem__(category, title)
        )
    module.SampleDataLogic = SampleDataLogic
    return module


@pytest.mark.parametrize("with_categories", [True, False], ids=["5.12", "5.10"])
def test_the_patient_is_listed_once_with_its_picture(sample_data, monkeypatch, with_categories):
    module = sample_data_module(with_categories)
    monkeypatch.setitem(sys.modules, "SampleData", module)
    assert sample_data.registerSampleData(THUMBNAIL)
    assert sample_data.registerSampleData(THUMBNAIL)  # the module was reloaded
    (source,) = module.sources["GANSegmentation"]
    assert bool(module.titles) == with_categories
    with Image.open(source.thumbnailFileName) as picture:
        assert picture.size == (260, 280)
        assert np.asarray(picture.convert("L")).std() > 30


def test_without_the_module_nothing_is_listed(sample_data, monkeypatch):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    assert not sample_data.registerSampleData(THUMBNAIL)


@pytest.fixture
def small_patient(sample_data, monkeypatch):
    """Three slices in the real process, in place of 62: the same program with a smaller patient."""
    small = "synthetic_patient._scan(int(sys.argv[2]), 3, 150.0)"
    program = sample_data._PROGRAM.replace("synthetic_patient.make(seed=int(sys.argv[2]))", small)
    assert program != sample_data._PROGRAM
    monkeypatch.setattr(sample_data, "_PROGRAM", program)
    return sample_data


def test_the_patient_loads_with_a_hidden_reference(border, small_patient):
    import qt

    alive = []
    timer = qt.QTimer()
    timer.setSingleShot(True)
    timer.connect("timeout()", lambda: alive.append("the window"))
    timer.start(10)
    volume_node, reference_node = small_patient._download(None)
    assert alive == ["the window"]  # while the patient was drawn
    volume = border.volumeFromNode(volume_node)
    assert (volume.modality, volume.array.shape) == ("CT", (3, 512, 512))
    reference = border.labelmapFromNode(reference_node)
    assert reference.geometry.corner_distance(volume.geometry) < 1e-9
    assert [segment.name for segment in reference.segments] == ["Liver"]
    assert reference.array.any()
    assert not reference_node.GetDisplayNode().GetVisibility()


def test_a_process_that_fails_says_its_last_words_and_leaves_nothing(sample_data, monkeypatch):
    monkeypatch.setattr(sample_data, "_PROGRAM", "raise MemoryError('no room for the patient')")
    size = slicer.mrmlScene.GetNumberOfNodes()
    with pytest.raises(GANSegmentationError) as caught:
        sample_data.loadSyntheticPatient()
    assert caught.value.code == "sample_failed"
    assert "no room for the patient" in caught.value.details
    assert slicer.mrmlScene.GetNumberOfNodes() == size


def test_a_process_that_hangs_is_ended(sample_data, monkeypatch):
    started = []
    popen = subprocess.Popen

    def start(*arguments, **options):
        started.append(popen(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(sample_data.subprocess, "Popen", start)
    monkeypatch.setattr(sample_data, "_PROGRAM", "import time; time.sleep(60)")
    monkeypatch.setattr(sample_data, "_LONGEST_S", 0.2)
    with pytest.raises(GANSegmentationError):
        sample_data.loadSyntheticPatient()
    assert started[0].returncode not in (None, 0)
