"""A child process as the real one, around a worker that does what the name of a case says."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from pathlib import Path

from GANSegmentationLib.batch import child
from GANSegmentationLib.batch.outcome import CaseOutcome
from GANSegmentationLib.batch.task import Answer, Task, WorkSettings
from GANSegmentationLib.errors import GANSegmentationError


class HostileWorker:
    def __init__(self, settings: WorkSettings) -> None:
        self._settings = settings
        self._answered = 0

    def prepare(self) -> None:
        if self._settings.device == "none":
            raise GANSegmentationError("no_device", "There is no such device.")
        if self._settings.device == "dead":
            print("a broken installation", file=__import__("sys").stderr, flush=True)
            os._exit(7)

    def read(self, task: Task) -> str:
        if "unreadable" in task.case:
            raise GANSegmentationError("damaged_file", "The file is damaged.")
        if "crash-in-reading" in task.case:
            time.sleep(0.1)  # while the case before is being segmented
            ctypes.string_at(0)
        return task.path

    def finish(self, task: Task, loaded: str) -> Answer:
        os.write(2, b"MUSTERMANN is in what libraries warn of\n")
        if "segfault" in task.case:
            ctypes.string_at(0)
        if "killed" in task.case:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in task.case:
            Path(task.staged).write_text(str(os.getpid()))
            time.sleep(600)
        if "slow" in task.case:
            time.sleep(0.4)
        if "fault" in task.case:
            raise ZeroDivisionError("by a fault")
        self._answered += 1
        return Answer(CaseOutcome(task.case, "done", device=f"{os.getpid()} {self._answered}"), "sum")


if __name__ == "__main__":
    child.main(HostileWorker)
