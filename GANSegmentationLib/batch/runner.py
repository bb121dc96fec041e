"""The run of a batch: every case that is left goes to the engine, and what comes back goes into place and ledger.

The order of steps is what makes it safe to kill at any time: a claim is in the ledger before the case is begun; the
mask is written aside, moved to its place and on the disk before the ledger says done.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import GANSegmentationError
from .cases import Case, FoundCases, find_cases
from .ledger import LEDGER_NAME, Ledger, read_history
from .lock import locked
from .options import DICOM_SEG, BatchOptions
from .outcome import CaseOutcome, failed
from .place import put_in_place, remove_mask
from .plan import Planned, check_settings, plan
from .privacy import Redactor
from .private_folder import KEY_BYTES, PRIVATE_FOLDER, make_private_folder, make_staging, pseudonym_key, sweep
from .redaction import Redaction
from .sheets import settle_sheet
from .summary import BatchSummary
from .task import Answer, Engine, SliceProgress, Task, WorkSettings

EngineMaker = Callable[[BatchOptions, Path], Engine]


@dataclass(frozen=True)
class BatchProgress:
    """Where a batch stands, told whenever a case is settled.

    Parameters
    ----------
    outcome, why:
        The case, and why it was done (`plan.Planned.why`).
    settled, failed, total:
        Cases that are settled, failed ones among them, and all; those of earlier runs count.
    seconds_left:
        By the pace of this run.
    """

    outcome: CaseOutcome
    why: str
    settled: int
    failed: int
    total: int
    seconds_left: float


@dataclass(frozen=True)
class BatchPlan:
    """What a run would do: the cases with the reasons, how many names were replaced, and in how many studies no series
    is as the rule for series says."""

    cases: tuple[Planned, ...]
    renamed: int
    without_series: int = 0


def plan_batch(options: BatchOptions) -> BatchPlan:
    """What `run_batch` would do, without doing or writing anything.

    Where the output folder has no key yet, pseudonyms are those of this call alone.

    Raises
    ------
    GANSegmentationError
        As `run_batch`, before its work; whether a model can be chosen is not asked.
    """
    options.check()
    check_settings(read_history(options.output / LEDGER_NAME).settings, options.settings())
    with contextlib.suppress(FileNotFoundError):
        return _planned(options, (options.output / PRIVATE_FOLDER / "key").read_bytes())[0]
    return _planned(options, secrets.token_bytes(KEY_BYTES))[0]


def run_batch(
    options: BatchOptions,
    *,
    report: Callable[[BatchProgress], None] | None = None,
    started: Callable[[BatchPlan], None] | None = None,
    slices: Callable[[SliceProgress], None] | None = None,
    make_engine: EngineMaker | None = None,
) -> BatchSummary:
    """Segment every case of a folder that is not done yet, and write ledger and summary.

    Parameters
    ----------
    report, started:
        Called for every case that is settled; called once with what is to be done.
    slices:
        Called with the slices of the case in hand, some times a second; by the engine ``local`` only.
    make_engine:
        Makes the engine, given a folder for its own files; None for the one that the options name.

    Raises
    ------
    GANSegmentationError
        ``wrong_use``, ``highdicom_missing``, ``dicom_source_needed`` if masks shall be DICOM and no scan is,
        ``folder_not_found``, ``no_cases``, ``batch_running``, ``batch_settings_differ``, ``damaged_ledger``;
        ``no_model`` and ``modality_unknown`` if not a single case can have a model;
        ``write_failed`` and ``disk_full`` where no mask or ledger can be written; what the engine says no case can be
        done with. What was done until then is done.
    KeyboardInterrupt
        Whoever stopped it; ledger and summary say how far it came.
    """
    options.check()
    settings = options.settings()
    private = make_private_folder(options.output)
    with locked(private / "lock"):
        sweep(private)
        check_settings(read_history(options.output / LEDGER_NAME).settings, settings)
        planned, found = _planned(options, pseudonym_key(private))
        _check_models(options, [each.case for each in planned.cases if each.why])
        run = secrets.token_hex(4)
        staging = make_staging(private, run)
        if started is not None:
            started(planned)
        engine = make_engine(options, staging) if make_engine is not None else _engine(options, staging, slices)
        with Ledger(options.output / LEDGER_NAME, run) as ledger, contextlib.closing(engine):
            batch = _Batch(options, planned.cases, found.redactor, ledger, staging, report)
            return batch.run(engine, settings)


class _Batch:
    """One run: who was given out, and what is settled."""

    def __init__(
        self,
        options: BatchOptions,
        cases: tuple[Planned, ...],
        redactor: Redactor,
        ledger: Ledger,
        staging: Path,
        report: Callable[[BatchProgress], None] | None,
    ) -> None:
        self._options = options
        self._redactor = redactor
        self._redaction = Redaction(redactor, options.input, options.output, references=options.references)
        self._ledger = ledger
        self._staging = staging
        self._report = report
        self._planned = {each.case.name: each for each in cases}
        self._number = {name: str(number) for number, name in enumerate(self._planned)}
        self._outcomes = {name: _before(each) for name, each in self._planned.items()}
        self._begin = time.monotonic()
        self._first: float | None = None
        self._answered = 0
        self._to_do = sum(bool(each.why) for each in cases)

    def run(self, engine: Engine, settings: Mapping[str, Any]) -> BatchSummary:
        """Do all that is to be done; the ledger and the summary tell how it ended, however it does."""
        self._ledger.write("begin", version=__version__, settings=settings, cases=len(self._planned))
        try:
            self._work(engine)
        except BaseException as error:
            why = error.code if isinstance(error, GANSegmentationError) else type(error).__name__
            with contextlib.suppress(GANSegmentationError):  # the disk may be full: the first error counts
                self._ledger.write("stopped", why=why)
                self._summary(settings).write(self._options.output)
            raise
        finally:
            engine.close()  # before its folder goes
            shutil.rmtree(self._staging, ignore_errors=True)
        summary = self._summary(settings)
        summary.write(self._options.output)
        counts = {status: len(summary.of_status(status)) for status in ("done", "failed")}
        self._ledger.write("end", **counts)
        return summary

    def _work(self, engine: Engine) -> None:
        if not self._to_do:  # asking an engine for room starts it
            return
        tasks = self._tasks()
        given = 0
        while True:
            while engine.room > 0 and (task := next(tasks, None)) is not None:
                engine.submit(task)
                given += 1
            if given == 0:
                return
            answer = engine.answer()
            given -= 1
            self._settle(answer)

    def _tasks(self) -> Iterator[Task]:
        """A task for every case to be done, claimed as it is taken; those that cannot even be tried settle here."""
        for planned in self._planned.values():
            case = planned.case
            if not planned.why:
                continue
            problem = case.problem or self._in_the_way(planned)
            if problem is not None:
                self._settle(Answer(failed(case.name, problem)))
            else:
                self._ledger.write("claim", case=case.name, fingerprint=planned.fingerprint, why=planned.why)
                yield Task.of(case, self._staged(case.name))

    def _in_the_way(self, planned: Planned) -> GANSegmentationError | None:
        target = self._target(planned.case.name)
        try:
            if planned.owns_mask or not target.exists():
                return None
        except OSError as error:
            return GANSegmentationError(
                "file_error",
                f"The mask cannot have the name of its scan: {error.strerror}.",
                cause="The name is too long for the output's drive once the ending of the mask is added.",
                action="Rename the scan and give the command again with --retry-failed, or use --names pseudonyms.",
            )
        return GANSegmentationError(
            "file_exists",
            f"There is a {target.name} in the place of the mask, and it is not of this batch.",
            action="Move it away and give the command again with --retry-failed, or choose another output folder.",
        )

    def _settle(self, answer: Answer) -> None:
        """Put the mask in its place, write the outcome down, tell of it."""
        if answer.outcome.error is not None and answer.outcome.error["code"] == "write_failed":
            # The staging folder is one for all: what could not be written there is not the fault of the case.
            raise GANSegmentationError.from_dict(self._redactor.clean_json(answer.outcome.error))
        outcome = self._placed(answer.outcome)
        settle_sheet(self._staged(outcome.case), self._options.output, outcome.case, outcome.status)
        planned = self._planned[outcome.case]
        if outcome.status == "failed" and planned.owns_mask:
            remove_mask(self._target(outcome.case))
        outcome = self._redaction.of(outcome, planned.case)
        self._ledger.write(
            outcome.status,
            case=outcome.case,
            fingerprint=planned.fingerprint,
            content=answer.content,
            outcome=outcome.to_dict(),
        )
        self._outcomes[outcome.case] = outcome
        self._answered += 1
        if self._report is not None:
            self._report(self._progress(outcome, planned.why))

    def _placed(self, outcome: CaseOutcome) -> CaseOutcome:
        if outcome.status != "done":
            return outcome
        target = self._target(outcome.case)
        try:
            put_in_place(self._staged(outcome.case), target)
        except GANSegmentationError as error:
            if error.code == "disk_full":
                raise
            return failed(outcome.case, error, outcome.seconds)
        place = target.relative_to(self._options.output).as_posix()
        return replace(outcome, output=place, output_bytes=target.stat().st_size)

    def _target(self, case: str) -> Path:
        return self._options.output / f"{case}{self._options.suffix}"

    def _staged(self, case: str) -> Path:
        return self._staging / self._number[case] / self._target(case).name

    def _progress(self, outcome: CaseOutcome, why: str) -> BatchProgress:
        states = [each.status for each in self._outcomes.values()]
        # The first case also pays for loading the model: once there is a second one, the pace is that of the others.
        self._first = self._first or time.monotonic()
        since, count = (self._first, self._answered - 1) if self._answered > 1 else (self._begin, 1)
        pace = (time.monotonic() - since) / count
        return BatchProgress(
            outcome=outcome,
            why=why,
            settled=len(states) - states.count("pending"),
            failed=states.count("failed"),
            total=len(states),
            seconds_left=pace * (self._to_do - self._answered),
        )

    def _summary(self, settings: Mapping[str, Any]) -> BatchSummary:
        return BatchSummary(settings, tuple(self._outcomes.values()), time.monotonic() - self._begin)


def _before(planned: Planned) -> CaseOutcome:
    """How a case stands before the run: settled, or to be done."""
    if planned.why or planned.outcome is None:
        return CaseOutcome(planned.case.name, "pending")
    return planned.outcome


def _planned(options: BatchOptions, key: bytes) -> tuple[BatchPlan, FoundCases]:
    found = find_cases(
        options.input,
        references=options.references,
        wanted=options.wanted,
        names=options.names,
        key=key,
        channels=options.inputs(),
        skip=[options.output],
    )
    cases = _with_sources(found.cases) if options.format == DICOM_SEG else found.cases
    history = read_history(options.output / LEDGER_NAME)
    planned = plan(cases, history, options.output, retry_failed=options.retry_failed)
    return BatchPlan(tuple(planned), found.renamed, found.without_series), found


_SAYS_NO_MODALITY = (".nii", ".nii.gz")


def _check_models(options: BatchOptions, cases: Sequence[Case]) -> None:
    """Refuse a batch of which no case can have a model; where some can, the others fail alone."""
    if options.package is not None or options.engine == "ray":  # a cluster has models of its own
        return
    if any(not case.modality and not case.path.name.lower().endswith(_SAYS_NO_MODALITY) for case in cases):
        return  # NRRD and MetaImage may say it in their headers, which are read with the scan
    from ..models import ModelLibrary

    library, refusal = ModelLibrary(user=options.models), None
    for modality in {case.modality or None for case in cases if case.problem is None}:
        try:
            library.choose(modality, any_modality=options.force)
        except GANSegmentationError as error:
            refusal = error
        else:
            return
    if refusal is not None:
        raise refusal


def _with_sources(cases: Sequence[Case]) -> tuple[Case, ...]:
    """The cases; those that are no DICOM with the problem that their masks cannot be either."""
    problem = GANSegmentationError(
        "dicom_source_needed",
        "The mask cannot be written as DICOM SEG, because the scan is not DICOM.",
        cause="A DICOM SEG names the patient, the study and the images that it belongs to.",
        action="Choose another format and output folder for it, such as seg.nrrd.",
    )
    lacking = [case.series_uid is None and case.problem is None for case in cases]
    if all(lacking):
        raise problem
    return tuple(replace(case, problem=problem) if lacks else case for case, lacks in zip(cases, lacking, strict=True))


def _engine(options: BatchOptions, folder: Path, slices: Callable[[SliceProgress], None] | None) -> Engine:
    settings = WorkSettings(
        package="" if options.package is None else str(options.package),
        models="" if options.models is None else str(options.models),
        domain=options.domain,
        device=options.device,
        force=options.force,
        correct_tilt=options.correct_tilt,
        surface_tolerance_mm=options.surface_tolerance_mm,
    )
    if options.engine == "ray":
        from .ray_engine import RayEngine

        return RayEngine(settings, folder, options)
    from .local import LocalEngine

    return LocalEngine(settings, folder, time_limit=options.time_limit, progress=slices)
