"""What an operator says of what is brought and kept, and its options on the command line."""

from __future__ import annotations

import argparse
import ipaddress
from dataclasses import dataclass, field

from triptych_gateway.incoming.addresses import ImageUrls

_DAY_S = 24 * 3600.0


@dataclass(frozen=True)
class KeptSettings:
    """Of one gateway."""

    picture_lifetime_s: float = 30 * _DAY_S
    max_picture_bytes: int = 20 << 30  # of all kept pictures together; the oldest go first
    max_upload_bytes: int = 64 << 30  # of one file
    max_uploads: int = 64  # at the same time, of all callers
    upload_idle_s: float = _DAY_S  # after which one is given up
    allow_paths: bool = False  # whether callers may register what lies on the server's machine by its path
    image_urls: ImageUrls = field(default_factory=ImageUrls)  # images that a request gives by their addresses


def add_kept_options(parser: argparse.ArgumentParser) -> None:
    """For `kept_settings_of`."""
    add = parser.add_argument
    add(
        "--keep-pictures", type=float, metavar="DAYS", default=KeptSettings.picture_lifetime_s / _DAY_S,
        help="how long pictures made over REST are kept; default %(default)g",
    )  # fmt: skip
    add(
        "--keep-bytes", type=int, metavar="BYTES", default=KeptSettings.max_picture_bytes,
        help="how large they may be together: the oldest go first; default %(default)d",
    )  # fmt: skip
    add(
        "--max-upload-bytes", type=int, metavar="BYTES", default=KeptSettings.max_upload_bytes,
        help="how large a model's or an image's file may be that is uploaded; default %(default)d",
    )  # fmt: skip
    add(
        "--allow-paths", action="store_true",
        help="let callers register checkpoints by paths of the server's machine; default: by uploads alone",
    )  # fmt: skip
    add(
        "--image-urls", action="store_true",
        help="fetch images that requests give by http:// or https://, from public addresses; default: they are refused",
    )  # fmt: skip
    add(
        "--image-urls-from", type=ipaddress.ip_network, metavar="NETWORK", action="append", default=[],
        help="a network that is not public, 10.1.0.0/16 say, from which they may be fetched too; repeatable",
    )  # fmt: skip


def kept_settings_of(given: argparse.Namespace) -> KeptSettings:
    """What the command line says."""
    return KeptSettings(
        picture_lifetime_s=given.keep_pictures * _DAY_S,
        max_picture_bytes=given.keep_bytes,
        max_upload_bytes=given.max_upload_bytes,
        allow_paths=given.allow_paths,
        image_urls=ImageUrls(given.image_urls, given.image_urls_from),
    )
