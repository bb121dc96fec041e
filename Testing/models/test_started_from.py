"""A card can say which model its training began with."""

from __future__ import annotations

import dataclasses
import json

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import Card, StartedFrom

ORIGIN = StartedFrom("bones-ct", "1.2.0", "a" * 64)


def test_the_origin_round_trips_and_raises_the_schema(card: Card) -> None:
    later = dataclasses.replace(card, training=dataclasses.replace(card.training, started_from=ORIGIN))
    plain = json.loads(json.dumps(later.to_dict()))
    assert plain["schema"] == "1.1"
    assert plain["training"]["started_from"] == {"id": "bones-ct", "version": "1.2.0", "sha256": "a" * 64}
    assert Card.from_dict(plain) == later


def test_a_model_that_began_anew_says_nothing_of_it(card: Card) -> None:
    assert "started_from" not in card.to_dict()["training"] and card.to_dict()["schema"] == 1
    plain = json.loads(json.dumps(card.to_dict()))
    plain["training"]["started_from"] = None
    assert Card.from_dict(plain) == card


@pytest.mark.parametrize(
    ("field", "value"), [("id", "No Id"), ("version", "1"), ("sha256", "a" * 63), ("sha256", ...), ("more", 1)]
)
def test_an_origin_that_names_no_model_is_refused_by_its_path(card: Card, field: str, value: object) -> None:
    plain = json.loads(json.dumps(card.to_dict())) | {"schema": "1.1"}
    origin = dataclasses.asdict(ORIGIN) | {field: value}
    plain["training"]["started_from"] = {name: each for name, each in origin.items() if each is not ...}
    with pytest.raises(GANSegmentationError, match=rf"training\.started_from\.{field}") as caught:
        Card.from_dict(plain)
    assert caught.value.code == "invalid_card"
