"""A request from its message, and events as messages: where `triptych.v1` ends and the jobs begin."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from triptych.checkpoint import MicroConditions, Pair
from triptych.v1 import generation_pb2 as pb
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.events import Event, Picture, Queued, Result, StageTiming, Step
from triptych_orchestrator.jobs.hints.preparation import AskedPreparation
from triptych_orchestrator.jobs.tasks.controls import AskedControl
from triptych_orchestrator.jobs.tasks.enlarging import Enlargement
from triptych_orchestrator.jobs.tasks.hires import AskedHires
from triptych_orchestrator.jobs.tasks.inpainting import InpaintAsked
from triptych_orchestrator.jobs.tasks.ip_adapters import AskedIpAdapter
from triptych_orchestrator.jobs.tasks.upscaling import AskedUpscale
from triptych_orchestrator.jobs.tasks.variations import AskedVariation
from triptych_orchestrator.library.loras.choice import LoraUse
from triptych_orchestrator.pixels.borders import Sides

_SIZES = [
    field.name
    for field in pb.GenerateRequest.DESCRIPTOR.fields
    if field.message_type in (pb.Size.DESCRIPTOR, pb.Coordinates.DESCRIPTOR) and field.name != "seed_resize_from"
]
# Whose a request is, when it is wanted, and what is shown of it on the way.
_UNTOLD = ("request_id", "priority", "deadline_seconds", "preview_every_steps")
_SCORES = ("aesthetic_score", "negative_aesthetic_score")


def asked_of(request: pb.GenerateRequest) -> Asked:
    """The same with None for what was not set."""
    return Asked(
        request_id=request.request_id,
        checkpoint=request.checkpoint,
        prompt=request.prompt,
        prompt_2=request.prompt_2,
        negative_prompt=_given(request, "negative_prompt"),
        negative_prompt_2=request.negative_prompt_2,
        clip_skip=_given(request, "clip_skip"),
        num_inference_steps=_given(request, "num_inference_steps"),
        guidance_scale=_given(request, "guidance_scale"),
        guidance_rescale=_given(request, "guidance_rescale"),
        micro_conditions=_micro_conditions(request),
        width=_given(request, "width"),
        height=_given(request, "height"),
        num_images_per_prompt=_given(request, "num_images_per_prompt"),
        seeds=tuple(request.seeds),
        scheduler=request.scheduler,
        eta=_given(request, "eta"),
        preview_every_steps=request.preview_every_steps,
        loras=tuple(map(_lora_use, request.loras)),
        priority=request.priority,
        deadline_seconds=_given(request, "deadline_seconds"),
        images=tuple(request.images),
        strength=_given(request, "strength"),
        image_guidance_scale=_given(request, "image_guidance_scale"),
        refiner=request.refiner,
        refiner_start=_given(request, "refiner_start"),
        vae=request.vae,
        engine=request.engine,
        inpaint=_inpaint(request),
        tiling=request.tiling,
        image_format=request.image_format,
        quality=_given(request, "quality"),
        variation=_variation(request),
        upscale=_upscale(request.upscale) if request.HasField("upscale") else None,
        hires=_hires(request.hires) if request.HasField("hires") else None,
        controls=tuple(map(_control, request.controls)),
        guess_mode=request.guess_mode,
        ip_adapters=tuple(map(_ip_adapter, request.ip_adapters)),
    )


def told_of(request: pb.GenerateRequest) -> dict[str, Any]:
    """The fields that were sent of those that shape pictures, as JSON has them; files by their SHA-256."""
    return {field.name: _told(field, value) for field, value in request.ListFields() if field.name not in _UNTOLD}


def _told(field: FieldDescriptor, value: Any) -> Any:
    if field.is_repeated:
        return [_told_one(field, each) for each in value]
    return _told_one(field, value)


def _told_one(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        given = [part for part in field.message_type.fields if _is_given(part, value)]
        return {part.name: _told(part, getattr(value, part.name)) for part in given}
    return f"sha256:{sha256(value).hexdigest()}" if field.type == field.TYPE_BYTES else value


def _is_given(part: FieldDescriptor, message: Any) -> bool:
    """Whether it was, as far as that can be told; a file was not that has no bytes."""
    if part.has_presence:
        return bool(message.HasField(part.name))
    return part.type != part.TYPE_BYTES or bool(getattr(message, part.name))


def response_of(event: Event) -> pb.GenerateResponse:
    """The message that tells of an event."""
    if isinstance(event, Queued):
        return pb.GenerateResponse(queued=pb.Queued(**vars(event)))
    if isinstance(event, Step):
        return pb.GenerateResponse(step=pb.Step(**vars(event)))
    return pb.GenerateResponse(result=_result(event))


def _result(event: Result) -> pb.Result:
    return pb.Result(
        request_id=event.request_id,
        images=[_image(picture) for picture in event.images],
        timings=pb.Timings(
            total_seconds=event.total_seconds,
            queue_seconds=event.queue_seconds,
            **{stage: _timing(timing) for stage, timing in event.stages.items()},
        ),
        warnings=event.warnings,
    )


def _image(picture: Picture) -> pb.Image:
    """A PNG stands where it always did."""
    image = pb.Image(**vars(picture))
    if picture.format == "png":
        image.png, image.file = image.file, b""
    return image


def _timing(timing: StageTiming) -> pb.StageTiming:
    return pb.StageTiming(**vars(timing))


def _variation(request: pb.GenerateRequest) -> AskedVariation:
    size = _pair(request.seed_resize_from) if request.HasField("seed_resize_from") else None
    return AskedVariation(tuple(request.subseeds), _given(request, "subseed_strength"), size)


def _hires(message: pb.Hires) -> AskedHires:
    steps = _given(message, "num_inference_steps")
    return AskedHires(_enlargement(message), message.upscaler, _given(message, "strength"), steps)


def _upscale(message: pb.Upscale) -> AskedUpscale:
    return AskedUpscale(_enlargement(message), message.upscaler)


def _enlargement(message: pb.Hires | pb.Upscale) -> Enlargement:
    return Enlargement(*(_given(message, field) for field in ("scale", "width", "height")))


def _inpaint(request: pb.GenerateRequest) -> InpaintAsked:
    return InpaintAsked(
        mask_images=tuple(request.mask_images),
        padding_mask_crop=_given(request, "padding_mask_crop"),
        mask_blur=_given(request, "mask_blur"),
        masked_content=request.masked_content,
        invert_mask=request.invert_mask,
        paste_original=_given(request, "paste_original"),
        expand=_sides(request.expand) if request.HasField("expand") else None,
        expand_fill=request.expand_fill,
    )


def _control(message: pb.Control) -> AskedControl:
    return AskedControl(
        name=message.name,
        image=message.image,
        conditioning_scale=_given(message, "conditioning_scale"),
        guidance_start=_given(message, "guidance_start"),
        guidance_end=_given(message, "guidance_end"),
        control_mode=message.control_mode,
        preparation=asked_preparation(message),
        hr_option=message.hr_option,
        union_type=message.union_type,
        mask_image=message.mask_image,
    )


def _ip_adapter(message: pb.IpAdapter) -> AskedIpAdapter:
    return AskedIpAdapter(message.name, tuple(message.images), _given(message, "scale"))


def asked_preparation(message: pb.Control | pb.PreprocessRequest) -> AskedPreparation:
    """What both say in the same words."""
    return AskedPreparation(
        preprocessor=message.preprocessor,
        processor_res=_given(message, "processor_res"),
        threshold_a=_given(message, "threshold_a"),
        threshold_b=_given(message, "threshold_b"),
        resize_mode=message.resize_mode,
        has_mask=bool(message.mask_image),
    )


def _sides(message: pb.Sides) -> Sides:
    return Sides(message.left, message.top, message.right, message.bottom)


def _micro_conditions(request: pb.GenerateRequest) -> MicroConditions:
    sizes: dict[str, tuple[float, ...]] = {
        field: _pair(getattr(request, field)) for field in _SIZES if request.HasField(field)
    }
    return sizes | {field: (getattr(request, field),) for field in _SCORES if request.HasField(field)}


def _pair(message: pb.Size | pb.Coordinates) -> Pair:
    return (message.height, message.width) if isinstance(message, pb.Size) else (message.top, message.left)


def _lora_use(use: pb.LoraUse) -> LoraUse:
    weight = _given(use, "weight")
    return LoraUse(use.name, 1.0 if weight is None else weight, _given(use, "text_encoder_weight"))


def _given(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None
