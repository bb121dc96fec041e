"""Signals are judged by the slices' true Dice, over patients, and the best one may go onto the card."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.inference import Predictor
from GANSegmentationLib.inference.plausibility import LOWER_IS_BETTER, SIGNALS
from GANSegmentationLib.models import open_package
from GANSegmentationLib.training import evaluate, review_fact, with_review
from GANSegmentationLib.training.evaluation.review import (
    SliceRecord,
    assess,
    assess_all,
    evaluate_with_review,
    signals_for,
)
from Testing.training.measured_cases import Drawn, blocks, threshold_package, write_dataset


def records_of(dice: Sequence[float], signals: dict[str, Sequence[float]], patients: int = 4) -> list[SliceRecord]:
    return [
        SliceRecord("c", f"p{n % patients}", n, value, {name: float(each[n]) for name, each in signals.items()})
        for n, value in enumerate(dice)
    ]


DICE = np.linspace(0.1, 0.98, 40)


def test_a_useful_signal_is_positive_whichever_way_it_points() -> None:
    records = records_of(DICE, {"plausibility": DICE * 3, "entropy": 1 - DICE, "disagreement": DICE})
    found = {each.signal: each for each in assess_all(records, n_resamples=50)}
    assert "entropy" in LOWER_IS_BETTER and "plausibility" not in LOWER_IS_BETTER
    assert found["plausibility"].correlation.mean == found["entropy"].correlation.mean == pytest.approx(1)
    assert found["disagreement"].correlation.mean == pytest.approx(-1)
    assert found["entropy"].found.mean == pytest.approx(1) and found["disagreement"].found.mean == pytest.approx(0)
    assert found["entropy"].area == pytest.approx(0.9)
    assert found["entropy"].correlation.n == 4 and found["entropy"].slices == 40


def test_the_best_signal_goes_onto_the_card_with_its_interval() -> None:
    noise = np.random.default_rng(0).normal(size=40)
    records = records_of(DICE, {"entropy": -DICE + noise, "disagreement": -DICE + 0.2 * noise})
    assessed = assess_all(records, n_resamples=200)
    assert [each.signal for each in assessed] == ["disagreement", "entropy"]
    fact = review_fact(assessed, "somewhere")
    assert fact is not None and fact.signal == "disagreement" and fact.n == 4 and fact.dataset == "somewhere"
    assert fact.ci95 is not None and fact.ci95[0] <= fact.spearman <= fact.ci95[1]


def test_nothing_is_recommended_where_nothing_is_better_than_chance() -> None:
    assert review_fact(assess_all(records_of(DICE, {"entropy": DICE}), n_resamples=20), "x") is None
    assert review_fact(assess_all(records_of(DICE, {"entropy": np.ones(40)}), n_resamples=20), "x") is None
    assert review_fact([], "x") is None
    (one,) = assess_all(records_of(DICE, {"entropy": -DICE}, patients=1), n_resamples=20)
    fact = review_fact([one], "x")
    assert fact is not None and fact.ci95 is None and fact.n == 1


def test_without_slices_there_is_nothing_to_say() -> None:
    found = assess([], "entropy")
    assert found.slices == 0 and math.isnan(found.area) and math.isnan(found.correlation.mean)
    assert found.to_dict()["spearman"]["mean"] is None


@pytest.fixture
def cases(tmp_path: Path):  # type: ignore[no-untyped-def]
    """Two volumes in which a slice is half missed, one is found whole, one is found although there is nothing."""
    drawn = []
    for name in ("a", "b"):
        images, masks = blocks(slices=6)
        images[2, 8:14] = 40
        images[5, 26:29, 26:29] = 150
        drawn.append(Drawn(name, images, masks))
    return write_dataset(tmp_path / "data", drawn, {1: "Liver"})


def test_slices_with_foreground_in_mask_or_reference_are_recorded(tmp_path: Path, cases) -> None:  # type: ignore[no-untyped-def]
    package = threshold_package(tmp_path, 100.0, judge=True)
    predictor = Predictor(package, "cpu", half=False)
    scores, records = evaluate_with_review(predictor, cases, ["a", "b"])
    assert scores == evaluate(predictor, cases, ["a", "b"]), "the scores are those of every evaluation"
    assert [(each.case, each.index) for each in records] == [(name, n) for name in "ab" for n in (1, 2, 3, 4, 5)]
    dice = [each.dice for each in records[:5]]
    assert dice == [1.0, pytest.approx(2 * 42 / (42 + 84)), 1.0, 1.0, 0.0]
    assert all(set(each.signals) == set(SIGNALS) for each in records)
    row = records[1].row()
    assert row["slice"] == 2 and row["entropy"] == records[1].signals["entropy"]
    expected = predictor.segment([_volume(cases, "a")], force=True, signals=["entropy"]).signals["entropy"]
    assert [each.signals["entropy"] for each in records[:5]] == pytest.approx(list(expected[1:]), abs=1e-6)


def _volume(dataset, name):  # type: ignore[no-untyped-def]
    from GANSegmentationLib.training.evaluation.references import case_volume

    return case_volume(dataset, dataset.by_id[name])


def test_a_model_without_discriminator_is_reviewed_by_the_others(tmp_path: Path, cases) -> None:  # type: ignore[no-untyped-def]
    package = threshold_package(tmp_path, 100.0)
    assert signals_for(package.card) == ("entropy", "disagreement", "disagreement_flips")
    _, records = evaluate_with_review(Predictor(package, "cpu", half=False), cases, ["a"], signals=["entropy"])
    assert set(records[0].signals) == {"entropy"}


def test_the_choice_is_written_onto_a_card_and_all_else_stays(tmp_path: Path) -> None:
    package = threshold_package(tmp_path, 100.0, judge=True)
    fact = review_fact(assess_all(records_of(DICE, {"entropy": -DICE}), n_resamples=20), "x")
    assert fact is not None
    again = open_package(with_review(package, fact, tmp_path / "recorded.ganseg"))
    again.verify()
    assert again.card.review == fact
    files, before = again.files(), package.files()
    assert {name for name in files if files[name] != before[name]} == {"card.json"}


def test_structures_of_a_slice_count_alike(tmp_path: Path) -> None:
    images, masks = blocks(values=(60, 150))
    images[1, :, 2:9] = 40  # the first structure is missed in one slice
    dataset = write_dataset(tmp_path / "data", [Drawn("a", images, masks)], {1: "Liver", 2: "Spleen"})
    package = threshold_package(tmp_path, 50.0, 100.0, names=["Liver", "Spleen"])
    _, records = evaluate_with_review(Predictor(package, "cpu", half=False), dataset, ["a"], signals=["entropy"])
    assert [each.dice for each in records] == [0.5, 1.0]
