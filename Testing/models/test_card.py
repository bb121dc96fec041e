"""The card says what is wrong with it, by the path of the field."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import Card, PostProcessing


@pytest.fixture
def plain(card: Card) -> dict[str, Any]:
    return json.loads(json.dumps(card.to_dict()))


def change(plain: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The card with the value at a dotted path replaced, added, or removed where it is `...`."""
    result = copy.deepcopy(plain)
    place: Any = result
    *way, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in way:
        place = place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return result


def refusal(plain: dict[str, Any]) -> GANSegmentationError:
    with pytest.raises(GANSegmentationError) as caught:
        Card.from_dict(plain)
    return caught.value


def test_a_card_round_trips_through_json(card: Card) -> None:
    again = Card.from_json(json.dumps(card.to_dict()))
    assert again == card
    assert again.to_dict() == card.to_dict()


def test_every_optional_part_round_trips(card: Card) -> None:
    full = dataclasses.replace(
        card,
        citation="Someone, 2026.",
        domains=("ct", "t2"),
        spacing_range=None,
        postprocessing=PostProcessing(True, True, 2.5, {"weight": 3.0, "sigma_mm": 5.0}),
        metrics=(dataclasses.replace(card.metrics[0], ci95=None, comment=""),),
        training=dataclasses.replace(card.training, split_sha256=None),
    )
    assert Card.from_json(json.dumps(full.to_dict())) == full


def test_what_the_first_form_lacks_raises_the_schema_and_round_trips(card: Card, reviewed_card: Card) -> None:
    assert reviewed_card.schema == "1.1"
    for full in (
        reviewed_card,
        dataclasses.replace(card, mask_channels=("CT",)),
        dataclasses.replace(card, task="synthesis", default_for=()),
    ):
        plain = json.loads(json.dumps(full.to_dict()))
        assert plain["schema"] == "1.1"
        assert Card.from_json(json.dumps(plain)) == full


def test_a_card_of_the_first_form_says_nothing_of_the_later_fields(card: Card) -> None:
    plain = card.to_dict()
    assert plain["schema"] == 1
    assert not {"task", "mask_channels", "discriminator", "review"} & set(plain)
    assert Card.from_dict(plain).task == "segmentation"


@pytest.mark.parametrize("field", ["task", "mask_channels", "discriminator", "review"])
def test_a_later_field_in_a_card_of_the_first_form_is_refused(plain: dict[str, Any], field: str) -> None:
    assert f"{field} belongs to schema 1.1" in refusal({**plain, field: None}).message


def test_later_fields_may_be_null_in_a_card_of_their_form(plain: dict[str, Any]) -> None:
    card = Card.from_dict({**plain, "schema": "1.1", "discriminator": None, "review": None})
    assert card.discriminator is None and card.review is None


REVIEW = {"signal": "entropy", "spearman": 0.4, "ci95": [0.1, 0.6], "n": 5}
JUDGE = {"name": "patch70", "config": {}, "sees": "pair"}


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("task", "translation", "task is 'translation', not one of segmentation, synthesis"),
        ("task", "synthesis", "default_for belongs to models that segment"),
        ("mask_channels", ["MR"], "mask_channels has 'MR', which channel_names has not"),
        ("discriminator", {**JUDGE, "sees": "comparison"}, "discriminator.sees is 'comparison'"),
        ("discriminator", {**JUDGE, "config": 3}, "discriminator.config is not an object"),
        ("discriminator", {**JUDGE, "role": "x"}, "discriminator.role is not a field"),
        ("discriminator", {"name": "patch70", "config": {}}, "discriminator.sees is missing"),
        ("review", {**REVIEW, "spearman": 1.2}, "review.spearman is 1.2, and no correlation"),
        ("review", {**REVIEW, "ci95": [0.1, 1.5]}, "review.ci95 is 1.5"),
        ("review", {**REVIEW, "ci95": [-1.5, 0.1]}, "review.ci95[0]"),
        ("review", {**REVIEW, "n": 0}, "review.n is 0"),
        ("review", {"signal": "entropy"}, "review.spearman is missing"),
    ],
)
def test_a_wrong_later_field_is_refused_with_its_path(plain: dict[str, Any], field: str, value: Any, said: str) -> None:
    error = refusal({**plain, "schema": "1.1", field: value})
    assert error.code == "invalid_card"
    assert said in error.message


def test_a_card_cannot_be_changed(card: Card) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        card.title = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        card.network.config["classes"] = 7  # type: ignore[index]


def test_input_channels_count_neighbours(plain: dict[str, Any]) -> None:
    plain = change(plain, "slicing.neighbours", 3)
    plain = change(plain, "channels", 2)
    plain = change(plain, "channel_names", ["in phase", "out of phase"])
    assert Card.from_dict(plain).input_channels == 6


def test_every_field_is_missed_by_name(plain: dict[str, Any]) -> None:
    for key in plain:
        error = refusal(change(plain, key, ...))
        assert error.code == "invalid_card", key
        assert f"{key} is missing" in error.message


@pytest.mark.parametrize(
    "path",
    [
        "network.name",
        "network.config",
        "postprocessing.crf",
        "training.data.0.licence",
        "metrics.0.ci95",
        "intensity.unit",
    ],
)
def test_every_nested_field_is_missed_by_its_path(plain: dict[str, Any], path: str) -> None:
    error = refusal(change(plain, path, ...))
    assert error.code == "invalid_card"
    assert f"{as_shown(path)} is missing" in error.message


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("id", "Liver CT", "id"),
        ("id", "../evil", "id"),
        ("id", "", "id is empty"),
        ("title", 5, "title is 5, not a text"),
        ("version", "1.0", "version"),
        ("version", "1.0.0\n", "version"),
        ("network.config", [1], "network.config is not an object"),
        ("slicing.size", -1, "slicing"),
        ("slicing.normalisation.kind", "minmax", "slicing"),
        ("modalities", [], "modalities has 0 entries"),
        ("modalities", ["ct"], 'modalities[0] is "ct"'),
        ("modalities", "CT", "modalities"),
        ("modalities", ["CT", "CT"], "modalities names something twice"),
        ("channels", 0, "channels is 0, not from 1 to 16"),
        ("channels", True, "channels is true, not a whole number"),
        ("channels", 1.0, "channels is 1.0, not a whole number"),
        ("channels", 2, "channel_names has 1 names for 2 channels"),
        ("spacing_range.slice_mm", [5.0, 0.7], "spacing_range.slice_mm is [5.0, 0.7], not in ascending order"),
        ("spacing_range.slice_mm", [-1, 2], "spacing_range.slice_mm[0]"),
        ("spacing_range.slice_mm", [1], "spacing_range.slice_mm"),
        ("intensity.range", [0, float("inf")], "intensity.range[1]"),
        ("postprocessing.largest_component", 1, "postprocessing.largest_component is 1, not true or false"),
        ("postprocessing.minimum_volume_ml", -0.1, "postprocessing.minimum_volume_ml is -0.1, not at least 0"),
        ("postprocessing.minimum_volume_ml", float("nan"), "postprocessing.minimum_volume_ml"),
        ("postprocessing.crf", {"weight": "high"}, "postprocessing.crf.weight"),
        ("test_time_augmentation", ["upside_down"], "test_time_augmentation"),
        ("test_time_augmentation", ["superior_inferior"], "no flip within axial slices"),
        ("training.split_sha256", "AB" * 32, "training.split_sha256"),
        ("training.seed", -1, "training.seed"),
        ("training.date", "2026-02-30", "training.date"),
        ("training.date", "yesterday", "training.date"),
        ("training.data.0.patients", 2.5, "training.data[0].patients"),
        ("metrics.0.n", 0, "metrics[0].n"),
        ("metrics.0.mean", 0.97, "metrics[0].mean is 0.97 and lies outside"),
        ("metrics.0.ci95", [0.96, 0.94], "metrics[0].ci95"),
        ("default_for", ["MR"], "default_for has MR"),
        ("weights_licence", " ", "weights_licence is empty"),
        ("files", {"model.pt": {"sha256": "ab" * 32, "bytes": 1}}, "files.model.pt"),
        ("files", {"labels.csv": {"sha256": "xy", "bytes": 1}}, "files.labels.csv.sha256"),
        ("files", {"labels.csv": {"sha256": "ab" * 32, "bytes": -1}}, "files.labels.csv.bytes"),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(plain: dict[str, Any], path: str, value: Any, said: str) -> None:
    error = refusal(change(plain, path, value))
    assert error.code == "invalid_card"
    assert said in error.message


@pytest.mark.parametrize(
    ("path", "meant"),
    [("weights_license", "weights_licence"), ("training.sed", "seed"), ("metrics.0.ci_95", "ci95")],
)
def test_a_misspelt_field_is_refused_and_the_right_one_offered(plain: dict[str, Any], path: str, meant: str) -> None:
    error = refusal(change(plain, path, "x"))
    assert error.code == "invalid_card"
    assert as_shown(path) in error.message
    assert meant in error.action


def test_a_higher_major_schema_is_refused_with_the_way_out(plain: dict[str, Any]) -> None:
    error = refusal(change(plain, "schema", 2))
    assert error.code == "unsupported_schema"
    assert "schema 2" in error.message
    assert "Update" in error.action


def test_unknown_fields_of_a_higher_minor_schema_are_explained(plain: dict[str, Any]) -> None:
    newer = change(change(plain, "schema", "1.3"), "slice_stride", 2)
    error = refusal(newer)
    assert error.code == "unsupported_schema"
    assert "slice_stride" in error.message
    assert "1.3" in error.cause


def test_a_higher_minor_schema_without_unknown_fields_is_read(plain: dict[str, Any]) -> None:
    card = Card.from_dict(change(plain, "schema", "1.3"))
    assert card.to_dict()["schema"] == "1.3"


@pytest.mark.parametrize("schema", [0, "one", None, True, 1.5, [1]])
def test_what_is_no_schema_is_refused(plain: dict[str, Any], schema: Any) -> None:
    error = refusal(change(plain, "schema", schema))
    assert error.code in ("invalid_card", "unsupported_schema")
    assert "schema" in error.message


@pytest.mark.parametrize("text", ["", "[]", "{", '{"id": NaN}', '{"id": "a", "id": "b"}', "[" * 100_000])
def test_text_that_is_no_card_is_refused(text: str) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        Card.from_json(text)
    assert caught.value.code == "invalid_card"
    assert "card.json" in caught.value.message


def as_shown(path: str) -> str:
    return path.replace(".0", "[0]")
