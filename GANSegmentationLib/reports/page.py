"""Pages that hold everything themselves: no script, no picture, font or style from elsewhere, every text escaped.

`Markup` is text that is HTML already; any other text is escaped where it is put in. So nothing that a file, a folder or
a model's card says can become a part of the page.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import numpy as np

from ..volumes.atomic import written_beside
from .plots import Points, line_plot_svg
from .strips import Strip, strip_plot_svg

NARROW: Final = 420
"""Width of plots that stand two in a row, or alone on a telephone."""

PNG_START: Final = b"\x89PNG\r\n\x1a\n"


class Markup(str):
    """Text that is HTML: made by this file's functions, or an SVG of this room."""

    __slots__ = ()


def page(title: str, parts: Iterable[str], *, subtitle: str = "") -> str:
    """A whole HTML document; `parts` that are no `Markup` become paragraphs."""
    return "".join(page_pieces(title, parts, subtitle=subtitle))


def page_pieces(
    title: str, parts: Iterable[str], *, subtitle: str = "", style: str = "", script: str = ""
) -> Iterator[str]:
    """`page` piece by piece, so that a document with thousands of pictures need not be in memory at once.

    Parameters
    ----------
    style:
        Rules in addition to `STYLE`.
    script:
        The page's own script, the only one that a browser will run; the page has to be of use without it. It must not
        hold ``</script``.
    """
    below = f'<p class="soft">{escape(subtitle)}</p>' if subtitle else ""
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"{_POLICY}; script-src 'sha256-{checksum}'" if script else _POLICY
    yield (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"/>'
        # Whatever slips in: nothing is fetched and nothing else runs.
        f'<meta http-equiv="Content-Security-Policy" content="{policy}"/>'
        f"<style>{STYLE}{style}</style></head><body><main><h1>{escape(title)}</h1>{below}"
    )
    for part in parts:
        yield part if isinstance(part, Markup) else paragraph(part)
    yield f"</main>{f'<script>{script}</script>' if script else ''}</body></html>\n"


def write_page(path: Path, document: str | Iterable[str]) -> Path:
    """Write a page, in one piece or in several, whole or not at all.

    Raises
    ------
    GANSegmentationError
        ``folder_not_found``, ``write_failed``.
    """
    path = Path(path)
    with written_beside(path) as folder, (folder / path.name).open("w", encoding="utf-8", newline="\n") as file:
        file.writelines([document] if isinstance(document, str) else document)
    return path


def section(title: str, *parts: str) -> Markup:
    """A part of a page under a heading; nothing at all where all its parts are empty."""
    content = "".join(part if isinstance(part, Markup) else paragraph(part) for part in parts if part)
    return Markup(f"<section><h2>{escape(title)}</h2>{content}</section>" if content else "")


def heading(title: str) -> Markup:
    """A heading within a section."""
    return Markup(f"<h3>{escape(title)}</h3>")


def paragraph(text: str, kind: str = "", *, lead: str = "") -> Markup:
    """A paragraph, `lead` in bold before it; of the kind ``"warning"``, ``"fine"`` or ``"soft"`` it looks so."""
    words = f"<b>{escape(lead)}</b> {escape(text)}" if lead else escape(text)
    return Markup(f'<p class="{escape(kind)}">{words}</p>' if kind else f"<p>{words}</p>")


def items(texts: Iterable[str]) -> Markup:
    """A list of short texts, each behind a bullet."""
    return Markup(f"<ul>{''.join(f'<li>{escape(text)}</li>' for text in texts)}</ul>")


def side_by_side(*parts: Markup) -> Markup:
    """Parts of one size, two in a row where there is room; nothing at all where all are empty."""
    content = "".join(parts)
    return Markup(f'<div class="pair">{content}</div>' if content else "")


def figures(facts: Mapping[str, str]) -> Markup:
    """A few figures in large type, each over its name."""
    cells = "".join(f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for name, value in facts.items())
    return Markup(f'<div class="cells">{cells}</div>')


def table(
    columns: Sequence[str], rows: Sequence[Sequence[object]], *, words: Collection[int] = (0,), digits: int = 3
) -> Markup:
    """A table; numbers flush right with `digits` decimals, NaN and None as a dash; flush left the columns of `words`,
    counted from 0."""
    sides = ["" if column in words else ' class="number"' for column in range(len(columns))]
    head = "".join(f"<th{side}>{escape(name)}</th>" for side, name in zip(sides, columns, strict=True))
    lines = []
    for row in rows:
        cells = (f"<td{side}>{_cell(value, digits)}</td>" for side, value in zip(sides, row, strict=True))
        lines.append(f"<tr>{''.join(cells)}</tr>")
    header = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    return Markup(f'<div class="wide"><table>{header}<tbody>{"".join(lines)}</tbody></table></div>')


def picture(png: bytes, caption: str) -> Markup:
    """A PNG within the page, with its caption.

    Raises
    ------
    ValueError
        If it is no PNG.
    """
    if not png.startswith(PNG_START):
        raise ValueError("a picture in a page is a PNG")
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    words = escape(caption)
    return Markup(f'<figure><img alt="{words}" src="{source}"/><figcaption>{words}</figcaption></figure>')


def by_width(broad: str, narrow: str) -> Markup:
    """Two drawings (SVG of this room) of the same: the reader sees the one that fits the page's width."""
    return Markup(f'<div class="broad">{broad}</div><div class="narrow">{narrow}</div>')


def line_plot(series: Mapping[str, Points], *, height: int = 380, **look: Any) -> Markup:
    """Lines as wide as the page, as `line_plot_svg` draws them; on a narrow page with the legend below."""
    return by_width(
        line_plot_svg(series, width=900, height=height, **look),
        line_plot_svg(series, width=NARROW, height=280, legend="below", **look),
    )


def strip_plot(strips: Sequence[Strip], *, height: int = 380, **look: Any) -> Markup:
    """Groups of dots as wide as the page, as `strip_plot_svg` draws them."""
    return by_width(
        strip_plot_svg(strips, width=900, height=height, **look),
        strip_plot_svg(strips, width=max(NARROW, 120 * len(strips)), height=300, **look),
    )


def details(summary: str, *parts: str) -> Markup:
    """Something long that a reader opens."""
    content = "".join(part if isinstance(part, Markup) else paragraph(part) for part in parts)
    return Markup(f"<details><summary>{escape(summary)}</summary>{content}</details>")


def _cell(value: object, digits: int) -> str:
    plain: Any = value.item() if isinstance(value, np.generic) else value
    if isinstance(plain, Markup):
        return plain
    if plain is None or (isinstance(plain, float) and math.isnan(plain)):
        return "–"
    if isinstance(plain, float):
        return f"{plain:.{digits}f}" if math.isfinite(plain) else ("∞" if plain > 0 else "−∞")
    return escape(str(plain))


_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE: Final = (
    ":root{color-scheme:light dark;--ground:#f4f6f8;--card:#fff;--ink:#1d232c;--soft:#5a6472;--line:#e3e7ec;"
    "--warn:#fff4e0;--warn-line:#d98200;--fine:#e8f6ee;--fine-line:#2b8a57}"
    "@media(prefers-color-scheme:dark){:root{--ground:#0e1013;--card:#14171c;--ink:#e6eaf0;--soft:#a3adba;"
    "--line:#2b313a;--warn:#33270f;--warn-line:#e0a030;--fine:#12291d;--fine-line:#4bb07f}}"
    "body{margin:0;background:var(--ground);color:var(--ink);"
    "font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
    "main{max-width:960px;margin:0 auto;padding:24px 16px}"
    "h1{font-size:25px;margin:0}h2{font-size:18px;margin:0 0 10px}h3{font-size:15px;margin:14px 0 6px}"
    "p{margin:6px 0}.soft{color:var(--soft)}main>.soft{margin:4px 0 16px}"
    "section{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:16px;margin:16px 0}"
    ".cells{display:flex;flex-wrap:wrap;gap:12px;margin:16px 0}"
    ".cells div{flex:1 1 150px;background:var(--card);border:1px solid var(--line);border-radius:8px;padding:10px 14px}"
    ".cells b{display:block;font-size:21px}.cells span{color:var(--soft);font-size:13px}"
    ".warning,.fine{border-left:4px solid var(--warn-line);background:var(--warn);padding:8px 12px;margin:8px 0}"
    ".fine{border-color:var(--fine-line);background:var(--fine)}"
    ".wide{overflow-x:auto}"
    ".pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:0 12px}"
    "table{border-collapse:collapse;font-size:13px;margin:4px 0;font-variant-numeric:tabular-nums}"
    "th,td{text-align:left;vertical-align:top;padding:4px 14px 4px 0;border-bottom:1px solid var(--line)}"
    "td:not(.number){overflow-wrap:anywhere;min-width:13ch}"
    "th{color:var(--soft);font-weight:600;white-space:nowrap}.number{text-align:right;white-space:nowrap}"
    ".narrow{display:none}@media(max-width:640px){.broad{display:none}.narrow{display:block}}"
    "figure{margin:0 0 18px}figure img{max-width:100%;height:auto;display:block;border-radius:4px}"
    "figcaption{color:var(--soft);font-size:13px;margin-top:4px}svg{display:block;margin:8px 0}summary{cursor:pointer}"
)
"""The look of a page, light and dark."""
