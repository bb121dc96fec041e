"""The words of the border between the panel and the process that computes: one JSON object a line.

The panel sends commands (`RunSegment`, `RunCheck`, `RunCompare`, `RunExport`, `RunBatch`, `RunProbe`, `Cancel`,
`Release`, `Quit`), the worker answers with events (`Ready`, `Started`, `Stage`, `Device`, `Progress`, `CaseDone`,
`Log`, `Warn`, `Result`, `Cancelled`, `Failed`, `Released`). Voxels never travel in a message: they lie as ``.npy``
files in a private folder that the command names (`GANSegmentationLib.volumes.exchange`), and a message says only which
file and which grid.

Example
-------
>>> encode(Progress(id="7", stage="segment", done=3, total=12))
'{"event": "progress", "id": "7", "stage": "segment", "done": 3, "total": 12, "seconds_left": null}'
>>> decode('{"command": "cancel", "id": "7"}')
Cancel(id='7')
"""

from .base import PROTOCOL_VERSION, JsonObject, Message
from .coding import MESSAGES, decode, encode, from_dict, shortened, to_dict
from .commands import (
    Cancel,
    Quit,
    Release,
    Run,
    RunBatch,
    RunCheck,
    RunCompare,
    RunExport,
    RunProbe,
    RunSegment,
)
from .events import (
    Cancelled,
    CaseDone,
    Device,
    Failed,
    Log,
    Progress,
    Ready,
    Released,
    Result,
    Stage,
    Started,
    Warn,
)
from .lines import MAX_LINE_BYTES, LineReader, line_of

__all__ = [
    "MAX_LINE_BYTES",
    "MESSAGES",
    "PROTOCOL_VERSION",
    "Cancel",
    "Cancelled",
    "CaseDone",
    "Device",
    "Failed",
    "JsonObject",
    "LineReader",
    "Log",
    "Message",
    "Progress",
    "Quit",
    "Ready",
    "Release",
    "Released",
    "Result",
    "Run",
    "RunBatch",
    "RunCheck",
    "RunCompare",
    "RunExport",
    "RunProbe",
    "RunSegment",
    "Stage",
    "Started",
    "Warn",
    "decode",
    "encode",
    "from_dict",
    "line_of",
    "shortened",
    "to_dict",
]
