"""The ctk widgets: sections, search, checkable rows, fitted text, ranges, paths."""

from __future__ import annotations

import pytest


@pytest.fixture
def ctk(application):
    import ctk

    return ctk


@pytest.fixture
def qt(application):
    import qt

    return qt


# ctkCollapsibleButton


@pytest.fixture
def section(ctk, qt, show):
    section = ctk.ctkCollapsibleButton()
    layout = qt.QVBoxLayout(section)
    for name in ("first", "second"):
        label = qt.QLabel(name)
        label.objectName = name
        layout.addWidget(label)
    show(section)
    return section


def child(section, name):
    return next(label for label in section.children() if label.objectName == name)


def test_a_collapsed_section_hides_its_contents_and_is_as_high_as_its_heading(section, application):
    application.processEvents()
    open_height = section.height
    section.collapsed = True
    application.processEvents()
    assert child(section, "first").visible is False
    assert section.height < open_height / 2
    section.collapsed = False
    assert child(section, "first").visible is True


def test_a_section_says_that_it_collapses(section, heard):
    collapsed, toggled = heard(section, "contentsCollapsed(bool)"), heard(section, "toggled(bool)")
    section.collapsed = True
    section.collapsed = True
    assert (collapsed, toggled) == ([(True,)], [(False,)])


def test_what_the_code_hides_stays_hidden_when_a_section_opens(section):
    child(section, "second").visible = False
    section.collapsed = True
    section.collapsed = False
    assert child(section, "first").visible is True
    assert child(section, "second").visible is False


def test_what_the_code_shows_in_a_closed_section_appears_when_it_opens(section):
    child(section, "second").visible = False
    section.collapsed = True
    child(section, "second").visible = True
    assert child(section, "second").visible is False
    section.collapsed = False
    assert child(section, "second").visible is True


def test_a_click_on_the_heading_toggles_and_one_below_does_not(section, qt):
    assert section.hitButton(qt.QPoint(5, 5)) is True
    assert section.hitButton(qt.QPoint(5, section.height - 2)) is False
    section.click()
    assert section.collapsed is True


# ctkSearchBox, ctkCheckableComboBox, ctkFittedTextBrowser


def test_the_search_box_is_a_line_edit_with_a_glass(ctk):
    box = ctk.ctkSearchBox()
    box.placeholderText = "Search"
    assert len(box.actions()) == 0
    box.showSearchIcon = True
    assert len(box.actions()) == 1
    assert box.text == ""


@pytest.fixture
def checkable(ctk):
    box = ctk.ctkCheckableComboBox()
    box.addItems(["Dice", "IoU", "HD95"])
    return box


def test_rows_are_unchecked_at_first_and_checked_by_index(checkable, qt, heard):
    said = heard(checkable, "checkedIndexesChanged()")
    assert checkable.noneChecked() is True
    index = checkable.checkableModel().index(1, 0)
    checkable.setCheckState(index, qt.Qt.Checked)
    checkable.setCheckState(index, 2)
    assert checkable.checkState(index) == qt.Qt.Checked == 2
    assert [found.row() for found in checkable.checkedIndexes()] == [1]
    assert len(said) == 1
    for row in range(3):
        checkable.setCheckState(checkable.model().index(row, 0), qt.Qt.Checked)
    assert checkable.allChecked() is True
    assert len(said) == 3


def test_the_box_shows_all_none_or_what_is_checked(checkable, qt, show):
    show(checkable)
    pictures = []
    for rows in ([], [0], [0, 1, 2]):
        for row in range(3):
            checkable.setCheckState(checkable.model().index(row, 0), 2 if row in rows else 0)
        pictures.append(checkable.grab().toImage())
    assert pictures[0] != pictures[1] != pictures[2] != pictures[0]


def test_a_fitted_text_is_as_high_as_it_needs(ctk, show, application):
    browser = ctk.ctkFittedTextBrowser()
    browser.html = "<br>".join(["line"] * 3)
    show(browser)
    low = browser.height
    browser.html = "<br>".join(["line"] * 9)
    assert browser.heightForWidth(380) > 2 * low
    assert browser.heightForWidth(40) >= browser.heightForWidth(380)


# ctkRangeWidget


@pytest.fixture
def range_widget(ctk):
    widget = ctk.ctkRangeWidget()
    widget.decimals = 0
    widget.setRange(1, 124)
    widget.setValues(1, 124)
    return widget


def test_values_stay_in_the_range_and_in_order(range_widget):
    range_widget.setValues(-5, 500)
    assert (range_widget.minimumValue, range_widget.maximumValue) == (1, 124)
    range_widget.setValues(90, 20)
    assert (range_widget.minimumValue, range_widget.maximumValue) == (20, 90)
    range_widget.minimumValue = 95
    assert (range_widget.minimumValue, range_widget.maximumValue) == (90, 90)
    range_widget.maximum = 50
    assert (range_widget.minimumValue, range_widget.maximumValue) == (50, 50)


def test_a_range_says_what_changed_once(range_widget, heard):
    both, low = heard(range_widget, "valuesChanged(double,double)"), heard(range_widget, "minimumValueChanged(double)")
    range_widget.setValues(10, 20)
    range_widget.setValues(10, 20)
    assert (both, low) == ([(10, 20)], [(10,)])


# ctkPathLineEdit, ctkDirectoryButton


@pytest.fixture
def path_edit(ctk, application):
    application.userSettings().clear()
    edit = ctk.ctkPathLineEdit()
    edit.filters = ctk.ctkPathLineEdit.Dirs
    edit.settingKey = "host/folder"
    return edit


def test_a_path_is_set_read_and_judged(path_edit, heard, tmp_path):
    said, valid = heard(path_edit, "currentPathChanged(QString)"), heard(path_edit, "validInputChanged(bool)")
    path_edit.currentPath = str(tmp_path)
    path_edit.currentPath = str(tmp_path / "none")
    assert said == [(str(tmp_path),), (str(tmp_path / "none"),)]
    assert valid == [(True,), (False,)]
    with pytest.raises((TypeError, AttributeError)):
        path_edit.setCurrentPath(tmp_path)


def test_the_history_of_paths_is_kept_in_the_settings(path_edit, ctk, tmp_path):
    path_edit.currentPath = str(tmp_path)
    path_edit.addCurrentPathToHistory()
    other = ctk.ctkPathLineEdit()
    other.settingKey = "host/folder"
    assert other.currentPath == str(tmp_path)
    assert other.comboBox().count == 1


def test_browsing_takes_the_folder_that_is_chosen(path_edit, application, tmp_path):
    from Testing.slicer_host.dialogs import dialogs

    dialogs.clear()
    dialogs.answers["folder"] = [tmp_path, ""]
    path_edit.browse()
    assert path_edit.currentPath == str(tmp_path)
    path_edit.browse()
    assert path_edit.currentPath == str(tmp_path)
    dialogs.clear()


def test_a_directory_button_holds_an_absolute_folder(ctk, heard, tmp_path):
    button = ctk.ctkDirectoryButton()
    changed, selected = heard(button, "directoryChanged(QString)"), heard(button, "directorySelected(QString)")
    button.directory = str(tmp_path)
    button.directory = str(tmp_path)
    assert (len(changed), len(selected)) == (1, 2)
    assert button.directory == str(tmp_path)
