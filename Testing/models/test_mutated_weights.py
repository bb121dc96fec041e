"""Packages with changed weights: the same masks, or which error."""

from __future__ import annotations

import io
import json
import pickle
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from Testing.models.package_mutations import MODEL, Case, Mutations

pytestmark = pytest.mark.timeout(60)

mutation = Mutations()


@mutation()
def weights_written_otherwise(case: Case) -> tuple[Path, str]:
    header, numbers = case.header()
    kind = case.pick(["metadata", "spaces", "order", "doubles"])
    if kind == "metadata":
        header = {"__metadata__": {"format": "pt", "ü": "ü" * 50}, **header}
    elif kind == "order":
        names = list(header)
        header = {names[index]: header[names[index]] for index in case.random.permutation(len(names))}
    elif kind == "doubles":
        numbers = np.frombuffer(numbers, "<f4").astype("<f8").tobytes()
        header = {
            name: {"dtype": "F64", "shape": place["shape"], "data_offsets": [2 * at for at in place["data_offsets"]]}
            for name, place in header.items()
        }
    text = json.dumps(header).encode()
    case.set_header(text + b" " * (8 * (kind == "spaces")), numbers)
    return case.either(), "unchanged"


@mutation()
def weights_that_are_not_finite(case: Case) -> tuple[Path, str]:
    header, numbers = case.header()
    array = np.frombuffer(numbers, "<f4").copy()
    array[int(case.random.integers(array.size))] = case.pick([np.nan, np.inf, -np.inf])
    case.set_header(header, array.tobytes())
    return case.either(), "invalid_weights"


@mutation()
def weights_of_another_network(case: Case) -> tuple[Path, str]:
    header, numbers = case.header()
    name = case.tensor(header, 2)
    kind = case.pick(["shape", "name", "missing", "surplus"])
    if kind == "shape":
        header[name]["shape"] = [1, *header[name]["shape"]]
    elif kind == "name":
        header[name + "_"] = header.pop(name)
    elif kind == "missing":
        last = max(header, key=lambda each: header[each]["data_offsets"][1])
        numbers = numbers[: header.pop(last)["data_offsets"][0]]
    else:
        header["more"] = {"dtype": "F32", "shape": [2], "data_offsets": [len(numbers), len(numbers) + 8]}
        numbers += bytes(8)
    case.set_header(header, numbers)
    return case.either(), "invalid_weights"


@mutation()
def weights_of_another_type(case: Case) -> tuple[Path, str]:
    header, numbers = case.header()
    header[case.tensor(header)]["dtype"] = case.pick(
        ["BF16", "F8_E4M3", "F64", "F16", "U64", "C64", "f4", "object", "", 5]
    )
    case.set_header(header, numbers)
    return case.either(), "invalid_weights"


@mutation()
def weights_as_whole_numbers(case: Case) -> tuple[Path, str]:
    header, numbers = case.header()
    header[case.tensor(header)]["dtype"] = case.pick(["I32"])
    case.set_header(header, numbers)
    return case.either(), "invalid_weights"


@mutation(15)
def weights_at_wrong_places(case: Case) -> tuple[Path, str]:
    header, numbers = case.header()
    place = header[case.tensor(header)]
    begin, end = place["data_offsets"]
    nearly = [[begin + 4, end + 4], [end, begin], [begin - 4, end - 4], [-4, end], [begin], [begin, end, end]]
    wrong = [
        [0, 2**63],
        [begin, end + 10**15],
        ["0", "4"],
        [0.0, 4.0],
        None,
        [True, 4],
        [10**400, 10**400 + end - begin],
    ]
    place["data_offsets"] = case.pick([*nearly, *wrong])
    case.set_header(header, numbers)
    return case.either(), "invalid_weights"


@mutation(12)
def weights_of_an_impossible_shape(case: Case) -> tuple[Path, str]:
    header, numbers = case.header()
    place = header[case.tensor(header)]
    place["shape"] = case.pick(
        [[-1], [2**32, 2**32], [2**62, 4], [0], [10**400], "4", None, [1.0], [[4]], [1] * 10_000 + [7]]
    )
    case.set_header(header, numbers)
    return case.either(), "invalid_weights"


@mutation(20)
def weights_with_a_broken_header(case: Case) -> tuple[Path, str]:
    whole = case.files[MODEL]
    header, numbers = case.header()
    text = json.dumps(header)
    depth = 200_000
    texts: list[bytes] = [
        whole[:4],
        b"",
        (2**63 - 1).to_bytes(8, "little") + whole[8:],
        (2**64 - 1).to_bytes(8, "little") + whole[8:],
        (0).to_bytes(8, "little") + whole[8:],
        (len(whole)).to_bytes(8, "little") + whole[8:],
        whole[:-1],
        whole + b"\0",
        len(b"{}").to_bytes(8, "little") + b"{}",
        len(b"[]").to_bytes(8, "little") + b"[]" + numbers,
    ]
    broken = ("[" * depth, "{" * 50, text[:-1], text + "x", text.replace("{", '{"a":1,', 1), '{"a":' * depth)
    texts += [len(each).to_bytes(8, "little") + each.encode() + numbers for each in broken]
    first = next(iter(header))
    double = text[:-1] + f', "{first}": {json.dumps(header[first])}}}'
    texts.append(len(double).to_bytes(8, "little") + double.encode() + numbers)
    case.files[MODEL] = case.pick(texts)
    return case.either(), "invalid_weights"


@mutation()
def weights_that_would_run_a_program(case: Case) -> tuple[Path, str]:
    class Run:
        def __reduce__(self) -> tuple[Any, ...]:
            return sys.exit, ("a pickle was opened",)

    checkpoint = io.BytesIO()
    with zipfile.ZipFile(checkpoint, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")
    case.files[MODEL] = case.pick([pickle.dumps(Run(), protocol) for protocol in range(6)] + [checkpoint.getvalue()])
    return case.either(), "invalid_weights"


@mutation(15)
def weights_with_any_flipped_header_bit(case: Case) -> tuple[Path, str]:
    whole = bytearray(case.files[MODEL])
    length = int.from_bytes(whole[:8], "little")
    whole[int(case.random.integers(8, 8 + length))] ^= 1 << int(case.random.integers(8))
    case.files[MODEL] = bytes(whole)
    return case.either(), "invalid_weights"


@pytest.mark.parametrize("name", mutation)
def test_a_changed_package_behaves_as_declared(tmp_path: Path, name: str) -> None:
    assert mutation.problems(name, tmp_path) == []


def test_there_are_enough() -> None:
    assert len(mutation) >= 10
    assert sum(mutation.seeds.values()) >= 90
