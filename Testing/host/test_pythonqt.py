"""What real Slicer refuses is refused here, and PythonQt's ways work."""

from __future__ import annotations

import pytest


@pytest.fixture
def qt(application):
    import qt

    return qt


@pytest.fixture
def stand_ins(application):
    from Testing.slicer_host.widgets import STAND_INS

    return STAND_INS


def test_unknown_attributes_are_refused_on_widgets_and_on_every_stand_in(qt, stand_ins):
    with pytest.raises(AttributeError, match="visble"):
        qt.QPushButton().visble = True
    for kind in stand_ins:
        with pytest.raises(AttributeError, match="noSuchProperty"):
            kind().noSuchProperty = 1


def test_unknown_signals_and_signatures_are_refused(qt):
    button = qt.QPushButton()
    for signature in ("clickd(bool)", "clicked(int)", "clicked(QString)"):
        with pytest.raises(AttributeError, match="has no signal"):
            button.connect(signature, print)


def test_unknown_methods_are_refused(qt):
    with pytest.raises(AttributeError):
        qt.QPushButton().setTxt("a")
    with pytest.raises(AttributeError):
        qt.QPushButton().set_text("a")


def test_what_only_pyside_has_is_not_there(qt):
    for name in ("Signal", "Slot", "Property", "SignalInstance", "__feature__"):
        assert not hasattr(qt, name)


def test_a_property_is_a_value_and_not_a_method(qt):
    box = qt.QCheckBox("a")
    assert (box.text, box.checked) == ("a", False)
    box.checked = True
    assert box.isChecked() is True
    with pytest.raises(TypeError):
        box.text()
    with pytest.raises(AttributeError):
        box.width = 3  # a property that cannot be written


def test_enumerations_are_numbers(qt):
    item = qt.QListWidgetItem("a")
    item.setCheckState(qt.Qt.Checked)
    assert item.checkState() == 2
    assert item.checkState() == qt.Qt.Checked
    assert item.checkState() != qt.Qt.Unchecked
    assert int(qt.Qt.AlignLeft) == 1
    assert {qt.Qt.Checked: "x"}[2] == "x"
    assert qt.Qt.UserRole + 1 == 257


def test_slots_take_what_they_accept_and_their_errors_are_kept(qt):
    from Testing.slicer_host import pythonqt

    button, calls = qt.QPushButton(), []
    button.connect("clicked(bool)", lambda: calls.append("none"))
    button.clicked.connect(lambda: calls.append("signal"))
    button.click()
    assert calls == ["none", "signal"]

    def fail():
        raise RuntimeError("in a slot")

    pythonqt.slot_errors.clear()
    button.connect("clicked()", fail)
    button.click()
    assert [str(error) for error in pythonqt.slot_errors] == ["in a slot"]
    assert button.disconnect("clicked()", fail) is True
    pythonqt.slot_errors.clear()
    button.click()
    assert pythonqt.slot_errors == []


def load(tmp_path, body, connections=""):
    import slicer.util

    path = tmp_path / "panel.ui"
    path.write_text(
        f'<ui version="4.0"><class>P</class><widget class="QWidget" name="P"><layout class="QVBoxLayout" name="l">'
        f"<item>{body}</item></layout></widget><connections>{connections}</connections></ui>",
        encoding="utf-8",
    )
    return slicer.util.childWidgetVariables(slicer.util.loadUI(str(path)))


def test_a_form_sets_flags_of_stand_ins_by_name(tmp_path, application):
    flags = "ctkPathLineEdit::Dirs|ctkPathLineEdit::Writable"
    body = f'<widget class="ctkPathLineEdit" name="p"><property name="filters"><set>{flags}</set></property></widget>'
    assert load(tmp_path, body).p.filters == 0x021


@pytest.mark.parametrize(
    "body",
    [
        '<widget class="ctkNoSuchWidget" name="w"/>',
        '<widget class="QLabel" name="w"><property name="txt"><string>a</string></property></widget>',
        '<widget class="ctkRangeWidget" name="w"><property name="minimumvalue"><double>1</double></property></widget>',
    ],
    ids=["class", "property", "property of a stand-in"],
)
def test_a_form_with_what_slicer_does_not_know_is_refused(tmp_path, application, body):
    with pytest.raises(RuntimeError, match=r"the \.ui file"):
        load(tmp_path, body)


@pytest.mark.parametrize(
    ("signal", "slot"), [("toggled(int)", "update()"), ("toggled(bool)", "setEnabled(int)"), ("toggled(bool)", "no()")]
)
def test_a_form_with_a_wrong_connection_is_refused(tmp_path, application, signal, slot):
    body = '<widget class="QCheckBox" name="w"/>'
    ends = f"<sender>w</sender><signal>{signal}</signal><receiver>P</receiver><slot>{slot}</slot>"
    with pytest.raises(AttributeError, match="has no s"):
        load(tmp_path, body, f"<connection>{ends}</connection>")


def test_none_outlives_many_calls(application):
    """PySide6 takes a reference to None with every call that returns nothing."""
    import sys

    if sys.version_info < (3, 12):
        assert sys.getrefcount(None) > 1 << 32
