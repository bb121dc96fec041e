"""Packages with a changed card: the same masks, or which error."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from Testing.models.package_mutations import CARD, LABELS, MODEL, PREVIEW, Case, Mutations

pytestmark = pytest.mark.timeout(60)

mutation = Mutations()


@mutation()
def card_written_otherwise(case: Case) -> tuple[Path, str]:
    card = json.loads(case.finished()[CARD])
    card["title"] = "Leber, größer"
    keys = list(card)
    card = {keys[index]: card[keys[index]] for index in case.random.permutation(len(keys))}
    text = json.dumps(card, indent=case.pick([None, 1, "\t"]), ensure_ascii=bool(case.random.integers(2)))
    case.files[CARD] = case.pick([b"", b"\xef\xbb\xbf", b" \r\n"]) + text.encode()
    case.described = False
    return case.either(), "unchanged"


@mutation()
def wrong_checksum_or_size(case: Case) -> tuple[Path, str]:
    card = json.loads(case.finished()[CARD])
    fact = card["files"][case.pick([MODEL, LABELS, PREVIEW])]
    if case.random.integers(2):
        fact["sha256"] = hashlib.sha256(case.random.bytes(8)).hexdigest()
    else:
        fact["bytes"] += int(case.random.integers(1, 9))
    case.set_card(card)
    case.described = False
    return case.either(), "package_tampered"


@mutation()
def checksum_of_another_form(case: Case) -> tuple[Path, str]:
    card = json.loads(case.finished()[CARD])
    fact = card["files"][MODEL]
    fact["sha256"] = case.pick(["", fact["sha256"][:-1], fact["sha256"] + "0", "md5:1", 7, None, fact["sha256"] + "\n"])
    case.set_card(card)
    case.described = False
    return case.either(), "invalid_card"


WRONG: dict[str, list[Any]] = {
    "id": ["", "No Id", "../x", 3, None, ["a"], "a" * 500],
    "title": ["", " ", 5, None, {}],
    "version": ["1", "1.0", 1.0, None, "1.0.0; rm"],
    "network": [None, [], "pix2pix_modern", 3],
    "network.name": ["", 3, None, ["pix2pix"]],
    "network.config": [None, [], "x", {"in_channels": "one"}, {"classes": 1.5}, {"channels": "many"}, {"surprise": 1}],
    "network.config.channels": [[], [-4, 4], [4.5, 4], 4, [4, "4"], [True, 4]],
    "network.config.classes": [0, -1, "1", None, 1e300],
    "network.config.in_channels": [0, -1, 2, "1", None],
    "slicing": [None, [], {}, "axial"],
    "slicing.plane": ["diagonal", 3, None],
    "slicing.neighbours": [0, 2, -1, "1", None, 1.5],
    "slicing.size": [-16, "16", None, 10**9, 16.5],
    "slicing.multiple": [0, -4, "4", None],
    "modalities": [[], ["ct scan"], "CT", None, ["CT", "CT"], [3]],
    "domains": ["CT", None, [1], ["a", "a"]],
    "channels": [0, -1, 17, "1", 1.0, True, None, 10**400],
    "channel_names": [[], ["a", "b"], "image", None, [1]],
    "spacing_range": [3, [], {}, {"in_plane_mm": [1, 2]}],
    "intensity": [None, [], {"unit": "HU"}, {"unit": 5, "range": None}],
    "intensity.range": [[1], [2, 1], ["a", "b"], 5, [-1e400, 5], [0, 10**400]],
    "postprocessing": [None, [], {}],
    "postprocessing.fill_holes": [0, 1, "yes", None],
    "postprocessing.minimum_volume_ml": [-1, "1", None, 1e400, 10**400, True],
    "postprocessing.crf": [3, [], {"a": "b"}, {"a": 10**400}],
    "test_time_augmentation": ["left_right", None, ["upside_down"], [1]],
    "training": [None, [], {}],
    "training.seed": [-1, "0", 1.5, None, True],
    "training.date": ["today", "2025-13-01", "2025-02-30", 20250101, None],
    "training.split_sha256": ["abc", 3],
    "metrics": [None, {}, [3], [{}]],
    "default_for": ["CT", None, ["MR"], [1]],
    "weights_licence": ["", None, 3],
    "intended_use": ["", None, 3],
    "files": [None, [], {"../../x": {"sha256": "0" * 64, "bytes": 1}}, {MODEL: 3}],
    "task": ["", "segmentations", 3],
}


ALL_WRONG = [(path, value) for path, values in WRONG.items() for value in values]


def put(card: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for name in parents:
        card = card[name]
    card[last] = value


@mutation(len(ALL_WRONG))
def card_field_that_is_wrong(case: Case) -> tuple[Path, str]:
    card = json.loads(case.finished()[CARD])
    path, value = ALL_WRONG[case.seed]
    if path == "task":
        card["schema"] = "1.1"
    put(card, path, value)
    case.set_card(card)
    case.described = False
    return case.either(), "invalid_card label_mismatch" if path == "network.config.classes" else "invalid_card"


@mutation()
def card_field_unknown_or_missing(case: Case) -> tuple[Path, str]:
    card = json.loads(case.finished()[CARD])
    place = case.pick([card, card["training"], card["network"], card["intensity"], card["files"][MODEL]])
    if case.random.integers(2):
        place[case.pick(["titel", "__class__", "note", "", "\u0000"])] = case.pick([1, None, "x", {}])
    else:
        del place[case.pick(sorted(place))]
    case.set_card(card)
    case.described = False
    return case.either(), "invalid_card"


@mutation()
def card_with_a_name_twice(case: Case) -> tuple[Path, str]:
    text = case.finished()[CARD].decode()
    place = text.index(case.pick(['"title"', '"sha256"', '"plane"', '"seed"']))
    end = min(position for sign in ",}" if (position := text.find(sign, place)) > 0)
    case.files[CARD] = f"{text[:place]}{text[place:end]}, {text[place:]}".encode()
    case.described = False
    return case.either(), "invalid_card"


@mutation(15)
def card_that_is_no_card(case: Case) -> tuple[Path, str]:
    depth = 100_000
    texts = [
        b"",
        b"null",
        b"[]",
        b'"card"',
        b"{" * depth,
        b"[" * depth + b"]" * depth,
        b'{"a":' * depth + b"1" + b"}" * depth,
        b'{"schema": NaN}',
        b'{"schema": 1, "x": Infinity}',
        b'{"schema": ' + b"9" * 5000 + b"}",
        b"\xff\xfe" + "{}".encode("utf-16-le"),
        case.files[CARD][: len(case.files[CARD]) // 2],
        case.files[CARD].replace(b'"', b"'"),
        case.random.bytes(2000),
    ]
    case.described = False
    case.files[CARD] = case.pick(texts)
    return case.either(), "invalid_card"


@mutation()
def card_of_another_schema(case: Case) -> tuple[Path, str]:
    card = json.loads(case.finished()[CARD])
    card["schema"], code = case.pick(
        [(2, "unsupported_schema"), ("9.9", "unsupported_schema"), (0, "unsupported_schema"), (-1, "invalid_card")]
        + [(value, "invalid_card") for value in (1.0, True, None, "one", [1], 10**9)]
    )
    case.set_card(card)
    case.described = False
    return case.either(), code


@mutation()
def network_nobody_knows(case: Case) -> tuple[Path, str]:
    card = case.card
    card["network"]["name"] = case.pick(
        ["transformer9000", "pix2pix_modern ", "os.system", "../pix2pix", "Pix2pix_modern"]
    )
    case.set_card(card)
    return case.either(), "unknown_network"


@mutation()
def network_that_would_fill_the_memory(case: Case) -> tuple[Path, str]:
    card = case.card
    card["network"]["config"]["channels"] = case.pick(
        [[10**6, 10**6], [10**9, 10**9], [4] * 1000, [10**30, 4], [2**62, 2**62]]
    )
    case.set_card(card)
    return case.either(), "invalid_card invalid_weights"


@pytest.mark.parametrize("name", mutation)
def test_a_changed_package_behaves_as_declared(tmp_path: Path, name: str) -> None:
    assert mutation.problems(name, tmp_path) == []


def test_there_are_enough() -> None:
    assert len(mutation) >= 9
    assert sum(mutation.seeds.values()) >= 200
