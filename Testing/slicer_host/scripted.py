"""Stand-ins for Slicer's Python parts that no wheel carries: the base classes of scripted modules and `slicer.i18n`.

Only what the module under test uses; the parameter node wrapper has a file of its own.
"""

from __future__ import annotations

import logging
import os
import sys
import types
import unittest
from typing import Any

import slicer
import slicer.util

from . import parameter_node, parameter_types


class ScriptedLoadableModule:
    """The module object; real Slicer sets defaults of `parent` and an icon beside the module file."""

    def __init__(self, parent: Any) -> None:
        super().__init__()
        self.parent = parent
        self.moduleName = type(self).__name__
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename: str) -> str:
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)  # noqa: PTH118, PTH120 - as Slicer

    def runTest(self, msec: int = 100, **options: Any) -> None:
        test_class = getattr(sys.modules[type(self).__module__], self.moduleName + "Test")
        test = test_class()
        test.messageDelay = msec
        test.runTest(**options)


class ScriptedLoadableModuleWidget:
    """The panel's controller; without a parent it makes one and sets itself up, as in Slicer."""

    def __init__(self, parent: Any = None) -> None:
        import qt

        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        if parent is None:
            self.parent = slicer.qMRMLWidget()
            self.parent.setLayout(qt.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()

    def resourcePath(self, filename: str) -> str:
        module = os.path.dirname(slicer.util.modulePath(self.moduleName))  # noqa: PTH120 - as Slicer
        return os.path.join(module, "Resources", filename)  # noqa: PTH118

    def setup(self) -> None:
        """For subclasses; real Slicer adds the Reload & Test section in developer mode."""

    def cleanup(self) -> None:
        """For subclasses."""

    def onReload(self) -> None:
        """Real Slicer reloads the module file here."""


class ScriptedLoadableModuleLogic:
    """The logic; its parameter node is a singleton of the scene."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__()
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.vtkMRMLScriptedModuleNode()
            node.SetSingletonTag(self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        # Closing the scene may take the attribute away from a node that survives it.
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """The self test; in Slicer `delayDisplay` shows its message for a moment."""

    def delayDisplay(self, message: str, *_arguments: Any, **_options: Any) -> None:
        logging.getLogger(__name__).info(message)

    def runTest(self) -> None:
        for name in (name for name in dir(self) if name.startswith("test")):
            self.setUp()
            getattr(self, name)()
            self.tearDown()


def install() -> None:
    """Make the stand-ins importable under Slicer's names."""
    base_classes = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    slicer.selfTests = {}
    _add_module("i18n", tr=lambda text: text, translate=lambda _context, text: text)
    _add_module("ScriptedLoadableModule", **{kind.__name__: kind for kind in base_classes})
    annotations = ("Choice", "Decimals", "Default", "Maximum", "Minimum", "SingleStep", "Validator", "WithinRange")
    _add_module(
        "parameterNodeWrapper",
        parameterNodeWrapper=parameter_node.parameterNodeWrapper,
        SlicerParameterNamePropertyName=parameter_node.PROPERTY,
        **{name: getattr(parameter_types, name) for name in annotations},
    )


def _add_module(name: str, **contents: Any) -> None:
    module = types.ModuleType(f"slicer.{name}")
    module.__dict__.update(contents, __all__=list(contents))
    sys.modules[module.__name__] = module
    setattr(slicer, name, module)
