"""Slices through seed 000's generator on this machine: this library and the usual loops around the same weights.

``python benchmarks/inference.py [--rounds N] [--slices N] [--device auto]``. Ours is `Predictor.segment` from the
stored voxels to the labelmap; the peers get slices that are normalised and on the device already, and give labels.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from timing import alternate, report

from GANSegmentationLib import models, networks
from GANSegmentationLib.inference import Predictor, choose_device
from GANSegmentationLib.slicing import SliceSpec, SliceStack, Window
from GANSegmentationLib.volumes import Geometry, Segment, Volume

SIDE = 256
CONFIG = {"in_channels": 1, "out_channels": 1}


@dataclass(frozen=True)
class RandomModel:
    """A package that was never written: the generator with random weights."""

    card: models.Card
    labels: tuple[Segment, ...]
    arrays: dict[str, npt.NDArray[Any]]

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        return self.arrays


def random_model() -> tuple[RandomModel, nn.Module]:
    """The model as a package, and the same network as one has it after training."""
    torch.manual_seed(0)
    network = networks.build("pix2pix_seed", CONFIG).eval()
    card = models.Card(
        id="benchmark",
        title="Benchmark",
        version="1.0.0",
        network=models.NetworkSpec("pix2pix_seed", CONFIG),
        slicing=SliceSpec("axial", 1, SIDE, SIDE, Window(-160.0, 240.0)),
        modalities=("CT",),
        intensity=models.Intensity("HU", None),
        training=models.TrainingFacts("none", "none", 0, None, 0, "2026-01-01", ()),
        weights_licence="CC0-1.0",
        code_licence="Apache-2.0",
        intended_use="Timing.",
        limitations="Random weights.",
    )
    arrays = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    return RandomModel(card, (Segment(1, "Liver", (200, 100, 50)),), arrays), network


def textured_volume(depth: int) -> Volume:
    """Noise with structure in the window, so that no activation is trivially zero."""
    generator = np.random.default_rng(0)
    coarse = generator.normal(40, 80, (depth, SIDE // 8, SIDE // 8))
    array = np.kron(coarse, np.ones((1, 8, 8))) + generator.normal(0, 20, (depth, SIDE, SIDE))
    return Volume(array.astype(np.int16), Geometry((SIDE, SIDE, depth), (1.0, 1.0, 3.0)), "CT")


@torch.no_grad()
def eager_loop(network: nn.Module, slices: Tensor) -> Tensor:
    """One slice after the other in single precision, as test scripts of the field do it."""
    return torch.cat([network(image[None]) > 0 for image in slices]).cpu()


@torch.no_grad()
def monai_slices(network: nn.Module, volume: Tensor) -> Tensor:
    """MONAI's SliceInferer, eight windows at once."""
    from monai.inferers import SliceInferer

    inferer = SliceInferer(roi_size=(SIDE, SIDE), sw_batch_size=8, spatial_dim=0)
    return (inferer(volume, network) > 0).cpu()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=16)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()

    model, network = random_model()
    choice = choose_device(arguments.device)
    network = network.to(choice.device)
    volume = textured_volume(arguments.slices)
    slices = SliceStack([volume], model.card.slicing).batch(0, arguments.slices).to(choice.device)
    as_volume = slices.permute(1, 0, 2, 3)[None]
    # The interface is all that the predictor needs of a package.
    ours = Predictor(model, arguments.device)  # type: ignore[arg-type]
    single = Predictor(model, arguments.device, half=False)  # type: ignore[arg-type]
    first = ours.segment([volume])
    name = f"this library ({first.precision}, batch {first.batch_size})"
    variants = {
        name: lambda: ours.segment([volume]),
        "this library (float32)": lambda: single.segment([volume]),
        "eager loop, batch 1": lambda: eager_loop(network, slices),
        "MONAI SliceInferer, 8": lambda: monai_slices(network, as_volume),
    }
    timings = alternate(variants, arguments.rounds)
    peer = eager_loop(network, slices)[:, 0].numpy()
    different = {
        "this library": float(np.mean(first.labelmap.array.astype(bool) != peer)),
        "this library (float32)": float(np.mean(single.segment([volume]).labelmap.array.astype(bool) != peer)),
    }
    notes = (
        f"{arguments.slices} slices of {SIDE} x {SIDE} through the generator of seed 000 (54.4 million parameters, "
        f"random weights) on {choice.name}. Share of voxels labelled otherwise than by the eager loop: "
        + ", ".join(f"{variant} {share:.2e}" for variant, share in different.items())
    )
    report("inference", timings, ours=name, notes=notes, extra={"labels_that_differ": different})


if __name__ == "__main__":
    main()
