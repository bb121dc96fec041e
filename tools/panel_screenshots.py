"""Pictures of the panel and of what it makes, for the documentation.

``python tools/panel_screenshots.py [--folder docs/screenshots] [--quick]`` drives the real panel on the test host: the
synthetic patient is segmented by the shipped model, and every section is drawn open at the panel's width in Slicer, in
light and dark; Slicer's own displayable managers draw the slice and 3D views. ``--quick`` leaves out the run.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))

LIMIT_BYTES = 1_500_000
"""All pictures together; they are in the repository and so in every clone."""

# What is open in each picture; everything else is closed.
PICTURES = {
    "inputs-and-output": ("inputsCollapsibleButton", "outputsCollapsibleButton"),
    "results": ("resultsCollapsibleButton",),
    "comparison": ("comparisonCollapsibleButton",),
    "batch": ("batchCollapsibleButton",),
    "advanced-and-log": ("advancedCollapsibleButton", "logCollapsibleButton"),
}

log = logging.getLogger("panel_screenshots")


def set_the_scene() -> tuple[Any, Any]:
    """The synthetic patient in an empty scene, with the view of a CT; gives the volume node and the reference."""
    from GANSegmentationPanel import scene

    from GANSegmentationLib.datasets import synthetic_patient

    volume, reference = synthetic_patient.make(seed=0)
    volume_node = scene.addVolumeNode(volume)
    volume_node.SetName("Synthetic patient")
    return volume_node, reference


def run_the_model(widget: Any, volume_node: Any) -> Any:
    """Press Apply, wait for the result and give the segmentation node."""
    from Testing.slicer_host.application import wait_until

    widget.ui.inputVolumeSelector.setCurrentNode(volume_node)
    if not widget.ui.applyButton.enabled:
        raise SystemExit(f"The panel cannot run: {widget.ui.applyButton.toolTip}")
    widget.ui.applyButton.click()
    finished = lambda: not widget.ui.resultsCollapsibleButton.isHidden()  # noqa: E731
    if not wait_until(finished, seconds=600):
        raise SystemExit(f"The run did not end: {widget.ui.stageLabel.text}")
    node = widget.ui.outputSegmentationSelector.currentNode()
    if node is None:
        raise SystemExit("The run made no segmentation; the log says why.")
    return node


def compare(widget: Any, volume_node: Any, reference: Any) -> None:
    """Press Compare with the drawn truth as the reference, and show the errors."""
    from GANSegmentationPanel import scene

    from Testing.slicer_host.application import wait_until

    node = scene.addLabelmapToSegmentation(reference, volume_node)
    node.SetName("Drawn by hand")
    widget.ui.referenceSelector.setCurrentNode(node)
    widget.ui.toleranceSpinBox.value = 2.0
    if not widget.ui.compareButton.enabled:
        raise SystemExit(f"Nothing can be compared: {widget.ui.compareButton.toolTip}")
    widget.ui.compareButton.click()
    if not wait_until(lambda: not widget.logic.isRunning, seconds=120) or not widget.ui.worstSlicesList.count:
        raise SystemExit(f"The comparison gave nothing: {widget.ui.stageLabel.text}")


def run_a_batch(widget: Any, study: Path) -> None:
    """Press Start batch for a folder of two patients and a file that is none."""
    from GANSegmentationLib.datasets import synthetic_patient
    from GANSegmentationLib.volumes import write_volume
    from Testing.slicer_host.application import wait_until

    scans = study / "scans"
    scans.mkdir(parents=True)
    for seed in (1, 2):
        write_volume(synthetic_patient.make(seed=seed)[0], scans / f"case-{seed}.nrrd")
    (scans / "case-3.nrrd").write_bytes(b"damaged")
    widget.ui.batchInputEdit.currentPath = str(scans)
    widget.ui.batchOutputEdit.currentPath = str(study / "masks")
    widget.ui.startBatchButton.click()
    if not wait_until(lambda: not widget.logic.isRunning, seconds=600) or widget.ui.batchTable.rowCount != 3:
        raise SystemExit(f"The batch did not end: {widget.ui.stageLabel.text}")


def find_what_computes(widget: Any) -> None:
    """Ask it as the panel does, but in this process."""
    from GANSegmentationPanel.jobs import steps
    from GANSegmentationPanel.jobs.job import Job

    job = Job(widget.logic.executor, steps.probe)
    job.start()
    widget.statusSection.probe = job.result()
    widget.refresh()


def draw_sections(application: Any, panel: Any, ui: Any, folder: Path) -> list[Path]:
    """Every picture of `PICTURES` in both themes; refuses a panel that is too wide or cuts its texts."""
    from Testing.slicer_host import looks

    every = [name for names in PICTURES.values() for name in names]
    written = []
    for theme in looks.THEMES:
        looks.use_theme(application, theme)
        for picture, sections in PICTURES.items():
            for name in every:
                getattr(ui, name).collapsed = name not in sections
            looks.lay_out(panel)
            cut = looks.cut_texts(panel)
            if cut or looks.needed_width(panel) > looks.PANEL_WIDTH:
                raise SystemExit(f"{picture}, {theme}: needs {looks.needed_width(panel)} pixels, cuts {cut}")
            written.append(looks.write_picture(panel, folder / f"{picture}-{theme}.png"))
    looks.use_theme(application, looks.THEMES[0])
    return written


def draw_views(application: Any, volume_node: Any, segmentation_node: Any, folder: Path) -> list[Path]:
    """The slice view through the middle of the segments, and the 3D view."""
    from Testing.slicer_host.render import render_segmentation

    bounds = [0.0] * 6
    segmentation_node.GetRASBounds(bounds)
    pictures = render_segmentation(
        application.core, volume_node, segmentation_node, folder, offset_mm=(bounds[4] + bounds[5]) / 2
    )
    return [_small(path, path.with_name(f"view-{path.name}")) for path in pictures]


def _small(path: Path, target: Path) -> Path:
    from PIL import Image

    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256).save(target, optimize=True)
    path.unlink()
    return target


def main(folder: Path, *, quick: bool = False) -> list[Path]:
    """Draw everything into a folder; gives the files."""
    # The pictures show folders; they are nobody's.
    os.environ["HOME"] = "/".join(("", "home", "user"))
    os.environ.pop("XDG_DATA_HOME", None)
    from Testing.slicer_host import application, looks, pythonqt

    running = application.start()
    looks.use_theme(running, looks.THEMES[0])
    running.core.clear()
    module = application.load_module(PROJECT / "GANSegmentation" / "GANSegmentation.py")
    volume_node, reference = set_the_scene()
    widget, panel = application.show_panel(module)
    panel.layout().setContentsMargins(4, 4, 4, 4)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    if not quick:
        find_what_computes(widget)
        segmentation_node = run_the_model(widget, volume_node)
        written += draw_views(running, volume_node, segmentation_node, folder)
        compare(widget, volume_node, reference)
        study = Path(tempfile.gettempdir()) / "liver-study"  # its path is in the picture
        study.mkdir()
        try:
            run_a_batch(widget, study)
        finally:
            shutil.rmtree(study, ignore_errors=True)
    widget.showStage("")
    written += draw_sections(running, panel, widget.ui, folder)
    widget.exit()
    widget.cleanup()
    panel.hide()
    running.core.clear()
    if pythonqt.slot_errors:
        raise SystemExit(f"A slot failed: {pythonqt.slot_errors[0]!r}")
    size = sum(path.stat().st_size for path in written)
    if size > LIMIT_BYTES:
        raise SystemExit(f"The pictures have {size} bytes, more than {LIMIT_BYTES}.")
    log.info("%d pictures, %d kB, in %s", len(written), size // 1000, folder)
    return written


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=PROJECT / "docs" / "screenshots", help="where the PNGs go")
    parser.add_argument("--quick", action="store_true", help="the panel alone, without a run")
    options = parser.parse_args()
    main(options.folder, quick=options.quick)
