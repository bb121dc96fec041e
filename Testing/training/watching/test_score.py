"""Which score a run is judged by."""

from __future__ import annotations

from typing import Any

import pytest

from GANSegmentationLib.objectives import build
from GANSegmentationLib.training import load_preset, preset_names
from GANSegmentationLib.training.watching.score import DICE, SIMILARITY, TRANSLATION, score_of
from Testing.translator import domain_preset


@pytest.mark.parametrize(("setting", "score"), [("uagan", DICE), ("uasegan", DICE), ("stargan", TRANSLATION)])
def test_a_translator_that_segments_is_judged_by_its_masks(setting: str, score: Any) -> None:
    config = domain_preset(setting)["objective"]
    assert score_of(build(config["name"], config["config"])) is score


def test_only_what_segments_is_judged_by_dice() -> None:
    for name in preset_names():
        spec = load_preset(name).objective
        objective = build(spec.name, spec.config)
        assert (score_of(objective) is DICE) == (objective.task == "segmentation"), name


def test_the_words_say_which_score_it_is_and_promise_no_dice() -> None:
    for score in (SIMILARITY, TRANSLATION):
        assert score.column == "score" and "Dice" not in score.meaning
        assert "the mean of structure" in score.meaning
