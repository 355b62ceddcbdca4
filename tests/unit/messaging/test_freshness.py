from datetime import UTC, datetime

import orjson

from shared.contracts.envelope import Topic
from shared.messaging.freshness import read_announcement, source_of

THINGS = Topic("unionhall.scratch.things.v1", partitions=2)
OTHERS = Topic("unionhall.scratch.others.v1", partitions=1)
AT = datetime(2026, 3, 16, tzinfo=UTC)
VALUE = orjson.dumps(
    {
        "service": "scratch",
        "at": AT.isoformat(),
        "ends": {THINGS.name: {"0": 10, "1": 0}, OTHERS.name: {"0": 99}},
    }
)


def test_it_is_reached_once_every_partition_is() -> None:
    said = read_announcement(VALUE, [THINGS])
    assert said.at == AT
    assert not said.reached({(THINGS.name, 0): 9, (THINGS.name, 1): 0})
    assert said.reached({(THINGS.name, 0): 10, (THINGS.name, 1): 0})


def test_a_partition_that_never_held_anything_is_reached_from_the_start() -> None:
    assert read_announcement(VALUE, [THINGS]).reached({(THINGS.name, 0): 10})


def test_topics_that_one_does_not_read_do_not_matter() -> None:
    assert (OTHERS.name, 0) not in read_announcement(VALUE, [THINGS]).ends


def test_the_owner_of_a_topic_is_in_its_name() -> None:
    assert source_of(THINGS) == "scratch"
