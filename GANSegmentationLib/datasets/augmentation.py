"""Random changes of a training slice: one sampled transform for image and mask alike.

The transforms are MONAI's dictionary transforms, which sample once and apply the same geometry to every key: an image
and its mask can never be turned differently, a defect of published training code. Imported by
training only; needs MONAI.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from monai.data import get_track_meta, set_track_meta
from monai.transforms import (
    Compose,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSharpend,
    RandGaussianSmoothd,
    RandGridDistortiond,
    Randomizable,
    RandScaleIntensityd,
    RandScaleIntensityFixedMeand,
    RandShiftIntensityd,
)
from torch import Tensor

from .elastic import RandElasticd


@dataclass(frozen=True)
class Augmentation:
    """Ranges and probabilities of the random changes; every 0 switches one off.

    Grey values are changed as fractions of the window, 0 its lower and 1 its upper end, and clipped to it afterwards.

    Parameters
    ----------
    affine:
        Probability of one common rotation, scaling, shearing and shift.
    rotate_degrees, scale, shear, translate:
        The affine's ranges: plus-minus degrees, fraction, factor and fraction of the image side.
    distort:
        Probability of a smooth grid distortion.
    elastic:
        Probability of an elastic deformation (`elastic`): `elastic_points` control points along each side move by
        `elastic_sigma` of the side, its standard deviation.
    flip_left_right:
        Probability of a mirror image. The liver is one-sided: 0 for abdominal organs.
    brightness, contrast, shift:
        Ranges of a factor that keeps the window's lower end (air stays air while the organs' enhancement varies), of a
        factor around the mean, and of an added value; each is applied with probability `intensity`.
    gamma, blur, sharpen, noise:
        Probabilities; `noise_sigma` is the standard deviation's upper end.
    """

    affine: float = 0.0
    rotate_degrees: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    distort: float = 0.0
    elastic: float = 0.0
    elastic_sigma: float = 0.02
    elastic_points: int = 3
    flip_left_right: float = 0.0
    intensity: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    shift: float = 0.0
    gamma: float = 0.0
    blur: float = 0.0
    sharpen: float = 0.0
    noise: float = 0.0
    noise_sigma: float = 0.1

    def to_dict(self) -> dict[str, float | int]:
        """The settings as a preset holds them."""
        return asdict(self)

    @property
    def reach(self) -> float:
        """How much larger than a crop the square around its centre is that rotation, scaling and shearing draw on."""
        if not self.affine:
            return 1.0
        angle = math.radians(min(abs(self.rotate_degrees), 45.0))
        return (math.cos(angle) + math.sin(angle)) * (1 + abs(self.scale)) * (1 + abs(self.shear))


class Augmenter:
    """Applies an `Augmentation` to a slice; the same seed gives the same change on every machine and worker."""

    def __init__(self, settings: Augmentation, size: tuple[int, int]) -> None:
        self.settings = settings
        self._transform = _compose(settings, size)
        # One generator for all transforms, reseeded for every slice: MONAI's own way makes a new generator for each of
        # a dozen transforms each time, which took a quarter of the time.
        self._generator = np.random.RandomState()
        _share_generator(self._transform, self._generator)

    def __call__(self, image: Tensor, mask: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        """The changed pair: ``image (C, H, W)`` float32 in [-1, 1] and ``mask (H, W)`` int64."""
        self._generator.seed(seed)
        tracked = get_track_meta()
        # Without MONAI's metadata each operation is plain torch: the same result in half the time.
        set_track_meta(False)
        try:
            changed: dict[str, Tensor] = self._transform({"image": (image + 1) / 2, "mask": mask[None].float()})
        finally:
            set_track_meta(tracked)
        return changed["image"].float().clamp(0.0, 1.0) * 2 - 1, changed["mask"].round().long()[0]


def _share_generator(transform: Any, generator: np.random.RandomState) -> None:
    """Give `generator` to a transform and to every transform inside it."""
    if isinstance(transform, Randomizable):
        transform.R = generator
    inside = transform.transforms if isinstance(transform, Compose) else vars(transform).values()
    for part in inside:
        if isinstance(part, Randomizable):
            _share_generator(part, generator)


def _compose(settings: Augmentation, size: tuple[int, int]) -> Compose:
    both = ("image", "mask")
    modes = ("bilinear", "nearest")
    padding = "border"
    steps: list[Any] = []
    if settings.affine:
        steps.append(
            RandAffined(
                both,
                prob=settings.affine,
                rotate_range=math.radians(settings.rotate_degrees),
                scale_range=(settings.scale, settings.scale),
                shear_range=(settings.shear, settings.shear),
                translate_range=(settings.translate * size[0], settings.translate * size[1]),
                mode=modes,
                padding_mode=padding,
            )
        )
    if settings.distort:
        steps.append(
            RandGridDistortiond(
                both,
                num_cells=5,
                prob=settings.distort,
                distort_limit=0.08,
                mode=modes,  # type: ignore[arg-type]  # MONAI's annotation forgets the mode for each key
                padding_mode=padding,
            )
        )
    if settings.elastic:
        sigma, points = settings.elastic_sigma, settings.elastic_points
        steps.append(RandElasticd(both, modes, prob=settings.elastic, sigma=sigma, points=points))
    if settings.flip_left_right:
        steps.append(RandFlipd(both, prob=settings.flip_left_right, spatial_axis=1))
    image = ("image",)
    if settings.intensity and settings.brightness:
        steps.append(RandScaleIntensityd(image, prob=settings.intensity, factors=settings.brightness))
    if settings.intensity and settings.contrast:
        steps.append(RandScaleIntensityFixedMeand(image, prob=settings.intensity, factors=settings.contrast))
    if settings.intensity and settings.shift:
        steps.append(RandShiftIntensityd(image, prob=settings.intensity, offsets=settings.shift))
    if settings.gamma:
        steps.append(RandAdjustContrastd(image, prob=settings.gamma, gamma=(0.75, 1.35)))
    if settings.blur:
        steps.append(RandGaussianSmoothd(image, prob=settings.blur, sigma_x=(0.3, 1.1), sigma_y=(0.3, 1.1)))
    if settings.sharpen:
        steps.append(
            RandGaussianSharpend(
                image, prob=settings.sharpen, sigma1_x=(0.5, 1.0), sigma1_y=(0.5, 1.0), alpha=(0.5, 2.0)
            )
        )
    if settings.noise:
        steps.append(RandGaussianNoised(image, prob=settings.noise, std=settings.noise_sigma))
    return Compose(steps)
