"""Every metric of Unionhall, declared once. Labels are few-valued: services, consumers, route templates, never ids or paths.

One process, one registry; Prometheus adds the process and the service as target labels.
"""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

OUTBOX_AGE: Final = Gauge(
    "unionhall_outbox_age_seconds",
    "Age of the oldest outbox row not yet sent; 0 when all is sent",
    registry=REGISTRY,
)
OUTBOX_BACKLOG: Final = Gauge("unionhall_outbox_backlog", "Outbox rows not yet sent", registry=REGISTRY)
OLDEST_TRANSACTION: Final = Gauge(
    "unionhall_oldest_transaction_age_xids",
    "Transactions begun since the oldest that is still open; it holds rotation of the outbox back",
    registry=REGISTRY,
)
RELAY_EVENTS: Final = Counter(
    "unionhall_relay_events", "Events acknowledged by the broker", registry=REGISTRY
)
RELAY_LEADER: Final = Gauge(
    "unionhall_relay_leader", "1 in the process that sends this outbox", registry=REGISTRY
)
RELAY_FAILURES: Final = Counter(
    "unionhall_relay_failures", "Passes given up and tried again", ["reason"], registry=REGISTRY
)

CONSUMER_EVENTS: Final = Counter(
    "unionhall_consumer_events", "Events applied", ["consumer"], registry=REGISTRY
)
CONSUMER_LAG: Final = Gauge(
    "unionhall_consumer_lag_seconds",
    "Age of the newest applied event while newer ones wait; 0 when all is applied",
    ["consumer"],
    registry=REGISTRY,
)
CONSUMER_BATCH: Final = Histogram(
    "unionhall_consumer_batch_seconds",
    "From fetch to commit of a batch",
    ["consumer"],
    buckets=_FAST,
    registry=REGISTRY,
)
CONSUMER_RETRIES: Final = Counter(
    "unionhall_consumer_retries", "Batches tried again", ["consumer", "reason"], registry=REGISTRY
)
CONSUMER_PAUSED: Final = Gauge(
    "unionhall_consumer_paused",
    "1 while the consumer waits for its database",
    ["consumer"],
    registry=REGISTRY,
)
DEAD_LETTERS: Final = Gauge(
    "unionhall_dead_letters", "Events given up, waiting for a person", ["consumer"], registry=REGISTRY
)
PARKED_KEYS: Final = Gauge(
    "unionhall_parked_keys",
    "Aggregates whose events wait behind a dead letter",
    ["consumer"],
    registry=REGISTRY,
)
REPLICA_AGE: Final = Gauge(
    "unionhall_replica_age_seconds",
    "How old a replica may be at most, by what was published",
    ["replica"],
    registry=REGISTRY,
)

JOBS: Final = Counter("unionhall_jobs", "Job runs by how they ended", ["kind", "outcome"], registry=REGISTRY)
HTTP_SECONDS: Final = Histogram(
    "unionhall_http_request_seconds",
    "From the first byte of a request to the last of its reply; routes are templates",
    ["route", "method", "status"],
    buckets=_FAST,
    registry=REGISTRY,
)
HTTP_IN_FLIGHT: Final = Gauge("unionhall_http_requests_in_flight", "Requests being served", registry=REGISTRY)

INVARIANT_BREACHES: Final = Gauge(
    "unionhall_invariant_breaches", "Breaches found by the last check", ["invariant"], registry=REGISTRY
)
AUDIT_LINKED_AT: Final = Gauge(
    "unionhall_audit_linked_timestamp_seconds",
    "When the chainer last had every audit entry linked",
    registry=REGISTRY,
)
LOG_REDACTIONS: Final = Counter(
    "unionhall_log_redactions",
    "What the guard blotted out of logs; each is a defect to find",
    ["kind"],
    registry=REGISTRY,
)


def exposition() -> tuple[bytes, str]:
    """Body and content type of `/metrics`."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
