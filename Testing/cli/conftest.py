"""A model whose masks are known in advance, and scans for it, all as real files.

The model is a real network of the registry, a real package and runs through everything a trained one does; only its
weights are set by hand so that it marks what is brighter than 80 HU. On slices that need no resampling its mask is
exact, so what the commands report can be checked to the voxel.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from GANSegmentationLib.models import Card, write_package
from GANSegmentationLib.networks import build
from GANSegmentationLib.slicing import SliceSpec, Window
from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, Volume, write_labelmap, write_volume

PROJECT = Path(__file__).resolve().parents[2]
SIZE = 32
LIVER = Segment(1, "Liver", (221, 130, 101))

THRESHOLD_NETWORK: Mapping[str, Any] = {
    "in_channels": 1,
    "classes": 1,
    "channels": [2, 2],
    "norm": "batch",
    "up": "resize",
    "refine": False,
    "full_resolution": 1,
    "dropout": 0.0,
}


def threshold_weights(config: Mapping[str, Any] = THRESHOLD_NETWORK) -> dict[str, np.ndarray]:
    """Weights that make the network give the normalised intensity itself: positive above the middle of the window."""
    network = build("pix2pix_modern", config)
    weights = {name: np.zeros(tuple(tensor.shape), np.float32) for name, tensor in network.state_dict().items()}
    for name, array in weights.items():
        if name.endswith(("norm.weight", "running_var")):
            array[:] = 1
        if name.endswith("num_batches_tracked"):
            weights[name] = np.zeros((), np.int64)
    weights["stem.first.conv.weight"][0, 0, 1, 1] = 1
    weights["head.conv.weight"][0, -1, 0, 0] = 1  # the last channel is the stem's
    return weights


def card_fields(model_id: str, modality: str, **changes: Any) -> dict[str, Any]:
    spec = SliceSpec(plane="acquisition", neighbours=1, size=SIZE, multiple=4, normalisation=Window(0.0, 160.0))
    return {
        "schema": 1,
        "id": model_id,
        "title": f"Threshold for {modality}",
        "version": "1.0.0",
        "network": {"name": "pix2pix_modern", "config": dict(THRESHOLD_NETWORK)},
        "slicing": spec.to_dict(),
        "modalities": [modality],
        "domains": [],
        "channels": 1,
        "channel_names": [modality],
        "spacing_range": None,
        "intensity": {"unit": "HU", "range": [-200, 100]},
        "postprocessing": {"largest_component": False, "fill_holes": False, "minimum_volume_ml": 0.0, "crf": None},
        "test_time_augmentation": [],
        "training": {
            "preset": "none",
            "objective": "none",
            "seed": 0,
            "split_sha256": None,
            "epochs": 0,
            "date": "2025-01-01",
            "data": [],
        },
        "metrics": [
            {"name": "Dice", "dataset": "phantom", "split": "test", "n": 1, "mean": 1.0, "ci95": None, "unit": ""}
        ],
        "default_for": [modality],
        "weights_licence": "CC0-1.0",
        "code_licence": "Apache-2.0",
        "intended_use": "Tests.",
        "limitations": "It knows brightness only.",
        **changes,
    }


@dataclass(frozen=True)
class Ran:
    """What a command left behind: exit code, stdout, stderr."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Phantom:
    """A scan, its exact liver, and where they lie as files."""

    volume: Volume
    liver: Labelmap
    dicom: Path
    nifti: Path
    reference: Path


@pytest.fixture(scope="session")
def threshold_package(tmp_path_factory) -> Callable[..., Path]:
    """Write a package of the threshold model, for a modality of one's choice."""

    def make(model_id: str, modality: str, **changes: Any) -> Path:
        card = Card.from_dict({**card_fields(model_id, modality, **changes), "files": {}})
        folder = tmp_path_factory.mktemp("packages")
        return write_package(folder / f"{model_id}.ganseg", card, threshold_weights(), (LIVER,), None)

    return make


@pytest.fixture(scope="session")
def package(threshold_package) -> Path:
    """The threshold model for CT."""
    return threshold_package("threshold-ct", "CT")


SOP_CLASSES = {
    "CT": pydicom.uid.CTImageStorage,
    "MR": pydicom.uid.MRImageStorage,
    "US": pydicom.uid.SecondaryCaptureImageStorage,
}


def write_series(volume: Volume, folder: Path) -> Path:
    """A DICOM series, one file a slice, numbered upwards, with the few attributes that say where and what it is."""
    folder.mkdir(parents=True)
    series, study, frame = (pydicom.uid.generate_uid() for _ in range(3))
    matrix = volume.geometry.index_to_lps
    axes = volume.geometry.direction_matrix
    for index, pixels in enumerate(volume.array):
        meta = pydicom.dataset.FileMetaDataset()
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = SOP_CLASSES[volume.modality or "CT"]
        meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
        image = pydicom.Dataset()
        image.file_meta = meta
        image.SOPClassUID, image.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study, series, frame
        image.Modality, image.SeriesDescription = volume.modality, volume.name
        image.SeriesNumber, image.InstanceNumber = 1, index + 1
        image.ImagePositionPatient = (matrix @ [0, 0, index, 1])[:3].round(10).tolist()
        image.ImageOrientationPatient = [*axes[:, 0].round(12).tolist(), *axes[:, 1].round(12).tolist()]
        image.PixelSpacing = [volume.geometry.spacing[1], volume.geometry.spacing[0]]
        image.SliceThickness = volume.geometry.spacing[2]
        image.Rows, image.Columns = pixels.shape
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 1
        image.RescaleSlope, image.RescaleIntercept = 1, 0
        image.PixelData = pixels.astype("<i2").tobytes()
        image.save_as(folder / f"slice_{index:03}.dcm", enforce_file_format=True)
    return folder


def make_scan(folder: Path, modality: str = "CT") -> Phantom:
    """A body of 40 HU in air with a liver of 110 HU, oblique and anisotropic, 6 slices of 32 x 32."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    image = np.full((6, SIZE, SIZE), -1000, dtype=np.int16)
    image[:, ((y - 15.5) / 12) ** 2 + ((x - 15.5) / 14) ** 2 < 1] = 40
    liver = np.zeros(image.shape, dtype=bool)
    for i in range(1, 5):
        liver[i] = ((y - 14) / (3 + i)) ** 2 + ((x - 11) / (2 + i)) ** 2 < 1
    image[liver] = 110
    angle = np.deg2rad(8)
    geometry = Geometry(
        size=(SIZE, SIZE, 6),
        spacing=(2.5, 2.5, 4.0),
        origin=(-31.5, -47.25, 12.5),
        direction=(1, 0, 0, 0, np.cos(angle), -np.sin(angle), 0, np.sin(angle), np.cos(angle)),
    )
    volume = Volume(image, geometry, modality=modality, name="phantom")
    labelmap = Labelmap(liver.astype(np.uint8), geometry, (LIVER,))
    dicom = write_series(volume, folder / "series")
    nifti = write_volume(volume, folder / "scan.nii.gz")
    reference = write_labelmap(labelmap, folder / "reference.nrrd")
    return Phantom(volume, labelmap, dicom, nifti, reference)


@pytest.fixture(scope="session")
def new_scan() -> Callable[..., Phantom]:
    """Write the phantom into a folder of one's own, in a modality of one's choice."""
    return make_scan


@pytest.fixture(scope="session")
def project() -> Path:
    """The repository's root."""
    return PROJECT


@pytest.fixture(scope="session")
def phantom(tmp_path_factory) -> Phantom:
    """The CT phantom; nobody writes into its folder."""
    return make_scan(tmp_path_factory.mktemp("ct"))


@pytest.fixture(scope="session")
def mr_phantom(tmp_path_factory) -> Phantom:
    """The same picture as an MR series."""
    return make_scan(tmp_path_factory.mktemp("mr"), "MR")


@pytest.fixture
def library(tmp_path, monkeypatch) -> Path:
    """An empty library of the user's, of this test alone."""
    folder = tmp_path / "library"
    monkeypatch.setenv("GANSEG_MODELS", str(folder))
    return folder


@pytest.fixture
def ganseg(library, monkeypatch, capsys) -> Callable[..., Ran]:
    """Run ``ganseg`` in this process, with the library of this test."""
    from GANSegmentationLib.cli import main

    monkeypatch.delenv("GANSEG_DEBUG", raising=False)

    def run(*arguments: object) -> Ran:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return Ran(code, out, err)

    return run


@pytest.fixture
def ganseg_process(library) -> Callable[..., Ran]:
    """Run ``ganseg`` as a process of its own, as a shell does."""

    def run(*arguments: object) -> Ran:
        command: Sequence[str] = [sys.executable, "-m", "GANSegmentationLib", *map(str, arguments)]
        environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        return Ran(done.returncode, done.stdout, done.stderr)

    return run
