"""What a run leaves for people: a CSV line an epoch, curves, and sample pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..datasets.slices import SliceDataset, SliceKey
from ..networks import entry, scores
from ..reports import image_grid, line_plot_svg, write_csv

Row = dict[str, float]


class RunLog:
    """Writes ``log.csv``, ``losses.svg`` and ``scores.svg`` into the run's folder after every epoch.

    The rows are the whole history, so a resumed run rewrites the same files and nothing is doubled.
    """

    def __init__(self, folder: Path, rows: Sequence[Mapping[str, float]] = ()) -> None:
        self.folder = folder
        self.rows: list[Row] = [dict(row) for row in rows]

    def add(self, row: Mapping[str, float]) -> None:
        """One epoch's figures; ``epoch`` is the first column, losses are named ``phase/term``."""
        self.rows.append(dict(row))
        write_csv(self.rows, self.folder / "log.csv")
        self._plot("losses.svg", "Loss terms", [name for name in self._names() if "/" in name], log_y=True)
        self._plot("scores.svg", "Validation Dice", [name for name in self._names() if name.startswith("dice")])

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def _plot(self, file: str, title: str, names: Sequence[str], *, log_y: bool = False) -> None:
        epochs = [row["epoch"] for row in self.rows]
        series: dict[str, Any] = {name: (epochs, [row.get(name, float("nan")) for row in self.rows]) for name in names}
        if series:
            svg = line_plot_svg(series, title=title, x_label="epoch", y_label=title, log_y=log_y)
            (self.folder / file).write_text(svg, encoding="utf-8")


@torch.no_grad()
def sample_picture(
    generator: nn.Module, network_name: str, slices: SliceDataset, keys: Sequence[SliceKey], device: torch.device
) -> bytes:
    """A PNG with a row a slice: image, mask, what the generator makes of it (foreground probability)."""
    was_training = generator.training
    generator.eval()
    items = [slices[key] for key in keys]
    images = torch.stack([item["image"] for item in items]).to(device)
    raw = scores(entry(network_name).output, generator(images)).float().cpu()
    probability = raw[:, 0].sigmoid() if raw.shape[1] == 1 else 1 - raw.softmax(dim=1)[:, 0]
    generator.train(was_training)
    rows = []
    for item, found in zip(items, probability, strict=True):
        centre = item["image"][item["image"].shape[0] // 2]
        rows.append([_grey((centre + 1) / 2), _grey((item["mask"] > 0).float()), _grey(found)])
    return image_grid(rows, column_titles=("image", "mask", "generator"))


def _grey(values: torch.Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def sample_keys(slices: SliceDataset, count: int = 6) -> list[SliceKey]:
    """Slices with foreground from different cases, always the same ones, so that pictures of epochs compare."""
    cases = [case for case in slices.dataset.cases if any(case.foreground)]
    chosen = [cases[index] for index in np.linspace(0, len(cases) - 1, min(count, len(cases))).round().astype(int)]
    return [SliceKey(case.id, int(np.argmax(case.foreground))) for case in chosen]
