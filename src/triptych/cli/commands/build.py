"""`triptych build`: makes engine artifacts of checkpoints ahead of time, where torch is installed."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.cache_folders import keeping_in
from triptych.cli.build_report import BuildReport
from triptych.cli.cache_folder import add_cache_option, cache_folder
from triptych.contract.engines import PRECISIONS, check_runtime, default_precision
from triptych.contract.installation import server_packages
from triptych.embedded.folders.temporary import private_temporary_files
from triptych.embedded.hub_files import located
from triptych.errors import TriptychError, invalid

if TYPE_CHECKING:
    from triptych.engine import EngineSettings

# Of each engine that has artifacts: what it needs installed to make them.
EXTRAS = {"onnxruntime": "server,torch", "tensorrt": "server,torch,tensorrt"}

# Of a graph beside the plain one, for which TensorRT has an engine of its own: what it is for, by fields of a Variant.
_PURPOSES: dict[str, dict[str, Any]] = {
    "controls": {"is_controlled": True},
    "image-prompt": {"prompts": 1},
    **{f"tiling-{axes}": {"axes": axes} for axes in ("x", "y", "xy")},
}


def add_parser(subparsers: Any) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "build",
        help="build engine artifacts ahead of time",
        description="Builds the engine artifacts that checkpoints need and the cache lacks: graphs, which all "
        "checkpoints of one architecture share, and with --engine tensorrt also engines for the GPU of this machine. "
        "Prints the path of each on stdout. A checkpoint that is broken is reported, and the others are built. "
        "Needs: pip install 'triptych[server,torch]', for TensorRT 'triptych[server,torch,tensorrt]'.",
    )
    add = parser.add_argument
    add(
        "path", nargs="*", type=Path, metavar="PATH",
        help="a diffusers-format directory, a single file, or a hub's OWNER/NAME",
    )  # fmt: skip
    add("--from", dest="source", type=Path, metavar="FILE", help="a file with one more PATH a line; # starts a comment")
    add("--engine", choices=EXTRAS, default="onnxruntime", help="whose artifacts (default: %(default)s)")
    add(
        "--for", dest="purposes", action="append", default=[], metavar="WHAT",
        help=f"TensorRT's engines for {', '.join(_PURPOSES)} too, or for several at once joined by +; repeatable",
    )  # fmt: skip
    add("--variant", metavar="NAME", default="", help="diffusers' variant of the weights, fp16 say, for TensorRT")
    add("--image-encoder", type=Path, metavar="PATH", help="of IP-Adapters, where it is not beside them")
    add("--device", help="the GPU that engines are built on (default: $TRIPTYCH_DEVICE, or cuda:0)")
    add("--precision", help=f"of engines: {', '.join(PRECISIONS)} (default: $TRIPTYCH_PRECISION, else fp16 on a GPU)")
    add_cache_option(parser)
    add("--json", action="store_true", help="a JSON array on stdout instead of paths")
    add("--quiet", action="store_true", help="no progress on stderr")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Builds for every path; the exit code is the first failure's."""
    paths = [*arguments.path, *(_listed(arguments.source) if arguments.source else ())]
    if not paths:
        raise invalid("path", "name a checkpoint, or with --from a file that does")
    graphs = [_fields(text) for text in arguments.purposes]
    if graphs and arguments.engine != "tensorrt":
        raise invalid("--for", f"{arguments.engine} has nothing built for it: leave it out")
    device, precision = _runtime(arguments)
    check_runtime(arguments.engine, device, precision)
    with server_packages("building", EXTRAS[arguments.engine]), private_temporary_files():
        return _build(paths, graphs, arguments, device, precision)


def _fields(purposes: str) -> dict[str, Any]:
    """Of the graph that is for all of them."""
    fields: dict[str, Any] = {}
    for purpose in purposes.split("+"):
        if purpose not in _PURPOSES or fields.keys() & _PURPOSES[purpose].keys():
            raise invalid("--for", f"{purposes!r} is not one of {', '.join(_PURPOSES)}, or several joined by +")
        fields |= _PURPOSES[purpose]
    return fields


def _build(
    paths: list[Path], graphs: list[dict[str, Any]], arguments: argparse.Namespace, device: str, precision: str
) -> int:
    from triptych.engine import EngineSettings
    from triptych.engine.build import check_buildable

    settings = EngineSettings(_threads(), cache_folder(arguments), device, precision)
    check_buildable(arguments.engine, settings)
    report = BuildReport(as_json=arguments.json, quiet=arguments.quiet)
    with keeping_in(settings.cache_dir):
        _build_all(paths, graphs, arguments, settings, report)
    return report.finish()


def _build_all(
    paths: list[Path],
    graphs: list[dict[str, Any]],
    arguments: argparse.Namespace,
    settings: EngineSettings,
    report: BuildReport,
) -> None:
    """Opens every checkpoint before anything is built: a mistake shows at once, not after hours."""
    from triptych.engine.build import build_artifact, graphs_of, open_models
    from triptych.engine.rewriting.variant import Variant

    asked = [Variant(**fields) for fields in graphs]
    models, variant = [], arguments.variant
    for path in paths:
        try:
            found = open_models(located("path", path, variant), variant, arguments.image_encoder)
            models += [(path, component, graph) for component in found for graph in graphs_of(component, asked)]
        except TriptychError as error:
            report.failed(path, error)
    report.total = len(models)
    for path, component, graph in models:
        name = component.architecture.model + (f" for {graph.label}" if graph.label else "")
        progress = report.begin(path, name)
        try:
            artifact = build_artifact(component, arguments.engine, settings, progress, graph)
        except Exception as error:  # of whichever package: the others are built all the same
            report.failed(path, error, name)
        else:
            report.done(artifact)


def _runtime(arguments: argparse.Namespace) -> tuple[str, str]:
    """Device and precision, as a stage chooses them; graphs are made for any, so that only what is said is checked."""
    if arguments.engine == "onnxruntime":
        return arguments.device or "cpu", arguments.precision or "fp32"
    device = arguments.device or os.environ.get("TRIPTYCH_DEVICE") or "cuda:0"
    return device, arguments.precision or os.environ.get("TRIPTYCH_PRECISION") or default_precision(device)


def _threads() -> int:
    text = os.environ.get("TRIPTYCH_THREADS") or str(len(os.sched_getaffinity(0)))
    if not text.isdecimal() or int(text) < 1:
        raise invalid("TRIPTYCH_THREADS", f"{text!r} is not a whole number of at least 1")
    return int(text)


def _listed(file: Path) -> list[Path]:
    """The paths in a file; relative ones are, like those on the command line, relative to the current directory."""
    try:
        lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise invalid("--from", f"{file} is no UTF-8 text") from error
    except OSError as error:
        raise invalid("--from", f"{file}: {error.strerror or error}") from error
    try:
        return [Path(line).expanduser() for line in lines if line and not line.startswith("#")]
    except RuntimeError as error:  # of an unknown user
        raise invalid("--from", f"{file}: {error}") from error
