"""Training seed 000's pix2pix on this machine: this library's loop and the plain loop of the field, slices a second.

``python benchmarks/training.py [--rounds N] [--slices N] [--batches N ...] [--device auto]``. Both train the same
networks (64 channels, 256 x 256) with the same losses. Ours is the whole loop: slices read from a prepared dataset and
normalised, guards against what is not finite, the log's figures. The plain loop's batch lies ready in memory, in single
precision and with Adam as it comes; it is timed slice by slice, as the paper trains, and at other batch sizes, of which
the fastest counts.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from timing import alternate, report

from GANSegmentationLib import networks
from GANSegmentationLib.datasets import Case, Dataset
from GANSegmentationLib.training import RunOptions, Trainer, load_preset
from GANSegmentationLib.training.preset import DataSettings
from GANSegmentationLib.training.steps.loading import Feed
from GANSegmentationLib.training.steps.means import Means

SIDE = 256
SLICES = 8
GENERATOR = {"in_channels": 3, "out_channels": 3}
LABELS = {1: "Liver"}


def prepared_dataset(folder: Path) -> Dataset:
    """Two drawn patients, each with one organ, as `ganseg prepare` leaves them."""
    generator = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
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


class OurLoop:
    """Steps of the library's loop, one after the other, in the middle of an epoch that is as long as a real one."""

    def __init__(self, batch_size: int, folder: Path, device: str) -> None:
        dataset = prepared_dataset(folder / "data")
        data = DataSettings(validation_patients=("patient1",))
        preset = replace(load_preset("pix2pix_liver_faithful"), data=data, batch_size=batch_size, steps_per_epoch=1000)
        self.batch_size = batch_size
        self.trainer = Trainer(preset, dataset, folder / "run", RunOptions(accelerator=device))
        self.trainer.learners.train()
        self.feed = Feed(self.trainer.loader, self.trainer.device)
        self.seconds = 0.0
        self._means = Means()
        self._batches = iter(self.feed)
        self._step = 0

    def train(self, slices: int) -> None:
        """Learn from so many slices."""
        started = time.perf_counter()
        for _ in range(slices // self.batch_size):
            self._means.add(self.trainer.learners.step(next(self._batches), self._step, 1.0))
            self._step += 1
        if self.trainer.device.type == "cuda":
            torch.cuda.synchronize()
        self.seconds += time.perf_counter() - started

    @property
    def loader_share(self) -> float:
        """The share of the time so far that steps have waited for slices."""
        return self.feed.waited / self.seconds


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


def main() -> None:
    """Time both loops and keep the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=32, help="slices that each variant learns from in a round")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8], help="batch sizes of the plain loop")
    parser.add_argument("--batch", type=int, default=16, help="batch size of ours")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        our_loop = OurLoop(arguments.batch, Path(folder), arguments.device)
        trainer = our_loop.trainer
        ours = f"this library, batch {arguments.batch}"
        plain = {f"plain loop, batch {size}": PlainLoop(size, trainer.device) for size in arguments.batches}
        loops: dict[str, OurLoop | PlainLoop] = {ours: our_loop, **plain}
        timings = alternate(
            {name: functools.partial(loop.train, arguments.slices) for name, loop in loops.items()}, arguments.rounds
        )
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
            "loader_share": our_loop.loader_share,
            "precision": trainer.precision,
        },
    )


if __name__ == "__main__":
    main()
