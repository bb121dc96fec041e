"""Whatever computes for the panel: a request goes in, events come out, voxels stay in the run's private folder.

`handle` is the same whether it runs in a process of its own (``python -m GANSegmentationLib.worker``, see `process`) or
inside the application; `GANSegmentationLib.protocol` has the words. What a `Result` holds, by job:

``segment``
    All of `inference.Result.to_dict` (``seconds``, ``device``, ``warnings``, ``segments`` with their ``volume_ml``),
    ``labelmap`` (as `volumes.exchange.save_labelmap` describes it) and ``model`` (``id``, ``title``, ``version``).
``check``
    ``warnings`` and ``model``.
``compare``
    ``labels``: a list with the scores of each structure, `LabelScores.to_dict` with those of the CHAOS challenge, and
    ``slice_dice`` (one number or null a slice along the first array axis); ``differences``, a labelmap.
``export``
    ``path`` and ``bytes``.
``batch``
    How many are ``done``, ``failed``, ``pending``; ``seconds``; ``summary``, the path of the table; of a dry run
    ``cases``.
``probe``
    As `probe.probe`.

torch and the models are imported when a job needs them, not before.
"""

from .run import Cancel, Emit
from .worker import Worker, handle

__all__ = ["Cancel", "Emit", "Worker", "handle"]
