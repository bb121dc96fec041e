"""Whatever goes wrong in a run, in the project's own words."""

from __future__ import annotations

import sys
import traceback

from ..errors import GANSegmentationError


def known(error: Exception) -> GANSegmentationError:
    """An exception as an error that a person understands; the traceback goes into the details."""
    if isinstance(error, GANSegmentationError):
        return error
    details = "".join(traceback.format_exception(error))
    if isinstance(error, ModuleNotFoundError):
        return _missing(error, details)
    if isinstance(error, MemoryError) or _ran_out_of_memory(error):
        return GANSegmentationError(
            "out_of_memory",
            "The memory ran out.",
            cause="Other programs use it, or the model or the scan is too large for this computer or its GPU.",
            action="Close other programs, or choose the device cpu.",
            details=details,
        )
    if isinstance(error, ImportError) and "torch" in details:
        return broken_torch(error)
    return GANSegmentationError(
        "internal_error",
        f"Something unexpected went wrong: {type(error).__name__}: {error}",
        cause="This is a fault of the program, or the disk is full.",
        action="Run again; report the details if it comes back.",
        details=details,
    )


def broken_torch(error: BaseException) -> GANSegmentationError:
    """PyTorch is there, and fails as it is imported."""
    first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return GANSegmentationError(
        "torch_broken",
        f"PyTorch is installed but cannot be loaded: {first_line.rstrip('.')}.",
        cause="It was built for another NumPy or another system, or its installation was interrupted.",
        action="Install PyTorch again (in Slicer: module PyTorch Utils).",
        details="".join(traceback.format_exception(error)),
    )


def _ran_out_of_memory(error: Exception) -> bool:
    if "torch" not in sys.modules:
        return False
    from ..inference.device import is_out_of_memory

    return is_out_of_memory(error)


def _missing(error: ModuleNotFoundError, details: str) -> GANSegmentationError:
    name = (error.name or "").partition(".")[0]
    title, source = {
        "torch": ("PyTorch", "Install the PyTorch extension, or torch by pip outside of Slicer"),
        "safetensors": ("safetensors", "Install it with pip"),
    }.get(name, (name, "Install GANSegmentation again"))
    return GANSegmentationError(
        f"{name}_missing" if name else "internal_error",
        f"{title or 'A package'} is not installed.",
        cause="A network cannot run without it." if name == "torch" else "",
        action=f"{source}, then run again.",
        details=details,
    )
