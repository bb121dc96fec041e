"""The words of the process border survive a line, and nothing else passes for one."""

from __future__ import annotations

import dataclasses
import json

import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError

EXAMPLES = [
    protocol.Cancel("7"),
    protocol.Quit(),
    protocol.RunSegment(
        "1", "/tmp/x", volumes=({"file": "a.npy", "facts": {}},), model="liver", domain="CT", force=True
    ),
    protocol.RunSegment("1", "/tmp/x", inputs=("scan.nrrd",), package="m.ganseg", device="cuda:1"),
    protocol.RunCheck("2", "/tmp/x", volumes=({"file": "a.npy"},)),
    protocol.RunCompare("3", "/tmp/x", mask={"file": "m.npy"}, reference={"file": "r.npy"}, surface_tolerance_mm=1),
    protocol.Ready(protocol=1, pid=4, device="cpu"),
    protocol.Started("1", "segment"),
    protocol.Stage("1", "load"),
    protocol.Progress("1", "segment", 3, 12),
    protocol.Progress("1", "segment", 3, 12, 1.5),
    protocol.Log("two\nlines and a … sign"),
    protocol.Warn("1", "few_slices", "The volume has 3 slices."),
    protocol.Result("1", "segment", {"seconds": 1.0, "labels": [1, 2]}),
    protocol.Cancelled("1"),
    protocol.Failed("1", GANSegmentationError("some_code", "Something happened.").to_dict()),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_a_message_survives_its_line(message):
    line = protocol.encode(message)
    assert "\n" not in line
    assert line.isascii()
    assert protocol.decode(line) == message


def test_every_kind_of_message_has_an_example():
    assert {type(message) for message in EXAMPLES} == set(protocol._MESSAGES)


def test_no_two_messages_share_their_words():
    words = [tuple(sorted(kind.WORDS.items())) for kind in protocol._MESSAGES]
    assert len(set(words)) == len(words)


def test_a_line_says_its_word_first():
    assert protocol.encode(protocol.Stage("1", "load")).startswith('{"event": "stage"')


def test_messages_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        protocol.Stage("1", "load").name = "other"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "not JSON"),
        ('{"event": "stage"', "not JSON"),
        ("Traceback (most recent call last):", "not JSON"),
        ("[1, 2]", "not a JSON object"),
        ("{}", "no message"),
        ('{"event": "dance"}', "dance"),
        ('{"command": "run", "job": "cook", "id": "1", "folder": "x"}', "cook"),
        ('{"event": "stage", "id": "1"}', "incomplete"),
        ('{"event": "stage", "id": "1", "name": "load", "colour": 1}', "colour"),
        ('{"event": "stage", "id": 1, "name": "load"}', "'id'"),
        ('{"event": "progress", "id": "1", "stage": "s", "done": true, "total": 2}', "'done'"),
        ('{"event": "progress", "id": "1", "stage": "s", "done": 1, "total": 2, "seconds_left": "3"}', "seconds_left"),
        ('{"command": "run", "job": "segment", "id": "1", "folder": "x", "inputs": [3]}', "inputs"),
        ('{"command": "run", "job": "segment", "id": "1", "folder": "x", "force": "no"}', "force"),
    ],
)
def test_anything_else_is_refused_with_the_reason(line, reason):
    with pytest.raises(GANSegmentationError) as caught:
        protocol.decode(line)
    assert caught.value.code == "invalid_message"
    assert reason in caught.value.message
    assert caught.value.action


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_does_not_have_is_not_written(value):
    with pytest.raises(GANSegmentationError, match="cannot be written"):
        protocol.encode(protocol.Result("1", "compare", {"hd_mm": value}))


def test_a_long_wrong_line_is_shortened_in_the_error():
    with pytest.raises(GANSegmentationError) as caught:
        protocol.decode("x" * 10_000)
    assert len(caught.value.message) < 300


def test_a_message_is_plain_json_types():
    assert json.loads(json.dumps(protocol.to_dict(EXAMPLES[2]))) == protocol.to_dict(EXAMPLES[2])


def test_a_line_that_is_nested_too_deeply_is_refused():
    with pytest.raises(GANSegmentationError) as caught:
        protocol.decode('{"a":' * 100_000)
    assert caught.value.code == "invalid_message"
