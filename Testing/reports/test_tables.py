"""Tables and documents on disk are whole, plain and readable by others."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.reports import json_ready, text_table, write_csv, write_json


@dataclass(frozen=True)
class Score:
    name: str
    dice: float


def test_json_has_null_for_what_is_no_number(tmp_path: Path) -> None:
    path = write_json({"a": float("nan"), "b": [float("inf"), -float("inf"), 1.5], "c": None}, tmp_path / "a.json")
    assert json.loads(path.read_text(encoding="utf-8")) == {"a": None, "b": [None, None, 1.5], "c": None}
    assert "NaN" not in path.read_text(encoding="utf-8")


def test_numpy_dataclasses_and_paths_become_plain() -> None:
    value = {
        "scalar": np.float32(0.5),
        "whole": np.int64(3),
        "flag": np.bool_(True),
        "array": np.array([[1.0, np.nan]]),
        "score": Score("Liver", float("nan")),
        "path": Path("a") / "b",
        "set": {3, 1},
        1: (1, 2),
    }
    assert json_ready(value) == {
        "scalar": 0.5,
        "whole": 3,
        "flag": True,
        "array": [[1.0, None]],
        "score": {"name": "Liver", "dice": None},
        "path": str(Path("a") / "b"),
        "set": [1, 3],
        "1": [1, 2],
    }


def test_what_has_no_place_in_json_is_refused_and_nothing_written(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="object"):
        write_json({"a": object()}, tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def test_csv_has_all_columns_in_order_of_appearance(tmp_path: Path) -> None:
    rows = [{"epoch": 1, "dice": 0.1 + 0.2}, {"epoch": 2, "hd95": float("inf"), "dice": float("nan")}]
    path = write_csv(rows, tmp_path / "log.csv")
    assert path.read_bytes() == b"epoch,dice,hd95\n1,0.30000000000000004,\n2,,inf\n"


def test_csv_keeps_words_with_commas_quotes_and_umlauts(tmp_path: Path) -> None:
    name = 'Leber, "groß"\nrechts'
    path = write_csv([{"name": name, "n": np.float64(np.nan)}], tmp_path / "a.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        assert list(csv.DictReader(stream)) == [{"name": name, "n": ""}]


def test_csv_has_no_text_that_a_spreadsheet_would_compute(tmp_path: Path) -> None:
    texts = [
        '=HYPERLINK("http://example.org")',
        "@sum(A1)",
        "+1+cmd|' /C calc'!A0",
        "-2+3",
        "\t=1",
        "- 3 mm",
        "-",
        "a=b",
    ]
    path = write_csv([{"case": text, "dice": -1.5, "text": "-1.5"} for text in texts], tmp_path / "a.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["case"] for row in rows] == [f"'{text}" for text in texts[:6]] + texts[6:]
    assert {(row["dice"], row["text"]) for row in rows} == {("-1.5", "-1.5")}


def test_csv_of_named_columns_only(tmp_path: Path) -> None:
    path = write_csv([{"a": 1, "b": 2}], tmp_path / "a.csv", columns=["b", "c"])
    assert path.read_text() == "b,c\n2,\n"


@pytest.mark.parametrize("write", [write_csv, write_json])
def test_a_failure_leaves_the_old_file(tmp_path: Path, write: object) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    class Bad:
        def __str__(self) -> str:
            raise RuntimeError("in the middle")

    with pytest.raises((RuntimeError, TypeError)):
        write([{"a": 1}, {"a": Bad()}], path)  # type: ignore[operator]
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_a_missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(GANSegmentationError) as caught:
        write_json({}, tmp_path / "none" / "a.json")
    assert caught.value.code == "folder_not_found"


def test_a_text_table_aligns_numbers_right_and_words_left() -> None:
    rows = [
        {"structure": "Liver", "Dice": 0.95123, "n": 3, "ok": True},
        {"structure": "Spleen", "Dice": float("nan"), "n": 10, "ok": None},
    ]
    assert text_table(rows).splitlines() == [
        "structure   Dice   n  ok",
        "---------  -----  --  ---",
        "Liver      0.951   3  yes",
        "Spleen         -  10  -",
    ]


def test_importing_the_room_loads_numpy_and_nothing_heavier() -> None:
    code = (
        "import sys, GANSegmentationLib.reports; "
        "print([name for name in ('torch', 'scipy', 'SimpleITK', 'PIL', 'pydicom') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
