"""``ganseg doctor``: what is installed, which device computes, and whether the whole works."""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import GANSegmentationError
from .terminal import Subparsers, known_error, paragraph, print_json, print_table

if TYPE_CHECKING:
    from ..models import Package
    from ..volumes import Volume

PACKAGES: tuple[tuple[str, str], ...] = (
    ("numpy", ""),
    ("scipy", ""),
    ("SimpleITK", ""),
    ("pydicom", ""),
    ("pillow", ""),
    ("torch", ""),
    ("safetensors", ""),
    ("tqdm", ""),
    ("lightning-fabric", "train"),
    ("monai", "train"),
    ("highdicom", "dicom"),
)
"""The packages that the library uses, and the extra that brings them (none: always needed)."""


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    parser = subparsers.add_parser(
        "doctor",
        description="Say what is installed and which device computes, verify the models, and segment a tiny phantom "
        "with the default model. Exit code 1 if something that segmenting needs does not work.",
        allow_abbrev=False,
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(args: argparse.Namespace) -> int:
    """Examine and report."""
    findings: dict[str, Any] = {
        "version": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": packages(),
        "device": _attempt(lambda: device(args.device)),
        "models": _attempt(models),
        "self_check": _attempt(lambda: self_check(args.device)),
    }
    findings["ok"] = healthy(findings)
    if args.json:
        print_json(findings)
    else:
        _tell(findings)
    return 0 if findings["ok"] else 1


def packages() -> dict[str, str | None]:
    """The version of every package that the library uses; None where it is not installed."""
    versions: dict[str, str | None] = {}
    for name, _ in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def device(wanted: str) -> dict[str, Any]:
    """The device that computes, found by running a small computation on it, and what torch was built for."""
    import torch

    from ..inference import choose_device

    choice = choose_device(wanted)
    return {
        "device": str(choice.device),
        "name": choice.name,
        "why": choice.why,
        "half_precision": None if choice.half is None else str(choice.half).removeprefix("torch."),
        "torch": torch.__version__,
        "cuda_build": torch.version.cuda,
        "threads": torch.get_num_threads(),
    }


def models() -> dict[str, Any]:
    """Whether the files of every model in the library are whole."""
    from .models import verify

    rows = list(verify([]))
    broken = [row for row in rows if row["error"] is not None]
    return {"checked": len(rows), "broken": broken}


def self_check(wanted_device: str) -> dict[str, Any]:
    """Segment a tiny phantom with the default CT model: what comes out must lie on the phantom's grid.

    Whether the model is good is for `ganseg demo` and the model's card to say, not for a phantom of three ellipses.

    Raises
    ------
    GANSegmentationError
        ``self_check_failed`` if the mask is not one of the phantom; else whatever stops the model.
    """
    from ..inference import Predictor
    from ..models import ModelLibrary

    package = ModelLibrary().choose("CT")
    phantom = tiny_phantom(package)
    started = time.perf_counter()
    domain = package.card.domains[0] if package.card.domains else None
    result = Predictor(package, wanted_device).segment([phantom] * package.card.channels, domain=domain)
    seconds = time.perf_counter() - started
    values = {0, *(segment.value for segment in package.labels)}
    found = {int(value) for value in set(result.labelmap.array.ravel().tolist())}
    if result.labelmap.geometry != phantom.geometry or not found <= values:
        raise GANSegmentationError(
            "self_check_failed",
            f"The model {package.card.id} gave the labels {sorted(found)} on the grid {result.labelmap.geometry}.",
            cause="The installed torch or numpy computes wrongly, or the program has a fault.",
            action="Install the versions of constraints.txt and run ganseg doctor again.",
        )
    return {"model": package.card.id, "seconds": round(seconds, 3)}


def tiny_phantom(package: Package) -> Volume:
    """Three ellipses: a body of 40 HU, an organ of 110 HU and a spine of 400 HU in air; 4 slices of 128 x 128."""
    import numpy as np

    from ..volumes import Geometry, Volume

    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    image = np.full((128, 128), -1000, dtype=np.int16)
    for hu, (centre_y, centre_x), (radius_y, radius_x) in (
        (40, (0.0, 0.0), (0.65, 0.9)),
        (110, (-0.1, -0.4), (0.4, 0.4)),
        (400, (0.4, 0.0), (0.12, 0.12)),
    ):
        image[((y - centre_y) / radius_y) ** 2 + ((x - centre_x) / radius_x) ** 2 < 1] = hu
    geometry = Geometry(size=(128, 128, 4), spacing=(2.9, 2.9, 5.0))
    modality = package.card.modalities[0] if package.card.modalities else None
    return Volume(np.repeat(image[None], 4, axis=0), geometry, modality=modality, name="phantom")


def healthy(findings: dict[str, Any]) -> bool:
    """Whether everything that segmenting needs is there and works."""
    needed = [name for name, extra in PACKAGES if not extra]
    return (
        all(findings["packages"][name] is not None for name in needed)
        and all("error" not in findings[part] for part in ("device", "models", "self_check"))
        and not findings["models"]["broken"]
    )


def _attempt(examine: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What an examination finds, or the error that stopped it: one broken part must not hide the others."""
    try:
        return examine()
    except Exception as error:  # noqa: BLE001 - a broken torch raises anything
        return {"error": known_error(error).to_dict()}


def _tell(findings: dict[str, Any]) -> None:
    print(f"GANSegmentation {findings['version']}, Python {findings['python']}, {findings['platform']}\n")
    rows = []
    for name, extra in PACKAGES:
        version = findings["packages"][name]
        rows.append([name, version or ("MISSING" if not extra else f"not installed (extra {extra})")])
    print_table(["package", "version"], rows, text_columns=2)
    print()
    found = findings["device"]
    if _fine("device", found):
        half = f", half precision {found['half_precision']}" if found["half_precision"] else ""
        print(f"device      {found['device']} ({found['name']}{half}): {found['why']}")
        print(f"torch       {found['torch']}, CUDA {found['cuda_build'] or 'not built in'}, {found['threads']} threads")
    found = findings["models"]
    if _fine("models", found):
        whole = found["checked"] - len(found["broken"])
        print(f"models      {whole} of {found['checked']} whole")
        for row in found["broken"]:
            paragraph(f"BROKEN      {row['model']}: {GANSegmentationError.from_dict(row['error'])}", sys.stdout)
    found = findings["self_check"]
    if _fine("self-check", found):
        print(f"self-check  {found['model']} segmented a phantom in {found['seconds']:.1f} s")
    print("\nAll is well." if findings["ok"] else "\nSomething is wrong.")


def _fine(title: str, found: dict[str, Any]) -> bool:
    if "error" in found:
        error = GANSegmentationError.from_dict(found["error"])
        paragraph(f"{title:<10}  FAILED: {error} [{error.code}]", sys.stdout)
        return False
    return True
