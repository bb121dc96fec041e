"""What the report of a batch says of one case: its pictures, figures, warnings, or why it failed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Final
from urllib.parse import quote

from ..reports.page import Markup, paragraph, table
from .attention import FLAG_WORDS, Attention
from .outcome import CaseOutcome
from .sheets import Picture, Sheet

_BASE64: Final = re.compile(r"[A-Za-z0-9+/=]+")
_COLUMNS: Final = ("structure", "ml", "reference ml", "Dice", "IoU", "HD mm", "HD95 mm", "ASSD mm", "surface Dice")
_SCORES: Final = (
    *(("reference_volume_ml", 1), ("dice", 3), ("iou", 3)),
    *(("hd_mm", 1), ("hd95_mm", 1), ("assd_mm", 2), ("surface_dice", 3)),
)

CARD_STYLE: Final = (
    "article{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px 16px;margin:12px 0;"
    "content-visibility:auto;contain-intrinsic-size:auto 420px}"
    "article h3{margin:0;overflow-wrap:anywhere}article:target{outline:2px solid var(--warn-line)}"
    ".tag{display:inline-block;border:1px solid var(--warn-line);background:var(--warn);border-radius:10px;"
    "padding:0 8px;margin:2px 4px 2px 0;font-size:13px}"
    ".views{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(47%,200px),1fr));gap:8px;margin:8px 0}"
    ".views figure{margin:0}.views img{width:100%;height:auto;background:#000}"
    ".views figcaption{font-size:12px;line-height:1.35}"
    ".colours{display:flex;flex-wrap:wrap;gap:2px 16px;font-size:13px;color:var(--soft);margin:4px 0}"
    ".colours i{display:inline-block;width:22px;height:10px;margin-right:6px;border:2px solid;vertical-align:-1px}"
    ".colours i.outline{height:0;border-width:2px 0 0;vertical-align:4px}"
    "@media print{article{content-visibility:visible;break-inside:avoid;border-color:#999}"
    ".views{grid-template-columns:repeat(5,1fr)}}"
)
"""The look of the cards."""


def case_card(case: CaseOutcome, card: str, odd: Attention | None, sheet: Sheet | None) -> Markup:
    """The card of a case that is done or has failed.

    Parameters
    ----------
    card:
        Its id within the page.
    odd:
        Why to look at it; None where nothing is odd.
    sheet:
        Its pictures; None where there are none.
    """
    return Markup(f'<article id="{escape(card)}">{"".join(_parts(case, odd, sheet))}</article>')


def _parts(case: CaseOutcome, odd: Attention | None, sheet: Sheet | None) -> Iterator[str]:
    yield f"<h3>{escape(case.case)}</h3>"
    if odd is not None:
        yield "".join(f'<span class="tag">{escape(words)}</span>' for words in _tags(odd))
    facts = [escape(each) for each in _facts(case, sheet)]
    if case.output:
        facts.append(f'<a href="./{quote(case.output)}">mask</a>')
    if facts:
        yield f'<p class="soft">{" · ".join(facts)}</p>'
    if case.error is not None:
        words = " ".join(case.error.get(part, "") for part in ("message", "cause", "action"))
        yield paragraph(words, "warning", lead=f"Failed ({case.error['code']}).")
    if sheet is not None and sheet.pictures:
        yield f'<div class="views">{"".join(_figure(picture) for picture in sheet.pictures)}</div>'
        yield _colours(sheet)
    elif case.status == "done":
        yield paragraph("There are no pictures of this case.", "soft")
    if case.segments or case.scores:
        yield _figures(case)
    for warning in case.warnings:
        yield paragraph(warning["message"], "soft", lead=f"{warning['code'].replace('_', ' ')}:")


def _tags(odd: Attention) -> Iterator[str]:
    for flag, names in odd.reasons.items():
        if flag != "failed":  # the error says it
            yield FLAG_WORDS.get(flag, flag.replace("_", " ")) + (f": {', '.join(names)}" if names else "")


def _facts(case: CaseOutcome, sheet: Sheet | None) -> Iterator[str]:
    if sheet is not None:
        yield sheet.scan
    elif case.modality:
        yield case.modality
    if case.model:
        yield case.model
    if case.status == "done":
        yield f"{case.seconds:.1f} s on {case.device}"


def _figure(picture: Picture) -> str:
    if not _BASE64.fullmatch(picture.webp):
        return ""
    dice = "" if picture.dice is None else f", Dice {picture.dice:.3f}"
    look = f'width="{picture.width}" height="{picture.height}" loading="lazy" decoding="async"'
    alt = escape(f"{picture.view}: {picture.why}")
    words = f"{escape(picture.why)}{dice}<br/>{escape(picture.view)}"
    source = f"data:image/webp;base64,{picture.webp}"
    return f'<figure><img alt="{alt}" {look} src="{source}"/><figcaption>{words}</figcaption></figure>'


def _colours(sheet: Sheet) -> str:
    def hexadecimal(colour: tuple[int, int, int]) -> str:
        return "#" + "".join(f"{max(0, min(255, part)):02x}" for part in colour)

    entries = [
        f'<span><i style="border-color:{hexadecimal(each.colour)};background:{hexadecimal(each.colour)}80"></i>'
        f"{escape(each.name)}</span>"
        for each in sheet.structures
    ]
    if sheet.reference is not None:
        colour = hexadecimal(sheet.reference)
        entries.append(f'<span><i class="outline" style="border-color:{colour}"></i>reference (thin line)</span>')
    entries.append(f"<span>window {escape(sheet.window)}</span><span>R, L, A, P, S, I: the patient's sides</span>")
    return f'<p class="colours">{"".join(entries)}</p>'


def _figures(case: CaseOutcome) -> Markup:
    scores = {row["name"]: row for row in case.scores or ()}
    volumes = {segment.name: segment.volume_ml for segment in case.segments}
    rows: list[list[object]] = []
    for name in dict.fromkeys([*volumes, *scores]):
        own = scores.get(name, {})
        numbers = [_rounded(own.get(key), digits) for key, digits in _SCORES] if case.scores is not None else []
        rows.append([name, _rounded(volumes.get(name), 1), *numbers])
    columns = _COLUMNS if case.scores is not None else _COLUMNS[:2]
    return table(columns, rows)


def _rounded(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"
