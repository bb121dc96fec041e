"""A page holds everything itself, and nothing that somebody else wrote becomes a part of it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.reports import Strip, image_grid
from GANSegmentationLib.reports.page import (
    Markup,
    details,
    figures,
    heading,
    items,
    line_plot,
    page,
    paragraph,
    picture,
    section,
    side_by_side,
    strip_plot,
    table,
    write_page,
)

EVIL = '<script>alert("1")</script> & \'"'
VOID: set[str] = set()  # whatever has no end closes itself here


class Reader(HTMLParser):
    """Collects tags and text, and sees that what is opened is closed."""

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(document)
        assert not self._open, self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def png() -> bytes:
    return image_grid([[np.zeros((8, 8), np.uint8)]])


def test_whatever_is_written_stays_text(png: bytes) -> None:
    parts = [
        EVIL,
        paragraph(EVIL, EVIL, lead=EVIL),
        items([EVIL, EVIL]),
        section(EVIL, EVIL, heading(EVIL)),
        figures({EVIL: EVIL}),
        table([EVIL, EVIL], [[EVIL, EVIL]]),
        picture(png, EVIL),
        details(EVIL, EVIL),
    ]
    document = page(EVIL, parts, subtitle=EVIL)
    reader = Reader(document)
    assert "script" not in {tag for tag, _ in reader.tags}
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    assert reader.words.count(EVIL) == 19


def test_nothing_comes_from_elsewhere_and_nothing_runs(png: bytes) -> None:
    document = page("t", [picture(png, "c"), table(["a"], [[1.0]])])
    reader = Reader(document)
    for tag, attributes in reader.tags:
        for name in ("src", "href", "action", "data"):
            assert (attributes.get(name) or "data:image/png;base64,").startswith("data:image/png;base64,"), tag
    assert not re.search(r"@import|url\(|https?:", document)
    policy = next(a["content"] for t, a in reader.tags if t == "meta" and a.get("http-equiv"))
    assert policy is not None and "default-src 'none'" in policy and "script" not in policy


def test_markup_is_taken_as_it_is() -> None:
    assert "<b>bold</b>" in page("t", [section("s", Markup("<b>bold</b>"))])
    assert "&lt;b&gt;" in page("t", [section("s", "<b>bold</b>")])
    assert section("empty") == section("empty", "", Markup("")) == side_by_side(Markup("")) == ""


def test_numbers_stand_right_and_what_is_none_is_a_dash() -> None:
    text = table(["name", "a", "b"], [["x", 0.12345, np.float64(2)], ["y", float("nan"), None], ["z", np.inf, 7]])
    cells = re.findall(r"<td(.*?)>(.*?)</td>", text)
    assert [words for _, words in cells] == ["x", "0.123", "2.000", "y", "–", "–", "z", "∞", "7"]
    assert [bool(side) for side, _ in cells] == [False, True, True] * 3
    sides = re.findall(r"<td(.*?)>", table(["a", "b", "c"], [[1, 2, 3]], words=(0, 2), digits=1))
    assert [bool(side) for side in sides] == [False, True, False]


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        table(["a", "b"], [[1]])


def test_only_png_pictures_are_put_in() -> None:
    with pytest.raises(ValueError, match="PNG"):
        picture(b"<svg onload=alert(1)/>", "x")


def test_a_page_is_written_whole(tmp_path: Path) -> None:
    path = write_page(tmp_path / "p.html", page("Ä", ["ö"]))
    assert path.read_bytes().decode("utf-8").startswith("<!DOCTYPE html>") and list(tmp_path.iterdir()) == [path]


def test_a_wide_and_a_narrow_page_have_a_drawing_each_of_one_plot() -> None:
    for drawing in (
        line_plot({EVIL: ([1, 2], [0.5, 0.6])}, title="Dice", x_label="epoch"),
        strip_plot([Strip(EVIL, [0.5, 0.6])], title="Dice"),
    ):
        document = page("t", [drawing])
        assert "<script" not in document and document.count("<svg") == 2
        assert re.findall(r'class="(broad|narrow)"><svg[^>]* width="(\d+)"', document) == [
            ("broad", "900"), ("narrow", "420")
        ]  # fmt: skip
        assert re.search(r"@media\(max-width:640px\)\{\.broad\{display:none\}", document)
