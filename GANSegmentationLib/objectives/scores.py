"""What an objective asks of a generator whose scores it compares with masks pixel by pixel."""

from __future__ import annotations

from .. import networks
from .config import NetworkSpec, check_objective


def check_scores(generator: NetworkSpec, config: object) -> tuple[int, int]:
    """The channels of the images that `generator` takes and the classes that it scores, ``(in_channels, classes)``.

    Raises
    ------
    GANSegmentationError
        ``invalid_objective``, naming the objective's `config`, for a network that draws pictures of masks or that
        wants to know a domain.
    """
    found, fields = networks.entry(generator.name), generator.config.to_dict()
    check_objective(
        found.output != "tanh",
        config,
        f"{found.name} draws a picture of the mask, and raw scores are needed",
        action="Choose pix2pix_modern, or train this network with the objective conditional.",
    )
    check_objective(
        not found.takes_domain,
        config,
        f"{found.name} asks for the domain of every slice, which this objective does not know",
        action="Train this network with the objective domain.",
    )
    return fields["in_channels"], fields["classes"]
