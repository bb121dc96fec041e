"""One patient under two names is found by the pictures, however they were windowed, compressed or cut."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from GANSegmentationLib.datasets import Case
from GANSegmentationLib.datasets.likeness import ALIKE, Likeness, alike, fingerprints


def _case(name: str, slices: int, shape: tuple[int, int], unit: str = "HU", **facts: Any) -> Case:
    return Case(
        **{
            "id": name, "source": "s", "patient": name, "modality": "CT", "unit": unit, "slices": slices,
            "shape": shape, "slope": 1.0, "intercept": 0.0, "value_range": (-1024.0, 3071.0),
            "slice_index": tuple(range(slices)), "foreground": (0,) * slices, "fingerprint": "", **facts,
        }
    )  # fmt: skip


def _patient(seed: int, slices: int = 4, side: int = 128) -> np.ndarray:
    """Smooth soft tissue of a patient's own within a body that all share, HU."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:side, 0:side] / side - 0.5
    body = (rows / 0.4) ** 2 + (columns / 0.45) ** 2 < 1
    tissue = ndimage.gaussian_filter(rng.normal(0, 1, (slices, side, side)), (1, 6, 6))
    return np.where(body, 60 + 60 * tissue / tissue.std(), -1000.0) + rng.normal(0, 10, tissue.shape)


def _compare(one: tuple[Case, np.ndarray], two: tuple[Case, np.ndarray]) -> list[Likeness]:
    ours, others = ({case.id: fingerprints(case, images)} for case, images in (one, two))
    return alike(ours, others, {case.id: case.patient for case, _ in (one, two)})


def _stored(
    name: str, values: np.ndarray, window: tuple[float, float], *, coded: bool = False
) -> tuple[Case, np.ndarray]:
    """Values as 8-bit slices of a window, through JPEG where asked."""
    low, high = window
    grey = np.clip((values - low) / (high - low) * 255, 0, 255).round().astype(np.uint8)
    if coded:
        files = [io.BytesIO() for _ in grey]
        for file, image in zip(files, grey, strict=True):
            Image.fromarray(image).save(file, "JPEG", quality=60)
        grey = np.stack([np.asarray(Image.open(file)) for file in files])
    case = _case(name, len(grey), grey.shape[1:], slope=(high - low) / 255, intercept=low)
    return case, grey


def test_the_same_slice_windowed_otherwise_and_coded_again_is_found() -> None:
    values = _patient(0)
    (found,) = _compare(_stored("a", values, (-40, 160)), _stored("b", values[2:3], (0, 255), coded=True))
    assert (found.case, found.position, found.other, found.other_position) == ("a", 2, "b", 0)
    assert ALIKE < found.similarity < 1


def test_what_one_window_has_clipped_does_not_hide_a_likeness() -> None:
    values = _patient(0)
    values[:, 80:96, 56:72] = 1500  # bone, which one set keeps and the other clips
    full = (_case("b", 4, (128, 128)), values.astype(np.int16))
    (found,) = _compare(_stored("a", values, (-40, 160)), full)
    assert found.position == found.other_position and found.similarity > 0.99
    other = _patient(1)
    other[:, 80:96, 56:72] = 1500  # of the same place in everybody
    assert _compare(_stored("a", other, (-40, 160)), full) == []


def test_the_same_slice_at_another_resolution_is_found() -> None:
    values = _patient(0)
    coarse = values.reshape(4, 64, 2, 64, 2).mean(axis=(2, 4))
    (found,) = _compare((_case("a", 4, (128, 128)), values), (_case("b", 4, (64, 64)), coarse))
    assert found.position == found.other_position


@pytest.mark.parametrize("seed", range(1, 6))
def test_patients_who_share_their_outline_are_not_alike(seed: int) -> None:
    assert _compare(_stored("a", _patient(0), (-40, 160)), _stored("b", _patient(seed), (-40, 160))) == []


def test_the_same_bytes_are_a_likeness_of_one_and_come_first() -> None:
    values = np.concatenate([_patient(0), _patient(1)])
    one, two = _case("a", 8, (128, 128)), _case("b", 8, (128, 128))
    changed = values + np.random.default_rng(5).normal(0, 1, values.shape)
    changed[6] = values[3]
    (found,) = _compare((one, values), (two, changed))
    assert found == Likeness("a", 3, "b", 6, 1.0)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.float32, bool])
def test_empty_slices_are_like_nothing(kind: type) -> None:
    blank = np.zeros((3, 32, 32), kind)
    assert _compare((_case("a", 3, (32, 32)), blank), (_case("b", 3, (32, 32)), blank)) == []


def test_images_of_a_few_pixels_and_with_bad_values_are_no_crash() -> None:
    odd = np.arange(15, dtype=np.float32).reshape(1, 3, 5) * 10
    odd[0, 0, 0] = np.nan
    (found,) = _compare((_case("a", 1, (3, 5)), odd), (_case("b", 1, (3, 5)), odd.copy()))
    assert found.similarity == 1


def test_magnetic_resonance_is_compared_whatever_its_scale() -> None:
    values, other = (np.where(each < -500, 5, each + 140) for each in (_patient(3), _patient(4)))
    one = _case("a", 4, (128, 128), "arbitrary")
    two = _case("b", 4, (128, 128), "arbitrary", slope=7.0, intercept=3.0)
    assert len(_compare((one, values), (two, values * 0.3 + 5))) == 1
    assert _compare((one, values), (two, other)) == []


def test_cases_of_one_patient_are_not_compared() -> None:
    values = _patient(0)
    case, other = _case("a", 4, (128, 128)), _case("b", 4, (128, 128), patient="a")
    assert _compare((case, values), (other, values)) == []
