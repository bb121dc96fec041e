"""How much of a checkerboard an untrained decoder draws: energy at the frequencies of its strides.

A decoder that doubles L times by transposed convolutions repeats its pattern every 2, 4, ... 2 ** L pixels, which shows
as peaks at those frequencies of the output's spectrum (A. Odena et al., Distill 2016). The image below is so smooth
that it has no energy there itself.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from GANSegmentationLib.networks import build, initialise

SIDE = 256
INNER = 128

CASES = {
    "unet": ({"width": 8, "depth": 3}, "transpose"),
    "unet, kernel 4": ({"width": 8, "depth": 3, "up_kernel": 4}, "transpose"),
    "unet with batch norm": ({"width": 8, "depth": 3, "norm": "batch"}, "transpose"),
    "unet, unpadded": ({"width": 8, "depth": 3, "padding": "valid"}, "transpose"),
    "unet_sriker": ({"width": 8}, "transpose"),
    "pix2pix_modern": ({"channels": [8, 16, 32]}, "transposed"),
    "pix2pix_modern, classic": ({"channels": [8, 16, 32], "full_resolution": 0, "refine": False}, "transposed"),
    "pix2pix_modern with group norm": ({"channels": [8, 16, 32], "norm": "group"}, "transposed"),
}


def smooth_image(side: int) -> Tensor:
    row, column = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    return (2 * torch.exp(-3 * ((row - 0.2) ** 2 + column**2)) - 1)[None, None]


def stride_energy(scores: Tensor, halvings: int) -> float:
    """Share of the energy, the mean left out, at the frequencies of 2, 4, ... ``2 ** halvings`` pixels a period."""
    side = scores.shape[-1]
    window = torch.hann_window(side)  # or the edges of the cut would leak into all frequencies
    energy = torch.fft.fft2((scores - scores.mean()) * window * window[:, None]).abs().square().mean(dim=(0, 1))
    frequency = torch.fft.fftfreq(side, 1 / side).abs()
    spacing = side / 2**halvings
    off = (frequency / spacing - (frequency / spacing).round()).abs() * spacing
    # The window spreads a peak over the next frequency on either side.
    possible, low = off <= 1, frequency <= 1
    peaks = (possible & possible[:, None]) & ~(low & low[:, None])
    return float(energy[peaks].sum() / energy.sum())


def drawn(network: nn.Module) -> Tensor:
    """The middle of what an untrained network makes of the smooth image, away from the border."""
    side = SIDE if network.multiple > 1 else network.lost_border.needed(INNER)
    with torch.no_grad():
        scores = network.eval()(smooth_image(side))
    first = (scores.shape[-1] - INNER) // 2
    return scores[..., first : first + INNER, first : first + INNER]


def shares(name: str, config: dict[str, object], up: str) -> list[float]:
    found = []
    for draw in range(4):
        torch.manual_seed(draw)
        network = initialise(build(name, {**config, "up": up}), "he")
        halvings = network.multiple.bit_length() - 1 if network.multiple > 1 else 3
        found.append(stride_energy(drawn(network), halvings))
    return found


@pytest.mark.parametrize("case", CASES)
def test_resizing_has_less_energy_at_the_stride_frequencies(case):
    config, transposed = CASES[case]
    name = case.split(",")[0].split(" ")[0]
    resized = {key: value for key, value in config.items() if key != "up_kernel"}
    by_resizing, by_transposing = shares(name, resized, "resize"), shares(name, config, transposed)
    assert max(by_resizing) < 0.01
    assert min(by_transposing) > 50 * max(by_resizing)


@pytest.mark.parametrize(("period", "seen"), [(2, True), (4, True), (8, True), (16, False), (6, False)])
def test_the_measure_sees_the_strides_periods_and_nothing_else(period, seen):
    waves = torch.cos(2 * torch.pi * torch.arange(INNER) / period)
    for raster in (waves[:, None] * waves, waves.expand(INNER, INNER)):
        share = stride_energy(raster[None, None], 3)
        assert share > 0.99 if seen else share < 0.01


def test_a_smooth_image_has_nothing_at_the_stride_frequencies():
    assert stride_energy(smooth_image(INNER), 3) < 1e-5
