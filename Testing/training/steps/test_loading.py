"""The order of slices over processes, and the time a step waits for them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.datasets.slices import GroupSampler, SampleGroup, SliceDataset, SliceKey
from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.slicing import SliceSpec, Window
from GANSegmentationLib.training import Preset, RunOptions, Trainer
from GANSegmentationLib.training.steps.loading import Feed, StepBatches, check_parts, make_loader
from Testing.training.conftest import tiny_preset

CPU = torch.device("cpu")


def _order(dataset: Dataset, samples: int = 24) -> GroupSampler:
    return GroupSampler(dataset, [SampleGroup()], samples=samples, seed=3, streams={"other": [SampleGroup()]})


def _batches(dataset: Dataset, **where: Any) -> list[list[SliceKey]]:
    return list(StepBatches(_order(dataset), 8, **where))


@pytest.mark.parametrize("count", [2, 4])
def test_processes_share_the_very_steps_of_one(dataset: Dataset, count: int) -> None:
    alone = _batches(dataset)
    shares = [_batches(dataset, rank=rank, count=count) for rank in range(count)]
    assert len(alone) == 3 and all(len(share) == 3 for share in shares)
    for step, batch in enumerate(alone):
        assert [key for share in shares for key in share[step]] == batch
        assert {len(share[step]) for share in shares} == {8 // count}


def test_the_order_is_the_sampler_s_with_its_streams(dataset: Dataset) -> None:
    order = _order(dataset)
    assert [key for batch in StepBatches(order, 8) for key in batch] == list(order)
    assert all(key.others for key in order)
    assert len(StepBatches(order, 8)) == 3


@pytest.mark.parametrize("where", [{"count": 3}, {"count": 2, "accumulate": 8}, {"accumulate": 3}])
def test_a_batch_that_cannot_be_shared_evenly_is_refused(dataset: Dataset, where: dict[str, int]) -> None:
    with pytest.raises(GANSegmentationError, match="batch_size is 8") as caught:
        _batches(dataset, **where)
    assert caught.value.code == "invalid_preset"


def test_a_loader_gives_the_slices_of_its_share(dataset: Dataset) -> None:
    slices = SliceDataset(dataset, SliceSpec("axial", 1, 64, 8, Window(0, 160)))
    order = _order(dataset)
    whole, half = (make_loader(slices, StepBatches(order, 8, rank=1, count=n), workers=0, device=CPU) for n in (2, 2))
    first = next(iter(Feed(half, CPU)))
    assert first["image"].shape == (4, 1, 64, 64) and set(first) >= {"mask", "other/image", "other/mask"}
    assert first["image"].is_contiguous(memory_format=torch.channels_last)
    keys = list(order)[4:8]
    for place, key in enumerate(keys):
        torch.testing.assert_close(first["image"][place], slices[key]["image"])
    assert len(list(Feed(whole, CPU))) == 3


class _Slow(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        time.sleep(0.02)
        return {"image": torch.zeros(1, 2, 2)}

    def __len__(self) -> int:
        return 4


def test_the_time_spent_waiting_is_counted_and_the_step_s_is_not() -> None:
    feed = Feed(DataLoader(_Slow(), batch_size=1), CPU)
    for _ in feed:
        time.sleep(0.05)
    assert 0.08 <= feed.waited < 0.2


def test_parts_of_a_batch_with_masks_now_and_then_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    plain = tiny_preset("supervised") | {"accumulate": 2}
    check_parts(Preset.from_dict(plain), dataset, 2)
    plain["data"] |= {"unlabelled_patients": ["lits_v01"]}
    with pytest.raises(GANSegmentationError, match="4 parts, and the main stream draws") as caught:
        check_parts(Preset.from_dict(plain), dataset, 2)
    assert caught.value.code == "uneven_parts"
    with pytest.raises(GANSegmentationError, match="2 parts"):
        Trainer(Preset.from_dict(plain), dataset, tmp_path, RunOptions(accelerator="cpu"))
    whole = Preset.from_dict(plain | {"accumulate": 1})
    check_parts(whole, dataset, 1)
    with pytest.raises(GANSegmentationError, match="2 parts"):
        check_parts(whole, dataset, 2)


def test_parts_are_fine_where_every_slice_of_a_stream_is_of_one_kind(dataset: Dataset) -> None:
    plain = tiny_preset("supervised") | {"accumulate": 2}
    groups = {
        "labelled": [{"source": "lits_slices", "labelled": True}, {"source": "msd_slices"}],
        "with foreground": [{"foreground": True}],
        "without": [{"labelled": False}],
    }
    plain["data"] |= {"unlabelled_patients": ["lits_v01"], "streams": {"unpaired": [{"labelled": True}]}}
    for members in groups.values():
        plain["data"]["groups"] = members
        check_parts(Preset.from_dict(plain), dataset, 1)
    plain["data"]["streams"] = {"unpaired": [{}]}
    with pytest.raises(GANSegmentationError, match="the stream unpaired draws"):
        check_parts(Preset.from_dict(plain), dataset, 1)
