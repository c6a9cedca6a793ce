"""IP-Adapters through the real servers, and that the pictures are diffusers'."""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from tests import tiny
from tests.conftest import CACHE, Served
from tests.e2e.ip_adapters.making import save_ip_adapter
from tests.e2e.serving import difference, meeting
from tests.parity.oracle import drawn, made, masks
from tests.session.graphs import fill_cache
from triptych import Control, IpAdapter
from triptych.errors import CheckpointInvalidError, InvalidArgumentError, NotFoundError

SEED = 3
REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "negative_prompt": "a star", "num_inference_steps": 4, "width": 64, "height": 64,
    "scheduler": "ddim", "guidance_scale": 6.0,
}  # fmt: skip
PICTURE, OTHER = drawn((90, 64), 0), drawn((64, 80), 1)


@pytest.fixture(scope="module")
def adapters(
    served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """Two for each of SD 1.x and SD XL, registered by these names; each is loaded when it is first drawn with."""
    root = tmp_path_factory.mktemp("ip-adapters")
    paths = {
        f"{kind}-{family}": save_ip_adapter(root / family, checkpoints[family], kind)
        for family in ("sd1", "sdxl")
        for kind in ("plain", "plus")
    }
    fill_cache(CACHE, [path for name, path in paths.items() if name.endswith("sd1")])
    for name, path in paths.items():
        registered = served.client.register_ip_adapter(name, path)
        assert (registered.family, registered.purpose) == ("ip-adapter", "prompting")
    yield paths
    for name in paths:
        served.client.unregister_checkpoint(name)


def ours(served: Served, *prompts: IpAdapter, checkpoint: str = "sd1", **more: Any) -> Any:
    return served.client.generate(**REQUEST | more, checkpoint=checkpoint, seed=SEED, ip_adapters=list(prompts))


@functools.cache
def pipeline(kind: str, folder: Path, files: Sequence[Path], net: Path | None = None) -> Any:
    more = {"controlnet": diffusers.ControlNetModel.from_pretrained(net)} if net else {}
    pipe = getattr(diffusers, kind).from_pretrained(folder, **more)
    pipe.load_ip_adapter([file.parent for file in files], subfolder="", weight_name=[file.name for file in files])
    pipe.set_progress_bar_config(disable=True)
    return pipe


def theirs(pipe: Any, prompts: Sequence[IpAdapter], **more: Any) -> list[Image.Image]:
    pipe.set_ip_adapter_scale([prompt.scale for prompt in prompts])
    values = REQUEST | more | {"generator": torch.Generator("cpu").manual_seed(SEED)}
    images: list[Image.Image] = made(pipe, **values, ip_adapter_image=[prompt.image for prompt in prompts])
    return images


def apart(result: Any, expected: list[Image.Image]) -> int:
    pairs = zip(result.images, expected, strict=True)
    return max(int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max()) for a, b in pairs)


def test_one_picture_several_and_several_adapters_are_diffusers(
    served: Served, checkpoints: dict[str, Path], adapters: dict[str, Path]
) -> None:
    one, both = (
        [IpAdapter("plain-sd1", PICTURE, 0.6)],
        [IpAdapter("plain-sd1", OTHER, 0.5), IpAdapter("plus-sd1", [PICTURE, OTHER], 0.9)],
    )
    plain = ours(served)
    for prompts in (one, both):
        files = tuple(adapters[prompt.name] for prompt in prompts)
        expected = theirs(pipeline("StableDiffusionPipeline", checkpoints["sd1"], files), prompts)
        result = ours(served, *prompts)
        assert apart(result, expected) <= 2
        assert difference(result, plain) > 2


def test_at_a_scale_of_nothing_the_picture_is_what_it_is_without(served: Served, adapters: dict[str, Path]) -> None:
    nothing = ours(served, IpAdapter("plain-sd1", PICTURE, 0.0))
    assert difference(nothing, ours(served)) == 0


def test_requests_with_unlike_pictures_and_scales_share_batches_and_change_no_bytes(
    served: Served, adapters: dict[str, Path]
) -> None:
    prompts = [[IpAdapter("plain-sd1", PICTURE)], [IpAdapter("plain-sd1", OTHER, 0.4)], []]
    requests = [
        REQUEST | {"checkpoint": "sd1", "seed": SEED, "num_inference_steps": 12, "ip_adapters": each}
        for each in prompts
    ]
    alone = [served.client.generate(**request) for request in requests]
    together = meeting(served.client, requests, samples=4)
    for one, (_, other) in zip(alone, together, strict=True):
        assert [image.tobytes() for image in one.images] == [image.tobytes() for image in other.images]


def test_an_image_encoder_that_lies_elsewhere_is_named_once(
    served: Served, checkpoints: dict[str, Path], adapters: dict[str, Path], tmp_path: Path
) -> None:
    client, vision = served.client, adapters["plain-sd1"].parent / "image_encoder"
    file = Path(shutil.copy(adapters["plain-sd1"], tmp_path))
    with pytest.raises(CheckpointInvalidError, match="name its folder or file as image_encoder"):
        client.register_ip_adapter("apart", file)
    try:
        assert client.register_ip_adapter("apart", file, image_encoder=vision).image_encoder == str(vision)
        assert client.register_ip_adapter("apart", file).image_encoder == str(vision)
        same = [ours(served, IpAdapter(name, PICTURE, 0.6)) for name in ("plain-sd1", "apart")]
        assert difference(*same) == 0
        with pytest.raises(InvalidArgumentError, match=r"^image_encoder: .* is no IP-Adapter"):
            client.register_checkpoint("no-adapter", checkpoints["sd1"], image_encoder=vision)
    finally:
        client.unregister_checkpoint("apart")


@pytest.mark.parametrize(
    ("field", "problem", "given"),
    [
        ("ip_adapters[0].name", "'nothing' is not registered", {"name": "nothing"}),
        ("ip_adapters[0].name", "is missing", {"name": ""}),
        ("ip_adapters[0].name", "'sd2' is Stable Diffusion 1.x and 2.x, and no IP-Adapter", {"name": "sd2"}),
        ("ip_adapters[0].name", "'plain-sdxl' has cross_attention_dim 80, .* 32", {"name": "plain-sdxl"}),
        ("ip_adapters[0].images", "is missing", {"image": None}),
        ("ip_adapters[0].images[1]", "is no picture", {"image": [PICTURE, b"nothing"]}),
        ("ip_adapters[0].scale", "from 0 to 10", {"scale": float("nan")}),
    ],
)
def test_what_is_wrong_is_named(
    served: Served, adapters: dict[str, Path], field: str, problem: str, given: dict[str, Any]
) -> None:
    with pytest.raises((InvalidArgumentError, NotFoundError), match=problem) as caught:
        served.client.generate(
            **REQUEST, checkpoint="sd1", ip_adapters=[{"name": "plain-sd1", "image": PICTURE} | given]
        )
    assert caught.value.metadata["field"] == field


def test_one_draws_nothing_by_itself(served: Served, adapters: dict[str, Path]) -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"^checkpoint: 'plain-sd1' is an IP-Adapter; name it in ip_adapters"
    ):
        ours(served, checkpoint="plain-sd1")


def test_a_picture_tells_of_it(served: Served, adapters: dict[str, Path]) -> None:
    result = ours(served, IpAdapter("plain-sd1", [PICTURE, OTHER], 0.75))
    told = served.client.request_from(result.images[0])
    assert told.parameters["ip_adapters"] == [{"name": "plain-sd1", "scale": 0.75}]
    assert len(told.files["ip_adapters"]) == 2
    assert set(told.made_of["checkpoints"]) == {"sd1", "plain-sd1"}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["", "-torch"])
@pytest.mark.parametrize("task", ["text-to-image", "image-to-image", "inpaint", "controlnet", "two pictures"])
@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_every_task_is_diffusers(
    served: Served,
    checkpoints: dict[str, Path],
    adapters: dict[str, Path],
    tmp_path: Path,
    family: str,
    task: str,
    engine: str,
) -> None:
    prompts = [IpAdapter(f"plus-{family}", [OTHER, PICTURE], 0.8)]
    files = tuple(adapters[prompt.name] for prompt in prompts)
    kin = "StableDiffusionXL" if family == "sdxl" else "StableDiffusion"
    kind = {"image-to-image": "Img2Img", "inpaint": "Inpaint", "controlnet": "ControlNet"}.get(task, "")
    begun, own, more = drawn((64, 64), 2), dict[str, Any](), dict[str, Any]()
    net = None
    if task in ("image-to-image", "inpaint"):
        own = more = {"image": begun, "strength": 0.6}
    if task == "inpaint":
        own = more = own | {"mask_image": masks("one disc", (64, 64))}
    if task == "two pictures":
        own = more = {"num_images_per_prompt": 2}
    if task == "controlnet":
        net = tiny.save_controlnet(tmp_path / f"net-{family}", checkpoints[family])
        served.client.register_controlnet("net", net)
        own, more = {"controls": [Control("net", begun)]}, {"image": begun}
    expected = theirs(pipeline(f"{kin}{kind}Pipeline", checkpoints[family], files, net), prompts, **more)
    try:
        if task == "inpaint":
            own = own | {"paste_original": False}
        assert apart(ours(served, *prompts, checkpoint=family + engine, **own), expected) <= 2
    finally:
        if net:
            served.client.unregister_checkpoint("net")
