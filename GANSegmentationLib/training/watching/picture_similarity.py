"""How much a painted picture is like the real one: in what the mask decides, and in what only chance does.

A mask says where things are, not how the grain of the tissue fell out. Comparing pixels alone therefore prefers blurred
pictures, and comparing textures alone any tissue in the wrong place. So there are two numbers, each at most 1:

`structure_similarity`
    SSIM (Z. Wang et al., IEEE TIP 2004) of the pictures averaged down four times: what a mask can decide.
`texture_similarity`
    How alike the bands of a Laplacian pyramid, and the grey values themselves, occur side by side: the histograms that
    D. Heeger and J. Bergen (SIGGRAPH 1995) match to make textures alike, of pairs of neighbours instead of single
    values (R. Haralick et al., 1973), or white noise of the right strength would pass for any grain. Where in the
    picture a pair lies plays no part.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

COARSENING = 4
BANDS = 3
_WINDOW = 11
_SIGMA = 1.5
_BINS = 16


def structure_similarity(pictures: Tensor, references: Tensor) -> Tensor:
    """SSIM of the coarse pictures, in [-1, 1], one value a sample ``(B,)``.

    Both are ``(B, C, H, W)`` in [-1, 1]. Pictures below 44 pixels are averaged down by less, so that a window fits.
    """
    factor = max(1, min(COARSENING, min(pictures.shape[-2:]) // _WINDOW))
    coarse = [(F.avg_pool2d(each.float(), factor) + 1) / 2 for each in (pictures, references)]
    return ssim(coarse[0], coarse[1])


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """The mean structural similarity of pictures ``(B, C, H, W)`` in [0, 1], one value a sample ``(B,)``.

    Gaussian windows of 11 pixels and sigma 1.5 that lie wholly inside, K1 = 0.01, K2 = 0.03 (Z. Wang et al., 2004).

    Raises
    ------
    ValueError
        Pictures smaller than a window.
    """
    if min(a.shape[-2:]) < _WINDOW:
        raise ValueError(f"pictures of {tuple(a.shape[-2:])} pixels are smaller than SSIM's window of {_WINDOW}")
    channels = a.shape[1]
    at = torch.arange(_WINDOW, device=a.device, dtype=torch.float32) - _WINDOW // 2
    line = torch.exp(-(at**2) / (2 * _SIGMA**2))
    line = line / line.sum()

    def blurred(x: Tensor) -> Tensor:
        across = F.conv2d(x, line.view(1, 1, 1, -1).expand(channels, 1, 1, -1), groups=channels)
        return F.conv2d(across, line.view(1, 1, -1, 1).expand(channels, 1, -1, 1), groups=channels)

    with torch.autocast(a.device.type, enabled=False):
        a, b = a.float(), b.float()
        mean_a, mean_b = blurred(a), blurred(b)
        var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
        covariance = blurred(a * b) - mean_a * mean_b
        c1, c2 = 0.01**2, 0.03**2
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        contrast = (2 * covariance + c2) / (var_a + var_b + c2)
        return (luminance * contrast).mean(dim=(1, 2, 3))


def texture_similarity(pictures: Tensor, references: Tensor) -> Tensor:
    """The overlap of co-occurrence histograms in [0, 1], averaged over bands, one value a sample ``(B,)``.

    Both are ``(B, C, H, W)`` in [-1, 1], with sides of at least sixteen pixels. Two samples of one texture overlap by
    less than 1, the less the smaller they are: about 0.9 at 96 x 96.
    """
    with torch.autocast(pictures.device.type, enabled=False):
        pairs = zip(_bands(pictures.float()), _bands(references.float()), strict=True)
        overlaps = [torch.minimum(_co_occurrence(one), _co_occurrence(two)).sum(dim=1) for one, two in pairs]
        return torch.stack(overlaps).mean(dim=0)


def _bands(x: Tensor) -> list[Tensor]:
    """The Laplacian pyramid's finest bands (P. Burt, E. Adelson, 1983), and the picture itself."""
    found = [x]
    for _ in range(BANDS):
        smaller = F.avg_pool2d(x, 2)
        found.append(x - F.interpolate(smaller, size=x.shape[-2:], mode="bilinear", align_corners=False))
        x = smaller
    return found


def _co_occurrence(values: Tensor) -> Tensor:
    """How often each pair of values lies side by side or one above the other, as shares ``(B, bins * bins)``."""
    # The root spreads small values, which most of a band's are.
    spread = values.clamp(-1, 1).sign() * values.clamp(-1, 1).abs().sqrt()
    bins = ((spread + 1) * (_BINS / 2)).long().clamp(0, _BINS - 1)
    beside = bins[..., :-1] * _BINS + bins[..., 1:]
    above = bins[..., :-1, :] * _BINS + bins[..., 1:, :]
    pairs = torch.cat((beside.flatten(1), above.flatten(1)), dim=1)
    counts = torch.zeros(len(pairs), _BINS**2, device=values.device)
    counts.scatter_add_(1, pairs, torch.ones_like(pairs, dtype=torch.float32))
    return counts / pairs.shape[1]
