"""Patients whose names are in any character set, declared or not: nothing that a batch writes or says has them."""

from __future__ import annotations

import html
import json
import os
import struct
import unicodedata
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from GANSegmentationLib.batch import find_cases, plan_batch, runner
from GANSegmentationLib.batch.identity import read_identity, readings
from GANSegmentationLib.batch.privacy import REMOVED, Redactor
from GANSegmentationLib.batch.task import WorkSettings
from GANSegmentationLib.cli import main
from GANSegmentationLib.volumes import write_volume
from Testing.batch.conftest import InlineEngine, write_patient
from Testing.cli.conftest import write_series
from Testing.tiny_model import tiny_scan

NAME, ID, BIRTH = (0x0010, 0x0010), (0x0010, 0x0020), (0x0010, 0x0030)
KINDS = {NAME: b"PN", ID: b"LO", BIRTH: b"DA", (0x0010, 0x1000): b"LO", (0x0008, 0x103E): b"LO"}


def plant(file: Path, tag: tuple[int, int], raw: bytes) -> None:
    """Put bytes as they are into an element that the file has, whatever its character set says."""
    data = file.read_bytes()
    place = data.index(struct.pack("<HH", *tag) + KINDS[tag])
    length = struct.unpack("<H", data[place + 6 : place + 8])[0]
    raw += b" " * (len(raw) % 2)
    file.write_bytes(data[: place + 6] + struct.pack("<H", len(raw)) + raw + data[place + 8 + length :])


def write_raw(folder: Path, charset: str | list[str] | None, name: bytes, **tags: str) -> Path:
    filled = {"PatientName": "X", "PatientID": "X", "SeriesDescription": "X", **tags}
    if charset is not None:
        filled["SpecificCharacterSet"] = charset  # type: ignore[assignment]
    write_patient(folder, **filled)
    for file in folder.iterdir():
        plant(file, NAME, name)
    return folder


# What the header declares, its bytes, and the words that must not be seen anywhere.
PATIENTS: dict[str, tuple[str | list[str] | None, bytes, tuple[str, ...]]] = {
    "latin-1": ("ISO_IR 100", "Müßiggang^Jörg".encode("latin-1"), ("Müßiggang", "Jörg")),
    "utf-8": ("ISO_IR 192", "Müßiggang^Jörg".encode(), ("Müßiggang", "Jörg")),
    "gb18030": ("GB18030", "王^小东".encode("gb18030"), ("小东",)),
    "latin-1 undeclared": (None, "Müßiggang^Jörg".encode("latin-1"), ("Müßiggang", "Jörg")),
    "utf-8 undeclared": (None, "Müßiggang^Jörg".encode(), ("Müßiggang", "Jörg")),
    "latin-1 declared utf-8": ("ISO_IR 192", "Müßiggang^Jörg".encode("latin-1"), ("Müßiggang", "Jörg")),
    "utf-8 declared latin-1": ("ISO_IR 100", "Müßiggang^Jörg".encode(), ("Müßiggang", "Jörg")),
    "latin-1 declared gb18030": ("GB18030", "Müßiggang^Jörg".encode("latin-1"), ("Müßiggang", "Jörg")),
    "cyrillic": ("ISO_IR 144", "Люкceмбypг^Роза".encode("iso8859-5"), ("Люкceмбypг", "Роза")),
    "cyrillic windows undeclared": (None, "Иванова^Роза".encode("cp1251"), ("Иванова", "Роза")),
    "japanese": (["", "ISO 2022 IR 87"], b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", ("Yamada", "山田", "太郎")),
    "japanese undeclared": (None, b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B", ("Yamada", "山田", "太郎")),
    "korean undeclared": (None, "홍^길동".encode("euc_kr"), ("길동",)),
    "no character set": ("NONSENSE", "Müßiggang^Jörg".encode("latin-1"), ("Müßiggang", "Jörg")),
}


class TestReadings:
    def test_plain_bytes_have_one(self):
        assert readings(b"Mustermann^Erika") == ("Mustermann^Erika",)

    @pytest.mark.parametrize("charset", ["utf-8", "latin-1", "gb18030", "euc_kr", "shift_jis", "iso8859-5"])
    def test_the_right_one_is_among_them(self, charset):
        text = {"gb18030": "王小东", "euc_kr": "길동", "shift_jis": "山田", "iso8859-5": "Роза"}.get(charset, "Jörg")
        assert text in readings(text.encode(charset))

    def test_bytes_as_names_of_files_have_them_are_among_them(self):
        assert os.fsdecode("Jörg".encode("latin-1")) in readings("Jörg".encode("latin-1"))

    @pytest.mark.parametrize("kind", PATIENTS)
    def test_headers_are_recognised_whatever_they_declare(self, tmp_path, kind):
        charset, raw, words = PATIENTS[kind]
        identity = read_identity(next(write_raw(tmp_path / "x", charset, raw).iterdir()))
        redactor = Redactor()
        redactor.learn(identity.values)
        assert all(redactor.names_somebody(word) for word in words), identity
        assert identity.is_certain == (kind in ("latin-1", "utf-8", "gb18030", "cyrillic", "japanese"))

    def test_numbers_in_sequences_count(self, tmp_path):
        import pydicom

        file = next(write_patient(tmp_path / "x").iterdir())
        dataset = pydicom.dcmread(file)
        item = pydicom.Dataset()
        item.PatientID = "OTHER-4711"
        dataset.OtherPatientIDsSequence = [item]
        dataset.save_as(file)
        assert ("PatientID", "OTHER-4711") in read_identity(file).values

    def test_a_header_that_cannot_be_read_is_not_certain(self, tmp_path):
        (tmp_path / "x").write_bytes(b"\0" * 128 + b"DICM" + b"\xff" * 40)
        assert not read_identity(tmp_path / "x").is_certain
        assert not read_identity(tmp_path / "nowhere").is_certain


@pytest.mark.parametrize(
    "text",
    [
        "müßiggang",
        "MÜSSIGGANG",
        "Muessiggang",
        "Mussiggang",
        unicodedata.normalize("NFD", "Müßiggang"),
        "Jo\u0308rg",
        "joerg",
    ],
)
def test_names_are_known_in_the_spellings_of_file_names(text):
    redactor = Redactor()
    redactor.learn({"PatientName": "Müßiggang^Jörg"})
    assert redactor.clean(f"scan of {text}, 5 mm") == f"scan of {REMOVED}, 5 mm"


@pytest.mark.parametrize("text", ["1964.08.02", "2.8.1964", "02/08/1964", "19640802", "1964-8-2"])
@pytest.mark.parametrize("written", ["19640802", "1964.08.02"])
def test_birth_dates_are_known_however_they_are_written(text, written):
    redactor = Redactor()
    redactor.learn({"PatientBirthDate": written})
    assert redactor.names_somebody(text)


def forms(word: str) -> Iterator[bytes]:
    """How a word could be found in a file: in the character sets and the escapes of what a batch writes."""
    for text in {word, word.lower(), word.upper(), unicodedata.normalize("NFD", word)}:
        for charset in ("utf-8", "latin-1", "gb18030", "iso8859-5", "cp1251", "euc_kr", "shift_jis", "utf-16-le"):
            try:
                yield text.encode(charset)
            except UnicodeEncodeError:
                continue
        yield json.dumps(text)[1:-1].encode()
        yield html.escape(text).encode("ascii", "xmlcharrefreplace")
        yield urllib.parse.quote(text).encode()
        yield text.encode("latin-1", "backslashreplace")


def everything(output: Path, said: str) -> bytes:
    """All names and contents of files below the output, but for the private folder, and what was said."""
    parts = [said.encode("utf-8", "surrogateescape")]
    for path in output.rglob("*"):
        parts.append(os.fsencode(path.relative_to(output)))
        if path.is_file():
            parts.append(path.read_bytes())
    return b"\n".join(parts)


@pytest.fixture
def ganseg_batch(monkeypatch, tiny_package, capfd) -> Callable[..., str]:
    """Runs the command in this process; what it said on stdout and stderr."""
    monkeypatch.setattr(
        runner, "_engine", lambda options, folder, slices: InlineEngine(WorkSettings(str(tiny_package), device="cpu"))
    )

    def run(*arguments: object) -> str:
        main(["batch", *map(str, arguments), "--model", str(tiny_package), "--device", "cpu"])
        captured = capfd.readouterr()
        return captured.out + captured.err

    return run


@pytest.mark.parametrize("kind", PATIENTS)
def test_nobody_is_named_in_any_character_set(tmp_path, kind, ganseg_batch):
    charset, raw, words = PATIENTS[kind]
    name = "_".join(words)
    sound = write_raw(tmp_path / "in" / name / "ct", charset, raw, SeriesDescription="X")
    for file in sound.iterdir():
        plant(file, (0x0008, 0x103E), raw.split(b"=")[0])
        file.rename(file.with_name(f"{words[0]}_{file.name}"))
    damaged = write_raw(tmp_path / "in" / f"second {words[-1]}", charset, raw)
    for file in sorted(damaged.iterdir())[1:3]:
        file.write_bytes(file.read_bytes()[:-64])
        file.rename(file.with_name(f"{words[0]}_{file.name}"))
    write_volume(tiny_scan("PT"), tmp_path / "in" / name / f"{words[0]}.nii.gz")
    said = "".join(
        ganseg_batch(tmp_path / "in", "-o", tmp_path / "out", *more) for more in ((), ("--dry-run",), ("--json",))
    )
    assert "2 done, 1 failed" in said
    whole = everything(tmp_path / "out", said)
    found = [form for word in words for form in forms(word) if len(form) > 3 and form in whole]
    assert not found


class TestUncertain:
    def test_folders_of_a_patient_who_cannot_be_read_for_certain_get_a_pseudonym(self, tmp_path):
        write_raw(tmp_path / "in" / "site" / "Miller" / "ct", "ISO_IR 192", b"M\xfcller")
        write_patient(tmp_path / "in" / "site" / "b", PatientName="Known^Person")
        names = [case.name for case in find_cases(tmp_path / "in").cases]
        assert "site/b" in names
        assert not any("Miller" in name for name in names)

    def test_names_of_their_files_are_in_no_message(self, tmp_path, ganseg_batch):
        folder = write_raw(tmp_path / "in" / "x", "ISO_IR 192", b"M\xfcller")
        for number, file in enumerate(sorted(folder.iterdir())):
            data = file.read_bytes()
            file.write_bytes(data[:-64] if number == 2 else data)
            file.rename(folder / f"Schwarzenegger {number}")
        said = ganseg_batch(tmp_path / "in", "-o", tmp_path / "out")
        assert "0 done, 1 failed" in said
        assert b"schwarzenegger" not in everything(tmp_path / "out", said).lower()

    def test_nor_with_pseudonyms_for_all(self, tmp_path, ganseg_batch):
        folder = write_series(tiny_scan(), tmp_path / "in" / "x")
        for number, file in enumerate(sorted(folder.iterdir())):
            file.write_bytes(file.read_bytes()[: -64 if number == 2 else None])
            file.rename(folder / f"Schwarzenegger {number}")
        (tmp_path / "in" / "Stallone.nrrd").write_bytes(b"NRRD0005\n")
        said = ganseg_batch(tmp_path / "in", "-o", tmp_path / "out", "--names", "pseudonyms")
        assert "0 done, 2 failed" in said
        whole = everything(tmp_path / "out", said).lower()
        assert b"schwarzenegger" not in whole
        assert b"stallone" not in whole

    def test_a_file_without_a_header_shares_the_pseudonym_of_an_unreadable_neighbour(self, tmp_path):
        damaged = write_patient(tmp_path / "in" / "Mustermann" / "ct")
        for file in damaged.iterdir():
            file.write_bytes(file.read_bytes()[:200])
        write_volume(tiny_scan(), tmp_path / "in" / "Mustermann" / "scan.nrrd")
        assert not any("Mustermann" in case.name for case in find_cases(tmp_path / "in").cases)

    def test_a_report_beside_a_scan_without_a_header_says_whose_it_is(self, tmp_path):
        import pydicom

        folder = write_patient(tmp_path / "in" / "Mustermann", PatientName="Mustermann^Erika")
        report, *images = sorted(folder.iterdir())
        for file in images:
            file.unlink()
        dataset = pydicom.dcmread(report)
        for keyword in ("Rows", "Columns", "PixelData", "ImagePositionPatient"):
            delattr(dataset, keyword)
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.22"
        dataset.save_as(report)
        write_volume(tiny_scan(), folder / "erika.nrrd")
        (case,) = find_cases(tmp_path / "in").cases
        assert [part[:5] for part in case.name.split("/")] == ["case-", "case-"]


@pytest.mark.skipif(os.name != "posix", reason="names of files are text elsewhere")
class TestNamesThatAreNoText:
    @pytest.fixture
    def folder(self, tmp_path) -> Path:
        write_series(tiny_scan(), tmp_path / "in" / "x")
        (tmp_path / "in" / "x").rename(tmp_path / "in" / os.fsdecode(b"M\xfcller"))
        write_volume(tiny_scan(), tmp_path / "scan.nrrd")
        (tmp_path / "scan.nrrd").rename(tmp_path / "in" / os.fsdecode(b"J\xf6rg.nrrd"))
        return tmp_path / "in"

    def test_they_get_a_pseudonym_and_everything_can_be_written(self, folder, ganseg_batch):
        said = ganseg_batch(folder, "-o", folder.parent / "out", "--json")
        masks = [path.name for path in (folder.parent / "out").glob("*.seg.nrrd")]
        assert len(masks) == 1
        assert masks[0].startswith("case-")
        assert "unreadable_file" in said  # SimpleITK would end the process over the other one's name
        assert b"rg.nrrd" not in everything(folder.parent / "out", said)

    def test_who_asks_for_names_has_their_bytes_spelt_out(self, folder, ganseg_batch):
        ganseg_batch(folder, "-o", folder.parent / "out", "--names", "original")
        assert (folder.parent / "out" / "M%FCller.seg.nrrd").is_file()


def test_no_two_cases_ever_have_one_name(tmp_path, options):
    for name in ("a", "a-2", "A"):
        for copy in ("x", "y"):
            write_series(tiny_scan(), tmp_path / "in2" / copy / name)
    folder = tmp_path / "in3"
    folder.mkdir()
    for number, file in enumerate(sorted((tmp_path / "in2").rglob("*.dcm"))):
        file.rename(folder / f"{number}")
    planned = plan_batch(replace(options, input=folder))
    names = [each.case.name.casefold() for each in planned.cases]
    assert len(names) == len(set(names)) == 6
