"""What becomes of a request: its pictures in files, their paths or JSON on stdout, the rest on stderr."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from triptych.cli.pictures.outputs import DEFAULT_NAME, STANDARD_OUTPUT, Outputs, named, open_outputs
from triptych.cli.progress import Progress, say
from triptych.errors import invalid
from triptych.sdk import Result


def add_output_options(parser: argparse.ArgumentParser, default: str = DEFAULT_NAME) -> None:
    """Adds -o, whose default gets the ending of the format, --force, --json and --quiet."""
    parser.set_defaults(default_output=default)
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o",
        "--output",
        metavar="PATTERN",
        help="file name that ends in .png, .jpg or .webp and may hold {index}, {seed}, {prompt}; or a directory; or - "
        f"for standard output (default: {named(default, '')}). A name that is taken, by another picture of the run "
        "too, gets a number: out-1.png",
    )
    group.add_argument("--force", action="store_true", help="overwrite files instead of numbering")
    group.add_argument("--json", action="store_true", help="one JSON object per prompt on stdout, no progress bar")
    group.add_argument("--quiet", action="store_true", help="no progress bar")


def outputs_of(arguments: argparse.Namespace, prompts: Sequence[str]) -> Outputs:
    """Where the pictures go, as the output options say; what -o ends in is the `image_format` that is asked for."""
    if arguments.json and arguments.output == STANDARD_OUTPUT:
        raise invalid("output", "standard output is where --json writes: name a file, or leave one of them out")
    images = arguments.num_images_per_prompt or len(arguments.image or []) or 1
    image_format = arguments.image_format or ""
    pattern = arguments.output or named(arguments.default_output, image_format)
    outputs = open_outputs(pattern, prompts, images, force=arguments.force, image_format=image_format)
    arguments.image_format = outputs.image_format or None
    return outputs


def deliver(
    arguments: argparse.Namespace, outputs: Outputs, prompt: str, prompt_index: int, progress: Progress
) -> None:
    """Writes a result's pictures and reports them.

    Args:
        arguments: with the output options.
        outputs: names and writes the files.
        prompt: what was asked for.
        prompt_index: the how-manieth prompt of the run, from 0.
        progress: has followed the request to its end.
    """
    result = progress.result
    first = prompt_index * len(result.files)
    written = [
        outputs.write(file, index=first + offset, seed=seed, prompt=prompt)
        for offset, (file, seed) in enumerate(zip(result.files, result.seeds, strict=True))
    ]
    paths = [path for path in written if path]
    for warning in result.warnings:
        say(f"triptych: warning: {warning}")
    if arguments.json:
        print(json.dumps(_as_json(prompt, paths, progress), ensure_ascii=False), flush=True)
        return
    if not arguments.quiet:
        say(_told(progress))
    for path in paths:
        print(path, flush=True)


def _told(progress: Progress) -> str:
    """What was drawn of which seeds, and how long it took; of what is not drawn the latter alone."""
    result = progress.result
    took = f"{result.timings.total_seconds:.3g} s"
    if not progress.seconds_per_step:
        return took
    return f"seed {', '.join(map(str, result.seeds))}: {took}, {progress.seconds_per_step:.3g} s/step"


def _as_json(prompt: str, paths: list[Path], progress: Progress) -> dict[str, Any]:
    result = progress.result
    filled_in = asdict(progress.queued) if progress.queued else {}
    filled_in.pop("seeds", None)  # each image has its own below
    images = [
        {"path": str(path), "seed": seed, "width": image.width, "height": image.height} | _done(result, index)
        for index, (path, seed, image) in enumerate(zip(paths, result.seeds, result.images, strict=True))
    ]
    return {
        **filled_in,
        "request_id": result.request_id,
        "prompt": prompt,
        "images": images,
        "seconds_per_step": progress.seconds_per_step,
        "timings": asdict(result.timings),
        "warnings": result.warnings,
    }


def _done(result: Result, index: int) -> dict[str, bool]:
    """What the server has done to a picture, where it does such things."""
    marked = {"watermarked": True} if result.watermarked[index] else {}
    found = result.nsfw_content_detected
    return marked if found is None else {**marked, "nsfw_content_detected": found[index]}
