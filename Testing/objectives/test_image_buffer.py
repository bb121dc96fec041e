"""The memory of generated samples: what it shows, keeps, forgets, and remembers after a restart."""

from __future__ import annotations

import io

import pytest
import torch

from GANSegmentationLib.objectives.image_buffer import ImageBuffer


def numbered(*numbers: int) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float32).view(-1, 1, 1, 1).expand(-1, 1, 2, 2)


def test_while_there_is_room_new_samples_are_shown_and_kept():
    buffer = ImageBuffer(5)
    for first in (0, 2):
        torch.testing.assert_close(buffer.exchange(numbered(first, first + 1)), numbered(first, first + 1))
    assert len(buffer) == 4
    torch.testing.assert_close(buffer.state_dict()["kept"], numbered(0, 1, 2, 3))


def test_a_full_memory_shows_an_old_sample_in_half_of_the_cases_and_forgets_it():
    buffer, capacity = ImageBuffer(10), 10
    seen: list[int] = []
    for number in range(2000):
        seen += buffer.exchange(numbered(number)).flatten()[:1].int().tolist()
    assert len(buffer) == capacity
    new = sum(shown == number for number, shown in enumerate(seen[capacity:], start=capacity))
    assert new / (2000 - capacity) == pytest.approx(0.5, abs=0.04)
    # What was shown while there was room may come once more; after that, everything at most once.
    later = seen[capacity:]
    assert len(set(later)) == len(later)
    ages = [number - shown for number, shown in enumerate(seen) if shown != number]
    # The chance to leave is 1/20 a sample: kept ones wait 20 samples on average.
    assert sum(ages) / len(ages) == pytest.approx(20, rel=0.2)


def test_kept_samples_have_no_gradient_and_do_not_change_with_their_origin():
    buffer, made = ImageBuffer(2), torch.ones(1, 1, 2, 2, requires_grad=True)
    shown = buffer.exchange(2 * made)
    assert not shown.requires_grad
    source = torch.full((1, 1, 2, 2), 3.0)
    buffer.exchange(source)
    source.zero_()
    assert buffer.state_dict()["kept"][1].unique().item() == 3


def test_without_room_everything_is_shown_as_it_comes():
    buffer = ImageBuffer(0)
    for number in range(5):
        torch.testing.assert_close(buffer.exchange(numbered(number)), numbered(number))
    assert len(buffer) == 0 and buffer.state_dict() == {}


def test_samples_of_a_failed_step_are_not_kept():
    buffer = ImageBuffer(3)
    broken = torch.tensor([1.0, float("nan")]).view(2, 1, 1, 1)
    assert buffer.exchange(broken).isnan().any()
    assert len(buffer) == 0


def test_half_precision_is_kept_as_float32():
    buffer = ImageBuffer(2)
    assert buffer.exchange(numbered(1).bfloat16()).dtype == torch.float32
    assert buffer.state_dict()["kept"].dtype == torch.float32


def test_a_restored_memory_goes_the_same_way():
    def run(buffer: ImageBuffer, numbers: range) -> list[torch.Tensor]:
        return [buffer.exchange(numbered(number)) for number in numbers]

    buffer = ImageBuffer(4)
    run(buffer, range(20))
    file = io.BytesIO()
    torch.save({"buffer": buffer.state_dict(), "random": torch.get_rng_state()}, file)
    expected = run(buffer, range(20, 60))
    file.seek(0)
    state = torch.load(file, weights_only=True)
    again = ImageBuffer(4)
    again.load_state_dict(state["buffer"])
    torch.set_rng_state(state["random"])
    for one, two in zip(expected, run(again, range(20, 60)), strict=True):
        assert torch.equal(one, two)


def test_what_was_saved_does_not_change_as_the_memory_goes_on():
    buffer = ImageBuffer(1)
    buffer.exchange(numbered(1))
    state = buffer.state_dict()
    for number in range(2, 40):
        buffer.exchange(numbered(number))
    assert state["kept"].unique().item() == 1
    assert buffer.state_dict()["kept"].unique().item() != 1


def test_an_empty_state_empties_and_a_smaller_memory_takes_what_fits():
    buffer = ImageBuffer(4)
    buffer.exchange(numbered(1, 2, 3, 4))
    smaller = ImageBuffer(2)
    smaller.load_state_dict(buffer.state_dict())
    assert len(smaller) == 2
    smaller.load_state_dict({})
    assert len(smaller) == 0
