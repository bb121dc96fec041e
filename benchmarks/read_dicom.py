"""Reading an uncompressed CT series of 150 x 512 x 512 from its DICOM folder, against the readers in common use.

    python benchmarks/read_dicom.py [--rounds N] [--slices N]

The series is generated: 150 files with shuffled names, 12 bits in 16, rescale -1024, a header of the usual length. All
variants give HU in the order of the slices; that their voxels agree is checked before anything is timed. The files are
in the page cache, as they are when a folder has just been copied or looked at.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import SimpleITK
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from timing import alternate, report

from GANSegmentationLib.volumes import read_volume

STEP_MM = 1.25


def write_series(folder: Path, slices: int) -> None:
    """A CT series as a scanner writes it, its file names in another order than its slices."""
    random = np.random.default_rng(0)
    series_uid, study_uid, frame_uid = (generate_uid() for _ in range(3))
    numbers = random.permutation(slices)
    base = random.integers(0, 4096, (512, 512)).astype(np.uint16)
    for index in range(slices):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = CTImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        image = Dataset()
        image.file_meta = meta
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = study_uid, series_uid, frame_uid
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI"]
        image.Modality, image.Manufacturer, image.ManufacturerModelName = "CT", "Generated", "Benchmark"
        image.StudyDescription, image.SeriesDescription, image.ProtocolName = "Abdomen", "Venous 1.25", "Abdomen"
        image.PatientName, image.PatientID, image.PatientPosition = "Nobody^", "0", "HFS"
        image.PatientBirthDate = image.PatientSex = image.AccessionNumber = image.StudyID = ""  # as they are sent on
        image.ReferringPhysicianName = ""
        image.StudyDate = image.SeriesDate = image.AcquisitionDate = image.ContentDate = "20200101"
        image.StudyTime = image.SeriesTime = image.AcquisitionTime = image.ContentTime = "101010.000000"
        image.KVP, image.XRayTubeCurrent, image.Exposure, image.ExposureTime = 120, 200, 150, 500
        image.ConvolutionKernel, image.FilterType, image.BodyPartExamined = "B30f", "0", "ABDOMEN"
        image.DataCollectionDiameter, image.ReconstructionDiameter, image.GantryDetectorTilt = 500, 360, 0
        image.TableHeight, image.RotationDirection, image.SliceThickness = 150, "CW", 1.5
        image.SeriesNumber, image.AcquisitionNumber, image.InstanceNumber = 4, 1, index + 1
        image.ImagePositionPatient = [-180, -180, STEP_MM * index]
        image.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        image.SliceLocation = STEP_MM * index
        image.PixelSpacing = [0.703125, 0.703125]
        image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
        image.Rows = image.Columns = 512
        image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
        image.WindowCenter, image.WindowWidth = [40, 400], [400, 2000]
        image.RescaleIntercept, image.RescaleSlope, image.RescaleType = -1024, 1, "HU"
        block = image.private_block(0x0029, "BENCHMARK HEADER", create=True)
        block.add_new(0x10, "OB", bytes(8192))  # scanners add some kilobytes of their own
        image.PixelData = np.roll(base, 977 * index).tobytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pydicom.dcmwrite(folder / f"IM{numbers[index]:05d}.dcm", image, write_like_original=False)


def simpleitk_reader(folder: Path) -> Any:
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder)))
    return SimpleITK.GetArrayFromImage(reader.Execute())


def pydicom_loop(folder: Path) -> Any:
    """As tutorials have it."""
    images = [pydicom.dcmread(path) for path in folder.iterdir()]
    images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    return np.stack([image.pixel_array * image.RescaleSlope + image.RescaleIntercept for image in images])


def monai_reader(folder: Path) -> Any:
    """MONAI's default for DICOM folders; its array is (x, y, z)."""
    from monai.data import PydicomReader

    reader = PydicomReader()
    array, _ = reader.get_data(reader.read(str(folder)))
    return array


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--slices", type=int, default=150)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_series(folder, arguments.slices)
        variants: dict[str, Callable[[], object]] = {
            "GANSegmentation": lambda: read_volume(folder),
            "SimpleITK series reader": lambda: simpleitk_reader(folder),
            "pydicom loop, pixel_array": lambda: pydicom_loop(folder),
        }
        ours = read_volume(folder).array
        agree = {
            "SimpleITK series reader": bool(np.array_equal(ours, simpleitk_reader(folder))),
            "pydicom loop, pixel_array": bool(np.array_equal(ours, pydicom_loop(folder))),
        }
        try:
            agree["MONAI PydicomReader"] = bool(np.array_equal(ours, np.transpose(monai_reader(folder), (2, 1, 0))))
            variants["MONAI PydicomReader"] = lambda: monai_reader(folder)
        except ImportError:
            print("MONAI is not installed; left out.")
        timings = alternate(variants, arguments.rounds)
    report(
        "read_dicom",
        timings,
        ours="GANSegmentation",
        notes=f"{arguments.slices} x 512 x 512, uncompressed, warm page cache; the same voxels: {agree}",
        extra={"slices": arguments.slices, "voxels_agree": agree},
    )


if __name__ == "__main__":
    main()
