from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Code, Segment, read_segment_table, write_segment_table

LABELS = Path(__file__).resolve().parents[2] / "Resources" / "Labels"
ANATOMY = Code("SCT", "123037004", "Anatomical Structure")
LIVER = Segment(1, "Liver", (221, 130, 101), ANATOMY, Code("SCT", "10200004", "Liver"))
KIDNEY = Segment(
    3,
    "Kidney, left – größer",
    (185, 102, 83),
    ANATOMY,
    Code("SCT", "64033007", "Kidney"),
    type_modifier=Code("SCT", "7771000", "Left"),
    region=Code("SCT", "818981001", "Abdomen"),
    region_modifier=Code("SCT", "24028007", "Right"),
)
PLAIN = Segment(70, "Something", (0, 0, 0))

HEADER = "LabelValue,Name,Color_R,Color_G,Color_B,Color_A,Type_CodingScheme,Type_CodeValue,Type_CodeMeaning"


def test_the_shipped_liver_table_is_the_liver_of_snomed_ct() -> None:
    assert read_segment_table(LABELS / "liver.csv") == (LIVER,)


def test_all_shipped_tables_are_valid() -> None:
    tables = sorted(LABELS.glob("*.csv"))
    assert tables
    for table in tables:
        assert all(segment.type is not None for segment in read_segment_table(table))


def test_a_table_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = write_segment_table([LIVER, KIDNEY, PLAIN], tmp_path / "labels.csv")
    assert read_segment_table(path) == (LIVER, KIDNEY, PLAIN)
    assert b"\r" not in path.read_bytes()


def test_a_table_as_slicer_writes_it_is_read(tmp_path: Path) -> None:
    script = """
import sys, slicer
scene = slicer.vtkMRMLScene()
node = scene.AddNewNodeByClass("vtkMRMLColorTableNode")
node.SetTypeToUser()
node.SetNumberOfColors(2)
node.SetColor(0, "Background", 0, 0, 0, 0)
node.SetColor(1, "Liver", 221 / 255, 130 / 255, 101 / 255, 1)
node.SetTerminologyFromString(1, "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^"
    "Anatomical Structure~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^")
storage = scene.AddNewNodeByClass("vtkMRMLColorTableStorageNode")
storage.SetFileName(sys.argv[1])
assert storage.WriteData(node)
ours = scene.AddNewNodeByClass("vtkMRMLColorTableNode")
storage.SetFileName(sys.argv[2])
assert storage.ReadData(ours)
print("NAME", ours.GetColorName(3))
print("TERMINOLOGY", ours.GetTerminologyAsString(3))
"""
    if importlib.util.find_spec("slicer") is None:
        pytest.skip("slicer-core is not installed")
    ours = write_segment_table([LIVER, KIDNEY], tmp_path / "ours.csv")
    theirs = tmp_path / "theirs.csv"
    command = [sys.executable, "-c", script, str(theirs), str(ours)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert read_segment_table(theirs) == (LIVER,)
    assert f"NAME {KIDNEY.name}" in done.stdout
    assert "SCT^64033007^Kidney~SCT^7771000^Left~" in done.stdout
    assert "SCT^818981001^Abdomen~SCT^24028007^Right" in done.stdout


def test_a_byte_order_mark_blank_lines_and_the_background_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"\ufeff{HEADER}\n0,Background,0,0,0,0,,,\n\n2,Mass,1,2,3,255,,,\n", encoding="utf-8")
    assert read_segment_table(path) == (Segment(2, "Mass", (1, 2, 3)),)


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ("1,Liver,256,0,0,255,,,", "Color_R is '256'"),
        ("1,Liver,-1,0,0,255,,,", "Color_R is '-1'"),
        ("1,Liver,,0,0,255,,,", "Color_R is ''"),
        ("x,Liver,1,0,0,255,,,", "LabelValue is 'x'"),
        ("70000,Liver,1,0,0,255,,,", "LabelValue is '70000'"),
        ("1,,1,0,0,255,,,", "no name"),
        ("1,Liver,1,0,0,255,,,\n1,Spleen,1,0,0,255,,,", "value 1 is used twice"),
        ("1,Liver,1,0,0,255,,,\n2,Liver,1,0,0,255,,,", "name Liver is used twice"),
        ("1,Liver,1,0,0,255,SCT,,Liver", "only a part"),
        ("1,Liver,1,0,0,255,SCT,10200004,Liver", "only one of category and type"),
        ("", "no segment"),
    ],
)
def test_a_wrong_table_is_refused_with_the_reason(tmp_path: Path, lines: str, reason: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(f"{HEADER}\n{lines}\n")
    with pytest.raises(GANSegmentationError) as caught:
        read_segment_table(path)
    assert caught.value.code == "invalid_segment_table"
    assert reason in caught.value.message


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    for content in (b"", b"a,b\n1,2\n", b"\xff\xfe\x00"):
        path.write_bytes(content)
        with pytest.raises(GANSegmentationError) as caught:
            read_segment_table(path)
        assert caught.value.code == "invalid_segment_table"
    with pytest.raises(GANSegmentationError) as caught:
        read_segment_table(tmp_path / "gone.csv")
    assert caught.value.code == "file_not_found"


def test_segments_that_make_no_table_are_not_written(tmp_path: Path) -> None:
    for segments in ([], [LIVER, LIVER], [Segment(0, "Background", (0, 0, 0))], [Segment(1, "Liver", (0, 0, 300))]):
        with pytest.raises(GANSegmentationError) as caught:
            write_segment_table(segments, tmp_path / "labels.csv")
        assert caught.value.code == "invalid_segment_table"
    assert not list(tmp_path.iterdir())
