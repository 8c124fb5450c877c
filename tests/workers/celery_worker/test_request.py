from __future__ import annotations

from unittest.mock import Mock

from common.broker.celery_app import make_app
from common.broker.task_message import DELIVER
from workers.worker import _register


def test_task_is_accepted_without_an_acknowledgement() -> None:
    app, sent = make_app("redis://127.0.0.1:1/0"), Mock()
    task = _register(app, Mock())
    message = Mock(headers={"id": "1", "task": DELIVER}, properties={}, delivery_info={}, payload=([], {}, {}))
    request = task.Request(message, app=app, task=task, on_ack=sent)
    request.on_accepted(pid=1, time_accepted=0.0)
    assert request.acknowledged
    assert not sent.called
