"""What lies below the diaphragm, painted from the back of the abdomen to the liver."""

from __future__ import annotations

import numpy as np

from . import organs, vessels
from .imaging import Canvas
from .space import FAR, Field, add_tube, ellipsoid, intersection, rotation, spline, tube, union
from .texture import Grain
from .trunk import Trunk
from .variation import Patient
from .vessels import Nodes


def paint_viscera(
    canvas: Canvas, grain: Grain, trunk: Trunk, liver: Field, near: dict[str, Field], patient: Patient,
    rng: np.random.Generator,
) -> None:  # fmt: skip
    """Paint muscles, bowel, organs and vessels; what lies in front or presses on its neighbour comes later.

    Parameters
    ----------
    liver, near:
        Fields of the liver and, by name, of the organs that shape it (`organs.make_neighbours`).
    """
    t, space = patient.tissues, canvas.space
    _posterior_muscles(canvas, grain, patient)
    loops = _bowel(canvas, grain, trunk, liver, near, patient, rng)
    canvas.paint_rods(vessels.mesenteric_vessels(loops, rng), t.small_vessel)
    _kidneys(canvas, grain, near, patient)
    canvas.paint(near["spleen"], grain.tissue(t.spleen, 2.0, 1.5))
    _stomach(canvas, grain, near["stomach"], patient)
    for limb in (
        ((-30, 33, 172, 2.4), (-37, 40, 166, 2.4), (-44, 50, 160, 1.8)),
        ((24, 26, 168, 2.6), (32, 32, 160, 2.4), (38, 44, 154, 1.8)),
        ((24, 26, 168, 2.6), (26, 36, 162, 2.4), (27, 46, 156, 1.8)),
    ):
        canvas.paint(tube(space, limb), t.adrenal)
    canvas.paint(near["pancreas"], grain.strands(t.pancreas, 20.0, 1.2))
    canvas.paint(near["duodenum"], t.bowel_wall)
    canvas.paint(near["duodenum"] + 3.0, grain.tissue(t.bowel_content, 12.0))
    canvas.paint(near["oesophagus"], t.muscle)
    canvas.paint(intersection(near["oesophagus"] + 5.5, 225 - space.grid[2]), -300.0)
    _gut_vessels(canvas, near, patient)
    canvas.paint(liver, grain.tissue(t.liver, 2.2, 2.2), "liver")
    portal, hepatic = vessels.liver_trees(space, liver, rng)
    canvas.paint_rods(hepatic, t.hepatic_vein, "keep")
    canvas.paint_rods(portal, t.portal_vein, "keep")
    _caval_vein(canvas, near["vena_cava"], patient)
    canvas.paint(near["gallbladder"], t.gallbladder_wall)
    canvas.paint(near["gallbladder"] + 1.6, grain.tissue(t.bile, 2.0))


def _posterior_muscles(canvas: Canvas, grain: Grain, patient: Patient) -> None:
    """Psoas, quadratus lumborum and the crura of the diaphragm."""
    space, muscle = canvas.space, patient.tissues.muscle
    for s in (-1, 1):
        psoas = (
            (s * 26, 46, 150, 4),
            (s * 31, 44, 125, 10),
            (s * 36, 42, 92, 14),
            (s * 41, 41, 55, 18),
            (s * 45, 38, 20, 20.5),
            (s * 53, 34, -30, 23),
        )
        canvas.paint(tube(space, psoas), grain.tissue(muscle, 7.0))
        lumborum = (
            (12, s * 76, 64, 16, 8),
            (60, s * 70, 62, 17, 8),
            (110, s * 60, 62, 14, 6.5),
            (148, s * 46, 64, 8, 4),
        )
        canvas.paint(organs.pillar(space, lumborum), grain.tissue(muscle, 7.0))
    for crus in (
        ((-9, 28, 82, 3), (-12, 30, 120, 4.5), (-13, 32, 155, 5), (-9, 26, 190, 5), (-2, 18, 212, 4)),
        ((-13, 36, 130, 3.5), (-19, 44, 160, 3.5), (-22, 50, 185, 3)),
        ((11, 28, 88, 3), (15, 30, 120, 4), (18, 33, 155, 4.5), (20, 26, 190, 4.5), (17, 14, 212, 4)),
        ((16, 36, 130, 3.5), (22, 44, 160, 3.5), (25, 52, 185, 3)),
    ):
        canvas.paint(tube(space, crus), grain.tissue(muscle + 4, 4.0))


def _bowel(
    canvas: Canvas, grain: Grain, trunk: Trunk, liver: Field, near: dict[str, Field], patient: Patient,
    rng: np.random.Generator,
) -> list[Nodes]:  # fmt: skip
    t, space = patient.tissues, canvas.space
    colon = near["colon"]
    canvas.paint(colon, t.bowel_wall - 18)
    lumen = colon + 2.4
    canvas.paint(lumen, grain.stool(t.stool, -600.0))
    # Gas rises: the transverse colon, in front, holds most of it.
    front = space.grid[1] - space.displacement[1]
    canvas.paint(intersection(lumen, front + 62), t.gas)
    taken = np.minimum.reduce([liver - 2, colon - 2, *(near[name] - 3 for name in near)])
    for x, y, r in ((2, 44, 24), (-44, 40, 24), (44, 40, 24)):
        taken = np.minimum(taken, tube(space, ((x, y, -20, r), (x, y, 130, r * 0.8)), pieces=1))
    bowel, loops = organs.pack_small_bowel(space, trunk, taken, rng)
    canvas.paint(bowel, grain.tissue(t.bowel_wall, 5.0))
    # Some loops hold fluid, some are collapsed, a few hold gas.
    kinds = rng.random(len(loops))
    fluid, gas = (np.full(bowel.shape, FAR, np.float32) for _ in range(2))
    for loop, kind in zip(loops, kinds, strict=True):
        if kind < 0.75:
            hollow = loop - [0, 0, 0, 2.4 if kind < 0.5 else 4.4]
            add_tube(fluid, space, hollow)
            if kind < 0.08:
                add_tube(gas, space, hollow - [0, 0.6 * hollow[0, 3], 0, 0.3 * hollow[0, 3]])
    canvas.paint(fluid, grain.tissue(t.bowel_content, 18.0))
    canvas.paint(intersection(gas, fluid), t.gas)
    return loops


def _kidneys(canvas: Canvas, grain: Grain, near: dict[str, Field], patient: Patient) -> None:
    """Cortex, pyramids, and the sinus with its fat and pelvis, open to the front and the middle."""
    t, space = patient.tissues, canvas.space
    for s, centre in ((-1, (-73.0, 37.0, 107.0)), (1, (73.0, 38.0, 121.0))):
        kidney = near["right_kidney" if s < 0 else "left_kidney"]
        canvas.paint(kidney, grain.tissue(t.renal_cortex, 3.0))
        x, y, z = centre
        turn = rotation(-15, -s * 10, -s * 30)
        offset = np.tensordot(
            turn.astype(np.float32), space.grid - np.array(centre, np.float32)[:, None, None, None], axes=1
        )
        rays = np.arctan2(offset[1], -s * offset[0]) * 3.2
        columns = (1.7 * np.sin(rays) * np.sin(offset[2] / 6.2)).astype(np.float32)
        canvas.paint(kidney + 6.5 + columns, grain.tissue(t.renal_medulla, 3.0))
        hilum = (x - s * 13, y - 8, z)
        sinus = union(
            ellipsoid(space, hilum, (15, 9.5, 27), turn),
            ellipsoid(space, (x - s * 26, y - 15, z - 2), (15, 8, 14), turn),
            4.0,
        )
        fat = grain.tissue(t.renal_sinus_fat, 14.0)
        canvas.paint(sinus, fat)
        for dz in (-15.0, 0.0, 14.0):
            calyx = tube(space, ((x - s * 14, y - 8, z + 0.5 * dz, 3.6), (x - s * 3, y - 2, z + dz, 4.6)))
            canvas.paint(calyx, grain.tissue(90.0, 40.0))
        canvas.paint(ellipsoid(space, (x - s * 19, y - 10, z - 4), (8, 5, 11), turn), t.urine)
        ureter = (
            (x - s * 22, y - 10, z - 10, 2.6),
            (x - s * 28, y - 8, z - 40, 2.0),
            (x - s * 26, y - 10, z - 80, 1.9),
        )
        canvas.paint_rods([np.array(ureter)], 40.0)


def _stomach(canvas: Canvas, grain: Grain, stomach: Field, patient: Patient) -> None:
    """A wall with folds around fluid, and air above the fluid's level: the patient lies on the back."""
    t, space = patient.tissues, canvas.space
    canvas.paint(stomach, grain.tissue(t.bowel_wall, 5.0))
    folds = np.float32(4.2) + 1.4 * np.sin(space.grid[0] / 4.0) * np.sin(space.grid[2] / 5.0)
    lumen = stomach + folds
    canvas.paint(lumen, grain.tissue(t.stomach_content, 9.0, 5.0))
    canvas.paint(intersection(lumen, space.grid[1] - space.displacement[1] + 44), t.gas)


def _gut_vessels(canvas: Canvas, near: dict[str, Field], patient: Patient) -> None:
    """Aorta with its branches, and the veins that form the portal trunk."""
    t = patient.tissues

    def rods(points: tuple[tuple[float, ...], ...]) -> list[np.ndarray]:
        return [spline(np.array(points, dtype=np.float64), 4)]

    for points, hu in (
        (vessels.RIGHT_ILIAC_VEIN, t.vena_cava_lower), (vessels.LEFT_ILIAC_VEIN, t.vena_cava_lower),
        (vessels.LEFT_RENAL_VEIN, t.vena_cava_upper), (vessels.RIGHT_RENAL_VEIN, t.vena_cava_upper),
        (vessels.RIGHT_RENAL_ARTERY, t.aorta), (vessels.LEFT_RENAL_ARTERY, t.aorta),
        (vessels.RIGHT_ILIAC_ARTERY, t.aorta), (vessels.LEFT_ILIAC_ARTERY, t.aorta),
        (vessels.SPLENIC_ARTERY, t.aorta), (vessels.SPLENIC_VEIN, t.portal_vein),
        (vessels.MESENTERIC_VEIN, t.portal_vein), (vessels.MESENTERIC_ARTERY, t.aorta),
        (vessels.COELIAC, t.aorta), (vessels.HEPATIC_ARTERY, t.aorta), (vessels.PORTAL_TRUNK, t.portal_vein),
    ):  # fmt: skip
        canvas.paint_rods(rods(points), hu)
    bifurcation = np.maximum(near["aorta"], 14 - canvas.space.grid[2])
    canvas.paint(bifurcation.astype(np.float32), 70.0)
    canvas.paint(bifurcation.astype(np.float32) + 1.2, t.aorta)


def _caval_vein(canvas: Canvas, vein: Field, patient: Patient) -> None:
    """The inferior vena cava; the kidneys' early return brightens it."""
    t, space = patient.tissues, canvas.space

    def blood(i: int, rows: slice, columns: slice) -> float:
        return float(np.interp(space.z[i], (95, 135), (t.vena_cava_lower, t.vena_cava_upper)))

    canvas.paint(vein, blood)
