"""What tissues measure in a portal venous CT (70 to 80 s after 120 kV contrast-enhanced injection), HU.

Textbook values: fat -115 to -95, muscle 55 to 65, enhanced liver 100 to 120, spleen 110 to 130, pancreas 85 to 105,
renal parenchyma 160 to 200, portal vein 150 to 180, aorta 135 to 160, bile 0 to 20, trabecular bone of a middle-aged
adult 120 to 200, compact bone above 400 after blurring, aerated lung -900 to -800.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tissues:
    """The mean attenuation of each tissue, HU; what a patient has in common with the next is the default."""

    air: float = -1000.0
    couch_shell: float = 330.0
    couch_core: float = -900.0
    skin: float = 75.0
    fat: float = -106.0
    visceral_fat: float = -102.0
    muscle: float = 61.0
    cartilage: float = 105.0
    trabecular_bone: float = 168.0
    compact_bone: float = 620.0
    disc: float = 88.0
    thecal_sac: float = 38.0
    epidural_fat: float = -25.0
    lung: float = -862.0
    lung_vessel: float = 140.0
    liver: float = 110.0
    portal_vein: float = 166.0
    hepatic_vein: float = 158.0
    aorta: float = 152.0
    vena_cava_upper: float = 146.0
    vena_cava_lower: float = 112.0
    small_vessel: float = 95.0
    myocardium: float = 112.0
    heart_blood: float = 150.0
    bile: float = 9.0
    gallbladder_wall: float = 42.0
    spleen: float = 121.0
    pancreas: float = 98.0
    adrenal: float = 72.0
    renal_cortex: float = 192.0
    renal_medulla: float = 166.0
    renal_sinus_fat: float = -75.0
    urine: float = 12.0
    bowel_wall: float = 88.0
    stomach_content: float = 22.0
    bowel_content: float = 32.0
    stool: float = 25.0
    gas: float = -960.0
