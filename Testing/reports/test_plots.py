"""Plots are well-formed SVG that shows the data it was given."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from GANSegmentationLib.reports import line_plot_svg
from GANSegmentationLib.reports.ticks import linear_ticks, log_ticks, tick_words

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def lines(root: ElementTree.Element) -> list[list[tuple[float, float]]]:
    """The points of every drawn line, the legend's samples left out."""
    ways = [path.get("d", "") for path in root.iter(f"{SVG}path") if "line" in path.get("class", "")]
    return [
        [(float(x), float(y)) for x, y in re.findall(r"([\d.-]+) ([\d.-]+)", way)] for way in ways if "h22" not in way
    ]


def words(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_every_series_is_a_line_with_its_name() -> None:
    root = parsed(line_plot_svg({"a": ([1, 2, 3], [1, 2, 4]), "b": ([1, 2, 3], [3, 2, 1])}, title="T", x_label="epoch"))
    assert len(lines(root)) == 2
    assert {"a", "b", "T", "epoch"} <= set(words(root))


def test_points_lie_where_the_ticks_say() -> None:
    root = parsed(line_plot_svg({"a": ([0, 5, 10], [0.0, 0.5, 1.0])}))
    (points,) = lines(root)
    # SVG's ordinate runs down.
    assert points[0][1] > points[1][1] > points[2][1]
    assert points[1][0] - points[0][0] == pytest.approx(points[2][0] - points[1][0], abs=0.02)
    labels = {text.text: float(text.get("y", "nan")) - 4 for text in root.iter(f"{SVG}text") if text.get("text-anchor")}
    assert labels["1"] == pytest.approx(points[2][1], abs=0.02)


def test_a_logarithmic_axis_has_equal_steps_for_equal_ratios() -> None:
    root = parsed(line_plot_svg({"a": ([1, 2, 3], [0.01, 0.1, 1.0])}, log_y=True))
    (points,) = lines(root)
    assert points[0][1] - points[1][1] == pytest.approx(points[1][1] - points[2][1], abs=0.05)
    assert {"0.01", "0.1", "1"} <= set(words(root))


@pytest.mark.parametrize("gap", [math.nan, math.inf])
def test_what_is_not_finite_is_a_gap(gap: float) -> None:
    root = parsed(line_plot_svg({"a": ([1, 2, 3, 4, 5], [1, 2, gap, 2, 1])}))
    assert [len(points) for points in lines(root)] == [2, 2]


def test_what_is_not_positive_is_a_gap_on_a_logarithmic_axis() -> None:
    root = parsed(line_plot_svg({"a": ([1, 2, 3, 4, 5], [1, 2, 0, 2, -1])}, log_y=True))
    assert [len(points) for points in lines(root)] == [2]
    assert len(list(root.iter(f"{SVG}circle"))) == 3


@pytest.mark.parametrize("log_y", [False, True])
@pytest.mark.parametrize("ys", [[], [math.nan], [0.0], [5.0], [-3.0]])
def test_little_or_no_data_is_drawn_all_the_same(ys: list[float], log_y: bool) -> None:
    root = parsed(line_plot_svg({"a": (list(range(len(ys))), ys)}, log_y=log_y))
    drawn = [y for y in ys if math.isfinite(y)]
    assert len(list(root.iter(f"{SVG}circle"))) == len(drawn)
    assert ("no data" in words(root)) == (not drawn)
    assert "nan" not in ElementTree.tostring(root, encoding="unicode")


def test_no_series_at_all() -> None:
    assert "no data" in words(parsed(line_plot_svg({})))


def test_names_are_escaped_and_long_ones_cut() -> None:
    name = '<script>alert("x")</script> & more'
    svg = line_plot_svg({name: ([1, 2], [1, 2]), "y" * 200: ([1, 2], [2, 1])}, title=name, y_label='"quoted" & <b>')
    root = parsed(svg)
    assert "<script" not in svg
    assert root.get("aria-label") == name
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert "y" * 200 in titles
    assert max(len(text) for text in words(root)) < 60


def test_many_series_differ_and_the_legend_fits() -> None:
    root = parsed(line_plot_svg({f"s{i}": ([0, 1], [i, i + 1]) for i in range(24)}, height=200))
    looks = {
        (path.get("class"), path.get("stroke-dasharray"))
        for path in root.iter(f"{SVG}path")
        if "line" in path.get("class", "")
    }
    assert len(looks) == 24
    height = float(root.get("height", "0"))
    assert all(float(text.get("y", "0")) < height for text in root.iter(f"{SVG}text"))


def test_a_legend_below_leaves_the_lines_their_width_and_fits() -> None:
    series = {f"generator/term number {i}": ([0, 1], [i, i + 1]) for i in range(7)}
    beside, below = (parsed(line_plot_svg(series, width=420, legend=where)) for where in ("right", "below"))  # type: ignore[arg-type]
    assert max(x for x, _ in lines(below)[0]) > max(x for x, _ in lines(beside)[0]) + 100
    assert {*series} <= {*words(below)}, "no name is cut"
    height, width = (float(below.get(side, "0")) for side in ("height", "width"))
    for text in below.iter(f"{SVG}text"):
        assert float(text.get("y", "0")) < height
        assert text.get("text-anchor") or float(text.get("x", "0")) + 6.7 * len(text.text or "") < width


def test_it_follows_light_and_dark_pages_without_loading_anything() -> None:
    svg = line_plot_svg({"a": ([1, 2], [1, 2])})
    assert "prefers-color-scheme:dark" in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert "url(" not in svg


def test_the_same_data_give_the_same_text() -> None:
    series = {"a": ([1, 2, 3], [0.1, 0.2, 0.35])}
    assert line_plot_svg(series) == line_plot_svg(dict(series))


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="'a' has 2 abscissae and 3"):
        line_plot_svg({"a": ([1, 2], [1, 2, 3])})


def test_linear_ticks_are_round() -> None:
    assert linear_ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert linear_ticks(-0.3, 0.31, 4) == pytest.approx([-0.2, 0.0, 0.2])
    assert linear_ticks(1, 3, 8, whole=True) == [1, 2, 3]
    assert linear_ticks(1, 40, 8, whole=True) == [5, 10, 15, 20, 25, 30, 35, 40]
    assert linear_ticks(2, 2, 5) == [2]
    assert all(tick.is_integer() for tick in linear_ticks(1, 19, 8, whole=True))


def test_log_ticks_are_powers_of_ten() -> None:
    assert log_ticks(0.02, 300, 8) == pytest.approx([0.1, 1, 10, 100])
    assert log_ticks(0.3, 4, 8) == pytest.approx([0.5, 1, 2])
    assert log_ticks(0.06, 2.7, 8) == pytest.approx([0.1, 0.2, 0.5, 1, 2]), "two decades with an end in a third"
    assert log_ticks(19, 23, 8) == pytest.approx([19, 20, 21, 22, 23]), "one tick alone says no scale"
    assert log_ticks(1e-12, 1e12, 8) == pytest.approx([1e-12, 1e-9, 1e-6, 1e-3, 1, 1e3, 1e6, 1e9, 1e12])


def test_tick_words_are_short() -> None:
    assert [tick_words(value) for value in (0.30000000000000004, 1500.0, 2e-5, 1e12)] == ["0.3", "1500", "2e-5", "1e12"]
