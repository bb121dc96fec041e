"""Pages opened in a real browser: served from this computer, looked at by a page around them."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import threading
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Visit:
    """What the outer page wrote down, what was asked of the server, and what the browser complained of."""

    noted: str
    requests: list[str]
    console: list[str]


def browser() -> str:
    """The browser's path; on CI it has to be there."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        why = "Chromium, in which reports are looked at, is not installed"
        if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
            pytest.fail(why)
        pytest.skip(why)
    return path


def visit(folder: Path, page: str, script: str, tmp_path: Path, *, width: int = 1280) -> Visit:
    """Open a page of a folder in a frame of this width, and run a script around it.

    `script` is the body of a function of the frame's ``window``; what it returns is written down as JSON.
    """
    requests: list[str] = []
    (folder / "around.html").write_text(
        f'<!DOCTYPE html><link rel="icon" href="data:,"><iframe src="{page}" style="width:{width}px;height:900px;'
        f'border:0"></iframe><pre id="noted"></pre><script>onload = () => {{ const look = (window) => {{ {script} }};'
        "document.getElementById('noted').textContent = JSON.stringify(look(frames[0])); }</script>",
        encoding="utf-8",
    )

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_request(self, *_: Any) -> None:
            requests.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = subprocess.run(
            [
                *(browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
                *("--no-first-run", "--disable-extensions", "--disable-background-networking"),
                *(f"--user-data-dir={tmp_path / 'profile'}", "--enable-logging=stderr"),
                *("--virtual-time-budget=20000", "--dump-dom", f"http://127.0.0.1:{server.server_port}/around.html"),
            ],
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        )
    finally:
        server.shutdown()
        server.server_close()
        (folder / "around.html").unlink()
    found = re.search(r'<pre id="noted">(.*?)</pre>', done.stdout, re.DOTALL)
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return Visit(unescape(found.group(1)) if found else "", requests, console)
