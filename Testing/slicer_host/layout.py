"""`slicer.app.layoutManager()`: three slice views and a 3D view over real nodes and logics, without pictures."""

from __future__ import annotations

from typing import Any

import slicer

_VIEWS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}


class SliceWidget:
    """qMRMLSliceWidget, as far as nodes and logic go."""

    def __init__(self, logic: Any) -> None:
        self._logic = logic

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()


class ThreeDView:
    """The view of a qMRMLThreeDWidget; it counts how often its camera was reset."""

    def __init__(self) -> None:
        self.resets = 0

    def resetFocalPoint(self) -> None:
        self.resets += 1

    def resetCamera(self) -> None:
        self.resets += 1


class ThreeDWidget:
    def __init__(self) -> None:
        self._view = ThreeDView()

    def threeDView(self) -> ThreeDView:
        return self._view


class LayoutManager:
    """The little of qSlicerLayoutManager that modules ask for."""

    def __init__(self, core: Any) -> None:
        self._core = core
        self._slices = {name: SliceWidget(self._slice_logic(name)) for name in _VIEWS}
        self._three_d = [ThreeDWidget()]
        self.layout = slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView

    def _slice_logic(self, name: str) -> Any:
        logic = slicer.vtkMRMLSliceLogic()
        logic.SetMRMLApplicationLogic(self._core.application_logic)
        self._core.application_logic.GetSliceLogics().AddItem(logic)
        logic.SetMRMLScene(self._core.scene)
        node = logic.AddSliceNode(name)
        node.SetOrientation(_VIEWS[name])
        node.SetMappedInLayout(1)
        logic.ResizeSliceNode(256, 256)
        return logic

    def sliceViewNames(self) -> list[str]:
        return list(self._slices)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        return self._slices.get(name)

    def mrmlSliceLogics(self) -> Any:
        return self._core.application_logic.GetSliceLogics()

    def resetSliceViews(self) -> None:
        for widget in self._slices.values():
            widget.sliceLogic().FitSliceToBackground()

    @property
    def threeDViewCount(self) -> int:
        return len(self._three_d)

    def threeDWidget(self, index: int) -> ThreeDWidget:
        return self._three_d[index]

    def resetThreeDViews(self) -> None:
        for widget in self._three_d:
            widget.threeDView().resetFocalPoint()

    def setLayout(self, layout: int) -> None:
        self.layout = layout

    def close(self) -> None:
        """Take the views and all their nodes out of the scene; those with a layout name survive a closed scene."""
        for widget in self._slices.values():
            logic = widget.sliceLogic()
            nodes = [
                logic.GetSliceCompositeNode(),
                logic.GetSliceNode(),
                logic.GetSliceModelNode(),
                logic.GetSliceModelDisplayNode(),
                logic.GetSliceModelTransformNode(),
            ]
            self._core.application_logic.GetSliceLogics().RemoveItem(logic)
            logic.SetMRMLScene(None)
            for node in nodes:
                if node is not None and node.GetScene() is not None:
                    self._core.scene.RemoveNode(node)
