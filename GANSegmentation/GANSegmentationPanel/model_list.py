"""The list of models in the panel: what a row says, which come first, what a search finds, import and removal.

Nothing of Qt: rows are plain values, questions are functions that the caller gives.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Literal

from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

if TYPE_CHECKING:
    from GANSegmentationLib.models import Card, MetricFact, ModelLibrary, Package
    from GANSegmentationLib.models.library import Report

Fit = Literal["yes", "unknown", "no"]
_ORDER = {"yes": 0, "unknown": 1, "no": 2}


@dataclass(frozen=True)
class ModelRow:
    """One model as the list shows it.

    Parameters
    ----------
    id, version, title:
        As the card has them.
    modality:
        The chip: ``CT``, ``CT / MR``.
    plane, labels, dice, briefDice, licence, size:
        In words; `dice` and its short form for a narrow list are empty where the card has none.
    isShipped:
        A part of the program; else imported, and removable.
    isDefault:
        Whether it is the one taken for its modality when nobody chooses.
    fit:
        Whether it was made for the modality of the chosen volume; ``unknown`` where that is not known.
    key:
        What a search looks through.
    """

    id: str
    version: str
    title: str
    modality: str
    plane: str
    labels: str
    dice: str
    briefDice: str
    licence: str
    size: str
    isShipped: bool
    isDefault: bool
    fit: Fit
    key: str

    @property
    def secondLine(self) -> str:
        """Modality, plane, structures and size: what stands under the title."""
        return " · ".join(part for part in (self.modality, self.plane, self.labels, self.size) if part)

    @property
    def thirdLine(self) -> str:
        """How good, and under which licence."""
        return " · ".join(part for part in (self.briefDice, self.licence) if part)

    @property
    def toolTip(self) -> str:
        """How good, how large, under which licence, from where; and why it stands at the end, if it does."""
        origin = _("comes with the extension") if self.isShipped else _("imported")
        lines = [self.dice, f"{self.licence} · {self.size} · {origin} · {self.version}"]
        if self.fit == "no":
            lines.append(_("Made for {modality}, not for the chosen volume.").format(modality=self.modality))
        return "\n".join(line for line in lines if line)


def rows(library: ModelLibrary, modality: str | None = None) -> list[ModelRow]:
    """The models that segment: those for the modality first, in these the default ones, then by title.

    Of several versions of a model the newest is listed, which is the one that its id means.

    Parameters
    ----------
    modality:
        The DICOM modality of the chosen volume; None where it is not known.
    """
    newest: dict[str, Package] = {}
    for package in library.list("segmentation"):  # newest first
        newest.setdefault(package.card.id, package)
    found = [_row(library, package, modality) for package in newest.values()]
    return sorted(found, key=lambda row: (_ORDER[row.fit], not row.isDefault, row.title.casefold(), row.id))


def search(found: Sequence[ModelRow], text: str) -> list[ModelRow]:
    """The rows that have every word of a text in title, structures, modality, plane, network or id."""
    words = _plain(text).split()
    return [row for row in found if all(word in row.key for word in words)]


def brokenModels(library: ModelLibrary) -> list[tuple[str, str]]:
    """Packages that cannot be used: file name and reason."""
    return [(path.name, str(error)) for path, error in library.broken()]


def details(package: Package) -> str:
    """The whole card as HTML: every heading once, every word of the card escaped, for it is a stranger's text."""
    from html import escape

    from GANSegmentationLib.models import describe

    sections: dict[str, list[str]] = {}
    for heading, text in [*describe(package), *_provenance(package.card)]:
        sections.setdefault(heading, []).append(text)
    parts = [f"<h3>{escape(package.card.title)}</h3>"]
    for heading, texts in sections.items():
        parts.append(f"<p><b>{escape(heading)}</b><br>{'<br>'.join(escape(text) for text in texts)}</p>")
    return "".join(parts)


def diceText(card: Card) -> str:
    """The Dice that says most: of test cases rather than of those that chose the weights, and with its interval.

    A figure of one patient has no interval, so it comes last, whatever the split.
    """
    best = _bestDice(card)
    if best is None:
        return ""
    if best.ci95 is None:
        return _("Dice {mean:.3f} ({split}, n = {n})").format(mean=best.mean, split=best.split, n=best.n)
    return _("Dice {mean:.3f} (95 % CI {low:.3f} to {high:.3f}; {split}, n = {n})").format(
        mean=best.mean, low=best.ci95[0], high=best.ci95[1], split=best.split, n=best.n
    )


def briefDice(card: Card) -> str:
    """The same figure for a narrow list: ``Dice 0.96 (0.94 to 0.97), n 6``."""
    best = _bestDice(card)
    if best is None:
        return ""
    interval = "" if best.ci95 is None else _(" ({low:.2f} to {high:.2f})").format(low=best.ci95[0], high=best.ci95[1])
    return _("Dice {mean:.2f}{interval}, n {n}").format(mean=best.mean, interval=interval, n=best.n)


def _bestDice(card: Card) -> MetricFact | None:
    figures = [fact for fact in card.metrics if fact.name.lower() == "dice"]
    return min(figures, key=lambda fact: (fact.ci95 is None, fact.split != "test"), default=None)


def thumbnail(package: Package, size: int = 64) -> bytes:
    """A PNG picture of `size` x `size` pixels: the package's preview, else a drawn body with the structures' colours.

    A picture that cannot be read is drawn, too; a list of models does not fail for one of them.
    """
    from io import BytesIO

    from PIL import Image

    picture = None
    try:
        data = package.preview()
        if data is not None:
            picture = Image.open(BytesIO(data)).convert("RGB")
            picture.thumbnail((size, size), Image.Resampling.LANCZOS)
    except (GANSegmentationError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        picture = None
    if picture is None:
        picture = _drawn([segment.colour for segment in package.labels], size)
    canvas = Image.new("RGB", (size, size), (0, 0, 0))
    canvas.paste(picture, ((size - picture.width) // 2, (size - picture.height) // 2))
    out = BytesIO()
    canvas.save(out, "PNG")
    return out.getvalue()


# Import, removal, and the place on the disk


def pathsOfUrls(urls: Iterable[str], platform: str | None = None) -> list[str]:
    """The local paths of what was dropped, with every character that they had.

    Raises
    ------
    GANSegmentationError
        ``not_a_file`` for an address that is no file of this computer.
    """
    return [_pathOfUrl(url, platform) for url in urls]


def importModel(
    library: ModelLibrary,
    path: str | PurePath,
    *,
    confirmReplace: Callable[[str], bool],
    report: Report | None = None,
) -> Package | None:
    """Check a package, a zip or a folder, and copy it into the user's library; torch is not imported for it.

    Parameters
    ----------
    confirmReplace:
        Asked, with what happened, if the library has this version of the model with other contents.
    report:
        Told of the steps, as by `ModelLibrary.import_package`.

    Returns
    -------
    The model of the library, also where it was there already; None if it was not to be replaced.

    Raises
    ------
    GANSegmentationError
        With the reason why the package is refused.
    """
    from GANSegmentationLib.models import open_package

    try:
        return library.import_package(path, check_network=False, report=report)
    except GANSegmentationError as error:
        if error.code != "model_exists":
            raise
        card = open_package(path, check_network=False).card
        known = library.get(card.id, card.version)
        if known.card == card:
            return known
        if not confirmReplace(f"{error.message} {error.cause}"):
            return None
    return library.import_package(path, replace=True, check_network=False, report=report)


def removeModel(library: ModelLibrary, row: ModelRow) -> list[Path]:
    """Remove a model of the user, every version of it; raises as `ModelLibrary.remove`."""
    return library.remove(row.id)


def cannotRemove(row: ModelRow | None) -> str:
    """Why the button that removes is off; empty where it is on."""
    if row is None:
        return _("Choose an imported model first.")
    return _("This model is a part of the extension; only imported ones can be removed.") if row.isShipped else ""


def cacheSummary(library: ModelLibrary) -> str:
    """How many models are kept where, and how large: outside of the extension, so that they outlive its updates."""
    return _("{count} imported models, {size}, in {folder}").format(
        count=len(library.user_files()), size=sizeText(library.user_bytes()), folder=library.user
    )


def openCache(library: ModelLibrary, openFolder: Callable[[str], object]) -> None:
    """Show the folder of imported models, which is made if nothing was imported yet.

    Raises
    ------
    GANSegmentationError
        ``folder_not_made`` if the disk refuses.
    """
    try:
        library.user.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GANSegmentationError(
            "folder_not_made",
            f"The folder {library.user} cannot be made: {error.strerror or error}.",
            action="Choose another folder for the models under Advanced.",
        ) from error
    openFolder(str(library.user))


def clearCache(library: ModelLibrary, confirm: Callable[[str], bool]) -> list[Path]:
    """Remove all imported models, after asking; nothing is removed on No, and nothing but packages ever."""
    count = len(library.user_files())
    if count == 0:
        return []
    question = _("Remove all {count} imported models ({size})? Models that come with the extension stay.").format(
        count=count, size=sizeText(library.user_bytes())
    )
    return library.clear() if confirm(question) else []


def sizeText(size: int) -> str:
    """Bytes for people: ``10.9 MB``."""
    if size < 1e6:
        return f"{size / 1e3:.0f} kB"
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"


def _row(library: ModelLibrary, package: Package, modality: str | None) -> ModelRow:
    card = package.card
    labels = ", ".join(segment.name for segment in package.labels)
    fit: Fit = "unknown" if not modality else "yes" if modality in card.modalities else "no"
    modalities = " / ".join(card.modalities)
    return ModelRow(
        id=card.id,
        version=card.version,
        title=card.title,
        modality=modalities,
        plane=card.slicing.plane,
        labels=labels,
        dice=diceText(card),
        briefDice=briefDice(card),
        licence=card.weights_licence,
        size=sizeText(package.size_bytes),
        isShipped=library.is_shipped(package),
        isDefault=bool(card.default_for) if not modality else modality in card.default_for,
        fit=fit,
        key=_plain(" ".join((card.title, labels, modalities, card.slicing.plane, card.network.name, card.id))),
    )


def _provenance(card: Card) -> list[tuple[str, str]]:
    """Where the weights come from, in more detail than a summary has room for."""
    training = card.training
    made = f"preset {training.preset}, objective {training.objective}, seed {training.seed}, {training.epochs} epochs"
    lines = [("Made", f"{made}, {training.date}")]
    lines += [("Data source", data.source) for data in training.data if data.source]
    if training.split_sha256:
        lines.append(("Split of patients", f"SHA-256 {training.split_sha256[:16]}..."))
    lines += [("Files", f"{name}, SHA-256 {fact.sha256[:16]}...") for name, fact in card.files.items()]
    return lines


def _plain(text: str) -> str:
    """Lower case without accents, so that a search finds what was meant."""
    parts = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in parts if not unicodedata.combining(each))


def _pathOfUrl(url: str, platform: str | None) -> str:
    import sys
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(url)
    if parts.scheme != "file":
        raise GANSegmentationError(
            "not_a_file",
            f"{url} is not a file of this computer.",
            action="Download the package first, then drop the file.",
        )
    path = unquote(parts.path)
    host = parts.netloc if parts.netloc.lower() != "localhost" else ""
    if (platform or sys.platform) != "win32":
        return path
    if host:
        return f"\\\\{unquote(host)}{path}".replace("/", "\\")  # a folder of another computer
    return path.lstrip("/").replace("/", "\\")


def _drawn(colours: Sequence[tuple[int, int, int]], size: int):
    """An axial slice as a sign: a grey body, and in it a shape for each of the first structures, in its colour."""
    from PIL import Image, ImageDraw

    scale = 4  # drawn large and made smaller, for smooth edges
    edge = size * scale
    picture = Image.new("RGB", (edge, edge), (0, 0, 0))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((edge * 0.06, edge * 0.16, edge * 0.94, edge * 0.84), fill=(96, 96, 96))
    draw.ellipse((edge * 0.44, edge * 0.60, edge * 0.56, edge * 0.74), fill=(225, 225, 215))
    places = ((0.14, 0.26, 0.52, 0.62), (0.60, 0.30, 0.82, 0.52), (0.26, 0.60, 0.40, 0.74), (0.60, 0.58, 0.74, 0.72))
    for colour, place in zip(colours, places, strict=False):
        draw.ellipse(tuple(edge * each for each in place), fill=tuple(colour))
    return picture.resize((size, size), Image.Resampling.LANCZOS)
