"""What a run leaves for people: a CSV line an epoch, curves, and sample pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...datasets.dataset import Case, write_atomically
from ...datasets.slices import SliceDataset, SliceKey
from ...reports import image_grid, line_plot_svg, write_csv
from .health import notes
from .score import DICE, Score
from .validation import raw_scores

Row = dict[str, float]

MEASURES = ("/gradient_norm", "/adversarial_share", "/accuracy")
"""How the names of columns end that tell how training goes and are no part of a loss."""


class RunLog:
    """Writes ``log.csv``, ``losses.svg`` and ``scores.svg`` into the run's folder after every epoch.

    The rows are the whole history, so a resumed run rewrites the same files and nothing is doubled. The column
    ``notes`` says by their codes what `health` saw after each epoch.
    """

    def __init__(self, folder: Path, rows: Sequence[Mapping[str, float]] = (), *, score: Score = DICE) -> None:
        self.folder = folder
        self.score = score
        self.rows: list[Row] = [dict(row) for row in rows]

    def add(self, row: Mapping[str, float], *, write: bool = True) -> None:
        """One epoch's figures; ``epoch`` is the first column, losses are named ``phase/term``."""
        self.rows.append(dict(row))
        if write:
            self.write()

    def write(self) -> None:
        """Write the files anew."""
        told = zip(self.rows, notes(self.rows, self.score), strict=True)
        write_csv([{**row, "notes": note} for row, note in told], self.folder / "log.csv")
        self._plot("losses.svg", "Loss terms", loss_terms(self._names()), log_y=True)
        scores = [name for name in self._names() if is_of(name, self.score)]
        self._plot("scores.svg", f"Validation {self.score.name}", scores)

    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for row in self.rows for name in row))

    def _plot(self, file: str, title: str, names: Sequence[str], *, log_y: bool = False) -> None:
        epochs = [row["epoch"] for row in self.rows]
        series: dict[str, Any] = {name: (epochs, [row.get(name, float("nan")) for row in self.rows]) for name in names}
        if series:
            svg = line_plot_svg(
                series, title=title, x_label="epoch", y_label=title, log_y=log_y and fits_log_axis(series)
            )
            write_atomically(self.folder / file, svg.encode())


def loss_terms(names: Iterable[str]) -> list[str]:
    """Which columns are terms of losses: ``phase/term``, without what is measured beside them."""
    return [name for name in names if "/" in name and not name.endswith(MEASURES)]


def fits_log_axis(series: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> bool:
    """Whether curves can be drawn over a logarithmic axis: what is negative, as a critic's loss, would not be seen."""
    return not any(value < 0 for _, values in series.values() for value in values)


def is_of(name: str, score: Score) -> bool:
    """Whether a column holds the validation score, of all or of one source."""
    return name == score.column or name.startswith(f"{score.column}_")


@torch.no_grad()
def sample_picture(
    generator: nn.Module, network_name: str, slices: SliceDataset, keys: Sequence[SliceKey], device: torch.device
) -> bytes:
    """A PNG with a row a slice: image, mask, and what the generator makes of it.

    That is the foreground's probability of a generator with one score; of several classes it is the likeliest, each a
    grey of its own as in the mask.
    """
    was_training = generator.training
    generator.eval()
    rows = []
    for key in keys:
        item, case = slices[key], slices.dataset.by_id[key.case]
        raw = raw_scores(generator, network_name, slices, case, key.position, key.position + 1, device)[0].float().cpu()
        centre = item["image"][slices.spec.neighbours // 2]
        if raw.shape[0] == 1:
            mask, found = (item["mask"] > 0).float(), raw[0].sigmoid()
        else:
            mask, found = (labels.float() / (raw.shape[0] - 1) for labels in (item["mask"], raw.argmax(dim=0)))
        rows.append([_grey((centre + 1) / 2), _grey(mask), _grey(found)])
    generator.train(was_training)
    return image_grid(rows, column_titles=("image", "mask", "generator"))


def _grey(values: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def sample_keys(slices: SliceDataset, count: int = 6) -> list[SliceKey]:
    """The fullest slices of different cases, always the same ones, so that pictures of epochs compare.

    Of cases without any foreground only where no case has any.
    """
    counts = {case.id: _foreground(slices, case) for case in slices.dataset.cases}
    cases = [case for case in slices.dataset.cases if any(counts[case.id])] or slices.dataset.cases
    chosen = [cases[index] for index in np.linspace(0, len(cases) - 1, min(count, len(cases))).round().astype(int)]
    return [SliceKey(case.id, int(np.argmax(counts[case.id]))) for case in chosen]


def _foreground(slices: SliceDataset, case: Case) -> Sequence[int]:
    """Foreground pixels of each slice, of the classes that are learnt."""
    if slices.view.labels is None:
        return case.foreground
    return [int(np.count_nonzero(mask)) for mask in slices.reference(case)]
