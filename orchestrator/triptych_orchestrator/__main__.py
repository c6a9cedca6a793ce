"""`python -m triptych_orchestrator`: reads the command line and serves."""

from __future__ import annotations

import argparse
import asyncio
import logging
import math
import os
import sys
from dataclasses import fields
from pathlib import Path

from triptych.contract import STAGES
from triptych.contract.engines import DEFAULT_ENGINE, ENGINES
from triptych.contract.installation import server_packages
from triptych.contract.pictures.hooks import SAFETY_CHECKERS, check_hooks
from triptych.errors import TriptychError
from triptych.keys.exposure import check_exposure
from triptych.keys.options import add_door_options, check_tls
from triptych.logs import setup_logging
from triptych_orchestrator.settings import Limits, Settings

logger = logging.getLogger("triptych.server")


def _named(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not (name and separator and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _named_path(text: str) -> tuple[str, Path]:
    name, path = _named(text)
    return name, Path(path)


def _seconds(text: str) -> float:
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return value


def parse(arguments: list[str] | None = None) -> Settings:
    """Settings from the command line; exits with 2 and a message where it is wrong."""
    parser = argparse.ArgumentParser(prog="triptych-orchestrator", description=__doc__)
    parser.add_argument("--listen", metavar="HOST:PORT", default="127.0.0.1:50051", help="default %(default)s")
    parser.add_argument("--metrics", metavar="HOST:PORT", help="serve Prometheus metrics here; default: not at all")
    for stage in STAGES:
        text = f"Triton gRPC address of a {stage} replica, or any other gRPC target; repeatable"
        parser.add_argument(f"--{stage}", metavar="HOST:PORT", action="append", required=True, help=text)
    parser.add_argument("--state-dir", type=Path, required=True, help="where the list of checkpoints is kept")
    parser.add_argument(
        "--checkpoint", type=_named_path, action="append", default=[], metavar="NAME=PATH",
        help="a single file or diffusers-format directory to load at start; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--transient-checkpoint", type=_named_path, action="append", default=[], metavar="NAME=PATH",
        help="likewise, but for this run alone: it is not kept, and yields to a kept one of that name; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--variant", type=_named, action="append", default=[], metavar="NAME=VARIANT",
        help="diffusers' variant of the weights of a --checkpoint, fp16 say; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--image-encoder", type=_named_path, action="append", default=[], metavar="NAME=PATH",
        help="of a --checkpoint that is an IP-Adapter, the image encoder that does not lie beside it; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--lora", type=_named_path, action="append", default=[], metavar="NAME=PATH",
        help="a LoRA's safetensors file to take at start, in place of another of that name; repeatable",
    )  # fmt: skip
    parser.add_argument(
        "--lora-dir", type=Path, metavar="PATH",
        help="where LoRA files are kept, for the stages to read; default: loras in --state-dir",
    )  # fmt: skip
    parser.add_argument(
        "--engine", choices=ENGINES, default=DEFAULT_ENGINE,
        help="where neither a checkpoint's registration nor TRIPTYCH_ENGINE of a stage names one; default %(default)s",
    )  # fmt: skip
    limits_help = f"such as max_pixels=262144; repeatable; of {', '.join(limit.name for limit in fields(Limits))}"
    parser.add_argument("--limit", action="append", default=[], metavar="NAME=VALUE", help=limits_help)
    parser.add_argument(
        "--recovery-timeout", type=_seconds, metavar="SECONDS", default=Settings.recovery_timeout_s,
        help="how long a request waits for a stage that went away; default %(default)g",
    )  # fmt: skip
    parser.add_argument(
        "--load-timeout", type=_seconds, metavar="SECONDS", default=Settings.load_timeout_s,
        help="how long a stage may take to load a model, exports and engine builds among it; default %(default)g",
    )  # fmt: skip
    parser.add_argument(
        "--drain-timeout", type=_seconds, metavar="SECONDS", default=Settings.drain_timeout_s,
        help="how long running requests may go on after SIGTERM; the process ends 3 s later at most; "
        "default %(default)g",
    )  # fmt: skip
    parser.add_argument(
        "--listen-inside", metavar="HOST:PORT",
        help="listen here too, in plain text whatever --tls-cert says: for what runs on the same machine",
    )  # fmt: skip
    parser.add_argument(
        "--safety-checker", choices=SAFETY_CHECKERS, default=Settings.safety_checker,
        help="who looks at every picture that is drawn: the checkpoint's own, which it must have then; what is not "
        "safe for work comes back black; default %(default)s",
    )  # fmt: skip
    parser.add_argument(
        "--watermark", metavar="TEXT", default=Settings.watermark,
        help="a text of at most 16 bytes to mark all pictures with that are drawn, invisibly; default: none",
    )  # fmt: skip
    add_door_options(parser)
    given = parser.parse_args(arguments)
    registered = {name for name, _ in (*given.checkpoint, *given.transient_checkpoint)}
    for option, named in (("variant", given.variant), ("image-encoder", given.image_encoder)):
        for name in dict(named).keys() - registered:
            parser.error(f"argument --{option}: {name!r} is none of the names that --checkpoint gives")
    try:
        limits = Limits().with_changes(given.limit)
        host = given.listen.rpartition(":")[0] if not given.listen.startswith("unix:") else given.listen
        check_exposure("listen", host, has_credentials=bool(given.credentials), open_to_anyone=given.open_to_anyone)
        check_tls(given.tls_cert, given.tls_key)
        check_hooks(given.safety_checker, given.watermark)
    except TriptychError as error:
        parser.error(error.message)
    return Settings(
        listen=given.listen,
        metrics=given.metrics,
        stages={stage: tuple(getattr(given, stage)) for stage in STAGES},
        state_dir=given.state_dir,
        checkpoints=dict(given.checkpoint),
        transient_checkpoints=dict(given.transient_checkpoint),
        variants=dict(given.variant),
        image_encoders=dict(given.image_encoder),
        loras=dict(given.lora),
        lora_dir=given.lora_dir,
        engine=given.engine,
        limits=limits,
        recovery_timeout_s=given.recovery_timeout,
        load_timeout_s=given.load_timeout,
        drain_timeout_s=given.drain_timeout,
        credentials=tuple(given.credentials),
        open_to_anyone=given.open_to_anyone,
        tls_cert=given.tls_cert,
        tls_key=given.tls_key,
        listen_inside=given.listen_inside,
        safety_checker=given.safety_checker,
        watermark=given.watermark,
    )


def main() -> int:
    """Exit code 1 if a checkpoint or LoRA of the command line cannot be served, 130 for Ctrl-C before it starts to."""
    # Prompts, pictures and LoRAs pass through: what is written is for this user alone.
    os.umask(0o077)
    settings = parse()
    setup_logging("orchestrator")
    try:
        with server_packages("the orchestrator"):
            from triptych_orchestrator.api.server import serve
        asyncio.run(serve(settings))
    except TriptychError as error:
        logger.error(error.message, extra={"reason": error.reason})
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
