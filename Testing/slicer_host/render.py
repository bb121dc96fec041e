"""Pictures of the scene by Slicer's own displayable managers, without a display: one slice view, one 3D view.

What the views show is what the application would show, less the frames around them. VTK renders through EGL; the
libraries that it needs are in `system-packages.txt`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
import vtk

_SLICE_MANAGERS = (
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
)
_THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)


class _View:
    """A render window off the screen, filled by displayable managers."""

    def __init__(self, core: Any, factory_class: Any, managers: tuple[str, ...], size: tuple[int, int]) -> None:
        self.core = core
        self.renderer = vtk.vtkRenderer()
        self.window = vtk.vtkRenderWindow()
        self.window.SetOffScreenRendering(1)
        self.window.ShowWindowOff()
        self.window.SetMultiSamples(0)
        self.window.SetSize(*size)
        self.window.AddRenderer(self.renderer)
        # The managers ask the window for its interactor; it never gets an event here.
        self.interactor = vtk.vtkRenderWindowInteractor()
        self.interactor.SetRenderWindow(self.window)
        self.interactor.SetInteractorStyle(vtk.vtkInteractorStyleUser())
        self._factory, self._managers = factory_class.GetInstance(), managers
        self.group = slicer.vtkMRMLDisplayableManagerGroup()
        self.group.SetRenderer(self.renderer)

    def _initialise(self) -> None:
        self.interactor.Initialize()
        self._factory.SetMRMLApplicationLogic(self.core.application_logic)
        for manager in self._managers:
            if not self._factory.IsDisplayableManagerRegistered(manager):
                self._factory.RegisterDisplayableManager(manager)
        self.group.Initialize(self._factory, self.renderer)

    def write_png(self, path: Path) -> Path:
        """Render and write the picture."""
        self.window.Render()
        grabber = vtk.vtkWindowToImageFilter()
        grabber.SetInput(self.window)
        grabber.SetInputBufferTypeToRGB()
        grabber.ReadFrontBufferOff()
        writer = vtk.vtkPNGWriter()
        writer.SetFileName(str(path))
        writer.SetInputConnection(grabber.GetOutputPort())
        writer.Write()
        return path

    def close(self) -> None:
        """Take the view out of the scene; a view node is a singleton and would survive a closed scene."""
        self.group.SetMRMLDisplayableNode(None)
        self.logics.RemoveItem(self.logic)
        node, self.node = self.node, None
        self.logic.SetMRMLScene(None)
        self.core.scene.RemoveNode(node)
        self.window.Finalize()


class SliceView(_View):
    """A slice view, like Slicer's red one."""

    def __init__(self, core: Any, size: tuple[int, int] = (512, 512), orientation: str = "Axial") -> None:
        super().__init__(core, slicer.vtkMRMLSliceViewDisplayableManagerFactory, _SLICE_MANAGERS, size)
        self.renderer.GetActiveCamera().ParallelProjectionOn()
        # The managers draw the outlines of segments in a second layer over the image.
        overlay = vtk.vtkRenderer()
        overlay.SetLayer(1)
        overlay.GetActiveCamera().ParallelProjectionOn()
        self.window.SetNumberOfLayers(2)
        self.window.AddRenderer(overlay)
        self._initialise()
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(core.application_logic)
        self.logics = core.application_logic.GetSliceLogics()
        self.logics.AddItem(self.logic)
        self.logic.SetMRMLScene(core.scene)
        self.node = self.logic.AddSliceNode(core.scene.GenerateUniqueName(orientation))
        self.node.SetOrientation(orientation)
        self.group.SetMRMLDisplayableNode(self.node)
        self.node.SetMappedInLayout(1)
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        actor = vtk.vtkActor2D()
        actor.SetMapper(self._mapper)
        actor.GetProperty().SetDisplayLocationToBackground()
        self.renderer.AddViewProp(actor)

    def show(self, volume_node: Any, offset_mm: float | None = None, window_level: tuple[float, float] | None = None):
        """Show a volume, fitted to the view, at an offset along the view's normal (RAS mm) or in its middle."""
        if window_level is not None:
            volume_node.GetDisplayNode().AutoWindowLevelOff()
            volume_node.GetDisplayNode().SetWindowLevel(*window_level)
        self.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume_node.GetID())
        self.logic.ResizeSliceNode(*self.window.GetSize())
        self.logic.FitSliceToBackground()
        self.logic.SnapSliceOffsetToIJK()
        if offset_mm is not None:
            self.logic.SetSliceOffset(offset_mm)
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())


class ThreeDView(_View):
    """A 3D view; segments appear in it when they have a closed surface."""

    def __init__(self, core: Any, size: tuple[int, int] = (512, 512)) -> None:
        super().__init__(core, slicer.vtkMRMLThreeDViewDisplayableManagerFactory, _THREE_D_MANAGERS, size)
        self._initialise()
        self.logic = slicer.vtkMRMLViewLogic()
        self.logic.SetMRMLApplicationLogic(core.application_logic)
        self.logics = core.application_logic.GetViewLogics()
        self.logics.AddItem(self.logic)
        self.logic.SetMRMLScene(core.scene)
        self.node = self.logic.AddViewNode(core.scene.GenerateUniqueName("View"))
        self.group.SetMRMLDisplayableNode(self.node)
        self.node.SetMappedInLayout(1)
        self.node.SetBoxVisible(True)
        self.node.SetAxisLabelsVisible(True)

    def show(self, segmentation_node: Any) -> None:
        """Show a segmentation's surfaces, from the front."""
        segmentation_node.CreateClosedSurfaceRepresentation()
        self.renderer.ResetCamera()


def render_segmentation(
    core: Any,
    volume_node: Any,
    segmentation_node: Any,
    folder: Path,
    *,
    offset_mm: float | None = None,
    window_level: tuple[float, float] = (400, 60),
) -> tuple[Path, Path]:
    """Write ``slice.png`` (axial, with the segments over the volume) and ``surface.png``; gives both paths."""
    slice_view = SliceView(core)
    slice_view.show(volume_node, offset_mm, window_level)
    slice_path = slice_view.write_png(folder / "slice.png")
    slice_view.close()
    three_d_view = ThreeDView(core)
    three_d_view.show(segmentation_node)
    surface_path = three_d_view.write_png(folder / "surface.png")
    three_d_view.close()
    return slice_path, surface_path
