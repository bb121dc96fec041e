"""The report of a batch: whole, without a word of who the scans are of, and open to sorting in a real browser."""

from __future__ import annotations

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from GANSegmentationLib.batch import work
from GANSegmentationLib.batch.attention import attention
from GANSegmentationLib.batch.distributions import distributions
from GANSegmentationLib.batch.outcome import CaseOutcome, SegmentOutcome, failed
from GANSegmentationLib.batch.report import REPORT_HTML, write_report
from GANSegmentationLib.batch.sheets import SHEETS_FOLDER, read_sheet
from GANSegmentationLib.batch.summary import BatchSummary
from GANSegmentationLib.errors import GANSegmentationError
from Testing.batch.conftest import numbered_scan, write_patient, write_reference
from Testing.batch.test_runner import CASES, IDENTITY, PLANTED, fail_at, interrupt_at
from Testing.chromium import visit
from Testing.reports.test_page import Reader

EVIL = "<img src=x onerror=alert(1)> \"'"


def report_of(output: Path) -> str:
    return (output / REPORT_HTML).read_text(encoding="utf-8")


def pictures_of(document: str) -> list[bytes]:
    return [base64.b64decode(found) for found in re.findall(r"data:image/webp;base64,([^\"]*)\"", document)]


def done(name: str, ml: float, dice: float | None = None, *flags: str) -> CaseOutcome:
    row = {"name": "Liver", "status": "ok", "dice": dice, "hd95_mm": 3.0, "reference_volume_ml": ml}
    segments = (SegmentOutcome("Liver", 1, ml, flags),)
    scores = None if dice is None else (row,)
    return CaseOutcome(
        name, "done", 1.0, "m 1.0.0", output=f"{name}.nrrd", segments=segments, flags=flags, scores=scores
    )


class TestPage:
    def test_it_holds_every_case_with_its_pictures_and_figures(self, run, options, tmp_path):
        write_reference(numbered_scan(1), tmp_path / "truth" / "site-0" / "scan-00.nrrd")
        run(replace(options, references=tmp_path / "truth"), fail_at(CASES[4]))
        document = report_of(options.output)
        reader = Reader(document)
        assert sum(tag == "article" for tag, _ in reader.tags) == 5
        links = {attributes["href"] for tag, attributes in reader.tags if tag == "a"}
        assert {f"./{case}.seg.nrrd" for case in CASES[:4]} <= links
        words = " ".join(reader.words)
        for needed in ("Tiny liver", "tiny-liver 1.0.0", "Not a medical device", "It is damaged.", "under 1 ml"):
            assert needed in words, needed
        assert "reference (thin line)" in words and "most wrong pixels" in words
        assert len(pictures_of(document)) >= 4 * 3

    def test_nothing_is_loaded_from_elsewhere_and_one_script_runs(self, run, options):
        run(options)
        reader = Reader(report_of(options.output))
        for tag, attributes in reader.tags:
            assert not [name for name in attributes if name.startswith("on")], tag
            assert (attributes.get("src") or "data:image/webp;base64,").startswith("data:image/webp;base64,")
            assert re.match(r"#case-\d+$|\./", attributes.get("href") or "./"), attributes
        assert [tag for tag, _ in reader.tags].count("script") == 1
        policy = next(a["content"] for t, a in reader.tags if t == "meta" and a.get("http-equiv"))
        assert re.fullmatch(
            r"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-[\w+/]{43}='", policy
        )

    def test_whatever_names_and_messages_hold_stays_text(self, tmp_path):
        case = replace(done("a", 5.0, None, EVIL), case=EVIL, warnings=({"code": EVIL, "message": EVIL},))
        bad = failed("javascript:alert(1)", GANSegmentationError("x", EVIL))
        odd = replace(done("javascript:b", 1.0), output="javascript:b.nrrd")
        write_report(BatchSummary({"model": EVIL}, (case, bad, odd), 1.0), tmp_path)
        reader = Reader(report_of(tmp_path))
        assert not [tag for tag, _ in reader.tags if tag == "img"]
        assert not [a for _, a in reader.tags if (a.get("href") or "").startswith("javascript")]

    def test_a_batch_without_any_mask_has_a_report(self, tmp_path):
        cases = (failed("a", GANSegmentationError("x", "no")), CaseOutcome("b", "pending"))
        write_report(BatchSummary({}, cases, 1.0), tmp_path)
        assert "pending" in report_of(tmp_path)

    @pytest.mark.parametrize("count", [6, 70])  # dots, and histograms
    def test_plots_and_table_count_the_same_cases(self, tmp_path, count):
        cases = tuple(done(f"case-{index}", 100.0 + index, None if index < 2 else 0.9) for index in range(count))
        write_report(BatchSummary({}, cases, 1.0), tmp_path)
        document = report_of(tmp_path)
        in_plots = [int(found) for found in re.findall(r"n = (\d+)\)?</text>", document)]
        in_table = [int(n) for n in re.findall(r"<td>Liver</td><td>[A-Z][^<]*</td><td[^>]*>(\d+)", document)]
        assert in_plots == in_table == [count, count - 2, count - 2]


class TestSheets:
    def test_a_stopped_batch_keeps_the_pictures_of_what_it_did(self, run, options):
        with pytest.raises(KeyboardInterrupt):
            run(options, interrupt_at(CASES[2]))
        first = pictures_of(report_of(options.output))
        assert first
        run(options)
        assert set(first) < set(pictures_of(report_of(options.output)))

    def test_a_case_that_fails_later_loses_its_pictures_and_a_changed_one_gets_others(self, run, options):
        from GANSegmentationLib.volumes import write_volume

        run(options)
        before = read_sheet(options.output, CASES[1])
        write_volume(numbered_scan(9), options.input / "site-0" / "scan-03.nrrd")
        (options.input / "site-0" / "scan-00.nrrd").write_bytes(b"NRRD0005\n")
        run(options)
        assert read_sheet(options.output, CASES[0]) is None
        assert before is not None and read_sheet(options.output, CASES[1]) != before

    def test_a_picture_that_fails_is_a_warning_of_its_case(self, run, options, monkeypatch):
        def refuse(*args: object) -> None:
            raise OSError(28, "No space left", "/secret/place")

        monkeypatch.setattr(work, "write_sheet", refuse)
        summary = run(options)
        assert len(summary.of_status("done")) == 5
        assert {warning["code"] for case in summary.cases for warning in case.warnings} >= {"no_pictures"}
        document = report_of(options.output)
        assert "There are no pictures of this case." in document and "/secret" not in document

    def test_a_damaged_sheet_is_none(self, run, options):
        run(options)
        path = options.output / SHEETS_FOLDER / f"{CASES[0]}.json"
        for damage in (b"", b"{", b'{"pictures": 3}', b"\xff"):
            path.write_bytes(damage)
            assert read_sheet(options.output, CASES[0]) is None
        write_report(run(options), options.output)

    def test_pictures_are_small_and_hold_nothing_but_pixels(self, run, options):
        from PIL import Image

        run(options)
        for picture in pictures_of(report_of(options.output)):
            image = Image.open(io.BytesIO(picture))
            assert (image.format, image.size) == ("WEBP", (320, 256))
            assert not image.getexif() and not set(image.info) & {"exif", "xmp", "icc_profile"}
            assert len(picture) < 20_000

    @pytest.mark.parametrize("names", ["checked", "pseudonyms"])
    def test_neither_page_nor_pictures_say_who_it_is_of(self, run, options, tmp_path, names):
        root = tmp_path / "patients"
        write_patient(
            root / "Mustermann Erika 1964-08-12" / "CT", SeriesDescription="Abdomen Erika Mustermann", **IDENTITY
        )
        damaged = write_patient(root / "kh-471199-b", **IDENTITY)
        first = sorted(damaged.iterdir())[0]
        first.write_bytes(first.read_bytes()[:-100])
        run(replace(options, input=root, names=names))
        document = report_of(options.output)
        assert pictures_of(document)
        for text in (document.encode().lower(), *map(bytes.lower, pictures_of(document))):
            assert not [planted for planted in (*PLANTED, str(tmp_path).encode().lower()) if planted in text]


class TestAttention:
    def test_the_gravest_come_first(self):
        cases = [
            done("border", 1000.0, None, "border"),
            done("fine", 1000.0),
            done("empty", 0.0, None, "empty"),
            failed("bad", GANSegmentationError("x", "no")),
        ]
        assert list(attention(cases)) == ["bad", "empty", "border"]

    def test_who_differs_from_the_others_is_told_from_eight_cases_on(self):
        many = [done(f"c{n}", 1000.0 + n, 0.95 + n / 1000) for n in range(8)]
        odd = [*many, done("huge", 9000.0, 0.95), done("poor", 1001.0, 0.5)]
        assert {name: list(each.reasons) for name, each in attention(odd).items()} == {
            "poor": ["low_dice"], "huge": ["unusual_volume"]
        }  # fmt: skip
        assert not attention([*many[:4], odd[-1]])


def test_distributions_are_those_of_the_numbers_that_there_are():
    cases = [done(f"c{n}", float(n), n / 10) for n in range(1, 6)]
    missed = replace(
        cases[0], case="m", scores=({"name": "Liver", "status": "mask_empty", "dice": 0, "hd95_mm": None},)
    )
    found = {each.measure: each for each in distributions([*cases, missed])}
    assert found["volume_ml"].median == np.median([1, 2, 3, 4, 5, 1])
    assert (len(found["hd95_mm"].values), found["hd95_mm"].left_out) == (5, 1)
    low, high = found["dice"].interval
    assert low < found["dice"].mean < high
    assert "surface_dice" not in found


SORT = """
  const doc = window.document, heads = [...doc.querySelectorAll(".listing thead th")];
  const first = () => [...doc.querySelectorAll(".listing tbody th")].map((e) => e.textContent);
  const cards = () => [...doc.querySelectorAll("article:not([hidden]) h3")].map((e) => e.textContent);
  const volume = heads.findIndex((e) => e.textContent.startsWith("Volume"));
  const seen = {before: first()};
  heads[volume].querySelector("button").click(); seen.up = first(); seen.sort = heads[volume].ariaSort;
  heads[volume].querySelector("button").click(); seen.down = first(); seen.cards = cards();
  heads[0].querySelector("button").click(); seen.names = first();
  const choice = doc.querySelector(".tools select"); choice.value = "failed";
  choice.dispatchEvent(new window.Event("change")); seen.failed = cards();
  choice.value = ""; const field = doc.querySelector(".tools input"); field.value = "c10";
  field.dispatchEvent(new window.Event("input")); seen.found = cards(); seen.said = doc.querySelector("output").value;
  seen.wide = doc.documentElement.scrollWidth; seen.room = window.innerWidth;
  return seen;
"""


class TestInChromium:
    @pytest.fixture
    def output(self, run, options) -> Path:
        run(options, fail_at(CASES[4]))
        return options.output

    @pytest.fixture
    def many(self, tmp_path) -> Path:
        cases = [done(f"c{n}", float(10 - n % 10 * 1.5 + n / 100), 0.9 + n / 1000) for n in range(1, 13)]
        bad = failed("a" * 80 + "/bad", GANSegmentationError("x" * 70, "y" * 90))
        (tmp_path / "many").mkdir()
        write_report(BatchSummary({"model": None}, (*cases, bad), 1.0), tmp_path / "many")
        return tmp_path / "many"

    def test_it_sorts_filters_and_asks_for_nothing(self, many, tmp_path):
        seen = visit(many, REPORT_HTML, SORT, tmp_path)
        assert seen.requests == ["/around.html", f"/{REPORT_HTML}"]
        assert seen.console == []
        noted = json.loads(seen.noted)
        volumes = {f"c{n}": 10 - n % 10 * 1.5 + n / 100 for n in range(1, 13)}
        ascending = sorted(volumes, key=volumes.__getitem__)
        bad = noted["before"][-1]
        assert noted["up"] == [*ascending, bad] and noted["sort"] == "ascending"
        assert noted["down"] == noted["cards"] == [*ascending[::-1], bad]
        assert noted["names"] == [bad, *(f"c{n}" for n in range(1, 13))]
        assert noted["failed"] == [bad]
        assert (noted["found"], noted["said"]) == (["c10"], "1 of 13 shown")

    def test_nothing_is_wider_than_a_telephone(self, many, output, tmp_path):
        for place, page in enumerate((many, output)):
            (tmp_path / str(place)).mkdir()
            look = "return [window.document.documentElement.scrollWidth, window.innerWidth]"
            seen = visit(page, REPORT_HTML, look, tmp_path / str(place), width=400)
            wide, room = json.loads(seen.noted)
            assert wide <= room <= 400
            assert seen.console == []

    def test_the_pictures_are_pictures(self, output, tmp_path):
        look = """
          const all = [...window.document.images];
          all.forEach((e) => { e.loading = "eager"; });
          return all.map((e) => [e.complete, e.naturalWidth, e.alt.length > 0]);
        """
        noted = json.loads(visit(output, REPORT_HTML, look, tmp_path).noted)
        assert len(noted) >= 12 and all(alt for _, _, alt in noted)
        assert any(complete and width == 320 for complete, width, _ in noted)
