"""Write PackagedFiles.cmake: every file of the library, the module and Resources that the extension packages.

Slicer packages what CMake lists, and nothing else: a file that is forgotten works from source and is missing in the
installed extension. Run this after adding or removing a file; a test compares the lists with the folders.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
LISTS = "PackagedFiles.cmake"
_LEFT_OUT = {"__pycache__", ".DS_Store", ".gitkeep", ".gitignore"}


def packaged_files(project: Path) -> dict[str, list[str]]:
    """The files of each list, sorted, relative to the folder of the CMakeLists.txt that uses the list."""
    library = _files(project, "GANSegmentationLib")
    return {
        "GANSegmentation_LIBRARY_SCRIPTS": [file for file in library if file.endswith(".py")],
        "GANSegmentation_LIBRARY_DATA": [file for file in library if not file.endswith(".py")],
        "GANSegmentation_RESOURCES": list(_files(project, "Resources")),
        "GANSegmentation_MODULE_SCRIPTS": [
            "GANSegmentation.py",
            *(file for file in _files(project / "GANSegmentation", "GANSegmentationPanel") if file.endswith(".py")),
        ],
        "GANSegmentation_MODULE_FILES": list(_files(project / "GANSegmentation", "Scripts")),
    }


def render(lists: dict[str, list[str]]) -> str:
    """The text of PackagedFiles.cmake."""
    blocks = (f"set({name}\n{_indented(files)}  )\n" for name, files in lists.items())
    return "# Written by Testing/cmake/update_lists.py; run it after adding or removing a file.\n\n" + "\n".join(blocks)


def main(project: Path = PROJECT) -> int:
    """Write the lists, and say whether they have changed."""
    target, text = project / LISTS, render(packaged_files(project))
    changed = not target.exists() or target.read_text(encoding="utf-8") != text
    if changed:
        beside = target.with_suffix(".part")
        beside.write_text(text, encoding="utf-8", newline="\n")
        beside.replace(target)
    sys.stdout.write(f"{LISTS} {'written' if changed else 'is up to date'}\n")
    return 0


def _files(root: Path, folder: str) -> list[str]:
    found = (path for path in (root / folder).rglob("*") if path.is_file())
    kept = (path.relative_to(root) for path in found if not _LEFT_OUT.intersection(path.parts))
    return sorted(path.as_posix() for path in kept if path.suffix not in (".pyc", ".part"))


def _indented(files: Iterable[str]) -> str:
    return "".join(f'  "{file}"\n' if " " in file or ";" in file else f"  {file}\n" for file in files)


if __name__ == "__main__":
    raise SystemExit(main())
