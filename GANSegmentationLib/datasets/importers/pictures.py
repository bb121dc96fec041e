"""Files of public layouts: grey pictures as they are stored, and what is said of one that cannot be imported."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ...errors import GANSegmentationError

PICTURE_SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
MASK_PICTURE_SUFFIXES = (".png", ".tif", ".tiff")
"""A mask is not read from JPEG, which blurs the edges between its values."""


def grey_picture(path: Path, *, of_equal_channels: bool = False, by_palette: bool = False) -> npt.NDArray[Any]:
    """A grey or black-and-white picture as it is stored, ``(rows, columns)``.

    Parameters
    ----------
    of_equal_channels:
        Whether a grey picture that was stored as a colour one, of three equal channels, will do.
    by_palette:
        Whether a picture with a palette has the grey values of its palette, as images mean it. Else it has the numbers
        of the palette's entries, as label pictures do.

    Raises
    ------
    GANSegmentationError
        ``invalid_source`` for what is no picture, one of colours, or several in one file.
    """
    from PIL import Image

    try:
        with Image.open(path) as picture:
            pages = getattr(picture, "n_frames", 1)
            shown = picture.convert("RGB") if by_palette and picture.mode == "P" else picture
            mode, values = shown.mode, np.asarray(shown)
            # Older versions of Pillow open 16-bit PNG as 32-bit integers.
            if picture.format == "PNG" and values.dtype == np.int32:
                values = values.astype(np.uint16)
    # Pillow says damaged files with several types, a bomb of pixels with one of its own.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise unreadable(path, f"it is no picture ({error})") from error
    if pages != 1:
        raise unreadable(path, f"it holds {pages} pictures, and only the first would be read")
    if of_equal_channels and mode in ("RGB", "RGBA", "LA"):
        channels = values[..., :3] if mode[0] == "R" else values[..., :1]
        if not (channels == channels[..., :1]).all():
            raise unreadable(path, "it is a picture of colours, not of grey values")
        values = np.ascontiguousarray(channels[..., 0])
    if values.ndim != 2:
        raise unreadable(path, f"it has {values.ndim} dimensions, not the two of a grey picture")
    return values


def require_alike(image: npt.NDArray[Any], mask: npt.NDArray[Any], path: Path) -> None:
    """Refuse a mask of another size than its image; `path` is the mask's.

    Raises
    ------
    GANSegmentationError
        ``invalid_source``.
    """
    if image.shape != mask.shape:
        raise unreadable(path, f"its shape {mask.shape} is not the image's {image.shape}")


def in_sub_folders(folders: Sequence[Path], suffixes: tuple[str, ...]) -> list[Path]:
    """Files with one of the suffixes that lie deeper than in the folders themselves; hidden ones do not count."""
    own = set(folders)
    return sorted(
        path
        for folder in own
        for path in folder.rglob("*")
        if path.name.lower().endswith(suffixes)
        and path.parent not in own
        and not any(part.startswith((".", "__")) for part in path.relative_to(folder).parts)
        and path.is_file()
    )


def refuse_sub_folders(folder: Path, paths: Sequence[Path]) -> NoReturn:
    """Say that files in sub-folders would be passed over.

    Raises
    ------
    GANSegmentationError
        ``invalid_source``.
    """
    first = paths[0].relative_to(folder)
    raise unreadable(folder, f"{len(paths)} files in sub-folders would be passed over, {first} for example")


def case_name(*parts: str) -> str:
    """The parts as one name that a file can have everywhere; other characters than letters, digits, ``.-`` go."""
    return "_".join(re.sub(r"[^\w.-]+", "_", part, flags=re.ASCII).strip("._") or "_" for part in parts)


def unreadable(path: Path, reason: str) -> GANSegmentationError:
    """The error that a file of a layout cannot be imported, ``invalid_source``."""
    return GANSegmentationError(
        "invalid_source",
        f"{path} cannot be imported: {reason}.",
        cause="The files are damaged or belong to another layout.",
        action="Check the source folder against the layout's description.",
    )
