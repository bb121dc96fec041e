"""The module from scripts, without a panel: the recipes of the guide as they stand, and a scene that does not grow."""

from __future__ import annotations

import csv
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import slicer

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.volumes import Labelmap, read_labelmap, write_volume
from Testing.batch.conftest import InlineEngine
from Testing.slicer_host.dialogs import dialogs
from Testing.tiny_model import LIVER, tiny_scan, write_tiny_package

PROJECT = Path(__file__).resolve().parents[2]
GUIDE = PROJECT / "docs" / "scripting.md"
RUNS = 30


@pytest.fixture(autouse=True)
def no_dialogs(application):
    dialogs.clear()
    yield
    assert dialogs.shown == []


@pytest.fixture
def volume_node(border):
    node = border.addVolumeNode(tiny_scan())
    node.SetName("CT")
    return node


@pytest.fixture
def reference_node(border, volume_node):
    labels = (tiny_scan().array > 100).astype(np.uint8)
    labels[1] = 0
    node = border.addLabelmapToSegmentation(Labelmap(labels, tiny_scan().geometry, (LIVER,)), volume_node)
    node.SetName("reference")
    return node


@pytest.fixture
def inline_engine(monkeypatch):
    """Cases of a batch in this process; gives the engines that were made."""
    from GANSegmentationLib.batch import runner
    from GANSegmentationLib.batch.task import WorkSettings

    made = []

    def make(options, folder, slices):
        made.append(InlineEngine(WorkSettings(str(options.package), device="cpu")))
        return made[-1]

    monkeypatch.setattr(runner, "_engine", make)
    return made


@pytest.fixture
def scans(tmp_path) -> Path:
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in ("a", "b"):
        write_volume(tiny_scan(), folder / f"{name}.nrrd")
    return folder


def recipes() -> list[str]:
    return re.findall(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_recipes_of_the_guide_work_as_they_stand(
    module, volume_node, reference_node, tiny_model, inline_engine, scans, tmp_path, capsys
):
    """The model of the guide is not the one here, and nothing else is changed."""
    tmp_path.joinpath("out").mkdir()
    names = {
        "slicer": slicer,
        "inputFolder": scans,
        "outputFolder": tmp_path / "out",
        "packagePath": write_tiny_package(tmp_path / "another.ganseg", id="another", title="Another"),
    }
    assert len(recipes()) >= 9
    for number, recipe in enumerate(recipes()):
        exec(compile(recipe.replace("liver-ct-supervised", tiny_model), f"recipe {number}", "exec"), names)
    said = capsys.readouterr().out
    assert "tiny-liver Tiny liver" in said
    assert "segment: slice 6 of 6" in said
    assert "done: CT segmentation" in said
    assert re.search(r"Liver ok 0\.8\d* 5\.0 0\.\d+", said), said
    assert "look at slice 1 first" in said
    assert "another" in said
    assert f"2 0 0 {tmp_path / 'out' / 'masks' / 'summary.csv'}" in said
    assert "\nunknown_model\n" in said
    assert read_labelmap(tmp_path / "out" / "liver.seg.nrrd").array.sum() == 45


def test_the_codes_of_the_guide_are_the_programs():
    """Each of them is raised somewhere."""
    listed = re.findall(r"^\| (`[^|]*`) \|", GUIDE.read_text(encoding="utf-8").partition("## Errors")[2], re.MULTILINE)
    codes = re.findall(r"`(\w+)`", " ".join(listed))
    assert len(codes) >= 9
    folders = (PROJECT / "GANSegmentationLib", PROJECT / "GANSegmentation")
    program = "".join(path.read_text(encoding="utf-8") for folder in folders for path in folder.rglob("*.py"))
    assert [code for code in codes if f'"{code}"' not in program] == []


def test_undo_and_a_wrong_model_say_what_is_wrong(logic, volume_node, tiny_model):
    with pytest.raises(GANSegmentationError) as caught:
        logic.undo()
    assert caught.value.code == "undo_impossible"
    node = logic.process(volume_node, tiny_model)
    logic.undo()
    assert node.GetScene() is None


# Nothing grows


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def test_many_runs_leave_the_scene_and_the_memory_as_they_are(logic, border, volume_node, reference_node, tiny_model):
    from GANSegmentationPanel.jobs.options import SegmentOptions

    node = logic.process(volume_node, tiny_model)
    table = None

    def once(table):
        logic.process(volume_node, tiny_model, node, SegmentOptions(mode="REPLACE"))
        scores = logic.compare(node, reference_node)
        logic.checkInput(volume_node, tiny_model)
        return border.showScores(scores, table)

    for _ in range(5):  # until caches and allocators have what they want
        table = once(table)
    before, memory = slicer.mrmlScene.GetNumberOfNodes(), resident_mb()
    for _ in range(RUNS):
        table = once(table)
    assert slicer.mrmlScene.GetNumberOfNodes() == before
    assert list(node.GetSegmentation().GetSegmentIDs()) == ["Liver"]
    assert resident_mb() - memory < 30


def test_new_segmentations_that_are_undone_leave_nothing(logic, volume_node, tiny_model):
    logic.process(volume_node, tiny_model)
    logic.undo()
    before = slicer.mrmlScene.GetNumberOfNodes()
    for _ in range(RUNS):
        logic.process(volume_node, tiny_model)
        logic.undo()
    assert slicer.mrmlScene.GetNumberOfNodes() == before


def test_many_folders_leave_the_scene_as_it_is(logic, scans, tmp_path, tiny_model, inline_engine):
    before = slicer.mrmlScene.GetNumberOfNodes()
    for number in range(5):
        found = logic.segmentFolder(scans, tmp_path / str(number), tiny_model, device="cpu")
        assert (found["done"], found["failed"], found["pending"]) == (2, 0, 0)
    assert slicer.mrmlScene.GetNumberOfNodes() == before


# segmentFolder and segment_batch.py


@pytest.fixture
def script():
    path = PROJECT / "GANSegmentation" / "Scripts" / "segment_batch.py"
    spec = importlib.util.spec_from_file_location("segment_batch", path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def arguments(scans, output, *more) -> list[str]:
    return ["--input", str(scans), "--output", str(output), "--model", "tiny-liver", "--device", "cpu", *more]


@pytest.mark.parametrize("logic_first", [True, False])
def test_the_logic_and_the_script_go_on_with_each_others_work(
    logic, script, scans, tmp_path, tiny_model, inline_engine, logic_first
):
    output = tmp_path / "masks"

    def by_logic() -> None:
        found = logic.segmentFolder(scans, output, tiny_model, device="cpu")
        assert (found["done"], found["failed"]) == (2, 0)

    def by_script() -> None:
        assert script.main(arguments(scans, output)) == 0

    first, second = (by_logic, by_script) if logic_first else (by_script, by_logic)
    first()
    written = {path: path.stat().st_mtime_ns for path in output.rglob("*.seg.nrrd")}
    assert len(written) == 2
    second()
    assert inline_engine[-1].done == []
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.seg.nrrd")} == written


def test_both_write_the_same_summary(logic, script, scans, tmp_path, tiny_model, inline_engine):
    logic.segmentFolder(scans, tmp_path / "one", tiny_model, device="cpu")
    assert script.main(arguments(scans, tmp_path / "two")) == 0
    tables = []
    for folder in ("one", "two"):
        with (tmp_path / folder / "summary.csv").open(encoding="utf-8-sig", newline="") as file:
            tables.append([{k: v for k, v in row.items() if "seconds" not in k} for row in csv.DictReader(file)])
    assert tables[0] == tables[1]
    assert len(tables[0]) == 2


def test_both_refuse_other_settings_in_the_same_folder(logic, script, scans, tmp_path, tiny_model, inline_engine):
    logic.segmentFolder(scans, tmp_path / "masks", tiny_model, device="cpu")
    assert script.main(arguments(scans, tmp_path / "masks", "--format", "nii.gz")) == 1
    with pytest.raises(GANSegmentationError) as caught:
        logic.segmentFolder(scans, tmp_path / "masks", tiny_model, fileFormat="nii.gz")
    assert caught.value.code == "batch_settings_differ"


def test_a_bad_case_is_told_by_both(logic, script, scans, tmp_path, tiny_model, inline_engine):
    (scans / "c.nrrd").write_bytes(b"no scan")
    found = logic.segmentFolder(scans, tmp_path / "masks", tiny_model, device="cpu")
    assert (found["done"], found["failed"]) == (2, 1)
    assert script.main(arguments(scans, tmp_path / "masks")) == 3


def test_the_script_ends_with_1_where_it_cannot_begin(script, tmp_path, tiny_model):
    assert script.main(arguments(tmp_path / "nowhere", tmp_path / "masks")) == 1
    assert not (tmp_path / "masks" / "summary.csv").exists()
