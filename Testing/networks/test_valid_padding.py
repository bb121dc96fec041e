"""Sizes that unpadded convolutions come out even with, and the mirrored image around them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.networks.valid_padding import LostBorder, centre, check_valid_input, mirror, mirrored

PAPER = LostBorder(margin=92, smallest=188, step=16)


def test_sizes_of_the_paper():
    assert PAPER.fits(572) and PAPER.scored(572) == 388
    assert not any(PAPER.fits(side) for side in (571, 573, 172, 0, -4))


@pytest.mark.parametrize("scored", [1, 3, 4, 5, 20, 21, 256, 388, 389, 512])
def test_needed_is_the_smallest_side_that_scores_enough(scored):
    side = PAPER.needed(scored)
    assert PAPER.fits(side) and PAPER.scored(side) >= scored
    smaller = side - PAPER.step
    assert not PAPER.fits(smaller) or PAPER.scored(smaller) < scored


@pytest.mark.parametrize("shape", [(5, 7), (1, 4), (2, 1), (1, 1), (9, 3)])
@pytest.mark.parametrize(("rows", "columns"), [((0, 0), (0, 0)), ((3, 1), (0, 2)), ((20, 11), (30, 17))])
def test_mirroring_is_numpys_reflection_also_beyond_the_image(shape, rows, columns):
    images = torch.randn(2, 3, *shape)
    expected = np.pad(images.numpy(), ((0, 0), (0, 0), rows, columns), mode="reflect")
    np.testing.assert_array_equal(mirror(images, rows, columns).numpy(), expected)


def test_mirroring_nothing_copies_nothing():
    images = torch.randn(1, 1, 4, 4)
    assert mirror(images, (0, 0), (0, 0)) is images


def test_a_gradient_goes_back_to_every_pixel_as_often_as_it_is_seen():
    images = torch.zeros(1, 1, 1, 3, requires_grad=True)
    mirror(images, (0, 0), (2, 1)).sum().backward()
    # c b | a b c | b
    assert images.grad.flatten().tolist() == [1, 3, 2]


@pytest.mark.parametrize("sides", [(1, 1), (4, 4), (5, 30), (256, 255)])
def test_a_mirrored_image_fits_and_its_scores_begin_with_the_images_own(sides):
    image = torch.randn(1, 2, *sides)
    extended = mirrored(image, PAPER)
    for side, given in zip(extended.shape[-2:], sides, strict=True):
        assert PAPER.fits(side) and given <= PAPER.scored(side) < max(given, 4) + PAPER.step
    inner = (slice(92, 92 + sides[0]), slice(92, 92 + sides[1]))
    assert torch.equal(extended[..., inner[0], inner[1]], image)


@pytest.mark.parametrize(
    ("sides", "named"), [((256, 256), "252 or 268"), ((188, 12), "of 188,"), ((572, 571), "556 or 572")]
)
def test_the_refusal_names_the_sides_next_to_the_one_given(sides, named):
    with pytest.raises(GANSegmentationError) as caught:
        check_valid_input(torch.empty(1, 1, *sides), 1, PAPER)
    assert caught.value.code == "invalid_input_size"
    assert named in caught.value.action
    assert f"{sides[0]} x {sides[1]}" in str(caught.value)


def test_the_middle_of_a_map():
    x = torch.arange(48).view(1, 6, 8)
    assert centre(x, 2, 4).tolist() == [[[18, 19, 20, 21], [26, 27, 28, 29]]]
    assert torch.equal(centre(x, 6, 8), x)


@pytest.mark.parametrize("size", [(7, 8), (6, 10), (5, 8), (6, 7)])
def test_what_has_no_middle_is_refused(size):
    with pytest.raises(ValueError, match="middle"):
        centre(torch.zeros(1, 6, 8), *size)
