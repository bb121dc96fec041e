"""Many scans at once: which cases a folder holds, doing each for itself, and a ledger that survives everything."""

from .cases import Case, CaseFilter, FoundCases, find_cases
from .options import DICOM_SEG, FORMATS, BatchOptions
from .outcome import CaseOutcome, SegmentOutcome
from .plan import Planned
from .runner import BatchPlan, BatchProgress, plan_batch, run_batch
from .summary import BatchSummary, StructureSummary

__all__ = [
    "DICOM_SEG",
    "FORMATS",
    "BatchOptions",
    "BatchPlan",
    "BatchProgress",
    "BatchSummary",
    "Case",
    "CaseFilter",
    "CaseOutcome",
    "FoundCases",
    "Planned",
    "SegmentOutcome",
    "StructureSummary",
    "find_cases",
    "plan_batch",
    "run_batch",
]
