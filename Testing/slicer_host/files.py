"""`slicer.app.coreIOManager()`: what `slicer.util.loadVolume`, `saveScene` and the like need, over the real storage."""

from __future__ import annotations

import os
from typing import Any

_SEGMENTATION = (".seg.nrrd", ".seg.nhdr", ".seg.vtm")
_SCENE = (".mrb", ".mrml")


class CoreIOManager:
    """Reads and writes scenes, volumes, labelmaps, segmentations and tables."""

    def __init__(self, core: Any) -> None:
        self._core = core

    def fileType(self, path: str) -> str:
        name = str(path).lower()
        if name.endswith(_SEGMENTATION):
            return "SegmentationFile"
        if name.endswith(_SCENE):
            return "SceneFile"
        return "TableFile" if name.endswith((".csv", ".tsv")) else "VolumeFile"

    def fileWriterFileType(self, node: Any) -> str:
        return f"{node.GetClassName()}File"

    def loadNodes(self, file_type: str, properties: dict[str, Any], loaded: Any = None, _messages: Any = None) -> bool:
        path = str(properties["fileName"])
        if not os.path.isfile(path):  # noqa: PTH113 - Slicer takes text
            return False
        if file_type == "SceneFile":
            return self._load_scene(path, clear=bool(properties.get("clear", False)))
        node = self._load_node(file_type, path, properties)
        if node is not None and loaded is not None:
            loaded.AddItem(node)
        return node is not None

    def saveNodes(self, file_type: str, properties: dict[str, Any], _messages: Any = None) -> bool:
        path = str(properties["fileName"])
        scene = self._core.scene
        if file_type == "SceneFile":
            if path.lower().endswith(".mrb"):
                return bool(scene.WriteToMRB(path))
            scene.SetRootDirectory(os.path.dirname(path))  # noqa: PTH120
            return bool(scene.Commit(path))
        node = scene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        if "useCompression" in properties:
            storage.SetUseCompression(int(properties["useCompression"]))
        return bool(storage.WriteData(node))

    def _load_scene(self, path: str, *, clear: bool) -> bool:
        scene = self._core.scene
        if path.lower().endswith(".mrb"):
            return bool(scene.ReadFromMRB(path, clear))
        scene.SetURL(path)
        return bool(scene.Connect() if clear else scene.Import())

    def _load_node(self, file_type: str, path: str, properties: dict[str, Any]) -> Any:
        name = str(properties.get("name") or os.path.basename(path).partition(".")[0])  # noqa: PTH119
        if file_type == "VolumeFile":
            options = 1 if properties.get("labelmap") else 0
            return self._core.module_logics["Volumes"].AddArchetypeVolume(path, name, options)
        kind = {"SegmentationFile": "vtkMRMLSegmentationNode", "TableFile": "vtkMRMLTableNode"}[file_type]
        node = self._core.scene.AddNewNodeByClass(kind, self._core.scene.GenerateUniqueName(name))
        node.AddDefaultStorageNode(path)
        node.GetStorageNode().SetFileName(path)
        if not node.GetStorageNode().ReadData(node):
            self._core.scene.RemoveNode(node)
            return None
        return node
