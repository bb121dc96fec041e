"""Training seed 000's pix2pix on this machine: this library's loop and the plain loop of the field, slices a second.

``python benchmarks/training.py [--rounds N] [--slices N] [--batches N ...] [--device auto]``. Both train the same
networks (64 channels, 256 x 256) with the same losses. Ours is the whole loop: slices read from a prepared dataset and
normalised, guards against what is not finite, the log's figures. The plain loop's batch lies ready in memory, in single
precision and with Adam as it comes; it is timed slice by slice, as the paper trains, and at other batch sizes, of which
the fastest counts.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from timing import alternate, report

from GANSegmentationLib import networks
from GANSegmentationLib.datasets import Case, Dataset
from GANSegmentationLib.training import Preset, RunOptions, Trainer, load_preset
from GANSegmentationLib.training.preset import DataSettings

SIDE = 256
SLICES = 8
GENERATOR = {"in_channels": 3, "out_channels": 3}
LABELS = {1: "Liver"}


def prepared_dataset(folder: Path) -> Dataset:
    """Two drawn patients, each with one organ, as `ganseg prepare` leaves them."""
    generator = np.random.default_rng(0)
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    rows, columns = np.mgrid[:SIDE, :SIDE]
    body = ((rows - 128) / 100) ** 2 + ((columns - 128) / 115) ** 2 < 1
    organ = ((rows - 120) / 60) ** 2 + ((columns - 90) / 45) ** 2 < 1
    cases = []
    for number in range(2):
        noise = generator.normal(0, 5, (SLICES, SIDE, SIDE))
        images = (body * (90 + 60 * organ + noise)).clip(0, 255).astype(np.uint8)
        masks = np.broadcast_to(organ, images.shape).astype(np.uint8)
        name = f"patient{number}"
        np.save(folder / "images" / f"{name}.npy", images)
        np.save(folder / "masks" / f"{name}.npy", masks)
        case = Case(
            id=name,
            source="drawn",
            patient=name,
            modality="CT",
            unit="HU",
            slices=SLICES,
            shape=(SIDE, SIDE),
            slope=1.0,
            intercept=0.0,
            value_range=(0.0, 255.0),
            slice_index=tuple(range(SLICES)),
            foreground=(int(organ.sum()),) * SLICES,
            fingerprint="",
        )
        cases.append(case)
    dataset = Dataset(folder, tuple(cases), LABELS)
    cases = [replace(case, fingerprint=dataset.stored_fingerprint(case)) for case in cases]
    return Dataset(folder, tuple(cases), LABELS)


def our_preset(batch_size: int, slices: int, precision: str) -> Preset:
    """The committed preset of seed 000 on drawn patients, with another batch size."""
    faithful = load_preset("pix2pix_liver_faithful")
    data = DataSettings(validation_patients=("patient1",))
    steps = slices // batch_size
    return replace(faithful, data=data, batch_size=batch_size, steps_per_epoch=steps, precision=precision)


class PlainLoop:
    """One iteration after the other of the paper's two steps, as published training scripts write them."""

    def __init__(self, batch_size: int, device: torch.device) -> None:
        torch.manual_seed(0)
        seen = GENERATOR["in_channels"] + GENERATOR["out_channels"]
        self.batch_size = batch_size
        self.generator = networks.initialise(networks.build("pix2pix_seed", GENERATOR), "normal").to(device)
        self.discriminator = networks.initialise(
            networks.build("patch142_keras", {"in_channels": seen}), "normal"
        ).to(device)  # fmt: skip
        self.of_generator = torch.optim.Adam(self.generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.of_discriminator = torch.optim.Adam(self.discriminator.parameters(), lr=2e-4, betas=(0.5, 0.999))
        self.image = torch.rand(batch_size, 3, SIDE, SIDE, device=device) * 2 - 1
        organ = torch.rand(batch_size, 1, SIDE, SIDE, device=device) > 0.5
        self.mask = (2 * organ.float() - 1).repeat(1, 3, 1, 1)
        self.cross_entropy = nn.BCEWithLogitsLoss()
        self.distance = nn.L1Loss()

    def train(self, slices: int) -> None:
        """Learn from so many slices."""
        for _ in range(slices // self.batch_size):
            self._iterate()
        if self.image.is_cuda:
            torch.cuda.synchronize()

    def _iterate(self) -> None:
        made = self.generator(self.image)
        self._thaw(True)
        self.of_discriminator.zero_grad()
        fake, real = self._judge(made.detach()), self._judge(self.mask)
        loss = 0.5 * (
            self.cross_entropy(fake, torch.zeros_like(fake)) + self.cross_entropy(real, torch.ones_like(real))
        )
        loss.backward()
        self.of_discriminator.step()
        self._thaw(False)
        self.of_generator.zero_grad()
        fake = self._judge(made)
        loss = self.cross_entropy(fake, torch.ones_like(fake)) + 100 * self.distance(made, self.mask)
        loss.backward()
        self.of_generator.step()

    def _judge(self, mask: Tensor) -> Tensor:
        scores: Tensor = self.discriminator(torch.cat((self.image, mask), dim=1))
        return scores

    def _thaw(self, learns: bool) -> None:
        for parameter in self.discriminator.parameters():
            parameter.requires_grad_(learns)


def _ours(trainer: Trainer, waited: list[float]) -> Callable[[], None]:
    def train() -> None:
        _, timings = trainer.train_epoch()
        waited.append(timings["loader_share"])
        if trainer.device.type == "cuda":
            torch.cuda.synchronize()

    return train


def main() -> None:
    """Time both loops and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=32, help="slices that each variant learns from in a round")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8], help="batch sizes of the plain loop")
    parser.add_argument("--batch", type=int, default=8, help="batch size of ours")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "data").mkdir()
        dataset = prepared_dataset(place / "data")
        preset = our_preset(arguments.batch, arguments.slices, "auto")
        trainer = Trainer(preset, dataset, place / "run", RunOptions(accelerator=arguments.device))
        ours = f"this library, batch {arguments.batch}"
        waited: list[float] = []
        variants = {ours: _ours(trainer, waited)}
        plain = {f"plain loop, batch {size}": PlainLoop(size, trainer.device) for size in arguments.batches}
        for name, loop in plain.items():
            variants[name] = lambda loop=loop: loop.train(arguments.slices)  # type: ignore[misc]
        timings = alternate(variants, arguments.rounds)
    medians = {name: statistics.median(seconds) for name, seconds in timings.items()}
    best = min(plain, key=lambda name: medians[name])
    report(
        "training",
        timings,
        ours=ours,
        notes=(
            f"{arguments.slices} slices of {SIDE} x {SIDE}, one update of each network a batch; ours in "
            f"{trainer.precision} with its loader in the same process, the others in float32 without a loader."
        ),
        extra={
            "slices_per_second": arguments.slices / medians[ours],
            "best_plain_loop": best,
            "ratio_to_batch_1": medians.get("plain loop, batch 1", float("nan")) / medians[ours],
            "ratio_to_best_plain": medians[best] / medians[ours],
            "loader_share": statistics.median(waited),
            "precision": trainer.precision,
        },
    )


if __name__ == "__main__":
    main()
