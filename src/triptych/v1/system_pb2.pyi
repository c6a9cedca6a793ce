from triptych.v1 import checkpoints_pb2 as _checkpoints_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetServerInfoRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ServerInfo(_message.Message):
    __slots__ = ("version", "schedulers", "engines", "limits", "replicas", "checkpoints", "upscalers", "latent_upscalers", "hooks")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SCHEDULERS_FIELD_NUMBER: _ClassVar[int]
    ENGINES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    UPSCALERS_FIELD_NUMBER: _ClassVar[int]
    LATENT_UPSCALERS_FIELD_NUMBER: _ClassVar[int]
    HOOKS_FIELD_NUMBER: _ClassVar[int]
    version: str
    schedulers: _containers.RepeatedScalarFieldContainer[str]
    engines: _containers.RepeatedScalarFieldContainer[str]
    limits: Limits
    replicas: _containers.RepeatedCompositeFieldContainer[Replica]
    checkpoints: _containers.RepeatedCompositeFieldContainer[_checkpoints_pb2.Checkpoint]
    upscalers: _containers.RepeatedScalarFieldContainer[str]
    latent_upscalers: _containers.RepeatedScalarFieldContainer[str]
    hooks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., schedulers: _Optional[_Iterable[str]] = ..., engines: _Optional[_Iterable[str]] = ..., limits: _Optional[_Union[Limits, _Mapping]] = ..., replicas: _Optional[_Iterable[_Union[Replica, _Mapping]]] = ..., checkpoints: _Optional[_Iterable[_Union[_checkpoints_pb2.Checkpoint, _Mapping]]] = ..., upscalers: _Optional[_Iterable[str]] = ..., latent_upscalers: _Optional[_Iterable[str]] = ..., hooks: _Optional[_Iterable[str]] = ...) -> None: ...

class Limits(_message.Message):
    __slots__ = ("max_width", "max_height", "max_pixels", "max_num_inference_steps", "max_num_images_per_prompt", "max_prompt_characters", "max_concurrent_requests", "max_queued_requests", "max_loras", "max_lora_bytes", "max_batch_samples", "max_unread_seconds", "max_checkpoint_read_seconds", "max_lora_uploads", "max_kept_loras", "max_kept_lora_bytes", "max_lora_upload_pause_seconds", "max_checkpoints", "max_image_bytes", "max_image_pixels", "max_untiled_pixels", "vae_tile_size", "max_upscaled_pixels", "max_controls")
    MAX_WIDTH_FIELD_NUMBER: _ClassVar[int]
    MAX_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    MAX_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_NUM_INFERENCE_STEPS_FIELD_NUMBER: _ClassVar[int]
    MAX_NUM_IMAGES_PER_PROMPT_FIELD_NUMBER: _ClassVar[int]
    MAX_PROMPT_CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONCURRENT_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_QUEUED_REQUESTS_FIELD_NUMBER: _ClassVar[int]
    MAX_LORAS_FIELD_NUMBER: _ClassVar[int]
    MAX_LORA_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_BATCH_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    MAX_UNREAD_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_CHECKPOINT_READ_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_LORA_UPLOADS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEPT_LORAS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEPT_LORA_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_LORA_UPLOAD_PAUSE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    MAX_CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_BYTES_FIELD_NUMBER: _ClassVar[int]
    MAX_IMAGE_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_UNTILED_PIXELS_FIELD_NUMBER: _ClassVar[int]
    VAE_TILE_SIZE_FIELD_NUMBER: _ClassVar[int]
    MAX_UPSCALED_PIXELS_FIELD_NUMBER: _ClassVar[int]
    MAX_CONTROLS_FIELD_NUMBER: _ClassVar[int]
    max_width: int
    max_height: int
    max_pixels: int
    max_num_inference_steps: int
    max_num_images_per_prompt: int
    max_prompt_characters: int
    max_concurrent_requests: int
    max_queued_requests: int
    max_loras: int
    max_lora_bytes: int
    max_batch_samples: int
    max_unread_seconds: int
    max_checkpoint_read_seconds: int
    max_lora_uploads: int
    max_kept_loras: int
    max_kept_lora_bytes: int
    max_lora_upload_pause_seconds: int
    max_checkpoints: int
    max_image_bytes: int
    max_image_pixels: int
    max_untiled_pixels: int
    vae_tile_size: int
    max_upscaled_pixels: int
    max_controls: int
    def __init__(self, max_width: _Optional[int] = ..., max_height: _Optional[int] = ..., max_pixels: _Optional[int] = ..., max_num_inference_steps: _Optional[int] = ..., max_num_images_per_prompt: _Optional[int] = ..., max_prompt_characters: _Optional[int] = ..., max_concurrent_requests: _Optional[int] = ..., max_queued_requests: _Optional[int] = ..., max_loras: _Optional[int] = ..., max_lora_bytes: _Optional[int] = ..., max_batch_samples: _Optional[int] = ..., max_unread_seconds: _Optional[int] = ..., max_checkpoint_read_seconds: _Optional[int] = ..., max_lora_uploads: _Optional[int] = ..., max_kept_loras: _Optional[int] = ..., max_kept_lora_bytes: _Optional[int] = ..., max_lora_upload_pause_seconds: _Optional[int] = ..., max_checkpoints: _Optional[int] = ..., max_image_bytes: _Optional[int] = ..., max_image_pixels: _Optional[int] = ..., max_untiled_pixels: _Optional[int] = ..., vae_tile_size: _Optional[int] = ..., max_upscaled_pixels: _Optional[int] = ..., max_controls: _Optional[int] = ...) -> None: ...

class Replica(_message.Message):
    __slots__ = ("name", "stage", "address", "ready", "models", "batch_sizes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    READY_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    BATCH_SIZES_FIELD_NUMBER: _ClassVar[int]
    name: str
    stage: str
    address: str
    ready: bool
    models: _containers.RepeatedScalarFieldContainer[str]
    batch_sizes: _containers.RepeatedCompositeFieldContainer[BatchSize]
    def __init__(self, name: _Optional[str] = ..., stage: _Optional[str] = ..., address: _Optional[str] = ..., ready: bool = ..., models: _Optional[_Iterable[str]] = ..., batch_sizes: _Optional[_Iterable[_Union[BatchSize, _Mapping]]] = ...) -> None: ...

class BatchSize(_message.Message):
    __slots__ = ("model", "latent_height", "latent_width", "samples", "seconds_per_sample", "max_samples", "tokens", "tiling")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    LATENT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    LATENT_WIDTH_FIELD_NUMBER: _ClassVar[int]
    SAMPLES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_PER_SAMPLE_FIELD_NUMBER: _ClassVar[int]
    MAX_SAMPLES_FIELD_NUMBER: _ClassVar[int]
    TOKENS_FIELD_NUMBER: _ClassVar[int]
    TILING_FIELD_NUMBER: _ClassVar[int]
    model: str
    latent_height: int
    latent_width: int
    samples: int
    seconds_per_sample: float
    max_samples: int
    tokens: int
    tiling: str
    def __init__(self, model: _Optional[str] = ..., latent_height: _Optional[int] = ..., latent_width: _Optional[int] = ..., samples: _Optional[int] = ..., seconds_per_sample: _Optional[float] = ..., max_samples: _Optional[int] = ..., tokens: _Optional[int] = ..., tiling: _Optional[str] = ...) -> None: ...
