"""Scores of cases, and what is said of them together: over whom, with which interval, and beside which other model."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from GANSegmentationLib.datasets.slices import SliceView
from GANSegmentationLib.inference import Predictor
from GANSegmentationLib.metrics import row_hausdorff, score_masks
from GANSegmentationLib.training import CaseScore, compare_models, evaluate, summarise
from GANSegmentationLib.training.evaluation.evaluate import SCORES, amount, patient_means, slice_summaries
from Testing.training.measured_cases import Drawn, blocks, threshold_package, write_dataset

ORGANS = {1: "Liver", 2: "Spleen", 3: "Kidney"}


def scored(case: str, dice: float = 0.9, **more: Any) -> CaseScore:
    fields: dict[str, Any] = {"patient": case, "source": "s", "slices": 3, "iou": dice / (2 - dice), **more}
    return CaseScore(case=case, dice=dice, precision=0.9, recall=0.8, rvd=fields.pop("rvd", 0.1), **fields)


def predictor_of(package: Any) -> Predictor:
    return Predictor(package, "cpu", half=False)


def test_one_structure_is_scored_as_the_metrics_say(tmp_path: Path) -> None:
    images, masks = blocks(missing=2)
    drawn = [Drawn("a", images, masks, spacing=(3.0, 1.5, 0.75)), Drawn("b", images, masks)]
    dataset = write_dataset(tmp_path / "data", drawn, {1: "Liver"})
    with_mm, without = evaluate(predictor_of(threshold_package(tmp_path, 100.0)), dataset, ["a", "b"])
    found, truth = images > 100, masks > 0
    expected = score_masks(found, truth, (3.0, 1.5, 0.75), chaos=True)
    for name in SCORES[:-1]:
        assert getattr(with_mm, name) == pytest.approx(getattr(expected, name)), name
    assert expected.chaos is not None and with_mm.chaos_score == pytest.approx(expected.chaos.score)
    assert with_mm.hd_mm == pytest.approx(1.5) and with_mm.masd_mm is not None
    assert without.dice == with_mm.dice
    assert {getattr(without, name) for name in SCORES if name.endswith("_mm")} | {without.chaos_score} == {None}
    assert with_mm.labels == () and with_mm.over == "patients"


def test_several_structures_are_scored_one_by_one_and_on_average(tmp_path: Path) -> None:
    images, masks = blocks(values=(60, 110, 170), missing=2)
    images[:, 8:20, 20:22] = 170  # the third block is found whole
    images[1:3, 8:20, 20:27] = 170
    dataset = write_dataset(tmp_path / "data", [Drawn("a", images, masks)], ORGANS)
    package = threshold_package(tmp_path, 50.0, 90.0, 140.0, names=list(ORGANS.values()))
    (score,) = evaluate(predictor_of(package), dataset, ["a"])
    found = (images > 50).astype(int) + (images > 90) + (images > 140)
    for label, each in zip((1, 2, 3), score.labels, strict=True):
        both = np.count_nonzero((found == label) & (masks == label))
        sizes = np.count_nonzero(found == label) + np.count_nonzero(masks == label)
        assert each.dice == pytest.approx(2 * both / sizes) and each.name == ORGANS[label]
    assert score.dice == pytest.approx(np.mean([each.dice for each in score.labels]))
    assert len({round(each.dice, 3) for each in score.labels}) > 1
    rows = list(score.rows())
    assert [row["label"] for row in rows] == ["all", "Liver", "Spleen", "Kidney"]
    by_label = {(each.label, each.score): each.interval.mean for each in summarise([score], ["dice"], by_label=True)}
    assert by_label["Spleen", "dice"] == score.labels[1].dice and by_label["", "dice"] == score.dice


def test_a_structure_that_is_nowhere_says_nothing(tmp_path: Path) -> None:
    images, masks = blocks(values=(60, 110))
    dataset = write_dataset(tmp_path / "data", [Drawn("a", images, masks)], ORGANS)
    package = threshold_package(tmp_path, 50.0, 90.0, 140.0, names=list(ORGANS.values()))
    (score,) = evaluate(predictor_of(package), dataset, ["a"])
    assert score.labels[2].status == "both_empty" and math.isnan(score.labels[2].dice)
    assert score.dice == 1.0


def test_a_view_says_which_labels_are_compared(tmp_path: Path) -> None:
    images, masks = blocks(values=(60, 110, 170))
    dataset = write_dataset(tmp_path / "data", [Drawn("a", images, masks)], ORGANS)
    brightest = predictor_of(threshold_package(tmp_path, 140.0))
    assert evaluate(brightest, dataset, ["a"], view=SliceView(labels=(3,)))[0].dice == 1.0
    assert evaluate(brightest, dataset, ["a"], view=SliceView(labels=(1,)))[0].dice == 0.0
    assert 0 < evaluate(brightest, dataset, ["a"])[0].dice < 1, "one logit is compared with all of them as one"


def test_slices_count_the_seeds_way(tmp_path: Path) -> None:
    images, masks = blocks(slices=6, missing=2)
    images[0, 25:27, 25:27] = 150  # found where there is no reference
    masks[4, 8:20, 9:12] = 1
    images[4] = 40  # a slice with reference where nothing is found
    dataset = write_dataset(tmp_path / "data", [Drawn("a", images, masks)], {1: "Liver"})
    (score,) = evaluate(predictor_of(threshold_package(tmp_path, 100.0)), dataset, ["a"])
    assert score.scored_slices == 4
    assert score.slice_dice == pytest.approx((3 * (2 * 5 / (5 + 7)) + 0.0) / 4)
    assert score.slice_iou == pytest.approx((3 * 5 / 7 + 0.0) / 4)
    each = [row_hausdorff(images[z] > 100, masks[z] > 0) for z in range(1, 5)]
    assert score.slice_row_hausdorff == pytest.approx(np.mean(each)) and np.ptp(each) > 0


def test_means_over_slices_weigh_slices_and_count_patients() -> None:
    scores = [
        scored("a", scored_slices=3, slice_dice=0.9, slice_iou=0.8, slice_row_hausdorff=1.0),
        scored("b", scored_slices=1, slice_dice=0.5, slice_iou=0.3, slice_row_hausdorff=3.0),
        scored("c", scored_slices=0),
    ]
    means = {each.score: each for each in slice_summaries(scores)}
    assert means["slice_dice"].interval.mean == pytest.approx(0.8)
    assert means["slice_row_hausdorff"].interval.mean == pytest.approx(1.5)
    assert means["slice_dice"].interval.n == 2 and means["slice_dice"].slices == 4
    assert means["slice_dice"].amount == "2 patients"
    assert means["slice_dice"].interval.low == pytest.approx(0.5)
    assert slice_summaries([scored("c")]) == []


def test_every_summary_says_over_what() -> None:
    blocks_ = "blocks of sections"
    summaries = summarise([scored("a"), scored("b", source="em_vnc", over=blocks_)], ["dice"])
    assert {(each.source, each.amount) for each in summaries} == {
        ("s", "1 patient"),
        ("em_vnc", "1 block of sections"),
        ("all", "2 blocks of sections and patients"),
    }
    plain = next(each for each in summaries if each.source == "s").to_dict()
    assert plain["over"] == "patients" and plain["slices"] == 3
    assert amount(4, blocks_) == "4 blocks of sections"


def test_sets_of_single_slices_count_patients(tmp_path: Path) -> None:
    drawn = []
    for number in range(4):
        images, masks = blocks(slices=3, missing=number % 2)
        drawn += [
            Drawn(f"p{number}s{n}", images[1:2], masks[1:2], patient=f"p{number}", is_volume=False) for n in range(2)
        ]
    dataset = write_dataset(tmp_path / "data", drawn, {1: "Liver"})
    scores = evaluate(predictor_of(threshold_package(tmp_path, 100.0)), dataset, [case.id for case in dataset.cases])
    (summary,) = summarise(scores, ["dice"])
    assert len(scores) == 8 and summary.interval.n == 4 and summary.slices == 8


def test_patients_without_a_distance_are_counted_and_not_averaged() -> None:
    scores = [scored("a", hd_mm=3.0), scored("b", hd_mm=5.0), scored("c", dice=0.0, hd_mm=math.inf)]
    (distance,) = summarise(scores, ["hd_mm"])
    assert distance.interval.mean == 4.0 and distance.interval.n == 2 and distance.infinite == 1
    (dice,) = summarise(scores, ["dice"])
    assert dice.interval.n == 3 and dice.infinite == 0
    (nothing,) = summarise(scores[2:], ["hd_mm"])
    assert math.isnan(nothing.interval.mean) and nothing.to_dict()["mean"] is None and nothing.infinite == 1


def test_a_case_where_nothing_is_found_has_no_overlap_and_no_distance(tmp_path: Path) -> None:
    images, masks = blocks()
    dataset = write_dataset(tmp_path / "data", [Drawn("a", images, masks, spacing=(1, 1, 1))], {1: "Liver"})
    (score,) = evaluate(predictor_of(threshold_package(tmp_path, 190.0)), dataset, ["a"])
    assert score.dice == 0 and score.hd_mm == math.inf and score.chaos_score == 0


def test_two_models_are_compared_by_bootstrap_and_ranks() -> None:
    dices = (0.9, 0.8, 0.85, 0.7, 0.9, 0.6), (0.8, 0.75, 0.8, 0.72, 0.9, 0.5)
    ours, theirs = (
        [scored(name, each[n], hd_mm=float(n + side)) for n, name in enumerate("abcdef")]
        for side, each in enumerate(dices)
    )
    found = {each.score: each for each in compare_models(ours, theirs, ["dice", "hd_mm", "assd_mm"])}
    dice = found["dice"]
    assert dice.interval.mean == pytest.approx((0.1 + 0.05 + 0.05 - 0.02 + 0 + 0.1) / 6)
    assert (dice.interval.n, dice.better, dice.worse, dice.test.zeros) == (6, 4, 1, 1)
    assert dice.test.method == "exact" and dice.test.ties and 0.05 < dice.test.p_value < 0.2
    assert found["hd_mm"].interval.mean == -1 and found["hd_mm"].better == 6, "a smaller distance is better"
    assert found["hd_mm"].test.p_value == pytest.approx(2 / 2**6)
    assert "assd_mm" not in found
    assert dice.to_dict()["wilcoxon"]["zeros"] == 1


def test_only_patients_with_a_finite_score_on_both_sides_are_compared() -> None:
    ours = [scored("a", 0.9, hd_mm=2.0), scored("b", 0.0, hd_mm=math.inf), scored("c", 0.9, hd_mm=4.0)]
    theirs = [scored("a", 0.8, hd_mm=3.0), scored("b", 0.8, hd_mm=3.0), scored("z", 0.8, hd_mm=1.0)]
    found = {each.score: each for each in compare_models(ours, theirs, ["dice", "hd_mm"])}
    assert found["dice"].interval.n == 2 and found["hd_mm"].interval.n == 1


def test_a_volume_difference_is_better_the_nearer_it_is_to_nothing() -> None:
    ours = [scored("a", rvd=-0.3), scored("b", rvd=0.1)]
    theirs = [scored("a", rvd=0.1), scored("b", rvd=-0.2)]
    (found,) = compare_models(ours, theirs, ["rvd"])
    assert (found.better, found.worse) == (1, 1) and found.interval.mean == pytest.approx((-0.4 + 0.3) / 2)


def test_a_patient_of_several_cases_counts_once() -> None:
    scores = [scored("v", 0.9, patient="p"), scored("c", 0.5, patient="p"), scored("n", math.nan, patient="q")]
    assert patient_means(scores, "dice") == {"p": pytest.approx(0.7)}


def test_a_model_with_domains_is_told_each_case_s_modality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images, masks = blocks()
    drawn = [Drawn("a", images, masks), Drawn("b", images, masks, modality="MR")]
    dataset = write_dataset(tmp_path / "data", drawn, {1: "Liver"})
    package = threshold_package(tmp_path, 100.0, domains=["CT", "MR"], modalities=["CT", "MR"])
    predictor = predictor_of(package)
    told = []
    segment = predictor.segment

    def listening(volumes: Any, **options: Any) -> Any:
        told.append(options["domain"])
        return segment(volumes, **options)

    monkeypatch.setattr(predictor, "segment", listening)
    evaluate(predictor, dataset, ["a", "b"])
    assert told == ["CT", "MR"]
