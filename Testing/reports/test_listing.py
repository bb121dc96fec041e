"""Tables to sort and histograms: numbers carry what sorts them, and every value is in one bin."""

from __future__ import annotations

import re

import numpy as np
import pytest

from GANSegmentationLib.reports.histograms import histogram_svg
from GANSegmentationLib.reports.listing import Column, Row, listing
from GANSegmentationLib.reports.page import page_pieces
from Testing.reports.test_page import EVIL, Reader

COLUMNS = (Column("case"), Column("ml", 1))


def test_numbers_carry_what_sorts_them_and_missing_ones_nothing() -> None:
    text = listing(COLUMNS, [Row("c1", ["a", 1234.56]), Row("c2", ["b", None]), Row("c3", ["c", float("inf")])], {})
    assert re.findall(r'class="number"( data-v="[^"]*")?>([^<]*)</td>', text) == [
        (' data-v="1234.56"', "1234.6"), ("", "–"), ("", "–")
    ]  # fmt: skip
    assert '<a href="#c1">a</a>' in text


def test_words_stay_text_and_rows_fit_the_columns() -> None:
    rows = [Row(EVIL, [EVIL, 1.0], [EVIL])]
    reader = Reader(
        "".join(page_pieces("t", [listing((Column(EVIL), Column(EVIL, 0)), rows, {EVIL: EVIL}, what=EVIL)]))
    )
    assert "script" not in {tag for tag, _ in reader.tags}
    with pytest.raises(ValueError, match="zip"):
        listing(COLUMNS, [Row("c", ["a"])], {})


def test_a_page_runs_its_own_script_only() -> None:
    document = "".join(page_pieces("t", ["x"], script="let a = 1;", style="p{}"))
    assert "script-src 'sha256-" in document and "<script>let a = 1;</script>" in document


@pytest.mark.parametrize("values", [[5.0], [0.1] * 70, list(np.linspace(0, 1, 90)), [1e-3, 1e6], [-3.0, 4.0]])
def test_every_value_lies_in_one_bin(values: list[float]) -> None:
    drawing = histogram_svg([*values, float("nan")], title=EVIL, mean=float(np.mean(values)), interval=(-9.0, 1e9))
    counts = [int(count) for count in re.findall(r"to [^:<]*: (\d+)</title>", drawing)]
    assert sum(counts) == len(values)
    assert f"n = {len(values)}, 1 not shown" in drawing and "<script" not in drawing
    places = [float(x) for x in re.findall(r'<rect class="bar[^>]* x="([\d.-]+)"', drawing)]
    assert all(40 <= x <= 420 for x in places)


def test_no_values_are_said() -> None:
    assert "no data" in histogram_svg([float("nan")], title="t")
