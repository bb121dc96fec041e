"""The parts of the module GANSegmentation: the scene, the jobs, the sections of the panel.

In a sub-package, because Slicer takes every Python file directly in a module's folder for a module.
"""

from __future__ import annotations

import sys
from pathlib import Path


def makeLibraryImportable() -> None:
    """Let `import GANSegmentationLib` find the library that belongs to this module.

    Installed, the library lies beside GANSegmentation.py, in a folder that Slicer has already put on the path; in a
    source checkout it lies one folder above. It goes to the front of the path, so that an older copy elsewhere does
    not win.
    """
    moduleFolder = Path(__file__).resolve().parents[1]
    for folder in (moduleFolder, moduleFolder.parent):
        if (folder / "GANSegmentationLib" / "__init__.py").is_file():
            if str(folder) not in sys.path:
                sys.path.insert(0, str(folder))
            return
