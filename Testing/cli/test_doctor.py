"""``ganseg doctor``: the truth about an installation, whole or not."""

from __future__ import annotations

import json
import platform
from importlib import metadata

from GANSegmentationLib import __version__


def test_a_whole_installation_is_well(ganseg, package):
    ganseg("models", "import", package)
    done = ganseg("doctor", "--device", "cpu", "--json")
    findings = json.loads(done.out)
    assert done.code == 0, findings
    assert findings["ok"] is True
    assert findings["version"] == __version__
    assert findings["python"] == platform.python_version()
    assert findings["packages"]["torch"] == metadata.version("torch")
    assert findings["device"]["device"] == "cpu"
    assert findings["device"]["why"]
    assert findings["models"]["checked"] >= 1
    assert findings["models"]["broken"] == []
    assert findings["self_check"]["seconds"] >= 0


def test_the_findings_can_be_read(ganseg, package):
    ganseg("models", "import", package)
    done = ganseg("doctor", "--device", "cpu")
    assert done.code == 0, done.out
    assert "All is well." in done.out
    assert f"torch             {metadata.version('torch')}" in done.out
    assert done.err == ""


def test_a_broken_model_is_named_and_the_rest_still_examined(ganseg, package, library):
    ganseg("models", "import", package)
    library.joinpath("broken.ganseg").write_bytes(b"not a package")
    done = ganseg("doctor", "--device", "cpu")
    assert done.code == 1
    assert "broken.ganseg" in done.out
    assert "self-check  " in done.out
    assert "Something is wrong." in done.out


def test_a_device_that_is_not_there_is_said(ganseg, package):
    ganseg("models", "import", package)
    done = ganseg("doctor", "--device", "cuda:99", "--json")
    assert done.code == 1
    findings = json.loads(done.out)
    assert "cuda:99" in findings["device"]["error"]["message"]
    assert findings["models"]["broken"] == []
