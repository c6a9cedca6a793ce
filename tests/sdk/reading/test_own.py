"""Triptych's own request, as parameters for `generate`: the same message again, but for files and what is unknown."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

import pytest

from triptych.errors import InvalidArgumentError
from triptych.sdk.parameters import build_request
from triptych.sdk.reading.own import own_request
from triptych.sdk.reading.verifying import asked_again
from triptych.v1.generation_pb2 import Control, Coordinates, GenerateRequest, Hires, IpAdapter, LoraUse, Size
from triptych_orchestrator.api.messages import told_of


def own(request: GenerateRequest, **more: Any) -> Any:
    return own_request(json.dumps({"revision": 1, "request": told_of(request), "made_of": {}, **more}))


def test_the_same_message_again() -> None:
    request = GenerateRequest(
        prompt="a fox <lora:oil:1>", negative_prompt="", checkpoint="demo", seeds=[2**64 - 1], guidance_scale=0.1,
        original_size=Size(height=3, width=4), crops_coords_top_left=Coordinates(top=0, left=5), clip_skip=0,
        loras=[LoraUse(name="ink", weight=0.25, text_encoder_weight=2)], image_format="jpeg", quality=80,
        num_images_per_prompt=2, vae="mse", eta=1e-9, subseeds=[3, 4], subseed_strength=0.5,
        seed_resize_from=Size(height=64, width=32), hires=Hires(scale=1.5, upscaler="lanczos", num_inference_steps=3),
    )  # fmt: skip
    found = own(request, index=1)
    assert build_request(**found.parameters) == request
    assert (found.left_out, found.index, found.origin) == ([], 1, "triptych")


def test_no_field_is_forgotten() -> None:
    """Whatever a request has by now: each field alone, some value in it, but for files and what is never taken over."""
    for field in GenerateRequest.DESCRIPTOR.fields:
        if field.type == field.TYPE_BYTES or field.name in ("request_id", "priority", "deadline_seconds"):
            continue
        request = GenerateRequest()
        _fill(request, field)
        found = own(request)
        if field.name == "preview_every_steps":
            assert found.parameters == {"prompt": ""}
        else:
            assert build_request(**found.parameters) == request, field.name
            assert [line.partition(":")[0] for line in found.left_out] == [*found.files], field.name


def _fill(message: Any, field: Any) -> None:
    """With values unlike the defaults, in all fields of a message within."""
    values = {field.CPPTYPE_STRING: "x", field.CPPTYPE_BOOL: True, field.CPPTYPE_DOUBLE: 0.25}
    if field.message_type:
        inner = getattr(message, field.name).add() if field.is_repeated else getattr(message, field.name)
        for part in field.message_type.fields:
            if part.type != part.TYPE_BYTES:
                _fill(inner, part)
    elif field.is_repeated:
        getattr(message, field.name).append(values.get(field.cpp_type, 3))
    else:
        setattr(message, field.name, values.get(field.cpp_type, 3))


def test_files_are_for_the_caller_to_bring() -> None:
    found = own(GenerateRequest(prompt="a", images=[b"one", b"two"], strength=0.5, seeds=[1, 2]))
    assert found.parameters == {"prompt": "a", "strength": 0.5, "seed": [1, 2]}
    assert [len(digest) for digest in found.files["image"]] == [64, 64] and found.left_out[0].startswith(
        "image: is not"
    )


def test_files_of_a_requests_parts_come_back_to_them() -> None:
    request = GenerateRequest(
        prompt="a", images=[b"one"],
        controls=[Control(name="canny", image=b"two"), Control(name="inpaint", preprocessor="inpaint"),
                  Control(name="inpaint", preprocessor="inpaint", image=b"one", mask_image=b"three")],
        ip_adapters=[IpAdapter(name="plus", images=[b"two", b"four"]), IpAdapter(name="face", images=[b"one"])],
    )  # fmt: skip
    found, files = own(request), {sha256(each).hexdigest(): each for each in (b"one", b"two", b"three", b"four")}
    assert [len(found.files[name]) for name in ("image", "controls", "ip_adapters")] == [1, 3, 3]
    prompt, parameters = asked_again(found, files)
    assert build_request(prompt, **parameters) == request


def test_no_file_of_the_readers_can_be_named() -> None:
    """A stranger's picture must not have a client send what lies on its disk."""
    text = json.dumps({"revision": 1, "request": {"prompt": "a", "image": "/etc/passwd", "images": ["/etc/passwd"]}})
    assert own_request(text).parameters == {"prompt": "a"}


def test_whose_it_was_and_when_is_not_taken_over() -> None:
    request = {"prompt": "a", "request_id": "x", "priority": 100, "deadline_seconds": 1.0, "preview_every_steps": 1}
    found = own_request(json.dumps({"revision": 1, "request": request}))
    assert found.parameters == {"prompt": "a"} and len(found.left_out) == 4


def test_what_a_newer_one_says_is_left_out() -> None:
    found = own_request(json.dumps({"revision": 2, "request": {"prompt": "a", "shine": 3}}))
    assert [line.partition(":")[0] for line in found.left_out] == ["shine", "revision 2"]


@pytest.mark.parametrize(
    "request_",
    [
        {"seeds": 3},
        {"prompt": ["a"]},
        {"original_size": 3},
        {"loras": [3]},
        {"loras": "x"},
        {"images": 3},
        {"eta": None},
        {"num_images_per_prompt": 0},
        {"num_images_per_prompt": "2"},
    ],
)
def test_values_of_another_shape_are_refused(request_: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^picture: "):
        own_request(json.dumps({"revision": 1, "request": request_}))


def test_the_hashes_of_what_it_names() -> None:
    made_of = {"checkpoints": {"demo": {"weights": "ab" * 32}, "mse": {"weights": "cd" * 32}, "x": 3}}
    found = own(GenerateRequest(prompt="a", checkpoint="demo", vae="mse", refiner="x"), made_of=made_of)
    assert found.hashes == {"checkpoint": "ab" * 32, "vae": "cd" * 32}
