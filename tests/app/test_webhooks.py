"""Webhooks of kinds, as an application names them."""

from __future__ import annotations

from pathlib import Path

import pytest

from taskpush import TaskContext, TaskPush, Webhook
from taskpush.errors import TaskPushError
from taskpush.settings import Settings


def _push(data: Path, *webhooks: Webhook | str, **settings: object) -> TaskPush:
    push = TaskPush(settings=Settings.model_validate({"data": data, **settings}))

    @push.task("layout", webhooks=webhooks)
    async def layout(ctx: TaskContext) -> None:
        """Does nothing."""

    return push


async def test_an_address_that_is_not_allowed_is_told_at_the_start(tmp_path: Path) -> None:
    push = _push(tmp_path, "http://10.0.0.1/hook")
    with pytest.raises(TaskPushError, match=r"kind layout: .*TASKPUSH_WEBHOOK_ALLOW"):
        async with push.lifespan():
            pass
    async with _push(tmp_path, "http://10.0.0.1/hook", webhook_allow="10.0.0.0/8").lifespan():
        pass


def test_what_is_no_webhook_is_refused_where_it_stands(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="events are among"):
        Webhook("https://example.org/", ("progress",))
    with pytest.raises(TypeError, match="webhooks are Webhooks"):
        _push(tmp_path, 7)  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize("entry", ["http://hooks.internal", "hooks.internal:80", "10.0.0.1/8"])
def test_an_entry_of_the_list_is_a_host_or_a_network(tmp_path: Path, entry: str) -> None:
    with pytest.raises(ValueError, match="no address, network or name"):
        _push(tmp_path, webhook_allow=entry)
