"""Frozen dataclasses from JSON: what is wrong is named by its place, and what is right survives the round trip."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.settings import read_settings, write_settings


@dataclass(frozen=True)
class Inner:
    name: str
    weight: float = 1.0


@dataclass(frozen=True)
class Named:
    """A class that reads and writes itself."""

    word: str

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Named:
        return cls(str(fields["said"]))

    def to_dict(self) -> dict[str, str]:
        return {"said": self.word}


@dataclass(frozen=True)
class Outer:
    count: int
    inner: Inner
    share: float = 0.5
    on: bool = False
    kind: Literal["a", "b", 3] = "a"
    pair: tuple[float, int] = (0.0, 1)
    names: tuple[str, ...] = ()
    inners: tuple[Inner, ...] = ()
    table: dict[str, Inner] = field(default_factory=dict)
    limit: float | None = None
    maybe: Inner | None = None
    few: tuple[int, ...] | None = None
    either: tuple[int, ...] | tuple[Inner, ...] = ()
    free: Mapping[str, Any] = field(default_factory=dict)
    named: Named = field(default_factory=lambda: Named("x"))
    anything: Any = None
    derived: int = field(default=7, init=False)


MINIMAL: dict[str, Any] = {"count": 2, "inner": {"name": "n"}}


def _read(**changes: Any) -> Outer:
    return read_settings(Outer, {**MINIMAL, **changes}, code="wrong")


def test_missing_keys_take_the_defaults() -> None:
    assert _read() == Outer(2, Inner("n"))


def test_everything_survives_json() -> None:
    settings = Outer(
        3,
        Inner("i", 2.5),
        0.25,
        True,
        3,
        (1.5, 2),
        ("p", "q"),
        (Inner("r"), Inner("s", 0.0)),
        {"t": Inner("u")},
        4.0,
        Inner("v"),
        (4, 5),
        (Inner("w"),),
        {"deep": [1, {"er": None}]},
        Named("w"),
        "any",
    )
    plain = json.loads(json.dumps(write_settings(settings)))
    assert "derived" not in plain and plain["named"] == {"said": "w"} and plain["pair"] == [1.5, 2]
    assert read_settings(Outer, plain, code="wrong") == settings


def test_lists_become_tuples_and_whole_numbers_floats_where_the_field_says_so() -> None:
    settings = _read(share=1, pair=[2, 3], names=["a"], limit=5)
    assert type(settings.share) is float and settings.pair == (2.0, 3) and type(settings.pair[0]) is float
    assert settings.names == ("a",) and type(settings.limit) is float
    assert _read(limit=None).limit is None
    assert _read(maybe=None).maybe is None and _read(maybe={"name": "m"}).maybe == Inner("m")
    assert _read(few=[1, 2]).few == (1, 2) and _read(either=[{"name": "e"}]).either == (Inner("e"),)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"count": 2.0}, "Outer.count is 2.0, which is not a whole number"),
        ({"count": True}, "Outer.count is True, which is not a whole number"),
        ({"count": "2"}, "Outer.count is '2'"),
        ({"share": "half"}, "Outer.share is 'half', which is not a number"),
        ({"share": False}, "Outer.share is False"),
        ({"on": 1}, "Outer.on is 1, which is not true or false"),
        ({"kind": "c"}, "Outer.kind is 'c', which is not one of 'a', 'b', 3"),
        ({"pair": [1]}, r"Outer.pair is [1], which is not a list of 2 values"),
        ({"pair": [1, 2.5]}, "Outer.pair[1] is 2.5"),
        ({"names": "ab"}, "Outer.names is 'ab', which is not a list of a text"),
        ({"names": ["a", 3]}, "Outer.names[1] is 3, which is not a text"),
        ({"inner": {"name": 5}}, "Outer.inner.name is 5"),
        ({"inner": {"name": "n", "wait": 1}}, "Outer.inner has no setting named 'wait'"),
        ({"inner": {}}, "Outer.inner needs 'name'"),
        ({"inner": "n"}, "Outer.inner needs an object of named values, not str"),
        ({"inners": [{"name": "a"}, {"name": "b", "weight": "w"}]}, "Outer.inners[1].weight is 'w'"),
        ({"table": {"k": {"name": "a", "weight": None}}}, "Outer.table.k.weight is None"),
        ({"table": []}, "Outer.table is []"),
        ({"limit": "none"}, "Outer.limit is 'none', which is not a number or null"),
        ({"maybe": {"name": "n", "weight": "w"}}, "Outer.maybe.weight is 'w', which is not a number"),
        ({"maybe": {"name": "n", "wait": 1}}, "Outer.maybe has no setting named 'wait'"),
        ({"maybe": {}}, "Outer.maybe needs 'name'"),
        ({"maybe": 3}, "Outer.maybe is 3, which is not an object or null"),
        ({"few": [1, "2"]}, "Outer.few[1] is '2', which is not a whole number"),
        ({"few": "12"}, "Outer.few is '12', which is not a list of a whole number or null"),
        ({"either": ["x"]}, "Outer.either is ['x'], which is not a list of a whole number or a list of an object"),
        ({"free": 3}, "Outer.free is 3"),
        ({"named": "w"}, "Outer.named is 'w'"),
        ({"derived": 8}, "Outer has no setting named 'derived'"),
        ({"cuont": 1, "ahsre": 2}, "no setting named 'ahsre', 'cuont'"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        _read(**changes)
    assert said in str(caught.value) and caught.value.code == "wrong"


def test_a_bool_does_not_pass_for_the_number_it_equals() -> None:
    @dataclass(frozen=True)
    class Level:
        level: Literal[1, 3, 5]

    assert read_settings(Level, {"level": 1}, code="wrong").level == 1
    with pytest.raises(GANSegmentationError):
        read_settings(Level, {"level": True}, code="wrong")


def test_what_is_missing_is_listed_with_the_place_that_was_given() -> None:
    with pytest.raises(GANSegmentationError) as caught:
        read_settings(Outer, {}, code="invalid_preset", where="preset.data")
    assert "preset.data needs 'count', 'inner'" in str(caught.value) and caught.value.code == "invalid_preset"


def test_only_objects_are_read() -> None:
    for value in ([], "text", None, 3):
        with pytest.raises(GANSegmentationError, match="JSON object"):
            read_settings(Outer, value, code="wrong")  # type: ignore[arg-type]


def test_a_known_name_is_suggested_for_an_unknown_one() -> None:
    with pytest.raises(GANSegmentationError) as caught:
        _read(cuont=1)
    assert "count" in caught.value.action


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 10**400])
def test_numbers_are_finite(value: float) -> None:
    for changes, key in (
        ({"share": value}, "share"), ({"inner": {"name": "n", "weight": value}}, "inner.weight"),
        ({"pair": [value, 1]}, "pair[0]"), ({"limit": value}, "limit"),
    ):  # fmt: skip
        with pytest.raises(GANSegmentationError) as caught:
            _read(**changes)
        assert key in str(caught.value)
