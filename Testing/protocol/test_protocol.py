"""The words of the process border survive a line, and nothing else passes for one."""

from __future__ import annotations

import dataclasses
import json

import pytest

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError

EXAMPLES = [
    protocol.Cancel("7"),
    protocol.Release(),
    protocol.Quit(),
    protocol.RunSegment(
        "1", "/tmp/x", volumes=({"file": "a.npy", "facts": {}},), model="liver", domain="CT", force=True
    ),
    protocol.RunSegment("1", "/tmp/x", inputs=("scan.nrrd",), package="m.ganseg", device="cuda:1"),
    protocol.RunSegment(
        "1", "/tmp/x", region=(0, 4, 0, 4, 2, 3), segments=(2,), batch_size=1, postprocessing={"fill_holes": True}
    ),
    protocol.RunCheck("2", "/tmp/x", volumes=({"file": "a.npy"},)),
    protocol.RunCompare("3", "/tmp/x", mask={"file": "m.npy"}, reference={"file": "r.npy"}, surface_tolerance_mm=1),
    protocol.RunCompare("3", "/tmp/x", pairs=((1, "Liver"), ("Spleen", 2)), metrics=("dice",), differences=True),
    protocol.RunExport("4", "/tmp/x", labelmap={"file": "m.npy"}, path="/tmp/ä.seg.nrrd", source=("dicom",)),
    protocol.RunBatch("5", "/tmp/x", input="scans", output="masks", include=("CT*",), time_limit=600),
    protocol.RunProbe("6", "/tmp/x"),
    protocol.Ready(protocol=1, pid=4),
    protocol.Released(ends=True),
    protocol.Device("1", "cuda:0", "NVIDIA A100"),
    protocol.CaseDone("5", {"case": "a", "status": "done"}),
    protocol.Started("1", "segment"),
    protocol.Stage("1", "load"),
    protocol.Progress("1", "segment", 3, 12),
    protocol.Progress("1", "segment", 3, 12, 1.5),
    protocol.Log("two\nlines and a … sign"),
    protocol.Warn("1", "few_slices", "The volume has 3 slices."),
    protocol.Result("1", "segment", {"seconds": 1.0, "labels": [1, 2]}),
    protocol.Cancelled("1"),
    protocol.Failed("1", GANSegmentationError("some_code", "Something happened.").to_dict()),
    protocol.Failed("1", GANSegmentationError("out_of_memory", "Full.").to_dict(), retry={"device": "cpu"}),
]


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: type(m).__name__)
def test_a_message_survives_its_line(message):
    line = protocol.encode(message)
    assert "\n" not in line
    assert line.isascii()
    assert protocol.decode(line) == message


def test_every_kind_of_message_has_an_example():
    assert {type(message) for message in EXAMPLES} == set(protocol.MESSAGES)


def test_no_two_messages_share_their_words():
    words = [tuple(sorted(kind.WORDS.items())) for kind in protocol.MESSAGES]
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
        ('{"event": "stage", "id": "1"}', "needs 'name'"),
        ('{"event": "stage", "id": "1", "name": "load", "colour": 1}', "colour"),
        ('{"event": "stage", "id": 1, "name": "load"}', "stage.id"),
        ('{"event": "progress", "id": "1", "stage": "s", "done": true, "total": 2}', "progress.done"),
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


# Lines


def read(pieces, **options):
    reader = protocol.LineReader(**options)
    return [line for piece in pieces for line in reader.feed(piece)], reader


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_stream_in_pieces_of_any_size_gives_the_same_lines(size):
    """A piece may end within a character of several bytes."""
    stream = "first\nLeber – größer\r\n\nlast\nbegun".encode()
    lines, reader = read(stream[start : start + size] for start in range(0, len(stream), size))
    assert lines == ["first", "Leber – größer", "", "last"]
    assert reader.rest == "begun"


def test_what_is_no_text_becomes_a_line_that_is_no_message():
    lines, _ = read([b'{"event": "stage", "id": "1", "name": "\xff\xfe"}\n\x00\x01\n'])
    assert "\ufffd" in lines[0]
    with pytest.raises(GANSegmentationError):
        protocol.decode(lines[1])


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_line_that_is_too_long_is_dropped_and_the_next_one_read(size):
    stream = b"a" * 50 + b"\nshort\n" + b"b" * 11 + b"\n" + b"c" * 10 + b"\n"
    lines, _ = read([stream[start : start + size] for start in range(0, len(stream), size)], limit=10)
    assert lines == [None, "short", None, "c" * 10]


def test_a_line_without_an_end_does_not_fill_the_memory():
    reader = protocol.LineReader(limit=100)
    for _ in range(50):
        assert reader.feed(b"x" * 100) == []
    assert len(reader.rest) <= 100


def test_a_line_of_a_message_is_ascii_with_its_end():
    line = protocol.line_of(protocol.Log("größer"))
    assert line.endswith(b"}\n")
    assert line.isascii()
