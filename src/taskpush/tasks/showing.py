"""What of a task's params and result somebody is shown who may read it."""

from __future__ import annotations

from dataclasses import replace

from pydantic import JsonValue

from taskpush.access.policy import may_see_sensitive
from taskpush.access.principal import Principal
from taskpush.core.masking import HIDDEN
from taskpush.models.task import TaskRecord
from taskpush.models.uploads import ids_in
from taskpush.runner.registry import Registry


class Showing:
    """Hides what the kind has marked as sensitive from those who may not see it.

    Of a kind that is not registered nobody knows what is sensitive: they are shown names only.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def record(self, principal: Principal, record: TaskRecord) -> TaskRecord:
        """The record as the principal may see it."""
        if may_see_sensitive(principal):
            return record
        spec = self._registry.get(record.kind)
        if spec is None:
            return replace(record, params=dict.fromkeys(record.params, HIDDEN), uploads=())
        if not spec.params_mask.hides:
            return record
        params = spec.params_mask.apply(dict(record.params))
        told = set(ids_in(params))
        uploads = tuple(ref for ref in record.uploads if ref.upload_id in told)
        return replace(record, params=params, uploads=uploads)

    def result(self, principal: Principal, record: TaskRecord) -> JsonValue:
        """The record's result as the principal may see it."""
        if may_see_sensitive(principal):
            return record.result
        spec = self._registry.get(record.kind)
        shown: JsonValue = HIDDEN if spec is None else spec.result_mask.apply(record.result)
        return shown
