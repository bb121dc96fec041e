"""Public layouts of electron micrographs: neuropil of fruit-fly larvae in serial sections.

Each set is *one* specimen, so there are no patients to split by. Sections are 45 to 50 nm apart, and neighbours look
much alike: a split by section would be the split by slice that is refused elsewhere. Here a block of `BLOCK`
neighbouring sections stands for a patient (and is a case), so that every split by patient keeps neighbours together but
for the two on either side of a block's end. Four sections make the 16/4 cross-validation of seed 004. An interval over
blocks is one over places in a single animal and says nothing about other animals.

Modality is ``OT``, DICOM's word for what has none (electron microscopy has no word of its own), and the unit arbitrary:
8-bit grey as the microscope's software left it. Spacing is left out although it is known (about 4 x 4 x 50 nm): masks
are compared by overlap here, and in millimetres every distance would round to nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np

from .case import CaseSource, ImportedCase
from .mask_values import Masks, inside
from .pictures import grey_picture, unreadable
from .registry import importer

NEUROPIL = {1: "Mitochondria", 2: "Membranes"}

BLOCK = 4
"""Neighbouring sections in a case; the last block of a set may have fewer."""

Sections = Mapping[int, tuple[Path, ...]]
"""The files of each section by its number, the picture first."""


@importer("em_vnc", NEUROPIL)
def em_vnc(folder: Path) -> Iterator[CaseSource]:
    """Ventral nerve cord, ssTEM (S. Gerhard et al., figshare 856713): ``NN.png``, ``NN_mito.png``, ``NN_membrane.png``.

    Where a mitochondrion's mask reaches into a membrane's (a few pixels a section), it is mitochondrion: it is what
    seed 004 segments in the end.
    """
    sections = {
        int(match.group(1)): (
            path,
            path.with_name(f"{path.stem}_mito.png"),
            path.with_name(f"{path.stem}_membrane.png"),
        )
        for path in folder.glob("*.png")
        if (match := re.fullmatch(r"(\d+)\.png", path.name))
    }
    for name, block in _blocks("vnc", sections):
        read = partial(_case, name, block, sections, _vnc_labels, "CC BY-NC-SA 3.0")
        yield CaseSource(name, _files(block, sections), read)


def _vnc_labels(files: tuple[Path, ...]) -> Masks:
    mitochondria, membranes = (inside(grey_picture(path), path) for path in files[1:])
    return np.where(mitochondria, 1, np.where(membranes, 2, 0)).astype(np.uint8)


@importer("em_isbi2012", NEUROPIL)
def em_isbi2012(folder: Path) -> Iterator[CaseSource]:
    """ISBI 2012 (I. Arganda-Carreras et al., 2015): ``image/N.png`` with ``label/N.png``, 255 = a cell's interior.

    What is not interior is membrane, label 2 as in `em_vnc`. Mitochondria lie inside of cells and have no label of
    their own.
    """
    sections = {
        int(path.stem): (path, folder / "label" / path.name)
        for path in (folder / "image").glob("*.png")
        if path.stem.isdigit()
    }
    for name, block in _blocks("isbi2012", sections):
        read = partial(_case, name, block, sections, _isbi_labels, "ISBI 2012 challenge terms: research, with citation")
        yield CaseSource(name, _files(block, sections), read)


def _isbi_labels(files: tuple[Path, ...]) -> Masks:
    return np.where(inside(grey_picture(files[1]), files[1]), 0, 2).astype(np.uint8)


def _blocks(name: str, sections: Sections) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The blocks by their names, ``vnc_00_03`` for the sections 0 to 3, whichever of them are there.

    Blocks are counted from section 0 and not from the first that is there: a section belongs to the same block in every
    copy of the set.
    """
    for start in sorted({number // BLOCK * BLOCK for number in sections}):
        block = tuple(number for number in range(start, start + BLOCK) if number in sections)
        yield f"{name}_{start:02d}_{start + BLOCK - 1:02d}", block


def _files(block: tuple[int, ...], sections: Sections) -> tuple[Path, ...]:
    """The files of a block that are there; reading it says which is missing."""
    return tuple(file for number in block for file in sections[number] if file.is_file())


def _case(
    name: str,
    block: tuple[int, ...],
    sections: Sections,
    labels_of: Callable[[tuple[Path, ...]], Masks],
    licence: str,
) -> ImportedCase:
    images = [grey_picture(sections[number][0]) for number in block]
    masks = [labels_of(sections[number]) for number in block]
    for number, image, mask in zip(block, images, masks, strict=True):
        path = sections[number][0]
        if image.dtype != np.uint8 or image.shape != mask.shape or image.shape != images[0].shape:
            raise unreadable(
                path, f"image {image.shape} {image.dtype} and mask {mask.shape} are not 8-bit sections of one size"
            )
    return ImportedCase(
        id=name,
        patient=name,
        modality="OT",
        unit="arbitrary",
        images=np.stack(images),
        masks=np.stack(masks),
        slice_index=block,
        value_range=(0.0, 255.0),
        licence=licence,
    )
