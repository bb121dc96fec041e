"""The library lists what is usable, says why the rest is not, and never loses a package."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import Card, ModelLibrary, open_package, user_models_folder, write_package
from GANSegmentationLib.volumes import Segment

LIVER = Segment(1, "Liver", (221, 130, 101))


@pytest.fixture
def library(tmp_path: Path, card: Card, weights: Any) -> ModelLibrary:
    """One shipped model, and an empty place for the user's."""
    write_package(tmp_path / "shipped" / "liver-ct.ganseg", card, weights, (LIVER,))
    return ModelLibrary(shipped=tmp_path / "shipped", user=tmp_path / "user")


@pytest.fixture
def pack(tmp_path: Path, card: Card, weights: Any) -> Any:
    """Packs a variant of the card somewhere."""

    def make(name: str = "other.ganseg", *, date: str = "2026-01-02", **changes: Any) -> Path:
        training = dataclasses.replace(card.training, date=date)
        changed = dataclasses.replace(card, training=training, **changes)
        return write_package(tmp_path / "downloads" / name, changed, weights, (LIVER,))

    return make


def code_of(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(GANSegmentationError) as caught:
        call(*arguments, **named)
    return caught.value.code


class TestFinding:
    def test_shipped_and_imported_models_are_listed(self, library: ModelLibrary, pack: Any) -> None:
        library.import_package(pack(id="spleen-ct", title="Spleen, CT", default_for=()))
        assert [package.card.id for package in library.list()] == ["liver-ct", "spleen-ct"]
        assert library.broken() == []

    def test_folders_are_packages_too_and_other_files_are_not(self, library: ModelLibrary, pack: Any) -> None:
        shutil.copytree(pack("folder", id="liver-mr"), library.user / "liver-mr")
        (library.user / "README.txt").write_text("mine")
        (library.user / ".liver.ganseg.part").write_bytes(b"half")
        (library.user / "notes").mkdir()
        assert {package.card.id for package in library.list()} == {"liver-ct", "liver-mr"}
        assert library.broken() == []

    def test_a_broken_package_is_listed_with_its_reason_and_disturbs_nobody(self, library: ModelLibrary) -> None:
        library.user.mkdir()
        (library.user / "cut.ganseg").write_bytes((library.shipped / "liver-ct.ganseg").read_bytes()[:-50])
        assert [package.card.id for package in library.list()] == ["liver-ct"]
        ((path, error),) = library.broken()
        assert path.name == "cut.ganseg"
        assert error.code == "package_damaged"
        assert code_of(library.get, "cut") == "package_damaged"

    def test_the_newest_version_is_taken_by_number(self, library: ModelLibrary, pack: Any) -> None:
        for version in ("1.9.0", "1.10.0"):
            library.import_package(pack(version=version))
        assert library.get("liver-ct").card.version == "1.10.0"
        assert library.get("liver-ct", "1.9.0").card.version == "1.9.0"
        assert [package.card.version for package in library.list()] == ["1.10.0", "1.9.0", "1.0.0"]

    def test_an_unknown_model_is_said_with_what_there_is(self, library: ModelLibrary) -> None:
        with pytest.raises(GANSegmentationError) as caught:
            library.get("livr-ct")
        assert caught.value.code == "unknown_model"
        assert "liver-ct (CT)" in caught.value.action

    def test_a_changed_file_is_noticed(self, library: ModelLibrary) -> None:
        assert len(library.list()) == 1
        path = library.shipped / "liver-ct.ganseg"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        assert library.list() == []
        assert len(library.broken()) == 1

    def test_packages_are_not_read_again_while_they_stay(self, library: ModelLibrary) -> None:
        (first,) = library.list()
        (second,) = library.list()
        assert first is second

    def test_the_library_of_the_program_can_be_listed(self, tmp_path: Path) -> None:
        library = ModelLibrary(user=tmp_path)
        assert library.shipped.name == "Models"
        assert library.broken() == []


class TestChoosing:
    def test_a_default_wins_over_a_newer_model(self, library: ModelLibrary, pack: Any) -> None:
        library.import_package(pack(id="liver-ct-plain", default_for=(), date="2026-06-01"))
        assert library.choose("CT").card.id == "liver-ct"

    def test_the_newest_of_several_defaults_is_chosen(self, library: ModelLibrary, pack: Any) -> None:
        library.import_package(pack(id="liver-ct-next", date="2026-06-01"))
        library.import_package(pack(id="aaa-liver", version="9.0.0", date="2025-06-01"))
        assert library.choose("CT").card.id == "liver-ct-next"

    def test_a_model_for_the_modality_will_do_without_a_default(self, library: ModelLibrary, pack: Any) -> None:
        library.import_package(pack(id="liver-mr", modalities=("MR",), default_for=()))
        assert library.choose("MR").card.id == "liver-mr"

    def test_another_modality_is_refused_with_what_there_is(self, library: ModelLibrary) -> None:
        with pytest.raises(GANSegmentationError) as caught:
            library.choose("MR")
        assert caught.value.code == "no_model"
        assert "MR" in caught.value.message
        assert "liver-ct (CT)" in caught.value.action
        assert library.choose("MR", any_modality=True).card.id == "liver-ct"

    def test_an_unknown_modality_takes_the_only_default(self, library: ModelLibrary, pack: Any) -> None:
        library.import_package(pack(id="liver-ct-plain", default_for=()))
        assert library.choose(None).card.id == "liver-ct"

    def test_an_unknown_modality_does_not_guess_between_defaults(self, library: ModelLibrary, pack: Any) -> None:
        library.import_package(pack(id="liver-mr", modalities=("MR",), default_for=("MR",)))
        assert code_of(library.choose, None) == "modality_unknown"

    def test_an_empty_library_says_so(self, tmp_path: Path) -> None:
        library = ModelLibrary(shipped=tmp_path / "none", user=tmp_path / "nothing")
        assert code_of(library.choose, "CT") == "no_model"
        assert code_of(library.choose, None) == "no_model"


class TestTasks:
    def test_models_that_make_pictures_are_listed_but_never_chosen(self, library: ModelLibrary, pack: Any) -> None:
        maker = pack(id="liver-maker", task="synthesis", default_for=(), date="2030-01-01")
        library.import_package(maker)
        assert {package.card.id for package in library.list()} == {"liver-ct", "liver-maker"}
        assert [package.card.id for package in library.list("segmentation")] == ["liver-ct"]
        assert [package.card.id for package in library.list("synthesis")] == ["liver-maker"]
        assert library.choose("CT").card.id == "liver-ct"
        assert library.choose(None).card.id == "liver-ct"
        assert library.get("liver-maker").card.task == "synthesis"

    def test_a_library_of_picture_makers_has_no_model_to_segment_with(
        self, library: ModelLibrary, pack: Any, tmp_path: Path
    ) -> None:
        only = ModelLibrary(shipped=tmp_path / "none", user=tmp_path / "mine")
        only.import_package(pack(task="synthesis", default_for=()))
        assert code_of(only.choose, "CT") == "no_model"
        assert code_of(only.choose, None) == "no_model"


class TestImporting:
    @pytest.mark.parametrize("name", ["a.ganseg", "folder"])
    def test_a_package_is_copied_under_its_own_name(self, library: ModelLibrary, pack: Any, name: str) -> None:
        source = pack(name, version="2.0.0")
        package = library.import_package(source)
        assert package.path == library.user / "liver-ct-2.0.0.ganseg"
        shutil.rmtree(source.parent)
        assert library.get("liver-ct").card.version == "2.0.0"
        package.verify()

    def test_the_same_version_twice_is_refused_unless_it_is_to_be_replaced(
        self, library: ModelLibrary, pack: Any
    ) -> None:
        assert code_of(library.import_package, pack("same.ganseg")) == "model_exists"
        other = pack("changed.ganseg", title="Changed")
        with pytest.raises(GANSegmentationError) as caught:
            library.import_package(other)
        assert caught.value.code == "model_exists"
        assert "other contents" in caught.value.cause
        assert library.import_package(other, replace=True).card.title == "Changed"
        assert library.get("liver-ct").card.title == "Changed"
        assert library.import_package(pack("again.ganseg", title="Again"), replace=True).card.title == "Again"

    def test_a_bad_package_is_not_imported(self, library: ModelLibrary, forge: Any, files: dict[str, bytes]) -> None:
        fields = json.loads(files["card.json"])
        fields["network"]["name"] = "unheard_of"
        path = forge({"card.json": json.dumps(fields).encode()})
        assert code_of(library.import_package, path) == "unknown_network"
        assert not library.user.exists()

    def test_weights_of_another_network_are_not_imported(
        self, library: ModelLibrary, tmp_path: Path, card: Card, weights: Any
    ) -> None:
        few = dict(list(weights.items())[:3])
        other = write_package(tmp_path / "x.ganseg", dataclasses.replace(card, version="2.0.0"), few, (LIVER,))
        assert code_of(library.import_package, other) == "invalid_weights"
        assert not library.user.exists()

    def test_nothing_is_left_where_the_disk_refuses(self, library: ModelLibrary, pack: Any) -> None:
        library.user.write_text("a file where the folder should be")
        assert code_of(library.import_package, pack(version="2.0.0")) == "package_unwritable"


class TestKeeping:
    def test_verify_finds_a_change_that_listing_cannot_see(self, library: ModelLibrary) -> None:
        library.verify("liver-ct")
        path = library.shipped / "liver-ct.ganseg"
        status = path.stat()
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        with pytest.raises(GANSegmentationError):
            library.verify("liver-ct")

    def test_only_the_users_models_are_removed(self, library: ModelLibrary, pack: Any) -> None:
        assert code_of(library.remove, "liver-ct") == "model_is_shipped"
        library.import_package(pack(version="2.0.0"))
        library.import_package(pack(version="3.0.0"))
        removed = library.remove("liver-ct", "2.0.0")
        assert [path.name for path in removed] == ["liver-ct-2.0.0.ganseg"]
        assert [path.name for path in library.remove("liver-ct")] == ["liver-ct-3.0.0.ganseg"]
        assert [package.path.parent for package in library.list()] == [library.shipped]
        assert code_of(library.remove, "nothing") == "unknown_model"

    def test_a_broken_package_is_removed_by_its_file_name(self, library: ModelLibrary) -> None:
        library.user.mkdir()
        (library.user / "cut.ganseg").write_bytes(b"PK")
        library.remove("cut")
        assert library.broken() == []

    def test_a_folder_is_removed_whole(self, library: ModelLibrary, pack: Any) -> None:
        shutil.copytree(pack("folder", id="liver-mr"), library.user / "liver-mr")
        library.remove("liver-mr")
        assert list(library.user.iterdir()) == []
        assert open_package(library.shipped / "liver-ct.ganseg").card.id == "liver-ct"


class TestUserFolder:
    def test_the_variable_decides(self) -> None:
        assert user_models_folder({"GANSEG_MODELS": "/data/models"}) == Path("/data/models")

    def test_the_library_takes_it(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("GANSEG_MODELS", str(tmp_path / "mine"))
        assert ModelLibrary(shipped=tmp_path).user == tmp_path / "mine"

    @pytest.mark.parametrize(
        ("platform", "environment", "expected"),
        [
            ("linux", {"XDG_DATA_HOME": "/xdg"}, "/xdg/GANSegmentation/Models"),
            ("linux", {"XDG_DATA_HOME": "relative"}, "~/.local/share/GANSegmentation/Models"),
            ("linux", {}, "~/.local/share/GANSegmentation/Models"),
            ("darwin", {}, "~/Library/Application Support/GANSegmentation/Models"),
            ("win32", {"LOCALAPPDATA": "/local"}, "/local/GANSegmentation/Models"),
            ("win32", {}, "~/AppData/Local/GANSegmentation/Models"),
        ],
    )
    def test_each_platform_has_its_place(self, platform: str, environment: dict[str, str], expected: str) -> None:
        assert user_models_folder(environment, platform) == Path(expected).expanduser()


class TestTheUsersFolder:
    def test_its_size_is_that_of_its_packages(self, library: ModelLibrary, pack: Any) -> None:
        assert (library.user_files(), library.user_bytes()) == ([], 0)
        first = library.import_package(pack(id="spleen-ct")).path
        shutil.copytree(pack("folder", id="liver-mr"), library.user / "liver-mr")
        (library.user / "README.txt").write_text("mine")
        expected = first.stat().st_size + sum(file.stat().st_size for file in (library.user / "liver-mr").iterdir())
        assert library.user_bytes() == expected
        assert {path.name for path in library.user_files()} == {first.name, "liver-mr"}

    def test_clearing_removes_packages_whole_or_broken_and_nothing_else(self, library: ModelLibrary, pack: Any) -> None:
        library.import_package(pack(id="spleen-ct"))
        shutil.copytree(pack("folder", id="liver-mr"), library.user / "liver-mr")
        (library.user / "cut.ganseg").write_bytes(b"no zip")
        (library.user / "README.txt").write_text("mine")
        assert len(library.clear()) == 3
        assert [path.name for path in library.user.iterdir()] == ["README.txt"]
        assert [package.card.id for package in library.list()] == ["liver-ct"]

    def test_clearing_does_not_follow_links(self, library: ModelLibrary, pack: Any, tmp_path: Path) -> None:
        elsewhere = pack("elsewhere", id="liver-mr")
        library.user.mkdir()
        (library.user / "liver-mr").symlink_to(elsewhere, target_is_directory=True)
        assert library.user_bytes() == 0
        library.clear()
        assert (elsewhere / "card.json").is_file()

    def test_shipped_and_imported_are_told_apart(self, library: ModelLibrary, pack: Any) -> None:
        imported = library.import_package(pack(id="spleen-ct"))
        assert not library.is_shipped(imported)
        assert library.is_shipped(library.get("liver-ct"))

    def test_a_library_whose_folders_are_one_has_nothing_to_clear(self, library: ModelLibrary) -> None:
        both = ModelLibrary(shipped=library.shipped, user=library.shipped)
        assert both.clear() == []
        assert len(both.list()) == 1


class TestImportingWithoutTorch:
    def test_a_network_that_is_not_asked_about_is_found_wrong_by_the_first_run_only(
        self, library: ModelLibrary, pack: Any, card: Card
    ) -> None:
        network = dataclasses.replace(card.network, config={**card.network.config, "in_channels": 7})
        with pytest.raises(GANSegmentationError):
            pack("strange.ganseg", id="strange", network=network)
        source = pack("whole", id="strange")
        text = (source / "card.json").read_text(encoding="utf-8")
        fields = json.loads(text)
        fields["network"]["config"]["in_channels"] = 7
        (source / "card.json").write_text(json.dumps(fields), encoding="utf-8")
        assert code_of(library.import_package, source) == "invalid_card"
        assert library.import_package(source, check_network=False).card.id == "strange"

    def test_everything_else_is_checked_all_the_same(self, library: ModelLibrary, pack: Any) -> None:
        source = pack("whole", id="strange")
        (source / "labels.csv").write_text("LabelValue,Name\n", encoding="utf-8")
        assert code_of(library.import_package, source, check_network=False) == "package_tampered"
        assert library.user_files() == []

    def test_the_steps_are_told_in_order(self, library: ModelLibrary, pack: Any) -> None:
        told: list[tuple[int, int, str]] = []
        library.import_package(pack(id="spleen-ct"), report=lambda *step: told.append(step))
        assert told == [(0, 3, "read"), (1, 3, "check"), (2, 3, "copy"), (3, 3, "done")]
