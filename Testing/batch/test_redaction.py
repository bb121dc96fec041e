"""What outcomes say of files: where they lie within the batch, never where on this computer, and of nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from GANSegmentationLib.batch.cases import Case
from GANSegmentationLib.batch.outcome import failed
from GANSegmentationLib.batch.privacy import Redactor
from GANSegmentationLib.batch.redaction import Redaction
from GANSegmentationLib.errors import GANSegmentationError

ROOT = Path("/data/someone/my studies")


@pytest.fixture
def redaction() -> Redaction:
    redactor = Redactor()
    redactor.learn({"PatientName": "Zwiebel^Gerda"})
    return Redaction(redactor, ROOT, references=Path("/data/truth"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"There is no file {ROOT}/a/b.nii.", "There is no file a/b.nii."),
        (f"{ROOT}/site (2)/b.nii and /data/truth/c.nii", "site (2)/b.nii and truth/c.nii"),
        (f'"{ROOT}/a b/c.nii" cannot be read', '"a b/c.nii" cannot be read'),
        ("/elsewhere/a b/c/x.nii cannot be read.", "x.nii cannot be read."),
        ("of /a/x.nii and /b/y.nii", "of x.nii and y.nii"),
        (r"D:\scans\e\x.nii is cut", "x.nii is cut"),
        ("see https://example.org/a/b/c", "see https://example.org/a/b/c"),
        ("1/2 of site-1/scan; 5 mm", "1/2 of site-1/scan; 5 mm"),
        ("site (2)/ct/b.nii", "site (2)/ct/b.nii"),
        ("/database/c/d.nii", "d.nii"),
    ],
)
def test_paths_are_those_within_the_batch(redaction, text, said):
    assert redaction.without_folders(text) == said


def test_a_folder_that_was_given_relative_to_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    redaction = Redaction(Redactor(), Path("scans"))
    assert redaction.without_folders("scans/a.nii and my scans/x") == "a.nii and my x"
    assert redaction.without_folders(f"{tmp_path}/scans/s/a.nii") == "s/a.nii"
    assert Redaction(Redactor(), Path()).without_folders("a/b.nii") == "a/b.nii"


def test_an_outcome_names_no_folder_and_nobody(redaction):
    error = GANSegmentationError(
        "x", f"{ROOT}/Zwiebel/a.nii is cut", cause="See /tmp/q/log.", details=f"open('{ROOT}/a.nii')"
    )
    case = Case("a", ROOT / "a.nii", None, (ROOT / "a.nii",))
    said = json.dumps(redaction.of(failed("a", error), case).to_dict())
    assert "[removed]/a.nii is cut" in said and "open('a.nii')" in said
    for hidden in ("Zwiebel", "someone", "/tmp"):
        assert hidden not in said
