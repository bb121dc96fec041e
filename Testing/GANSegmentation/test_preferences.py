"""What belongs to this computer is kept in the settings, and broken settings do no harm."""

from __future__ import annotations

import pytest

from GANSegmentationLib.errors import GANSegmentationError


class Settings:
    """A QSettings in memory; an ini file gives everything back as text."""

    def __init__(self, **values):
        self.values = {f"GANSegmentation/{key}": value for key, value in values.items()}
        self.synced = 0

    def value(self, key):
        return self.values.get(key)

    def setValue(self, key, value):
        self.values[key] = str(value)

    def remove(self, key):
        self.values.pop(key, None)

    def sync(self):
        self.synced += 1


@pytest.fixture
def preferences(application):
    from GANSegmentationPanel.preferences import Preferences

    return lambda environment=None, **values: Preferences(Settings(**values), environment or {})


def test_the_defaults(preferences):
    fresh = preferences()
    assert (fresh.device, fresh.runMode, fresh.idleMinutes, fresh.pendingInstall) == ("auto", "process", 10, "")
    assert fresh.modelFolder.name == "Models"
    assert fresh.lastFolder("import") == ""


def test_what_is_chosen_is_kept(preferences, tmp_path):
    chosen = preferences()
    chosen.device, chosen.runMode, chosen.idleMinutes = "cuda:1", "inline", 0
    chosen.modelFolder = tmp_path / "Modelle für Ärzte"
    assert (chosen.device, chosen.runMode, chosen.idleMinutes) == ("cuda:1", "inline", 0)
    assert chosen.modelFolder == tmp_path / "Modelle für Ärzte"
    assert chosen.toDict()["modelFolder"].endswith("Ärzte")


def test_it_survives_a_real_settings_file(application, tmp_path):
    import qt
    from GANSegmentationPanel.preferences import Preferences

    path = str(tmp_path / "settings.ini")
    first = Preferences(qt.QSettings(path, qt.QSettings.IniFormat), {})
    first.device, first.idleMinutes, first.pendingInstall = "cpu", 45, "torch"
    first.rememberFolder("export", tmp_path)
    del first
    again = Preferences(qt.QSettings(path, qt.QSettings.IniFormat), {})
    assert (again.device, again.idleMinutes, again.pendingInstall) == ("cpu", 45, "torch")
    assert again.lastFolder("export") == str(tmp_path)


@pytest.mark.parametrize(
    ("key", "broken", "default"),
    [
        ("device", "cuda:one", "auto"),
        ("device", "; rm -rf", "auto"),
        ("device", ["cpu"], "auto"),
        ("runMode", "thread", "process"),
        ("idleMinutes", "soon", 10),
        ("idleMinutes", "-5", 10),
        ("idleMinutes", "1e9", 10),
        ("idleMinutes", "99999", 10),
        ("pendingInstall", "monai", ""),
    ],
)
def test_a_broken_value_is_read_as_the_default(preferences, key, broken, default):
    assert getattr(preferences(**{key: broken}), key) == default


@pytest.mark.parametrize(("name", "wrong"), [("device", "gpu"), ("runMode", ""), ("idleMinutes", -1)])
def test_a_wrong_value_is_refused_and_the_old_one_stays(preferences, name, wrong):
    fresh = preferences()
    before = getattr(fresh, name)
    with pytest.raises(GANSegmentationError) as caught:
        setattr(fresh, name, wrong)
    assert caught.value.code == "invalid_preference"
    assert getattr(fresh, name) == before


def test_models_lie_outside_of_the_extension_so_that_its_updates_keep_them(preferences):
    from Testing.GANSegmentation.conftest import PROJECT

    assert PROJECT not in preferences().modelFolder.parents


def test_the_environment_decides_where_models_lie(preferences, tmp_path):
    both = preferences({"GANSEG_MODELS": str(tmp_path)}, modelFolder="/elsewhere")
    assert both.modelFolder == tmp_path
    assert both.modelFolderIsFixed
    chosen = preferences(modelFolder=str(tmp_path / "own"))
    assert not chosen.modelFolderIsFixed
    assert chosen.modelFolder == tmp_path / "own"
    chosen.modelFolder = None
    assert chosen.modelFolder != tmp_path / "own"


def test_a_relative_folder_of_models_is_refused_and_not_believed(preferences):
    with pytest.raises(GANSegmentationError):
        preferences().modelFolder = "models"
    assert preferences(modelFolder="models").modelFolder.is_absolute()


def test_last_folders_are_those_that_still_exist(preferences, tmp_path):
    fresh = preferences()
    folder = tmp_path / "Bilder 肝"
    folder.mkdir()
    (folder / "scan.nrrd").touch()
    fresh.rememberFolder("import", folder / "scan.nrrd")
    assert fresh.lastFolder("import") == str(folder)
    assert fresh.lastFolder("export") == ""
    (folder / "scan.nrrd").unlink()
    folder.rmdir()
    assert fresh.lastFolder("import") == ""
    with pytest.raises(GANSegmentationError):
        fresh.lastFolder("somewhere")


def test_a_pending_installation_reaches_the_disk_before_the_restart(application):
    from GANSegmentationPanel.preferences import Preferences

    settings = Settings()
    preferences = Preferences(settings, {})
    preferences.pendingInstall = "torch"
    assert settings.synced == 1
    preferences.pendingInstall = ""
    assert settings.values == {}
