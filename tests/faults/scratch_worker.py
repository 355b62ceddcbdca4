"""A worker of nothing but `shared`: the relay and one consumer of a scratch service, to be killed.

`FAULTS_TASK` is the JSON of a `Task`; the rest is as in a service's worker: `--run relay,consumers`.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

import orjson
from pydantic import BaseModel

from shared.contracts.envelope import Received, Topic
from shared.database.engine import Database
from shared.database.session import WriteSession
from shared.messaging.consumer import Consumer
from shared.messaging.consumer_apply import Mode
from shared.messaging.relay import TAKEOVER_WAIT, Relay
from shared.messaging.worker import WorkerSetup, serve_worker
from shared.observability.logs import configure_logs
from tests.faults import handlers

VARIABLE = "FAULTS_TASK"


class Task(BaseModel):
    """What one process is to do."""

    service: str
    topic: str
    partitions: int
    worker_url: str
    kafka: str
    mode: Mode
    consumer: str
    batch: int = 50
    #: Seconds that the handler takes.
    slow: float = 0.0
    takeover_wait: float = TAKEOVER_WAIT


def setup(task: Task) -> WorkerSetup:
    """The relay and the consumer."""
    topic = Topic(task.topic, partitions=task.partitions)
    database = Database(task.worker_url, pool_size=4, application_name="faults-worker")

    async def handle(session: WriteSession, events: Sequence[Received]) -> None:
        await (handlers.act if task.mode == "effects" else handlers.count)(session, events)
        if task.slow:
            await asyncio.sleep(task.slow)

    return WorkerSetup(
        service=task.service,
        host="127.0.0.1",
        port=0,
        relay=Relay(
            task.worker_url,
            task.kafka,
            task.service,
            topics=[topic],
            takeover_wait=task.takeover_wait,
            page=40,
        ),
        consumers=[
            Consumer(task.consumer, [topic], handle, task.mode, database, task.kafka, batch=task.batch)
        ],
        on_stop=[database.close],
    )


if __name__ == "__main__":
    configure_logs("faults", "INFO")
    serve_worker(setup(Task.model_validate(orjson.loads(os.environ[VARIABLE]))), sys.argv[1:])
