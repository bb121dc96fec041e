"""Whether training goes well, in words: what can be told from the log of a run, and what to do about it.

Everything here is a pure function of the rows of the log, so it is the same in a run that was stopped and resumed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .score import DICE, Score

Row = Mapping[str, float]

_EPOCHS = 3
"""For how many epochs in a row something has to hold before it is said: one is chance."""

_WINNING, _GUESSING = 0.98, 0.55
_NO_GAP, _OF_LARGEST_GAP = 1e-3, 0.01
_EXPLODED, _TIMES_USUAL = 10.0, 20.0
_DROWNING, _UNHEARD = 0.9, 1e-3
_NO_GRADIENT = 1e-8
_FALLEN, _FALLEN_SHARE = 0.05, 0.1
_MISSED = 0.5
_STARVING, _LONG_EPOCH = 0.1, 10.0


@dataclass(frozen=True)
class Symptom:
    """Something that is wrong with a run, or may be.

    Parameters
    ----------
    code:
        For programs and the log: ``"winning_discriminator"``; with ``:phase`` where a run may have it twice.
    text:
        What is seen, in a sentence.
    advice:
        What to do about it.
    """

    code: str
    text: str
    advice: str


@dataclass(frozen=True)
class Episode:
    """A symptom with the epochs (from 1) between which it was seen, both included."""

    symptom: Symptom
    first: int
    last: int


def examine(history: Sequence[Row], score: Score = DICE) -> list[Symptom]:
    """What is wrong after the last row of `history`.

    Parameters
    ----------
    history:
        A row an epoch, as the run's log has them: ``<phase>/accuracy`` and ``<phase>/gap`` of discriminators and
        critics, ``<phase>/adversarial_share``, ``<role>/gradient_norm``, ``skipped_steps``, ``missed_cases``,
        ``loader_share``, ``seconds`` and the validation score. What is not there is not judged.
    score:
        Which score validates the run.
    """
    if not history:
        return []
    found = [_judge_score(history, score), _missed(history), _skipped(history), _starving(history)]
    for column in history[-1]:
        who, _, measure = column.partition("/")
        if measure in _BY_MEASURE:
            found.append(_BY_MEASURE[measure](who, _last(history, column), history))
    return [symptom for symptom in found if symptom is not None]


def episodes(history: Sequence[Row], score: Score = DICE) -> list[Episode]:
    """Every symptom of a run with the epochs in which it was seen, in the order of appearance.

    An episode tells the symptom as it was when last seen. One that ends and comes back makes two.
    """
    done: list[Episode] = []
    going: dict[str, Episode] = {}
    for epoch in range(1, len(history) + 1):
        now = {symptom.code: symptom for symptom in examine(history[:epoch], score)}
        done += [going.pop(code) for code in list(going) if code not in now]
        for code, symptom in now.items():
            going[code] = Episode(symptom, going[code].first if code in going else epoch, epoch)
    return sorted([*done, *going.values()], key=lambda episode: (episode.first, episode.last))


def _last(history: Sequence[Row], column: str) -> list[float]:
    """The finite values of a column so far."""
    values = (row.get(column, math.nan) for row in history)
    return [value for value in values if math.isfinite(value)]


def _lately(values: Sequence[float], holds: Callable[[float], bool], epochs: int = _EPOCHS) -> bool:
    return len(values) >= epochs and all(holds(value) for value in values[-epochs:])


def _judge_accuracy(who: str, values: Sequence[float], history: Sequence[Row]) -> Symptom | None:
    if _lately(values, lambda value: value > _WINNING):
        return Symptom(
            f"winning_discriminator:{who}",
            f"The {who} sorts {values[-1]:.1%} rightly for {_EPOCHS} epochs: it is winning, and a player that never "
            "fools it learns little from it.",
            f"Lower its learning rate or the adversarial weight, or make its work harder: instance noise, smoothed "
            f"references, an update in every other step only. Often seen where the {who} can tell hard references from "
            "soft masks at a glance.",
        )
    if _lately(values, lambda value: value < _GUESSING):
        return Symptom(
            f"guessing_discriminator:{who}",
            f"The {who} sorts {values[-1]:.1%} rightly for {_EPOCHS} epochs, which is guessing: what it tells the "
            "generator is noise.",
            "If the masks look like references, this is the end that was hoped for. If they do not, raise its learning "
            "rate, lower the noise on what it sees, or give it more width.",
        )
    return None


def _judge_gap(who: str, values: Sequence[float], history: Sequence[Row]) -> Symptom | None:
    largest = max((abs(value) for value in values), default=0.0)
    if _lately(values, lambda value: value < max(_NO_GAP, _OF_LARGEST_GAP * largest)):
        return Symptom(
            f"vanished_gap:{who}",
            f"The {who} scores references and fakes alike for {_EPOCHS} epochs (gap {values[-1]:.2g}): it separates "
            "nothing, so the generator follows noise.",
            "Raise the critic's learning rate or its steps for each of the generator's; a clip of its weights may be "
            "too tight, a gradient penalty is the safer bound.",
        )
    usual = statistics.median(abs(value) for value in values[:-1]) if len(values) > _EPOCHS else math.inf
    if values and abs(values[-1]) > max(_EXPLODED, _TIMES_USUAL * usual):
        return Symptom(
            f"exploding_gap:{who}",
            f"The {who}'s gap has grown to {values[-1]:.3g}, from usually {usual:.3g}: nothing bounds its slope.",
            "Use the gradient penalty or raise its weight, lower the critic's learning rate, or set clip_norm.",
        )
    return None


def _judge_share(who: str, values: Sequence[float], history: Sequence[Row]) -> Symptom | None:
    if _lately(values, lambda value: value > _DROWNING):
        return Symptom(
            f"drowning_adversary:{who}",
            f"{values[-1]:.0%} of the {who}'s gradient comes through its adversary for {_EPOCHS} epochs: the losses "
            "that know the reference are drowned.",
            "Lower the adversarial weight, or begin with a longer warm-up without it.",
        )
    if _lately(values, lambda value: 0 < value < _UNHEARD):
        return Symptom(
            f"unheard_adversary:{who}",
            f"Only {values[-1]:.2%} of the {who}'s gradient comes through its adversary for {_EPOCHS} epochs: the run "
            "costs what a GAN costs and learns what the other losses teach.",
            "Raise the adversarial weight, or train without the adversary.",
        )
    return None


def _judge_gradient(who: str, values: Sequence[float], history: Sequence[Row]) -> Symptom | None:
    if not _lately(values, lambda value: value < _NO_GRADIENT):
        return None
    return Symptom(
        f"vanishing_gradient:{who}",
        f"The gradient of the {who} has a norm of {values[-1]:.1g} for {_EPOCHS} epochs: it learns nothing.",
        "Its loss is saturated, or does not reach it: lower its learning rate and start anew, or look at its weights.",
    )


_BY_MEASURE: Mapping[str, Callable[[str, Sequence[float], Sequence[Row]], Symptom | None]] = {
    "accuracy": _judge_accuracy,
    "gap": _judge_gap,
    "adversarial_share": _judge_share,
    "gradient_norm": _judge_gradient,
}


def _judge_score(history: Sequence[Row], score: Score) -> Symptom | None:
    values = _last(history, score.column)
    if len(values) <= _EPOCHS:
        return None
    best, now = max(values), statistics.fmean(values[-2:])
    if best - now <= max(_FALLEN, _FALLEN_SHARE * abs(best)):
        return None
    return Symptom(
        "fallen_score",
        f"The validation {score.name} has fallen to {now:.3f}, from {best:.3f} in epoch "
        f"{next(int(row['epoch']) for row in history if row.get(score.column) == best)}.",
        "The best weights are kept. Lower the learning rates or let them fall (schedule), raise ema_decay, or set "
        "early_stop; in a GAN it is often the adversary that has taken over.",
    )


def _missed(history: Sequence[Row]) -> Symptom | None:
    values = _last(history, "missed_cases")
    if not _lately(values, lambda value: value > _MISSED):
        return None
    return Symptom(
        "empty_masks",
        f"The generator finds nothing right in {values[-1]:.0%} of the validation cases for {_EPOCHS} epochs: its "
        "masks are empty or elsewhere.",
        "Small targets drown in background: draw more slices with foreground (data.groups), weigh Dice more than "
        "cross-entropy, and see that the intensity window shows the target.",
    )


def _skipped(history: Sequence[Row]) -> Symptom | None:
    skipped = history[-1].get("skipped_steps", 0.0)
    if not skipped > 0:
        return None
    return Symptom(
        "skipped_steps",
        f"{skipped:.0f} update{'s were' if skipped != 1 else ' was'} left out in the last epoch because a loss or "
        "gradient was not finite.",
        "A few are harmless. If they go on, lower the learning rate, set clip_norm, or train in 32-true precision.",
    )


def _starving(history: Sequence[Row]) -> Symptom | None:
    # In a short epoch the first batch, which nothing can hide, is a large part.
    values = _last([row for row in history if row.get("seconds", math.inf) >= _LONG_EPOCH], "loader_share")
    if not _lately(values, lambda value: value > _STARVING):
        return None
    return Symptom(
        "waiting_for_data",
        f"{values[-1]:.0%} of the training time was spent waiting for slices, for {_EPOCHS} epochs.",
        "Load with more processes (--workers), or put the prepared dataset on a faster disk.",
    )


def notes(history: Sequence[Row], score: Score = DICE) -> Iterator[str]:
    """For each row the codes of what was wrong after it, for a column of the log."""
    for epoch in range(1, len(history) + 1):
        yield " ".join(symptom.code for symptom in examine(history[:epoch], score))
