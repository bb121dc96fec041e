"""Scores as a table of the scene and as a CSV file."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import slicer
import slicer.util
import vtk
from slicer.i18n import tr as _

from GANSegmentationLib.volumes.atomic import written_beside

from .nodes import isInScene

_DECIMALS = 4
_DISTANCES = ("hd_mm", "hd95_mm", "hd95_pooled_mm", "assd_mm", "masd_mm")
_JUDGED, _REFERENCE = "GANSegmentation.judged", "GANSegmentation.reference"


def metricTitles() -> dict[str, str]:
    """What a reader calls each metric, by the worker's name for it, in the order of the table."""
    return {
        "dice": _("Dice"),
        "iou": _("IoU"),
        "precision": _("Precision"),
        "recall": _("Recall"),
        "rvd": _("Relative volume difference"),
        "volume_ml": _("Volume"),
        "reference_volume_ml": _("Reference volume"),
        "hd_mm": _("Hausdorff distance"),
        "hd95_mm": _("Hausdorff distance, 95 %"),
        "assd_mm": _("Average surface distance"),
        "surface_dice": _("Surface Dice"),
    }


def statusTexts() -> dict[str, str]:
    """What the status of a comparison means, by the worker's word for it."""
    return {
        "ok": _("compared"),
        "both_empty": _("empty in both: undefined"),
        "reference_empty": _("not in the reference"),
        "mask_empty": _("not found"),
    }


def scoreOf(scores: Mapping, metric: str) -> float:
    """A score as a number: NaN where it is undefined, infinite where a distance has no other end.

    The worker writes both as None, for JSON has neither.
    """
    value = scores.get(metric)
    if value is not None:
        return float(value)
    oneIsEmpty = scores.get("status") in ("reference_empty", "mask_empty")
    return math.inf if oneIsEmpty and metric in _DISTANCES else math.nan


def showScores(scores: Sequence[Mapping], tableNode=None, metrics: Sequence[str] | None = None, name: str = ""):
    """Write scores into a table node, a row for each structure; numbers are numbers, rounded to four decimals.

    Parameters
    ----------
    scores:
        Rows of `collectScores`.
    tableNode:
        The table to fill again, so that the scene does not grow with each comparison; None, or one that was removed,
        for a new one.
    metrics:
        Names of `metricTitles`; None for all.
    name:
        The name of a new table.

    Returns
    -------
    The table node.
    """
    titles = _chosen(scores, metrics)
    if not isInScene(tableNode):
        title = slicer.mrmlScene.GenerateUniqueName(name or _("Comparison"))
        tableNode = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", title)
    statuses = statusTexts()
    texts = {
        "name": (_("Structure"), [row["name"] or "" for row in scores]),
        "reference_name": (_("Reference"), [row["reference_name"] or "" for row in scores]),
        "status": (_("Status"), [statuses.get(row["status"], row["status"]) for row in scores]),
    }
    with slicer.util.NodeModify(tableNode):
        tableNode.RemoveAllColumns()
        for column, (title, values) in texts.items():
            _addColumn(tableNode, vtk.vtkStringArray(), column, title, values)
        for metric, title in titles.items():
            values = [round(value, _DECIMALS) for value in (scoreOf(row, metric) for row in scores)]
            _addColumn(tableNode, vtk.vtkDoubleArray(), metric, title, values)
            unit = metric.rpartition("_")[2]
            if metric == "surface_dice":
                tolerances = {row.get("surface_tolerance_mm") for row in scores}
                shown = ", ".join(f"{value:g}" for value in sorted(filter(None, tolerances)))
                tableNode.SetColumnTitle(metric, _("{title} ({tolerance} mm)").format(title=title, tolerance=shown))
            elif unit in ("mm", "ml"):
                tableNode.SetColumnUnitLabel(metric, unit)
                tableNode.SetColumnTitle(metric, f"{title} ({unit})")
        tableNode.SetUseColumnTitleAsColumnHeader(True)
        tableNode.SetLocked(True)
    return tableNode


def bindScores(tableNode, maskNode, referenceNode) -> None:
    """Note in a table, for the saved scene too, which nodes were compared; see `areScoresOf`."""
    tableNode.SetNodeReferenceID(_JUDGED, maskNode.GetID())
    tableNode.SetNodeReferenceID(_REFERENCE, referenceNode.GetID())


def areScoresOf(tableNode, maskNode, referenceNode) -> bool:
    """Whether a table has the scores of one node against another, and not of others."""
    if tableNode is None or maskNode is None or referenceNode is None:
        return False
    bound = tableNode.GetNodeReference(_JUDGED), tableNode.GetNodeReference(_REFERENCE)
    return bound[0] is maskNode and bound[1] is referenceNode


def _chosen(scores: Sequence[Mapping], metrics: Sequence[str] | None) -> dict[str, str]:
    """The titles of the metrics that are wanted; the surface Dice only if it was computed, with a tolerance."""
    hasTolerance = any(row.get("surface_tolerance_mm") is not None for row in scores)
    return {
        metric: title
        for metric, title in metricTitles().items()
        if (metrics is None or metric in metrics) and (metric != "surface_dice" or hasTolerance)
    }


def _addColumn(tableNode, array, column: str, title: str, values: Sequence) -> None:
    array.SetName(column)
    for value in values:
        array.InsertNextValue(value)
    tableNode.AddColumn(array)
    tableNode.SetColumnTitle(column, title)


def writeScores(scores: Sequence[Mapping], path, metrics: Sequence[str] | None = None) -> Path:
    """Write scores to a CSV file, whole or not at all; an undefined score is an empty field, an infinite one ``inf``.

    Names of columns and of the status are the worker's, not translated, for programs.

    Raises
    ------
    GANSegmentationError
        ``folder_not_found`` or ``write_failed``.
    """
    chosen = _chosen(scores, metrics)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(["name", "reference_name", "status", *chosen])
    for row in scores:
        numbers = (scoreOf(row, metric) for metric in chosen)
        fields = ["" if math.isnan(number) else repr(number) for number in numbers]
        writer.writerow([row["name"], row["reference_name"], row["status"], *fields])
    target = Path(path)
    with written_beside(target) as folder:
        # With the mark by which spreadsheets know UTF-8, for names in all scripts.
        (folder / target.name).write_text(text.getvalue(), encoding="utf-8-sig", newline="")
    return target
