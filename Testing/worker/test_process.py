"""The process speaks lines of the protocol and nothing else, stops when asked, and outlives nobody."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from GANSegmentationLib import protocol
from Testing.worker.serving import serving

needs_proc = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")


def program(do: str, *, grace: float = 0.5) -> tuple[str, str]:
    """A process with the real server and, instead of the jobs, the body of ``do(request, emit, cancel)``."""
    lines = "\n".join(f"    {line}" for line in do.strip().splitlines())
    return "-c", (
        "import os, sys, time, subprocess\n"
        "from GANSegmentationLib import protocol\n"
        "from GANSegmentationLib.worker import process\n"
        f"def do(request, emit, cancel):\n    def say(message): emit(protocol.to_dict(message))\n{lines}\n"
        "process._lead_a_session()\n"
        f"process.Server(*process._private_streams(), do, grace={grace}).run()\n"
    )


ANSWER = "say(protocol.Result(request['id'], 'probe', {}))"
WAIT_FOR_CANCEL = """
say(protocol.Started(request['id'], 'probe'))
while not cancel(): time.sleep(0.01)
say(protocol.Cancelled(request['id']))
"""
DEAF = """
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
say(protocol.Log(str(child.pid), id=request['id']))
time.sleep(60)
"""


def probe(identifier: str = "1") -> protocol.RunProbe:
    return protocol.RunProbe(identifier, "")


def is_alive(pid: int) -> bool:
    """Whether a process lives; one that has ended and that nobody has asked counts as gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def is_gone(pid: int, seconds: float = 5) -> bool:
    until = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(pid)


# Ready


def test_it_is_ready_at_once_and_says_who_it_is():
    with serving() as worker:
        ready = worker.next()
        assert ready == protocol.Ready(protocol.PROTOCOL_VERSION, worker.process.pid)
        if sys.platform.startswith("linux"):
            loaded = Path(f"/proc/{worker.process.pid}/maps").read_text()
            assert "torch" not in loaded
            assert "numpy" not in loaded
        if os.name == "posix":
            assert os.getsid(worker.process.pid) == worker.process.pid
            assert os.getpgid(worker.process.pid) == worker.process.pid


def test_it_does_real_work_and_stays_for_the_next_run(tmp_path):
    from GANSegmentationLib.volumes.exchange import load_labelmap, save_volume
    from Testing.tiny_model import tiny_scan, write_tiny_package

    package = write_tiny_package(tmp_path / "tiny.ganseg")
    with serving() as worker:
        for identifier in ("a", "b"):
            folder = tmp_path / f"Ordner größer {identifier}"
            folder.mkdir()
            volumes = (save_volume(tiny_scan(), folder, "volume"),)
            worker.send(
                protocol.RunSegment(identifier, str(folder), volumes=volumes, package=str(package), device="cpu")
            )
            assert worker.next(protocol.Device).device == "cpu"
            result = worker.next(protocol.Result)
            assert result.id == identifier
            assert (load_labelmap(result.result["labelmap"], folder).array == (tiny_scan().array > 100)).all()
        worker.send(protocol.Release())
        assert worker.next(protocol.Released) == protocol.Released(ends=False)
        worker.close_input()
        assert worker.ends() == 0


# Output


def test_only_messages_go_out_whatever_is_printed():
    noise = (
        """
import ctypes, faulthandler
print('printed'); sys.stdout.flush()
os.write(1, b'written to one')
sys.__stdout__.write('to the first stdout'); sys.__stdout__.flush()
subprocess.run([sys.executable, '-c', "print('by a child')"])
faulthandler.dump_traceback(file=1)
if os.name == 'posix': ctypes.CDLL(None).puts(b'by C'); ctypes.CDLL(None).fflush(None)
"""
        + ANSWER
    )
    with serving(program(noise)) as worker:
        worker.next(protocol.Ready)
        worker.send(probe())
        assert isinstance(worker.next(), protocol.Result)
        worker.close_input()
        assert worker.rest() == []
        assert worker.ends() == 0
        said = worker.errors()
    assert all(words in said for words in ("printed", "written to one", "first stdout", "by a child", "Current thread"))


def test_what_a_job_starts_cannot_read_the_commands():
    reads = "subprocess.run([sys.executable, '-c', 'import sys; sys.stdin.read()'], timeout=20)\n" + ANSWER
    with serving(program(reads)) as worker:
        worker.next(protocol.Ready)
        worker.send(probe("1"))
        worker.send(probe("2"))
        assert [worker.next(protocol.Result).id for _ in range(2)] == ["1", "2"]


def test_an_event_that_cannot_be_written_is_a_failure_of_its_run():
    with serving(program("say(protocol.Result(request['id'], 'probe', {'hd_mm': float('inf')}))")) as worker:
        worker.next(protocol.Ready)
        worker.send(probe("9"))
        failed = worker.next(protocol.Failed)
        assert (failed.id, failed.error["code"]) == ("9", "invalid_message")


def test_it_waits_for_a_reader_that_is_slow():
    many = "for i in range(3000): say(protocol.Progress(request['id'], 'segment', i, 3000))\n" + ANSWER
    with serving(program(many)) as worker:
        worker.next(protocol.Ready)
        worker.send(probe())
        time.sleep(0.3)
        events = [worker.next() for _ in range(3001)]
        assert [event.done for event in events[:-1]] == list(range(3000))
        assert isinstance(events[-1], protocol.Result)


# Input


def test_a_command_that_is_none_is_answered_and_the_next_one_done():
    with serving(program(ANSWER)) as worker:
        worker.next(protocol.Ready)
        worker.send(b"\xff\xfe nonsense\n\n" + b'{"command": "run", "job": "cook", "id": "5"}\n')
        assert [worker.next(protocol.Failed).id for _ in range(3)] == ["", "", "5"]
        worker.send(probe("6"))
        assert worker.next(protocol.Result).id == "6"


def test_a_command_in_pieces_is_one():
    line = protocol.line_of(probe("grün".encode().decode()))
    with serving(program(ANSWER)) as worker:
        worker.next(protocol.Ready)
        for part in (line[:7], line[7:20], line[20:]):
            worker.send(part)
            time.sleep(0.02)
        assert worker.next(protocol.Result).id == "grün"


# Cancelling and ending


def test_a_cancel_stops_its_run_and_no_other():
    with serving(program(WAIT_FOR_CANCEL)) as worker:
        worker.next(protocol.Ready)
        worker.send(probe("1"))
        worker.send(probe("2"))
        worker.next(protocol.Started)
        worker.send(protocol.Cancel("nobody"))
        worker.send(protocol.Cancel("1"))
        assert worker.next(protocol.Cancelled).id == "1"
        assert worker.next(protocol.Started).id == "2"
        worker.send(protocol.Cancel("2"))
        assert worker.next(protocol.Cancelled).id == "2"


def test_a_run_that_is_cancelled_before_its_turn_is_not_begun():
    with serving(program(WAIT_FOR_CANCEL)) as worker:
        worker.next(protocol.Ready)
        worker.send(probe("1"))
        assert worker.next() == protocol.Started("1", "probe")
        for message in (probe("2"), protocol.Cancel("2"), protocol.Cancel("1")):
            worker.send(message)
        assert [worker.next() for _ in range(2)] == [protocol.Cancelled("1"), protocol.Cancelled("2")]


@pytest.mark.parametrize("how", ["quit", "input"])
def test_it_ends_when_idle(how):
    with serving(program(ANSWER)) as worker:
        worker.next(protocol.Ready)
        worker.send(protocol.Quit()) if how == "quit" else worker.close_input()
        assert worker.ends(5) == 0


def test_the_end_of_the_input_stops_a_run():
    with serving(program(WAIT_FOR_CANCEL, grace=20)) as worker:
        worker.next(protocol.Ready)
        worker.send(probe())
        worker.next(protocol.Started)
        worker.close_input()
        assert isinstance(worker.next(), protocol.Cancelled)
        assert worker.ends(5) == 0


@needs_proc
def test_the_end_of_the_input_ends_a_run_that_does_not_stop_with_what_it_started():
    with serving(program(DEAF, grace=0.3)) as worker:
        worker.next(protocol.Ready)
        worker.send(probe())
        child = int(worker.next(protocol.Log).text)
        assert is_alive(child)
        begin = time.monotonic()
        worker.close_input()
        assert worker.ends(5) != 0
        assert time.monotonic() - begin < 3
        assert is_gone(child)


@needs_proc
def test_it_does_not_outlive_an_application_that_was_killed(tmp_path):
    """The application here is a process that starts a worker and is killed: its end of the pipe closes with it."""
    application = (
        "import subprocess, sys, time\n"
        "worker = subprocess.Popen([sys.executable, '-m', 'GANSegmentationLib.worker'], stdin=subprocess.PIPE)\n"
        "time.sleep(60)\n"
    )
    killed = subprocess.Popen([sys.executable, "-c", application], stdout=subprocess.PIPE)
    try:
        pid = protocol.decode(killed.stdout.readline().decode()).pid
        assert is_alive(pid)
    finally:
        killed.kill()
        killed.wait()
        killed.stdout.close()
    assert is_gone(pid)


def test_nothing_of_the_worker_uses_multiprocessing():
    """In Slicer it starts further Slicers, or hangs."""
    import GANSegmentationLib.batch
    import GANSegmentationLib.worker

    for package in (GANSegmentationLib.worker, GANSegmentationLib.batch):
        for path in Path(package.__file__).parent.glob("*.py"):
            assert "multiprocessing" not in path.read_text(encoding="utf-8"), path
