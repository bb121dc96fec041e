"""Whether the files of a case are those of the last time.

The quick answer is names, sizes and times, as ``make`` and ``rsync`` have it. Where these differ the contents decide,
so that a folder that was only copied or touched is not done again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

_CHUNK = 1 << 20


def fingerprint(files: Iterable[Path]) -> str:
    """SHA-256 over names, sizes and times of change of files, the same in any order; 16 hexadecimal digits.

    A file that is not there any more counts as such and is no error: reading it will be.
    """
    facts = []
    for file in files:
        try:
            status = file.stat()
            facts.append(f"{file.name}\0{status.st_size}\0{status.st_mtime_ns}")
        except OSError:
            facts.append(f"{file.name}\0gone")
    return hashlib.sha256("\1".join(sorted(facts)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def content_checksum(files: Iterable[Path]) -> str:
    """SHA-256 over the contents of files, the same in any order and under any names.

    Raises
    ------
    OSError
        If one of them cannot be read.
    """
    sums = []
    for file in files:
        checksum = hashlib.sha256()
        with file.open("rb") as stream:
            while block := stream.read(_CHUNK):
                checksum.update(block)
        sums.append(checksum.hexdigest())
    return hashlib.sha256("".join(sorted(sums)).encode()).hexdigest()
