"""What the tests of several processes run in each of them: ``python -m Testing.training.several_processes JOB.json``.

The job names a prepared dataset and a list of runs, each a preset with a folder and options.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from GANSegmentationLib.datasets import Dataset
from GANSegmentationLib.training import Preset, RunOptions, Trainer


def main(path: Path) -> None:
    """Make the runs of a job one after the other, and note what each process said."""
    torch.set_num_threads(1)
    job = json.loads(path.read_text())
    dataset = Dataset.open(job["dataset"])
    for run in job["runs"]:
        said: list[str] = []
        options = RunOptions(accelerator="cpu", say=said.append, **run["options"])
        trainer = Trainer(Preset.from_dict(run["preset"]), dataset, Path(run["folder"]), options)
        result = trainer.run()
        facts = {"count": trainer.processes.count, "epochs": result.epochs, "score": result.best_score, "said": said}
        path.with_name(f"{Path(run['folder']).name}_{trainer.processes.rank}.json").write_text(json.dumps(facts))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
