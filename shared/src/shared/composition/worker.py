"""The worker process of a service: relay, consumers, its own jobs, and those that every service has."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, Literal

from shared.composition.ring import key_ring
from shared.composition.schema import SchemaWatch
from shared.contracts.envelope import Topic
from shared.database.engine import Database
from shared.database.revisions import newest_migration
from shared.jobs import UPKEEP_EVERY, UPKEEP_JOB, JobHandler, JobRunner, upkeep_handler
from shared.kernel import texts
from shared.kernel.clock import Clock, SystemClock
from shared.messaging.consumer import Consumer
from shared.messaging.consumer_apply import Handler, Mode
from shared.messaging.parts import Part
from shared.messaging.relay import Relay
from shared.messaging.worker import WorkerSetup
from shared.security.chain import CHAIN_EVERY, CHAIN_JOB, chain_handler
from shared.security.rotation import ROTATION_JOB, WrappedKeys, rotation_handler
from shared.settings import ServiceSettings
from shared.web.idempotency import FORGET_KEYS, FORGET_KEYS_EVERY, forget_handler
from shared.web.invariants import WATCH_EVERY, WATCH_JOB, Invariant, watch_handler

Jobs = Mapping[str, JobHandler]
_EVERY: Final = {
    CHAIN_JOB: CHAIN_EVERY,
    FORGET_KEYS: FORGET_KEYS_EVERY,
    UPKEEP_JOB: UPKEEP_EVERY,
    WATCH_JOB: WATCH_EVERY,
}


class ServiceWorker:
    """What the parts of one service's worker stand on: its database (which shows it all rows), its keys, its clock."""

    def __init__(self, service: str, settings: ServiceSettings, clock: Clock | None = None) -> None:
        """`service` is "membership", whose package is "membership_service"."""
        texts.register(f"{service}_service")
        self.database = Database(
            settings.worker_database_url,
            pool_size=settings.database_pool,
            application_name=f"{service}-worker",
        )
        self.ring = key_ring(settings)
        self.clock = clock or SystemClock()
        self._service = service
        self._settings = settings

    def consumer(
        self,
        name: str,
        topics: Sequence[Topic],
        handler: Handler,
        mode: Mode,
    ) -> Consumer:
        """A consumer that applies what it reads here.

        A new replica needs all that was ever said. New effects begin with what is said from then on: what happened before was
        dealt with before, and the inbox that would tell does not know of it.
        """
        start: Literal["earliest", "latest"] = "latest" if mode == "effects" else "earliest"
        return Consumer(name, topics, handler, mode, self.database, self._settings.kafka_bootstrap, start)

    def setup(
        self,
        jobs: Jobs,
        every: Mapping[str, timedelta],
        *,
        invariants: Sequence[Invariant],
        wrapped_keys: Sequence[WrappedKeys] = (),
        consumers: Sequence[Part] = (),
    ) -> WorkerSetup:
        """All that this worker can run: `jobs`, those in `every` again and again, besides the jobs of every service.

        `wrapped_keys`: all that is wrapped by the key-encryption key.
        """
        standard: Jobs = {
            CHAIN_JOB: chain_handler(self.ring),
            FORGET_KEYS: forget_handler(self.clock),
            UPKEEP_JOB: upkeep_handler(self.clock),
            WATCH_JOB: watch_handler(invariants),
            ROTATION_JOB: rotation_handler(self.ring, wrapped_keys),
        }
        settings = self._settings
        return WorkerSetup(
            service=self._service,
            host=settings.http_host,
            port=settings.worker_port,
            always=(SchemaWatch(self.database, newest_migration(f"{self._service}_service")),),
            relay=Relay(settings.worker_database_url, settings.kafka_bootstrap, self._service),
            consumers=consumers,
            jobs=JobRunner(self.database, {**jobs, **standard}, every={**every, **_EVERY}),
            on_stop=(self.database.close,),
        )
