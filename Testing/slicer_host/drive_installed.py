"""Run in a fresh process: load the module from an installed tree, open its panel and segment with a model.

``python drive_installed.py PROJECT INSTALLED_FOLDER MODEL_ID`` prints one JSON object. PROJECT gives this host only:
the library and the module have to come from the installed tree.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path


def drive(project: Path, installed: Path, model_id: str) -> dict[str, object]:
    """Load, show, segment; says where things came from and what was found."""
    sys.path.insert(0, str(project))
    from Testing.slicer_host import application, pythonqt

    sys.path.remove(str(project))
    running = application.start()
    module = application.load_module(installed / "GANSegmentation.py")
    widget, _panel = application.show_panel(module)
    import numpy as np
    import slicer.util

    import GANSegmentationLib

    array = np.full((6, 16, 16), -1000, np.int16)
    array[:, 2:14, 1:15] = 50
    array[1:4, 3:8, 4:7] = 150
    ui = widget.ui
    ui.inputVolumeSelector.setCurrentNode(slicer.util.addVolumeFromArray(array, name="CT"))
    widget.parameters.modelId = model_id
    ui.applyButton.click()
    application.wait_until(lambda: not ui.resultsCollapsibleButton.isHidden(), seconds=120)
    node = ui.outputSegmentationSelector.currentNode()
    segmentation = node.GetSegmentation() if node is not None else None
    return {
        "library": GANSegmentationLib.__file__,
        "module": module.__file__,
        "ui": widget.resourcePath("UI/GANSegmentation.ui"),
        "models": [ui.modelListWidget.item(row).text() for row in range(ui.modelListWidget.count)],
        "status": ui.resultLabel.text or ui.stageLabel.text or ui.applyButton.toolTip,
        "segments": [segmentation.GetNthSegment(i).GetName() for i in range(segmentation.GetNumberOfSegments())]
        if segmentation
        else [],
        "errors": [repr(error) for error in pythonqt.slot_errors],
        "application": type(running).__name__,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(drive(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])) + "\n")
