"""DICOM SEG looked at by two programs of others: dciodvfy (Debian: dicom3tools) and dcmqi (PyPI)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from GANSegmentationLib.volumes import Geometry, Labelmap, Segment, place_on_grid


def find_tool(name: str) -> str:
    """The path of a program; on CI its absence is a failure, elsewhere the test is skipped."""
    beside_python = Path(sys.executable).parent / name
    found = str(beside_python) if beside_python.exists() else shutil.which(name)
    if found is not None:
        return found
    reason = f"{name} is not installed (dicom3tools by apt, dcmqi by pip)"
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        pytest.fail(reason)
    pytest.skip(reason)


def violations(path: Path) -> list[str]:
    """What breaks the standard in a file, as dciodvfy sees it."""
    done = subprocess.run(
        [find_tool("dciodvfy"), str(path)], capture_output=True, text=True, errors="replace", timeout=60
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert "Segmentation" in lines, lines  # it knew what it was looking at
    return [line for line in lines if line.startswith("Error")]


@dataclass(frozen=True)
class DcmqiSegment:
    """A segment as dcmqi reads it: where its voxels are, on dcmqi's own grid, and what its JSON says."""

    mask: Labelmap
    facts: dict[str, Any]


def read_by_dcmqi(path: Path, folder: Path) -> dict[int, DcmqiSegment]:
    """The segments of a DICOM SEG by number, as segimage2itkimage reads them."""
    folder.mkdir()
    command = [
        find_tool("segimage2itkimage"),
        "--inputDICOM",
        str(path),
        "--outputDirectory",
        str(folder),
        "-t",
        "nrrd",
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    facts = {
        int(one["labelID"]): one
        for group in json.loads((folder / "meta.json").read_text())["segmentAttributes"]
        for one in group
    }
    found = {}
    for number, each in facts.items():
        image = SimpleITK.ReadImage(str(folder / f"{number}.nrrd"))
        array = SimpleITK.GetArrayFromImage(image)
        assert set(np.unique(array).tolist()) <= {0, number}
        grid = Geometry(image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection())
        found[number] = DcmqiSegment(Labelmap((array > 0).astype(np.uint8), grid), each)
    return found


def assert_dcmqi_agrees(path: Path, folder: Path, expected: Labelmap, segments: tuple[Segment, ...]) -> None:
    """Every segment of the file, as dcmqi reads it: the same voxels at the same places, the same name and colour."""
    found = read_by_dcmqi(path, folder)
    assert sorted(found) == list(range(1, len(segments) + 1))
    for number, segment in enumerate(segments, 1):
        wanted = expected.array == segment.value
        assert found[number].facts["SegmentLabel"] == segment.name
        assert np.abs(np.subtract(found[number].facts["recommendedDisplayRGBValue"], segment.colour)).max() <= 1
        placed = place_on_grid(found[number].mask, expected.geometry)
        np.testing.assert_array_equal(placed.array > 0, wanted)
        assert found[number].mask.geometry.corner_distance(expected.geometry) < 1e-4
