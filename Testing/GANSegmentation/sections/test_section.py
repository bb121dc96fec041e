"""What the sections share: showing is not choosing, and what is off says why."""

from __future__ import annotations

import pytest


@pytest.fixture
def section(application):
    from GANSegmentationPanel.sections import section

    return section


@pytest.fixture
def combo_box(application):
    import ctk

    comboBox = ctk.ctkCheckableComboBox()
    yield comboBox
    comboBox.deleteLater()


def test_a_list_is_filled_without_a_signal_and_then_tells_of_choices(section, combo_box):
    import qt

    said = []
    combo_box.connect("checkedIndexesChanged()", lambda: said.append("changed"))
    section.fillCheckable(combo_box, [("Liver", "Liver"), ("Spleen", "Spleen")], {"Spleen"})
    assert said == []
    assert section.uncheckedOf(combo_box) == ["Spleen"]
    combo_box.setCheckState(combo_box.model().index(0, 0), qt.Qt.Unchecked)
    assert len(said) == 1
    assert section.uncheckedOf(combo_box) == ["Liver", "Spleen"]


def test_what_is_off_says_why(section, application):
    import qt

    button = qt.QPushButton()
    section.setEnabled(button, "No <volume> is chosen.", "Go.")
    assert not button.enabled and button.toolTip == "<p>No &lt;volume&gt; is chosen.</p>"
    section.setEnabled(button, None, "Go.")
    assert button.enabled and button.toolTip == "Go."
    button.deleteLater()
