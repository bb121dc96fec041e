"""Whether painted slices are distributed as real ones: Frechet and kernel distance of a network's features.

Sources: M. Heusel et al., NIPS 2017 (arXiv 1706.08500) for the Frechet distance (FID), M. Binkowski et al., ICLR 2018
(arXiv 1801.01401) for the kernel distance (KID). Both are defined on the features of *some* network, and figures from
different networks do not compare. Published ones use Inception, which has seen no scan and would have to be downloaded;
here it is the encoder of a segmentation model of the same kind of image, and the result says which.

Features: of the last output of the encoder at each resolution, the positive part averaged over the slice; each feature
is then standardised by the real set's mean and deviation. FID from few slices is biased upwards (its covariances are
of low rank), KID is not: read KID first, and both beside the same distances between real patients.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ... import networks
from ...datasets.dataset import Dataset
from ...datasets.slices import SliceDataset
from ...errors import GANSegmentationError
from ...inference import choose_device, load_network
from ...models import Package

SUBSETS = 100
LARGEST_SUBSET = 1000

_BATCH = 16

Features = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Fidelity:
    """How far painted slices are from real ones, and real patients from each other.

    Parameters
    ----------
    feature_network, features:
        Whose features, and how many.
    real, painted:
        Slices of each.
    fid, kid, kid_deviation:
        Frechet distance; kernel distance, mean and standard deviation over subsets.
    fid_among_real, kid_among_real:
        The same between two halves of the real patients: what "as near as real patients are" means. None where there is
        one patient.
    """

    feature_network: str
    features: int
    real: int
    painted: int
    fid: float
    kid: float
    kid_deviation: float
    fid_among_real: float | None = None
    kid_among_real: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types."""
        return asdict(self)


class EncoderFeatures:
    """The encoder of a segmentation model as a network of features.

    Raises
    ------
    GANSegmentationError
        ``unsuitable_features`` for a model that does not segment single scans; as `load_network`.
    """

    def __init__(self, package: Package, device: str = "auto") -> None:
        card = package.card
        entry = networks.entry(card.network.name)
        if card.task != "segmentation" or card.channels != 1 or entry.takes_domain or not entry.encoder:
            raise GANSegmentationError(
                "unsuitable_features",
                f"The features of {card.id} cannot be compared.",
                cause="Its network paints pictures, takes masks or several scans, or needs a domain.",
                action="Choose a model that segments one scan of the same kind.",
            )
        self.spec = card.slicing
        self.device = choose_device(device).device
        self._network = load_network(package, self.device)
        self._seen: dict[tuple[int, int], Tensor] = {}
        _observe(self._network, entry.encoder, self._seen)
        self.description = f"encoder of {card.id} {card.version} ({card.network.name}), averaged at every resolution"

    def of(self, dataset: Dataset) -> Features:
        """The features of every slice of a dataset, case by case, ``(n, features) float64``."""
        slices = SliceDataset(dataset, self.spec)
        parts = [
            self(slices.stack(case).batch(start, min(start + _BATCH, case.slices)))
            for case in dataset.cases
            for start in range(0, case.slices, _BATCH)
        ]
        return np.concatenate(parts) if parts else np.empty((0, 0))

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> Features:
        """The features of network slices ``(n, C, H, W)``, finest resolution first, ``(n, features) float64``."""
        self._seen.clear()
        self._network(images.to(self.device, memory_format=torch.channels_last))
        levels = [self._seen[size] for size in sorted(self._seen, reverse=True)]
        return torch.cat(levels, dim=1).float().cpu().double().numpy()


def fidelity(features: EncoderFeatures, real: Dataset, synthetic: Dataset, *, seed: int = 0) -> Fidelity:
    """Measure the slices of a synthetic dataset against those of a real one.

    Raises
    ------
    GANSegmentationError
        ``too_few_slices`` with fewer than four slices on either side.
    """
    ours, theirs = features.of(synthetic), features.of(real)
    if min(len(ours), len(theirs)) < 4:
        raise GANSegmentationError(
            "too_few_slices",
            f"{len(ours)} synthetic and {len(theirs)} real slices are too few for a distance of distributions.",
            action="Synthesize more slices.",
        )
    mean, deviation = theirs.mean(axis=0), theirs.std(axis=0)
    scale = np.where(deviation > 1e-8, deviation, 1.0)
    ours, theirs = (ours - mean) / scale, (theirs - mean) / scale
    kid, spread = kernel_distance(ours, theirs, seed=seed)
    one, two = _halves(real, theirs, seed)
    enough = min(len(one), len(two)) >= 4
    return Fidelity(
        feature_network=features.description,
        features=ours.shape[1],
        real=len(theirs),
        painted=len(ours),
        fid=frechet_distance(ours, theirs),
        kid=kid,
        kid_deviation=spread,
        fid_among_real=frechet_distance(one, two) if enough else None,
        kid_among_real=kernel_distance(one, two, seed=seed)[0] if enough else None,
    )


def frechet_distance(a: Features, b: Features) -> float:
    """``|mean_a - mean_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2))`` of two sets of features ``(n, d)``, n >= 2.

    The trace of the root is the sum of the roots of the eigenvalues of ``C_a^(1/2) C_b C_a^(1/2)``, which is symmetric:
    in float64 and without the complex numbers that a root of ``C_a C_b`` itself gives for covariances of low rank.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    cov_a, cov_b = (np.atleast_2d(np.cov(each, rowvar=False)) for each in (a, b))
    values, vectors = np.linalg.eigh(cov_a)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    inner = root @ cov_b @ root
    trace = float(np.sqrt(np.clip(np.linalg.eigvalsh((inner + inner.T) / 2), 0, None)).sum())
    shift = a.mean(axis=0) - b.mean(axis=0)
    # Rounding can leave minus a hundred-millionth for equal sets.
    return max(float(shift @ shift) + float(np.trace(cov_a)) + float(np.trace(cov_b)) - 2 * trace, 0.0)


def kernel_distance(
    a: Features, b: Features, *, subsets: int = SUBSETS, subset_size: int | None = None, seed: int = 0
) -> tuple[float, float]:
    """Squared maximum mean discrepancy with the kernel ``(x . y / d + 1)^3``, mean and deviation over random subsets.

    Unbiased: of two sets from one distribution its mean is 0, and single values are negative as often as not.

    Parameters
    ----------
    a, b:
        ``(n, d)`` and ``(m, d)``.
    subset_size:
        How many of each are drawn without replacement; None for half of the smaller set, at most `LARGEST_SUBSET`.

    Raises
    ------
    ValueError
        Subsets of fewer than two or of more than there are.
    """
    smaller = min(len(a), len(b))
    size = min(LARGEST_SUBSET, smaller // 2) if subset_size is None else subset_size
    if not 2 <= size <= smaller:
        raise ValueError(f"subsets of {size} cannot be drawn from sets of {len(a)} and {len(b)}")
    generator = np.random.default_rng(seed)
    values = []
    for _ in range(subsets):
        one = a[generator.choice(len(a), size, replace=False)]
        two = b[generator.choice(len(b), size, replace=False)]
        values.append(_discrepancy(one, two))
    return float(np.mean(values)), float(np.std(values))


def _discrepancy(a: Features, b: Features) -> float:
    """The unbiased estimate: pairs of a slice with itself are left out."""
    n, m = len(a), len(b)
    among_a, among_b, between = _kernel(a, a), _kernel(b, b), _kernel(a, b)
    first = (among_a.sum() - np.trace(among_a)) / (n * (n - 1))
    second = (among_b.sum() - np.trace(among_b)) / (m * (m - 1))
    return float(first + second - 2 * between.mean())


def _kernel(a: Features, b: Features) -> Features:
    values: Features = (a @ b.T / a.shape[1] + 1) ** 3
    return values


def _halves(dataset: Dataset, features: Features, seed: int) -> tuple[Features, Features]:
    """The features of two halves of the patients; both are empty where there is only one."""
    owners = np.array([case.patient for case in dataset.cases for _ in range(case.slices)])
    patients = np.unique(owners)
    drawn = np.random.default_rng(seed).permutation(patients)[: len(patients) // 2]
    first = np.isin(owners, drawn)
    return (features[first], features[~first]) if len(drawn) else (features[:0], features[:0])


def _observe(network: nn.Module, prefixes: Iterable[str], seen: dict[tuple[int, int], Tensor]) -> None:
    """Keep, of every resolution, the last output of the encoder's modules: a stage speaks after its layers."""
    starts = tuple(prefixes)

    def keep(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4:
            # The positive part: behind an instance normalisation the plain mean is 0 for every slice.
            seen[output.shape[2], output.shape[3]] = output.clamp_min(0).mean(dim=(2, 3))

    for name, module in network.named_modules():
        if f"{name}.".startswith(starts):
            module.register_forward_hook(keep)
