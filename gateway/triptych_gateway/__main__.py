"""`python -m triptych_gateway`: reads the command line and serves."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path

from triptych.errors import FailedPreconditionError, TriptychError
from triptych.logs import setup_logging
from triptych_gateway.a1111.settings import a1111_settings_of, add_a1111_options
from triptych_gateway.door.settings import add_options, settings_of
from triptych_gateway.kept.settings import add_kept_options, kept_settings_of
from triptych_gateway.settings import Settings

logger = logging.getLogger("triptych.gateway")


def parse(arguments: list[str] | None = None) -> Settings:
    """Settings from the command line; exits with 2 and a message where it is wrong."""
    parser = argparse.ArgumentParser(prog="triptych-gateway", description=__doc__)
    add = parser.add_argument
    add("--orchestrator", metavar="HOST:PORT", default="127.0.0.1:50051", help="its gRPC address; default %(default)s")
    add("--host", default=Settings.host, help="where to listen; default %(default)s")
    add("--port", type=int, default=Settings.port, help="default %(default)s")
    add("--state-dir", type=Path, required=True, help="where pictures and uploads are kept")
    add(
        "--drain-timeout", type=float, metavar="SECONDS", default=Settings.drain_timeout_s,
        help="how long running requests may go on after SIGTERM; default %(default)g",
    )  # fmt: skip
    add("--api-key", metavar="KEY", default=os.environ.get("TRIPTYCH_API_KEY", ""),
        help="the gateway's own, for an orchestrator that wants one; default $TRIPTYCH_API_KEY")  # fmt: skip
    add("--orchestrator-ca", type=Path, metavar="FILE",
        help="TLS to the orchestrator, trusting this certificate authority (PEM)")  # fmt: skip
    add("--presets", type=Path, metavar="FILE",
        help="TOML or JSON: mixtures of checkpoint, LoRAs and defaults by name, as models of OpenAI's API")  # fmt: skip
    add_options(parser)
    add_kept_options(parser)
    add_a1111_options(parser)
    given = parser.parse_args(arguments)
    door = settings_of(given)
    try:
        door.check(given.host)
    except TriptychError as error:
        parser.error(error.message)
    return Settings(
        given.orchestrator,
        given.state_dir,
        given.host,
        given.port,
        given.drain_timeout,
        given.api_key,
        given.orchestrator_ca,
        door,
        kept_settings_of(given),
        given.presets,
        a1111_settings_of(given),
    )


def main() -> int:
    """Exit code 1 if it cannot serve."""
    os.umask(0o077)  # prompts and pictures pass through
    settings = parse()
    setup_logging("gateway")
    try:
        _serve(settings)
    except TriptychError as error:
        logger.error(error.message, extra={"reason": error.reason})
        return 1
    return 0


def _serve(settings: Settings) -> None:
    try:
        from triptych_gateway.server import serve
    except ModuleNotFoundError as error:
        problem = f"the gateway needs the module {error.name!r}; install it: pip install 'triptych[gateway]'"
        raise FailedPreconditionError(problem) from error
    serve(settings)


if __name__ == "__main__":
    sys.exit(main())
