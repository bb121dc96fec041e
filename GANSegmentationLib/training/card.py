"""What a model's card says of a run: the preset's words and the numbers of the data."""

from __future__ import annotations

from pathlib import Path

from ..datasets.dataset import Dataset
from ..datasets.splits import Split
from ..errors import GANSegmentationError
from ..models import Card, Intensity, NetworkSpec, TrainingData, TrainingFacts
from ..networks import build as build_network
from ..objectives import build as build_objective
from ..resources import resource_path
from ..volumes import Segment, read_segment_table
from .preset import Preset


def model_card(preset: Preset, dataset: Dataset, split: Split, epochs: int, date: str) -> Card:
    """The card of a model, without figures and checksums; `dataset` is what of it the preset uses."""
    objective = build_objective(preset.objective.name, preset.objective.config)
    name, config = objective.generator_spec()
    model = preset.model
    normalisation = preset.slicing.normalisation.to_dict()
    window = (normalisation["low"], normalisation["high"]) if normalisation["kind"] == "window" else None
    units = {case.unit for case in dataset.cases}
    return Card(
        id=model.id,
        title=model.title,
        version=model.version,
        network=NetworkSpec(name, config),
        slicing=preset.slicing,
        modalities=model.modalities,
        channels=len(model.channel_names),
        channel_names=model.channel_names,
        intensity=Intensity(unit=units.pop() if len(units) == 1 else "arbitrary", range=window),
        training=TrainingFacts(
            preset=preset.name,
            objective=preset.objective.name,
            seed=preset.seed,
            split_sha256=split.sha256,
            epochs=epochs,
            date=date,
            data=_training_data(dataset, split),
        ),
        default_for=model.default_for,
        weights_licence=model.weights_licence,
        code_licence="Apache-2.0",
        intended_use=model.intended_use,
        limitations=model.limitations,
        citation=model.citation,
    )


def labels_of(preset: Preset) -> tuple[Segment, ...]:
    """The segments that the preset's label table names.

    Raises
    ------
    GANSegmentationError
        ``invalid_preset`` if there is no such table; as `read_segment_table`.
    """
    path = resource_path("Labels", preset.model.labels)
    if not path.is_file():
        tables = sorted(each.name for each in resource_path("Labels").glob("*.csv"))
        raise GANSegmentationError(
            "invalid_preset",
            f"There is no label table '{preset.model.labels}'.",
            cause="model.labels of the preset is misspelt.",
            action=f"Choose one of {', '.join(tables)}.",
        )
    return read_segment_table(path)


def check_model(preset: Preset) -> None:
    """Prove that the preset's words make a valid card and that its slices fit its generator.

    Raises
    ------
    GANSegmentationError
        ``invalid_card`` for a field that a card cannot hold; ``invalid_preset`` for a missing label table, or channels
        or a multiple that the generator does not take.
    """
    labels_of(preset)
    card = model_card(preset, Dataset(Path(), ()), Split((), ()), 1, "2000-01-01")
    Card.from_dict(card.to_dict())
    taken = card.network.config["in_channels"]
    if taken != card.input_channels:
        raise _misfit(
            f"its slices have {card.input_channels} channels (model.channel_names x slicing.neighbours) and its "
            f"generator takes {taken}"
        )
    multiple = int(getattr(build_network(card.network.name, card.network.config), "multiple", 1))
    if preset.slicing.multiple % multiple:
        raise _misfit(
            f"slicing.multiple is {preset.slicing.multiple}, and its generator needs sides that are multiples of "
            f"{multiple}"
        )


def _misfit(what: str) -> GANSegmentationError:
    return GANSegmentationError(
        "invalid_preset",
        f"The preset does not fit together: {what}.",
        action="Change slicing or the generator's configuration.",
    )


def _training_data(dataset: Dataset, split: Split) -> tuple[TrainingData, ...]:
    cases = [dataset.by_id[name] for name in split.train]
    return tuple(
        TrainingData(
            name=source,
            licence="; ".join(sorted({case.licence for case in cases if case.source == source})),
            source=f"prepared dataset {dataset.fingerprint[:16]}",
            patients=len({case.patient for case in cases if case.source == source}),
            slices=sum(case.slices for case in cases if case.source == source),
        )
        for source in sorted({case.source for case in cases})
    )
