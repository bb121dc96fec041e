"""The real worker, slowed down: ``python slow_worker.py STAGE SECONDS [deaf]``.

It stays in a stage for so long, as native code does that asks nobody whether to stop (``deaf``), or asking at every
hundredth of a second.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from GANSegmentationLib.worker import process, run


def slow_down(stage: str, seconds: float, *, deaf: bool) -> None:
    enter: Any = run.RunOfJob.enter

    def entered(self: Any, name: str) -> None:
        before = self._stage
        enter(self, name)
        until = time.monotonic() + seconds
        while name == stage != before and time.monotonic() < until:
            time.sleep(0.01)
            if not deaf:
                self.check()

    run.RunOfJob.enter = entered  # type: ignore[method-assign]


if __name__ == "__main__":
    slow_down(sys.argv[1], float(sys.argv[2]), deaf="deaf" in sys.argv)
    process.main()
