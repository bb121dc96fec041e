"""Whether card, labels, weights and the network they are for belong together."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..errors import GANSegmentationError
from ..volumes import Segment
from .card import CARD_FILE, DISCRIMINATOR_FILE, LABELS_FILE, MODEL_FILE, Card, DiscriminatorSpec
from .weights import TensorPlace

_LISTED: Final = 5
_LARGEST_NUMBER: Final = 100_000


def check_labels(card: Card, labels: Sequence[Segment]) -> None:
    """Refuse a segment table whose values are not those that the network's classes become.

    A network with one class gives label 1, one with n >= 2 gives labels 1 to n - 1 (class 0 is background). Without a
    number of classes in the network's configuration, and for a model that makes pictures of masks (its table names what
    goes in), only a table without segments is refused.

    Raises
    ------
    GANSegmentationError
        ``label_mismatch``.
    """
    values = sorted(segment.value for segment in labels)
    if not values:
        raise _label_mismatch("names no structure")
    if card.task != "segmentation":
        return
    classes = card.network.config.get("classes")
    if isinstance(classes, bool) or not isinstance(classes, int):
        return
    expected = [1] if classes == 1 else list(range(1, classes))
    if values != expected:
        raise _label_mismatch(
            f"has the label values {values}, but the network's {classes} {'class' if classes == 1 else 'classes'} "
            f"become {expected}"
        )


def check_network(card: Card) -> None:
    """Refuse a card whose network is unknown here or cannot be built so. Passes where torch is not installed.

    Raises
    ------
    GANSegmentationError
        ``unknown_network``; ``invalid_card`` for a configuration that the network does not take, a network that does
        not do the card's task, or one with other input channels than the card's slices have; the same for the
        discriminator, if there is one.
    """
    if not torch_installed():
        return
    from .. import networks

    name = card.network.name
    config = _known_config("network", name, card.network.config)
    if card.discriminator is not None:
        _check_discriminator(card.discriminator)
    entry = networks.entry(name)
    if entry.takes_domain and config.get("domains") != len(card.domains):
        raise _invalid_card(
            f"network.config.domains is {config.get('domains')}, but domains has {len(card.domains)} names"
        )
    if card.task == "synthesis":
        # The seed's generator of pictures of masks is the one that makes pictures from masks too.
        if entry.role not in ("synthesiser", "generator"):
            raise _invalid_card(f"network.name is {name!r}, a {entry.role}, which makes no pictures")
        return
    if entry.role != "generator":
        raise _invalid_card(f"network.name is {name!r}, a {entry.role}, which does not segment")
    channels = config.get("in_channels")
    # A network that gives a picture of the mask takes a grey picture for all of its colour channels, as the seed does.
    repeated = entry.output == "tanh" and card.input_channels == 1
    if channels is not None and channels != card.input_channels and not repeated:
        raise _invalid_card(
            f"network.config.in_channels is {channels}, but channels ({card.channels}) times slicing.neighbours "
            f"({card.slicing.neighbours}) is {card.input_channels}"
        )


def _known_config(field: str, name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """The whole configuration of a network that the card names in this field."""
    from .. import networks

    if name not in networks.names():
        raise GANSegmentationError(
            "unknown_network",
            f"{CARD_FILE}: {field}.name is {name!r}, which this version does not know.",
            cause="The model was packed by a newer version of GANSegmentation, or the card was edited.",
            action=f"Update GANSegmentation. The known networks are {', '.join(networks.names())}.",
        )
    _check_numbers(field, config)
    try:
        return networks.read_network_config(name, config).to_dict()
    except GANSegmentationError as error:
        raise _invalid_card(f"{field}.config: {error.message.rstrip('.')}") from error


def _check_numbers(field: str, config: Any) -> None:
    """Refuse numbers of layers, channels or pixels that no network has: building it would fail in torch's own words."""
    items = config.items() if isinstance(config, Mapping) else enumerate(config)
    for key, value in items:
        if isinstance(value, (Mapping, list, tuple)):
            _check_numbers(field, value)
        elif isinstance(value, int) and abs(value) > _LARGEST_NUMBER:
            raise _invalid_card(f"{field}.config has a number for {key} that is larger than any network's")


def _check_discriminator(spec: DiscriminatorSpec) -> None:
    """Refuse what cannot review a mask: a network that does not judge, or that would need the reference to."""
    from .. import networks

    _known_config("discriminator", spec.name, spec.config)
    entry = networks.entry(spec.name)
    if entry.role != "discriminator" or entry.output not in ("patch", "critic") or entry.takes_domain:
        raise _invalid_card(f"discriminator.name is {spec.name!r}, which gives no score of a mask")
    if entry.sees != spec.sees:
        raise _invalid_card(f"discriminator.sees is {spec.sees!r}, but {spec.name} sees {entry.sees!r}")


def check_weights_fit(card: Card, tensors: Mapping[str, TensorPlace], file: str = MODEL_FILE) -> None:
    """Refuse weights that are not those of the card's network: names and shapes. Passes where torch is not installed.

    `file` says which of the card's two networks the weights are of.

    Raises
    ------
    GANSegmentationError
        ``invalid_weights``, naming the first tensors that differ.
    """
    if not torch_installed():
        return
    import torch

    from .. import networks

    spec = card.discriminator if file == DISCRIMINATOR_FILE and card.discriminator is not None else card.network
    with torch.device("meta"):
        module = networks.build(spec.name, spec.config)
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    # How many batches a normalisation has seen decides nothing once a network is trained.
    optional = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = sorted(set(expected) - optional - set(tensors))
    strange = sorted(set(tensors) - set(expected))
    other = [
        f"{name} {list(tensors[name].shape)} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in tensors and tensors[name].shape != shape
    ]
    problems = [
        f"{what} {', '.join(names[:_LISTED])}{' ...' if len(names) > _LISTED else ''}"
        for what, names in (("it lacks", missing), ("it has the unknown", strange), ("it has", other))
        if names
    ]
    if problems:
        raise GANSegmentationError(
            "invalid_weights",
            f"{file} does not fit the network {spec.name}: {'; '.join(problems)}.",
            cause="The card belongs to other weights.",
            action="Pack the model again.",
        )


def torch_installed() -> bool:
    """Whether torch could be imported; it is not imported to find out."""
    return importlib.util.find_spec("torch") is not None


def _label_mismatch(problem: str) -> GANSegmentationError:
    return GANSegmentationError(
        "label_mismatch",
        f"{LABELS_FILE} {problem}.",
        cause="The table belongs to another model.",
        action="Get the package again from where it came, or pack the model with its own table.",
    )


def _invalid_card(problem: str) -> GANSegmentationError:
    return GANSegmentationError("invalid_card", f"{CARD_FILE}: {problem}.", action="Pack the model again.")
