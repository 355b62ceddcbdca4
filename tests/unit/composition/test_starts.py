"""Where a consumer begins that never ran before."""

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import events_service.worker
import gateway_service.worker
import welfare_service.worker
from tests.support.service import new_keys_file


@pytest.mark.parametrize(
    ("worker", "starts"),
    [
        (welfare_service.worker, {"welfare.directory": "earliest", "welfare.effects": "latest"}),
        (events_service.worker, {"events.directory": "earliest", "events.effects": "latest"}),
        (gateway_service.worker, {"gateway.directory": "earliest", "gateway.views": "earliest"}),
    ],
    ids=lambda given: given.SERVICE if isinstance(given, ModuleType) else "",
)
async def test_effects_begin_at_the_end_of_the_log_and_copies_at_its_beginning(
    worker: Any, starts: dict[str, str], tmp_path: Path
) -> None:
    settings = worker.Settings(
        worker_database_url="postgresql://nobody@127.0.0.1:9/none", kafka_bootstrap="127.0.0.1:9",
        keys_file=new_keys_file(tmp_path),
    )  # fmt: skip
    setup = worker.build(settings)
    assert {part.name: "latest" if part._latest else "earliest" for part in setup.consumers} == starts
    for close in setup.on_stop:
        await close()
