"""Say where the repository lies on GitHub: ``python tools/set_repository.py OWNER/SlicerGANSegmentation``.

Writes the address into the top CMakeLists.txt (one variable and, as the Extensions Index expands none, the addresses of
icon and screenshots) and into the entry for the Extensions Index.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
FILES = ("CMakeLists.txt", "docs/extensions-index/GANSegmentation.json")


def main(arguments: list[str], project: Path = PROJECT) -> int:
    """Set the address in all places, or say why not."""
    if len(arguments) != 1 or not re.fullmatch(r"[A-Za-z0-9-]+/Slicer[A-Za-z0-9_.-]+", arguments[0]):
        sys.stderr.write("Say the repository as OWNER/SlicerNAME; the index wants names that begin with Slicer.\n")
        return 2
    described = (project / FILES[0]).read_text(encoding="utf-8")
    found = re.search(r'set\(GANSegmentation_REPOSITORY "([^"]+)"', described)
    if found is None:
        sys.stderr.write(f"{FILES[0]} does not say where the repository lies.\n")
        return 1
    for name in FILES:
        path = project / name
        text = path.read_text(encoding="utf-8").replace(found.group(1), arguments[0])
        path.write_text(text, encoding="utf-8", newline="\n")
    sys.stdout.write(f"{found.group(1)} -> {arguments[0]}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
