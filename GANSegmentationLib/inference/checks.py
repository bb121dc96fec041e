"""Whether volumes are what a model was made for, before anything is computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import GANSegmentationError
from ..slicing import ByModality, IntensityMap, Window, orient, value_range
from ..volumes import Volume

if TYPE_CHECKING:
    from ..models import Card

_HU_REACHES = (-200.0, 100.0)
"""Every CT of a body has air or lung around it (below the one) and soft tissue (around the other)."""

_INSIDE = Window(0.0, 1.0)
"""Of a mask: 0 becomes -1, every label 1."""

_TOLERANCE = 1.02
"""Spacings are written in few digits: two per cent beyond a range are within it."""


class Warning_(str):  # noqa: N801 - the built-in name is taken
    """A warning as a person reads it, with a stable snake_case `code` for programs."""

    code: str

    def __new__(cls, code: str, text: str) -> Warning_:
        warning = super().__new__(cls, text)
        warning.code = code
        return warning

    def __reduce__(self) -> tuple[type[Warning_], tuple[str, str]]:
        return Warning_, (self.code, str(self))


def check_input(
    card: Card, volumes: Sequence[Volume], domain: str | None = None, *, force: bool = False
) -> list[Warning_]:
    """What speaks against segmenting these volumes with a model.

    Parameters
    ----------
    card:
        The model's card.
    volumes:
        Its inputs, in the order of the card's channels.
    domain:
        The domain a user named, or None.
    force:
        Take a known mismatch of modality as a warning.

    Returns
    -------
    list of Warning_
        ``modality_mismatch`` (only if forced), ``modality_unknown``, ``intensity_constant``, ``intensity_8bit``,
        ``intensity_range``, ``intensity_unit``, ``few_slices``, ``spacing_out_of_range``, ``domain_ignored``,
        ``domain_contradicts``.

    Raises
    ------
    GANSegmentationError
        ``channel_count`` if the number of volumes is not the model's; ``modality_mismatch`` for a known modality that
        is not the model's, unless forced; ``domain_needed`` and ``unknown_domain`` as `resolve_domain`;
        ``modality_unknown`` as `with_modalities`.
    """
    if len(volumes) != card.channels:
        raise GANSegmentationError(
            "channel_count",
            f"The model {card.title!r} takes {card.channels} volume{'s' if card.channels != 1 else ''} "
            f"({', '.join(card.channel_names)}), but {len(volumes)} {'was' if len(volumes) == 1 else 'were'} given.",
            action="Choose one volume for each input of the model.",
        )
    resolved = resolve_domain(card, volumes, domain)
    scans = _scans(card, volumes)
    warnings = [warning for volume in scans for warning in _check_modality(card, volume, force)]
    with_modalities(card, volumes, domain, force=force)
    for volume in scans:
        warnings += _check_intensity(card, volume)
    warnings += _check_grid(card, volumes[0])
    if domain is not None and not card.domains and not isinstance(card.slicing.normalisation, ByModality):
        warnings.append(Warning_("domain_ignored", f"The model does not distinguish domains: {domain!r} is ignored."))
    if resolved is not None:
        warnings += _check_domain(card, scans, resolved)
    return warnings


def with_modalities(
    card: Card, volumes: Sequence[Volume], domain: str | None, *, force: bool = False
) -> tuple[Volume, ...]:
    """The volumes with the modality that decides how they are normalised; as they are for a model that needs none.

    A volume's own modality counts, where the model's normalisation knows it. Where not, the domain that a user named
    stands in for it; if `force`, it does so in any case (the file's word may be wrong).

    Raises
    ------
    GANSegmentationError
        ``modality_unknown`` if neither says it.
    """
    scheme = card.slicing.normalisation
    if not isinstance(scheme, ByModality):
        return tuple(volumes)
    decided = []
    for volume, name in zip(volumes, card.channel_names, strict=True):
        if name in card.mask_channels:
            decided.append(volume)
            continue
        if scheme.knows(domain) and (force or not scheme.knows(volume.modality)):
            volume = replace(volume, modality=(domain or "").upper())
        scheme.for_modality(volume.modality)
        decided.append(volume)
    return tuple(decided)


def intensities(card: Card, volumes: Sequence[Volume]) -> list[IntensityMap] | None:
    """How each volume's values become the network's, for a model that takes masks too: those are 1 inside, -1 outside.

    None for all other models: `SliceStack` knows the way.
    """
    if not card.mask_channels:
        return None
    return [
        (_INSIDE if name in card.mask_channels else card.slicing.normalisation.for_modality(volume.modality)).fit(
            volume.array
        )
        for volume, name in zip(volumes, card.channel_names, strict=True)
    ]


def _scans(card: Card, volumes: Sequence[Volume]) -> list[Volume]:
    """The volumes that are no masks: only those have a modality and a unit."""
    names = zip(volumes, card.channel_names, strict=False)  # how many there are is checked elsewhere
    return [volume for volume, name in names if name not in card.mask_channels]


def resolve_domain(card: Card, volumes: Sequence[Volume], domain: str | None) -> str | None:
    """The domain to segment in: the one named, else the volumes' modality; None for a model without domains.

    Raises
    ------
    GANSegmentationError
        ``unknown_domain`` for a name that the model has not, ``domain_needed`` if there is neither name nor a modality
        that is a domain.
    """
    if not card.domains:
        return None
    known = {name.casefold(): name for name in card.domains}
    if domain is not None:
        if domain.casefold() not in known:
            raise GANSegmentationError(
                "unknown_domain",
                f"The model {card.title!r} has no domain {domain!r}.",
                action=f"Choose one of {', '.join(card.domains)}.",
            )
        return known[domain.casefold()]
    found = {known.get((volume.modality or "").casefold()) for volume in _scans(card, volumes)}
    if len(found) != 1 or None in found:
        raise GANSegmentationError(
            "domain_needed",
            f"The model {card.title!r} has to know the domain of the scan, and the scan does not say it.",
            cause="The file carries no modality, or one that is not a domain of the model.",
            action=f"Name the domain: one of {', '.join(card.domains)}.",
        )
    return found.pop()


def _check_domain(card: Card, volumes: Sequence[Volume], domain: str) -> Iterator[Warning_]:
    """A scan that says of itself that it is another domain than the named one."""
    own = {name.casefold() for name in card.domains} - {domain.casefold()}
    for volume in volumes:
        if (volume.modality or "").casefold() in own:
            yield Warning_(
                "domain_contradicts",
                f"The domain {domain} was named for {_called(volume)}, which says of itself that it is "
                f"{volume.modality}.",
            )


def _check_modality(card: Card, volume: Volume, force: bool) -> Iterator[Warning_]:
    modality = (volume.modality or "").upper()
    made_for = " or ".join(card.modalities)
    # OT (other) is what converters write when they do not know.
    if modality in ("", "OT"):
        yield Warning_(
            "modality_unknown",
            f"The modality of {_called(volume)} is unknown; the model {card.title!r} was made for {made_for}.",
        )
    elif modality not in card.modalities:
        message = f"T{_called(volume)[1:]} is {modality}; the model {card.title!r} was made for {made_for}."
        if not force:
            raise GANSegmentationError(
                "modality_mismatch",
                message,
                cause="The wrong model or the wrong series was chosen.",
                action="Choose a model for this modality, or force the run if you know better.",
            )
        yield Warning_("modality_mismatch", message)


def _check_intensity(card: Card, volume: Volume) -> Iterator[Warning_]:
    limits = value_range(volume.array)
    if limits is None:
        yield Warning_("intensity_constant", f"No voxel of {_called(volume)} is a finite number.")
        return
    low, high = limits[:2]
    if low == high:
        yield Warning_("intensity_constant", f"All voxels of {_called(volume)} have the same value.")
        return
    hounsfield = card.intensity.unit.upper() == "HU"
    said = volume.facts.get("RescaleType", "").upper()
    if hounsfield and said not in ("", "HU", "US"):  # US is unspecified, and found in plain CT
        yield Warning_(
            "intensity_unit",
            f"T{_called(volume)[1:]} says that its values are {said}, not Hounsfield units: it may be a map computed "
            "from spectral CT.",
        )
    facts = f"The values of {_called(volume)} run from {low:g} to {high:g}"
    if hounsfield and low >= 0 and high <= 255:
        yield Warning_(
            "intensity_8bit",
            f"{facts}: that looks like a picture of 8-bit grey values, but the model expects Hounsfield units.",
        )
        return
    if hounsfield and low >= 0:
        # The card's range cannot tell: a model whose window begins at 0 HU sees all of this as tissue.
        yield Warning_(
            "intensity_range",
            f"{facts}: none is negative, but air and fat are in Hounsfield units. The rescale intercept may be "
            "missing, or the scan is no CT.",
        )
        return
    reaches = card.intensity.range or (_HU_REACHES if hounsfield else None)
    if reaches is not None and (low > reaches[0] or high < reaches[1]):
        yield Warning_(
            "intensity_range",
            f"{facts}; the model expects {card.intensity.unit} that reach from {reaches[0]:g} to {reaches[1]:g}.",
        )


def _check_grid(card: Card, volume: Volume) -> Iterator[Warning_]:
    geometry = volume.geometry
    axes = orient(geometry, card.slicing.plane).axes
    slices, *_ = (geometry.shape[axis] for axis in axes)
    between, *in_plane = (geometry.spacing_zyx[axis] for axis in axes)
    if slices == 1 or slices < card.slicing.neighbours:
        yield Warning_(
            "few_slices",
            f"There {'is only one slice' if slices == 1 else f'are only {slices} slices'} in the model's plane "
            f"({card.slicing.plane}): the result may be poor.",
        )
    if card.spacing_range is None:
        return
    for what, values, (low, high) in (
        ("pixels", in_plane, card.spacing_range.in_plane_mm),
        ("slices", [between], card.spacing_range.slice_mm),
    ):
        if min(values) * _TOLERANCE < low or max(values) > high * _TOLERANCE:
            spacing = " x ".join(f"{value:.3g}" for value in values)
            yield Warning_(
                "spacing_out_of_range",
                f"The {what} are {spacing} mm apart; the model was trained on {low:g} to {high:g} mm.",
            )


def _called(volume: Volume) -> str:
    return f"the volume {volume.name!r}" if volume.name else "the volume"
