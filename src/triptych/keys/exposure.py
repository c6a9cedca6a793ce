"""A server that anybody on the network reaches wants credentials, unless its operator says otherwise."""

from __future__ import annotations

import ipaddress

from triptych.errors import InvalidArgumentError, invalid


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address; of a name other than localhost that is not known."""
    if host == "localhost" or host.startswith("unix:"):
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_exposure(field: str, host: str, *, has_credentials: bool, open_to_anyone: bool) -> None:
    """InvalidArgumentError about the address where it is for others too, and nobody is asked who they are."""
    if not (is_loopback(host) or has_credentials or open_to_anyone):
        raise exposed(field, host)


def exposed(field: str, host: str) -> InvalidArgumentError:
    """What is said of such an address, and how to go on."""
    remedy = "make a key, `triptych keys add NAME`, and name the file with --credentials; or say --open-to-anyone"
    return invalid(field, f"{host} can be reached from other machines, and anybody there could call; {remedy}")
