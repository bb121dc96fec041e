"""A Slicer application logic without the application: scene and module logics of the slicer-core wheel."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import slicer
import slicer.util
import vtk

_TESTS_SINGLETONS = (
    "vtkMRMLScriptedModuleNode",
    "vtkMRMLSliceCompositeNode",
    "vtkMRMLSliceDisplayNode",
    "vtkMRMLSliceNode",
    "vtkMRMLCameraNode",
    "vtkMRMLViewNode",
)


@dataclass(frozen=True)
class Core:
    """What `slicer.app` is built around.

    Parameters
    ----------
    scene:
        The one MRML scene, also `slicer.mrmlScene`.
    application_logic:
        The vtkSlicerApplicationLogic that the module logics ask for each other.
    module_logics:
        The logics of the core modules by name; also as `slicer.modules.<name>.logic()`.
    io_logics:
        Kept only so that they live as long as the scene, which reads and writes scene files through them.
    """

    scene: Any
    application_logic: Any
    module_logics: dict[str, Any]
    io_logics: tuple[Any, ...]

    def clear(self) -> None:
        """An empty scene, as after File / Close scene, without the singleton nodes of earlier tests.

        A slice node that was left would have the name of the next view: MRML ends the process over the second one.
        """
        self.scene.Clear(0)
        for kind in _TESTS_SINGLETONS:
            for node in list(slicer.util.getNodesByClass(kind)):
                self.scene.RemoveNode(node)


class CoreModule:
    """Stands for `slicer.modules.<name>` of a loadable module."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def logic(self) -> Any:
        return self._logic


def start_core() -> Core:
    """Make the scene and the logics, and set `slicer.mrmlScene` and `slicer.modules`.

    Call it once in a process: VTK's displayable manager factories hold one application logic.
    """
    _errors_to_stderr()
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    application.SetSliceLogics(vtk.vtkCollection())
    application.SetViewLogics(vtk.vtkCollection())
    for factory in (
        slicer.vtkMRMLThreeDViewDisplayableManagerFactory,
        slicer.vtkMRMLSliceViewDisplayableManagerFactory,
    ):
        factory.GetInstance().SetMRMLApplicationLogic(application)
    core = Core(scene, application, _start_module_logics(scene, application), _start_io(scene, application))
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
    # The displayable managers look for these; singletons, so they survive a closed scene.
    for kind in ("vtkMRMLInteractionNode", "vtkMRMLSelectionNode", "vtkMRMLCrosshairNode"):
        node = scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetSingletonTag("default" if kind == "vtkMRMLCrosshairNode" else "Singleton")
        scene.AddNode(node)

    slicer.mrmlScene = scene
    modules = types.ModuleType("slicer.modules")
    for name, logic in core.module_logics.items():
        setattr(modules, name.lower(), CoreModule(logic))
    slicer.modules = sys.modules["slicer.modules"] = modules
    return core


def private_folder(prefix: str) -> str:
    """A new folder that goes with this process."""
    folder = tempfile.mkdtemp(prefix=prefix)
    owner = os.getpid()

    def remove() -> None:
        if os.getpid() == owner:  # not with a fork of it
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(remove)
    return folder


def _errors_to_stderr() -> None:
    window = vtk.vtkOutputWindow()
    window.SetDisplayModeToAlwaysStdErr()
    vtk.vtkOutputWindow.SetInstance(window)


def _start_module_logics(scene: Any, application: Any) -> dict[str, Any]:
    colors = application.GetColorLogic()
    colors.SetMRMLScene(scene)
    colors.AddDefaultColorNodes()
    # The volumes logic looks its colours up under this name and logs errors where it finds none.
    application.SetModuleLogic("Colors", colors)
    logics = {"Colors": colors}
    for name, kind in (
        ("Volumes", slicer.vtkSlicerVolumesLogic),
        ("Terminologies", slicer.vtkSlicerTerminologiesModuleLogic),
        ("Segmentations", slicer.vtkSlicerSegmentationsModuleLogic),
        ("SubjectHierarchy", slicer.vtkSlicerSubjectHierarchyModuleLogic),
        ("Models", slicer.vtkSlicerModelsLogic),
        ("Data", slicer.vtkSlicerDataModuleLogic),
    ):
        logic = kind()
        with _quiet(name == "Terminologies"):  # its dictionaries are not in the wheel; entries work without them
            logic.SetMRMLScene(scene)
        logic.SetMRMLApplicationLogic(application)
        application.SetModuleLogic(name, logic)
        logics[name] = logic
    return logics


@contextmanager
def _quiet(quiet: bool) -> Iterator[None]:
    if quiet:
        vtk.vtkObject.GlobalWarningDisplayOff()
    try:
        yield
    finally:
        vtk.vtkObject.GlobalWarningDisplayOn()


def _start_io(scene: Any, application: Any) -> tuple[Any, ...]:
    remote = slicer.vtkMRMLRemoteIOLogic()
    remote.SetMRMLScene(scene)
    remote.SetMRMLApplicationLogic(application)
    remote.GetCacheManager().SetRemoteCacheDirectory(private_folder("slicer-host-cache-"))
    data = slicer.vtkDataIOManagerLogic()
    data.SetMRMLScene(scene)
    data.SetMRMLApplicationLogic(application)
    data.SetAndObserveDataIOManager(remote.GetDataIOManager())
    remote.AddDataIOToScene()
    return remote, data
