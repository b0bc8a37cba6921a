"""The values of an evaluation in the run folder: a JSON file with all of them, and a table of the classes."""

import json
import os
from collections.abc import Mapping
from typing import Any

from lightning_app.azureml.charts import Charts
from lightning_app.run_folder import RunFolder

STAGES = ("val", "test")


def save_evaluation(folder: RunFolder, stage: str, evaluation: Mapping[str, Any], step: int) -> None:
    """Writes ``STAGE_metrics.json``, and the table ``STAGE_by_class``, which is delivered like every other table.

    Args:
        folder: The run folder.
        stage: ``val`` or ``test``.
        evaluation: Plain objects; its ``classes`` are the rows of the table, mappings of the same keys.
        step: The optimizer steps of the network.

    Raises:
        ValueError: It is another stage.
    """
    if stage not in STAGES:
        raise ValueError(f"stage {stage!r}: expected one of {', '.join(STAGES)}")
    rows = evaluation.get("classes", ())
    if rows:
        Charts(folder.charts).table(f"{stage}_by_class", {name: [row[name] for row in rows] for name in rows[0]}, step)
    file = folder.evaluation(stage)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    unfinished.write_text(json.dumps({"stage": stage, "step": int(step), **evaluation}, indent=1) + "\n")
    unfinished.replace(file)
