"""Data to try the module with, in Slicer's module Sample Data: a drawn patient that needs no download.

Slicer's own CTLiver is there too, for whoever has a network. The patient is drawn by a process of its own, for it takes
ten seconds and the library's data sets are no part of the module. What reads it is imported when it is wanted, for the
entry is listed while the application starts.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import slicer
import slicer.util
from slicer.i18n import tr as _

from GANSegmentationLib.errors import GANSegmentationError

from .process.launching import interpreter, workerEnvironment

if TYPE_CHECKING:
    from GANSegmentationLib.volumes import Labelmap, Volume

CATEGORY = "GANSegmentation"
SAMPLE_NAME = "GANSegmentationSyntheticPatient"

_LONGEST_S = 300.0
_STEP_S = 0.03

# What the process does: draw, and leave voxels and their description in the folder that it is given.
_PROGRAM = """
import json, pathlib, sys
from GANSegmentationLib.datasets import synthetic_patient
from GANSegmentationLib.volumes.exchange import save_labelmap, save_volume
folder = pathlib.Path(sys.argv[1])
scan, liver = synthetic_patient.make(seed=int(sys.argv[2]))
described = {"volume": save_volume(scan, folder, "scan"), "labelmap": save_labelmap(liver, folder, "liver")}
(folder / "patient.json").write_text(json.dumps(described), encoding="utf-8")
"""


def registerSampleData(thumbnail: str) -> bool:
    """List the synthetic patient in the module Sample Data; to be called when the application has started up.

    Calling it again (a reload of the module) replaces the entry.

    Parameters
    ----------
    thumbnail:
        The path of the picture of its button, 260 x 280 pixels (``Resources/Icons/SyntheticPatient.png``).

    Returns
    -------
    Whether the application has the module Sample Data.
    """
    try:
        import SampleData
    except ImportError:
        return False
    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # Slicer 5.12 and later
        logic.registerCustomSampleDataCategory(CATEGORY, title=_("GAN Segmentation"))
    listed = logic.sampleDataSourcesByCategory(CATEGORY)
    for source in [each for each in listed if each.sampleName == SAMPLE_NAME]:
        listed.remove(source)
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        uris="",  # nothing is downloaded; the field has to be text, though
        fileNames="",
        nodeNames=_("Synthetic patient (CT)"),
        thumbnailFileName=str(thumbnail),
        customDownloader=_download,
    )
    return True


def _download(source=None) -> list:
    """What Sample Data calls for the entry; gives the nodes that were loaded."""
    return list(loadSyntheticPatient())


def loadSyntheticPatient(seed: int = 0) -> tuple:
    """Draw a patient and add the CT and, hidden, the reference of its liver to the scene.

    The application stays alive for the ten seconds or so that it takes.

    Parameters
    ----------
    seed:
        Which patient, 0 or more.

    Returns
    -------
    The volume node and the reference's segmentation node.

    Raises
    ------
    GANSegmentationError
        ``sample_failed`` if the process fails.
    """
    from . import scene

    volume, reference = _drawPatient(seed)
    volumeNode = scene.addVolumeNode(volume)
    try:
        referenceNode = scene.addLabelmapToSegmentation(reference, volumeNode)
        referenceNode.SetName(slicer.mrmlScene.GenerateUniqueName(_("Synthetic patient reference")))
        referenceNode.GetDisplayNode().SetVisibility(False)
    except BaseException:
        scene.removeNode(volumeNode)
        raise
    layoutManager = getattr(slicer.app, "layoutManager", None)
    if layoutManager is not None and layoutManager() is not None:
        slicer.util.setSliceViewerLayers(background=volumeNode, fit=True)
    return volumeNode, referenceNode


def _drawPatient(seed: int) -> tuple[Volume, Labelmap]:
    """The scan and its reference, drawn by a process while the application's events go on."""
    from GANSegmentationLib.volumes.exchange import load_labelmap, load_volume

    with tempfile.TemporaryDirectory(prefix="ganseg-") as name:
        folder = Path(name)
        with (folder / "output.txt").open("w+", encoding="utf-8", errors="replace") as output:
            process = subprocess.Popen(
                [interpreter(), "-c", _PROGRAM, str(folder), str(seed)],
                env=workerEnvironment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
            try:
                end = time.monotonic() + _LONGEST_S
                while process.poll() is None and time.monotonic() < end:
                    slicer.app.processEvents()
                    time.sleep(_STEP_S)
            finally:
                process.kill()
                process.wait()
            output.seek(0)
            said = output.read()
        if process.returncode != 0:
            raise GANSegmentationError(
                "sample_failed",
                _("The synthetic patient could not be drawn."),
                cause=_("The process that draws it failed; its last words are in the details."),
                action=_("Try again, or load another volume."),
                details=said[-4000:],
            )
        described = json.loads((folder / "patient.json").read_text(encoding="utf-8"))
        return load_volume(described["volume"], folder), load_labelmap(described["labelmap"], folder)
