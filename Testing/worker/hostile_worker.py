"""Workers that do what a worker must not: ``python hostile_worker.py MODE [ARGUMENT]``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time


def say(**fields: object) -> None:
    os.write(1, (json.dumps(fields) + "\n").encode())


def commands():
    for line in sys.stdin:
        yield json.loads(line)


def answer(identifier: str, result: dict | None = None) -> None:
    say(event="result", id=identifier, job="probe", result=result or {"pid": os.getpid()})


def main(mode: str, argument: str = "") -> None:
    if mode == "not-listening":
        time.sleep(60)
    if mode == "launches":  # as PythonSlicer does: the worker is a child that inherits everything
        code = subprocess.call([sys.executable, __file__, *argument.split()])
        sys.exit(code if code >= 0 else 128 - code)
    if mode == "exits":
        sys.stderr.write("cannot go on: /srv/somebody/scan.nrrd\n")
        sys.exit(int(argument))
    if os.name == "posix":
        os.setsid()
    if mode == "noisy-start":
        os.write(1, b"launcher: starting\n\x00\xff\xfe\n\n")
    say(event="ready", protocol=1 if mode == "old" else 2, pid=os.getpid())
    if mode == "dies-idle":
        sys.stdin.readline()  # ends while the command is on its way
        if not os.path.exists(argument):  # noqa: PTH110
            open(argument, "w").close()  # noqa: PTH123
            sys.exit(0)
        answer("1")
    for command in commands():
        identifier = command.get("id", "")
        if command["command"] == "quit":
            return
        if command["command"] == "release" and mode == "leaves-slowly":
            say(event="released", ends=True)
            time.sleep(1)
            return
        if command["command"] == "cancel":
            if mode == "late":  # the result was on its way
                answer(identifier)
            continue
        if command["command"] != "run":
            continue
        say(event="started", id=identifier, job="probe")
        run(mode, argument, identifier)


def run(mode: str, argument: str, identifier: str) -> None:
    if mode == "deaf":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        say(event="log", text=f"{os.getpid()} {child.pid}", level="INFO", id=identifier)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    elif mode == "crashes":
        sys.stderr.write("first words\nlast words of /srv/somebody/Mueller^Eva/scan.nrrd\nwithout an end")
        sys.stderr.flush()
        os.kill(os.getpid(), int(argument))
        time.sleep(60)
    elif mode == "leaves":
        sys.exit(int(argument))
    elif mode == "garbage":
        for _ in range(2):
            os.write(1, b"Segmentation fault (core dumped)\n\xc3\n[1, 2]\n")
        half = json.dumps({"event": "log", "text": "grö", "level": "INFO", "id": identifier}, ensure_ascii=False)
        data = half.encode() + b"\n"
        os.write(1, data[: data.index(b"\xc3") + 1])  # ends within a character
        time.sleep(0.1)
        os.write(1, data[data.index(b"\xc3") + 1 :])
        answer(identifier)
    elif mode == "damaged":
        os.write(1, b'{"event": "result", "id": \n')
    elif mode == "too-long":
        for _ in range(2):
            sys.stdout.write("x" * 1024 * 1024)
        sys.stdout.write("\n")
        sys.stdout.flush()
    elif mode == "flood":
        total = int(argument)
        lines = [
            json.dumps({"event": "progress", "id": identifier, "stage": "segment", "done": i, "total": total})
            for i in range(total)
        ]
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()
        answer(identifier)
    elif mode == "loud":
        sys.stderr.write("x" * 3_000_000 + "\n" + "a line\n" * 100_000)
        answer(identifier)
    elif mode == "without-files":
        answer(identifier, {"labelmap": {"file": "labels.npy"}})
    elif mode == "of-another-run":
        for other in ("0", "another"):
            say(event="progress", id=other, stage="segment", done=1, total=2)
            answer(other)
            say(event="error", id=other, error={"code": "x", "message": "y"})
        answer(identifier)
    elif mode in ("late", "waits"):
        pass
    else:
        answer(identifier)


if __name__ == "__main__":
    main(*sys.argv[1:])
