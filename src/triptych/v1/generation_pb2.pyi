from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GenerateRequest(_message.Message):
    __slots__ = ("request_id", "checkpoint", "prompt", "negative_prompt", "num_inference_steps", "guidance_scale", "width", "height", "num_images_per_prompt", "seeds", "scheduler", "eta", "preview_every_steps", "loras", "priority", "deadline_seconds", "prompt_2", "negative_prompt_2", "clip_skip", "guidance_rescale", "original_size", "crops_coords_top_left", "target_size", "negative_original_size", "negative_crops_coords_top_left", "negative_target_size", "images", "strength", "aesthetic_score", "negative_aesthetic_score", "refiner", "refiner_start", "vae", "mask_images", "padding_mask_crop", "mask_blur", "masked_content", "invert_mask", "paste_original", "expand", "expand_fill", "image_guidance_scale", "hires", "subseeds", "subseed_strength", "seed_resize_from", "tiling", "upscale", "image_format", "quality", "engine", "controls", "guess_mode", "ip_adapters")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    PROMPT_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_PROMPT_FIELD_NUMBER: _ClassVar[int]
    NUM_INFERENCE_STEPS_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_SCALE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    NUM_IMAGES_PER_PROMPT_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    ETA_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_EVERY_STEPS_FIELD_NUMBER: _ClassVar[int]
    LORAS_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    DEADLINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PROMPT_2_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_PROMPT_2_FIELD_NUMBER: _ClassVar[int]
    CLIP_SKIP_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_RESCALE_FIELD_NUMBER: _ClassVar[int]
    ORIGINAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    CROPS_COORDS_TOP_LEFT_FIELD_NUMBER: _ClassVar[int]
    TARGET_SIZE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_ORIGINAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_CROPS_COORDS_TOP_LEFT_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_TARGET_SIZE_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    AESTHETIC_SCORE_FIELD_NUMBER: _ClassVar[int]
    NEGATIVE_AESTHETIC_SCORE_FIELD_NUMBER: _ClassVar[int]
    REFINER_FIELD_NUMBER: _ClassVar[int]
    REFINER_START_FIELD_NUMBER: _ClassVar[int]
    VAE_FIELD_NUMBER: _ClassVar[int]
    MASK_IMAGES_FIELD_NUMBER: _ClassVar[int]
    PADDING_MASK_CROP_FIELD_NUMBER: _ClassVar[int]
    MASK_BLUR_FIELD_NUMBER: _ClassVar[int]
    MASKED_CONTENT_FIELD_NUMBER: _ClassVar[int]
    INVERT_MASK_FIELD_NUMBER: _ClassVar[int]
    PASTE_ORIGINAL_FIELD_NUMBER: _ClassVar[int]
    EXPAND_FIELD_NUMBER: _ClassVar[int]
    EXPAND_FILL_FIELD_NUMBER: _ClassVar[int]
    IMAGE_GUIDANCE_SCALE_FIELD_NUMBER: _ClassVar[int]
    HIRES_FIELD_NUMBER: _ClassVar[int]
    SUBSEEDS_FIELD_NUMBER: _ClassVar[int]
    SUBSEED_STRENGTH_FIELD_NUMBER: _ClassVar[int]
    SEED_RESIZE_FROM_FIELD_NUMBER: _ClassVar[int]
    TILING_FIELD_NUMBER: _ClassVar[int]
    UPSCALE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FORMAT_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    CONTROLS_FIELD_NUMBER: _ClassVar[int]
    GUESS_MODE_FIELD_NUMBER: _ClassVar[int]
    IP_ADAPTERS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    checkpoint: str
    prompt: str
    negative_prompt: str
    num_inference_steps: int
    guidance_scale: float
    width: int
    height: int
    num_images_per_prompt: int
    seeds: _containers.RepeatedScalarFieldContainer[int]
    scheduler: str
    eta: float
    preview_every_steps: int
    loras: _containers.RepeatedCompositeFieldContainer[LoraUse]
    priority: int
    deadline_seconds: float
    prompt_2: str
    negative_prompt_2: str
    clip_skip: int
    guidance_rescale: float
    original_size: Size
    crops_coords_top_left: Coordinates
    target_size: Size
    negative_original_size: Size
    negative_crops_coords_top_left: Coordinates
    negative_target_size: Size
    images: _containers.RepeatedScalarFieldContainer[bytes]
    strength: float
    aesthetic_score: float
    negative_aesthetic_score: float
    refiner: str
    refiner_start: float
    vae: str
    mask_images: _containers.RepeatedScalarFieldContainer[bytes]
    padding_mask_crop: int
    mask_blur: int
    masked_content: str
    invert_mask: bool
    paste_original: bool
    expand: Sides
    expand_fill: str
    image_guidance_scale: float
    hires: Hires
    subseeds: _containers.RepeatedScalarFieldContainer[int]
    subseed_strength: float
    seed_resize_from: Size
    tiling: str
    upscale: Upscale
    image_format: str
    quality: int
    engine: str
    controls: _containers.RepeatedCompositeFieldContainer[Control]
    guess_mode: bool
    ip_adapters: _containers.RepeatedCompositeFieldContainer[IpAdapter]
    def __init__(self, request_id: _Optional[str] = ..., checkpoint: _Optional[str] = ..., prompt: _Optional[str] = ..., negative_prompt: _Optional[str] = ..., num_inference_steps: _Optional[int] = ..., guidance_scale: _Optional[float] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., num_images_per_prompt: _Optional[int] = ..., seeds: _Optional[_Iterable[int]] = ..., scheduler: _Optional[str] = ..., eta: _Optional[float] = ..., preview_every_steps: _Optional[int] = ..., loras: _Optional[_Iterable[_Union[LoraUse, _Mapping]]] = ..., priority: _Optional[int] = ..., deadline_seconds: _Optional[float] = ..., prompt_2: _Optional[str] = ..., negative_prompt_2: _Optional[str] = ..., clip_skip: _Optional[int] = ..., guidance_rescale: _Optional[float] = ..., original_size: _Optional[_Union[Size, _Mapping]] = ..., crops_coords_top_left: _Optional[_Union[Coordinates, _Mapping]] = ..., target_size: _Optional[_Union[Size, _Mapping]] = ..., negative_original_size: _Optional[_Union[Size, _Mapping]] = ..., negative_crops_coords_top_left: _Optional[_Union[Coordinates, _Mapping]] = ..., negative_target_size: _Optional[_Union[Size, _Mapping]] = ..., images: _Optional[_Iterable[bytes]] = ..., strength: _Optional[float] = ..., aesthetic_score: _Optional[float] = ..., negative_aesthetic_score: _Optional[float] = ..., refiner: _Optional[str] = ..., refiner_start: _Optional[float] = ..., vae: _Optional[str] = ..., mask_images: _Optional[_Iterable[bytes]] = ..., padding_mask_crop: _Optional[int] = ..., mask_blur: _Optional[int] = ..., masked_content: _Optional[str] = ..., invert_mask: bool = ..., paste_original: bool = ..., expand: _Optional[_Union[Sides, _Mapping]] = ..., expand_fill: _Optional[str] = ..., image_guidance_scale: _Optional[float] = ..., hires: _Optional[_Union[Hires, _Mapping]] = ..., subseeds: _Optional[_Iterable[int]] = ..., subseed_strength: _Optional[float] = ..., seed_resize_from: _Optional[_Union[Size, _Mapping]] = ..., tiling: _Optional[str] = ..., upscale: _Optional[_Union[Upscale, _Mapping]] = ..., image_format: _Optional[str] = ..., quality: _Optional[int] = ..., engine: _Optional[str] = ..., controls: _Optional[_Iterable[_Union[Control, _Mapping]]] = ..., guess_mode: bool = ..., ip_adapters: _Optional[_Iterable[_Union[IpAdapter, _Mapping]]] = ...) -> None: ...

class IpAdapter(_message.Message):
    __slots__ = ("name", "images", "scale")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    SCALE_FIELD_NUMBER: _ClassVar[int]
    name: str
    images: _containers.RepeatedScalarFieldContainer[bytes]
    scale: float
    def __init__(self, name: _Optional[str] = ..., images: _Optional[_Iterable[bytes]] = ..., scale: _Optional[float] = ...) -> None: ...

class Control(_message.Message):
    __slots__ = ("name", "image", "conditioning_scale", "guidance_start", "guidance_end", "control_mode", "preprocessor", "processor_res", "threshold_a", "threshold_b", "resize_mode", "union_type", "hr_option", "mask_image")
    NAME_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    CONDITIONING_SCALE_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_START_FIELD_NUMBER: _ClassVar[int]
    GUIDANCE_END_FIELD_NUMBER: _ClassVar[int]
    CONTROL_MODE_FIELD_NUMBER: _ClassVar[int]
    PREPROCESSOR_FIELD_NUMBER: _ClassVar[int]
    PROCESSOR_RES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_A_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_B_FIELD_NUMBER: _ClassVar[int]
    RESIZE_MODE_FIELD_NUMBER: _ClassVar[int]
    UNION_TYPE_FIELD_NUMBER: _ClassVar[int]
    HR_OPTION_FIELD_NUMBER: _ClassVar[int]
    MASK_IMAGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    image: bytes
    conditioning_scale: float
    guidance_start: float
    guidance_end: float
    control_mode: str
    preprocessor: str
    processor_res: int
    threshold_a: float
    threshold_b: float
    resize_mode: str
    union_type: str
    hr_option: str
    mask_image: bytes
    def __init__(self, name: _Optional[str] = ..., image: _Optional[bytes] = ..., conditioning_scale: _Optional[float] = ..., guidance_start: _Optional[float] = ..., guidance_end: _Optional[float] = ..., control_mode: _Optional[str] = ..., preprocessor: _Optional[str] = ..., processor_res: _Optional[int] = ..., threshold_a: _Optional[float] = ..., threshold_b: _Optional[float] = ..., resize_mode: _Optional[str] = ..., union_type: _Optional[str] = ..., hr_option: _Optional[str] = ..., mask_image: _Optional[bytes] = ...) -> None: ...

class Size(_message.Message):
    __slots__ = ("height", "width")
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    height: int
    width: int
    def __init__(self, height: _Optional[int] = ..., width: _Optional[int] = ...) -> None: ...

class Sides(_message.Message):
    __slots__ = ("left", "top", "right", "bottom")
    LEFT_FIELD_NUMBER: _ClassVar[int]
    TOP_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    BOTTOM_FIELD_NUMBER: _ClassVar[int]
    left: int
    top: int
    right: int
    bottom: int
    def __init__(self, left: _Optional[int] = ..., top: _Optional[int] = ..., right: _Optional[int] = ..., bottom: _Optional[int] = ...) -> None: ...

class Coordinates(_message.Message):
    __slots__ = ("top", "left")
    TOP_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    top: int
    left: int
    def __init__(self, top: _Optional[int] = ..., left: _Optional[int] = ...) -> None: ...

class LoraUse(_message.Message):
    __slots__ = ("name", "weight", "text_encoder_weight")
    NAME_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    TEXT_ENCODER_WEIGHT_FIELD_NUMBER: _ClassVar[int]
    name: str
    weight: float
    text_encoder_weight: float
    def __init__(self, name: _Optional[str] = ..., weight: _Optional[float] = ..., text_encoder_weight: _Optional[float] = ...) -> None: ...

class Hires(_message.Message):
    __slots__ = ("scale", "width", "height", "upscaler", "strength", "num_inference_steps")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    UPSCALER_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    NUM_INFERENCE_STEPS_FIELD_NUMBER: _ClassVar[int]
    scale: float
    width: int
    height: int
    upscaler: str
    strength: float
    num_inference_steps: int
    def __init__(self, scale: _Optional[float] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., upscaler: _Optional[str] = ..., strength: _Optional[float] = ..., num_inference_steps: _Optional[int] = ...) -> None: ...

class Upscale(_message.Message):
    __slots__ = ("scale", "width", "height", "upscaler")
    SCALE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    UPSCALER_FIELD_NUMBER: _ClassVar[int]
    scale: float
    width: int
    height: int
    upscaler: str
    def __init__(self, scale: _Optional[float] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., upscaler: _Optional[str] = ...) -> None: ...

class GenerateResponse(_message.Message):
    __slots__ = ("queued", "step", "result")
    QUEUED_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    queued: Queued
    step: Step
    result: Result
    def __init__(self, queued: _Optional[_Union[Queued, _Mapping]] = ..., step: _Optional[_Union[Step, _Mapping]] = ..., result: _Optional[_Union[Result, _Mapping]] = ...) -> None: ...

class Queued(_message.Message):
    __slots__ = ("request_id", "checkpoint", "scheduler", "num_inference_steps", "width", "height", "seeds")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    NUM_INFERENCE_STEPS_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    SEEDS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    checkpoint: str
    scheduler: str
    num_inference_steps: int
    width: int
    height: int
    seeds: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, request_id: _Optional[str] = ..., checkpoint: _Optional[str] = ..., scheduler: _Optional[str] = ..., num_inference_steps: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., seeds: _Optional[_Iterable[int]] = ...) -> None: ...

class Step(_message.Message):
    __slots__ = ("step", "total", "timestep", "step_seconds", "engine_seconds", "batch_size", "preview_png", "replicas", "engine_share_seconds")
    STEP_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    TIMESTEP_FIELD_NUMBER: _ClassVar[int]
    STEP_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZE_FIELD_NUMBER: _ClassVar[int]
    PREVIEW_PNG_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_SHARE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    step: int
    total: int
    timestep: float
    step_seconds: float
    engine_seconds: float
    batch_size: int
    preview_png: bytes
    replicas: _containers.RepeatedScalarFieldContainer[str]
    engine_share_seconds: float
    def __init__(self, step: _Optional[int] = ..., total: _Optional[int] = ..., timestep: _Optional[float] = ..., step_seconds: _Optional[float] = ..., engine_seconds: _Optional[float] = ..., batch_size: _Optional[int] = ..., preview_png: _Optional[bytes] = ..., replicas: _Optional[_Iterable[str]] = ..., engine_share_seconds: _Optional[float] = ...) -> None: ...

class Result(_message.Message):
    __slots__ = ("request_id", "images", "timings", "warnings")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    TIMINGS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    images: _containers.RepeatedCompositeFieldContainer[Image]
    timings: Timings
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, request_id: _Optional[str] = ..., images: _Optional[_Iterable[_Union[Image, _Mapping]]] = ..., timings: _Optional[_Union[Timings, _Mapping]] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class Image(_message.Message):
    __slots__ = ("png", "seed", "width", "height", "file", "format", "nsfw_content_detected", "watermarked")
    PNG_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    NSFW_CONTENT_DETECTED_FIELD_NUMBER: _ClassVar[int]
    WATERMARKED_FIELD_NUMBER: _ClassVar[int]
    png: bytes
    seed: int
    width: int
    height: int
    file: bytes
    format: str
    nsfw_content_detected: bool
    watermarked: bool
    def __init__(self, png: _Optional[bytes] = ..., seed: _Optional[int] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., file: _Optional[bytes] = ..., format: _Optional[str] = ..., nsfw_content_detected: bool = ..., watermarked: bool = ...) -> None: ...

class Timings(_message.Message):
    __slots__ = ("total_seconds", "queue_seconds", "encoder", "unet", "vae")
    TOTAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    QUEUE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENCODER_FIELD_NUMBER: _ClassVar[int]
    UNET_FIELD_NUMBER: _ClassVar[int]
    VAE_FIELD_NUMBER: _ClassVar[int]
    total_seconds: float
    queue_seconds: float
    encoder: StageTiming
    unet: StageTiming
    vae: StageTiming
    def __init__(self, total_seconds: _Optional[float] = ..., queue_seconds: _Optional[float] = ..., encoder: _Optional[_Union[StageTiming, _Mapping]] = ..., unet: _Optional[_Union[StageTiming, _Mapping]] = ..., vae: _Optional[_Union[StageTiming, _Mapping]] = ...) -> None: ...

class StageTiming(_message.Message):
    __slots__ = ("calls", "wall_seconds", "engine_seconds", "replicas", "refit_seconds", "split_calls", "engine_share_seconds")
    CALLS_FIELD_NUMBER: _ClassVar[int]
    WALL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    REFIT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SPLIT_CALLS_FIELD_NUMBER: _ClassVar[int]
    ENGINE_SHARE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    calls: int
    wall_seconds: float
    engine_seconds: float
    replicas: _containers.RepeatedScalarFieldContainer[str]
    refit_seconds: float
    split_calls: int
    engine_share_seconds: float
    def __init__(self, calls: _Optional[int] = ..., wall_seconds: _Optional[float] = ..., engine_seconds: _Optional[float] = ..., replicas: _Optional[_Iterable[str]] = ..., refit_seconds: _Optional[float] = ..., split_calls: _Optional[int] = ..., engine_share_seconds: _Optional[float] = ...) -> None: ...

class CancelRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    def __init__(self, request_id: _Optional[str] = ...) -> None: ...

class CancelResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class PreprocessRequest(_message.Message):
    __slots__ = ("preprocessor", "image", "processor_res", "threshold_a", "threshold_b", "mask_image", "width", "height", "resize_mode")
    PREPROCESSOR_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    PROCESSOR_RES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_A_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_B_FIELD_NUMBER: _ClassVar[int]
    MASK_IMAGE_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    RESIZE_MODE_FIELD_NUMBER: _ClassVar[int]
    preprocessor: str
    image: bytes
    processor_res: int
    threshold_a: float
    threshold_b: float
    mask_image: bytes
    width: int
    height: int
    resize_mode: str
    def __init__(self, preprocessor: _Optional[str] = ..., image: _Optional[bytes] = ..., processor_res: _Optional[int] = ..., threshold_a: _Optional[float] = ..., threshold_b: _Optional[float] = ..., mask_image: _Optional[bytes] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., resize_mode: _Optional[str] = ...) -> None: ...

class PreprocessResponse(_message.Message):
    __slots__ = ("png", "width", "height", "warnings")
    PNG_FIELD_NUMBER: _ClassVar[int]
    WIDTH_FIELD_NUMBER: _ClassVar[int]
    HEIGHT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    png: bytes
    width: int
    height: int
    warnings: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, png: _Optional[bytes] = ..., width: _Optional[int] = ..., height: _Optional[int] = ..., warnings: _Optional[_Iterable[str]] = ...) -> None: ...

class ListPreprocessorsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPreprocessorsResponse(_message.Message):
    __slots__ = ("preprocessors",)
    PREPROCESSORS_FIELD_NUMBER: _ClassVar[int]
    preprocessors: _containers.RepeatedCompositeFieldContainer[Preprocessor]
    def __init__(self, preprocessors: _Optional[_Iterable[_Union[Preprocessor, _Mapping]]] = ...) -> None: ...

class Preprocessor(_message.Message):
    __slots__ = ("name", "aliases", "control_types", "processor_res", "threshold_a", "threshold_b", "needs_mask", "missing", "checkpoint", "checkpoints")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    CONTROL_TYPES_FIELD_NUMBER: _ClassVar[int]
    PROCESSOR_RES_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_A_FIELD_NUMBER: _ClassVar[int]
    THRESHOLD_B_FIELD_NUMBER: _ClassVar[int]
    NEEDS_MASK_FIELD_NUMBER: _ClassVar[int]
    MISSING_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    control_types: _containers.RepeatedScalarFieldContainer[str]
    processor_res: PreprocessorParameter
    threshold_a: PreprocessorParameter
    threshold_b: PreprocessorParameter
    needs_mask: bool
    missing: str
    checkpoint: str
    checkpoints: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., control_types: _Optional[_Iterable[str]] = ..., processor_res: _Optional[_Union[PreprocessorParameter, _Mapping]] = ..., threshold_a: _Optional[_Union[PreprocessorParameter, _Mapping]] = ..., threshold_b: _Optional[_Union[PreprocessorParameter, _Mapping]] = ..., needs_mask: bool = ..., missing: _Optional[str] = ..., checkpoint: _Optional[str] = ..., checkpoints: _Optional[_Iterable[str]] = ...) -> None: ...

class PreprocessorParameter(_message.Message):
    __slots__ = ("label", "minimum", "maximum", "default_value", "step")
    LABEL_FIELD_NUMBER: _ClassVar[int]
    MINIMUM_FIELD_NUMBER: _ClassVar[int]
    MAXIMUM_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_VALUE_FIELD_NUMBER: _ClassVar[int]
    STEP_FIELD_NUMBER: _ClassVar[int]
    label: str
    minimum: float
    maximum: float
    default_value: float
    step: float
    def __init__(self, label: _Optional[str] = ..., minimum: _Optional[float] = ..., maximum: _Optional[float] = ..., default_value: _Optional[float] = ..., step: _Optional[float] = ...) -> None: ...
