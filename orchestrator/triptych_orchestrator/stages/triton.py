"""One Triton server as the orchestrator sees it: numpy in and out, models loaded by name, failures told apart."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import tritonclient.grpc.aio as aio
from tritonclient.utils import InferenceServerException, triton_to_np_dtype

from triptych.contract import ABOUT, ABOUT_INPUT, ModelSpec, TensorSpec
from triptych.contract.carried import carried
from triptych.contract.repository import model_config, model_shim, stop_shim
from triptych.errors import FailedPreconditionError, InvalidArgumentError, TriptychError, UnavailableError

Tensors = dict[str, npt.NDArray[np.generic]]

_QUESTION_TIMEOUT_S = 10.0
# What takes a thread of Triton microseconds, with room for a machine that keeps it waiting.
_SETTLING_S = 0.25
_CHANNEL_OPTIONS = [
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # Between the servers of one site; and a proxy meant for the internet would break that.
    ("grpc.enable_http_proxy", 0),
    # gRPC's own wait grows to two minutes, in which a stage that is back would count as down.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # In spite of its name the time that one attempt may take: a busy server's first frame can be seconds late.
    ("grpc.min_reconnect_backoff_ms", 10_000),
]


class ReplicaDownError(UnavailableError):
    """The server does not answer, or stopped answering during the call."""

    reason = "REPLICA_DOWN"


class ModelMissingError(UnavailableError):
    """The server answers but does not hold the model, or the model's process died."""

    reason = "MODEL_MISSING"


class TritonServer:
    """A connection to one Triton server; every failure is a TriptychError."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._client = aio.InferenceServerClient(address, channel_args=_CHANNEL_OPTIONS)

    async def close(self) -> None:
        """Closes the connection."""
        await self._client.close()

    async def is_live(self, timeout_s: float) -> bool:
        """Whether the server answers; "ready" would mean that no model is just loading."""
        try:
            return bool(await self._client.is_server_live(client_timeout=timeout_s))
        except InferenceServerException:
            return False

    async def is_model_ready(self, name: str) -> bool:
        """Whether the server holds the model, its process not asked."""
        try:
            return bool(await self._client.is_model_ready(name, client_timeout=_QUESTION_TIMEOUT_S))
        except InferenceServerException:
            return False

    async def load_model(self, name: str, spec: ModelSpec, parameters: Mapping[str, str], timeout_s: float) -> str:
        """Loads a model that needs no folder on the server: its configuration and code travel with the call.

        Returns what it answers about itself, see `ABOUT`.

        Triton keeps a loaded model of that name where the parameters are the same, though its process died or the
        files are others, so it is unloaded first.
        """
        try:
            await self._unload(name, timeout_s)
            await self._client.load_model(
                name,
                config=json.dumps(model_config(spec, parameters)),
                files={"file:1/model.py": model_shim(spec).encode()},
                client_timeout=timeout_s,
            )
        except InferenceServerException as error:
            translated = _translated(error, self.address)
            # Triton tells no failure to load from another.
            if type(translated) in (InvalidArgumentError, TriptychError):
                translated = FailedPreconditionError(f"{name} cannot be loaded: {translated.message}")
            raise translated from error
        return await self._about(name, spec)

    async def _about(self, name: str, spec: ModelSpec) -> str:
        asked = [tensor for tensor in spec.inputs if not tensor.optional or tensor is ABOUT_INPUT]
        tensors = {tensor.name: _least(tensor) for tensor in asked}
        answer = await self.infer(name, spec, tensors, "about", _QUESTION_TIMEOUT_S)
        return bytes(answer[ABOUT.name].flat[0]).decode()

    async def stop_export(self, name: str, spec: ModelSpec, timeout_s: float) -> None:
        """Ends the export that a load of the model waits for, and so that load; see `triptych.stage.stopping`."""
        with contextlib.suppress(InferenceServerException):  # raised at the end, so that nothing more stays loaded
            await self._client.load_model(
                f"{name}~stop",
                config=json.dumps(model_config(spec, {"model": name})),
                files={"file:1/model.py": stop_shim().encode()},
                client_timeout=timeout_s,
            )

    async def unload_model(self, name: str, timeout_s: float) -> None:
        """Unloads a model; no error if it is not there, and nothing is done where it is just being loaded."""
        try:
            await self._unload(name, timeout_s)
        except InferenceServerException as error:
            raise _translated(error, self.address) from error

    async def _unload(self, name: str, timeout_s: float) -> None:
        """Unloads a model that is loaded, but not at the very end of its load, of which Triton 2.51 dies.

        A model's thread takes its instance off a list while it works, and puts it back a moment after it has said that
        the load is done; an unload, such as one that was waiting for the load, takes the last of that list even if it
        is empty. Once the model has answered a request, there is always one to be found.
        """
        try:
            known = await self._client.get_inference_statistics(name, client_timeout=_QUESTION_TIMEOUT_S)
        except InferenceServerException as error:
            if str(error.status()).endswith(("INVALID_ARGUMENT", "NOT_FOUND")):
                return
            raise
        if not any(
            stats.inference_stats.success.count + stats.inference_stats.fail.count for stats in known.model_stats
        ):
            await asyncio.sleep(_SETTLING_S)
        await self._client.unload_model(name, client_timeout=timeout_s)

    async def infer(
        self,
        model: str,
        spec: ModelSpec,
        tensors: Mapping[str, npt.NDArray[np.generic]],
        request_id: str,
        timeout_s: float,
    ) -> Tensors:
        """Runs one call; the outputs that there are as read-only arrays, the batch first."""
        inputs = []
        for name, array in tensors.items():
            tensor = aio.InferInput(name, array.shape, spec.input(name).datatype)
            tensor.set_data_from_numpy(np.ascontiguousarray(array))
            inputs.append(tensor)
        try:
            result = await self._client.infer(model, inputs, request_id=request_id, client_timeout=timeout_s)
        except InferenceServerException as error:
            raise _translated(error, self.address) from error
        arrays = {output.name: result.as_numpy(output.name) for output in spec.outputs}
        return {name: array for name, array in arrays.items() if array is not None}


def _least(tensor: TensorSpec) -> npt.NDArray[np.generic]:
    """One sample of zeros, each open extent 1."""
    shape = [extent if isinstance(extent, int) else 1 for extent in tensor.dims]
    return np.zeros((1, *shape), triton_to_np_dtype(tensor.datatype))


def _translated(error: InferenceServerException, address: str) -> TriptychError:
    """A model's own errors are carried; Triton's statuses are few and its messages stable, so both are read."""
    status, message = str(error.status()).removeprefix("StatusCode."), str(error.message())
    if (own := carried(message)) is not None:
        return own
    if "unknown model" in message or "is not healthy" in message or "Stub process" in message:
        return ModelMissingError(f"{address}: {message}")
    if status == "DEADLINE_EXCEEDED":  # stuck, while the server may be well: loading it again ends its process
        return ModelMissingError(f"{address}: no answer in time: {message}")
    if status in ("UNAVAILABLE", "CANCELLED", "UNKNOWN") or "RST_STREAM" in message:
        return ReplicaDownError(f"{address}: {status}: {message}")
    if status == "INVALID_ARGUMENT":
        return InvalidArgumentError(message)
    return TriptychError(f"{address}: {status}: {message}")
