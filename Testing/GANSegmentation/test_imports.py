"""Slicer starts as fast as without the module, and the module keeps to its side of the borders."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
MODULE_FOLDER = PROJECT / "GANSegmentation"
# A script for --python-script runs when it is read, which is its purpose; `test_segment_batch` looks after it.
FILES = sorted(path for path in MODULE_FOLDER.rglob("*.py") if path.parent.name != "Scripts")
ROOMS = {"errors", "protocol", "models", "volumes", "resources", "interpreter"}
STANDARD = set(sys.stdlib_module_names)


def imports(tree: ast.AST, *, file_level: bool) -> Iterator[str]:
    """The names imported in a file, at its level only or anywhere."""
    nodes = ast.iter_child_nodes(tree) if file_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_there_are_files_to_look_at():
    assert len(FILES) >= 5


def test_the_module_file_imports_only_slicer_vtk_and_the_logic_at_its_level():
    tops = {name.partition(".")[0] for name in imports(parsed(MODULE_FOLDER / "GANSegmentation.py"), file_level=True)}
    assert tops - STANDARD == {"slicer", "vtk", "GANSegmentationPanel"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_only_the_rooms_of_the_border_are_imported(path):
    """Whatever computes is a request to the worker, which only jobs/executor.py may import, within the call."""
    allowed = set(ROOMS)
    anywhere = set(imports(parsed(path), file_level=False))
    if path.name == "executor.py":
        allowed.add("worker")
        assert "GANSegmentationLib.worker" not in set(imports(parsed(path), file_level=True))
    if path.name == "GANSegmentation.py":
        allowed.add("datasets")  # the self test draws its patient
    rooms = {name.split(".")[1] for name in anywhere if name.startswith("GANSegmentationLib.")}
    assert rooms <= allowed
    assert {"torch", "PySide6", "monai", "lightning"}.isdisjoint(name.partition(".")[0] for name in anywhere)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_runs_on_import(path):
    """Files hold definitions, constants and imports; no calls, no conditions at their level."""
    allowed = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    for node in parsed(path).body:
        documentation = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for_types = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and not node.orelse
        assert documentation or for_types or isinstance(node, allowed), ast.unparse(node)
        if isinstance(node, ast.Assign):
            assert not any(isinstance(part, ast.Call) for part in ast.walk(node)), ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_texts_to_translate_are_literal(path):
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
            assert isinstance(node.args[0], ast.Constant), ast.unparse(node)


def test_loading_the_module_loads_nothing_heavy():
    """numpy comes with slicer.util here, so it is asked of the module's and the library's own files."""
    program = f"""
import sys
sys.path[:0] = [{str(PROJECT)!r}]
from Testing.slicer_host import application
application.start()
def loaded_by(make):
    before = set(sys.modules)
    make()
    new = set(sys.modules) - before
    tops = {{name.partition(".")[0] for name in new}}
    assert not tops & {{"torch", "scipy", "SimpleITK", "pydicom", "monai", "PIL"}}, tops
    return {{name for name in new if name.startswith("GANSegmentation")}}
module_file = __import__("pathlib").Path({str(MODULE_FOLDER / "GANSegmentation.py")!r})
ours = loaded_by(lambda: application.load_module(module_file))
assert ours <= {{"GANSegmentation", "GANSegmentationPanel", "GANSegmentationPanel.logic",
                "GANSegmentationPanel.parameters", "GANSegmentationLib", "GANSegmentationLib.resources",
                "GANSegmentationLib.errors"}}, ours
ours = loaded_by(lambda: sys.modules["GANSegmentation"].registerSampleData())
assert "GANSegmentationPanel.sample_data" in ours and "GANSegmentationLib.volumes" not in ours, ours
ours = loaded_by(lambda: sys.modules["GANSegmentation"].GANSegmentationLogic())
rooms = {{name.partition(".")[2].partition(".")[0] for name in ours if name.startswith("GANSegmentationLib.")}}
assert rooms <= {{"errors", "protocol", "settings"}}, rooms
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, cwd=PROJECT)


def test_only_the_module_file_lies_directly_in_the_modules_folder():
    """Slicer takes each Python file there for a module."""
    assert [path.name for path in MODULE_FOLDER.glob("*.py")] == ["GANSegmentation.py"]
