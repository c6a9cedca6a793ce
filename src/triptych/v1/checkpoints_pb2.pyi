from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class CheckpointState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHECKPOINT_STATE_UNSPECIFIED: _ClassVar[CheckpointState]
    CHECKPOINT_STATE_REGISTERED: _ClassVar[CheckpointState]
    CHECKPOINT_STATE_LOADING: _ClassVar[CheckpointState]
    CHECKPOINT_STATE_LOADED: _ClassVar[CheckpointState]
    CHECKPOINT_STATE_UNLOADING: _ClassVar[CheckpointState]
    CHECKPOINT_STATE_FAILED: _ClassVar[CheckpointState]
CHECKPOINT_STATE_UNSPECIFIED: CheckpointState
CHECKPOINT_STATE_REGISTERED: CheckpointState
CHECKPOINT_STATE_LOADING: CheckpointState
CHECKPOINT_STATE_LOADED: CheckpointState
CHECKPOINT_STATE_UNLOADING: CheckpointState
CHECKPOINT_STATE_FAILED: CheckpointState

class Checkpoint(_message.Message):
    __slots__ = ("name", "path", "state", "error", "engine", "family", "scheduler", "default_width", "default_height", "vae_scale_factor", "weights_bytes", "variant", "warnings", "prediction_type", "prediction_told_by", "format", "architecture", "precision", "title", "trigger_words", "sha256", "replicas", "vae", "purpose", "union_types", "image_encoder")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    SCHEDULER_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_WIDTH_FIELD_NUMBER: _ClassVar[int]
    DEFAULT_HEIGHT_FIELD_NUMBER: _ClassVar[int]
    VAE_SCALE_FACTOR_FIELD_NUMBER: _ClassVar[int]
    WEIGHTS_BYTES_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_TYPE_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_TOLD_BY_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    ARCHITECTURE_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    TRIGGER_WORDS_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    VAE_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    UNION_TYPES_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ENCODER_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    state: CheckpointState
    error: str
    engine: str
    family: str
    scheduler: str
    default_width: int
    default_height: int
    vae_scale_factor: int
    weights_bytes: int
    variant: str
    warnings: _containers.RepeatedScalarFieldContainer[str]
    prediction_type: str
    prediction_told_by: str
    format: str
    architecture: str
    precision: str
    title: str
    trigger_words: _containers.RepeatedScalarFieldContainer[str]
    sha256: str
    replicas: _containers.RepeatedScalarFieldContainer[str]
    vae: str
    purpose: str
    union_types: _containers.RepeatedScalarFieldContainer[str]
    image_encoder: str
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., state: _Optional[_Union[CheckpointState, str]] = ..., error: _Optional[str] = ..., engine: _Optional[str] = ..., family: _Optional[str] = ..., scheduler: _Optional[str] = ..., default_width: _Optional[int] = ..., default_height: _Optional[int] = ..., vae_scale_factor: _Optional[int] = ..., weights_bytes: _Optional[int] = ..., variant: _Optional[str] = ..., warnings: _Optional[_Iterable[str]] = ..., prediction_type: _Optional[str] = ..., prediction_told_by: _Optional[str] = ..., format: _Optional[str] = ..., architecture: _Optional[str] = ..., precision: _Optional[str] = ..., title: _Optional[str] = ..., trigger_words: _Optional[_Iterable[str]] = ..., sha256: _Optional[str] = ..., replicas: _Optional[_Iterable[str]] = ..., vae: _Optional[str] = ..., purpose: _Optional[str] = ..., union_types: _Optional[_Iterable[str]] = ..., image_encoder: _Optional[str] = ...) -> None: ...

class ListCheckpointsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCheckpointsResponse(_message.Message):
    __slots__ = ("checkpoints",)
    CHECKPOINTS_FIELD_NUMBER: _ClassVar[int]
    checkpoints: _containers.RepeatedCompositeFieldContainer[Checkpoint]
    def __init__(self, checkpoints: _Optional[_Iterable[_Union[Checkpoint, _Mapping]]] = ...) -> None: ...

class RegisterCheckpointRequest(_message.Message):
    __slots__ = ("name", "path", "engine", "load", "prediction_type", "variant", "with_hash", "vae", "purpose", "image_encoder")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PATH_FIELD_NUMBER: _ClassVar[int]
    ENGINE_FIELD_NUMBER: _ClassVar[int]
    LOAD_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_TYPE_FIELD_NUMBER: _ClassVar[int]
    VARIANT_FIELD_NUMBER: _ClassVar[int]
    WITH_HASH_FIELD_NUMBER: _ClassVar[int]
    VAE_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    IMAGE_ENCODER_FIELD_NUMBER: _ClassVar[int]
    name: str
    path: str
    engine: str
    load: bool
    prediction_type: str
    variant: str
    with_hash: bool
    vae: str
    purpose: str
    image_encoder: str
    def __init__(self, name: _Optional[str] = ..., path: _Optional[str] = ..., engine: _Optional[str] = ..., load: bool = ..., prediction_type: _Optional[str] = ..., variant: _Optional[str] = ..., with_hash: bool = ..., vae: _Optional[str] = ..., purpose: _Optional[str] = ..., image_encoder: _Optional[str] = ...) -> None: ...

class UnregisterCheckpointRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class UnregisterCheckpointResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class LoadCheckpointRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class UnloadCheckpointRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...
