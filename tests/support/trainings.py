"""Short trainings on demand, each a process of its own that is forked here, because the imports take seconds.

Each line of standard input is a JSON object: what to do ("train" or "deliver"), where, and in which environment. For
each one a line "PID started NUMBER" comes out, and a line "PID ended NUMBER STATUS" when it has ended, STATUS negative
where a signal did it.
"""

import json
import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from lightning_app import deliver
from lightning_app.azureml import delivery  # noqa: F401  the imports of deliver, which would do this each time
from lightning_app.azureml_logger import AzureMLRunLogger

SECONDS_A_ROW = 0.004


def train(rows: int) -> int:
    logger = AzureMLRunLogger()
    for step in range(rows):
        logger.log_metrics({"loss": 1 / (step + 1), "accuracy": step / rows}, step)
        time.sleep(SECONDS_A_ROW)
    logger.close()
    return 0


def work(order: dict[str, Any]) -> int:
    log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.update(order["environment"])
    return deliver.main(["outputs"]) if order["what"] == "deliver" else train(order["rows"])


def start(number: int, order: dict[str, Any]) -> None:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.chdir(Path(order["folder"]))
            status = work(order)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    say(f"{pid} started {number}")
    threading.Thread(target=wait_for, args=(pid, number)).start()


def wait_for(pid: int, number: int) -> None:
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    say(f"{pid} ended {number} {status}")


def say(line: str) -> None:
    """A line in one piece; ``print`` writes its parts one by one, between which another thread may write."""
    os.write(1, f"{line}\n".encode())


if __name__ == "__main__":
    say("ready")
    for number, line in enumerate(sys.stdin):
        start(number, json.loads(line))
