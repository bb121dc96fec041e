"""Packages come back as they were written, and a bad one is refused with its reason."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import pickle
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import (
    Card,
    DiscriminatorSpec,
    NetworkSpec,
    describe,
    metric_text,
    open_package,
    write_package,
)
from GANSegmentationLib.models import weights as weight_file
from GANSegmentationLib.volumes import Segment
from Testing.models.conftest import CONFIG

LIVER = Segment(1, "Liver", (221, 130, 101))


def refusal(path: Path, code: str, *said: str) -> GANSegmentationError:
    """Opening fails with this code and a text that has these words."""
    with pytest.raises(GANSegmentationError) as caught:
        open_package(path)
    assert caught.value.code == code, str(caught.value)
    for words in said:
        assert words in str(caught.value)
    return caught.value


class TestRoundTrip:
    @pytest.mark.parametrize("name", ["a.ganseg", "a.zip", "folder", "liver-1.0.0"])
    def test_what_was_written_is_read(self, tmp_path: Path, card: Card, weights: Any, png: bytes, name: str) -> None:
        path = write_package(tmp_path / "new" / name, card, weights, (LIVER,), png)
        assert path.is_file() == name.endswith((".ganseg", ".zip"))
        package = open_package(path)
        assert package.path == path
        assert dataclasses.replace(package.card, files={}) == card
        assert [segment.name for segment in package.labels] == ["Liver"]
        assert package.preview() == png
        read = package.weights()
        assert set(read) == set(weights)
        for key, array in weights.items():
            assert read[key].dtype == array.dtype
            assert read[key].shape == array.shape
            np.testing.assert_array_equal(read[key], array)
        package.verify()

    def test_half_precision_is_kept(self, tmp_path: Path, card: Card, weights: Any) -> None:
        path = write_package(tmp_path / "a.ganseg", card, weights, (LIVER,))
        assert {array.dtype for array in open_package(path).weights().values()} == {np.dtype(np.float16), np.dtype(int)}

    def test_views_and_big_endian_arrays_are_stored_by_value(self, tmp_path: Path, card: Card, weights: Any) -> None:
        turned = {
            name: np.asfortranarray(array).astype(array.dtype.newbyteorder(">")) for name, array in weights.items()
        }
        path = write_package(tmp_path / "a.ganseg", card, turned, (LIVER,))
        for name, array in open_package(path).weights().items():
            np.testing.assert_array_equal(array, weights[name])

    def test_terminology_of_the_labels_survives(self, package_file: Path) -> None:
        (liver,) = open_package(package_file).labels
        assert liver.type is not None
        assert liver.type.value == "10200004"

    def test_a_package_without_preview_has_none(self, tmp_path: Path, card: Card, weights: Any) -> None:
        package = open_package(write_package(tmp_path / "a.ganseg", card, weights, (LIVER,)))
        assert package.preview() is None

    def test_the_same_model_gives_the_same_bytes(self, tmp_path: Path, card: Card, weights: Any, png: bytes) -> None:
        first = write_package(tmp_path / "a.ganseg", card, weights, (LIVER,), png)
        backwards = dict(reversed(list(weights.items())))
        second = write_package(tmp_path / "b.ganseg", card, backwards, (LIVER,), png)
        os.utime(first, (0, 0))
        assert first.read_bytes() == second.read_bytes()
        with zipfile.ZipFile(first) as archive:
            entries = archive.infolist()
        assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}

    def test_a_repacked_and_compressed_zip_is_read(self, tmp_path: Path, files: dict[str, bytes]) -> None:
        path = tmp_path / "mine.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        open_package(path).verify()

    def test_a_folder_may_have_what_desktops_leave_in_it(self, forge: Any) -> None:
        path = forge({".DS_Store": b"x", "Thumbs.db": b"x"}, folder=True)
        assert open_package(path).card.id == "liver-ct"

    def test_the_description_answers_what_users_ask(self, package_file: Path) -> None:
        words = dict(describe(open_package(package_file)))
        assert words["Finds"] == "Liver"
        assert words["Measured"] == "Dice 0.95 (95 % CI 0.94 to 0.96; n = 5; LiTS, validation; per patient)"
        assert "CC BY-NC-ND 4.0" in words["Trained on"]
        assert words["Weights' licence"] == "CC-BY-NC-SA-4.0"
        assert "Cite" not in words

    @pytest.mark.parametrize(
        ("unit", "said"), [("1", "0.95 ("), ("", "0.95 ("), ("mm", "0.95 mm (95 % CI 0.94 to 0.96 mm;")]
    )
    def test_figures_have_their_unit(self, card: Card, unit: str, said: str) -> None:
        assert said in metric_text(dataclasses.replace(card.metrics[0], unit=unit))


class TestDiscriminator:
    @pytest.fixture
    def reviewed(self, tmp_path: Path, reviewed_card: Card, weights: Any, discriminator_weights: Any) -> Path:
        return write_package(
            tmp_path / "r.ganseg", reviewed_card, weights, (LIVER,), discriminator_weights=discriminator_weights
        )

    def test_a_package_may_carry_the_network_that_judges_it(self, reviewed: Path, discriminator_weights: Any) -> None:
        package = open_package(reviewed)
        package.verify()
        read = package.discriminator_weights()
        assert read is not None and read.keys() == discriminator_weights.keys()
        for name, array in discriminator_weights.items():
            np.testing.assert_array_equal(read[name], array)
        assert package.size_bytes > sum(array.nbytes for array in read.values())

    def test_most_packages_have_none(self, package_file: Path) -> None:
        assert open_package(package_file).discriminator_weights() is None

    def test_it_is_copied_with_the_package(self, reviewed: Path) -> None:
        assert "discriminator.safetensors" in open_package(reviewed).files()

    def test_its_weights_are_read_when_they_are_asked_for(
        self, reviewed: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        decoded: list[str] = []
        real = weight_file.decode
        monkeypatch.setattr(
            weight_file, "decode", lambda data, file="model.safetensors": decoded.append(file) or real(data, file)
        )
        package = open_package(reviewed)
        package.weights()
        assert decoded == ["model.safetensors"]
        package.discriminator_weights()
        assert decoded[-1] == "discriminator.safetensors"

    def test_the_description_names_it_and_what_sorts_slices(self, reviewed: Path) -> None:
        words = dict(describe(open_package(reviewed)))
        assert words["Discriminator"].startswith("patch70")
        assert "0.41 (95 % CI 0.20 to 0.55; n = 6 patients; LiTS, validation)" in words["Slices to review"]

    @pytest.mark.parametrize("named", [True, False])
    def test_card_and_file_go_together(
        self, tmp_path: Path, card: Card, reviewed_card: Card, weights: Any, discriminator_weights: Any, named: bool
    ) -> None:
        with pytest.raises(GANSegmentationError, match="do not agree") as caught:
            write_package(
                tmp_path / "a.ganseg",
                reviewed_card if named else card,
                weights,
                (LIVER,),
                discriminator_weights=None if named else discriminator_weights,
            )
        assert caught.value.code == "invalid_card" and not list(tmp_path.iterdir())

    def test_a_tampered_or_missing_file_is_refused(self, reviewed: Path, tmp_path: Path) -> None:
        folder = tmp_path / "unpacked"
        with zipfile.ZipFile(reviewed) as archive:
            archive.extractall(folder)
        file = folder / "discriminator.safetensors"
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
        refusal(folder, "package_tampered", "discriminator.safetensors")
        file.unlink()
        refusal(folder, "package_incomplete", "discriminator.safetensors")

    def test_a_pickle_in_its_place_is_never_run(self, reviewed: Path, tmp_path: Path) -> None:
        witness, folder = tmp_path / "ran", tmp_path / "unpacked"
        with zipfile.ZipFile(reviewed) as archive:
            archive.extractall(folder)
        data = pickle.dumps(_Touch(str(witness)))
        (folder / "discriminator.safetensors").write_bytes(data)
        fields = json.loads((folder / "card.json").read_text())
        digest = hashlib.sha256(data).hexdigest()
        fields["files"]["discriminator.safetensors"] = {"sha256": digest, "bytes": len(data)}
        (folder / "card.json").write_text(json.dumps(fields))
        refusal(folder, "invalid_weights", "discriminator.safetensors is a Python pickle")
        assert not witness.exists()

    @pytest.mark.parametrize(
        ("spec", "said"),
        [
            (("pix2pix_modern", {}, "pair"), "gives no score of a mask"),
            (("patch70", {}, "mask"), "discriminator.sees is 'mask', but patch70 sees 'pair'"),
            (("patch70", {"widht": 3}, "pair"), "discriminator.config"),
        ],
    )
    def test_a_network_that_cannot_judge_is_refused(
        self, tmp_path: Path, card: Card, weights: Any, discriminator_weights: Any, spec: Any, said: str
    ) -> None:
        wrong = dataclasses.replace(card, discriminator=DiscriminatorSpec(*spec))
        with pytest.raises(GANSegmentationError) as caught:
            write_package(tmp_path / "a.ganseg", wrong, weights, (LIVER,), discriminator_weights=discriminator_weights)
        assert caught.value.code == "invalid_card" and said in caught.value.message

    def test_verify_finds_weights_of_another_discriminator(
        self, tmp_path: Path, reviewed_card: Card, weights: Any, discriminator_weights: Any
    ) -> None:
        few = dict(list(discriminator_weights.items())[1:])
        package = open_package(
            write_package(tmp_path / "a.ganseg", reviewed_card, weights, (LIVER,), discriminator_weights=few)
        )
        with pytest.raises(GANSegmentationError, match=r"discriminator\.safetensors does not fit the network patch70"):
            package.verify()

    def test_a_model_that_makes_pictures_names_what_goes_in(self, tmp_path: Path, card: Card, weights: Any) -> None:
        maker = dataclasses.replace(
            card, task="synthesis", default_for=(), network=NetworkSpec("pix2pix_modern", {**CONFIG, "in_channels": 2})
        )
        labels = (LIVER, Segment(7, "Vessel", (1, 2, 3)))
        package = open_package(write_package(tmp_path / "a.ganseg", maker, weights, labels))
        assert dict(describe(package))["Makes pictures from masks of"] == "Liver, Vessel"


class TestRefusal:
    def test_nothing_there(self, tmp_path: Path) -> None:
        refusal(tmp_path / "none.ganseg", "package_not_found", "none.ganseg")

    @pytest.mark.parametrize("content", [b"", b"PK", b"\x89PNG\r\n\x1a\n" + bytes(100)])
    def test_no_zip(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "other.ganseg"
        path.write_bytes(content)
        refusal(path, "not_a_package", "other.ganseg")

    def test_every_truncation_of_a_zip(self, package_file: Path) -> None:
        whole = package_file.read_bytes()
        for length in (40, len(whole) // 2, len(whole) - 30, len(whole) - 1):
            package_file.write_bytes(whole[:length])
            refusal(package_file, "package_damaged", package_file.name, "not downloaded or copied whole")

    def test_a_flipped_bit_in_a_zip(self, package_file: Path, files: dict[str, bytes]) -> None:
        data = bytearray(package_file.read_bytes())
        place = data.index(files["model.safetensors"]) + len(files["model.safetensors"]) - 5
        data[place] ^= 1
        package_file.write_bytes(data)
        refusal(package_file, "package_damaged", "model.safetensors")

    @pytest.mark.parametrize("folder", [False, True])
    @pytest.mark.parametrize("name", ["card.json", "labels.csv", "model.safetensors", "preview.png"])
    def test_a_missing_file(self, forge: Any, name: str, folder: bool) -> None:
        refusal(forge({name: None}, folder=folder), "package_incomplete", name)

    @pytest.mark.parametrize("folder", [False, True])
    @pytest.mark.parametrize("name", ["run.py", "model.pt", "card.json.bak"])
    def test_an_extra_file(self, forge: Any, name: str, folder: bool) -> None:
        refusal(forge({name: b"x"}, folder=folder), "package_unknown_file", name)

    def test_a_known_file_that_the_card_does_not_mention(self, forge: Any, files: dict[str, bytes]) -> None:
        fields = json.loads(files["card.json"])
        del fields["files"]["preview.png"]
        refusal(forge({"card.json": json.dumps(fields).encode()}), "package_unknown_file", "preview.png")

    def test_a_card_that_does_not_mention_the_weights(self, forge: Any, files: dict[str, bytes]) -> None:
        fields = json.loads(files["card.json"])
        del fields["files"]["model.safetensors"]
        refusal(forge({"card.json": json.dumps(fields).encode()}), "package_incomplete", "model.safetensors")

    def test_a_folder_in_a_folder(self, forge: Any) -> None:
        path = forge({}, folder=True)
        (path / "more").mkdir()
        refusal(path, "package_unknown_file", "more")

    def test_a_zip_of_the_folder_itself(self, tmp_path: Path, files: dict[str, bytes]) -> None:
        path = tmp_path / "zipped.ganseg"
        with zipfile.ZipFile(path, "w") as archive:
            for name, data in files.items():
                archive.writestr(f"liver/{name}", data)
        refusal(path, "package_unknown_file", "liver", "without the folder")

    def test_a_file_that_is_there_twice(self, package_file: Path) -> None:
        with zipfile.ZipFile(package_file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("card.json", "{}")
        refusal(package_file, "package_unknown_file", "card.json twice")

    @pytest.mark.parametrize(
        "name",
        ["../card.json", "a/../../x", "/etc/passwd", "..\\card.json", "\\\\host\\x", "C:\\x", "C:x", "card.json\0.png"],
    )
    def test_a_path_that_leaves_the_package(self, package_file: Path, name: str) -> None:
        stand_in = "N" * len(name)
        with zipfile.ZipFile(package_file, "a") as archive:
            archive.writestr(stand_in, b"x")
        # Put in place byte by byte, because zipfile mends some of these names when it writes them.
        package_file.write_bytes(package_file.read_bytes().replace(stand_in.encode(), name.encode()))
        refusal(package_file, "package_unsafe_path", "out of the package")

    def test_a_link_in_a_zip(self, package_file: Path, files: dict[str, bytes]) -> None:
        with zipfile.ZipFile(package_file, "w") as archive:
            for name, data in files.items():
                info = zipfile.ZipInfo(name)
                if name == "labels.csv":
                    info.create_system = 3
                    info.external_attr = (stat.S_IFLNK | 0o777) << 16
                    data = b"/etc/passwd"
                archive.writestr(info, data)
        refusal(package_file, "package_unsafe_path", "labels.csv is a link")

    def test_a_link_in_a_folder(self, forge: Any, tmp_path: Path, files: dict[str, bytes]) -> None:
        path = forge({"labels.csv": None}, folder=True)
        outside = tmp_path / "outside.csv"
        outside.write_bytes(files["labels.csv"])
        (path / "labels.csv").symlink_to(outside)
        refusal(path, "package_unsafe_path", "labels.csv is a link")

    def test_a_file_over_its_limit(self, forge: Any) -> None:
        refusal(forge({"labels.csv": bytes((1 << 20) + 1)}), "package_too_large", "labels.csv")

    def test_a_zip_bomb_by_its_declared_size(self, tmp_path: Path, files: dict[str, bytes]) -> None:
        path = tmp_path / "bomb.ganseg"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, bytes(80 << 20) if name == "model.safetensors" else data)
        assert path.stat().st_size < 1 << 20
        refusal(path, "package_too_large", "zip bomb", "model.safetensors")

    def test_a_zip_bomb_that_lies_about_its_size(self, tmp_path: Path, files: dict[str, bytes]) -> None:
        path = tmp_path / "bomb.ganseg"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, bytes(9 << 20) if name == "labels.csv" else data)
        small = (1000).to_bytes(4, "little")
        path.write_bytes(path.read_bytes().replace((9 << 20).to_bytes(4, "little"), small))
        with pytest.raises(GANSegmentationError) as caught:
            open_package(path)
        assert caught.value.code in ("package_damaged", "package_tampered")
        assert "labels.csv" in str(caught.value)

    def test_an_encrypted_zip(self, package_file: Path) -> None:
        data = bytearray(package_file.read_bytes())
        place = data.index(b"PK\x01\x02") + 8
        data[place] |= 1
        package_file.write_bytes(data)
        refusal(package_file, "package_unreadable", "encrypted")

    def test_another_schema(self, forge: Any, files: dict[str, bytes]) -> None:
        fields = {**json.loads(files["card.json"]), "schema": 7}
        refusal(forge({"card.json": json.dumps(fields).encode()}), "unsupported_schema", "7", "Update")

    def test_a_card_that_is_no_text(self, forge: Any) -> None:
        refusal(forge({"card.json": b"\xff\xfe\x00"}), "invalid_card", "card.json")

    def test_an_unknown_network(self, forge: Any, files: dict[str, bytes]) -> None:
        fields = json.loads(files["card.json"])
        fields["network"]["name"] = "transformer_of_tomorrow"
        path = forge({"card.json": json.dumps(fields).encode()})
        refusal(path, "unknown_network", "transformer_of_tomorrow", "pix2pix_modern")
        assert open_package(path, check_network=False).card.network.name == "transformer_of_tomorrow"

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"in_channels": 3, "classes": 1, "channels": [8, 16]}, "network.config.in_channels is 3"),
            ({"in_channels": 1, "classes": 1, "chanels": [8, 16]}, "chanels"),
        ],
    )
    def test_a_configuration_that_the_network_does_not_take(
        self, forge: Any, files: dict[str, bytes], config: dict[str, Any], said: str
    ) -> None:
        fields = json.loads(files["card.json"])
        fields["network"]["config"] = config
        refusal(forge({"card.json": json.dumps(fields).encode()}), "invalid_card", "network.config", said)

    def test_a_network_that_does_not_segment(self, forge: Any, files: dict[str, bytes]) -> None:
        fields = json.loads(files["card.json"])
        fields["network"] = {"name": "patch70", "config": {}}
        refusal(forge({"card.json": json.dumps(fields).encode()}), "invalid_card", "network.name", "patch70")

    def test_the_seeds_network_takes_one_grey_slice_for_its_three_channels(
        self, forge: Any, files: dict[str, bytes]
    ) -> None:
        fields = json.loads(files["card.json"])
        fields["network"] = {"name": "pix2pix_seed", "config": {"in_channels": 3, "out_channels": 3}}
        assert open_package(forge({"card.json": json.dumps(fields).encode()})).card.input_channels == 1

    def test_without_torch_the_network_is_not_asked_for(
        self, forge: Any, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        fields = json.loads(files["card.json"])
        fields["network"]["name"] = "transformer_of_tomorrow"
        path = forge({"card.json": json.dumps(fields).encode()})
        monkeypatch.setattr("GANSegmentationLib.models.fit.torch_installed", lambda: False)
        package = open_package(path)
        package.verify()

    @pytest.mark.parametrize(
        ("classes", "values"), [(1, [2]), (1, [1, 2]), (2, [1, 2]), (3, [1]), (3, [1, 3]), (4, [1, 2])]
    )
    def test_labels_that_are_not_the_networks_classes(
        self, tmp_path: Path, card: Card, weights: Any, classes: int, values: list[int]
    ) -> None:
        other = dataclasses.replace(card, network=NetworkSpec("pix2pix_modern", {"in_channels": 1, "classes": classes}))
        labels = [Segment(value, f"organ {value}", (9, 9, 9)) for value in values]
        with pytest.raises(GANSegmentationError) as caught:
            write_package(tmp_path / "a.ganseg", other, weights, labels)
        assert caught.value.code == "label_mismatch"
        assert "labels.csv" in caught.value.message
        assert str(values) in caught.value.message

    @pytest.mark.parametrize(("classes", "values"), [(1, [1]), (2, [1]), (4, [1, 2, 3])])
    def test_labels_that_are_the_networks_classes_pass(
        self, tmp_path: Path, card: Card, weights: Any, classes: int, values: list[int]
    ) -> None:
        other = dataclasses.replace(card, network=NetworkSpec("pix2pix_modern", {"in_channels": 1, "classes": classes}))
        labels = [Segment(value, f"organ {value}", (9, 9, 9)) for value in values]
        path = write_package(tmp_path / "a.ganseg", other, weights, labels)
        assert [segment.value for segment in open_package(path).labels] == values

    def test_a_table_of_labels_that_is_none(self, forge: Any) -> None:
        refusal(forge({"labels.csv": b"a,b\n1,2\n"}, describe=True), "invalid_labels", "labels.csv")

    @pytest.mark.parametrize("name", ["model.safetensors", "labels.csv", "preview.png"])
    @pytest.mark.parametrize("folder", [False, True])
    def test_a_tampered_file(self, forge: Any, files: dict[str, bytes], name: str, folder: bool) -> None:
        other = bytearray(files[name])
        other[-3] ^= 1
        refusal(forge({name: bytes(other)}, folder=folder), "package_tampered", name, "SHA-256")

    def test_a_truncated_file(self, forge: Any, files: dict[str, bytes]) -> None:
        data = files["model.safetensors"]
        path = forge({"model.safetensors": data[:-10]}, folder=True)
        refusal(path, "package_tampered", "model.safetensors", f"{len(data) - 10} bytes", str(len(data)))

    @pytest.mark.parametrize("describe", [False, True])
    def test_a_pickle_in_disguise_is_never_run(self, forge: Any, tmp_path: Path, describe: bool) -> None:
        witness = tmp_path / "ran"
        path = forge({"model.safetensors": pickle.dumps(_Touch(str(witness)))}, describe=describe)
        refusal(path, "invalid_weights", "model.safetensors", "pickle")
        assert not witness.exists()

    def test_a_torch_checkpoint_in_disguise(self, forge: Any, tmp_path: Path) -> None:
        import torch

        checkpoint = tmp_path / "model.pt"
        torch.save({"a": torch.zeros(3)}, checkpoint)
        path = forge({"model.safetensors": checkpoint.read_bytes()}, describe=True)
        refusal(path, "invalid_weights", "model.safetensors", "checkpoint")

    def test_a_preview_that_is_no_picture(self, forge: Any) -> None:
        refusal(forge({"preview.png": b"<svg/>"}, describe=True), "invalid_preview", "preview.png")


class _Touch:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (self.path, "w")


class TestLaterChanges:
    def test_weights_changed_after_opening_are_not_handed_out(self, forge: Any) -> None:
        path = forge({}, folder=True)
        package = open_package(path)
        weights = path / "model.safetensors"
        data = bytearray(weights.read_bytes())
        data[-1] ^= 1
        weights.write_bytes(data)
        with pytest.raises(GANSegmentationError) as caught:
            package.weights()
        assert caught.value.code == "package_tampered"

    def test_verify_finds_weights_that_are_not_finite(self, forge: Any, weights: Any) -> None:
        from safetensors.numpy import save

        name = next(name for name in weights if name.endswith("weight"))
        sick = {**weights, name: np.full_like(weights[name], np.nan)}
        package = open_package(forge({"model.safetensors": save(sick)}, describe=True))
        with pytest.raises(GANSegmentationError) as caught:
            package.verify()
        assert caught.value.code == "invalid_weights"
        assert name in caught.value.message

    def test_weights_that_are_not_finite_are_never_handed_out(self, forge: Any, weights: Any) -> None:
        from safetensors.numpy import save

        name = next(name for name in weights if name.endswith("weight"))
        sick = weights[name].copy()
        sick.flat[-1] = np.inf
        package = open_package(forge({"model.safetensors": save({**weights, name: sick})}, describe=True))
        with pytest.raises(GANSegmentationError, match=name) as caught:
            package.weights()
        assert caught.value.code == "invalid_weights"

    def test_verify_finds_weights_of_another_network(self, tmp_path: Path, card: Card, weights: Any) -> None:
        names = sorted(name for name in weights if name.endswith("weight"))
        wrong = {name: array for name, array in weights.items() if name != names[0]}
        wrong["stranger"] = np.zeros(3, np.float32)
        wrong[names[1]] = np.zeros((1, 2), np.float16)
        package = open_package(write_package(tmp_path / "a.ganseg", card, wrong, (LIVER,)))
        with pytest.raises(GANSegmentationError) as caught:
            package.verify()
        assert caught.value.code == "invalid_weights"
        for word in (names[0], "stranger", names[1]):
            assert word in caught.value.message


class TestWriting:
    def test_a_failure_leaves_the_old_package_and_no_litter(self, package_file: Path, card: Card, weights: Any) -> None:
        before = package_file.read_bytes()
        with pytest.raises(GANSegmentationError):
            write_package(package_file, card, weights, (Segment(2, "Wrong", (1, 2, 3)),))
        assert package_file.read_bytes() == before
        assert [path.name for path in package_file.parent.iterdir()] == [package_file.name]

    def test_a_folder_is_replaced_whole(self, tmp_path: Path, card: Card, weights: Any, png: bytes) -> None:
        path = tmp_path / "model"
        write_package(path, card, weights, (LIVER,), png)
        write_package(path, dataclasses.replace(card, version="1.1.0"), weights, (LIVER,))
        assert open_package(path).card.version == "1.1.0"
        assert not (path / "preview.png").exists()
        assert [entry.name for entry in tmp_path.iterdir()] == ["model"]

    def test_what_is_no_package_is_not_replaced(self, tmp_path: Path, card: Card, weights: Any) -> None:
        (tmp_path / "thesis").mkdir()
        (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
        (tmp_path / "a.ganseg").mkdir()
        for name in ("thesis", "a.ganseg"):
            with pytest.raises(GANSegmentationError) as caught:
                write_package(tmp_path / name, card, weights, (LIVER,))
            assert caught.value.code == "package_exists"
        assert (tmp_path / "thesis" / "chapter.txt").read_text() == "years of work"

    def test_a_card_made_in_code_is_checked(self, tmp_path: Path, card: Card, weights: Any) -> None:
        bad = dataclasses.replace(card, metrics=(dataclasses.replace(card.metrics[0], mean=float("nan")),))
        with pytest.raises(GANSegmentationError) as caught:
            write_package(tmp_path / "a.ganseg", bad, weights, (LIVER,))
        assert caught.value.code == "invalid_card"
        assert "metrics[0].mean" in caught.value.message
        assert list(tmp_path.iterdir()) == []

    def test_an_unwritable_place_is_said(self, tmp_path: Path, card: Card, weights: Any) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(GANSegmentationError) as caught:
            write_package(tmp_path / "file" / "a.ganseg", card, weights, (LIVER,))
        assert caught.value.code == "package_unwritable"


def test_opening_for_a_list_imports_neither_torch_nor_safetensors(package_file: Path) -> None:
    code = (
        "import sys; from GANSegmentationLib.models import open_package; "
        f"open_package({str(package_file)!r}, check_network=False); "
        "print([name for name in ('torch', 'safetensors', 'scipy', 'SimpleITK', 'PIL') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
