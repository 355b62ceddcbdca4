"""The shortcut for keys of 36 bytes puts every key where any Kafka client looks for it."""

from uuid import UUID

from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.partitioning import partition_of


@given(st.uuids(), st.integers(1, 64))
def test_it_is_the_partition_of_the_java_client(key: UUID, partitions: int) -> None:
    encoded = str(key).encode()
    assert partition_of(encoded, partitions) == (murmur2(encoded) & 0x7FFFFFFF) % partitions
