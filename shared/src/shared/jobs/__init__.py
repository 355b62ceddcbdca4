"""Work that outlives a request: time-outs, effective dates, imports, rotation. Committed per chunk, resumed after a crash."""

from shared.jobs.context import JobContext, JobHandler, JobStopped, LeaseLost
from shared.jobs.queue import JobStatus, enqueue, job_status, request_cancel, submit
from shared.jobs.runner import JobRunner
from shared.jobs.upkeep import UPKEEP_EVERY, UPKEEP_JOB, upkeep_handler

__all__ = [
    "UPKEEP_EVERY",
    "UPKEEP_JOB",
    "JobContext",
    "JobHandler",
    "JobRunner",
    "JobStatus",
    "JobStopped",
    "LeaseLost",
    "enqueue",
    "job_status",
    "request_cancel",
    "submit",
    "upkeep_handler",
]
