"""The report of a run: whole, readable by itself, and never more than text where text was given."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import pytest
from PIL import Image

from GANSegmentationLib.datasets import Dataset, Finding
from GANSegmentationLib.datasets.splits import patient_split
from GANSegmentationLib.training import Preset
from GANSegmentationLib.training.watching.report import RunFacts, report_html, write_report

SVG = "{http://www.w3.org/2000/svg}svg"


def _row(epoch: int, **more: float) -> dict[str, float]:
    return {
        "epoch": epoch, "dice": 0.1 * epoch, "dice_lits_slices": 0.2, "missed_cases": 0.0,
        "generator/total": 1.0 / epoch, "generator/adversarial_share": 0.2, "critic/gap": 1.0,
        "generator/gradient_norm": 2.0, "lr_factor": 1.0, "seconds": 60.0, "validation_seconds": 3.0,
        "loader_share": 0.04, "skipped_steps": 0.0, **more,
    }  # fmt: skip


@pytest.fixture
def facts(preset_json: dict[str, Any], dataset: Dataset) -> RunFacts:
    preset = Preset.from_dict(preset_json)
    split = patient_split(dataset, validation=preset.data.validation_patients)
    return RunFacts(preset, dataset, split, {"generator": 12345}, "CPU, 1 thread", "32-true")


def _page(
    facts: RunFacts, rows: list[dict[str, float]], pictures: dict[str, bytes] | None = None
) -> ElementTree.Element:
    """The page, parsed as strictly as XML is: a tag that is not closed, or text that is not escaped, would fail."""
    return ElementTree.fromstring(report_html(facts, rows, pictures or {}))


def _text(page: Element) -> str:
    return re.sub(r"\s+", " ", " ".join(page.itertext()))


def _png(shade: int) -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8), shade).save(stream, "PNG")
    return stream.getvalue()


def test_it_says_what_was_run_on_what_and_how_well(facts: RunFacts, dataset: Dataset) -> None:
    text = _text(_page(facts, [_row(1), _row(2), _row(3, dice=0.25)]))
    for words in (
        "0.2500 best validation Dice",
        "3 of 4 epochs done",
        "3 min 09 s",
        "12,345",
        "CPU, 1 thread",
        "32-true",
    ):
        assert words in text, words
    assert dataset.fingerprint in text and facts.split.sha256 in text
    assert "train 4 5 22 16" in text, "patients, cases, slices, and those with foreground"
    assert "validation 2 3 10 8" in text and "lits_v00 msd_c004" in text
    assert "torch" in text and "numpy" in text and "20000 ms a step" in text and "4.0%" in text
    for setting in ("optimisers.generator.lr 0.005", "data.groups[0].weight 0.6", "objective.name conditional"):
        assert setting in text, setting


def test_the_curves_are_drawn(facts: RunFacts) -> None:
    page = _page(facts, [_row(1, dice_msd_slices=0.1), _row(2)])
    narrow = {svg for part in page.iter("div") if part.get("class") == "narrow" for svg in part.iter(SVG)}
    shown = [svg for svg in page.iter(SVG) if svg not in narrow]
    titles = [svg.find(f"{SVG[:-3]}title").text for svg in shown]  # type: ignore[union-attr]
    assert titles == [
        "Validation Dice", "Loss terms", "Share of the adversary in the gradient", "Gap", "Norm of the gradient",
        "Learning rate", "Seconds", "Shares",
    ]  # fmt: skip
    assert len(narrow) == 2, "the two large ones are drawn again for narrow pages"
    names = [[each.text for each in svg.iter(f"{SVG[:-3]}title")][1:] for svg in shown]
    assert names[0] == ["lits_slices (decides)", "msd_slices"], "the source that decides is drawn once"
    assert names[1] == ["generator/total"], "no gap, share or norm in it"
    assert names[2] == ["generator"] and names[3] == ["critic"] and names[7] == ["waiting for data", "cases missed"]


def test_it_refers_to_nothing_outside_of_itself(facts: RunFacts) -> None:
    page = _page(facts, [_row(1)], {"Epoch 1": _png(3)})
    assert not list(page.iter("script")) and not list(page.iter("link")) and not list(page.iter("iframe"))
    for element in page.iter():
        for name, value in element.attrib.items():
            if name.rpartition("}")[2] in ("src", "href"):
                assert value.startswith("data:image/png;base64,"), value
    assert "url(" not in report_html(facts, [_row(1)], {}) and "@import" not in report_html(facts, [_row(1)], {})


def test_words_from_elsewhere_stay_words(facts: RunFacts) -> None:
    evil = '<script>alert("1")</script>&<b>'
    preset = replace(facts.preset, title=evil, source=evil, name=evil, deviations=(evil,))
    preset = replace(preset, model=replace(preset.model, intended_use=evil))
    told = replace(
        facts, preset=preset, notes=(evil,), device=evil, findings=(Finding("warning", evil, evil),),
        parameters={"generator": 1},
    )  # fmt: skip
    rows = [_row(1, **{evil: 1.0, f"{evil}/total": 2.0})]
    page = _page(told, rows, {evil: _png(0)})
    assert not list(page.iter("script")) and not list(page.iter("b"))[4:]
    assert _text(page).count(evil) >= 10


def test_warnings_are_said_in_words_now_and_those_of_before(facts: RunFacts) -> None:
    accuracy = [0.99, 0.99, 0.99, 0.99, 0.8, 0.8]
    rows = [_row(epoch, **{"discriminator/accuracy": value}) for epoch, value in enumerate(accuracy, start=1)]
    rows[-1]["skipped_steps"] = 2.0
    text = _text(_page(replace(facts, notes=("Started from another model.",)), rows))
    assert "2 updates were left out" in text and "set clip_norm" in text
    assert "3 to 4 The discriminator sorts" in text
    assert "Started from another model." in text and "Nothing is wrong" not in text
    assert "Nothing is wrong" in _text(_page(facts, [_row(1)]))


def test_samples_of_the_first_best_and_last_epoch_are_inside(facts: RunFacts, tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for epoch in (1, 2, 3, 4):
        (tmp_path / "samples" / f"epoch_{epoch:03d}.png").write_bytes(_png(epoch))
    rows = [_row(1, dice=0.3), _row(2, dice=0.2), _row(3, dice=0.7), _row(4, dice=0.5)]
    path = write_report(tmp_path, facts, rows)
    figures = list(ElementTree.parse(path).getroot().iter("figure"))
    assert ["".join(figure.itertext()) for figure in figures] == [
        "Epoch 1 (first)", "Epoch 3 (best)", "Epoch 4 (last)"
    ]  # fmt: skip
    shown = [base64.b64decode(figure[0].attrib["src"].partition(",")[2]) for figure in figures]
    assert shown == [_png(1), _png(3), _png(4)]
    write_report(tmp_path, facts, rows[:1])
    assert "Epoch 1 (first and best and last)" in path.read_text()
    assert [each.name for each in tmp_path.iterdir() if each.is_file()] == ["report.html"]


def test_a_run_without_an_epoch_or_a_score_has_a_report_too(facts: RunFacts) -> None:
    assert "none yet" in _text(_page(facts, []))
    assert "none yet" in _text(_page(facts, [_row(1, dice=float("nan"))]))
