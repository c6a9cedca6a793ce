"""The Python client of `triptych.v1`, sync and asyncio: one pure codec, two thin transports."""

from triptych.sdk.aio import AsyncClient
from triptych.sdk.catalog import Checkpoint, Limits, Replica, ServerInfo
from triptych.sdk.client import Client
from triptych.sdk.controls import Control
from triptych.sdk.events import Event, Queued, Result, StageTiming, Step, Timings
from triptych.sdk.loras import Lora
from triptych.sdk.parameters import GenerateParameters
from triptych.sdk.parts.enlarging import Hires, Upscale
from triptych.sdk.parts.ip_adapters import IpAdapter
from triptych.sdk.preprocessing import Preprocessed, Preprocessor, PreprocessorParameter
from triptych.sdk.reading.picture_request import PictureRequest

__all__ = [
    "AsyncClient",
    "Checkpoint",
    "Client",
    "Control",
    "Event",
    "GenerateParameters",
    "Hires",
    "IpAdapter",
    "Limits",
    "Lora",
    "PictureRequest",
    "Preprocessed",
    "Preprocessor",
    "PreprocessorParameter",
    "Queued",
    "Replica",
    "Result",
    "ServerInfo",
    "StageTiming",
    "Step",
    "Timings",
    "Upscale",
]
