"""What the Extensions Index checks and its reviewers ask, checked here before they do."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tools import set_repository

PROJECT = Path(__file__).resolve().parents[2]
CMAKE = (PROJECT / "CMakeLists.txt").read_text(encoding="utf-8")
ENTRY_FILE = PROJECT / "docs" / "extensions-index" / "GANSegmentation.json"
README = (PROJECT / "README.md").read_text(encoding="utf-8")

ENTRY_KEYS = {
    *("$schema", "build_dependencies", "build_subdirectory", "category", "scm_revision", "scm_url", "tier"),
}
LICENSE_NAMES = ("LICENSE", "LICENCE", "License.txt", "license.txt", "LICENSE.txt", "COPYING", "COPYING.txt")
MEGABYTE = 1_000_000


def value_of(name: str) -> str:
    """The text of a variable, as the index reads it: one line, one quoted text."""
    found = re.findall(rf'^set\({name} "([^"\n]+)"\)$', CMAKE, re.MULTILINE)
    assert len(found) == 1, name
    return found[0]


def entry() -> dict:
    return json.loads(ENTRY_FILE.read_text(encoding="utf-8"))


# The entry


def test_the_entry_has_the_name_of_the_project():
    assert re.findall(r"project\s*\(\s*([^\s)]+)", CMAKE) == [ENTRY_FILE.stem]
    assert not ENTRY_FILE.stem.startswith("Slicer")


def test_the_entry_has_only_what_the_schema_knows():
    assert set(entry()) == ENTRY_KEYS
    assert entry()["tier"] == 1
    assert entry()["category"] == "Segmentation"
    assert entry()["build_dependencies"] == ["PyTorch"]
    assert re.fullmatch(r"https://\S+-schema-v1\.0\.[12]\.json#", entry()["$schema"])


def test_the_entry_is_plain_text_with_unix_line_ends():
    data = ENTRY_FILE.read_bytes()
    assert b"\r" not in data
    assert data.endswith(b"}\n")
    data.decode("ascii")


def test_the_repository_is_named_as_the_index_wants_and_everywhere_the_same():
    repository = re.search(r'set\(GANSegmentation_REPOSITORY "([^"]+)" CACHE', CMAKE).group(1)
    assert repository.partition("/")[2] == "SlicerGANSegmentation"
    assert entry()["scm_url"] == f"https://github.com/{repository}.git"
    for name in ("EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"):
        for url in value_of(name).split():
            assert url.startswith(f"https://raw.githubusercontent.com/{repository}/main/")


# The description


@pytest.mark.parametrize("name", ["EXTENSION_ICONURL", "EXTENSION_SCREENSHOTURLS"])
def test_pictures_are_literal_addresses_of_pictures_that_are_there(name):
    for url in value_of(name).split():
        assert "$" not in url, "the index expands no variable"
        picture = PROJECT / url.partition("/main/")[2]
        assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n"), url


def test_the_icon_has_the_size_that_the_catalogue_shows():
    data = (PROJECT / value_of("EXTENSION_ICONURL").partition("/main/")[2]).read_bytes()
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (128, 128)


def test_the_description_says_what_it_is_for_and_both_licences():
    description = value_of("EXTENSION_DESCRIPTION")
    for word in ("segmentation", "CT", "MR", "Apache-2.0", "CC BY-NC-SA 4.0", "research"):
        assert word in description
    assert ";" not in description, "CMake would take it for a list"


def test_the_description_depends_on_pytorch_alone_and_has_contributors():
    assert value_of("EXTENSION_DEPENDS") == "PyTorch"
    assert value_of("EXTENSION_CONTRIBUTORS")
    assert value_of("EXTENSION_HOMEPAGE") == "https://github.com/${GANSegmentation_REPOSITORY}"


def test_the_licence_has_a_name_that_the_index_finds():
    found = [name for name in LICENSE_NAMES if (PROJECT / name).is_file()]
    assert found
    assert "Apache License" in (PROJECT / found[0]).read_text(encoding="utf-8")


def test_there_is_no_description_file_of_old():
    assert not list(PROJECT.glob("*.s4ext"))


# The readme


def test_the_readme_answers_the_questions_of_the_review():
    assert "3D Slicer extension" in README
    assert re.search(r"!\[[^\]]+\]\([^)]+\.png\)", README), "a picture"
    assert "CC BY-NC-SA 4.0" in README
    assert re.search(r"^## Cite", README, re.MULTILINE)
    assert re.search(r"not a medical device", README, re.IGNORECASE)


# The code


def module_files() -> list[Path]:
    return sorted((PROJECT / "GANSegmentation").rglob("*.py"))


def test_pytorch_is_never_installed_by_pip():
    for path in [*module_files(), *sorted((PROJECT / "GANSegmentationLib").rglob("*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in ("pip_install", "pip_ensure"):
                assert path.name == "slicer_services.py", path
                assert "torch" not in ast.unparse(node)


def test_nothing_is_fetched_or_sent_but_to_see_whether_a_server_answers():
    clients = {"requests", "httpx", "aiohttp", "ftplib", "smtplib", "urllib.request", "http.client", "socket"}
    using = set()
    for path in module_files():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if clients & set(names):
                using.add(path.name)
    assert using <= {"slicer_services.py"}


# The size


GIT = shutil.which("git")


@pytest.mark.skipif(GIT is None or not (PROJECT / ".git").exists(), reason="not a clone")
def test_the_history_stays_small_enough_for_the_index():
    done = subprocess.run([GIT, "count-objects", "-v"], cwd=PROJECT, capture_output=True, text=True, check=True)
    facts = dict(line.split(": ") for line in done.stdout.splitlines())
    assert (int(facts["size"]) + int(facts["size-pack"])) * 1024 < 40 * MEGABYTE


@pytest.mark.skipif(GIT is None or not (PROJECT / ".git").exists(), reason="not a clone")
def test_no_file_is_too_large():
    done = subprocess.run([GIT, "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True)
    files = [PROJECT / name.decode() for name in done.stdout.split(b"\0") if name]
    assert len(files) > 100
    large = [path.name for path in files if path.is_file() and path.stat().st_size > 12 * MEGABYTE]
    assert large == []


# The release tool


def test_the_address_is_set_in_every_place_at_once(tmp_path):
    for name in set_repository.FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / name, tmp_path / name)
    assert set_repository.main(["radiology-lab/SlicerGANSegmentation"], tmp_path) == 0
    texts = [(tmp_path / name).read_text(encoding="utf-8") for name in set_repository.FILES]
    assert not any("OWNER/" in text for text in texts)
    assert texts[0].count("radiology-lab/SlicerGANSegmentation") == 3
    assert "https://github.com/radiology-lab/SlicerGANSegmentation.git" in texts[1]


@pytest.mark.parametrize("wrong", [[], ["owner"], ["owner/GANSegmentation"], ["a b/SlicerX"], ["a/SlicerX", "b"]])
def test_an_address_that_the_index_would_refuse_is_refused(tmp_path, wrong):
    assert set_repository.main(wrong, tmp_path) == 2
