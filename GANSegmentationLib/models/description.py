"""A model as a person wants to read of it before running it."""

from __future__ import annotations

from collections.abc import Iterator

from .card import Card, MetricFact
from .package import Package


def describe(package: Package) -> list[tuple[str, str]]:
    """Headings and sentences on a model, in the order of what a user asks: what for, how good, whose, how made.

    For a panel or a terminal; headings may repeat for several lines of one kind.
    """
    return [(heading, text) for heading, text in _lines(package) if text]


def _lines(package: Package) -> Iterator[tuple[str, str]]:
    card = package.card
    structures = ", ".join(segment.name for segment in package.labels)
    if card.task == "synthesis" and card.domains:
        yield "Translates between", ", ".join(card.domains)
    else:
        yield ("Finds" if card.task == "segmentation" else "Makes pictures from masks of"), structures
    yield "Made for", _input(card)
    yield "Intended use", card.intended_use
    yield "Limitations", card.limitations
    for metric in card.metrics:
        yield "Measured", metric_text(metric)
    yield "Slices to review", _review(card)
    for data in card.training.data:
        counts = [f"{n} {word}" for n, word in ((data.patients, "patients"), (data.slices, "slices")) if n is not None]
        yield "Trained on", f"{data.name} ({', '.join([*counts, data.licence])})"
    if card.training.started_from is not None:
        yield "Started from", f"{card.training.started_from.id} {card.training.started_from.version}"
    yield "Slices", _slices(card)
    yield "Network", f"{card.network.name}, trained with the objective {card.training.objective}"
    if card.discriminator is not None:
        yield "Discriminator", f"{card.discriminator.name}, in the package: it can say how plausible each slice is"
    yield "After the network", _afterwards(card)
    yield "Weights' licence", card.weights_licence
    yield "Cite", card.citation
    yield "Size", f"{package.size_bytes / 1e6:.1f} MB"
    yield "Version", f"{card.id} {card.version}, {card.training.date}"


def metric_text(metric: MetricFact) -> str:
    """One figure in a line: ``Dice 0.951 (95 % CI 0.943 to 0.958; n = 12; LiTS, validation)``."""
    unit = "" if metric.unit in ("", "1") else f" {metric.unit}"  # "1" is the unit of a ratio
    facts = [f"n = {metric.n}", f"{metric.dataset}, {metric.split}"]
    if metric.ci95 is not None:
        facts.insert(0, f"95 % CI {metric.ci95[0]:.3g} to {metric.ci95[1]:.3g}{unit}")
    if metric.comment:
        facts.append(metric.comment)
    return f"{metric.name} {metric.mean:.3g}{unit} ({'; '.join(facts)})"


def _input(card: Card) -> str:
    what = " or ".join(card.modalities)
    if card.channels > 1:
        what += f", {card.channels} volumes on one grid ({', '.join(card.channel_names)})"
    if card.domains:
        what += f"; domains {', '.join(card.domains)}"
    if card.spacing_range is not None:
        in_plane, across = card.spacing_range.in_plane_mm, card.spacing_range.slice_mm
        what += f"; pixels of {in_plane[0]:g} to {in_plane[1]:g} mm, slices every {across[0]:g} to {across[1]:g} mm"
    return what


def _review(card: Card) -> str:
    fact = card.review
    if fact is None:
        return ""
    interval = "" if fact.ci95 is None else f"95 % CI {fact.ci95[0]:.2f} to {fact.ci95[1]:.2f}; "
    where = f"; {fact.dataset}" if fact.dataset else ""
    return (
        f"sorted by {fact.signal}, whose rank correlation with the slices' Dice is {fact.spearman:.2f} "
        f"({interval}n = {fact.n} patients{where})"
    )


def _slices(card: Card) -> str:
    spec = card.slicing
    around = "" if spec.neighbours == 1 else f", seen with {spec.neighbours - 1} neighbours"
    extent = f"{spec.size} pixels along the longer side" if spec.size else "its own pixels"
    return f"{spec.plane}, {extent}{around}"


def _afterwards(card: Card) -> str:
    post = card.postprocessing
    steps = []
    if card.test_time_augmentation:
        steps.append(
            f"averaged over flips ({', '.join(name.replace('_', '-') for name in card.test_time_augmentation)})"
        )
    if post.crf is not None:
        steps.append("refined with a conditional random field")
    if post.largest_component:
        steps.append("the largest connected part is kept")
    if post.fill_holes:
        steps.append("holes are filled")
    if post.minimum_volume_ml > 0:
        steps.append(f"parts under {post.minimum_volume_ml:g} ml are removed")
    return ", ".join(steps)
