"""A memory of generated samples, so that a discriminator does not forget what it has seen through.

Source: A. Shrivastava et al., *Learning from Simulated and Unsupervised Images through Adversarial Training*, CVPR 2017
(arXiv 1612.07828), in the form of CycleGAN (J.-Y. Zhu et al., ICCV 2017, arXiv 1703.10593), with room for 50 samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class ImageBuffer:
    """Keeps up to `capacity` generated samples; each new one is given back or exchanged for an older one.

    What is drawn comes from torch's generator of the CPU, which a training checkpoint holds; with it and `state_dict`
    a resumed run goes the same way.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._kept: list[Tensor] = []

    def __len__(self) -> int:
        return len(self._kept)

    def exchange(self, samples: Tensor) -> Tensor:
        """What the discriminator is shown instead of the new ``samples (n, ...)``: as many, without gradients.

        While there is room a sample is kept and shown; then it is either shown and forgotten, or takes the place of a
        kept one, which is shown for the last time, each with probability one half.

        Samples that are not finite are shown and never kept: the step that made them is skipped, the memory would stay.
        """
        samples = samples.detach().float()
        if self.capacity == 0 or not bool(torch.isfinite(samples).all()):
            return samples
        return torch.stack([self._exchange(sample) for sample in samples])

    def _exchange(self, sample: Tensor) -> Tensor:
        if len(self._kept) < self.capacity:
            self._kept.append(sample.clone())
            return sample
        if torch.rand(()).item() < 0.5:
            return sample
        place = int(torch.randint(self.capacity, ()))
        shown, self._kept[place] = self._kept[place].to(sample.device), sample.clone()
        return shown

    def state_dict(self) -> dict[str, Any]:
        """``kept``: the samples in the order of their places, ``(n, ...)`` on the CPU; absent without any."""
        # Sample by sample: after a restart some may still lie where they were loaded, the newer ones on a GPU.
        return {"kept": torch.stack([sample.cpu() for sample in self._kept])} if self._kept else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Keeps what `state_dict` gave, up to the capacity."""
        kept = state.get("kept")
        self._kept = [] if kept is None else [sample.clone() for sample in kept[: self.capacity]]
