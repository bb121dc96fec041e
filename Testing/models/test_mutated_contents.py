"""Packages with a changed table of labels or preview: the same masks, or which error."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.reports import image_grid
from Testing.models.package_mutations import LABELS, PREVIEW, Case, Mutations

pytestmark = pytest.mark.timeout(60)

mutation = Mutations()


@mutation()
def labels_written_otherwise(case: Case) -> tuple[Path, str]:
    head, *rows = case.files[LABELS].decode().splitlines()
    count = head.count(",") + 1
    background = "0,Background,0,0,0,0" + "," * (count - 6)
    rows = case.pick([rows, [background, *rows], [*rows, background], [*rows, "," * (count - 1)], [*rows, ""]])
    end = case.pick(["\n", "\r\n"])
    case.files[LABELS] = case.pick([b"", b"\xef\xbb\xbf"]) + (end.join([head, *rows]) + case.pick(["", end])).encode()
    return case.either(), "unchanged"


@mutation()
def labels_with_other_columns(case: Case) -> tuple[Path, str]:
    table = [line.split(",") for line in case.files[LABELS].decode().splitlines()]
    order = case.random.permutation(len(table[0]))
    lines = [[row[index] for index in order] for row in table]
    lines = [[*row, "Comment" if number == 0 else "x"] for number, row in enumerate(lines)]
    case.files[LABELS] = "\n".join(", ".join(row) for row in lines).encode()
    return case.either(), "unchanged"


@mutation(25)
def labels_that_are_wrong(case: Case) -> tuple[Path, str]:
    head, row = case.files[LABELS].decode().splitlines()[:2]
    rest = row.split(",", 5)[5]
    texts = [
        "",
        head,
        f"{head}\n{row}\n{row}",
        f"{head}\n{row}\n2,Liver,1,2,3,{rest}",
        f"{head}\n1,,1,2,3,{rest}",
        f"{head}\n1,Liver,,,,{rest}",
        f"{head}\n1,Liver,256,0,0,{rest}",
        f"{head}\n1,Liver,-1,0,0,{rest}",
        f"{head}\n1,Liver,red,0,0,{rest}",
        f"{head}\n1.0,Liver,1,2,3,{rest}",
        f"{head}\n-1,Liver,1,2,3,{rest}",
        f"{head}\n65536,Liver,1,2,3,{rest}",
        f"{head}\n{'9' * 5000},Liver,1,2,3,{rest}",
        f"{head}\n²,Liver,1,2,3,{rest}",
        f"{head}\nLiver",
        f"{head}\n1",
        row,
        head.replace("Color_R", "Rot") + "\n" + row,
        head.replace(",", ";") + "\n" + row.replace(",", ";"),
        f"{head}\n{row.replace('Liver', 'L' * 200_000, 1)}",
        f'{head}\n1,"Liver,1,2,3',
        f"{head}\n0,Background,0,0,0,0",
        "\0" * 100,
        f"{head}\n{row}\0",
    ]
    case.files[LABELS] = case.pick(texts).encode()
    return case.either(), "invalid_labels"


@mutation()
def labels_that_are_no_text(case: Case) -> tuple[Path, str]:
    text = case.files[LABELS].decode()
    case.files[LABELS] = case.pick(
        [text.encode("utf-16"), b"\xff" + text.encode(), text.replace("Liver", "Läber").encode("latin-1")]
    )
    return case.either(), "invalid_labels"


@mutation()
def labels_of_another_model(case: Case) -> tuple[Path, str]:
    head, row = case.files[LABELS].decode().splitlines()[:2]
    second = row.replace("1,Liver", "2,Spleen", 1)
    case.files[LABELS] = case.pick([f"{head}\n{row}\n{second}", f"{head}\n{second}"]).encode()
    return case.either(), "label_mismatch"


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [b"\x89PNG\r\n\x1a\n"]
    for kind, data in chunks:
        parts.append(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
    return b"".join(parts)


@mutation()
def another_preview(case: Case) -> tuple[Path, str]:
    pixels = case.random.integers(0, 255, (int(case.random.integers(1, 60)), 20)).astype(np.uint8)
    case.files[PREVIEW] = image_grid([[pixels]])
    return case.either(), "unchanged"


@mutation()
def preview_that_is_none(case: Case) -> tuple[Path, str]:
    whole = case.files[PREVIEW]
    pictures = [
        b"",
        b"\x89PNG",
        b"GIF89a" + whole,
        b"\xff\xd8\xff\xe0" + whole,
        b"<svg onload='run()'/>",
        whole[:8],
        whole[: len(whole) // 2],
        whole[:-12],
        png((b"IEND", b"")),
        png((b"IHDR", b"\0" * 4), (b"IEND", b"")),
    ]
    case.files[PREVIEW] = case.pick(pictures)
    return case.either(), "invalid_preview"


@mutation()
def preview_with_a_flipped_bit(case: Case) -> tuple[Path, str]:
    whole = bytearray(case.files[PREVIEW])
    whole[int(case.random.integers(len(whole)))] ^= 1 << int(case.random.integers(8))
    case.files[PREVIEW] = bytes(whole)
    return case.either(), "invalid_preview"


@mutation()
def preview_that_is_a_bomb(case: Case) -> tuple[Path, str]:
    width, height = case.pick([(60_000, 60_000), (2**31 - 1, 1), (0, 5), (1, 100_000), (2**32 - 1, 2**32 - 1)])
    header = struct.pack(">II5B", width, height, 8, 0, 0, 0, 0)
    case.files[PREVIEW] = png((b"IHDR", header), (b"IDAT", zlib.compress(bytes(1 << 20))), (b"IEND", b""))
    return case.either(), "invalid_preview"


@pytest.mark.parametrize("name", mutation)
def test_a_changed_package_behaves_as_declared(tmp_path: Path, name: str) -> None:
    assert mutation.problems(name, tmp_path) == []


def test_there_are_enough() -> None:
    assert len(mutation) >= 9
    assert sum(mutation.seeds.values()) >= 55
