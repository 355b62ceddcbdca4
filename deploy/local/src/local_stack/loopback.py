"""What stands in for somebody else's server here must be reachable from this machine alone."""

import ipaddress


def require_loopback(host: str, who: str, why: str) -> None:
    """Refuse any host but this machine: SystemExit for a name or address that others could reach."""
    try:
        safe = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        safe = False
    if not safe:
        raise SystemExit(f"{who} serves loopback only, not {host or 'nothing'}: {why}")
