"""Segments meet their references: paired, on one grid, compared by the worker, shown as a table."""

from __future__ import annotations

import csv
import math

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.metrics import compare_labelmaps
from GANSegmentationLib.volumes import Code, Geometry, Labelmap, Segment
from Testing.GANSegmentation.scene_objects import (
    LIVER,
    OBLIQUE,
    SHAPE,
    TUMOUR,
    add_labelmap_node,
    add_transform,
    add_volume,
    ijk_to_ras,
    make_labelmap,
    rotation,
)

GREY = (128, 128, 128)


def named(*names: str) -> list[Segment]:
    return [Segment(value, name, GREY) for value, name in enumerate(names, start=1)]


def segmentation_of(border, volume_node, array, segments):
    return border.addLabelmapToSegmentation(
        Labelmap(array, border.geometryFromNode(volume_node), segments), volume_node
    )


def random_labels(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, count + 1, SHAPE).astype(np.uint8)


def scores_of(comparison) -> list:
    return [
        [row.to_dict() for row in compare_labelmaps(job.mask, job.reference, per_slice=True)] for job in comparison.jobs
    ]


# Pairs


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Left kidney", "kidney_left"),
        ("Kidneys", "kidney"),
        ("LIVER", "liver"),
        ("Leber – Läsion", "leber - lasion"),
        ("Liver tumour", "liver tumor"),
        ("Oesophagus", "esophagus"),
        ("肝臓", "肝臓"),
    ],
)
def test_names_are_the_same_in_any_spelling(border, first, second):
    assert border.normalName(first) == border.normalName(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Left kidney", "Right kidney"),
        ("Liver", "Liver tumor"),
        ("か", "が"),
        ("Pelvis", "Pelvi"),
        ("Label 1", "Label 2"),
    ],
)
def test_other_names_stay_apart(border, first, second):
    assert border.normalName(first) != border.normalName(second)


def test_terminology_comes_before_the_name(border):
    foie = Segment(7, "Foie", GREY, type=Code("SCT", "10200004", "Liver"), category=LIVER.category)
    lesion = Segment(8, "Liver", GREY, type=TUMOUR.type, category=TUMOUR.category, type_modifier=TUMOUR.type_modifier,
                     region=TUMOUR.region, region_modifier=TUMOUR.region_modifier)  # fmt: skip
    assert border.matchSegments([LIVER, TUMOUR], [lesion, foie]) == [1, 0]


def test_the_same_codes_on_both_sides_are_told_apart_by_name_or_not_at_all(border):
    kidney = Code("SCT", "64033007", "Kidney")
    left, right = (Segment(n, name, GREY, type=kidney) for n, name in ((1, "Left kidney"), (2, "Right kidney")))
    assert border.matchSegments([left, right], [right, left]) == [1, 0]
    nameless = [Segment(1, "a", GREY, type=kidney), Segment(2, "b", GREY, type=kidney)]
    assert border.matchSegments([left, right], nameless) == [None, None]


def test_tissue_is_no_terminology(border):
    tissue = Code("SCT", "85756007", "Tissue")
    first, second = Segment(1, "Spleen", GREY, type=tissue), Segment(1, "Liver", GREY, type=tissue)
    assert border.matchSegments([first], [second]) == [None]


def test_two_candidates_are_none(border):
    liver, liver_again = named("liver", "Livers")
    assert border.matchSegments(named("Liver"), [liver, liver_again]) == [None]
    assert border.matchSegments([liver, liver_again], named("Liver")) == [None, None]


def test_the_modifier_of_the_type_tells_left_from_right(border):
    sides = {side: Code("SCT", code, side) for side, code in (("Left", "7771000"), ("Right", "24028007"))}
    kidney = {"category": LIVER.category, "type": Code("SCT", "64033007", "Kidney")}
    left, right = (Segment(n, "", GREY, **kidney, type_modifier=each) for n, each in enumerate(sides.values(), start=1))
    mine = Segment(1, "Niere", GREY, **kidney, type_modifier=sides["Right"])
    assert border.matchSegments([mine], [left, right]) == [1]
    assert border.matchSegments([mine], [left]) == [None]


def test_what_has_no_partner_is_listed_alone(border):
    volume_node = add_volume()
    mask = segmentation_of(border, volume_node, random_labels(0, 2), named("Liver", "Spleen"))
    reference = segmentation_of(border, volume_node, random_labels(1, 2), named("Stomach", "LIVER"))
    pairs = border.pairSegments(mask, reference)
    assert [(pair.maskName, pair.referenceName) for pair in pairs] == [
        ("Liver", "LIVER"), ("Spleen", None), (None, "Stomach")
    ]  # fmt: skip
    assert [pair.isComplete for pair in pairs] == [True, False, False]


def test_a_single_nameless_label_belongs_to_a_single_segment(border):
    volume_node = add_volume()
    mask = segmentation_of(border, volume_node, random_labels(0, 1), named("Liver"))
    (pair,) = border.pairSegments(mask, add_labelmap_node((random_labels(1, 1) * 7).astype(np.uint8)))
    assert (pair.maskName, pair.referenceKey, pair.isComplete) == ("Liver", "7", True)
    other = segmentation_of(border, volume_node, random_labels(0, 1), named("Spleen"))
    assert not any(pair.isComplete for pair in border.pairSegments(mask, other))


def test_a_reference_without_labels_is_compared_and_not_refused(border):
    volume_node = add_volume()
    mask = segmentation_of(border, volume_node, random_labels(0, 1), named("Liver"))
    comparison = border.prepareComparison(mask, add_labelmap_node(np.zeros(SHAPE, np.uint8)))
    (row,) = border.collectScores(comparison, scores_of(comparison))
    assert (row["name"], row["status"], row["dice"]) == ("Liver", "reference_empty", 0.0)


def test_a_labelmap_is_named_by_its_own_colour_table_only(border):
    node = add_labelmap_node(random_labels(0, 2))
    assert [segment.name for segment in border.segmentsOf(node).values()] == ["", ""]  # not "jake" and "Peach"
    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLColorTableNode", "mine")
    table.SetTypeToUser()
    table.SetNumberOfColors(3)
    table.SetColor(1, "Foie", 1.0, 0.0, 0.0, 1.0)
    table.SetColor(2, "Rate", 0.0, 1.0, 0.0, 1.0)
    node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
    assert [(s.name, s.colour) for s in border.segmentsOf(node).values()] == [
        ("Foie", (255, 0, 0)), ("Rate", (0, 255, 0))
    ]  # fmt: skip
    assert [segment.name for segment in border.labelmapFromNode(node).segments] == ["Foie", "Rate"]


# Labelmaps for the worker


def test_the_worker_gives_the_scores_of_the_pairs(border, tmp_path):
    from GANSegmentationPanel.jobs import executor as jobs

    from GANSegmentationLib.volumes.exchange import save_labelmap

    volume_node = add_volume()
    own, other = random_labels(0), random_labels(1)
    mask = segmentation_of(border, volume_node, own, named("A", "B", "C"))
    reference = segmentation_of(border, volume_node, other, named("c", "Z", "a"))
    comparison = border.prepareComparison(mask, reference)
    (job,) = comparison.jobs
    assert comparison.notes == ()
    request = protocol.RunCompare(
        id="1",
        folder=str(tmp_path),
        mask=save_labelmap(job.mask, tmp_path, "mask"),
        reference=save_labelmap(job.reference, tmp_path, "reference"),
    )
    labels = jobs.run(jobs.InlineExecutor(), request).result["labels"]
    rows = border.collectScores(comparison, [labels])
    assert [(row["name"], row["reference_name"]) for row in rows] == [("A", "a"), ("C", "c")]
    for row, (mine, right) in zip(rows, ((1, 3), (3, 1)), strict=True):
        a, b = own == mine, other == right
        assert row["dice"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_overlapping_segments_are_compared_each_with_all_its_voxels(border):
    volume_node = add_volume()
    liver, tumour = np.zeros((2, *SHAPE), np.uint8)
    liver[0:3], tumour[1:2, 1:3, 1:4] = 1, 1
    mask = segmentation_of(border, volume_node, liver + tumour, named("Liver", "Tumor"))
    reference = segmentation_of(border, volume_node, liver, named("Liver"))
    segmentation_tumour = Labelmap(tumour, border.geometryFromNode(volume_node), named("Tumor"))
    border.addLabelmapToSegmentation(segmentation_tumour, volume_node, reference)
    comparison = border.prepareComparison(mask, reference)
    assert len(comparison.jobs) == 2
    rows = {row["name"]: row for row in border.collectScores(comparison, scores_of(comparison))}
    assert rows["Tumor"]["dice"] == 1.0
    assert rows["Liver"]["dice"] == pytest.approx(2 * (liver.sum() - tumour.sum()) / (2 * liver.sum() - tumour.sum()))
    assert rows["Liver"]["job"] != rows["Tumor"]["job"]


def test_pairs_of_the_users_choice_with_one_name_twice(border):
    volume_node = add_volume()
    own, other = random_labels(0, 2), random_labels(1, 2)
    mask = segmentation_of(border, volume_node, own, named("Organ", "Other"))
    mask.GetSegmentation().GetNthSegment(1).SetName("Organ")
    reference = segmentation_of(border, volume_node, other, named("X", "Y"))
    masks, references = border.segmentsOf(mask), border.segmentsOf(reference)
    pairs = [border.makePair(masks, a, references, b) for a, b in zip(masks, reversed(list(references)), strict=True)]
    comparison = border.prepareComparison(mask, reference, pairs)
    rows = border.collectScores(comparison, scores_of(comparison))
    for row, (mine, right) in zip(rows, ((1, 2), (2, 1)), strict=True):
        a, b = own == mine, other == right
        assert row["dice"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
        assert row["name"] == "Organ"


def test_nothing_in_common_is_said(border):
    volume_node = add_volume()
    mask = segmentation_of(border, volume_node, random_labels(0, 1), named("Liver"))
    reference = segmentation_of(border, volume_node, random_labels(1, 1), named("Spleen"))
    with pytest.raises(GANSegmentationError) as caught:
        border.prepareComparison(mask, reference)
    assert caught.value.code == "no_pairs"


@pytest.mark.parametrize("kind", ["segmentation", "labelmap"])
def test_the_stamp_of_a_node_changes_with_its_place(border, kind):
    volume_node, array = add_volume(), random_labels(0, 2)
    node = segmentation_of(border, volume_node, array, named("A", "B"))
    if kind == "labelmap":
        node = add_labelmap_node(array)
    stamps = [border.contentStamp(node)]
    transform = add_transform(ijk_to_ras(np.eye(3), spacing=(1, 1, 1)))
    node.SetAndObserveTransformNodeID(transform.GetID())
    stamps.append(border.contentStamp(node))
    transform.SetMatrixTransformToParent(vtk.vtkMatrix4x4())
    stamps.append(border.contentStamp(node))
    assert len(set(stamps)) == 3
    assert border.contentStamp(node) == stamps[-1]


def test_a_segmentation_under_another_transform_is_taken_where_it_is_seen(border):
    volume_node = add_volume()
    array = random_labels(0, 2)
    mask = segmentation_of(border, volume_node, array, named("A", "B"))
    output = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "hidden")
    output.SetAndObserveTransformNodeID(add_transform(ijk_to_ras(rotation(30, 3), spacing=(1, 1, 1))).GetID())
    output.SetHideFromEditors(True)
    reference = border.addLabelmapToSegmentation(
        Labelmap(array, border.geometryFromNode(volume_node), named("A", "B")), volume_node, output
    )
    comparison = border.prepareComparison(mask, reference)
    assert all(row["dice"] == 1.0 for rows in scores_of(comparison) for row in rows)


# Other grids


def nearest(array, own: Geometry, wanted: Geometry) -> np.ndarray:
    """Each voxel of a grid from the nearest one of another, by the book."""
    result = np.zeros(wanted.shape, array.dtype)
    for index in np.ndindex(wanted.shape):
        point = wanted.index_to_lps @ [*index[::-1], 1]
        source = np.rint((np.linalg.inv(own.index_to_lps) @ point)[:3]).astype(int)[::-1]
        if all(0 <= s < n for s, n in zip(source, own.shape, strict=True)):
            result[index] = array[tuple(source)]
    return result


OTHER = ijk_to_ras(rotation(24, 14) @ np.diag([-1, -1, 1]), (0.58, 0.41, 1.77), (OBLIQUE @ [0.3, -0.4, 0.2, 1])[:3])


@pytest.mark.parametrize("kind", ["labelmap", "segmentation"])
def test_another_grid_is_refused_and_resampled_only_on_request(border, kind):
    volume_node = add_volume()
    mask = segmentation_of(border, volume_node, random_labels(0, 2), named("A", "B"))
    array = np.random.default_rng(3).integers(0, 3, (6, 7, 8)).astype(np.uint8)
    own = Geometry.from_index_to_ras(OTHER, (8, 7, 6))
    if kind == "labelmap":
        reference = add_labelmap_node(array, OTHER)
        keys = ["1", "2"]
    else:
        other_volume = slicer.util.addVolumeFromArray(array.astype(np.int16), ijkToRAS=OTHER)
        reference = segmentation_of(border, other_volume, array, named("A", "B"))
        keys = list(reference.GetSegmentation().GetSegmentIDs())
    masks, references = border.segmentsOf(mask), border.segmentsOf(reference)
    pairs = [border.makePair(masks, m, references, k) for m, k in zip(masks, keys, strict=True)]
    with pytest.raises(GANSegmentationError) as caught:
        border.prepareComparison(mask, reference, pairs)
    assert caught.value.code == "geometry_mismatch"
    wanted = border.geometryFromNode(volume_node)
    for geometry in (own, wanted):
        assert " x ".join(f"{step:.4g}" for step in geometry.spacing) in caught.value.message
    comparison = border.prepareComparison(mask, reference, pairs, resample=True)
    assert len(comparison.notes) >= 1
    assert "resampled" in comparison.notes[0]
    expected = nearest(array, own, wanted)
    assert 0 < np.count_nonzero(expected) < expected.size
    assert np.array_equal(comparison.jobs[0].reference.array, expected)


def test_surfaces_beyond_the_grid_are_refused_whatever_the_node_is_converted_with(border):
    volume_node = add_volume()
    mask = segmentation_of(border, volume_node, random_labels(0, 1), named("Ball"))
    sphere = vtk.vtkSphereSource()
    sphere.SetCenter(5000, 0, 0)
    sphere.Update()
    reference = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "RTSTRUCT")
    reference.SetSourceRepresentationToClosedSurface()
    reference.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball")
    reference.GetSegmentation().SetConversionParameter("Crop to reference image geometry", "1")
    with pytest.raises(GANSegmentationError) as caught:
        border.prepareComparison(mask, reference)
    assert caught.value.code == "geometry_mismatch"


def test_a_labelmap_that_was_moved_is_another_content(border):
    node = add_labelmap_node(random_labels(0, 1))
    before = border.contentStamp(node)
    assert border.contentStamp(node) == before
    node.SetOrigin(1, 2, 3)
    assert border.contentStamp(node) != before


def test_a_small_reference_far_from_the_first_voxel_is_resampled_to_its_place(border):
    shape = (12, 9, 7)
    volume_node = slicer.util.addVolumeFromArray(np.zeros(shape, np.int16), ijkToRAS=ijk_to_ras(np.eye(3), (1, 1, 1)))
    wanted = border.geometryFromNode(volume_node)
    labels = np.zeros(shape, np.uint8)
    labels[7:10, 5:7, 2:4] = 1
    mask = segmentation_of(border, volume_node, labels, named("A"))
    own_matrix = wanted.index_to_ras @ ijk_to_ras(np.eye(3), (1, 1, 1), (2.2, 5.1, 6.9))
    reference = add_labelmap_node(np.ones((3, 2, 2), np.uint8), own_matrix)
    masks, references = border.segmentsOf(mask), border.segmentsOf(reference)
    pairs = [border.makePair(masks, next(iter(masks)), references, "1")]
    (job,) = border.prepareComparison(mask, reference, pairs, resample=True).jobs
    expected = nearest(np.ones((3, 2, 2), np.uint8), Geometry.from_index_to_ras(own_matrix, (2, 2, 3)), wanted)
    assert expected.any()
    assert np.array_equal(job.reference.array, expected)


def test_a_flipped_labelmap_needs_no_resampling(border):
    volume_node = add_volume()
    array = random_labels(0, 2)
    mask = segmentation_of(border, volume_node, array, named("A", "B"))
    flip = np.diag([-1.0, 1, 1, 1])
    flip[0, 3] = SHAPE[2] - 1
    reference = add_labelmap_node(np.ascontiguousarray(array[:, :, ::-1]), OBLIQUE @ flip)
    masks, references = border.segmentsOf(mask), border.segmentsOf(reference)
    pairs = [border.makePair(masks, m, references, k) for m, k in zip(masks, references, strict=True)]
    comparison = border.prepareComparison(mask, reference, pairs)
    assert np.array_equal(comparison.jobs[0].reference.array, array)
    assert comparison.notes == ()


@pytest.mark.parametrize("conversion", [{}, {"Oversampling factor": "0.5"}, {"Oversampling factor": "2"}], ids=str)
@pytest.mark.parametrize("moved", [False, True], ids=["where it is", "under a transform"])
def test_surfaces_become_voxels_and_the_reference_stays_as_it_is(border, moved, conversion):
    shape = (30, 32, 34)
    volume_node = slicer.util.addVolumeFromArray(np.zeros(shape, np.int16), ijkToRAS=ijk_to_ras(np.eye(3), (1, 1, 1)))
    geometry = border.geometryFromNode(volume_node)
    z, y, x = np.mgrid[: shape[0], : shape[1], : shape[2]]
    ball = ((z - 15) ** 2 + (y - 16) ** 2 + (x - 17) ** 2 <= 10**2).astype(np.uint8)
    mask = segmentation_of(border, volume_node, ball, named("Ball"))
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(10)
    to_world = ijk_to_ras(rotation(30, 10), (1, 1, 1), (4, -3, 5)) if moved else np.eye(4)
    sphere.SetCenter((np.linalg.inv(to_world) @ geometry.index_to_ras @ [17, 16, 15, 1])[:3])
    sphere.SetThetaResolution(60)
    sphere.SetPhiResolution(60)
    sphere.Update()
    reference = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "RTSTRUCT")
    reference.SetSourceRepresentationToClosedSurface()
    reference.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "ball")
    for name, value in conversion.items():
        reference.GetSegmentation().SetConversionParameter(name, value)
    if moved:
        reference.SetAndObserveTransformNodeID(add_transform(to_world).GetID())
    size = slicer.mrmlScene.GetNumberOfNodes()
    comparison = border.prepareComparison(mask, reference)
    assert scores_of(comparison)[0][0]["dice"] > 0.97
    assert "surfaces" in comparison.notes[0]
    assert "RTSTRUCT" in comparison.notes[0]
    assert not reference.GetSegmentation().ContainsRepresentation("Binary labelmap")
    assert slicer.mrmlScene.GetNumberOfNodes() == size


def test_a_removed_reference_is_said(border):
    volume_node = add_volume()
    mask = segmentation_of(border, volume_node, random_labels(0, 1), named("Liver"))
    reference = add_labelmap_node(random_labels(1, 1))
    slicer.mrmlScene.RemoveNode(reference)
    for thing in (reference, None, add_volume()):
        with pytest.raises(GANSegmentationError) as caught:
            border.pairSegments(mask, thing)
        assert caught.value.code == "invalid_labelmap"


# Tables


ROWS = [
    {"name": "Leber", "reference_name": "Liver", "status": "ok", "dice": 0.123456789, "hd_mm": 3.5, "volume_ml": 1.0},
    {"name": "Milz", "reference_name": "Spleen", "status": "mask_empty", "dice": 0.0, "hd_mm": None, "volume_ml": 0.0},
    {"name": "脾", "reference_name": "x", "status": "both_empty", "dice": None, "hd_mm": None, "volume_ml": 0.0},
]


def test_scores_are_typed_columns_with_titles_and_units(border):
    node = border.showScores(ROWS, metrics=["hd_mm", "dice"])
    table = node.GetTable()
    assert [table.GetColumnName(i) for i in range(5)] == ["name", "reference_name", "status", "dice", "hd_mm"]
    assert isinstance(table.GetColumnByName("name"), vtk.vtkStringArray)
    assert isinstance(table.GetColumnByName("dice"), vtk.vtkDoubleArray)
    dice = [table.GetColumnByName("dice").GetValue(i) for i in range(3)]
    assert dice[:2] == [0.1235, 0.0]
    assert math.isnan(dice[2])
    distances = [table.GetColumnByName("hd_mm").GetValue(i) for i in range(3)]
    assert distances[:2] == [3.5, math.inf]
    assert math.isnan(distances[2])
    assert node.GetColumnUnitLabel("hd_mm") == "mm"
    assert "mm" in node.GetColumnTitle("hd_mm")
    assert table.GetColumnByName("status").GetValue(1) == "not found"
    assert table.GetColumnByName("name").GetValue(2) == "脾"


def test_the_surface_dice_is_shown_with_its_tolerance_only(border):
    assert border.showScores(ROWS).GetColumnIndex("surface_dice") < 0
    row = {**ROWS[0], "surface_dice": 0.5, "surface_tolerance_mm": 2.0}
    assert border.showScores([row]).GetColumnIndex("surface_dice") > 0


def test_a_table_is_filled_again_and_the_scene_does_not_grow(border):
    node = border.showScores(ROWS)
    size = slicer.mrmlScene.GetNumberOfNodes()
    again = border.showScores(ROWS[:1], node, metrics=["dice"])
    assert again is node
    assert (node.GetNumberOfRows(), node.GetNumberOfColumns()) == (1, 4)
    assert slicer.mrmlScene.GetNumberOfNodes() == size
    slicer.mrmlScene.RemoveNode(node)
    assert border.showScores(ROWS, node) is not node


def test_scores_become_a_csv_file(border, tmp_path):
    path = border.writeScores(ROWS, tmp_path / "Überblick.csv", metrics=["dice", "hd_mm"])
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")  # by which Excel knows UTF-8
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[0] == {
        "name": "Leber",
        "reference_name": "Liver",
        "status": "ok",
        "dice": "0.123456789",
        "hd_mm": "3.5",
    }
    assert (rows[1]["hd_mm"], rows[2]["hd_mm"], rows[2]["name"]) == ("inf", "", "脾")
    with pytest.raises(GANSegmentationError):
        border.writeScores(ROWS, tmp_path / "missing" / "x.csv")
    assert [file.name for file in tmp_path.iterdir()] == ["Überblick.csv"]


# Worst slices


def test_the_worst_slices_say_where_and_how_much(border):
    volume_node = add_volume()
    own, other = np.zeros((2, *SHAPE), np.uint8)
    own[0:3, 1:4, 1:6], other[0:3, 1:4, 1:6] = 1, 1
    other[1, 1:4, 3:6] = 0  # nine false positive voxels around row 2, column 4
    other[2, 1, 1] = 0  # one
    mask = segmentation_of(border, volume_node, own, named("A"))
    reference = segmentation_of(border, volume_node, other, named("A"))
    comparison = border.prepareComparison(mask, reference)
    (row,) = border.collectScores(comparison, scores_of(comparison))
    (job,) = comparison.jobs
    found = border.worstSlices(row, job.mask, job.reference, row["value"])
    assert [each.index for each in found] == [1, 2]
    geometry = border.geometryFromNode(volume_node)
    assert np.allclose(found[0].ras, (geometry.index_to_ras @ [4, 2, 1, 1])[:3])
    assert found[0].dice == pytest.approx(2 * 6 / (15 + 6))
    assert found[0].errorAreaMm2 == pytest.approx(9 * geometry.spacing[0] * geometry.spacing[1])
    assert [each.index for each in border.worstSlices(row, job.mask, job.reference, 1, count=1)] == [1]


def test_worst_slices_by_area_put_the_ends_of_an_organ_last(border):
    geometry = Geometry.from_index_to_ras(OBLIQUE, SHAPE[::-1])
    own, other = np.zeros((2, *SHAPE), np.uint8)
    own[0, 0, 0] = 1  # Dice 0 for one voxel
    own[1], other[1] = 1, 1
    other[1, :, 4:] = 0  # Dice above 0 for many
    mask, reference = (Labelmap(array, geometry, named("A")) for array in (own, other))
    (row,) = (row.to_dict() for row in compare_labelmaps(mask, reference, per_slice=True))
    assert [each.index for each in border.worstSlices(row, mask, reference, 1)] == [0, 1]
    assert [each.index for each in border.worstSlices(row, mask, reference, 1, byArea=True)] == [1, 0]
    assert border.worstSlices({**row, "slices": None}, mask, reference, 1) == []


def test_a_random_comparison_agrees_with_slicers_masks(border):
    """The labelmaps of a job are what the Segment Editor would show."""
    volume_node = add_volume()
    labelmap = make_labelmap(border.geometryFromNode(volume_node))
    node = border.addLabelmapToSegmentation(labelmap, volume_node)
    (job,) = border.prepareComparison(node, node).jobs
    for value, pair in enumerate(job.pairs, start=1):
        shown = slicer.util.arrayFromSegmentBinaryLabelmap(node, pair.maskKey, volume_node) != 0
        assert np.array_equal(job.mask.array == value, shown)
