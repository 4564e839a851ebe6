"""Which addresses only this machine reaches."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names under which a server on loopback may be addressed."""


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens at the host."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_name(host: str) -> str:
    """The name in a Host header, without its port; empty where it is none."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def same_origin(origin: str, host: str | None) -> bool:
    """Whether an Origin header tells of a page of the server that a Host header names."""
    try:
        return urlsplit(origin).netloc == host
    except ValueError:  # no address at all
        return False
