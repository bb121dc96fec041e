"""A run that starts from a package: what is taken, what stays frozen, and that nobody is judged by whom it has seen."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from GANSegmentationLib.datasets import Dataset, Split, patient_split
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.models import NetworkSpec, Package, StartedFrom, describe, open_package, write_package
from GANSegmentationLib.models.find import find_package
from GANSegmentationLib.networks import NetworkEntry, build, entry, initialise
from GANSegmentationLib.objectives import build as build_objective
from GANSegmentationLib.training import Preset, RunOptions, Trainer, export_package, load_preset, preset_names
from GANSegmentationLib.training.checkpoint import load_checkpoint
from GANSegmentationLib.training.packing.card import labels_of, model_card
from GANSegmentationLib.training.preset import TransferSettings
from GANSegmentationLib.training.starting.known_patients import cases_trained_on, check_start
from GANSegmentationLib.training.starting.transfer import (
    START,
    frozen_prefixes,
    held_parameters,
    hold_statistics,
    load_start,
    lr_factor,
    started_from,
)
from Testing.training.conftest import GENERATOR, assert_same_state, tiny_preset
from Testing.training.miniatures import miniature, small

CONFIG: Mapping[str, Any] = GENERATOR["config"]
SETTINGS = TransferSettings("unused", policy="all")
MakePackage = Callable[..., Path]


def _seeded(config: Mapping[str, Any], seed: int, name: str = "pix2pix_modern") -> nn.Module:
    torch.manual_seed(seed)
    network = initialise(build(name, config), "he")
    for key, tensor in network.state_dict().items():
        if key.endswith(("running_mean", "running_var")):
            tensor.uniform_(0.5, 1.5)
        if key.endswith("num_batches_tracked"):
            tensor.fill_(70_000)  # more than half precision can hold
    return network


@pytest.fixture
def make_package(dataset: Dataset, tmp_path: Path) -> MakePackage:
    """Write a package of a miniature generator, trained on all but these patients as its card says."""

    def make(
        config: Mapping[str, Any] = CONFIG,
        *,
        folder: str = "elsewhere",
        validation: tuple[str, ...] = ("lits_v00", "msd_c004"),
        trained_on: Dataset = dataset,
        **changes: Any,
    ) -> Path:
        preset = Preset.from_dict(tiny_preset("supervised") | {"name": "not_committed"})
        split = patient_split(trained_on, validation=validation)
        card = model_card(preset, trained_on, split, 3, "2026-01-01")
        card = replace(card, network=NetworkSpec("pix2pix_modern", config), id="bones", **changes)
        channels = config.get("in_channels", 1)
        card = replace(card, channels=channels, channel_names=tuple(f"CT {number}" for number in range(channels)))
        state = _seeded(config, 1).state_dict()
        weights = {
            name: tensor.numpy().astype(np.float16) if tensor.is_floating_point() else tensor.numpy()
            for name, tensor in state.items()
        }
        return write_package(tmp_path / folder / "bones.ganseg", card, weights, labels_of(preset))

    return make


def _start(config: Mapping[str, Any], path: Path, **settings: Any) -> tuple[nn.Module, Any]:
    network = _seeded(config, 2)
    report = load_start(network, "pix2pix_modern", config, replace(SETTINGS, package=str(path), **settings))
    return network, report


# -- what is taken -----------------------------------------------------------------------------------------------------


def test_every_weight_of_a_fitting_package_is_taken_as_float32(make_package: MakePackage) -> None:
    path = make_package()
    network, report = _start(CONFIG, path)
    stored = open_package(path).weights()
    assert set(report.taken) == set(network.state_dict()) and not report.drawn and not report.adapted
    for name, tensor in network.state_dict().items():
        assert tensor.dtype == (torch.float32 if stored[name].dtype == np.float16 else torch.int64)
        assert np.array_equal(tensor.numpy(), stored[name]), name
    card = open_package(path).card
    assert report.started_from == StartedFrom("bones", "0.0.1", card.files["model.safetensors"].sha256)


@pytest.mark.parametrize(
    ("settings", "classes", "why"), [({}, 3, "other classes"), ({"new_head": True}, 1, "new_head")]
)
def test_a_head_for_other_classes_or_asked_for_anew_is_drawn_whole(
    make_package: MakePackage, settings: dict[str, Any], classes: int, why: str
) -> None:
    config = {**CONFIG, "classes": classes}
    network, report = _start(config, make_package(), **settings)
    assert set(report.drawn) == {"head.conv.weight", "head.conv.bias"} and why in report.drawn["head.conv.weight"]
    fresh, stored = _seeded(config, 2).state_dict(), _seeded(CONFIG, 1).state_dict()
    for name, tensor in network.state_dict().items():
        expected = fresh[name] if name in report.drawn else stored[name].half().to(tensor)
        assert torch.equal(tensor, expected if tensor.is_floating_point() else stored[name]), name
    assert any(why in line and "head.conv.weight, head.conv.bias" in line for line in report.lines())


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1), (2, 4)])
def test_a_first_layer_for_other_channels_answers_as_before_to_a_repeated_image(
    make_package: MakePackage, before: int, after: int
) -> None:
    old_config, config = {**CONFIG, "in_channels": before}, {**CONFIG, "in_channels": after}
    path = make_package(old_config)
    network, report = _start(config, path)
    (name,) = report.adapted
    assert name == "stem.first.conv.weight" and f"{before} input channels became {after}" in report.adapted[name]
    old = build("pix2pix_modern", old_config)
    old.load_state_dict(
        {key: torch.from_numpy(array).to(old.state_dict()[key]) for key, array in open_package(path).weights().items()}
    )
    image = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = old.eval()(image.expand(-1, before, -1, -1))
        torch.testing.assert_close(network.eval()(image.expand(-1, after, -1, -1)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({**CONFIG, "channels": [8, 8, 16]}, "16"),
        ({**CONFIG, "channels": [8, 8, 8, 8]}, "nothing in the package"),
        ({**CONFIG, "channels": [8, 8]}, "only the package has it"),
        ({**CONFIG, "full_resolution": 0}, "stem"),
        ({**CONFIG, "norm": "group"}, "conv.bias"),
    ],
)
def test_a_network_of_other_shapes_is_refused_and_left_as_it_was(
    make_package: MakePackage, config: dict[str, Any], said: str
) -> None:
    network = _seeded(config, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(GANSegmentationError, match="bones") as caught:
        load_start(network, "pix2pix_modern", config, replace(SETTINGS, package=str(make_package())))
    assert caught.value.code == "transfer_mismatch" and said in caught.value.details
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_another_network_is_refused_by_name(make_package: MakePackage) -> None:
    settings = replace(SETTINGS, package=str(make_package()))
    with pytest.raises(GANSegmentationError, match="pix2pix_modern, and this preset trains a pix2pix_seed") as caught:
        load_start(nn.Identity(), "pix2pix_seed", {}, settings)
    assert caught.value.code == "transfer_mismatch"


def test_settings_that_change_no_shape_are_mentioned(make_package: MakePackage) -> None:
    _, report = _start({**CONFIG, "dropout": 0.4}, make_package())
    assert report.notes == ("dropout is 0.4 here and was 0.1 in the package's network",)


def test_a_policy_needs_a_network_that_names_its_encoder(
    make_package: MakePackage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = replace(entry("pix2pix_modern"), encoder=(), head=())
    monkeypatch.setattr("GANSegmentationLib.training.starting.transfer.entry", lambda name: bare)
    path = make_package()
    for settings in ({"policy": "staged"}, {"policy": "freeze_encoder"}, {"new_head": True}):
        with pytest.raises(GANSegmentationError) as caught:
            _start(CONFIG, path, **settings)
        assert caught.value.code == "transfer_mismatch"
    assert _start(CONFIG, path)[1].taken


# -- what stays frozen -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "frozen", "factors"),
    [
        (None, [False] * 4, [1.0] * 4),
        (TransferSettings("x", policy="all"), [False] * 4, [1.0] * 4),
        (TransferSettings("x", policy="freeze_encoder"), [True] * 4, [1.0] * 4),
        (TransferSettings("x", "staged", 2, 0.1), [True, True, False, False], [1.0, 1.0, 0.1, 0.1]),
        (TransferSettings("x", "staged", 0, 0.5), [False] * 4, [0.5] * 4),
    ],
)
def test_what_is_frozen_and_how_fast_the_rest_learns_follows_from_the_epoch_alone(
    settings: TransferSettings | None, frozen: list[bool], factors: list[float]
) -> None:
    described: NetworkEntry = entry("pix2pix_modern")
    assert [frozen_prefixes(settings, described, epoch) == described.encoder for epoch in range(4)] == frozen
    assert [frozen_prefixes(settings, described, epoch) == () for epoch in range(4)] == [not each for each in frozen]
    assert [lr_factor(settings, epoch) for epoch in range(4)] == factors


def test_frozen_layers_keep_their_running_statistics() -> None:
    network = _seeded(CONFIG, 1)
    network.train()
    hold_statistics(network, ("stem.", "encoder."))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    network(torch.randn(4, 1, 16, 16) * 9)
    moved = {name for name, tensor in network.state_dict().items() if not torch.equal(before[name], tensor)}
    assert moved and all(name.startswith("decoder.") for name in moved)
    assert not any(name.startswith(("stem.", "encoder.")) for name in moved)
    network.train()
    hold_statistics(network, ())
    assert all(module.training for module in network.modules())
    assert len(held_parameters(network, ())) == 0 and len(held_parameters(network, ("head.",))) == 2


def test_instance_norm_without_statistics_goes_on_as_it_was() -> None:
    network = nn.ModuleDict({"plain": nn.InstanceNorm2d(2), "running": nn.InstanceNorm2d(2, track_running_stats=True)})
    network.train()
    hold_statistics(network, ("plain.", "running."))
    assert network["plain"].training and not network["running"].training


def _transfer(path: Path, policy: str, **changes: Any) -> dict[str, Any]:
    settings = {"package": str(path), "policy": policy, **changes}
    return tiny_preset("supervised") | {"transfer": settings, "epochs": 2}


def _run(plain: dict[str, Any], dataset: Dataset, folder: Path, **options: Any) -> Trainer:
    trainer = Trainer(Preset.from_dict(plain), dataset, folder, RunOptions(accelerator="cpu", **options))
    trainer.run()
    return trainer


def test_the_generator_and_its_average_begin_with_the_package(
    make_package: MakePackage, dataset: Dataset, tmp_path: Path
) -> None:
    path = make_package()
    plain = tiny_preset() | {"transfer": {"package": str(path)}}  # an adversary is beside it, and newly drawn
    trainer = Trainer(Preset.from_dict(plain), dataset, tmp_path / "run", RunOptions(accelerator="cpu"))
    for network in (trainer.learners.networks["generator"], trainer.learners.average.network):
        for name, array in open_package(path).weights().items():
            assert np.array_equal(network.state_dict()[name].numpy(), array), name


@pytest.mark.parametrize(
    ("policy", "still"), [("freeze_encoder", [True, True]), ("staged", [True, False]), ("all", [False, False])]
)
def test_a_policy_holds_the_encoder_still_in_the_epochs_it_says(
    make_package: MakePackage, dataset: Dataset, tmp_path: Path, policy: str, still: list[bool]
) -> None:
    path = make_package()
    plain = _transfer(path, policy, staged_epochs=1, staged_lr_factor=0.25) | {"schedule": {"kind": "constant"}}
    plain["optimisers"]["generator"] = {"name": "adamw", "lr": 0.01, "weight_decay": 0.5}
    stored = open_package(path).weights()
    for epoch, unmoved in enumerate(still, start=1):
        _run(plain, dataset, tmp_path / "run", resume=epoch > 1, stop_after=epoch)
        state = load_checkpoint(tmp_path / "run" / "last.ckpt")["networks"]["generator"]
        same = {name for name, array in stored.items() if np.array_equal(state[name].numpy(), array)}
        encoder = {name for name in stored if name.startswith(("stem.", "encoder."))}
        assert (encoder <= same) == unmoved, "weights, their decay and the running statistics"
        assert not unmoved or not (same - encoder), "all else has learnt"
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert [float(row["lr_factor"]) for row in rows] == ([1.0, 0.25] if policy == "staged" else [1.0, 1.0])


def test_a_resumed_run_is_exact_and_needs_the_package_no_more(
    make_package: MakePackage, dataset: Dataset, tmp_path: Path
) -> None:
    path = make_package()
    plain = _transfer(path, "staged", staged_epochs=2) | {"epochs": 4}
    _run(plain, dataset, tmp_path / "whole")
    first = _run(plain, dataset, tmp_path / "parts", stop_after=1)
    facts = (tmp_path / "parts" / START).read_bytes()
    path.unlink()
    assert first.started is not None
    resumed = _run(plain, dataset, tmp_path / "parts", resume=True)
    assert resumed.started is None and (tmp_path / "parts" / START).read_bytes() == facts
    assert_same_state(*(load_checkpoint(tmp_path / name / "last.ckpt") for name in ("whole", "parts")))
    with pytest.raises(GANSegmentationError) as caught:
        _run(plain, dataset, tmp_path / "new")
    assert caught.value.code == "package_not_found" and not (tmp_path / "new").exists()


def test_the_run_and_the_card_say_where_it_started(make_package: MakePackage, dataset: Dataset, tmp_path: Path) -> None:
    path, lines = make_package(), []
    plain = _transfer(path, "staged") | {"epochs": 1}
    run = tmp_path / "run"
    trainer = _run(plain, dataset, run, say=lines.append)
    facts = json.loads((run / START).read_text())
    origin = StartedFrom(**facts["started_from"])
    assert origin.id == "bones" and started_from(run) == origin and len(facts["taken"]) > 10
    assert any("starts from bones 0.0.1" in line for line in lines)
    package = open_package(export_package(run, trainer.preset, dataset, tmp_path / "liver.ganseg", device="cpu"))
    assert package.card.training.started_from == origin and package.card.schema == "1.1"
    assert ("Started from", "bones 0.0.1") in describe(package)
    (run / START).write_text("{}")
    with pytest.raises(GANSegmentationError) as caught:
        started_from(run)
    assert caught.value.code == "invalid_run"


def test_a_new_run_in_the_folder_of_one_that_was_given_up_tells_nothing_of_its_start(
    make_package: MakePackage, dataset: Dataset, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / START).write_text("{}")
    _run(tiny_preset("supervised") | {"epochs": 1}, dataset, tmp_path / "run")
    assert not (tmp_path / "run" / START).exists()


# -- whom it has seen --------------------------------------------------------------------------------------------------


def _check(
    package: Path, dataset: Dataset, validation: tuple[str, ...] = ("lits_v00", "msd_c004"), **settings: Any
) -> Any:
    plain = _transfer(package, "all", **settings)
    plain["data"]["validation_patients"] = list(validation)
    return check_start(
        open_package(package), Preset.from_dict(plain), dataset, patient_split(dataset, validation=validation)
    )


def test_a_package_that_has_not_seen_the_validation_patients_is_welcome(
    make_package: MakePackage, dataset: Dataset
) -> None:
    package = make_package()
    assert _check(package, dataset) == []
    split = patient_split(dataset, validation=("lits_v00", "msd_c004"))
    assert cases_trained_on(open_package(package), dataset, split) == frozenset(split.train)


def _with_run_facts(package: Path, split: Split) -> None:
    (package.parent / "split.json").write_text(
        json.dumps({"train": split.train, "validation": split.validation, "sha256": split.sha256})
    )


def test_a_package_that_has_seen_them_is_refused_unless_that_is_wanted(
    make_package: MakePackage, dataset: Dataset, tmp_path: Path
) -> None:
    package = make_package(validation=("lits_v01",))
    _with_run_facts(package, patient_split(dataset, validation=("lits_v01",)))
    with pytest.raises(GANSegmentationError, match="lits_v00") as caught:
        _check(package, dataset)
    assert caught.value.code == "patient_leakage" and caught.value.details == "lits_v00, msd_c004"
    (finding,) = _check(package, dataset, allow_leakage=True)
    assert finding.level == "warning" and "lits_v00" in finding.text
    with pytest.raises(GANSegmentationError) as caught:
        Trainer(Preset.from_dict(_transfer(package, "all")), dataset, tmp_path / "run", RunOptions(accelerator="cpu"))
    assert caught.value.code == "patient_leakage" and not (tmp_path / "run").exists()
    assert _check(package, dataset, validation=("lits_v01",)) == []


def test_one_patient_under_two_sources_is_still_one(make_package: MakePackage, dataset: Dataset) -> None:
    """msd_c001 is lits_v00: who learnt the MSD slices has seen the LiTS volume's patient."""
    only_msd = dataset.subset([case.id for case in dataset.cases if case.source == "msd_slices"])
    package = make_package(validation=("msd_c004",), trained_on=only_msd)
    _with_run_facts(package, patient_split(only_msd, validation=("msd_c004",)))
    with pytest.raises(GANSegmentationError, match="lits_v00"):
        _check(package, dataset)


def test_where_nobody_can_tell_that_is_said(make_package: MakePackage, dataset: Dataset) -> None:
    package = make_package(validation=("lits_v01",))
    (finding,) = _check(package, dataset)
    assert finding.level == "warning" and "nobody can tell" in finding.text
    # A file of another run beside the package proves nothing.
    _with_run_facts(package, patient_split(dataset, validation=("lits_v00", "msd_c004")))
    assert "nobody can tell" in _check(package, dataset)[0].text
    (package.parent / "split.json").write_text("[]")
    assert "nobody can tell" in _check(package, dataset)[0].text
    none = make_package(folder="none")
    bare = open_package(none)
    facts = replace(bare.card, training=replace(bare.card.training, split_sha256=None))
    assert cases_trained_on(Package(none, facts, bare.labels), dataset, Split((), ("lits_v00",))) is None


def test_a_model_of_another_modality_has_not_seen_these_scans(make_package: MakePackage, dataset: Dataset) -> None:
    package = make_package(validation=("lits_v01",), modalities=("MR",))
    assert _check(package, dataset) == []


def test_pseudo_labels_are_recognised_by_the_presets_that_they_were_derived_for_and_learnt_by(
    make_package: MakePackage, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    judges = ("lits_v00", "msd_c004")
    tiny = Preset.from_dict(tiny_preset("supervised"))
    liver = replace(tiny, data=replace(tiny.data, validation_patients=judges))
    bones = tuple(
        replace(case, source="msd_slices_bone_pseudo_labels")
        for case in dataset.cases
        if case.source == "msd_slices" and case.patient not in judges
    )
    package = make_package(validation=("msd_c002",), trained_on=replace(dataset, cases=bones))
    assert "nobody can tell" in _check(package, dataset, validation=judges)[0].text
    committed = {
        "not_committed": replace(tiny, data=replace(tiny.data, validation_patients=("msd_c002",))),
        "liver": liver,
        "of_other_data": replace(tiny, data=replace(tiny.data, validation_patients=("lung_1",))),
    }
    place = "GANSegmentationLib.training.starting.known_patients."
    monkeypatch.setattr(place + "preset_names", lambda: tuple(committed))
    monkeypatch.setattr(place + "load_preset", committed.__getitem__)
    assert _check(package, dataset, validation=judges) == []
    # A later run may have fewer validation patients than the preset that the bones were derived for, or others.
    assert _check(package, dataset, validation=("msd_c004",)) == []
    with pytest.raises(GANSegmentationError, match="lits_v02"):
        _check(package, dataset, validation=("lits_v02", "msd_c004"))
    card = open_package(package).card
    assert "rule" in card.limitations and card.training.data[0].name == "msd_slices_bone_pseudo_labels"


def test_a_package_of_few_patients_is_recognised_by_its_preset(
    make_package: MakePackage, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = dataset.of_patients(["lits_v01", "msd_c002", "lits_v03"])
    package = make_package(validation=("lits_v03",), trained_on=few)
    assert "nobody can tell" in _check(package, dataset)[0].text
    tiny = Preset.from_dict(tiny_preset("supervised"))
    data = replace(tiny.data, validation_patients=("lits_v03",), training_patients=("lits_v01", "msd_c002"))
    place = "GANSegmentationLib.training.starting.known_patients."
    monkeypatch.setattr(place + "preset_names", lambda: ("not_committed",))
    monkeypatch.setattr(place + "load_preset", lambda name: replace(tiny, data=data))
    assert _check(package, dataset) == []
    with pytest.raises(GANSegmentationError, match="lits_v01"):
        _check(package, dataset, validation=("lits_v01",))


def test_a_package_that_itself_started_from_another_is_not_trusted_further(
    make_package: MakePackage, dataset: Dataset
) -> None:
    package = open_package(make_package())
    facts = replace(package.card.training, started_from=StartedFrom("first", "1.0.0", "0" * 64))
    later = Package(package.path, replace(package.card, training=facts), package.labels)
    preset = Preset.from_dict(_transfer(package.path, "all"))
    (finding,) = check_start(later, preset, dataset, patient_split(dataset, validation=("lits_v00", "msd_c004")))
    assert "first" in finding.text


def test_slices_that_were_made_otherwise_are_mentioned(make_package: MakePackage, dataset: Dataset) -> None:
    plain = _transfer(make_package(), "all")
    plain["slicing"] = plain["slicing"] | {"size": 48, "multiple": 16}
    preset = Preset.from_dict(plain)
    split = patient_split(dataset, validation=preset.data.validation_patients)
    (finding,) = check_start(find_package((preset.transfer or SETTINGS).package), preset, dataset, split)
    assert "size 64, here 48" in finding.text and "multiple" not in finding.text


# -- the committed presets that start from a package -------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in preset_names() if load_preset(name).transfer])
def test_a_committed_preset_takes_two_steps_from_a_package_of_its_network(name: str, tmp_path: Path) -> None:
    preset = small(load_preset(name))
    assert preset.transfer is not None
    dataset = miniature(preset, tmp_path / "data")
    split = patient_split(dataset, validation=preset.data.validation_patients)
    network, config = build_objective(preset.objective.name, preset.objective.config).generator_spec()
    weights = {key: np.asarray(tensor) for key, tensor in build(network, config).state_dict().items()}
    licensed = replace(dataset, cases=tuple(replace(case, licence="CC0-1.0") for case in dataset.cases))
    card = model_card(preset, licensed, split, 1, "2026-01-01")
    path = write_package(tmp_path / "start.ganseg", card, weights, labels_of(preset))
    preset = replace(preset, transfer=replace(preset.transfer, package=str(path)))
    trainer = Trainer(preset, dataset, tmp_path / "run", RunOptions(accelerator="cpu"))
    assert trainer.run().finished and trainer.started is not None and len(trainer.started.taken) > 2
