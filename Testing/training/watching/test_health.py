"""The health of a run: each trouble is named, in words, when it is there and not before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from GANSegmentationLib.training.watching.health import Episode, episodes, examine, notes
from GANSegmentationLib.training.watching.score import TRANSLATION

HEALTHY: dict[str, Sequence[float]] = {
    "dice": (0.2, 0.6, 0.8, 0.82, 0.81, 0.84),
    "discriminator/accuracy": (0.6, 0.7, 0.75, 0.8, 0.78, 0.8),
    "critic/gap": (0.1, 0.5, 1.0, 1.2, 1.1, 1.0),
    "generator/adversarial_share": (0.0, 0.0, 0.1, 0.2, 0.2, 0.2),
    "generator/gradient_norm": (3.0, 2.0, 1.0, 1.0, 0.8, 0.9),
    "missed_cases": (1.0, 0.8, 0.0, 0.0, 0.0, 0.0),
    "skipped_steps": (0, 0, 0, 0, 0, 0),
    "loader_share": (0.3, 0.05, 0.02, 0.02, 0.2, 0.02),
}


def _history(**columns: Sequence[float]) -> list[dict[str, float]]:
    named = {name.replace("__", "/"): values for name, values in columns.items()}
    length = len(next(iter(columns.values()))) if columns else 6
    every = HEALTHY | named
    return [
        {"epoch": epoch + 1, **{name: values[epoch] for name, values in every.items() if epoch < len(values)}}
        for epoch in range(length)
    ]


def _codes(**columns: Sequence[float]) -> list[str]:
    return [symptom.code for symptom in examine(_history(**columns))]


def test_a_healthy_run_is_left_in_peace() -> None:
    assert episodes(_history()) == [] and examine([]) == [] and set(notes(_history())) == {""}


@pytest.mark.parametrize(
    ("code", "column", "values"),
    [
        ("winning_discriminator:discriminator", "discriminator/accuracy", (0.7, 0.99, 0.995, 0.999)),
        ("guessing_discriminator:discriminator", "discriminator/accuracy", (0.7, 0.54, 0.5, 0.5)),
        ("vanished_gap:critic", "critic/gap", (5.0, 1e-4, 2e-4, -1e-4)),
        ("vanished_gap:critic", "critic/gap", (5.0, 0.04, 0.03, 0.02)),
        ("vanished_gap:critic", "critic/gap", (5.0, -4.0, -3.0, -6.0)),
        ("exploding_gap:critic", "critic/gap", (1.0, 1.5, 2.0, 400.0)),
        ("drowning_adversary:generator", "generator/adversarial_share", (0.1, 0.95, 0.97, 0.99)),
        ("unheard_adversary:generator", "generator/adversarial_share", (0.1, 1e-4, 2e-4, 1e-5)),
        ("vanishing_gradient:generator", "generator/gradient_norm", (1.0, 1e-9, 0.0, 1e-12)),
        ("fallen_score", "dice", (0.5, 0.9, 0.7, 0.6)),
        ("empty_masks", "missed_cases", (0.2, 1.0, 0.9, 0.8)),
        ("skipped_steps", "skipped_steps", (0, 0, 0, 3)),
        ("waiting_for_data", "loader_share", (0.0, 0.3, 0.4, 0.2)),
    ],
)
def test_each_trouble_is_named_and_three_epochs_of_it_are_needed(
    code: str, column: str, values: Sequence[float]
) -> None:
    history = _history(**{column: values})
    (symptom,) = examine(history)
    assert symptom.code == code
    assert symptom.text.endswith(".") and symptom.advice.endswith(".") and len(symptom.advice) > 30
    assert examine(history[:-1]) == [], "not before"
    healed = [*history, {**history[-1], column: HEALTHY[column][2], "epoch": 5}]
    if code != "fallen_score":
        assert code not in [each.code for each in examine(healed)], "nor after"


def test_waiting_in_epochs_of_seconds_is_the_first_batch_s() -> None:
    waits = (0.5, 0.5, 0.5, 0.5)
    assert _codes(loader_share=waits, seconds=(2.0,) * 4) == []
    assert _codes(loader_share=waits, seconds=(20.0,) * 4) == ["waiting_for_data"]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("discriminator/accuracy", 0.97),
        ("discriminator/accuracy", 0.56),
        ("critic/gap", 0.012),
        ("generator/adversarial_share", 0.89),
        ("generator/adversarial_share", 0.0011),
        ("generator/gradient_norm", 1e-7),
        ("missed_cases", 0.5),
        ("loader_share", 0.099),
    ],
)
def test_what_is_only_near_to_trouble_is_none(column: str, value: float) -> None:
    first = 1.0 if column == "critic/gap" else value
    assert _codes(**{column: (first, value, value, value, value)}) == []


def test_a_run_in_warm_up_has_an_adversary_that_is_silent_and_not_unheard() -> None:
    assert _codes(generator__adversarial_share=(0.0,) * 6) == []


def test_a_score_may_tremble_but_not_fall() -> None:
    assert _codes(dice=(0.5, 0.9, 0.88, 0.86, 0.87)) == []
    (fallen,) = examine(_history(dice=(0.5, 0.9, 0.88, 0.6, 0.5)))
    assert "0.550" in fallen.text and "0.900 in epoch 2" in fallen.text
    history = [{"epoch": epoch, "score": score} for epoch, score in enumerate((0.1, 0.6, 0.3, 0.2), start=1)]
    (fallen,) = examine(history, TRANSLATION)
    assert fallen.code == "fallen_score" and "The validation translation score has fallen" in fallen.text
    assert examine(history) == []


def test_what_is_not_a_number_is_not_judged() -> None:
    nan = math.nan
    assert _codes(dice=(0.5, nan, 0.6, nan), critic__gap=(1.0, nan, nan, nan)) == []
    assert _codes(discriminator__accuracy=(0.99, nan, 0.99, 0.99)) == ["winning_discriminator:discriminator"]


def test_two_critics_are_told_apart() -> None:
    lost = (1.0, 0.0, 0.0, 0.0)
    found = examine(_history(critic__gap=lost, other__gap=lost))
    assert [each.code for each in found] == ["vanished_gap:critic", "vanished_gap:other"]
    assert "critic" in found[0].text and "other" in found[1].text


def test_episodes_tell_when_a_trouble_was_there() -> None:
    accuracy = (0.99, 0.99, 0.99, 0.99, 0.8, 0.99, 0.99, 0.99)
    steady: dict[str, Any] = {name: [values[-1]] * 8 for name, values in HEALTHY.items()}
    history = _history(**(steady | {"discriminator/accuracy": accuracy, "skipped_steps": (0, 0, 0, 2, 0, 0, 0, 0)}))
    found = episodes(history)
    spans = [(each.symptom.code.split(":")[0], each.first, each.last) for each in found]
    assert spans == [("winning_discriminator", 3, 4), ("skipped_steps", 4, 4), ("winning_discriminator", 8, 8)]
    assert all(isinstance(each, Episode) for each in found)
    assert list(notes(history))[3] == "skipped_steps winning_discriminator:discriminator"


def test_the_past_is_judged_the_same_whatever_came_after() -> None:
    history = _history(discriminator__accuracy=(0.99, 0.99, 0.99, 0.99, 0.5, 0.5))
    assert list(notes(history))[:4] == list(notes(history[:4]))
