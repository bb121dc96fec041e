"""What the panel does in the application's main thread, on 512 x 512 x 200 voxels: each has to stay under a second.

``python benchmarks/panel_scene.py [--rounds N]``. Needs the extra ``slicer-test``. The first variant is the way of a
result into the scene; beside it, Slicer's own way: a labelmap node and its import.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "GANSegmentation"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from phantom import mask_pair
from timing import alternate, report

from GANSegmentationLib.volumes import Labelmap, Segment
from GANSegmentationLib.volumes.exchange import load_labelmap, save_labelmap, save_volume

SHAPE = (200, 512, 512)
OURS = "import a result: new segmentation"
SLICERS = "import a result: Slicer's labelmap node"
SEGMENTS = tuple(Segment(value, f"Organ {value}", (200, 40 * value, 90)) for value in (1, 2, 3))
LIMIT_S = 1.0


def phantom_labels() -> npt.NDArray[np.uint8]:
    """Labels ``(z, y, x)`` uint8: a liver-size organ, a part of it as a second label, and a third one beside it."""
    mask, _ = mask_pair()
    labels = np.zeros(SHAPE, np.uint8)
    labels[25:175][mask] = 1
    labels[90:120][labels[90:120] == 1] = 2
    labels[20:180, 400:500, 200:300] = 3
    return labels


class Scene:
    """A scene with one volume, and a folder for what crosses the border of the process."""

    def __init__(self, folder: Path) -> None:
        from Testing.slicer_host import application

        self.application = application.start()
        import slicer
        import slicer.util
        from GANSegmentationPanel import scene as border

        self.slicer, self.border, self.folder = slicer, border, folder
        scan = np.random.default_rng(0).integers(-1024, 1500, SHAPE).astype(np.int16)
        matrix = np.diag([-0.7, -0.7, 3.0, 1.0])
        self.volume_node = slicer.util.addVolumeFromArray(scan, ijkToRAS=matrix, name="CT")
        geometry = border.geometryFromNode(self.volume_node)
        self.labelmap = Labelmap(phantom_labels(), geometry, SEGMENTS)
        shifted = np.roll(self.labelmap.array, 3, axis=1)
        self.reference = border.addLabelmapToSegmentation(Labelmap(shifted, geometry, SEGMENTS), self.volume_node)
        self.existing = border.addLabelmapToSegmentation(self.labelmap, self.volume_node)
        self.description = save_labelmap(self.labelmap, folder, "labels")

    def hand_over(self) -> object:
        return save_volume(self.border.volumeFromNode(self.volume_node), self.folder, "volume")

    def read_result(self) -> object:
        return load_labelmap(self.description, self.folder)

    def write(self, mode: str) -> Callable[[], object]:
        def run() -> None:
            labelmap = load_labelmap(self.description, self.folder)
            self.border.writeLabelmap(labelmap, self.volume_node, self.existing, mode=mode)
            if mode == "NEW":
                self._clear()

        return run

    def write_and_undo(self) -> None:
        written = self.border.writeLabelmap(self.labelmap, self.volume_node, self.existing, mode="REPLACE")
        written.snapshot.undo()

    def slicers_import(self) -> None:
        labelmap: Any = load_labelmap(self.description, self.folder)
        node = self.slicer.util.addVolumeFromArray(
            labelmap.array,
            ijkToRAS=labelmap.geometry.index_to_ras,
            nodeClassName="vtkMRMLLabelMapVolumeNode",
        )
        target = self.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        self.slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(node, target)
        self.border.removeNode(target)
        self.border.removeNode(node)

    def prepare_comparison(self) -> object:
        return self.border.prepareComparison(self.existing, self.reference)

    def show_errors(self) -> None:
        (job,) = self.border.prepareComparison(self.existing, self.reference).jobs
        self.border.showErrors(job.mask, job.reference, [1, 2, 3], self.existing)
        self.border.hideErrors()

    def _clear(self) -> None:
        for node in list(self.slicer.util.getNodesByClass("vtkMRMLSegmentationNode")):
            if node not in (self.existing, self.reference):
                self.border.removeNode(node)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    if importlib.util.find_spec("slicer_core") is None:
        print("slicer-core is not installed (extra slicer-test): nothing is measured.")
        return
    with tempfile.TemporaryDirectory(prefix="ganseg-") as folder:
        scene = Scene(Path(folder))
        timings = alternate(
            {
                OURS: scene.write("NEW"),
                SLICERS: scene.slicers_import,
                "hand over the scan (node to .npy)": scene.hand_over,
                "read the labels (.npy)": scene.read_result,
                "import a result: replace": scene.write("REPLACE"),
                "import a result: merge": scene.write("MERGE"),
                "replace and undo": scene.write_and_undo,
                "labelmaps of a comparison": scene.prepare_comparison,
                "labelmaps and error overlay": scene.show_errors,
            },
            arguments.rounds,
        )
    slow = [name for name, seconds in timings.items() if sorted(seconds)[len(seconds) // 2] > LIMIT_S]
    notes = (
        "512 x 512 x 200 voxels, int16 scan, uint8 labels of three organs. Every variant runs in the main thread; "
        f"over the limit of {LIMIT_S:g} s: {', '.join(slow) or 'none'}."
    )
    report("panel_scene", timings, ours=OURS, notes=notes)


if __name__ == "__main__":
    main()
