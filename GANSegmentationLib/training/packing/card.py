"""What a model's card says of a run: the preset's words and the numbers of the data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...datasets.dataset import Dataset
from ...datasets.pseudo_labels import pseudo_label_limitation
from ...datasets.splits import Split
from ...errors import GANSegmentationError
from ...models import SEES, Card, DiscriminatorSpec, Intensity, NetworkSpec, StartedFrom, TrainingData, TrainingFacts
from ...networks import build as build_network
from ...networks import entry
from ...objectives import Objective
from ...objectives import build as build_objective
from ...objectives.synthesis import Synthesis
from ...resources import resource_path
from ...volumes import Segment, read_segment_table
from ..preset import Preset


def model_card(
    preset: Preset,
    dataset: Dataset,
    split: Split,
    epochs: int,
    date: str,
    *,
    started_from: StartedFrom | None = None,
) -> Card:
    """The card of a model, without figures and checksums; `dataset` is what of it the preset uses.

    A model that has learnt labels which no person has drawn says so among its limitations.
    """
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
        task=objective.task,
        network=NetworkSpec(name, config),
        slicing=preset.slicing,
        modalities=model.modalities,
        domains=preset.data.domains if entry(name).takes_domain else (),
        channels=len(model.channel_names),
        channel_names=model.channel_names,
        mask_channels=_mask_channels(preset, objective),
        intensity=Intensity(unit=units.pop() if len(units) == 1 else "arbitrary", range=window),
        training=TrainingFacts(
            preset=preset.name,
            objective=preset.objective.name,
            seed=preset.seed,
            # Of the real cases: whoever asks later whom the model was kept from need not have the painted ones.
            split_sha256=split.without_synthetic(dataset).sha256,
            epochs=epochs,
            date=date,
            data=_training_data(dataset, split),
            started_from=started_from,
        ),
        default_for=model.default_for,
        weights_licence=model.weights_licence,
        code_licence="Apache-2.0",
        intended_use=model.intended_use,
        limitations=" ".join(filter(None, (model.limitations, pseudo_label_limitation(dataset)))),
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


def discriminator_spec(preset: Preset) -> DiscriminatorSpec:
    """What a card says of the network that judges the masks of a preset's generator.

    Raises
    ------
    GANSegmentationError
        ``no_discriminator`` if there is none, or one that needs the reference to judge.
    """
    objective = build_objective(preset.objective.name, preset.objective.config)
    reviewer = objective.reviewer()
    found = None if reviewer is None else entry(reviewer.name)
    if reviewer is None or found is None or found.sees not in SEES or found.output not in ("patch", "critic"):
        raise GANSegmentationError(
            "no_discriminator",
            f"The objective {objective.name} of {preset.name} has no discriminator that could judge a mask without its "
            "reference.",
            action="Leave out --with-discriminator and model.with_discriminator.",
        )
    # A Wasserstein critic has no form to choose from.
    adversarial = getattr(getattr(objective, "config", None), "adversarial", "")
    if objective.name == "wasserstein":
        adversarial = "wasserstein"
    return DiscriminatorSpec(reviewer.name, reviewer.config, found.sees, str(adversarial))


def check_model(preset: Preset) -> None:
    """Prove that the preset's words make a valid card and that its slices fit its generator.

    Raises
    ------
    GANSegmentationError
        ``invalid_card`` for a field that a card cannot hold; ``invalid_preset`` for a missing label table, or channels
        or a multiple that the generator does not take; ``no_discriminator`` if one is to be packed and there is none.
    """
    labels = labels_of(preset)
    if preset.model.with_discriminator:
        discriminator_spec(preset)
    card = model_card(preset, Dataset(Path(), ()), Split((), ()), 1, "2000-01-01")
    Card.from_dict(card.to_dict())
    taken = card.network.config["in_channels"]
    # The seed's network, which paints the mask, takes a grey picture for all of its colour channels.
    repeated = entry(card.network.name).output == "tanh" and card.input_channels == 1
    objective = build_objective(preset.objective.name, preset.objective.config)
    if isinstance(objective, Synthesis):
        _check_painter(preset, objective, card, labels)
    elif taken != card.input_channels and not repeated:
        raise _misfit(
            f"its slices have {card.input_channels} channels (model.channel_names x slicing.neighbours) and its "
            f"generator takes {taken}"
        )
    if entry(card.network.name).takes_domain and card.network.config["domains"] != len(preset.data.domains):
        raise _misfit(
            f"its generator is told one of {card.network.config['domains']} domains, and data.domains names "
            f"{len(preset.data.domains)}"
        )
    multiple = int(getattr(build_network(card.network.name, card.network.config), "multiple", 1))
    if preset.slicing.multiple % multiple:
        raise _misfit(
            f"slicing.multiple is {preset.slicing.multiple}, and its generator needs sides that are multiples of "
            f"{multiple}"
        )


def _mask_channels(preset: Preset, objective: Objective) -> tuple[str, ...]:
    """The names of the channels that the preset's input labels become: the last ones."""
    given = len(preset.data.input_labels)
    if not given or objective.task != "segmentation":
        return ()
    names = preset.model.channel_names
    if len(names) <= given or preset.slicing.neighbours != 1:
        raise _misfit(
            f"data.input_labels adds {given} channels to the image's, and model.channel_names has {len(names)} names "
            f"for slices with {preset.slicing.neighbours} neighbours",
        )
    return names[-given:]


def _check_painter(preset: Preset, objective: Synthesis, card: Card, labels: Sequence[Segment]) -> None:
    """A synthesis paints whole slices from as many classes as its label table names."""
    classes, pictures = objective.config.classes, objective.pictures
    if [segment.value for segment in labels] != list(range(1, classes + 1)):
        raise _misfit(f"its masks have {classes} classes, and {preset.model.labels} names {len(labels)}")
    if pictures != card.input_channels:
        raise _misfit(
            f"its slices have {card.input_channels} channels (model.channel_names x slicing.neighbours) and its "
            f"generator paints {pictures}"
        )
    if preset.data.input_labels:
        raise _misfit("data.input_labels would be channels of the pictures, and a synthesis is given all masks anyway")


def _misfit(what: str) -> GANSegmentationError:
    return GANSegmentationError(
        "invalid_preset",
        f"The preset does not fit together: {what}.",
        action="Change slicing, data.domains or the generator's configuration.",
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
