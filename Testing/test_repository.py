"""What the repository promises around the code: commands that exist, versions that agree, nothing of one machine."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import GANSegmentationLib
from GANSegmentationLib.cli import COMMANDS, command_parser

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli")

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LARGEST_FILE = 12 * 1024 * 1024
LARGEST_REPOSITORY = 40 * 1024 * 1024


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def repository_files() -> list[Path]:
    """The files that git tracks or would track; in an export without git, everything outside of hidden folders."""
    listing = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        check=False,
    )
    if listing.returncode == 0 and listing.stdout:
        names = listing.stdout.decode().split("\0")
        return [ROOT / name for name in names if name and (ROOT / name).is_file()]
    made = {"demo_output", "runs", "prepared", "build", "dist", "__pycache__"}
    return [
        path
        for path in ROOT.rglob("*")
        if path.is_file()
        and not any(part in made or (part[0] == "." and part != ".ci") for part in path.relative_to(ROOT).parts[:-1])
    ]


def pinned() -> dict[str, str]:
    lines = [line for line in text("constraints.txt").splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines}


def code_lines(page: Path) -> list[str]:
    """The lines of a page's shell blocks, continued ones joined, without comments."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [line.split("#")[0].strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]


# -- versions ----------------------------------------------------------------------------------------------------------


def test_constraints_pin_exact_versions_once_with_torch_first_and_nothing_of_a_machine():
    lines = [line for line in text("constraints.txt").splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9A-Za-z.]*", line) for line in lines)
    assert lines[0] == "torch==2.13.0"
    assert len(pinned()) == len(lines)


def test_constraints_cover_every_requirement_of_pyproject_and_satisfy_its_floors():
    project = tomllib.loads(text("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    requirements = [
        Requirement(line) for line in (*project["dependencies"], *(line for extra in extras for line in extra))
    ]
    versions = pinned()
    for requirement in requirements:
        if requirement.name == project["name"]:
            continue
        version = versions[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), f"{requirement} against {version}"


def test_constraints_leave_no_installed_dependency_unpinned():
    """Walks what is installed, from the project's requirements down: each package on the way has its version fixed."""
    project = tomllib.loads(text("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    todo = [Requirement(line) for line in (*project["dependencies"], *(line for extra in extras for line in extra))]
    seen: set[tuple[str, frozenset[str]]] = set()
    while todo:
        requirement = todo.pop()
        name, wanted = canonicalize_name(requirement.name), frozenset(requirement.extras)
        applies = requirement.marker is None or any(
            requirement.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)
        )
        # A CUDA build of torch brings NVIDIA's libraries, whose versions torch itself fixes.
        if not applies or (name, wanted) in seen or name == project["name"] or name.startswith(("nvidia-", "triton")):
            continue
        seen.add((name, wanted))
        assert name in pinned(), f"{requirement} is not in constraints.txt"
        for line in metadata.requires(name) or []:
            child = Requirement(line)
            if child.marker is None or any(child.marker.evaluate({"extra": extra}) for extra in ("", *wanted)):
                child.marker = None
                todo.append(child)


def test_the_version_is_the_same_everywhere():
    version = GANSegmentationLib.__version__
    assert re.search(rf"^version: {re.escape(version)}$", text("CITATION.cff"), flags=re.MULTILINE)
    newest = re.search(r"^## \[(\d+\.\d+\.\d+)\]", text("CHANGELOG.md"), flags=re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == version


def test_the_licence_of_the_code_is_said_the_same_way_everywhere():
    assert "Apache License\n                           Version 2.0, January 2004" in text("LICENSE")
    assert tomllib.loads(text("pyproject.toml"))["project"]["license"] == "Apache-2.0"
    assert "license: Apache-2.0" in text("CITATION.cff")
    assert "CC BY-NC-SA 4.0" in text("README.md")


# -- pages -------------------------------------------------------------------------------------------------------------


def test_the_readme_begins_with_the_two_commands():
    blocks = re.findall(r"^```sh\n(.*?)^```", text("README.md"), flags=re.DOTALL | re.MULTILINE)
    assert [line.split("#")[0].strip() for line in blocks[0].splitlines()] == ["make demo", "make test"]


def test_what_the_pages_make_can_be_made():
    targets = set(re.findall(r"^([a-z]+):", text("Makefile"), flags=re.MULTILINE))
    named = {
        target for page in PAGES for target in re.findall(r"`make ([a-z]+)|^make ([a-z]+)", page.read_text(), re.M)
    }
    named = {either for pair in named for either in pair if either}
    assert {"demo", "test", "bench"} <= named
    assert named <= targets


@pytest.mark.parametrize(
    "line",
    sorted({line for page in PAGES for line in code_lines(page) if line.startswith("ganseg ") and "..." not in line}),
)
def test_the_commands_of_the_pages_are_understood(line):
    arguments = shlex.split(line)[1:]
    parser, command = command_parser(arguments)
    assert command is not None
    try:
        parser.parse_args(arguments)
    except SystemExit as stop:
        assert stop.code == 0, f"the parser refuses: {line}"


def test_the_commands_that_the_pages_name_exist():
    named = {word for page in PAGES for word in re.findall(r"`ganseg ([a-z]+)", page.read_text())}
    assert named <= {name for name, _ in COMMANDS}


def test_links_within_the_repository_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}"


# -- files -------------------------------------------------------------------------------------------------------------


def test_no_file_is_too_large_for_a_repository():
    sizes = {path: path.stat().st_size for path in repository_files()}
    assert [path for path, size in sizes.items() if size > LARGEST_FILE] == []
    assert sum(sizes.values()) <= LARGEST_REPOSITORY


def test_no_text_names_a_place_on_a_machine():
    # Written in pieces, so that this file is no finding of its own.
    folders = "|".join(["work", "root", "home", "Users", "opt", "mnt"])
    place = re.compile(rf"(?<![\w.~])/(?:{folders})/[\w.]|" + "file:" + "//|[A-Z]:" + r"\\Users")
    findings = []
    for path in repository_files():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        findings += [
            f"{path.relative_to(ROOT)}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if place.search(line)
        ]
    assert findings == []


# -- make and CI -------------------------------------------------------------------------------------------------------


def test_ci_runs_the_demo_then_the_tests_from_wherever_it_is_called():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    commands = [line for line in script.read_text().splitlines() if line and not line.startswith("#")]
    assert commands[0] == "set -euo pipefail"
    assert commands[-2:] == ["make demo", "make test"]


def test_make_test_runs_every_check():
    plan = subprocess.run(["make", "-n", "-C", str(ROOT), "test"], capture_output=True, text=True, check=True).stdout
    for check in ("ruff check", "ruff format --check", "mypy", "lint-imports", "pytest"):
        assert check in plan


def test_make_demo_hands_over_a_scan_with_spaces_in_its_name():
    plan = subprocess.run(
        ["make", "-n", "-C", str(ROOT), "demo", "SCAN=a scan", "REFERENCE=a mask.nii.gz"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    call = shlex.split(next(line for line in plan.splitlines() if "ganseg demo" in line))
    assert call[call.index("--scan") + 1] == "a scan"
    assert call[call.index("--reference") + 1] == "a mask.nii.gz"


def run_system_packages(folder: Path, *, root: bool, installed: str) -> subprocess.CompletedProcess[str]:
    """Run the script on a machine that says it has these packages and whose apt-get only writes down its arguments."""
    for name, body in {
        "id": f"echo {0 if root else 1000}",
        "dpkg-query": f"printf 'ii  %s\\n' {installed}",
        "apt-get": f'echo "$@" >> {folder}/apt.log',
    }.items():
        (folder / name).write_text(f"#!/bin/sh\n{body}\n")
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
    script = ROOT / "tools" / "system_packages.sh"
    return subprocess.run([script], env=environment, capture_output=True, text=True, check=True)


def wanted_packages() -> list[str]:
    return [line for line in text("system-packages.txt").splitlines() if line and not line.startswith("#")]


@pytest.mark.skipif(sys.platform != "linux", reason="system packages are a matter of Debian and its kin")
class TestSystemPackages:
    def test_root_installs_exactly_what_is_missing(self, tmp_path):
        first, *others = wanted_packages()
        run_system_packages(tmp_path, root=True, installed=f"'{first},'")
        call = (tmp_path / "apt.log").read_text().split()
        assert call[0] == "install"
        assert [word for word in call[1:] if not word.startswith("-")] == others

    def test_anybody_else_reads_the_command_and_nothing_is_installed(self, tmp_path):
        done = run_system_packages(tmp_path, root=False, installed="nothing")
        assert f"apt-get install --no-install-recommends {' '.join(wanted_packages())}" in done.stdout
        assert not (tmp_path / "apt.log").exists()

    def test_a_package_whose_name_begins_alike_does_not_count(self, tmp_path):
        alike = " ".join(f"'{name}-data,'" for name in wanted_packages())
        run_system_packages(tmp_path, root=True, installed=alike)
        call = (tmp_path / "apt.log").read_text().split()
        assert [word for word in call[1:] if not word.startswith("-")] == wanted_packages()

    def test_a_package_under_a_newer_name_counts_by_what_it_provides(self, tmp_path):
        provided = " ".join(f"'{name}t64, {name} (= 2.80)'" for name in wanted_packages())
        done = run_system_packages(tmp_path, root=True, installed=provided)
        assert done.stdout == ""
        assert not (tmp_path / "apt.log").exists()
