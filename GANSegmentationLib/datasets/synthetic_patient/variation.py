"""How one synthetic patient differs from the next, within the limits of a normal adult."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .tissues import Tissues


@dataclass(frozen=True)
class Patient:
    """What is decided about a patient before anything is drawn.

    Parameters
    ----------
    scale:
        Size relative to the atlas (a man of 75 kg) along x, y, z.
    fat:
        Factor of the subcutaneous fat's thickness.
    dome:
        Height of the right diaphragm above the atlas's, mm (depth of the breath).
    liver_tip:
        How far the right lobe's inferior tip lies below the atlas's, mm.
    left_lobe:
        How far the left lobe reaches beyond the atlas's to the left, mm.
    spleen:
        Factor of the spleen's lengths.
    noise:
        Standard deviation of the image noise in the centre of the body, HU.
    """

    scale: tuple[float, float, float]
    fat: float
    dome: float
    liver_tip: float
    left_lobe: float
    spleen: float
    noise: float
    tissues: Tissues = field(default_factory=Tissues)


def draw_patient(rng: np.random.Generator) -> Patient:
    """A patient drawn from normal variation."""

    def about(mean: float, deviation: float, reach: float = 2.0) -> float:
        return float(mean + deviation * np.clip(rng.standard_normal(), -reach, reach))

    size = about(0.985, 0.02)
    contrast = about(1.0, 0.06)
    usual = Tissues()
    return Patient(
        scale=(size * about(1.0, 0.015), size * about(1.035, 0.02), size * about(1.0, 0.015)),
        fat=about(1.0, 0.15),
        dome=about(0.0, 3.0),
        liver_tip=about(0.0, 5.0),
        left_lobe=about(0.0, 5.0),
        spleen=about(1.0, 0.04),
        noise=about(10.5, 0.8),
        tissues=Tissues(
            liver=55 + (usual.liver - 55) * contrast,
            spleen=50 + (usual.spleen - 50) * contrast,
            portal_vein=45 + (usual.portal_vein - 45) * contrast,
            hepatic_vein=45 + (usual.hepatic_vein - 45) * contrast,
            aorta=45 + (usual.aorta - 45) * contrast,
            trabecular_bone=about(usual.trabecular_bone, 15),
        ),
    )
