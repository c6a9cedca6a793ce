"""Brings a hub's checkpoints to this machine, through `huggingface_hub`, which shows its progress on stderr.

located("checkpoints", "stabilityai/stable-diffusion-2-1-base")   # the folder, downloaded where it was not
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

from triptych.contract.hub import HubId, download_command, downloaded, needed_files, snapshot
from triptych.contract.weight_files import find_weights
from triptych.embedded.folders.places import absolute
from triptych.errors import FailedPreconditionError, NotDownloadedError, TriptychError, UnavailableError, invalid
from triptych.wire.target import is_here

logger = logging.getLogger(__name__)

_LONGEST_CAUSE = 300


def located(field: str, given: str | Path, variant: str = "") -> Path:
    """The path itself; of a hub's id, which no path here is, the folder in the hub's cache."""
    hub_id = HubId.parse(str(given))
    # Of what is here, and be it misspelt, no hub is asked.
    if hub_id is None or absolute(field, given).parent.is_dir():
        return Path(given)
    try:
        return downloaded(hub_id, variant)
    except NotDownloadedError:
        return download(hub_id, variant)


def download_for(address: str, given: str, variant: str = "") -> bool:
    """Downloads what the server at the address could not find; False where that is not on this machine."""
    hub_id = HubId.parse(given)
    if hub_id is None or not is_here(address):
        return False
    download(hub_id, variant)
    return True


def download(hub_id: HubId, variant: str = "") -> Path:
    """Downloads what a checkpoint is served from and no more.

    NotDownloadedError where `huggingface_hub` is not installed; UnavailableError where the hub cannot be reached or
    does not give it; FailedPreconditionError where it is no checkpoint in diffusers' format; InvalidArgumentError where
    it has nothing of the variant.
    """
    try:
        import huggingface_hub
    except ModuleNotFoundError as error:
        remedy = f"pip install 'triptych[hub]' to have it downloaded, or run {download_command(hub_id, variant)}"
        raise NotDownloadedError(f"{hub_id} is not in the hub's cache; {remedy}", field="path") from error
    try:
        siblings = huggingface_hub.HfApi().model_info(hub_id.repo, revision=hub_id.revision).siblings or []
        files = needed_files((each.rfilename for each in siblings), variant)
        _check(hub_id, files, [each.rfilename for each in siblings], variant)
        logger.info("downloading %s: %d files", hub_id, len(files))
        huggingface_hub.snapshot_download(hub_id.repo, revision=hub_id.revision, allow_patterns=files)
    except TriptychError:
        raise
    except Exception as error:  # of the library, of what it speaks HTTP with, or of the disk
        cause = " ".join(str(error).split())[:_LONGEST_CAUSE] or type(error).__name__
        elsewhere = f"where the network allows it: {download_command(hub_id, variant)}"
        raise UnavailableError(f"{hub_id} cannot be downloaded: {cause}; {elsewhere}") from error
    # Where the hub itself lacks a part, it is no download that helps.
    return snapshot(hub_id) or downloaded(hub_id, variant)


def _check(hub_id: HubId, files: list[str], names: list[str], variant: str) -> None:
    if files and files[0] == "model_index.json":
        if variant and not any(variant in each for each in find_weights(map(os.path.basename, names)).values()):
            raise invalid("variant", f"no weights of {hub_id} are of the variant {variant!r}")
        return
    problem = f"{hub_id} is no checkpoint in diffusers' format: it has no model_index.json"
    if single := sorted(name for name in names if "/" not in name and name.endswith((".safetensors", ".ckpt"))):
        problem += f"; download one of its single files: hf download {hub_id.repo} {single[0]}"
    raise FailedPreconditionError(problem, field="path")
