"""The request of a job, for people to read, made without a network."""

from typing import Any

import yaml

from submit.job import Job


def show(job: Job) -> None:
    """Prints the request in full, as YAML."""
    from submit.sdk_v1 import request

    print(as_yaml({"experiment": job.experiment, "definition": request(job)}), end="")


def as_yaml(content: dict[str, Any]) -> str:
    """In the order of the request, texts of several lines as such."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)


class _Dumper(yaml.SafeDumper):
    """Writes what is empty as nothing more than that."""
