"""Turn public layouts into the project's dataset: lossless, resumable, with a fingerprint of what was stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import GANSegmentationError
from ..volumes.lock import locked
from .dataset import Case, Dataset
from .importers import CaseSource, Source, cases_of, patients_by_alias
from .processes import Died, in_processes
from .storing import imported_or_stored, sweep

Report = Callable[[int, int, str], None]
LeftOut = Callable[[str, GANSegmentationError], None]

LOCK = ".prepare.lock"

_MOST_LISTED = 5


@dataclass(frozen=True)
class _Task:
    layout: str
    source: CaseSource
    output: Path


def prepare(
    sources: Sequence[tuple[str, Path] | Source],
    output: Path,
    *,
    labels: Mapping[int, str],
    msd_to_lits: Mapping[str, str] | None = None,
    report: Report | None = None,
    workers: int = 1,
    left_out: LeftOut | None = None,
) -> Dataset:
    """Import all cases of `sources` (layout, folder, options) into the dataset folder `output`.

    Each case is stored by itself, atomically; a case that is already there is kept unless its source files, the
    options or its stored arrays have changed since, so an interrupted or killed run goes on where it stopped. A case
    that cannot be imported does not keep the others from it. The manifest is written last.

    Parameters
    ----------
    labels:
        What the label values mean, e.g. ``{1: "Liver"}``.
    msd_to_lits:
        Which MSD cases are LiTS patients (`importers.same_patients`); they get the same patient name.
    report:
        Called as ``report(done, total, case name)`` before each case.
    workers:
        Processes that read cases; each holds one case in memory. The dataset is the same for any number.
    left_out:
        Called as ``left_out(case name, error)`` for a case that cannot be imported, and the dataset goes without it.
        None: any such case is an error in the end, and there is no dataset.

    Raises
    ------
    GANSegmentationError
        As the importers for a single bad case, ``bad_cases`` for several; ``duplicate_case`` if two sources give the
        same case name; ``folder_in_use`` if the folder holds a dataset of other sources, or another run writes into
        it; ``write_failed``.
    """
    given = [Source(*source) for source in sources]
    tasks = [_Task(source.layout, case, output) for source in given for case in cases_of(source)]
    twice = sorted(name for name, count in Counter(task.source.name for task in tasks).items() if count > 1)
    if twice:
        raise GANSegmentationError(
            "duplicate_case",
            f"These cases are given twice: {', '.join(twice)}.",
            cause="Two sources hold the same folder names.",
            action="Give each source once.",
        )
    _require_own(output, {source.layout for source in given}, {task.source.name for task in tasks})
    _make(output)
    with locked(output / LOCK, lambda holder: _in_use(output, holder), needed=False):
        sweep(output)
        cases: list[Case] = []
        bad: list[tuple[str, GANSegmentationError]] = []
        for task, result in _results(tasks, workers, report):
            if isinstance(result, Case):
                cases.append(result)
            else:
                bad.append((task.source.name, result))
        assert len(cases) + len(bad) == len(tasks), "a case was lost"
        bad.sort(key=lambda item: item[0])
        if bad and (left_out is None or not cases):
            raise _bad_cases(bad, len(tasks))
        for name, error in bad:
            assert left_out is not None
            left_out(name, error)
        patients = patients_by_alias({case.id: case.patient for case in cases}, msd_to_lits or {})
        named = sorted((replace(case, patient=patients[case.id]) for case in cases), key=lambda case: case.id)
        dataset = Dataset(output, tuple(named), dict(labels))
        dataset.write_manifest()
    return dataset


def _results(
    tasks: Sequence[_Task], workers: int, report: Report | None
) -> Iterator[tuple[_Task, Case | GANSegmentationError]]:
    """What became of each task, in the order in which they end."""
    done = 0

    def begun(index: int) -> None:
        if report is not None:
            report(done, len(tasks), tasks[index].source.name)

    if workers <= 1 or len(tasks) == 1:
        for index, task in enumerate(tasks):
            begun(index)
            yield task, _result(task)
            done += 1
        return
    with closing(in_processes(_result, tasks, workers, begun=begun)) as results:
        for index, result in results:
            done += 1
            yield tasks[index], _died(tasks[index], result) if isinstance(result, Died) else result


def _result(task: _Task) -> Case | GANSegmentationError:
    """The case, or why it cannot be imported; a disk that refuses is no fault of the case."""
    try:
        return imported_or_stored(task.source, task.layout, task.output)
    except GANSegmentationError as error:
        if error.code == "write_failed":
            raise
        return error
    except Exception as error:  # noqa: BLE001 - one case must not take the others with it
        return GANSegmentationError(
            "unreadable_case",
            f"{task.source.name} ({task.source.origin}) cannot be imported: {type(error).__name__}: {error}.",
            cause="A file is damaged in a way that was not foreseen, or there is not enough memory.",
            action="Check its files.",
            details=repr(error),
        )


def _died(task: _Task, end: Died) -> GANSegmentationError:
    return GANSegmentationError(
        "unreadable_case",
        f"{task.source.name} ({task.source.origin}) cannot be imported: its process died ({end.how}).",
        cause="The memory was not enough for the case, or a library crashed on its files.",
        action="Use fewer workers, or check its files.",
    )


def _bad_cases(bad: Sequence[tuple[str, GANSegmentationError]], total: int) -> GANSegmentationError:
    if len(bad) == 1:
        return bad[0][1]
    listed = "\n".join(f"  {name}: {error.message}" for name, error in bad[:_MOST_LISTED])
    more = f"\n  and {len(bad) - _MOST_LISTED} more" if len(bad) > _MOST_LISTED else ""
    return GANSegmentationError(
        "bad_cases",
        f"{len(bad)} of {total} cases cannot be imported:\n{listed}{more}\n",
        cause="The files are damaged or belong to another layout.",
        action="Mend or remove these and give the command again, which keeps what is done; or leave them out.",
        details="\n".join(f"{name}: {error}" for name, error in bad),
    )


def _make(output: Path) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GANSegmentationError(
            "write_failed",
            f"The folder {output} cannot be made: {error.strerror or error}.",
            action="Choose another place.",
            details=repr(error),
        ) from error


def _in_use(output: Path, holder: str) -> GANSegmentationError:
    return GANSegmentationError(
        "folder_in_use",
        f"Another run is preparing a dataset in {output} ({holder}).",
        action="Wait for it, or choose another folder.",
    )


def _require_own(output: Path, layouts: AbstractSet[str], names: AbstractSet[str]) -> None:
    """Refuse a folder whose manifest names cases that these sources do not give: they would be dropped from it.

    A case may be missing from a source that still gives others of those that are there: somebody has removed it.
    """
    try:
        there = Dataset.open(output).cases
    except GANSegmentationError:
        return  # nothing there, or nothing that could be lost: the cure for a broken manifest is to prepare again
    repeated = {case.source for case in there if case.id in names} & layouts
    others = [case for case in there if case.id not in names and case.source not in repeated]
    if others:
        listed = ", ".join(sorted({case.source for case in others}))
        raise GANSegmentationError(
            "folder_in_use",
            f"{output} holds {len(others)} prepared cases of other sources ({listed}; {others[0].id} and so on).",
            cause="Another dataset was prepared in this folder, and only what is given now would be left of it.",
            action="Give all sources again with the new ones, or choose another folder.",
        )
