"""Hyperparameters and what is known of the metrics, as tags and parameters of a run."""

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from lightning_app.azureml.delivery_log import DeliveryLog
from lightning_app.azureml.metric_names import accepted_name
from lightning_app.azureml.service import Service
from lightning_app.azureml.service_limits import AZURE_ML, Limits
from lightning_app.run_folder import RunFolder

Labels = dict[str, str]


class LabelUploader:
    """Sends hyperparameters, as parameters where the service has them and as tags otherwise, and summaries as tags.

    Args:
        folder: The run folder.
        service: The run at the service.
        delivery_log: Of the folder.
        generation: The number of the journal among those of the folder.
        notify_once: Called with each message for the user.
    """

    def __init__(
        self,
        folder: RunFolder,
        service: Service,
        delivery_log: DeliveryLog,
        generation: int,
        notify_once: Callable[[str], None],
    ) -> None:
        self._folder, self._service, self._log, self._notify_once = folder, service, delivery_log, notify_once
        self._generation = generation
        self._read: tuple[int, Labels] = (0, {})

    def deliver(self, summary: Mapping[str, str]) -> None:
        """Sends what has changed.

        Raises:
            DeliveryError: The service failed.
        """
        if self._service.limits.params == 0:
            self._deliver_tags({**summary, **self._hyperparameters()})
        else:
            self._deliver_tags(summary)
            self._deliver_params(self._hyperparameters())

    def _deliver_tags(self, content: Mapping[str, str]) -> None:
        limits = self._service.limits
        wanted = {
            accepted_name(f"{self._log.prefix}{name}", limits)[: limits.tag_name]: content[name] for name in content
        }
        if wanted.items() <= self._log.tags.items():
            return
        tags = wanted if limits.tags is None else fit_tags(wanted, self._service.tags())
        self._service.set_tags(tags)
        self._log.tagged(wanted)
        self._report_left(len(wanted) - len(tags), "tags", limits.tags)

    def _deliver_params(self, content: Mapping[str, str]) -> None:
        """A parameter can't be changed: another value, as of a second training in the folder, gets another name."""
        limits = self._service.limits
        wanted = {
            accepted_name(f"{self._log.prefix}{name}", limits)[: limits.name_length]: content[name] for name in content
        }
        if wanted.items() <= self._log.params.items():
            return
        existing = self._service.params()
        new = {}
        for name, value in wanted.items():
            if existing.get(name, value) != value:
                name = f"run{self._generation}.{name}"[: limits.name_length]
            if name not in existing:
                new[name] = value
        room = len(new) if limits.params is None else max(0, limits.params - len(existing))
        refused = self._service.log_params(dict(list(new.items())[:room]))
        self._log.parametrised(wanted)
        self._report_left(len(new) - room, "parameters", limits.params)
        for name, reason in refused.items():
            self._notify_once(
                f"{limits.service} refuses the parameter {name!r} ({reason}); it is in {self._folder.hyperparameters}."
            )

    def _report_left(self, left: int, what: str, limit: int | None) -> None:
        if left > 0:
            self._notify_once(
                f"{self._service.limits.service} accepts {limit} {what} per run; {left} hyperparameters are "
                f"only in {self._folder.hyperparameters}."
            )

    def _hyperparameters(self) -> Labels:
        path = self._folder.hyperparameters
        if not path.exists():
            return {}
        written = path.stat().st_mtime_ns
        if written != self._read[0]:
            self._read = written, to_tags(self._content(), self._service.limits, is_params=True)
        return self._read[1]

    def _content(self) -> Mapping[str, Any]:
        path = self._folder.hyperparameters
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, ValueError, RecursionError):
            content = ""
        if content is None or isinstance(content, Mapping):
            return content or {}
        self._notify_once(f"{path}: expected hyperparameters in YAML; without them the run gets no tags for them.")
        return {}


def to_tags(content: Mapping[str, Any], limits: Limits = AZURE_ML, *, is_params: bool = False) -> Labels:
    """Tags or parameters of a mapping: nested names are joined by dots, and what is too long ends in ``...``."""
    name_length, longest = limits.tag_name, limits.tag_value
    if is_params and limits.params != 0:
        name_length, longest = limits.name_length, limits.param_value
    return {_truncate(name, name_length): _truncate(str(value), longest) for name, value in _flat(content)}


def fit_tags(tags: Mapping[str, str], existing: Mapping[str, str], limits: Limits = AZURE_ML) -> Labels:
    """The first tags for which there is room beside the run's existing ones."""
    assert limits.tags is not None
    free = limits.tags - len(existing.keys() - tags.keys())
    return dict(list(tags.items())[: max(0, free)])


def _flat(content: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for name, value in content.items():
        nested = isinstance(value, Mapping) and value
        flat += _flat(value, f"{prefix}{name}.") if nested else [(f"{prefix}{name}", value)]
    return flat


def _truncate(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
