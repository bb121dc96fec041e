"""The text behind *Copy diagnostics*: what helps to find a fault, and nothing of whom was scanned or who sits there.

What the panel says itself (versions, device, models, settings) is chosen here and holds no free text. Messages and
logs are free text, so they pass through `anonymized`: given names are removed with their parts, and so is whatever
looks like a path, a file of images, a date, a patient's name in DICOM's way, an UID, an address or a long number. It
removes too much rather than too little.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from GANSegmentationLib.models import ModelLibrary

LOG_LINES = 60

_PACKAGES = ("numpy", "scipy", "SimpleITK", "pydicom", "pillow", "torch", "safetensors", "highdicom")
_IMAGE_SUFFIXES = r"nii(?:\.gz)?|(?:seg\.)?nrrd|nhdr|mha|mhd|dcm|dicom|ima|mrb|mrml|png|jpe?g|npy|csv|json|zip|gz|raw"

# Words that a volume's name shares with everything: to remove them would make the text useless.
_COMMON = {
    *("volume", "scan", "image", "series", "study", "segmentation", "labelmap", "label", "mask", "reference"),
    *("liver", "spleen", "kidney", "abdomen", "thorax", "lung", "prostate", "head", "body", "axial", "coronal"),
    *("sagittal", "slice", "slices", "model", "contrast", "phase", "portal", "venous", "arterial", "the", "and"),
    *("with", "for", "from", "not", "error", "file", "node", "data", "test", "synthetic", "patient", "none"),
}

_CODE_FOLDERS = r"GANSegmentationLib|GANSegmentationPanel|site-packages|dist-packages|lib/python3\.\d+"
_PATTERNS: tuple[tuple[str, str], ...] = (
    # Frames of tracebacks: only what lies within the program's or Python's own folders is kept.
    (rf'File "[^"\n]*?[/\\]((?:{_CODE_FOLDERS})[/\\][^"\n]*)"', r'File "\1"'),
    (
        r'File "(?!(?:GANSegmentationLib|GANSegmentationPanel|site-packages|dist-packages|lib/python3)[^"\n]*)[^"\n]*"',
        'File "<path>"',
    ),
    (r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>]+", "<address>"),
    # Quoted texts with a separator or an ending of images, whatever else is in them.
    (rf"(['\"])(?:(?!\1)[^\n])*(?:[/\\]|\.(?:{_IMAGE_SUFFIXES}))(?:(?!\1)[^\n])*\1(?!, line)", "<path>"),
    # Unquoted absolute paths may have spaces, so they end only with what no path has.
    (r"(?<![\w.<])(?:[A-Za-z]:[\\/]|\\\\|~?/)(?=[^\s/\\])[^\n\"'<>|:;]*", "<path>"),
    # Unquoted names of files may have spaces as well: some words before go with them.
    (rf"(?:[^\W\d_][\w'-]*[ ]){{0,3}}[^\s\"'<>:;,]+\.(?:{_IMAGE_SUFFIXES})\b", "<file>"),
    (r"\b[\w.+-]+@[\w-]+\.[\w.-]+\b", "<address>"),
    (r"[^\W\d_]+(?:\^[\w .'-]*)+", "<name>"),
    (r"\b\d+(?:\.\d+){4,}\b", "<uid>"),
    (r"\b(?:19|20)\d\d[-./]?(?:0[1-9]|1[0-2])[-./]?(?:0[1-9]|[12]\d|3[01])\b", "<date>"),
    (r"\b(?:0?[1-9]|[12]\d|3[01])[-./](?:0?[1-9]|1[0-2])[-./](?:19|20)\d\d\b", "<date>"),
    (r"\b(?=[A-Za-z-]*\d)(?:[A-Za-z]{0,6}[-_]?)\d{5,}\b", "<number>"),
)


def report(
    *,
    extension: str,
    application: str,
    probe: Mapping[str, Any] | None = None,
    library: ModelLibrary | None = None,
    settings: Mapping[str, str] | None = None,
    state: str = "",
    error: Mapping[str, str] | None = None,
    log: Iterable[str] = (),
    names: Iterable[str] = (),
) -> str:
    """Everything in one text for the clipboard.

    Parameters
    ----------
    extension, application:
        Versions: the library's with the extension's revision, and Slicer's with its revision.
    probe:
        What the worker's job ``probe`` found.
    settings:
        As `Preferences.toDict`.
    state:
        The code of the installation's state.
    error:
        The last one, as `GANSegmentationError.to_dict`.
    log:
        Lines of the log; the last `LOG_LINES` are taken.
    names:
        What must not be said: names of the scene's nodes, patients' names and IDs, as far as they are known.
    """
    hidden = [*names, *_userNames()]
    lines = [
        "GANSegmentation diagnostics",
        f"extension: {extension}",
        f"application: {application}",
        f"system: {platform.system()} {platform.release()}, {platform.machine()}",
        f"python: {platform.python_version()}",
        *(f"{name}: {_version(name)}" for name in _PACKAGES),
        f"state: {state or 'not checked'}",
        "",
        "device",
        *(f"  {line}" for line in _deviceLines(probe, hidden)),
        "",
        "models",
        *(f"  {line}" for line in _modelLines(library)),
        "",
        "settings",
        *(f"  {name}: {withoutHome(value)}" for name, value in (settings or {}).items()),
        "",
        "last error",
        *(f"  {line}" for line in _errorLines(error, hidden)),
        "",
        "log",
        *(f"  {line}" for line in anonymized("\n".join(list(log)[-LOG_LINES:]), hidden).splitlines()),
    ]
    return "\n".join(lines) + "\n"


def anonymized(text: str, names: Iterable[str] = ()) -> str:
    """A text without what may tell of a person.

    Parameters
    ----------
    names:
        Texts that are removed wherever they stand, and every word of three letters or more in them, but for words that
        are in the name of every scan.
    """
    for pattern, replacement in _PATTERNS[:2]:
        text = re.sub(pattern, replacement, text)
    hidden = _words(names)
    if hidden:
        text = re.sub("|".join(re.escape(each) for each in hidden), "<name>", text, flags=re.IGNORECASE)
    for pattern, replacement in _PATTERNS[2:]:
        text = re.sub(pattern, replacement, text)
    return text


def withoutHome(text: str, home: str | None = None) -> str:
    """A path with ``~`` in the place of the user's own folder, in either way of writing separators."""
    folder = str(Path.home()) if home is None else home
    if len(folder.strip("/\\")) < 2:  # the home of a service may be the root
        return text
    for form in (folder, folder.replace("\\", "/")):
        text = re.sub(re.escape(form.rstrip("/\\")) + r"(?=[/\\]|$)", "~", text, flags=re.IGNORECASE)
    return text


def _words(names: Iterable[str]) -> list[str]:
    """The texts to remove, longest first: names as they are, and their telling words."""
    found: set[str] = set()
    for name in names:
        whole = name.strip()
        words = [word for word in re.split(r"[\W_]+", whole) if word]
        telling = [word for word in words if len(word) >= 3 and word.casefold() not in _COMMON]
        if telling and len(whole) >= 3:
            found.add(whole)
        found.update(telling)
    return sorted(found, key=lambda each: (-len(each), each))


def _userNames() -> list[str]:
    import getpass

    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        return []
    return [] if name.casefold() in ("root", "user", "admin") else [name]


def _deviceLines(probe: Mapping[str, Any] | None, hidden: Sequence[str]) -> list[str]:
    if probe is None:
        return ["not asked"]
    lines = [f"torch {probe.get('torch')}, CUDA {probe.get('cuda_build')}, {probe.get('state')}"]
    for each in probe.get("devices", ()):
        free, total = (each.get(key) for key in ("free_bytes", "total_bytes"))
        memory = "" if free is None or total is None else f", {free / 1e9:.1f} of {total / 1e9:.1f} GB free"
        problem = f": {anonymized(str(each['why_not']), hidden)}" if each.get("why_not") else ""
        lines.append(f"{each.get('device')} {each.get('name')}{memory}{problem}")
    if probe.get("error"):
        lines += _errorLines(probe["error"], hidden)
    return lines


def _modelLines(library: ModelLibrary | None) -> list[str]:
    if library is None:
        return ["not listed"]
    lines = [
        f"{package.card.id} {package.card.version}, {package.card.network.name}, "
        f"{'shipped' if library.is_shipped(package) else 'imported'}"
        for package in library.list()
    ]
    return [*lines, *(f"broken package: {error.code}" for _, error in library.broken())] or ["none"]


def _errorLines(error: Mapping[str, str] | None, hidden: Sequence[str]) -> list[str]:
    if not error:
        return ["none"]
    lines = [f"code: {error.get('code', 'unknown')}"]
    for part in ("message", "cause", "action", "details"):
        lines += [f"{part}: {line}" for line in anonymized(error.get(part, ""), hidden).splitlines() if line]
    return lines


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
