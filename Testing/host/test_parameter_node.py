"""The parameter node wrapper: values in a real node, and the real wrapper's ways."""

import enum
from typing import Annotated

import pytest


class Mode(enum.Enum):
    NEW = 1
    REPLACE = 2

    def label(self):
        return self.name.capitalize()


@pytest.fixture
def wrapper(application, scene):
    import slicer
    from slicer.parameterNodeWrapper import Choice, Default, Minimum, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        volume: slicer.vtkMRMLScalarVolumeNode
        title: str = "none"
        number: Annotated[int, Minimum(0)] = 3
        share: Annotated[float, WithinRange(0, 50)] = 2.0
        flag: bool
        mode: Mode = Mode.REPLACE
        names: list[str]
        plane: Annotated[str, Choice(["axial", "coronal"]), Default("coronal")]

    return Parameters


@pytest.fixture
def node(scene):
    return scene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


@pytest.fixture
def parameters(wrapper, node):
    return wrapper(node)


def test_defaults_are_written_into_the_node(parameters, node):
    assert (parameters.title, parameters.number, parameters.share, parameters.flag) == ("none", 3, 2.0, False)
    assert (parameters.volume, parameters.mode, parameters.plane) == (None, Mode.REPLACE, "coronal")
    assert node.GetParameter("mode") == "REPLACE", "an enumeration is written by its name"
    assert node.GetParameter("share") == "2.0"


def test_values_are_written_and_read(parameters, node, scene, wrapper):
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    parameters.volume, parameters.mode, parameters.share, parameters.flag = volume, Mode.NEW, 4, True
    other = wrapper(node)
    assert (other.volume, other.mode, other.share, other.flag) == (volume, Mode.NEW, 4.0, True)
    assert node.GetNodeReferenceID("volume") == volume.GetID()


def test_a_list_is_written_back_and_is_no_list(parameters, node, wrapper):
    parameters.names = ["Liver", "Spleen"]
    parameters.names.append("Kidney")
    parameters.names.remove("Liver")
    assert wrapper(node).names == ["Spleen", "Kidney"]
    assert not isinstance(parameters.names, list)
    with pytest.raises(TypeError):
        parameters.names + ["Aorta"]  # noqa: RUF005 - the plus is the point
    with pytest.raises(TypeError):
        parameters.names = [1]
    assert wrapper(node).names == ["Spleen", "Kidney"]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("number", -1, ValueError),
        ("number", 1.5, TypeError),
        ("share", 51, ValueError),
        ("share", "2", TypeError),
        ("title", None, ValueError),
        ("flag", 1, TypeError),
        ("mode", "NEW", TypeError),
        ("plane", "oblique", ValueError),
        ("nmber", 1, AttributeError),
    ],
)
def test_what_is_not_valid_is_refused(parameters, name, value, error):
    with pytest.raises(error):
        setattr(parameters, name, value)


def test_types_that_the_host_does_not_know_are_refused(application):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    with pytest.raises(TypeError):

        @parameterNodeWrapper
        class Parameters:
            where: dict[str, int]


class Gui:
    pass


@pytest.fixture
def gui(application, scene):
    import qt
    import slicer

    gui = Gui()
    gui.title, gui.number, gui.share, gui.flag = qt.QLineEdit(), qt.QSpinBox(), qt.QDoubleSpinBox(), qt.QCheckBox()
    gui.mode, gui.plane, gui.volume = qt.QComboBox(), qt.QComboBox(), slicer.qMRMLNodeComboBox()
    gui.volume.setMRMLScene(scene)
    for name, widget in vars(gui).items():
        widget.setProperty("SlicerParameterName", name)
    yield gui
    gui.volume.setMRMLScene(None)


def test_widgets_and_node_follow_each_other(parameters, gui, scene):
    parameters.connectGui(gui)
    assert [gui.mode.itemText(i) for i in range(2)] == ["New", "Replace"]
    assert (gui.mode.currentIndex, gui.plane.currentText, gui.share.value) == (1, "coronal", 2.0)
    assert (gui.number.minimum, gui.number.maximum, gui.share.maximum) == (0, 2**31 - 1, 50)
    gui.flag.click()
    gui.mode.currentIndex = 0
    gui.title.text = "mine"
    gui.share.value = 7.5
    volume = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    gui.volume.setCurrentNode(volume)
    assert (parameters.flag, parameters.mode, parameters.title, parameters.share) == (True, Mode.NEW, "mine", 7.5)
    assert parameters.volume is volume
    parameters.plane, parameters.number = "axial", 9
    assert (gui.plane.currentText, gui.number.value) == ("axial", 9)


def test_the_tag_of_connect_parameters_unbinds(parameters, gui):
    tag = parameters.connectParametersToGui({"title": gui.title})
    parameters.disconnectGui(tag)
    gui.title.text = "changed"
    assert parameters.title == "none"
    parameters.title = "other"
    assert gui.title.text == "changed"


def test_as_in_slicer_connect_gui_can_give_no_tag_and_stays_bound(parameters, gui, monkeypatch):
    from Testing.slicer_host import parameter_node

    monkeypatch.setattr(parameter_node, "connect_gui_gives_tag", False)
    tag = parameters.connectGui(gui)
    assert tag is None
    parameters.disconnectGui(tag)
    gui.title.text = "still bound"
    assert parameters.title == "still bound"


def test_unknown_parameters_and_unfit_widgets_are_refused(parameters, gui, application):
    import ctk
    import qt

    gui.title.setProperty("SlicerParameterName", "titel")
    with pytest.raises(ValueError, match="titel"):
        parameters.connectGui(gui)
    for name, widget in (("title", ctk.ctkSearchBox()), ("title", qt.QComboBox()), ("names", qt.QListWidget())):
        with pytest.raises(RuntimeError):
            parameters.connectParametersToGui({name: widget})


def test_the_node_passes_on_a_few_methods_only(parameters):
    with pytest.raises(AttributeError):
        parameters.GetParameter("title")
    parameters.EndModify(parameters.StartModify())
