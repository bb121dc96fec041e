"""The models a user can pick: those shipped with the program, and those that the user imported."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import GANSegmentationError
from ..resources import resource_path
from .card import Task
from .folder import bytes_of, delete, packages_in, stamp, user_models_folder
from .package import Package, open_package, write_files

Report = Callable[[int, int, str], None]
"""Told of an import's progress: steps done, steps in all, what is being done."""

# Named here, because within the class `list` is the method.
_Packages = list[Package]
_Reasons = list[tuple[Path, GANSegmentationError]]
_Entries = list[tuple[Path, Package | GANSegmentationError]]
_Paths = list[Path]


class ModelLibrary:
    """Shipped and imported model packages.

    A folder of the library holds packages as ``*.ganseg`` files or as folders with a card; other files and hidden ones
    are none of its business. A package that cannot be used is listed with its reason (`broken`) and disturbs no other.

    Opened packages are remembered until their files change, so listing again is quick. The registry of networks is not
    asked on listing, because that imports torch; it is on `import_package` and `verify`, and when a network is built.

    Parameters
    ----------
    shipped:
        Folder of the shipped models; None is ``Resources/Models``.
    user:
        Folder of the user's models; None is `user_models_folder`. Made when something is imported.
    """

    def __init__(self, shipped: Path | None = None, user: Path | None = None) -> None:
        self.shipped = resource_path("Models") if shipped is None else Path(shipped)
        self.user = user_models_folder() if user is None else Path(user)
        self._opened: dict[Path, tuple[Any, Package | GANSegmentationError]] = {}

    def list(self, task: Task | None = None) -> _Packages:
        """All usable models, or those of one task, by title; versions of one model newest first, the user's before the
        shipped."""
        packages = [
            found for _, found in self._scan() if isinstance(found, Package) and task in (None, found.card.task)
        ]
        # Sorting twice is stable: the second key decides, the first one orders what it leaves equal.
        packages.sort(key=self._rank, reverse=True)
        return sorted(packages, key=lambda package: (package.card.title.casefold(), package.card.id))

    def broken(self) -> _Reasons:
        """Packages that cannot be used, and why."""
        return [(path, found) for path, found in self._scan() if isinstance(found, GANSegmentationError)]

    def get(self, model_id: str, version: str | None = None) -> Package:
        """The model with this id, its newest version unless one is named.

        Raises
        ------
        GANSegmentationError
            ``unknown_model``, with what there is; the package's own error if it is there but broken.
        """
        packages = self.list()
        found = [package for package in packages if package.card.id == model_id]
        if version is not None:
            found = [package for package in found if package.card.version == version]
        if found:
            return max(found, key=self._rank)
        for path, error in self.broken():
            if path.stem == model_id or path.name == model_id or path.name.startswith(f"{model_id}-"):
                raise error
        wanted = f"'{model_id}'" if version is None else f"'{model_id}' in version {version}"
        raise GANSegmentationError(
            "unknown_model",
            f"There is no model {wanted}.",
            cause="Its name is misspelt, or it was not imported.",
            action=_available(packages),
        )

    def choose(self, modality: str | None, *, any_modality: bool = False) -> Package:
        """The model that segments a modality: one that is a default for it, else any that was made for it; the newest
        of several. Models that make pictures are never chosen.

        Parameters
        ----------
        modality:
            DICOM's word; None if it is not known, which chooses among all defaults as long as they are one model.
        any_modality:
            Where no model was made for the modality, choose as if it were not known instead of failing.

        Raises
        ------
        GANSegmentationError
            ``no_model`` if there is none for this modality; ``modality_unknown`` if it is not known and more than one
            model could be meant.
        """
        packages = self.list("segmentation")
        if modality is not None:
            made_for = [package for package in packages if modality in package.card.modalities]
            found = [package for package in made_for if modality in package.card.default_for] or made_for
            if found:
                return max(found, key=self._newness)
            if not any_modality:
                raise GANSegmentationError(
                    "no_model",
                    f"There is no model for {modality}.",
                    cause="No model for this kind of scan was shipped or imported.",
                    action=_available(packages),
                )
        found = [package for package in packages if package.card.default_for] or packages
        if len({package.card.id for package in found}) == 1:
            return max(found, key=self._newness)
        raise GANSegmentationError(
            "modality_unknown" if packages else "no_model",
            "The scan's file does not say its modality, and several models could be meant."
            if packages
            else "There are no models.",
            cause="Only DICOM files say the modality." if packages else "None was shipped or imported.",
            action=f"Name the model. {_available(packages)}" if packages else _available(packages),
        )

    def import_package(
        self,
        path: str | os.PathLike[str],
        *,
        replace: bool = False,
        check_network: bool = True,
        report: Report | None = None,
    ) -> Package:
        """Check a package thoroughly and copy it into the user's folder, as ``<id>-<version>.ganseg``.

        Parameters
        ----------
        replace:
            Put it in the place of the same version of the model, if there is one.
        check_network:
            As `open_package`: False keeps torch out of a process that must stay free of it, and leaves it to the first
            run to find that this version does not know the network.
        report:
            Told before each step, and once when all are done.

        Raises
        ------
        GANSegmentationError
            As `Package.verify`; ``model_exists`` if the library has this version of the model already and it is not to
            be replaced; ``package_unwritable``.
        """
        tell = report or (lambda done, total, what: None)
        tell(0, 3, "read")
        package = open_package(path, check_network=check_network)
        tell(1, 3, "check")
        package.verify(check_network=check_network)
        card = package.card
        target = self.user / f"{card.id}-{card.version}.ganseg"
        if not replace:
            for known in self.list():
                if (known.card.id, known.card.version) == (card.id, card.version):
                    raise _exists(known, same=known.card == card)
        if target.is_dir() and not target.is_symlink():
            raise GANSegmentationError(
                "package_exists", f"A folder is in the way at {target}.", action="Remove or rename it."
            )
        tell(2, 3, "copy")
        write_files(target, package.files(), check_network=check_network)
        tell(3, 3, "done")
        return open_package(target, check_network=check_network)

    def is_shipped(self, package: Package) -> bool:
        """Whether a model is a part of the program, which cannot be removed."""
        return package.path.parent != self.user

    def user_files(self) -> _Paths:
        """The packages in the user's folder, broken ones too."""
        return list(packages_in(self.user)) if self.user != self.shipped else []

    def user_bytes(self) -> int:
        """What the packages of the user take on the disk, in bytes; files that vanish meanwhile count nothing."""
        return sum(bytes_of(path) for path in self.user_files())

    def clear(self) -> _Paths:
        """Remove every package of the user, and nothing else that lies in the folder; return what was removed.

        Raises
        ------
        GANSegmentationError
            ``model_not_removed`` if the disk refuses; what was removed before stays removed.
        """
        doomed = self.user_files()
        for path in doomed:
            delete(path)
        return doomed

    def verify(self, model_id: str, version: str | None = None) -> Package:
        """Open a model anew and check everything; raises as `get` and `Package.verify`."""
        package = self.get(model_id, version)
        package.verify()
        return package

    def remove(self, model_id: str, version: str | None = None) -> _Paths:
        """Remove a model of the user, all versions unless one is named, and return what was removed.

        A broken package is removed by its file name.

        Raises
        ------
        GANSegmentationError
            ``model_is_shipped``, ``unknown_model``; ``model_not_removed`` if the disk refuses.
        """
        entries = self._scan()
        of_user = [path for path, _ in entries if path.parent == self.user]
        matching = [
            path
            for path, found in entries
            if (isinstance(found, Package) and found.card.id == model_id and version in (None, found.card.version))
            or (isinstance(found, GANSegmentationError) and version is None and model_id in (path.name, path.stem))
        ]
        doomed = [path for path in matching if path in of_user]
        if matching and not doomed:
            raise GANSegmentationError(
                "model_is_shipped",
                f"The model '{model_id}' is a part of the program and cannot be removed.",
                action="Only imported models can be removed.",
            )
        if not doomed:
            self.get(model_id, version)  # says what there is
        for path in doomed:
            delete(path)
        return doomed

    def _scan(self) -> _Entries:
        """Every package of both folders, opened, or the reason why it cannot be."""
        found: _Entries = []
        for folder in dict.fromkeys((self.shipped, self.user)):
            found += [(path, self._open(path)) for path in packages_in(folder)]
        return found

    def _open(self, path: Path) -> Package | GANSegmentationError:
        now = stamp(path)
        known = self._opened.get(path)
        if known is not None and known[0] == now:
            return known[1]
        result: Package | GANSegmentationError
        try:
            result = open_package(path, check_network=False)
        except GANSegmentationError as error:
            result = error
        self._opened[path] = (now, result)
        return result

    def _rank(self, package: Package) -> tuple[Any, ...]:
        """Orders versions of one model; the user's copy wins over the shipped one of the same version."""
        return package.card.version_key, package.card.training.date, package.path.parent == self.user

    def _newness(self, package: Package) -> tuple[Any, ...]:
        """Orders different models, whose versions do not compare: by the day of training."""
        return package.card.training.date, *self._rank(package), package.card.id


def _exists(known: Package, *, same: bool) -> GANSegmentationError:
    card = known.card
    return GANSegmentationError(
        "model_exists",
        f"The library already has {card.id} {card.version}: {known.path}.",
        cause="It is the same model." if same else "It has other contents under the same version.",
        action="There is nothing to do." if same else "Replace it on purpose, or give the new model another version.",
    )


def _available(packages: list[Package]) -> str:
    if not packages:
        return "Import a model package first."
    names = dict.fromkeys(f"{package.card.id} ({', '.join(package.card.modalities)})" for package in packages)
    return f"The models are {', '.join(names)}."
