"""The option of `generate` for IP-Adapters.

client.generate(prompt, ip_adapters=arguments.ip_adapters)
"""

from __future__ import annotations

import argparse

from triptych.sdk.parts.ip_adapters import IpAdapter

NAMES = ("ip_adapters",)


def add_ip_adapter_options(parser: argparse.ArgumentParser) -> None:
    """Adds --ip-adapter, which may be repeated."""
    parser.add_argument_group("IP-Adapters").add_argument(
        "--ip-adapter", dest="ip_adapters", type=ip_adapter, action="append", metavar="NAME=FILE[:SCALE]",
        help="one that was added, the picture that it looks at beside the prompt, and what its share is multiplied by "
        "(default: 1); repeatable",
    )  # fmt: skip


def ip_adapter(text: str) -> IpAdapter:
    """From plus=photo.png:0.6, say; a file's own name may have colons in it."""
    name, equals, rest = text.partition("=")
    if not (name and equals and rest):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=FILE[:SCALE]")
    file, colon, last = rest.rpartition(":")
    try:
        return IpAdapter(name, file, float(last)) if colon else IpAdapter(name, rest)
    except ValueError:
        return IpAdapter(name, rest)
