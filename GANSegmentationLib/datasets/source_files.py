"""Files of public layouts: grey pictures as they are stored, and what is said of one that cannot be imported."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import GANSegmentationError


def grey_picture(path: Path) -> npt.NDArray[Any]:
    """A grey or black-and-white picture as it is stored, ``(rows, columns)``.

    Raises
    ------
    GANSegmentationError
        ``invalid_source`` for what is no picture, or one of colours.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            values = np.asarray(picture)
    # Pillow says damaged files with several types, a bomb of pixels with one of its own.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise unreadable(path, f"it is no picture ({error})") from error
    if values.ndim != 2:
        raise unreadable(path, f"it has {values.ndim} dimensions, not the two of a grey picture")
    return values


def unreadable(path: Path, reason: str) -> GANSegmentationError:
    """The error that a file of a layout cannot be imported, ``invalid_source``."""
    return GANSegmentationError(
        "invalid_source",
        f"{path} cannot be imported: {reason}.",
        cause="The files are damaged or belong to another layout.",
        action="Check the source folder against the layout's description.",
    )
