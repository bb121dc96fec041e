"""``ganseg batch``: a folder of scans goes in, a folder of masks in the same places comes out."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, get_args

from .terminal import Subparsers, number, paragraph, print_json, print_table, printable, warn

if TYPE_CHECKING:
    from ..batch import BatchOptions, BatchPlan, BatchProgress, BatchSummary, CaseOutcome

_WHY = {
    "changed": "files have changed since",
    "interrupted": "begun before, not ended",
    "retry": "failed before",
    "output_missing": "its mask is not there any more",
}


def add_parser(subparsers: Subparsers) -> None:
    """Declare the arguments."""
    from ..batch.naming import Names
    from ..batch.options import FORMATS, EngineName

    parser = subparsers.add_parser(
        "batch",
        description="Segment every scan in a folder and those below it: DICOM series, NRRD, NIfTI and MetaImage files. "
        "Masks lie in the same places below the output folder. The same command goes on where it was stopped, however "
        "that was. Exit codes: 0 all cases are done, 1 it could not go on, 2 wrong use, 3 some cases failed.",
        allow_abbrev=False,
    )
    parser.add_argument("input", type=Path, metavar="FOLDER", help="the folder with the scans")
    parser.add_argument("--output", "-o", required=True, type=Path, metavar="FOLDER", help="where the masks go")
    parser.add_argument("--references", type=Path, metavar="FOLDER", help="references in the same places, to compare")
    parser.add_argument(
        "--model", metavar="ID|PATH", help="a model's id or package (default: for each scan by its modality)"
    )
    parser.add_argument("--format", default="seg.nrrd", choices=tuple(FORMATS), help="of the masks (default: seg.nrrd)")
    parser.add_argument("--domain", metavar="NAME", help="the domain, for models that have several")
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:N or mps")
    parser.add_argument("--force", action="store_true", help="segment even if the model is for another modality")
    parser.add_argument("--tolerance", type=float, metavar="MM", help="of the surface Dice (default: no surface Dice)")
    parser.add_argument(
        "--correct-tilt",
        action="store_true",
        help="resample a CT with a tilted gantry to a regular grid, on which its mask will lie; without it, it fails",
    )
    parser.add_argument(
        "--channel",
        action="append",
        default=[],
        metavar="RULE|PATTERN",
        help="for a model with several inputs, once for each and in their order: which series of a study it is "
        "(modality=MR,description=*t1*) or how its files end (*_t1.nii.gz); default: _0000, _0001 at the end of names",
    )
    choice = parser.add_argument_group("which cases")
    choice.add_argument("--include", action="append", default=[], metavar="PATTERN", help="only paths like this one")
    choice.add_argument("--exclude", action="append", default=[], metavar="PATTERN", help="no paths like this one")
    choice.add_argument("--modality", action="append", default=[], help="only DICOM series of this modality")
    choice.add_argument(
        "--series",
        metavar="RULE",
        help="of every DICOM study only the series that fit, such as modality=CT,description=*portal*,most-slices",
    )
    choice.add_argument("--retry-failed", action="store_true", help="do again what failed before")
    choice.add_argument("--dry-run", action="store_true", help="list the cases and do nothing")
    parser.add_argument("--time-limit", type=float, metavar="SECONDS", help="for one case (default: none)")
    parser.add_argument(
        "--names",
        default="checked",
        choices=get_args(Names),
        help="checked (default): names of folders and files with a patient's name, ID or birth date are replaced; "
        "pseudonyms: all are; original: none is, and messages are not redacted either",
    )
    engine = parser.add_argument_group("where")
    engine.add_argument("--engine", default="local", choices=get_args(EngineName), help="this computer, or Ray")
    engine.add_argument("--workers", type=int, metavar="N", help="how many workers on the cluster (default: suitable)")
    engine.add_argument("--address", help="of the Ray cluster (default: one of this computer, for the occasion)")
    parser.add_argument("--json", action="store_true", help="print the outcome as JSON")


def run(args: argparse.Namespace) -> int:
    """Do the batch, and say what came of it."""
    from ..batch import plan_batch, run_batch

    options = _options(args)
    if args.dry_run:
        return _list(plan_batch(options), as_json=args.json)
    with _terminated_as_interrupted(), _progress() as (started, report):
        try:
            summary = run_batch(options, started=started, report=report)
        except KeyboardInterrupt:
            paragraph("\nWhat is done is done; the same command goes on with the rest.")
            raise
    if args.json:
        print_json(summary.to_dict())
    else:
        _print(summary, options)
    return 3 if summary.of_status("failed") else 0


def _options(args: argparse.Namespace) -> BatchOptions:
    from ..batch import BatchOptions, CaseFilter

    options = BatchOptions(
        input=args.input,
        output=args.output,
        references=args.references,
        format=args.format,
        domain=args.domain,
        device=args.device,
        force=args.force,
        surface_tolerance_mm=args.tolerance,
        time_limit=args.time_limit,
        retry_failed=args.retry_failed,
        names=args.names,
        wanted=CaseFilter(
            tuple(args.include), tuple(args.exclude), tuple(each.upper() for each in args.modality), args.series
        ),
        correct_tilt=args.correct_tilt,
        channels=tuple(args.channel),
        engine=args.engine,
        workers=args.workers,
        address=args.address,
        package=None if args.model is None else _package(args.model),
    )
    options.check()
    return options


def _package(wanted: str) -> Path:
    """The package of a model; one that is named by its path is not looked into, for that would import torch here."""
    from .workflow import find_model

    path = Path(wanted)
    named = path.suffix == ".ganseg" and path.exists()
    return path.absolute() if named else find_model(wanted, None).path.absolute()


def _list(plan: BatchPlan, *, as_json: bool) -> int:
    rows = [
        {
            "case": each.case.name,
            "modality": each.case.modality,
            "state": each.why or (each.outcome.status if each.outcome is not None else "done"),
            "files": len(each.case.files),
            "reference": each.case.reference is not None,
            "problem": None if each.case.problem is None else each.case.problem.code,
        }
        for each in plan.cases
    ]
    if as_json:
        print_json({"cases": rows})
        return 0
    shown = [
        [
            str(row["case"]),
            str(row["modality"] or "-"),
            str(row["state"]) if row["problem"] is None else f"{row['state']}, will fail [{row['problem']}]",
            "yes" if row["reference"] else "-",
            str(row["files"]),
        ]
        for row in rows
    ]
    print_table(["case", "modality", "state", "reference", "files"], shown, text_columns=4)
    to_do = sum(bool(each.why) for each in plan.cases)
    print(f"\n{len(rows)} cases, {to_do} to do. Nothing was written.")
    _say_of_plan(plan)
    return 0


def _print(summary: BatchSummary, options: BatchOptions) -> None:
    from ..batch.report import REPORT_HTML

    structures = summary.structures()
    scored = any(each.scored for each in structures)
    headers = ["structure", "cases", "mean ml", *(["scored", "Dice", "HD95 mm", "ASSD mm", "missed"] if scored else [])]
    rows = []
    for each in structures:
        means = [number(each.means[score], digits) for score, digits in (("dice", 3), ("hd95_mm", 1), ("assd_mm", 2))]
        scores = [str(each.scored), *means, str(each.missed)] if scored else []
        rows.append([each.name, str(each.n), number(each.mean_volume_ml, 1), *scores])
    if rows:
        print_table(headers, rows)
        print()
    flagged = summary.flagged()
    if flagged:
        print("look at  " + ", ".join(f"{len(cases)} {flag.replace('_', ' ')}" for flag, cases in flagged.items()))
    failed = summary.of_status("failed")
    print(f"cases    {len(summary.of_status('done'))} done, {len(failed)} failed, in {summary.seconds:.1f} s")
    _print_failed(failed)
    print(f"report   {options.output / REPORT_HTML}")
    print(f"summary  {options.output / 'summary.csv'}")


def _print_failed(failed: Sequence[CaseOutcome]) -> None:
    """The failed cases, those of one kind together and below them what can be done."""
    from ..batch.privacy import REMOVED

    by_kind: dict[tuple[str, str], list[CaseOutcome]] = {}
    for case in failed:
        error = case.error or {}
        by_kind.setdefault((error.get("code", ""), error.get("action", "")), []).append(case)
    for (code, action), cases in by_kind.items():
        for case in cases:
            print(f"         {printable(case.case)}: {(case.error or {}).get('message', '')} [{code}]")
        if action:
            print(f"           -> {action}")
    if any(REMOVED in (case.error or {}).get("message", "") for case in failed):
        print(f"         {REMOVED} is what may identify a patient; --names original (and another output) shows it.")


def _say_of_plan(plan: BatchPlan) -> None:
    if plan.renamed:
        one = plan.renamed == 1
        what = (
            f"{plan.renamed} {'name' if one else 'names'} of folders and files {'holds' if one else 'hold'} what may "
        )
        what += f"identify a patient: {'a pseudonym stands for it' if one else 'pseudonyms stand for them'}."
        warn([f"{what} --names original keeps {'it' if one else 'them'}."])
    if plan.without_series:
        what = f"{plan.without_series} {'study has' if plan.without_series == 1 else 'studies have'}"
        warn([f"{what} no series as --series wants it, and no case here."])


@contextmanager
def _progress() -> Iterator[tuple[Callable[[BatchPlan], None], Callable[[BatchProgress], None]]]:
    """What tells of the run on stderr: a bar at a terminal with a line for each failure, a line a case in a log."""

    def started(plan: BatchPlan) -> None:
        _say_of_plan(plan)
        to_do = [each for each in plan.cases if each.why]
        paragraph(f"{len(plan.cases)} cases, {len(to_do)} to do.")
        for why, text in _WHY.items():
            count = sum(each.why == why for each in to_do)
            if count:
                paragraph(f"{count} again: {text}.")

    if not sys.stderr.isatty():
        yield started, _log
        return
    from tqdm import tqdm

    # Without tqdm's own guess of what is left: it would count the cases of earlier runs as done in no time.
    form = "{percentage:3.0f}% |{bar}| {n_fmt}/{total_fmt} cases{postfix}"
    with tqdm(leave=False, dynamic_ncols=True, bar_format=form) as bar:

        def show(progress: BatchProgress) -> None:
            if bar.total != progress.total:
                bar.reset(total=progress.total)
            bar.update(progress.settled - bar.n)
            bar.set_postfix_str(f"{_duration(progress.seconds_left)} left, {progress.failed} failed")
            if progress.outcome.error is not None:
                bar.write(_line(progress), file=sys.stderr)

        yield started, show


def _log(progress: BatchProgress) -> None:
    print(_line(progress), file=sys.stderr, flush=True)


def _line(progress: BatchProgress) -> str:
    outcome = progress.outcome
    place = f"[{progress.settled}/{progress.total}] {printable(outcome.case)}"
    if outcome.error is not None:
        return f"{place}: failed: {outcome.error['message']} [{outcome.error['code']}]"
    volumes = ", ".join(f"{each.name} {each.volume_ml:.1f} ml" for each in outcome.segments)
    flags = f" ({', '.join(outcome.flags).replace('_', ' ')})" if outcome.flags else ""
    left = f", {_duration(progress.seconds_left)} left"
    return f"{place}: {volumes}{flags}, {outcome.seconds:.1f} s{left}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """SIGTERM, with which schedulers announce the end of a job, stops a batch as Ctrl-C does."""

    def interrupt(signal_number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:  # not in the main thread: whoever runs it there has handlers of their own
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
