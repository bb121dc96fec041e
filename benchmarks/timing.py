"""Times variants of the same work side by side, and keeps what came out.

Every benchmark of this folder uses it, so that all figures are made the same way: the variants take turns in one
process, so that a busy moment of the machine hits all of them, and the median of the rounds counts. Ratios carry over
to other machines; seconds do not.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"

_LIBRARIES = ("numpy", "scipy", "torch", "SimpleITK", "monai", "medpy", "pydicom", "PIL", "skimage")


def alternate(
    variants: Mapping[str, Callable[[], object]], rounds: int = 5, warmup: int = 1, *, quiet: bool = False
) -> dict[str, list[float]]:
    """Run every variant `rounds` times, in turns, and return the seconds of each run.

    Parameters
    ----------
    variants:
        What to run, by the name that the table shows. A variant takes no argument; what it returns is dropped before
        the next one starts, outside the measured time.
    rounds, warmup:
        Measured rounds, and rounds before them that are not measured.
    quiet:
        Show no progress; where standard error is not a terminal, none is shown anyway.
    """
    timings: dict[str, list[float]] = {name: [] for name in variants}
    quiet = quiet or not sys.stderr.isatty()
    for turn in range(warmup + rounds):
        for name, variant in variants.items():
            if not quiet:
                stage = "warm-up" if turn < warmup else f"round {turn - warmup + 1} of {rounds}"
                print(f"\r\033[K{stage}: {name}", end="", file=sys.stderr, flush=True)
            start = time.perf_counter()
            result = variant()
            seconds = time.perf_counter() - start
            del result
            if turn >= warmup:
                timings[name].append(seconds)
    if not quiet:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    return timings


def report(
    name: str,
    timings: Mapping[str, Sequence[float]],
    *,
    ours: str,
    notes: str = "",
    extra: Mapping[str, Any] | None = None,
    results_dir: Path = RESULTS,
) -> Path:
    """Print a table (median, fastest run, ratio to ours) and write it to ``<results_dir>/<name>.json``.

    Parameters
    ----------
    name:
        What was measured; the name of the file.
    timings:
        Seconds of every run, as `alternate` returns them.
    ours:
        Which of the variants is this project's. The ratio of another is its median divided by ours: above 1, ours is
        faster.
    notes:
        What a reader has to know to understand the figures: sizes, conditions, what a variant leaves out.
    extra:
        Further figures for the file, JSON-ready (agreement of the values, memory).
    """
    medians = {variant: statistics.median(seconds) for variant, seconds in timings.items()}
    rows = {
        variant: {
            "median_s": medians[variant],
            "min_s": min(seconds),
            "rounds": len(seconds),
            "ratio_to_ours": medians[variant] / medians[ours],
        }
        for variant, seconds in timings.items()
    }
    _print_table(name, rows, ours, notes)
    content = {"name": name, "ours": ours, "notes": notes, "machine": machine_facts(), "variants": rows}
    if extra:
        content["extra"] = dict(extra)
    results_dir.mkdir(parents=True, exist_ok=True)
    path = results_dir / f"{name}.json"
    beside = path.with_suffix(".json.part")
    beside.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    beside.replace(path)
    return path


def machine_facts() -> dict[str, Any]:
    """What the figures depend on: processor, cores, Python, and the versions of the libraries in use."""
    facts: dict[str, Any] = {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }
    # Only what the benchmark imported itself: importing torch for its version would cost a second and change timings.
    loaded = {module: sys.modules[module] for module in _LIBRARIES if module in sys.modules}
    facts["versions"] = {module: str(getattr(found, "__version__", "?")) for module, found in loaded.items()}
    if "torch" in loaded:
        torch: Any = loaded["torch"]
        facts["torch_threads"] = torch.get_num_threads()
        facts["gpu"] = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return facts


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    keys = ("model name", "cpu family", "model")
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    name, family, model = (facts.get(key, "") for key in keys)
    return f"{name} (family {family}, model {model})" if name else platform.machine()


def _print_table(name: str, rows: Mapping[str, Mapping[str, float]], ours: str, notes: str) -> None:
    width = max(len(variant) for variant in rows) + 2
    print(f"\n{name}\n{'':{width}}{'median':>12}{'fastest':>12}{'ratio to ours':>16}")
    for variant, row in sorted(rows.items(), key=lambda item: item[1]["median_s"]):
        ratio = "ours" if variant == ours else f"{row['ratio_to_ours']:.2f}x"
        print(f"{variant:{width}}{_seconds(row['median_s']):>12}{_seconds(row['min_s']):>12}{ratio:>16}")
    if notes:
        print(notes)


def _seconds(value: float) -> str:
    if value < 1e-3:
        return f"{value * 1e6:.1f} us"
    return f"{value * 1e3:.2f} ms" if value < 1.0 else f"{value:.3f} s"
