"""The volumes and the model that a request names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .. import protocol
from ..errors import GANSegmentationError

if TYPE_CHECKING:
    from ..models import Package
    from ..volumes import Volume
    from .run import RunOfJob


def read_volumes(command: protocol.RunSegment | protocol.RunCheck, run: RunOfJob) -> list[Volume]:
    """The volumes of a request, from its private folder or from files.

    Raises
    ------
    GANSegmentationError
        ``no_volume`` if there is none; ``cancelled``; as `volumes.exchange.load_volume` and `volumes.read_volume`.
    """
    from ..volumes import read_volume
    from ..volumes.exchange import load_volume

    run.enter("read")
    volumes = []
    for description in command.volumes:
        volumes.append(load_volume(description, Path(command.folder)))
        run.check()
    for path in command.inputs:
        volumes.append(read_volume(path))
        run.check()
    if not volumes:
        raise GANSegmentationError("no_volume", "There is no volume to segment.", action="Choose a volume.")
    return volumes


def find_package(command: protocol.RunSegment | protocol.RunCheck, modality: str | None) -> Package:
    """The model that a request names, else the one for the modality; raises as `models.ModelLibrary`."""
    from ..models import ModelLibrary, open_package

    if command.package:
        return open_package(Path(command.package))
    library = ModelLibrary()
    if command.model:
        return library.get(command.model)
    return library.choose(modality, any_modality=command.force)


def describe_model(package: Package) -> dict[str, str]:
    """What a result says of its model."""
    return {"id": package.card.id, "title": package.card.title, "version": package.card.version}
