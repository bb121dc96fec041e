"""The order in which the patient is painted, tissue over tissue, and the scan that comes of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from . import vessels
from .bones import paint_bones
from .imaging import Canvas, blurred, scanner_noise
from .liver import make_liver
from .organs import make_neighbours
from .space import Field, Space, ellipsoid, intersection, rotation, union
from .texture import Grain
from .trunk import Trunk, make_trunk
from .variation import Patient
from .viscera import paint_viscera


def draw(space: Space, patient: Patient, rng: np.random.Generator) -> tuple[Field, Field]:
    """The patient on the couch: HU with noise, and the liver's share of each voxel, ``(slices, rows, columns)``."""
    t = patient.tissues
    canvas = Canvas(space, t.air)
    streams = rng.spawn(6)
    grain = Grain(canvas, streams[0])
    trunk = make_trunk(space, patient)
    neighbours = make_neighbours(space, patient, trunk, streams[1])
    liver = make_liver(space, patient, trunk, neighbours, streams[2])

    _couch(canvas, patient)
    _wall(canvas, grain, trunk, patient)
    _chest(canvas, grain, trunk, patient, streams[3])
    paint_viscera(canvas, grain, trunk, liver, neighbours, patient, streams[4])
    paint_bones(canvas, grain, trunk, patient)

    body = np.clip(0.5 - np.stack([canvas.upsample(trunk.skin, i) for i in range(len(space.z))]), 0, 1)
    hu = blurred(canvas.hu, space.pixel, 0.75)
    for i, noise in enumerate(scanner_noise(body, space.pixel, patient.noise, streams[5])):
        hu[i] += noise
    return hu, canvas.liver


def _couch(canvas: Canvas, patient: Patient) -> None:
    """A curved carbon shell around foam, under the back."""
    x, y = canvas.space.x[None, :], canvas.space.y[:, None]
    surface = 121 - (x / 46) ** 2 + 0 * y
    depth = y - surface
    thickness = 26 - 18 * np.clip(np.abs(x) / 195, 0, 1) ** 2
    inside = np.clip(0.5 + depth, 0, 1) * np.clip(0.5 + thickness - depth, 0, 1) * (np.abs(x) < 205)
    core = np.clip(depth - 1.5, 0, 1) * np.clip(thickness - 1.5 - depth, 0, 1) * (np.abs(x) < 203)
    everywhere = slice(None)
    for i in range(len(canvas.space.z)):
        canvas.blend(i, everywhere, everywhere, inside.astype(np.float32), patient.tissues.couch_shell)
        canvas.blend(i, everywhere, everywhere, core.astype(np.float32), patient.tissues.couch_core)


def _wall(canvas: Canvas, grain: Grain, trunk: Trunk, patient: Patient) -> None:
    """Skin, subcutaneous fat and the muscles of the trunk with the fat between them."""
    t, space = patient.tissues, canvas.space
    canvas.paint(trunk.skin, t.skin)
    canvas.paint(trunk.skin + 2.3, grain.strands(t.fat, -55.0, 1.9))
    canvas.paint(trunk.fascia, grain.tissue(t.muscle, 9.0, 5.0))
    everywhere = slice(None)
    x, y = (np.asarray(axis, dtype=np.float32) for axis in (space.x[None, :], space.y[:, None]))
    angle = np.degrees(np.arctan2(np.abs(x) + 0 * y, -y))
    for i, z in enumerate(space.z):
        # Sheets of fat are thinner than the fields' grid: they are drawn pixel by pixel.
        cavity, fascia = canvas.upsample(trunk.cavity, i), canvas.upsample(trunk.fascia, i)
        wave = 0.5 * grain.coarse[i]
        for gap, hu in _sheets(x, y, float(z), angle, cavity, fascia, wave):
            inside = np.maximum(gap, np.maximum(fascia, 1.2 - cavity))
            coverage = np.clip(0.5 - inside / space.pixel, 0, 1)
            canvas.blend(i, everywhere, everywhere, coverage, hu)


def _sheets(
    x: Field, y: Field, z: float, angle: Field, cavity: Field, fascia: Field, wave: Field
) -> Iterator[tuple[Field, float]]:
    """The fat between the muscles of the wall in one slice: distance to it, mm, and its HU.

    Parameters
    ----------
    x, y, angle:
        Position of the pixels, mm, and their angle from the midline in front, degrees.
    cavity, fascia:
        Distance to the inner and to the outer surface of the muscles, mm.
    wave:
        What bends the sheets, mm.
    """
    thickness = np.maximum(cavity - fascia, 1.0)
    half = float(np.interp(z, (0, 100, 180, 300), (33, 34, 31, 26)))
    middle = float(np.interp(z, (0, 100, 180, 300), (80, 82, 87, 91)))
    gauge = np.hypot((np.abs(x) - half - 3) / half, (y - middle) / (half * 0.56))
    compartment = (gauge - 1) * half * 0.6
    low = float(np.clip((150 - z) / 25, 0, 1))
    if low > 0:
        # Between transversus, internal and external oblique.
        flank = np.maximum(50 - angle, angle - 116) * 1.5 + 4 * (1 - low)
        for at in (0.3, 0.64):
            yield np.maximum(np.abs(cavity - at * thickness + wave) - 0.45, flank), -55.0
        # Behind the obliques and beside the erector spinae the wall is mostly fat: the lumbar triangle.
        taper = 4.5 + wave + np.maximum(0, 132 - angle) * 0.8 - cavity
        yield np.maximum(np.maximum(taper, 2.2 - compartment), (118 - angle) * 1.5 + 12 * (1 - low)), -100.0
    if low < 1:
        # Between the ribs and latissimus dorsi or serratus anterior.
        mantle = np.maximum(30 - angle, angle - 150) * 1.5 + 4 * low
        yield np.maximum(np.abs(cavity - 0.78 * thickness + wave) - 0.8, mantle), -75.0
        # In front of the ribs the chest carries little muscle.
        yield np.maximum(np.maximum(angle - 64, 5 * (172 - z)) * 1.2, 10.5 + wave - cavity), -100.0
    yield np.maximum(np.abs(x) - 1.3, y), -20.0
    if z < 165:
        spigelian = np.abs(np.abs(x) - 72 - wave) - 0.9
        yield np.maximum(spigelian, np.maximum(y + 20, 3.5 - cavity)), -60.0
    # The erector spinae in its compartment, and the fat around it and in it.
    yield np.abs(compartment - 1.0 + 0.6 * wave) - 0.7, -72.0
    # Multifidus, longissimus, iliocostalis.
    for part in (0.36, 0.70):
        cleft = np.abs(np.abs(x) - 3 - 2 * half * part + 0.35 * (y - middle) + 2 * wave) - 0.35
        yield np.maximum(cleft, compartment + 2), -25.0


def _chest(canvas: Canvas, grain: Grain, trunk: Trunk, patient: Patient, rng: np.random.Generator) -> None:
    """Lungs above the diaphragm, and between them the heart in its fat."""
    t, space = patient.tissues, canvas.space
    x, y, _ = space.grid
    canvas.paint(trunk.cavity, grain.tissue(t.muscle, 6.0))
    canvas.paint(intersection(trunk.cavity + 2.5, -trunk.lung - 2.0), t.muscle)
    canvas.paint(trunk.abdomen, grain.strands(t.visceral_fat, -60.0, 2.1))
    heart = ellipsoid(space, (24, -40, 281), (72, 48, 57), rotation(0, 20, 30))
    canvas.paint(trunk.lung, grain.tissue(t.lung, 22.0, 12.0))
    canvas.paint_rods(vessels.lung_vessels(space, np.maximum(trunk.lung, 4 - heart), rng), t.lung_vessel)
    # Fat joins the heart to the sternum, the spine and the diaphragm.
    septum = np.maximum(np.abs(x - 2) - 17, y - 60).astype(np.float32)
    pads = union(ellipsoid(space, (58, -70, 240), (36, 24, 20)), ellipsoid(space, (-22, -74, 240), (26, 22, 18)), 6.0)
    mediastinum = union(union(heart - 3.0, septum, 10.0), pads, 8.0)
    canvas.paint(intersection(mediastinum, trunk.lung), grain.strands(t.visceral_fat, -60.0, 2.0))
    heart = intersection(heart, trunk.lung + 2.0, 3.0)
    canvas.paint(heart, grain.tissue(t.myocardium, 3.0))
    for centre, radii, turn in (
        ((48, -40, 285), (38, 19, 42), rotation(0, 20, 36)),
        ((10, -68, 284), (40, 15, 40), rotation(0, 15, 16)),
        ((-20, -34, 286), (22, 26, 34), rotation(0, 0, 0)),
    ):
        chamber = intersection(ellipsoid(space, centre, radii, turn), heart + 3.0, 2.0)
        canvas.paint(chamber, grain.tissue(t.heart_blood, 2.0))
