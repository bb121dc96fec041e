"""The header of a safetensors file is checked before anything relies on it."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import weights as weight_file


def read(data: bytes) -> dict[str, weight_file.TensorPlace]:
    return weight_file.read_header(io.BytesIO(data), len(data))


def refusal(data: bytes, *said: str) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        read(data)
    assert caught.value.code == "invalid_weights"
    for words in ("model.safetensors", *said):
        assert words in str(caught.value)


def file_of(header: Any, body: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


def tensor(dtype: Any, shape: Any, *offsets: Any) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": list(offsets)}


def test_our_reading_agrees_with_the_safetensors_library() -> None:
    arrays = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "b": np.array(5, np.int64),
        "c": np.zeros((0, 4), np.float16),
        "d": np.arange(3, dtype=np.float16),
    }
    data = weight_file.encode(arrays)
    places = read(data)
    assert set(places) == set(arrays)
    for name, place in places.items():
        ours = np.frombuffer(data[place.begin : place.end], place.dtype).reshape(place.shape)
        np.testing.assert_array_equal(ours, arrays[name])
        np.testing.assert_array_equal(weight_file.decode(data)[name], arrays[name])


@pytest.mark.parametrize("length", [640, 896, 1152, 1408, 65536 + 640])
def test_a_header_whose_length_begins_as_a_pickle_does_is_read(length: int) -> None:
    header = json.dumps({"a": tensor("F32", [1], 0, 4)}).encode()
    data = file_of(header + b" " * (length - len(header)), bytes(4))
    assert data[0] == 0x80 and 2 <= data[1] <= 5
    assert list(read(data)) == ["a"]


def test_metadata_is_allowed() -> None:
    data = file_of({"__metadata__": {"format": "pt"}, "a": tensor("F32", [1], 0, 4)}, bytes(4))
    assert list(read(data)) == ["a"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "too few"),
        (b"\x01\x00\x00", "too few"),
        ((1 << 60).to_bytes(8, "little") + b"{}", "announces a header"),
        (file_of({"a": tensor("F32", [1], 0, 4)}, bytes(4))[:20], "announces a header"),
        (file_of(b"\xff\xfe", b""), "not text"),
        (file_of(b"{'a'}", b""), "not JSON"),
        (file_of([], b""), "not an object"),
        (file_of({}, b""), "no tensors"),
        (file_of({"a": 5}, b""), "a is 5"),
        (file_of({"a": {"dtype": "F32", "shape": [1]}}, bytes(4)), "a.data_offsets is missing"),
        (file_of({"a": {**tensor("F32", [1], 0, 4), "code": "x"}}, bytes(4)), "a.code"),
        (file_of(b'{"a": {}, "a": {}}', b""), "twice"),
        (file_of({"a": tensor("F32", [1], 0)}, bytes(4)), "a.data_offsets"),
        (file_of({"a": tensor("F32", [-1], 0, 4)}, bytes(4)), "a.shape[0]"),
        (file_of({"a": tensor("F32", [True], 0, 4)}, bytes(4)), "a.shape[0]"),
        (file_of({"a": tensor("F32", [2], 0, 4)}, bytes(4)), "the tensor a with 4 bytes"),
        (file_of({"a": tensor("F32", [1 << 62, 1 << 62], 0, 0)}, b""), "the tensor a with 0 bytes"),
        (file_of({"a": tensor("F32", [2], 0, 8)}, bytes(4)), "beyond its end"),
        (file_of({"a": tensor("F32", [1], 4, 8)}, bytes(8)), "gap or an overlap"),
        (file_of({"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 2, 6)}, bytes(6)), "gap or an overlap"),
        (file_of({"a": tensor("F32", [1], 0, 4)}, bytes(9)), "5 bytes behind its last tensor"),
        (file_of({"a": tensor("BF16", [2], 0, 4)}, bytes(4)), "numpy has no bfloat16"),
        (file_of({"a": tensor("F8_E4M3", [4], 0, 4)}, bytes(4)), "F8_E4M3"),
    ],
)
def test_a_bad_header_is_refused(data: bytes, said: str) -> None:
    refusal(data, said)


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(data: bytes) -> None:
    with pytest.raises(GANSegmentationError):
        read(data)


@given(st.integers(0, 150), st.integers(0, 255))
def test_no_changed_byte_crashes_the_reader(place: int, value: int) -> None:
    data = bytearray(weight_file.encode({"a": np.ones((2, 3), np.float32), "b": np.ones(5, np.float16)}))
    data[place % len(data)] = value
    try:
        places = read(bytes(data))
    except GANSegmentationError as error:
        assert error.code == "invalid_weights"
    else:
        assert sum(item.end - item.begin for item in places.values()) == 34


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_weights_that_are_not_finite_are_found_on_reading(bad: float, dtype: Any) -> None:
    good = np.ones(1000, dtype)
    data = bytearray(weight_file.encode({"a": np.ones(7, np.int64), "late": good}))
    place = read(bytes(data))["late"]
    stream = io.BytesIO(data)
    weight_file.check_finite(stream, read(bytes(data)))
    data[place.end - place.dtype.itemsize : place.end] = np.array([bad], dtype).tobytes()
    with pytest.raises(GANSegmentationError) as caught:
        weight_file.check_finite(io.BytesIO(data), read(bytes(data)))
    assert caught.value.code == "invalid_weights"
    assert "late" in caught.value.message


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "no weights"),
        ({"w": np.array([1.0, np.nan], np.float32)}, "w"),
        ({"w": np.array(["a"])}, "w"),
        ({"w": np.ones(2, np.complex64)}, "complex64"),
    ],
)
def test_weights_that_cannot_be_packed_are_refused(arrays: dict[str, Any], said: str) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        weight_file.encode(arrays)
    assert caught.value.code == "invalid_weights"
    assert said in caught.value.message
