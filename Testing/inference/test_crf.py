"""The random field removes noise from scores and keeps them on the image's edges."""

from __future__ import annotations

import pytest
import torch

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.inference import CrfSettings
from GANSegmentationLib.inference.crf import refine


@pytest.fixture
def noisy():
    """A disk in an image of two grey values; noisy scores that are right on average; and the truth."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.meshgrid(torch.arange(48), torch.arange(40), indexing="ij")
    truth = ((y - 22) ** 2 + (x - 18) ** 2 < 13**2).float()
    image = (truth - 0.5 + 0.05 * torch.randn(48, 40, generator=generator))[None, None]
    scores = (2 * truth - 1 + 1.2 * torch.randn(48, 40, generator=generator))[None, None]
    return image, scores, truth


def errors(scores, truth):
    return int(((scores[0, 0] > 0).float() != truth).sum())


def test_noise_goes_and_the_edge_stays(noisy):
    image, scores, truth = noisy
    refined = refine(scores, image, CrfSettings())
    assert errors(scores, truth) > 300
    assert errors(refined, truth) < 10


def test_the_image_decides_where_the_edge_is(noisy):
    """Scores whose contour lies two pixels too far out are drawn back to the image's edge, and only by the image."""
    image, _, truth = noisy
    wide = torch.nn.functional.max_pool2d(truth[None, None], 3, 1, 1) * 2 - 1
    before = errors(wide, truth)
    weak = 0.3 * wide
    guided = refine(weak, image, CrfSettings(smoothness_weight=0.0, appearance_weight=4.0))
    blind = refine(weak, torch.zeros_like(image), CrfSettings(smoothness_weight=0.0, appearance_weight=4.0))
    assert errors(guided, truth) < before / 2 < errors(blind, truth)


def test_no_iteration_changes_no_decision(noisy):
    image, scores, _ = noisy
    refined = refine(scores, image, CrfSettings(iterations=0))
    torch.testing.assert_close(refined, scores, atol=1e-5, rtol=1e-5)


def test_one_logit_is_the_same_as_two_classes(noisy):
    image, scores, _ = noisy
    two = torch.cat((torch.zeros_like(scores), scores), dim=1)
    one = refine(scores, image, CrfSettings())
    refined = refine(two, image, CrfSettings())
    torch.testing.assert_close(refined[:, 1:] - refined[:, :1], one, atol=1e-4, rtol=1e-4)


def test_classes_are_treated_alike(noisy):
    image, _, _ = noisy
    scores = torch.randn(1, 3, 48, 40, generator=torch.Generator().manual_seed(1))
    order = [2, 0, 1]
    torch.testing.assert_close(
        refine(scores[:, order], image, CrfSettings()), refine(scores, image, CrfSettings())[:, order]
    )


def test_slices_do_not_talk_to_each_other(noisy):
    image, scores, _ = noisy
    both = refine(torch.cat((scores, -scores)), torch.cat((image, image)), CrfSettings())
    torch.testing.assert_close(both[:1], refine(scores, image, CrfSettings()))


def test_a_slice_smaller_than_the_window_is_refined():
    assert torch.isfinite(refine(torch.randn(1, 1, 2, 1), torch.randn(1, 1, 2, 1), CrfSettings())).all()


def test_a_card_s_numbers_are_floats():
    assert CrfSettings.from_dict({"iterations": 3.0, "radius": 2.0}).iterations == 3


@pytest.mark.parametrize(
    "description",
    [{"steps": 3}, {"radius": 0}, {"radius": 1.5}, {"iterations": -1}, {"appearance_px": 0.0}, {"smoothness_px": "1"}],
)
def test_bad_settings_are_refused(description):
    with pytest.raises(GANSegmentationError) as caught:
        CrfSettings.from_dict(description)
    assert caught.value.code == "invalid_crf"
