"""Packages that are packed otherwise, cut short, bent or made to do harm: the same masks, or which error."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest

from Testing.models.package_mutations import CARD, LABELS, MODEL, PREVIEW, UNCHANGED_OR_REFUSED, Case, Mutations

pytestmark = pytest.mark.timeout(60)

mutation = Mutations()


@mutation()
def folder_or_zip(case: Case) -> tuple[Path, str]:
    return case.either(), "unchanged"


@mutation()
def other_compression_and_order(case: Case) -> tuple[Path, str]:
    names = list(case.finished())
    case.files = {names[index]: case.files[names[index]] for index in case.random.permutation(len(names))}
    return case.zip(compression=zipfile.ZIP_DEFLATED), "unchanged"


@mutation()
def other_name_of_the_package(case: Case) -> tuple[Path, str]:
    made = case.either()
    name = case.pick(["Leber – CT.ganseg", "肝.ganseg", "no ending", "a.b.c.zip", "-rf.ganseg"])
    return made.rename(made.with_name(name)), "unchanged"


@mutation()
def what_desktops_leave(case: Case) -> tuple[Path, str]:
    made = case.folder()
    (made / case.pick([".DS_Store", "Thumbs.db", "desktop.ini"])).write_bytes(case.random.bytes(50))
    return made, "unchanged"


@mutation()
def zip_cut_short(case: Case) -> tuple[Path, str]:
    made = case.zip()
    whole = made.read_bytes()
    made.write_bytes(whole[: int(case.random.integers(4, len(whole)))])
    return made, "package_damaged"


@mutation()
def zip_with_a_flipped_number(case: Case) -> tuple[Path, str]:
    made = case.zip()
    whole = bytearray(made.read_bytes())
    numbers = whole.index(case.files[MODEL][-64:])
    whole[numbers + int(case.random.integers(64))] ^= 1 << int(case.random.integers(8))
    made.write_bytes(whole)
    return made, "package_damaged"


@mutation(30)
def zip_with_any_flipped_bit(case: Case) -> tuple[Path, str]:
    made = case.zip()
    whole = bytearray(made.read_bytes())
    whole[int(case.random.integers(len(whole)))] ^= 1 << int(case.random.integers(8))
    made.write_bytes(whole)
    return made, UNCHANGED_OR_REFUSED  # dates and rights of files mean nothing


@mutation()
def file_with_a_flipped_bit(case: Case) -> tuple[Path, str]:
    made = case.folder()
    file = made / case.pick([MODEL, LABELS, PREVIEW])
    data = bytearray(file.read_bytes())
    data[int(case.random.integers(len(data)))] ^= 1 << int(case.random.integers(8))
    file.write_bytes(data)
    return made, "package_tampered invalid_weights"  # what begins as a pickle is called so first


@mutation()
def file_of_another_length(case: Case) -> tuple[Path, str]:
    made = case.folder()
    file = made / case.pick([MODEL, LABELS, PREVIEW])
    data = file.read_bytes()
    cut = int(case.random.integers(1, 8))
    file.write_bytes(data[:-cut] if case.random.integers(2) else data + case.random.bytes(cut))
    return made, "package_tampered"


@mutation()
def without_a_file(case: Case) -> tuple[Path, str]:
    del case.finished()[case.pick([MODEL, LABELS, CARD, PREVIEW])]
    case.described = False
    return case.either(), "package_incomplete"


@mutation()
def with_another_file(case: Case) -> tuple[Path, str]:
    name = case.pick(
        ["evil.py", "model.pt", "Card.json", "MODEL.SAFETENSORS", "card.json ", "labels\u200b.csv", "__init__.py"]
    )
    case.files[name] = b"print('run me')"
    return case.either(), "package_unknown_file"


@mutation()
def with_a_file_the_card_does_not_name(case: Case) -> tuple[Path, str]:
    card = case.card
    del card["files"][PREVIEW]
    case.set_card(card)
    return case.either(), "package_unknown_file"


@mutation()
def zipped_with_its_folder(case: Case) -> tuple[Path, str]:
    case.files = {f"liver.ganseg/{name}": data for name, data in case.finished().items()}
    return case.zip(), "package_unknown_file"


@mutation()
def a_name_twice(case: Case) -> tuple[Path, str]:
    name = case.pick([CARD, LABELS, MODEL])
    return case.zip({name: case.files[name]}), "package_unknown_file"


@mutation()
def a_path_out_of_the_package(case: Case) -> tuple[Path, str]:
    outside = ["../card.json", "/etc/passwd", "a/../../b", "..\\x", "C:\\x", "\\\\server\\x", "c:x", "/"]
    return case.zip({case.pick(outside): b"x"}), "package_unsafe_path"


@mutation()
def a_link_in_the_zip(case: Case) -> tuple[Path, str]:
    info = zipfile.ZipInfo(case.pick([MODEL, LABELS, PREVIEW, "link"]))
    info.external_attr = 0o120777 << 16
    case.files.pop(info.filename, None)
    made = case.zip()
    with zipfile.ZipFile(made, "a") as archive:
        archive.writestr(info, "/etc/passwd")
    return made, "package_unsafe_path"


@mutation()
def a_link_in_the_folder(case: Case) -> tuple[Path, str]:
    made = case.folder()
    file = made / case.pick([MODEL, LABELS, PREVIEW, CARD])
    outside = file.rename(case.place / file.name)
    file.symlink_to(outside)
    return made, "package_unsafe_path"


@mutation()
def no_plain_file(case: Case) -> tuple[Path, str]:
    made = case.folder()
    file = made / case.pick([MODEL, LABELS, PREVIEW, CARD])
    file.unlink()
    if case.random.integers(2) and hasattr(os, "mkfifo"):
        os.mkfifo(file)  # opening it would wait for ever
    else:
        file.mkdir()
    return made, "package_unknown_file"


@mutation()
def an_encrypted_file(case: Case) -> tuple[Path, str]:
    made = case.zip()
    whole = bytearray(made.read_bytes())
    entry = whole.index(b"PK\x01\x02")
    for _ in range(int(case.random.integers(3))):
        entry = whole.index(b"PK\x01\x02", entry + 4)
    whole[entry + 8] |= 1
    made.write_bytes(whole)
    return made, "package_unreadable"


@mutation()
def an_unusual_compression(case: Case) -> tuple[Path, str]:
    return case.zip(compression=case.pick([zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])), "package_unreadable"


@mutation()
def a_bomb_of_nothing(case: Case) -> tuple[Path, str]:
    case.described = False
    case.files[case.pick([CARD, LABELS, PREVIEW])] = bytes(5 << 20)
    return case.zip(compression=zipfile.ZIP_DEFLATED), "package_too_large"


@mutation()
def an_announced_giant(case: Case) -> tuple[Path, str]:
    made = case.zip()
    whole = bytearray(made.read_bytes())
    entry = whole.index(b"PK\x01\x02")
    size = case.pick([(2 << 30) + 1, 3 << 30, 0xFFFFFFFE])
    whole[entry + 24 : entry + 28] = struct.pack("<I", size)
    made.write_bytes(whole)
    return made, "package_too_large"


@mutation()
def a_smaller_size_than_it_has(case: Case) -> tuple[Path, str]:
    made = case.zip(compression=zipfile.ZIP_DEFLATED)
    whole = bytearray(made.read_bytes())
    entry = whole.index(b"PK\x01\x02")
    size = struct.unpack("<I", whole[entry + 24 : entry + 28])[0]
    whole[entry + 24 : entry + 28] = struct.pack("<I", int(case.random.integers(1, size)))
    made.write_bytes(whole)
    return made, "package_damaged package_tampered invalid_card invalid_labels"


@mutation()
def something_else(case: Case) -> tuple[Path, str]:
    kinds = {
        "text": b"no package",
        "empty": b"",
        "pickle": pickle.dumps({"a": 1}),
        "noise": b"\x01" + case.random.bytes(900),
    }
    made = case.place / "made.ganseg"
    made.write_bytes(kinds[case.pick(sorted(kinds))])
    return made, "not_a_package"


@mutation()
def nothing_there(case: Case) -> tuple[Path, str]:
    if case.random.integers(2):
        return case.place / "nowhere.ganseg", "package_not_found"
    (case.place / "empty.ganseg").mkdir()
    return case.place / "empty.ganseg", "package_incomplete"


@pytest.mark.parametrize("name", mutation)
def test_a_changed_package_behaves_as_declared(tmp_path: Path, name: str) -> None:
    assert mutation.problems(name, tmp_path) == []


def test_there_are_enough() -> None:
    assert len(mutation) >= 24
    assert sum(mutation.seeds.values()) >= 130
