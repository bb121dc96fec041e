"""A process of a run: where it computes, in which precision, and how it prepares a network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from GANSegmentationLib.errors import GANSegmentationError
from GANSegmentationLib.training.steps.processes import Processes, choose_precision, has_batch_norm

CPU = torch.device("cpu")


def test_numbers_of_devices_that_contradict_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for device, devices in ((CPU, 0), (torch.device("mps"), 2), (torch.device("cuda:1"), 2)):
        with pytest.raises(GANSegmentationError) as caught:
            Processes(device, devices)
        assert caught.value.code == "invalid_devices"
    for name, value in {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "4"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GANSegmentationError, match="torchrun has started 4") as caught:
        Processes(CPU, 3)
    assert caught.value.code == "invalid_devices"


def test_slurm_s_numbers_count_where_it_has_started_the_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"SLURM_NTASKS": "6", "SLURM_NNODES": "2", "SLURM_JOB_NAME": "train"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(GANSegmentationError, match="SLURM has started 3"):
        Processes(CPU, 2)


def test_alone_there_is_nobody_to_agree_with() -> None:
    alone = Processes(CPU)
    assert (alone.rank, alone.count, alone.is_first, alone.synchronises) == (0, 1, True, False)
    assert alone.agree("word") == "word" and alone.gather(3) == [3]
    values = torch.tensor([1.0, 3.0])
    assert torch.equal(alone.average(values), torch.tensor([1.0, 3.0]))
    parameter = torch.nn.Parameter(torch.zeros(2))
    assert float(alone.average_gradients([parameter], torch.tensor(2.0))) == 2.0 and parameter.grad is None
    alone.barrier()


def test_precision_holds_inside_of_autocast_alone() -> None:
    processes = Processes(CPU)
    layer, image = nn.Conv2d(1, 1, 3), torch.zeros(1, 1, 8, 8)
    for word, kind in (("bf16-mixed", torch.bfloat16), ("32-true", torch.float32)):
        processes.use_precision(word)
        with processes.autocast():
            assert layer(image).dtype is kind
        assert layer(image).dtype is torch.float32


def test_a_precision_that_is_none_is_refused() -> None:
    assert choose_precision("32-true", CPU) == "32-true"
    assert choose_precision("auto", CPU) in ("32-true", "bf16-mixed")
    with pytest.raises(GANSegmentationError, match="16-true") as caught:
        choose_precision("16-true", CPU)
    assert caught.value.code == "invalid_preset"


class _Decoder(nn.Module):
    """Batch normalisation whose output is stacked with a skip connection."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Conv2d(6, 1, 3, padding=1)

    def forward(self, image: Tensor) -> Tensor:
        stacked = torch.cat((self.norm(self.convolution(image)), image), dim=1)
        scores: Tensor = self.head(F.relu(stacked))
        return scores


def test_a_prepared_network_lies_in_channels_last_and_so_do_its_gradients() -> None:
    torch.manual_seed(0)
    plain = _Decoder()
    prepared = Processes(CPU).prepare(_Decoder())
    prepared.load_state_dict(plain.state_dict())
    formats: list[bool] = []

    def watch(module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> None:
        # Hooks of one tensor run in the order they came: this one sees what batch normalisation is given.
        output.register_hook(lambda gradient: formats.append(gradient.is_contiguous(memory_format=torch.channels_last)))

    prepared.norm.register_forward_hook(watch)  # type: ignore[union-attr, operator]
    image = torch.rand(3, 2, 8, 8)
    for network, given in ((plain, image), (prepared, image.to(memory_format=torch.channels_last))):
        network(given).square().sum().backward()
    assert formats == [True]
    for one, two in zip(plain.parameters(), prepared.parameters(), strict=True):
        assert two.grad is not None and two.grad.stride() == two.stride()
        torch.testing.assert_close(one.grad, two.grad, rtol=1e-3, atol=1e-4)


def test_networks_whose_samples_mix_are_known() -> None:
    assert has_batch_norm(_Decoder()) and not has_batch_norm(nn.Sequential(nn.GroupNorm(1, 2), nn.InstanceNorm2d(2)))
