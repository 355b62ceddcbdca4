"""The local stack: everything that Unionhall needs, real, as child processes on this machine."""

from local_stack.kafka import KafkaServer
from local_stack.postgres import PostgresServer
from local_stack.processes import LocalStackError

__all__ = ["KafkaServer", "LocalStackError", "PostgresServer"]
