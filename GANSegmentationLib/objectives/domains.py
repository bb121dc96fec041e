"""The domain of each slice of a batch, as networks are told it."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from ..errors import GANSegmentationError
from .base import Batch


def domain_vectors(batch: Batch, domains: int) -> Tensor:
    """The domains of a batch, one-hot: ``(B, domains) float32``.

    Raises
    ------
    GANSegmentationError
        ``domains_missing`` if the batch does not say them.
    """
    if "domain" not in batch:
        raise GANSegmentationError(
            "domains_missing",
            f"The generator is told the domain of every slice, one of {domains}, and the slices come without.",
            cause="The preset names no domains.",
            action=f'Set data.domains to the {domains} modalities, such as ["CT", "MR"].',
        )
    return F.one_hot(batch["domain"], domains).float()
