"""`triptych up`: runs the whole stack on this machine, says what runs where, stops on Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import logging
import shlex
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from triptych.cli.actions import columns
from triptych.contract import STAGES
from triptych.contract.engines import ENGINES
from triptych.contract.names import checkpoint_name
from triptych.contract.pictures.hooks import SAFETY_CHECKERS
from triptych.embedded import Stack, StackConfig
from triptych.embedded.config import BUILDING_STARTUP_S, LIMIT_NAMES, STARTUP_S
from triptych.embedded.folders.places import state_folder
from triptych.embedded.processes.supervisor import ProcessStatus
from triptych.errors import CancelledError, InvalidArgumentError, TriptychError, invalid
from triptych.keys.options import add_door_options

GATEWAY_PORT = 7860
EXIT_STOPPED, EXIT_FAILED, EXIT_USAGE = 0, 1, 2


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the subcommand; its `run` is in the parsed arguments."""
    parser = subparsers.add_parser("up", help="run the whole stack on this machine", description=__doc__)
    stages = ", ".join(STAGES)
    add = parser.add_argument
    add(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="a checkpoint, single file or diffusers-format directory, under its own name",
    )
    add(
        "--checkpoint",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=PATH",
        help="one under another name, or a hub's OWNER/NAME[@REVISION], downloaded where it is not here; repeatable; "
        "default: those kept, or else the demo",
    )
    add(
        "--upscaler",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=FILE",
        help="one of ESRGAN's kind, .pth or .safetensors; repeatable",
    )
    add(
        "--controlnet",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=PATH",
        help="one to draw under, .pth or .safetensors, or a directory as diffusers saves it; repeatable",
    )
    add(
        "--preprocessor",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=FILE",
        help="the network, .onnx, of one that `triptych preprocess --list` names as lacking it; repeatable",
    )
    add(
        "--ip-adapter",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=FILE",
        help="one to look at pictures by, .safetensors or .bin, its image encoder beside it; repeatable",
    )
    add(
        "--image-encoder",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=PATH",
        help="of an --ip-adapter, the file or directory of its image encoder where that is not beside it; repeatable",
    )
    add(
        "--variant",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=VARIANT",
        help="of a checkpoint's weights, as diffusers calls it: fp16, say; repeatable",
    )
    add("--engine", choices=ENGINES, default="onnxruntime", help="default: %(default)s")
    add(
        "--host",
        default="127.0.0.1",
        help="the API's address (default: %(default)s); all else stays on loopback",
    )
    add(
        "--port",
        type=int,
        default=50051,
        help="the API's port (default: %(default)s); 0 is a stack of its own: every port free, nothing kept",
    )
    add(
        "--metrics-port",
        type=int,
        metavar="PORT",
        help="Prometheus metrics: of the orchestrator here, of the stages' servers and the gateway at the ports that "
        "follow; 0 for free ones (default: the one after --port)",
    )
    door = parser.add_mutually_exclusive_group()
    door.add_argument(
        "--gateway-port",
        type=int,
        metavar="PORT",
        help="the HTTP gateway's, which has the page, at --host (default: 7860, with --port 0 a free one)",
    )
    door.add_argument("--no-gateway", action="store_true", help="no HTTP, gRPC alone")
    add(
        "--gateway-options",
        type=shlex.split,
        default=[],
        metavar="OPTIONS",
        help="more for the gateway, of triptych-gateway --help, in one text: '--presets mine.toml --image-urls'",
    )
    folder = parser.add_mutually_exclusive_group()
    folder.add_argument(
        "--run-dir",
        metavar="DIR",
        help="where checkpoints, LoRAs and logs are kept (default: $XDG_STATE_HOME/triptych, else "
        "~/.local/state/triptych; with --port 0, nowhere)",
    )
    folder.add_argument("--ephemeral", action="store_true", help="keep nothing after a clean stop")
    add("--cache-dir", help="engine artifacts (default: $TRIPTYCH_CACHE_DIR or ~/.cache/triptych)")
    add(
        "--threads",
        action="append",
        type=_pair(int),
        default=[],
        metavar="STAGE=N",
        help=f"cores; of {stages}",
    )
    add(
        "--replicas",
        action="append",
        type=_pair(int),
        default=[],
        metavar="STAGE=N",
        help=f"servers; of {stages}",
    )
    add("--placement", metavar="FILE", help="which replicas run on which cores, device or host, in place of the two")
    add(
        "--limit",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=VALUE",
        help=f"repeatable; of {', '.join(LIMIT_NAMES)}",
    )
    add(
        "--lora",
        action="append",
        type=_pair(str),
        default=[],
        metavar="NAME=FILE",
        help="a LoRA's safetensors file; repeatable",
    )
    add("--lora-dir", help="where LoRAs are kept (default: with the rest of the state)")
    add(
        "--startup-timeout",
        type=float,
        metavar="SECONDS",
        help=f"default: {STARTUP_S:g}; with tensorrt {BUILDING_STARTUP_S:g}, for engines that were not built ahead "
        "(`triptych build`) are built now",
    )
    add(
        "--drain-timeout",
        type=float,
        default=20.0,
        metavar="SECONDS",
        help="how long running requests may go on after a signal; all has ended 5 s later (default: %(default)g)",
    )
    add_door_options(parser)
    add(
        "--safety-checker",
        choices=SAFETY_CHECKERS,
        default="off",
        help="who looks at every picture that is drawn: checkpoint is its own, which each must have then; what is not "
        "safe for work comes back black (default: %(default)s)",
    )
    add(
        "--watermark",
        metavar="TEXT",
        default="",
        help="at most 16 bytes, with which all pictures that are drawn are marked invisibly; see `triptych watermark`",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Runs until a signal: 0 after a stop asked for, 1 when the stack fails, 2 for a wrong argument."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        stack = Stack(configuration(args))
    except InvalidArgumentError as error:
        return _complain(error, EXIT_USAGE)
    except TriptychError as error:
        return _complain(error, EXIT_FAILED)
    return serve(stack)


def serve(stack: Stack) -> int:
    """Starts the stack and stays until a signal stops it; a second signal ends the grace periods."""
    _stop_on_signals(stack)
    try:
        print("starting the stages' Triton servers and the orchestrator", flush=True)
        stack.start()
        print(table(stack.processes()), flush=True)
        if stack.gateway_url:
            print(f"\nthe page, and HTTP, at {stack.gateway_url}", flush=True)
        print(f"\nserving on {stack.address}; Ctrl-C stops everything; {_kept(stack)}", flush=True)
        stack.wait()
        failed = stack.failure is not None
    except CancelledError:  # a signal came during the start
        failed = False
    except (TriptychError, OSError) as error:
        return _complain(error, EXIT_FAILED)
    finally:
        stack.stop()
    print("stopped", flush=True)
    return EXIT_FAILED if failed else EXIT_STOPPED


def table(rows: list[ProcessStatus]) -> str:
    """What runs where, in columns."""
    header = ("PROCESS", "PID", "DEVICE", "CORES", "ENGINE", "ADDRESS", "METRICS", "LOG")
    cells = [header]
    for row in rows:
        metrics = f"http://{row.metrics_address}/metrics" if row.metrics_address else "-"
        cells.append((row.name, str(row.pid or "-"), *row.place, row.address, metrics, row.log_path or "-"))
    return "\n".join(columns(cells))


def configuration(args: argparse.Namespace) -> StackConfig:
    """What the arguments ask for."""
    checkpoints, others = _checkpoints(args)
    return StackConfig(
        checkpoints,
        others=others,
        image_encoders=dict(args.image_encoder),
        variants=dict(args.variant),
        engine=args.engine,
        host=args.host,
        port=args.port,
        metrics_port=_metrics_port(args),
        gateway_port=_gateway_port(args),
        gateway_options=tuple(args.gateway_options),
        credentials=tuple(args.credentials),
        open_to_anyone=args.open_to_anyone,
        tls_cert=args.tls_cert,
        tls_key=args.tls_key,
        run_dir=_run_dir(args),
        cache_dir=args.cache_dir,
        replicas=dict(args.replicas),
        threads=dict(args.threads),
        placement=args.placement,
        limits=dict(args.limit),
        loras=dict(args.lora),
        lora_dir=args.lora_dir,
        startup_timeout_s=args.startup_timeout,
        drain_timeout_s=args.drain_timeout,
        safety_checker=args.safety_checker,
        watermark=args.watermark,
    )


def _checkpoints(args: argparse.Namespace) -> tuple[dict[str, str | Path] | None, dict[str, str | Path]]:
    """Those that draw, None for what is kept or the demo, and others; each name stands for one alone."""
    drawing = [*((checkpoint_name(path), path) for path in args.paths), *args.checkpoint]
    others = [*args.upscaler, *args.controlnet, *args.preprocessor, *args.ip_adapter]
    for name, count in Counter(name for name, _ in (*drawing, *others)).items():
        if count > 1:
            raise invalid("checkpoint", f"{count} are called {name}; name them apart: --checkpoint NAME=PATH")
    return dict(drawing) or None, dict(others)


def _run_dir(args: argparse.Namespace) -> str | Path | None:
    """Where state is kept; None: nowhere, which is right for a stack of its own."""
    if args.run_dir is not None:
        return str(args.run_dir)
    return None if args.ephemeral or args.port == 0 else state_folder()


def _metrics_port(args: argparse.Namespace) -> int:
    """The one after the API's, unless something else is said."""
    if args.metrics_port is not None:
        return int(args.metrics_port)
    return args.port + 1 if args.port else 0


def _gateway_port(args: argparse.Namespace) -> int | None:
    """Its usual one, unless something else is said."""
    if args.no_gateway:
        return None
    if args.gateway_port is not None:
        return int(args.gateway_port)
    return GATEWAY_PORT if args.port else 0


def _kept(stack: Stack) -> str:
    return "nothing is kept" if stack.config.run_dir is None else f"state is kept in {stack.run_dir}"


def _pair(kind: Callable[[str], int | str]) -> Callable[[str], tuple[str, int | str]]:
    def parse(text: str) -> tuple[str, int | str]:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
        try:
            return name, kind(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{value!r} in {text!r} is not a number") from None

    return parse


def _stop_on_signals(stack: Stack) -> None:
    def on_signal(number: int, frame: FrameType | None) -> None:
        stack.request_stop()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, on_signal)


def _complain(error: Exception, code: int) -> int:
    print(f"triptych up: {error}", file=sys.stderr)
    return code
