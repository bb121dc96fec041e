"""A long table that a reader sorts and filters, with a card below for each of its rows; of use without a script, too.

The script is the page's only one (`page.page_pieces`): it turns the heads into buttons, shows the filters, and keeps
the cards in the order of the rows. What is on paper is everything, whatever the filter says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from .page import Markup

Value = str | float | None


@dataclass(frozen=True)
class Column:
    """A column's head, and for numbers the decimals; None for words."""

    name: str
    digits: int | None = None


@dataclass(frozen=True)
class Row:
    """A row: the id of its card, the values, and the words by which the choice of `listing` finds it."""

    card: str
    values: Sequence[Value]
    tags: Sequence[str] = ()


def listing(
    columns: Sequence[Column], rows: Sequence[Row], choices: Mapping[str, str], *, what: str = "rows"
) -> Markup:
    """The table, under a field for text and a choice of tags.

    Parameters
    ----------
    rows:
        The first value of each is the name of its card, and a link to it.
    choices:
        Tags to choose from, with the words for each.
    what:
        What the rows are, in the plural.

    Raises
    ------
    ValueError
        If a row has other numbers of values than there are columns.
    """
    heads = "".join(
        f'<th scope="col"{_NUMBER if column.digits is not None else ""}>{escape(column.name)}</th>'
        for column in columns
    )
    options = "".join(f'<option value="{escape(tag)}">{escape(words)}</option>' for tag, words in choices.items())
    return Markup(
        f'<form class="tools" hidden="hidden"><label>Find <input type="search" autocomplete="off"/></label> '
        f'<label>Show <select><option value="">all {escape(what)}</option>{options}</select></label> '
        f'<output aria-live="polite"></output></form>'
        f'<div class="wide" tabindex="0" role="region" aria-label="{escape(what)}"><table class="listing">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(_row(columns, row) for row in rows)}</tbody></table></div>"
    )


def cards_begin() -> Markup:
    """What stands before the first card; each card is an ``<article>`` with the id that its row names."""
    return Markup('<div class="cards">')


def cards_end() -> Markup:
    """What stands after the last card."""
    return Markup("</div>")


def _row(columns: Sequence[Column], row: Row) -> str:
    cells = [
        _cell(column, value, row.card if place == 0 else "")
        for place, (column, value) in enumerate(zip(columns, row.values, strict=True))
    ]
    tags = escape(" ".join(row.tags))
    return f'<tr data-card="{escape(row.card)}" data-tags="{tags}">{"".join(cells)}</tr>'


def _cell(column: Column, value: Value, card: str) -> str:
    if column.digits is None:
        words = escape("" if value is None else str(value))
        if card:
            return f'<th scope="row"><a href="#{escape(card)}">{words}</a></th>'
        return f"<td>{words}</td>"
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return f"<td{_NUMBER}>–</td>"
    return f'<td{_NUMBER} data-v="{value:.9g}">{value:.{column.digits}f}</td>'


_NUMBER: Final = ' class="number"'

STYLE: Final = (
    ".listing th a{color:inherit}.listing tbody th{font-weight:600;color:inherit;white-space:normal;"
    "overflow-wrap:anywhere;min-width:16ch}"
    ".listing td:not(.number){min-width:8ch;overflow-wrap:normal}"
    ".listing thead button{all:unset;cursor:pointer;white-space:nowrap}"
    ".listing thead button:focus-visible{outline:2px solid currentColor;outline-offset:2px}"
    ".listing thead button:after{content:'\\2195';opacity:.45;padding-left:4px}"
    ".listing [aria-sort=ascending] button:after{content:'\\25b2';opacity:1}"
    ".listing [aria-sort=descending] button:after{content:'\\25bc';opacity:1}"
    ".tools{display:flex;flex-wrap:wrap;gap:8px 16px;align-items:center;margin:4px 0 10px}.tools[hidden]{display:none}"
    ".tools input,.tools select{font:inherit;max-width:100%;padding:3px 6px;border:1px solid var(--soft);"
    "border-radius:4px;background:var(--ground);color:var(--ink)}.tools output{color:var(--soft)}"
    "@media print{.tools{display:none!important}.listing tr[hidden]{display:table-row!important}"
    ".cards article[hidden]{display:block!important}.listing thead button:after{content:''!important}"
    ".listing tr{break-inside:avoid}}"
)
"""The look of table and filters."""

SCRIPT: Final = """
"use strict";
(function () {
  var table = document.querySelector("table.listing");
  if (!table) { return; }
  var body = table.tBodies[0];
  var heads = Array.from(table.tHead.rows[0].cells);
  var rows = Array.from(body.rows);
  var cards = document.querySelector(".cards");
  var cardOf = function (row) { return document.getElementById(row.dataset.card); };
  var compare = new Intl.Collator(undefined, { numeric: true }).compare;

  function key(row, column, isNumber) {
    var cell = row.cells[column];
    return isNumber ? parseFloat(cell.dataset.v) : cell.textContent;
  }

  function sort(column) {
    var head = heads[column];
    var isNumber = head.classList.contains("number");
    var before = head.getAttribute("aria-sort");
    var sign = before === "ascending" ? -1 : 1;
    var keyed = rows.map(function (row, place) { return [key(row, column, isNumber), place, row]; });
    keyed.sort(function (a, b) {
      var none = isNumber ? isNaN(a[0]) - isNaN(b[0]) : (a[0] === "") - (b[0] === "");
      if (none) { return none; }
      var order = isNumber ? (a[0] - b[0] || 0) : compare(a[0], b[0]);
      return sign * order || a[1] - b[1];
    });
    heads.forEach(function (each) { each.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
    keyed.forEach(function (each) {
      body.appendChild(each[2]);
      var card = cardOf(each[2]);
      if (card && cards) { cards.appendChild(card); }
    });
  }

  heads.forEach(function (head, column) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", function () { sort(column); });
    head.textContent = "";
    head.appendChild(button);
  });

  var form = document.querySelector("form.tools");
  var field = form.querySelector("input");
  var choice = form.querySelector("select");
  function filter() {
    var words = field.value.toLowerCase().split(" ").filter(Boolean);
    var shown = 0;
    rows.forEach(function (row) {
      var text = row.textContent.toLowerCase();
      var fits = words.every(function (word) { return text.indexOf(word) >= 0; }) &&
        (!choice.value || row.dataset.tags.split(" ").indexOf(choice.value) >= 0);
      row.hidden = !fits;
      shown += fits;
      var card = cardOf(row);
      if (card) { card.hidden = !fits; }
    });
    form.querySelector("output").textContent = shown + " of " + rows.length + " shown";
  }
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  field.addEventListener("input", filter);
  choice.addEventListener("change", filter);
  form.hidden = false;
  filter();
}());
"""
"""Sorts, filters, and does nothing else: no storage, no network."""
