"""The skeleton's part of each voxel, painted slice by slice."""

from __future__ import annotations

import numpy as np

from . import skeleton
from .imaging import Attenuation, Canvas
from .space import Axis, Field
from .texture import Grain
from .trunk import Trunk
from .variation import Patient

OFFSETS = (-0.36, -0.12, 0.12, 0.36)
"""Heights within a slice at which bones are sampled, in slice thicknesses."""


def paint_bones(canvas: Canvas, grain: Grain, trunk: Trunk, patient: Patient) -> None:
    """Ribs, costal cartilages, sternum, iliac wings, and the spine with discs and thecal sac."""
    for i, z in enumerate(canvas.space.z):
        _ribs(canvas, grain, i, canvas.upsample(trunk.cavity, i), patient)
        if z < 25:
            _wings(canvas, grain, i, patient)
        _spine(canvas, grain, i, patient)


def _ribs(canvas: Canvas, grain: Grain, i: int, cavity: Field, patient: Patient) -> None:
    """The bony and the cartilaginous cage, within the wall around the cavity."""
    t, space = patient.tissues, canvas.space
    rows, columns = np.nonzero((cavity > -2) & (cavity < 14))
    x, y = space.x[columns].astype(np.float32), space.y[rows].astype(np.float32)
    depth, fine = cavity[rows, columns], grain.fine[i, rows, columns]
    bone, hu, gristle = (np.zeros(len(x), np.float32) for _ in range(3))
    for offset in OFFSETS:
        z = float(space.z[i] + offset * space.thickness)
        rib, cartilage = skeleton.ribs(x, y, z, depth)
        if z > 205:
            rib = np.minimum(rib, skeleton.sternum(x, z, depth, y))
        part = np.clip(0.5 - rib / space.pixel, 0, 1) / len(OFFSETS)
        bone += part
        hu += part * skeleton.bone_density(-rib - 1.3, t, fine)
        gristle += np.clip(0.5 - cartilage / space.pixel, 0, 1) / len(OFFSETS)
    everywhere = slice(None)
    image = np.zeros((3, *cavity.shape), np.float32)
    image[:, rows, columns] = gristle, bone, hu
    canvas.blend(i, everywhere, everywhere, image[0], grain.tissue(t.cartilage, 14.0))
    canvas.blend(i, everywhere, everywhere, image[1], _mean(image[2], image[1]))


def _wings(canvas: Canvas, grain: Grain, i: int, patient: Patient) -> None:
    """The iliac crests."""
    space = canvas.space
    everywhere, rows = slice(None), _between(space.y, -35, 95)
    x, y = _mesh(space.x, space.y[rows])
    bone, hu = (np.zeros(x.shape, np.float32) for _ in range(2))
    for offset in OFFSETS:
        wing = skeleton.iliac_wings(x, y, float(space.z[i] + offset * space.thickness))
        part = np.clip(0.5 - wing / space.pixel, 0, 1) / len(OFFSETS)
        bone += part
        hu += part * skeleton.bone_density(-wing - 1.3, patient.tissues, grain.fine[i, rows])
    canvas.blend(i, rows, everywhere, bone, _mean(hu, bone))


def _spine(canvas: Canvas, grain: Grain, i: int, patient: Patient) -> None:
    """One slice of the spine: discs, canal with its sac, and bone."""
    t, space = patient.tissues, canvas.space
    rows, columns = _between(space.y, 15, 116), _between(space.x, -72, 72)
    x, y = _mesh(space.x[columns], space.y[rows])
    fine = grain.fine[i, rows, columns]
    bone_part, bone_hu, disc_part, canal_part, sac_part = (np.zeros(x.shape, np.float32) for _ in range(5))
    for offset in OFFSETS:
        bone, depth, disc, canal = skeleton.bone_of_spine(x, y, float(space.z[i] + offset * space.thickness))
        part = np.clip(0.5 - bone / space.pixel, 0, 1) / len(OFFSETS)
        bone_part += part
        bone_hu += part * skeleton.bone_density(depth, t, fine)
        disc_part += np.clip(0.5 - disc / space.pixel, 0, 1) / len(OFFSETS)
        canal_part += np.clip(0.5 - canal / space.pixel, 0, 1) / len(OFFSETS)
        sac_part += np.clip(0.5 - (canal + 2.2) / space.pixel, 0, 1) / len(OFFSETS)
    canvas.blend(i, rows, columns, disc_part, grain.tissue(t.disc, 5.0))
    canvas.blend(i, rows, columns, canal_part, t.epidural_fat)
    canvas.blend(i, rows, columns, sac_part, t.thecal_sac)
    canvas.blend(i, rows, columns, bone_part, _mean(bone_hu, bone_part))


def _between(axis: Axis, low: float, high: float) -> slice:
    first, last = np.searchsorted(axis, [low, high])
    return slice(int(first), int(last))


def _mesh(x: Axis, y: Axis) -> tuple[Field, Field]:
    columns, rows = np.meshgrid(x.astype(np.float32), y.astype(np.float32))
    return columns, rows


def _mean(weighted: Field, weight: Field) -> Attenuation:
    """The mean HU of what fills a part of each voxel."""
    mean: Field = weighted / np.maximum(weight, np.float32(1e-6))
    return lambda i, rows, columns: mean
