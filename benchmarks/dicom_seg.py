"""Writing and reading a liver of 150 x 512 x 512 as DICOM SEG, against highdicom alone and dcmqi.

    python benchmarks/dicom_seg.py [--rounds N] [--slices N]

The series and the mask are generated. Ours and highdicom's writer refer to the same source files; dcmqi's tools run as
processes of their own, as people run them. All readers give the same voxels, which is checked before anything is timed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from read_dicom import write_series
from timing import alternate, report

from GANSegmentationLib.volumes import Labelmap, find_series, read_labelmap, read_volume, write_labelmap
from GANSegmentationLib.volumes.segments import Code, Segment

CATEGORY = Code("SCT", "123037004", "Anatomical Structure")
LIVER = Segment(1, "Liver", (221, 130, 101), CATEGORY, Code("SCT", "10200004", "Liver"))


def liver_like(shape: tuple[int, int, int]) -> np.ndarray:
    """An ellipsoid of the size of a liver in the middle of the scan."""
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    inside = ((z - shape[0] / 2) / (0.4 * shape[0])) ** 2 + ((y - 240) / 110) ** 2 + ((x - 200) / 130) ** 2 < 1
    return inside.astype(np.uint8)


def highdicom_write(series: Path, mask: np.ndarray, target: Path) -> None:
    """As highdicom's guide has it."""
    import highdicom
    import pydicom

    images = [pydicom.dcmread(path) for path in series.iterdir()]
    images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name="benchmark", version="1", family=highdicom.sr.CodedConcept("123110", "DCM", "Artificial Intelligence")
    )
    described = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label="Liver",
        segmented_property_category=highdicom.sr.CodedConcept("123037004", "SCT", "Anatomical Structure"),
        segmented_property_type=highdicom.sr.CodedConcept("10200004", "SCT", "Liver"),
        algorithm_type="AUTOMATIC",
        algorithm_identification=algorithm,
    )
    highdicom.seg.Segmentation(
        source_images=images,
        pixel_array=mask,
        segmentation_type="BINARY",
        segment_descriptions=[described],
        series_instance_uid=highdicom.UID(),
        series_number=100,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="Benchmark",
        manufacturer_model_name="Benchmark",
        software_versions="1",
        device_serial_number="1",
    ).save_as(target)


def highdicom_read(path: Path) -> Any:
    """The voxels of all segments as one labelmap."""
    import highdicom

    return highdicom.seg.segread(path).get_volume(combine_segments=True).array


def box_of(mask: np.ndarray) -> np.ndarray:
    """The part of a mask that holds all of its voxels."""
    found = np.argwhere(mask)
    return mask[tuple(slice(low, high + 1) for low, high in zip(found.min(axis=0), found.max(axis=0), strict=True))]


def dcmqi_read(path: Path, folder: Path) -> Any:
    """dcmqi's converter, and its file."""
    tool = Path(sys.executable).with_name("segimage2itkimage")
    command = [str(tool), "--inputDICOM", str(path), "--outputDirectory", str(folder), "--prefix", "seg", "-t", "nrrd"]
    subprocess.run(command, check=True, capture_output=True)
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "seg-1.nrrd")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=150)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        series = folder / "series"
        series.mkdir()
        write_series(series, arguments.slices)
        geometry = read_volume(series).geometry
        labelmap = Labelmap(liver_like(geometry.shape), geometry, (LIVER,))
        source = find_series(series)
        file, other = folder / "ours.dcm", folder / "highdicom.dcm"
        writers: dict[str, Callable[[], object]] = {
            "GANSegmentation": lambda: write_labelmap(labelmap, file, source=source),
            "highdicom": lambda: highdicom_write(series, labelmap.array, other),
        }
        report("write_dicom_seg", alternate(writers, arguments.rounds), ours="GANSegmentation")
        agree = {
            # highdicom leaves slices without the segment out of its file.
            "highdicom": bool(np.array_equal(box_of(highdicom_read(file)), box_of(highdicom_read(other)))),
            "dcmqi (count)": int((dcmqi_read(file, folder) > 0).sum()) == int(labelmap.array.sum()),
            "GANSegmentation": bool(np.array_equal(read_labelmap(file).array, labelmap.array)),
        }
        readers: dict[str, Callable[[], object]] = {
            "GANSegmentation": lambda: read_labelmap(file),
            "highdicom": lambda: highdicom_read(file),
            "dcmqi segimage2itkimage": lambda: dcmqi_read(file, folder),
        }
        report("read_dicom_seg", alternate(readers, arguments.rounds), ours="GANSegmentation")
    print(f"{geometry.shape[0]} x 512 x 512, one segment; the same voxels: {agree}")


if __name__ == "__main__":
    main()
