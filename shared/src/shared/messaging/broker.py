"""How the brokers are reached: plainly, or under TLS with a certificate that says which service this is.

The certificate comes as files, as Strimzi's secrets have them: the authority of the brokers, our own certificate, its key.
They are read whenever a client is made, so that a renewed one is taken at the next connection.
"""

import asyncio
import ssl
from pathlib import Path
from typing import Any, Final

from aiokafka import AIOKafkaConsumer

#: Where containers are given their certificate for Kafka. No such folder: the listener is a plain one.
CERTIFICATE: Final = Path("/run/kafka")
_FILES: Final = ("ca.crt", "user.crt", "user.key")


class CertificateProblem(OSError):
    """A file of the certificate is missing or is not what it should be. Waiting may help: it is tried again like a broker."""


def connection(bootstrap: str, folder: Path = CERTIFICATE) -> dict[str, Any]:
    """The arguments with which every client of Kafka is made. Raises CertificateProblem."""
    if not folder.is_dir():
        return {"bootstrap_servers": bootstrap}
    authority, certificate, key = (folder / name for name in _FILES)
    try:
        context = ssl.create_default_context(cafile=str(authority))
        context.load_cert_chain(str(certificate), str(key))
    except OSError as wrong:
        raise CertificateProblem(
            f"the certificate for Kafka in {folder} cannot be used: {type(wrong).__name__}"
        ) from wrong
    return {"bootstrap_servers": bootstrap, "security_protocol": "SSL", "ssl_context": context}


async def leave(reader: AIOKafkaConsumer) -> None:
    """Stop a reader, whatever it was at.

    While a broker is away its stop() raises the cancellation of one of its own tasks (aiokafka 0.14, Fetcher.close). Whoever
    stops it would take that for an own one, and end for ever.
    """
    task = asyncio.current_task()
    try:
        await reader.stop()
    except asyncio.CancelledError:
        await reader._client.close()  # noqa: SLF001 - what stop() did not come to
        if task is not None and task.cancelling():
            raise
