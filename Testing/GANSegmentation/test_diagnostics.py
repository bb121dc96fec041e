"""The diagnostics say what helps, and nothing of the patient or the user."""

from __future__ import annotations

import getpass
from pathlib import Path

import pytest

from GANSegmentationLib.models import ModelLibrary
from Testing.tiny_model import write_tiny_package

PLANTED = ("Müller", "Hans", "0012345", "1945", "03-07", "1.2.840", "hmueller", "Geheim", "Radiologie")
NAMES = ["Müller^Hans", "PAT-0012345", "CT Abdomen Hans Müller"]
LOG = r"""
10:00:01 reading /srv/hmueller/Radiologie Geheim/Müller Hans/ct 1.nii.gz
10:00:02 reading D:\Leute\hmueller\Radiologie\Müller, Hans\series 4
10:00:03 patient Müller^Hans born 19450307, 1945-03-07, 07.03.1945, series 1.2.840.113619.2.55.3.604688119
10:00:04 node "CT Abdomen Hans Müller" has the ID PAT-0012345; case MÜLLER done
10:00:05 could not write \\nas\Radiologie\Müller.seg.nrrd: disk full
10:00:06 slice 12 of 90, 0.41 s
Traceback (most recent call last):
  File "/srv/hmueller/.local/GANSegmentationLib/volumes/files.py", line 12, in read_volume
  File "/srv/hmueller/scripts/Müller.py", line 3, in <module>
ValueError: 'Geheim/Müller.dcm' is damaged, ask hans.mueller@radiologie.example
"""


@pytest.fixture
def diagnostics(application):
    from GANSegmentationPanel import diagnostics

    return diagnostics


def test_nothing_that_was_planted_comes_out(diagnostics, tmp_path):
    write_tiny_package(tmp_path / "Hans Müller" / "tiny.ganseg")
    (tmp_path / "Hans Müller" / "0012345.ganseg").write_bytes(b"no package")
    text = diagnostics.report(
        extension="0.1.0 (abc123)",
        application="Slicer 5.12.3",
        library=ModelLibrary(shipped=tmp_path / "none", user=tmp_path / "Hans Müller"),
        probe={
            "state": "torch_broken",
            "torch": "2.13.0",
            "devices": [],
            "error": {"code": "torch_broken", "message": r"DLL D:\Leute\hmueller\torch\lib\c10.dll failed"},
        },
        settings={"device": "auto", "modelFolder": str(Path.home() / "models")},
        state="torch_broken",
        error={"code": "unreadable", "message": "/data/Müller, Hans/ct.nrrd cannot be read.", "details": LOG},
        log=LOG.splitlines(),
        names=NAMES,
    )
    for secret in (*PLANTED, str(Path.home()) + "/"):
        assert secret.casefold() not in text.casefold(), secret


def test_what_helps_stays(diagnostics, tmp_path):
    write_tiny_package(tmp_path / "tiny.ganseg")
    text = diagnostics.report(
        extension="0.1.0 (abc123)",
        application="Slicer 5.12.3 (r33000)",
        library=ModelLibrary(shipped=tmp_path / "none", user=tmp_path),
        probe={
            "state": "gpu_unusable",
            "torch": "2.13.0",
            "cuda_build": "12.8",
            "devices": [
                {"device": "cuda:0", "name": "NVIDIA X", "usable": False, "why_not": "no kernel image is available"},
                {"device": "cpu", "name": "CPU, 8 threads", "usable": True, "free_bytes": None},
            ],
        },
        settings={"device": "auto", "idleMinutes": "10"},
        state="gpu_unusable",
        error={"code": "worker_crashed", "message": "The background process stopped (exit -9).", "cause": "memory"},
        log=LOG.splitlines(),
        names=NAMES,
    )
    for fact in (
        *("0.1.0 (abc123)", "Slicer 5.12.3 (r33000)", "numpy: ", "tiny-liver 1.0.0", "imported", "gpu_unusable"),
        *("torch 2.13.0, CUDA 12.8", "cuda:0 NVIDIA X: no kernel image is available", "idleMinutes: 10"),
        *("code: worker_crashed", "The background process stopped (exit -9).", "slice 12 of 90, 0.41 s"),
        'File "GANSegmentationLib/volumes/files.py", line 12',
    ):
        assert fact in text, fact


@pytest.mark.parametrize(
    "secret",
    [
        "/data/Hans Müller/ct.nii.gz",
        r"D:\Patienten\Müller Hans\IM0001",
        "//nas/share/Müller Hans",
        "Hans Müller.nii.gz",
        "'Hans Müller/ct'",
        "MUELLER^HANS^^DR",
        "07.03.1945",
        "1945-03-07",
        "19450307",
        "1.2.840.113619.2.55",
        "PAT-0012345",
        "A1234567",
        "hans@klinik.example",
        "https://pacs.klinik.example/studies?id=7",
    ],
)
def test_each_kind_is_removed_without_being_named(diagnostics, secret):
    left = diagnostics.anonymized(f"failed on {secret}: code 7")
    assert secret not in left
    assert "Müller" not in left
    assert "Hans" not in left
    assert "code 7" in left


def test_common_words_of_a_volumes_name_are_left_in_the_text(diagnostics):
    left = diagnostics.anonymized("no voxel of liver in the volume; Liver Schmidt", ["Liver Schmidt"])
    assert left == "no voxel of liver in the volume; <name>"


def test_plain_sentences_and_figures_are_left_alone(diagnostics):
    said = "The GPU has 3.1 GB free; this model needs 4.5 GB for 512 x 512 slices (exit -9, 12.8, 2.13.0+cu128)."
    assert diagnostics.anonymized(said) == said


def test_the_home_folder_is_a_tilde(diagnostics):
    assert diagnostics.withoutHome("/srv/ann/models", "/srv/ann") == "~/models"
    assert diagnostics.withoutHome("/srv/anna/models", "/srv/ann") == "/srv/anna/models"
    assert diagnostics.withoutHome(r"D:\Leute\Ann\x", r"D:\Leute\ann") == r"~\x"
    assert diagnostics.withoutHome("/models", "/") == "/models"


def test_the_users_name_is_removed_from_messages(diagnostics, monkeypatch):
    monkeypatch.setattr(getpass, "getuser", lambda: "hmueller")
    error = {"code": "x", "message": "the account hmueller may not write"}
    assert "hmueller" not in diagnostics.report(extension="1", application="2", error=error)


def test_only_the_end_of_a_long_log_is_told(diagnostics):
    text = diagnostics.report(extension="1", application="2", log=[f"line {n}." for n in range(1000)])
    assert "line 999." in text
    assert "line 939." not in text


def test_it_is_short_and_whole_without_anything(diagnostics):
    text = diagnostics.report(extension="1", application="2")
    assert "not asked" in text
    assert "not listed" in text
    assert text.count("none") >= 1
