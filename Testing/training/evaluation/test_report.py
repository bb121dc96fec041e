"""What `ganseg evaluate` leaves in a folder says who was measured, over what, and how it can be wrong."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.training import (
    CaseScore,
    Measured,
    measure,
    worst_pictures,
    write_evaluation,
)
from GANSegmentationLib.training.evaluation import report as report_module
from GANSegmentationLib.training.evaluation.report import interval_words, report_html, worst_cases
from Testing.reports.test_page import Reader
from Testing.training.measured_cases import Drawn, blocks, threshold_package, write_dataset

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Six patients; of one, more is missed from patient to patient; one in millimetres."""
    drawn = []
    for number in range(6):
        images, masks = blocks(missing=number)
        spacing = (3.0, 1.0, 1.0) if number == 0 else None
        drawn.append(Drawn(f"case{number}", images, masks, patient=f"p{number}", spacing=spacing))
    return write_dataset(tmp_path_factory.mktemp("report") / "data", drawn, {1: "Liver"})


@pytest.fixture(scope="module")
def measured(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder = tmp_path_factory.mktemp("models")
    ours = threshold_package(folder, 100.0, judge=True, id="ours", title=f"Ours {EVIL}")
    theirs = threshold_package(folder, 160.0, id="theirs")  # finds nothing
    names = [case.id for case in dataset.cases]
    return measure(ours, dataset, names, against=theirs, review=True, device="cpu")


def test_everything_is_written(measured: Measured, tmp_path: Path) -> None:
    page = write_evaluation(measured, tmp_path / "out", [("the worst", _png())])
    assert {path.name for path in page.parent.iterdir()} == {
        *("cases.csv", "cases_against.csv", "slices.csv", "summary.json", "report.html")
    }
    with (page.parent / "cases.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == [f"case{n}" for n in range(6)]
    assert float(rows[0]["hd_mm"]) == 0 and rows[1]["hd_mm"] == "", "no millimetres without a spacing"
    assert float(rows[3]["dice"]) == pytest.approx(2 * 4 / (4 + 7))
    with (page.parent / "slices.csv").open() as file:
        assert {row["case"] for row in csv.DictReader(file)} == {f"case{n}" for n in range(6)}
    said = json.loads((page.parent / "summary.json").read_text())
    assert said["patients"] == {f"p{n}": "unknown" for n in range(6)}
    dice = next(each for each in said["summary"] if each["score"] == "dice")
    assert (dice["n"], dice["over"], dice["slices"]) == (6, "patients", 24)
    assert said["against"]["dice_difference"]["all"]["n"] == 6
    (difference,) = [each for each in said["against"]["differences"] if each["score"] == "dice"]
    assert difference["wilcoxon"]["method"] == "exact" and difference["better"] == 6
    assert {each["signal"] for each in said["review"]} >= {"plausibility", "entropy", "disagreement"}


def test_the_page_escapes_what_a_card_says_and_refers_to_nothing(measured: Measured) -> None:
    document = report_html(measured, [(f"caption {EVIL}", _png())])
    reader = Reader(document)
    images = [attributes for tag, attributes in reader.tags if tag == "img"]
    assert len(images) == 1 and (images[0]["src"] or "").startswith("data:image/png;base64,")
    assert any(EVIL in text for text in reader.words)
    assert all("onerror" not in attributes for _, attributes in reader.tags)


def test_the_page_says_over_what_and_how_far_to_trust_it(measured: Measured) -> None:
    text = " ".join(Reader(report_html(measured)).words)
    assert "6 patients" in text and "n = 6" in text
    assert "nobody can tell which of 6 took part in training" in text
    assert "for reproduction only, not a distance" in text
    assert "Wilcoxon" in text and "plausibility" in text
    assert "An interval that holds 0 shows no difference" in text


def test_who_trained_is_said_first(measured: Measured) -> None:
    roles = {f"p{n}": "trained" if n < 2 else "validated" for n in range(6)}
    words = " ".join(Reader(report_html(replace(measured, roles=roles))).words)
    assert "2 of 6 were trained on; their scores measure memory" in words
    assert "4 of 6 are validation patients" in words
    strange = replace(measured, roles=dict.fromkeys(roles, "other source"), rival=None)
    assert "6 of 6 are of sources that the card does not name" in " ".join(Reader(report_html(strange)).words)
    unseen = replace(measured, roles=dict.fromkeys(roles, "not seen"), rival=None)
    assert "none of the 6 took part in training" in " ".join(Reader(report_html(unseen)).words)


def test_without_rival_and_review_their_parts_are_missing(measured: Measured) -> None:
    plain = replace(measured, rival=None, assessments=(), records=())
    words = Reader(report_html(plain)).words
    assert "Difference of the two models" not in words and "Slices to review" not in words
    assert "Every patient" in words


def test_the_worst_cases_come_first_and_each_patient_once() -> None:
    def score(case: str, patient: str, dice: float) -> CaseScore:
        return CaseScore(case, patient, "s", 1, dice, dice, dice, dice, 0.0)

    scores = [score("a", "p", 0.5), score("b", "p", 0.4), score("c", "q", 0.9), score("d", "r", float("nan"))]
    assert [each.case for each in worst_cases(scores)] == ["b", "c"]
    assert [each.case for each in worst_cases(scores, 1)] == ["b"]


def test_the_worst_cases_are_drawn_with_their_captions(measured: Measured) -> None:
    (caption, png), (second, _) = worst_pictures(measured, count=2, device="cpu")
    assert png.startswith(b"\x89PNG") and "case5" in caption and "case4" in second
    assert f"Dice {measured.scores[5].dice:.4f}" in caption


def test_pictures_say_millimetres_only_where_the_spacing_is_known(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, bool] = {}

    def drawn(*_: object, title: str, measured: bool, **__: object) -> bytes:
        told[title] = measured
        return _png()

    monkeypatch.setattr(report_module, "overlay_montage", drawn)
    worst_pictures(measured, count=6, device="cpu")
    assert told == {f"case{n}": n == 0 for n in range(6)}


def test_without_an_interval_there_is_a_dash() -> None:
    assert interval_words(float("nan"), 1.0) == "–" and interval_words(0.1, 0.2, 2) == "0.10 to 0.20"


def _png() -> bytes:
    import numpy as np

    from GANSegmentationLib.reports import image_grid

    return image_grid([[np.zeros((8, 8), np.uint8)]])
