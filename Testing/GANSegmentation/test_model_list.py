"""The list of models: what a row says, which come first, what is found, and that no package is lost or half there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import MetricFact, ModelLibrary, open_package
from Testing.tiny_model import write_tiny_package

FILE = "file:" + "//"
PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def model_list(application):
    from GANSegmentationPanel import model_list

    return model_list


@pytest.fixture
def library(tmp_path) -> ModelLibrary:
    """Shipped: a liver model for CT, the default, and one for MR. Imported: none."""
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    write_tiny_package(shipped / "tiny-liver.ganseg")
    write_tiny_package(
        shipped / "mr.ganseg", id="leber-mr", title="Ä Leber, MR", modalities=("MR",), default_for=("MR",)
    )
    write_tiny_package(shipped / "ct2.ganseg", id="liver-two", title="A liver of another make", default_for=())
    return ModelLibrary(shipped=shipped, user=tmp_path / "Modelle für Ärzte")


def refused(call, *arguments, **named) -> GANSegmentationError:
    with pytest.raises(GANSegmentationError) as caught:
        call(*arguments, **named)
    return caught.value


def never(_question: str) -> bool:
    raise AssertionError("nobody should have been asked")


# Rows


def test_models_for_the_chosen_volume_come_first_and_the_default_before_the_others(model_list, library):
    rows = model_list.rows(library, "CT")
    assert [(row.id, row.fit) for row in rows] == [("tiny-liver", "yes"), ("liver-two", "yes"), ("leber-mr", "no")]
    assert model_list.rows(library, "MR")[0].id == "leber-mr"
    assert "not for the chosen volume" in rows[-1].toolTip
    assert {row.fit for row in model_list.rows(library)} == {"unknown"}


def test_a_row_says_modality_plane_structures_dice_licence_size_and_origin(model_list):
    """The shipped models themselves."""
    (row,) = [row for row in model_list.rows(ModelLibrary(), "CT") if row.id == "liver-ct-supervised"]
    assert row.secondLine == "CT · axial · Liver · 10.9 MB"
    assert row.thirdLine == "Dice 0.96 (0.94 to 0.97), n 6 · CC BY-NC-SA 4.0"
    assert row.dice == "Dice 0.959 (95 % CI 0.941 to 0.971; validation, n = 6)"
    assert row.licence == "CC BY-NC-SA 4.0"
    assert row.size == "10.9 MB"
    assert row.isShipped
    assert row.isDefault
    for fact in (row.dice, row.licence, row.size, "comes with the extension"):
        assert fact in row.toolTip


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        ([], ""),
        ([("dice", "test", 1, 0.97, None)], "Dice 0.970 (test, n = 1)"),
        ([("iou", "test", 9, 0.9, (0.8, 0.95))], ""),
        (
            [("dice", "test", 1, 0.97, None), ("dice", "validation", 6, 0.9, (0.8, 0.95))],
            "Dice 0.900 (95 % CI 0.800 to 0.950; validation, n = 6)",
        ),
        (
            [("dice", "validation", 6, 0.9, (0.8, 0.95)), ("Dice", "test", 5, 0.85, (0.7, 0.9))],
            "Dice 0.850 (95 % CI 0.700 to 0.900; test, n = 5)",
        ),
    ],
)
def test_the_dice_shown_is_the_one_that_says_most(model_list, facts, text):
    metrics = tuple(MetricFact(name, "set", split, n, mean, ci, "1") for name, split, n, mean, ci in facts)
    assert model_list.diceText(SimpleNamespace(metrics=metrics)) == text
    brief = model_list.briefDice(SimpleNamespace(metrics=metrics))
    assert bool(brief) == bool(text)
    assert brief[:9] == text[:9] and brief.endswith(re.findall(r"n = (\d+)", text)[-1] if text else "")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {"tiny-liver", "liver-two", "leber-mr"}),
        ("LIVER ct", {"tiny-liver", "liver-two"}),
        ("mr", {"leber-mr"}),
        ("a leber", {"leber-mr"}),  # without the dots
        ("another make", {"liver-two"}),
        ("axial unet", {"tiny-liver", "liver-two", "leber-mr"}),
        ("spleen", set()),
    ],
)
def test_a_search_finds_title_structure_modality_and_network(model_list, library, text, found):
    rows = model_list.rows(library)
    if "unet" in text:
        text = text.replace("unet", library.get("tiny-liver").card.network.name)
    assert {row.id for row in model_list.search(rows, text)} == found


def test_of_several_versions_the_newest_is_listed(model_list, library, tmp_path):
    newer = write_tiny_package(tmp_path / "newer.ganseg", version="2.0.0")
    model_list.importModel(library, newer, confirmReplace=never)
    (row,) = [row for row in model_list.rows(library) if row.id == "tiny-liver"]
    assert (row.version, row.isShipped) == ("2.0.0", False)


# Details and pictures


def test_the_details_have_use_limits_and_provenance(model_list):
    package = ModelLibrary().get("liver-ct-supervised")
    html = model_list.details(package)
    for text in ("Intended use", "Limitations", "Trained on", "CC BY-NC-SA 4.0", "seed", "SHA-256", "Data source"):
        assert text in html
    assert html.count("<b>Measured</b>") == 1


def test_a_cards_words_are_no_markup(model_list, tmp_path):
    evil = "<script>alert(1)</script><img src=x> & co"
    path = write_tiny_package(tmp_path / "evil.ganseg", title=evil, intended_use=evil, limitations=evil, citation=evil)
    html = model_list.details(open_package(path))
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html
    assert "&amp; co" in html


LIVER = (221, 130, 101)


def colours(picture: Image.Image) -> set:
    return {colour for _, colour in picture.getcolors(1 << 16)}


def pixels(data: bytes) -> Image.Image:
    assert data.startswith(b"\x89PNG")
    return Image.open(BytesIO(data)).convert("RGB")


def test_the_thumbnail_is_the_packages_picture(model_list):
    package = ModelLibrary().get("liver-ct-supervised")
    picture = pixels(model_list.thumbnail(package, 64))
    assert picture.size == (64, 64)
    expected = Image.open(BytesIO(package.preview())).convert("RGB").resize((64, 64), Image.Resampling.LANCZOS)
    assert picture.getpixel((32, 32)) == pytest.approx(expected.getpixel((32, 32)), abs=3)


def test_a_model_without_a_picture_gets_a_drawn_one_in_its_own_colours(model_list, library):
    picture = pixels(model_list.thumbnail(library.get("tiny-liver"), 48))
    assert picture.size == (48, 48)
    assert LIVER in colours(picture)


@pytest.mark.parametrize("bad", [b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n" + bytes(200)])
def test_a_picture_that_cannot_be_read_is_drawn_too(model_list, library, bad):
    package = SimpleNamespace(preview=lambda: bad, labels=library.get("tiny-liver").labels)
    assert LIVER in colours(pixels(model_list.thumbnail(package, 64)))


# Import


def test_a_package_is_imported_with_its_steps_told(model_list, library, tmp_path):
    path = write_tiny_package(tmp_path / "Häser 肝" / "neu.ganseg", id="new-liver")
    told = []
    package = model_list.importModel(
        library, path, confirmReplace=never, report=lambda done, total, what: told.append((done, total, what))
    )
    assert package.path == library.user / "new-liver-1.0.0.ganseg"
    assert [done for done, _, _ in told] == [0, 1, 2, 3]
    assert {total for _, total, _ in told} == {3}
    assert "new-liver" in [row.id for row in model_list.rows(library)]


def test_a_folder_is_imported_too(model_list, library, tmp_path):
    folder = write_tiny_package(tmp_path / "unpacked", id="new-liver")
    assert folder.is_dir()
    assert model_list.importModel(library, folder, confirmReplace=never).card.id == "new-liver"


def test_importing_needs_no_torch_in_the_application(tmp_path):
    path = write_tiny_package(tmp_path / "new.ganseg", id="new-liver")
    program = f"""
import sys
sys.path[:0] = [{str(PROJECT)!r}, {str(PROJECT / "GANSegmentation")!r}]
from Testing.slicer_host import application
application.start()
from GANSegmentationPanel import model_list
from GANSegmentationLib.models import ModelLibrary
library = ModelLibrary(user={str(tmp_path / "user")!r})
model_list.importModel(library, {str(path)!r}, confirmReplace=None)
assert len(model_list.rows(library)) >= 1
assert "torch" not in sys.modules and "safetensors" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_same_model_again_is_no_question(model_list, library, tmp_path):
    path = write_tiny_package(tmp_path / "new.ganseg", id="new-liver")
    first = model_list.importModel(library, path, confirmReplace=never)
    assert model_list.importModel(library, path, confirmReplace=never).path == first.path


@pytest.mark.parametrize("answer", [True, False])
def test_other_contents_of_the_same_version_replace_only_after_a_yes(model_list, library, tmp_path, answer):
    old = write_tiny_package(tmp_path / "old.ganseg", id="new-liver", title="Old")
    new = write_tiny_package(tmp_path / "new.ganseg", id="new-liver", title="New")
    model_list.importModel(library, old, confirmReplace=never)
    asked = []
    result = model_list.importModel(library, new, confirmReplace=lambda text: asked.append(text) or answer)
    assert len(asked) == 1
    assert "new-liver 1.0.0" in asked[0]
    assert (result is None) is not answer
    assert library.get("new-liver").card.title == ("New" if answer else "Old")


def test_a_bad_package_is_refused_with_its_reason_and_leaves_nothing(model_list, library, tmp_path):
    whole = write_tiny_package(tmp_path / "whole.ganseg", id="new-liver")
    (tmp_path / "cut.ganseg").write_bytes(whole.read_bytes()[:-40])
    (tmp_path / "notes.txt").write_text("no model")
    before = sorted(library.user.iterdir()) if library.user.is_dir() else []
    reasons = {
        name: refused(model_list.importModel, library, tmp_path / name, confirmReplace=never)
        for name in ("cut.ganseg", "notes.txt", "absent.ganseg")
    }
    assert {name: error.code for name, error in reasons.items()} == {
        "cut.ganseg": "package_damaged",
        "notes.txt": "not_a_package",
        "absent.ganseg": "package_not_found",
    }
    assert all(error.message and error.action for error in reasons.values())
    assert (sorted(library.user.iterdir()) if library.user.is_dir() else []) == before


def test_a_broken_package_in_the_folder_is_named_with_its_reason(model_list, library):
    library.user.mkdir()
    (library.user / "kaputt.ganseg").write_bytes(b"PK no zip")
    ((name, reason),) = model_list.brokenModels(library)
    assert name == "kaputt.ganseg"
    assert reason
    assert len(model_list.rows(library)) == 3


@pytest.mark.parametrize(
    ("url", "platform", "path"),
    [
        (f"{FILE}/srv/ann/liver.ganseg", "linux", "/srv/ann/liver.ganseg"),
        (f"{FILE}/srv/ann/Leber%20f%C3%BCr%20%E8%82%9D%23%25.ganseg", "linux", "/srv/ann/Leber für 肝#%.ganseg"),
        (f"{FILE}localhost/srv/a.ganseg", "linux", "/srv/a.ganseg"),
        (f"{FILE}/D:/Leute/J%C3%B6rg/a.ganseg", "win32", "D:\\Leute\\Jörg\\a.ganseg"),
        (f"{FILE}nas/share/a.ganseg", "win32", "\\\\nas\\share\\a.ganseg"),
    ],
)
def test_what_is_dropped_keeps_every_character_of_its_name(model_list, url, platform, path):
    assert model_list.pathsOfUrls([url], platform) == [path]


def test_what_python_calls_a_file_can_be_dropped(model_list, library, tmp_path):
    path = write_tiny_package(tmp_path / "Häser # 肝 100%" / "neu.ganseg", id="new-liver")
    (found,) = model_list.pathsOfUrls([path.as_uri()])
    assert model_list.importModel(library, found, confirmReplace=never).card.id == "new-liver"


def test_an_address_of_the_web_is_refused(model_list):
    assert refused(model_list.pathsOfUrls, ["https://example.org/a.ganseg"]).code == "not_a_file"


# Removal and the place on the disk


def test_an_imported_model_is_removed_and_a_shipped_one_never(model_list, library, tmp_path):
    model_list.importModel(library, write_tiny_package(tmp_path / "n.ganseg", id="new-liver"), confirmReplace=never)
    rows = {row.id: row for row in model_list.rows(library)}
    assert model_list.cannotRemove(rows["new-liver"]) == ""
    assert "part of the extension" in model_list.cannotRemove(rows["tiny-liver"])
    assert model_list.cannotRemove(None)
    assert len(model_list.removeModel(library, rows["new-liver"])) == 1
    assert refused(model_list.removeModel, library, rows["tiny-liver"]).code == "model_is_shipped"
    assert (library.shipped / "tiny-liver.ganseg").is_file()
    assert {row.id for row in model_list.rows(library)} == {"tiny-liver", "liver-two", "leber-mr"}


def test_the_place_and_its_size_are_told(model_list, library, tmp_path):
    assert model_list.cacheSummary(library) == f"0 imported models, 0 kB, in {library.user}"
    package = model_list.importModel(
        library, write_tiny_package(tmp_path / "n.ganseg", id="new-liver"), confirmReplace=never
    )
    (library.user / "notes.txt").write_text("x" * 5000)
    size = model_list.sizeText(package.path.stat().st_size)
    assert model_list.cacheSummary(library) == f"1 imported models, {size}, in {library.user}"


@pytest.mark.parametrize("answer", [True, False])
def test_clearing_asks_and_removes_nothing_but_imported_packages(model_list, library, tmp_path, answer):
    for name in ("new-one", "new-two"):
        path = write_tiny_package(tmp_path / f"{name}.ganseg", id=name)
        model_list.importModel(library, path, confirmReplace=never)
    (library.user / "notes.txt").write_text("mine")
    asked = []
    removed = model_list.clearCache(library, lambda text: asked.append(text) or answer)
    assert "2 imported models" in asked[0]
    assert len(removed) == (2 if answer else 0)
    assert (library.user / "notes.txt").read_text() == "mine"
    assert len(library.user_files()) == (0 if answer else 2)
    assert len(model_list.rows(library)) == (3 if answer else 5)


def test_clearing_nothing_asks_nobody(model_list, library):
    assert model_list.clearCache(library, never) == []


def test_the_folder_is_made_before_it_is_shown(model_list, library):
    shown = []
    model_list.openCache(library, shown.append)
    assert shown == [str(library.user)]
    assert library.user.is_dir()
    shutil.rmtree(library.user)
    library.user.write_text("a file in the way")
    assert refused(model_list.openCache, library, shown.append).code == "folder_not_made"


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 kB"), (999_000, "999 kB"), (10_898_392, "10.9 MB"), (2_147_483_648, "2.15 GB")]
)
def test_sizes_are_for_people(model_list, size, text):
    assert model_list.sizeText(size) == text
