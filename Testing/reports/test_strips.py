"""Every value is a dot where it belongs, and what sums a group up is what it was given."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from GANSegmentationLib.reports import Strip, strip_plot_svg

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def dots(root: ElementTree.Element) -> list[tuple[float, float]]:
    return [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in root.iter(f"{SVG}circle")]


def words(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_every_value_is_a_dot_over_its_group() -> None:
    root = parsed(strip_plot_svg([Strip("one", [0.5, 0.9]), Strip("two", [0.7])], title="T", y_label="Dice"))
    (x1, y1), (x2, y2), (x3, y3) = dots(root)
    assert y2 < y3 < y1, "higher values stand higher"
    assert x1 == x2 < x3
    assert {"one", "two", "n = 2", "n = 1", "T", "Dice"} <= set(words(root))


def test_dots_lie_where_the_ticks_say() -> None:
    root = parsed(strip_plot_svg([Strip("a", [0.25, 0.5, 0.75])]))
    ticks = {
        text.text: float(text.get("y", "nan")) - 4
        for text in root.iter(f"{SVG}text")
        if text.get("text-anchor") == "end"
    }
    height = {value: y for value, (_, y) in zip((0.25, 0.5, 0.75), dots(root), strict=True)}
    low, high = ticks["0.3"], ticks["0.7"]
    assert height[0.5] == pytest.approx((low + high) / 2, abs=0.1)
    assert (height[0.25] - height[0.75]) / (low - high) == pytest.approx(0.5 / 0.4, abs=0.01)


def test_equal_values_stand_side_by_side_and_always_in_the_same_places() -> None:
    strips = [Strip("a", [0.8] * 7)]
    found = dots(parsed(strip_plot_svg(strips)))
    assert len({x for x, _ in found}) == 7
    assert min(abs(a[0] - b[0]) for i, a in enumerate(found) for b in found[:i]) >= 6.9
    assert strip_plot_svg(strips) == strip_plot_svg(strips)


def test_whom_a_dot_is_of_is_said_and_escaped() -> None:
    root = parsed(strip_plot_svg([Strip("<&>", [0.5], names=["<b>p1</b>"])], title="<t>", y_label='"&'))
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert "<b>p1</b>: 0.5000" in titles and "<&>" in titles


def test_mean_and_interval_are_drawn_as_given() -> None:
    with_interval = strip_plot_svg([Strip("a", [0.5, 0.7], mean=0.6, interval=(0.5, 0.7))])
    assert "mean 0.6000, 95 % interval 0.5000 to 0.7000" in with_interval
    without = strip_plot_svg([Strip("a", [0.5, 0.7], mean=0.6, interval=(math.nan, math.nan))])
    assert "mean 0.6000<" in without
    (way,) = re.findall(r'class="line stem s0" d="([^"]+)"', with_interval)
    root = parsed(strip_plot_svg([Strip("a", [0.5, 0.7], mean=0.6, interval=(0.5, 0.7))]))
    (_, low), (_, high) = dots(root)
    assert way.endswith(f"V{high:g}") and f" {low:g}V" in way


def test_a_box_needs_five() -> None:
    assert 'class="line box' not in strip_plot_svg([Strip("a", [0.1, 0.2, 0.3, 0.4])])
    root = parsed(strip_plot_svg([Strip("a", [0.1, 0.2, 0.3, 0.4, 0.5])]))
    (box,) = [path.get("d", "") for path in root.iter(f"{SVG}path") if "box" in path.get("class", "")]
    heights = [y for _, y in dots(root)]
    assert f" {heights[1]:g}H" in box and f"V{heights[3]:g}H" in box, "from the lower to the upper quartile"
    assert f" {heights[2]:g}H" in box, "and the median"


def test_what_is_not_finite_is_counted_and_not_drawn() -> None:
    root = parsed(strip_plot_svg([Strip("a", [1.0, math.inf, math.nan, 2.0])]))
    assert len(dots(root)) == 2 and "n = 2, 2 not shown" in words(root)


def test_the_line_of_no_difference_stays_in_sight() -> None:
    root = parsed(strip_plot_svg([Strip("a", [0.02, 0.03])], zero=True))
    ticks = {text.text for text in root.iter(f"{SVG}text") if text.get("text-anchor") == "end"}
    assert "0" in ticks
    assert "0" not in {text.text for text in parsed(strip_plot_svg([Strip("a", [0.92, 0.93])])).iter(f"{SVG}text")}


def test_nothing_to_show_is_said() -> None:
    assert "no data" in words(parsed(strip_plot_svg([])))
    assert words(parsed(strip_plot_svg([Strip("a", [])])))[-1] == "n = 0"


def test_names_of_others_are_refused() -> None:
    with pytest.raises(ValueError, match="2 values and 1 names"):
        strip_plot_svg([Strip("a", [1.0, 2.0], names=["x"])])


def test_long_names_are_cut_to_their_place() -> None:
    strips = [Strip("x" * 200, [1.0], below="y" * 200) for _ in range(3)]
    assert max(len(each) for each in words(parsed(strip_plot_svg(strips)))) < 50
