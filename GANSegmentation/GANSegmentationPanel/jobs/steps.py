"""What the jobs of the panel do, step by step (`job.Job`): nodes out of the scene, the worker, nodes into the scene."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from GANSegmentationLib import protocol
from GANSegmentationLib.errors import GANSegmentationError

from .. import scene
from .job import Job, Steps
from .options import CompareOptions, SegmentOptions
from .run_folder import RunFolder

if TYPE_CHECKING:
    from GANSegmentationLib.models import Package
    from GANSegmentationLib.volumes import Geometry, Volume

    from ..scene.comparison import Comparison


@dataclass(frozen=True)
class Segmented:
    """What a segmentation brought into the scene.

    Parameters
    ----------
    segmentationNode:
        The node that has it.
    segmentIds:
        The segments of it that hold the result.
    result:
        What the worker said: ``segments`` with their ``volume_ml``, ``seconds``, ``device``, ``warnings``, ``model``;
        of a sequence, that of the frame with the longest list of warnings, with the seconds of all.
    wayBack:
        Has ``obstacle()`` and ``undo()``.
    """

    segmentationNode: Any
    segmentIds: tuple[str, ...]
    result: dict[str, Any]
    wayBack: Any


@dataclass(frozen=True)
class Compared:
    """What a comparison found.

    Parameters
    ----------
    scores:
        A dict for each pair (`scene.comparison.collectScores`), with ``slices`` where they were asked for.
    comparison:
        The labelmaps that were compared, for worst slices and errors; its ``notes`` say what was done to the reference.
    """

    scores: list[dict[str, Any]]
    comparison: Comparison


def asList(volumeNodes: Any) -> list[Any]:
    """One node or several, as a list without None."""
    nodes = list(volumeNodes) if isinstance(volumeNodes, (list, tuple)) else [volumeNodes]
    return [node for node in nodes if node is not None]


def requireVolume(nodes: Sequence[Any]) -> None:
    """Refuse an empty choice with ``no_volume``."""
    if not nodes:
        raise GANSegmentationError("no_volume", _("There is no volume to segment."), action=_("Choose a volume."))


def segment(job: Job, package: Package, nodes: Sequence[Any], output: Any, options: SegmentOptions) -> Steps:
    """Segment volume nodes and write the result into the scene; gives `Segmented`.

    Raises
    ------
    GANSegmentationError
        As `scene.volumeFromNode`, `scene.checkOutput`, `scene.planOutput`, `scene.regionBox`, and what the worker says.
    """
    sequence = scene.sequenceOf(nodes[0]) if options.allFrames else None
    if sequence is not None:
        return (yield from _segmentFrames(job, package, nodes, sequence, options))
    mode = options.mode or (scene.OutputMode.NEW if output is None else scene.OutputMode.ADD)
    scene.planOutput(package.labels, nodes[0], output, mode, options.excludedSegments)
    volumes = [scene.volumeFromNode(node) for node in nodes]
    region = _region(package, scene.geometryFromNode(nodes[0]), options)
    with RunFolder() as folder:
        answer = yield _request(job, package, volumes, folder, region, options)
        labelmap = _labelmap(answer, folder)
    written = scene.writeLabelmap(
        labelmap,
        nodes[0],
        output,
        mode=mode,
        excluded=options.excludedSegments,
        region=region,
        algorithmName=_algorithm(package),
    )
    return Segmented(written.segmentationNode, written.segmentIds, dict(answer.result), written.snapshot)


def _segmentFrames(job: Job, package: Package, nodes: Sequence[Any], sequence: Any, options: SegmentOptions) -> Steps:
    """The frames of a sequence one after another; nothing is in the scene before the last."""
    if len(nodes) > 1:
        raise GANSegmentationError(
            "sequence_channels",
            _("A sequence can be segmented by models with one input only."),
            action=_("Choose a model with one input, or segment the frame of the moment."),
        )
    limited = options.roi is not None or options.sliceRange is not None
    # Before the first frame is computed: a frame may have another grid, and the region may lie beyond it.
    regions = [
        _region(package, scene.frameVolume(sequence, index).geometry, options) if limited else None
        for index in range(len(sequence))
    ]
    frames = scene.SegmentationFrames(sequence, _algorithm(package), options.excludedSegments)
    job.parts = len(sequence)
    seconds, told = 0.0, None
    for job.part in range(len(sequence)):
        volume = scene.frameVolume(sequence, job.part)
        with RunFolder() as folder:
            answer = yield _request(job, package, [volume], folder, regions[job.part], options)
            frames.add(job.part, _labelmap(answer, folder))
        seconds += answer.result["seconds"]
        if told is None or len(answer.result["warnings"]) > len(told["warnings"]):
            told = dict(answer.result)
    node = frames.finish()
    return Segmented(node, tuple(node.GetSegmentation().GetSegmentIDs()), {**told, "seconds": seconds}, frames)


def check(job: Job, package: Package, nodes: Sequence[Any], options: SegmentOptions) -> Steps:
    """Ask what is suspicious about volumes for a model; gives a list of dicts with ``code`` and ``message``."""
    with RunFolder() as folder:
        answer = yield protocol.RunCheck(
            id=job.nextId(),
            folder=str(folder),
            volumes=_saved([scene.volumeFromNode(node) for node in nodes], folder),
            package=str(package.path),
            domain=options.domain,
            force=options.force,
        )
    return list(answer.result["warnings"])


def compare(job: Job, maskNode: Any, referenceNode: Any, options: CompareOptions) -> Steps:
    """Score a segmentation against a reference; gives `Compared`.

    Raises
    ------
    GANSegmentationError
        As `scene.prepareComparison`, and what the worker says.
    """
    from GANSegmentationLib.volumes.exchange import save_labelmap

    comparison = scene.prepareComparison(maskNode, referenceNode, options.pairs, resample=options.resample)
    job.parts = len(comparison.jobs)
    labels = []
    for job.part, each in enumerate(comparison.jobs):
        with RunFolder() as folder:
            answer = yield protocol.RunCompare(
                id=job.nextId(),
                folder=str(folder),
                mask=save_labelmap(each.mask, folder, "mask"),
                reference=save_labelmap(each.reference, folder, "reference"),
                metrics=tuple(options.metrics or ()),
                surface_tolerance_mm=options.surfaceToleranceMm,
                slice_dice=options.sliceScores,
            )
        labels.append([_withSlices(row) for row in answer.result["labels"]])
    return Compared(scene.collectScores(comparison, labels), comparison)


def _withSlices(row: dict[str, Any]) -> dict[str, Any]:
    """The row with its Dice of each slice as `scene.worstSlices` reads it: those where mask or reference is."""
    dice = row.get("slice_dice")
    if dice is None:
        return dict(row)
    slices = [{"index": index, "dice": value} for index, value in enumerate(dice) if value is not None]
    return {**{key: value for key, value in row.items() if key != "slice_dice"}, "slices": slices}


def export(job: Job, segmentationNode: Any, volumeNode: Any, path: Any) -> Steps:
    """Write a segmentation to a file, as DICOM SEG (``.dcm``) in the worker; gives the path."""
    if not str(path).lower().endswith(".dcm"):
        return scene.exportSegmentation(segmentationNode, path, volumeNode)
    return (yield from _exportDicomSeg(job, segmentationNode, volumeNode, path))


def _exportDicomSeg(job: Job, segmentationNode: Any, volumeNode: Any, path: Any) -> Steps:
    """Write DICOM SEG that refers to the files of the volume.

    Raises
    ------
    GANSegmentationError
        ``no_dicom_seg`` with the reason why there can be none; as `scene.labelmapFromNode`, and what the worker says.
    """
    from GANSegmentationLib.volumes.exchange import save_labelmap

    reason = scene.whyNoDicomSeg(volumeNode)
    if reason:
        raise GANSegmentationError(
            "no_dicom_seg",
            _("{name} cannot be exported as DICOM SEG.").format(name=segmentationNode.GetName()),
            cause=reason,
            action=_("Export it as .seg.nrrd."),
        )
    labelmap = scene.labelmapFromNode(segmentationNode, scene.geometryFromNode(volumeNode))
    with RunFolder() as folder:
        answer = yield protocol.RunExport(
            id=job.nextId(),
            folder=str(folder),
            labelmap=save_labelmap(labelmap, folder, "labels"),
            path=str(path),
            source=scene.sourceFiles(volumeNode).files,
        )
    return Path(answer.result["path"])


def batch(job: Job, request: dict[str, Any]) -> Steps:
    """Segment a folder; gives the worker's counts and the path of its table. `request`: fields of `RunBatch`."""
    job.usesScene = False
    with RunFolder() as folder:
        answer = yield protocol.RunBatch(id=job.nextId(), folder=str(folder), **request)
    return dict(answer.result)


def probe(job: Job) -> Steps:
    """Ask whether PyTorch works and what computes; gives the worker's answer."""
    with RunFolder() as folder:
        answer = yield protocol.RunProbe(id=job.nextId(), folder=str(folder))
    return dict(answer.result)


def _region(package: Package, geometry: Geometry, options: SegmentOptions) -> scene.IndexBox | None:
    return scene.regionBox(
        geometry,
        roiNode=options.roi,
        plane=package.card.slicing.plane,
        sliceRange=options.sliceRange,
    )


def _request(
    job: Job,
    package: Package,
    volumes: Sequence[Volume],
    folder: Path,
    region: scene.IndexBox | None,
    options: SegmentOptions,
) -> protocol.RunSegment:
    excluded = set(options.excludedSegments)
    wanted = tuple(segment.value for segment in package.labels if segment.name not in excluded)
    return protocol.RunSegment(
        id=job.nextId(),
        folder=str(folder),
        volumes=_saved(volumes, folder),
        package=str(package.path),
        device=options.device,
        domain=options.domain,
        force=options.force,
        batch_size=options.batchSize,
        postprocessing=options.postprocessing,
        region=None if region is None else _asRequested(region),
        segments=wanted if excluded else (),
    )


def _asRequested(box: scene.IndexBox) -> tuple[int, int, int, int, int, int]:
    """A box as ``(x start, x stop, y start, y stop, z start, z stop)``."""
    (z0, y0, x0), (z1, y1, x1) = box.start, box.stop
    return x0, x1, y0, y1, z0, z1


def _saved(volumes: Sequence[Volume], folder: Path) -> tuple[dict[str, Any], ...]:
    from GANSegmentationLib.volumes.exchange import save_volume

    return tuple(save_volume(volume, folder, f"volume{channel}") for channel, volume in enumerate(volumes))


def _labelmap(answer: protocol.Result, folder: Path) -> Any:
    from GANSegmentationLib.volumes.exchange import load_labelmap

    return load_labelmap(answer.result["labelmap"], folder)


def _algorithm(package: Package) -> str:
    return f"{package.card.title} {package.card.version}"
