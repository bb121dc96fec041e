"""The committed presets made small, and miniatures of the data that they name."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from GANSegmentationLib import networks
from GANSegmentationLib.datasets import Case, Dataset
from GANSegmentationLib.training import Preset

SOURCES = {
    "lits": ("lits_slices", "CT", "HU"),
    "msd": ("msd_slices", "CT", "HU"),
    "chaos_mr": ("chaos_mr", "MR", "arbitrary"),
    "lung": ("lung_slices", "CT", "HU"),
    "prostate": ("prostate_slices", "MR", "arbitrary"),
    "vnc": ("em_vnc", "OT", "arbitrary"),
    "isbi2012": ("em_isbi2012", "OT", "arbitrary"),
}
"""Layout, modality and unit by how the patients' names begin."""

_NARROW = {"width": 4, "blocks": 1, "full_resolution": 4}


def small(preset: Preset) -> Preset:
    """The same preset with narrow networks on small slices, for two steps."""
    plain = preset.to_dict()
    objective = str(plain["objective"])
    # Eight halvings leave no choice; discriminators of three scales want 32 pixels in the smallest.
    side = 256 if "pix2pix_seed" in objective else 128 if "multiscale_patch70" in objective else 64
    plain["objective"]["config"] = _narrow(plain["objective"]["config"], side)
    plain["slicing"] |= {"size": side, "multiple": side}
    plain["data"]["crop"] = 0
    plain |= {"batch_size": 2, "steps_per_epoch": 2, "epochs": 1, "accumulate": 1, "precision": "32-true"}
    return Preset.from_dict(plain)


def _narrow(config: Any, side: int) -> Any:
    """Every network that a configuration describes, narrow and for this size."""
    if not isinstance(config, Mapping):
        return config
    if set(config) <= {"name", "config"} and "name" in config:
        known = {field.name for field in fields(networks.entry(config["name"]).config_class)}  # type: ignore[arg-type]
        inside = dict(config.get("config", {}))
        inside |= {name: value for name, value in _NARROW.items() if name in known}
        if "channels" in known:
            inside["channels"] = [4] * 5
        if inside.get("size") is not None:
            inside["size"] = side
        return {"name": config["name"], "config": inside}
    return {key: _narrow(value, side) for key, value in config.items()}


def miniature(preset: Preset, folder: Path) -> Dataset:
    """A prepared dataset with every patient that the preset names, and two more of every source that it samples.

    It has four structures, and one where the preset learns all that there are.
    """
    data = preset.data
    named = [*data.validation_patients, *data.unlabelled_patients, *(data.training_patients or ())]
    groups = [*data.groups, *(group for stream in data.streams.values() for group in stream)]
    prefixes = {source: prefix for prefix, (source, _, _) in SOURCES.items()}
    sources = [
        source for group in groups if (source := str(group.source).removesuffix("_bone_pseudo_labels")) in prefixes
    ]
    more = [f"{prefixes[source]}_more{i}" for source in sources for i in range(2)]
    labels = {1: "one"} if data.labels is None else {1: "one", 2: "two", 3: "three", 4: "four"}
    cases = tuple(_case(patient, folder, len(labels)) for patient in dict.fromkeys([*named, *more]))
    derived = next((group.source for group in groups if str(group.source).endswith("_pseudo_labels")), None)
    if derived:
        cases = tuple(replace(case, source=derived, licence="") for case in cases)
    dataset = Dataset(folder, cases, labels)
    dataset.write_manifest()
    return dataset


def _case(patient: str, folder: Path, structures: int) -> Case:
    prefix = max((prefix for prefix in SOURCES if patient.startswith(prefix)), key=len)
    source, modality, unit = SOURCES[prefix]
    rng = np.random.default_rng(int(hashlib.sha256(patient.encode()).hexdigest()[:8], 16))
    masks = np.zeros((3, 32, 32), np.uint8)
    for label, (row, column) in enumerate(((6, 6), (6, 20), (20, 6), (20, 20))[:structures], start=1):
        masks[1:, row : row + 6, column : column + 6] = label
    images = (rng.normal(40, 30, masks.shape) + 60 * (masks > 0)).astype(np.int16)
    images[:, 0, 0], images[:, 0, 1] = -150, 400
    stored = []
    for kind, array in (("images", images), ("masks", masks)):
        buffer = io.BytesIO()
        np.save(buffer, array)
        stored.append(buffer.getvalue())
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / f"{patient}.npy").write_bytes(buffer.getvalue())
    return Case(
        id=patient,
        source=source,
        patient=patient,
        modality=modality,
        unit=unit,
        slices=3,
        shape=(32, 32),
        slope=1.0,
        intercept=0.0,
        value_range=(-150.0, 400.0),
        slice_index=(0, 1, 2),
        foreground=tuple(int(np.count_nonzero(mask)) for mask in masks),
        fingerprint=hashlib.sha256(b"".join(stored)).hexdigest(),
    )
