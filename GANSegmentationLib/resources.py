"""Where the extension's resources lie: shipped models, label tables, samples, icons."""

from __future__ import annotations

from pathlib import Path

from .errors import GANSegmentationError


def resource_path(*parts: str) -> Path:
    """The path of a file or folder under ``Resources``.

    The folder lies beside the package in a source checkout and in an installed Slicer extension, and inside the
    package in a wheel; this is the one place that knows.

    Raises
    ------
    GANSegmentationError
        ``resources_missing`` if there is no such folder in any of the three places.
    """
    package = Path(__file__).resolve().parent
    # Inside first: in a wheel, what lies beside the package belongs to whoever else is installed there.
    for folder in (package / "Resources", package.parent / "Resources"):
        if (folder / "Models").is_dir():
            return folder.joinpath(*parts)
    raise GANSegmentationError(
        "resources_missing",
        f"The folder Resources was found neither beside nor inside {package}.",
        cause="The installation is incomplete.",
        action="Install GANSegmentation again.",
    )
