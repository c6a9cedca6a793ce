"""The sync client.

with triptych.Client("127.0.0.1:50051") as client:
    client.generate("a red circle", seed=7).images[0].save("out.png")
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

import grpc

from triptych.errors import DeadlineExceededError, UnavailableError
from triptych.sdk import calls
from triptych.sdk.catalog import Checkpoint, ServerInfo
from triptych.sdk.channel import DEFAULT_ADDRESS, Connection
from triptych.sdk.events import Event, Result, require_result
from triptych.sdk.images import ImageInput
from triptych.sdk.loras import Lora
from triptych.sdk.parameters import GenerateParameters, UpscaleParameters, build_request
from triptych.sdk.parts.enlarging import Upscale
from triptych.sdk.preprocessing import Preprocessed, Preprocessor, preprocess_request
from triptych.sdk.readiness import POLL_INTERVAL_S, Readiness
from triptych.sdk.reading.picture_request import PictureRequest
from triptych.sdk.reading.settling import read_request, settled


class Client:
    """A client of one orchestrator; may be shared by threads. Failures are raised as `triptych.errors`.

    Args:
        address: "host:port", or any gRPC target.
        credentials: TLS, from `grpc.ssl_channel_credentials()`, say; None for plain text.
        api_key: one of those that the server's operator made; a password too, as "NAME.PASSWORD".
        timeout_s: seconds that a call may take unless it names its own `timeout_s`; None for no limit.
        options: gRPC channel arguments on top of the client's own.
    """

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        credentials: grpc.ChannelCredentials | None = None,
        api_key: str = "",
        timeout_s: float | None = None,
        options: Sequence[tuple[str, Any]] = (),
    ) -> None:
        self.gateway_url = ""
        """Of the HTTP gateway, "http://host:port", where `triptych.local` started one."""
        self._connection = Connection(grpc, address, credentials, timeout_s, api_key, options)

    @property
    def address(self) -> str:
        """Where the server is."""
        return self._connection.address

    def generate(
        self, prompt: str, *, timeout_s: float | None = None, **parameters: Unpack[GenerateParameters]
    ) -> Result:
        """Makes pictures and waits for them.

        Args:
            prompt: what the picture shows.
            timeout_s: seconds, for this request.
            parameters: `checkpoint`, `prompt_2`, `negative_prompt`, `negative_prompt_2`, `clip_skip`, `image`,
                `strength`, `mask_image`, `padding_mask_crop`, `mask_blur`, `masked_content`, `invert_mask`,
                `paste_original`, `expand`, `expand_fill`, `image_guidance_scale`, `num_inference_steps`,
                `guidance_scale`, `guidance_rescale`, `width`, `height`, `tiling`, `original_size`,
                `crops_coords_top_left`, `target_size`, `negative_original_size`,
                `negative_crops_coords_top_left`, `negative_target_size`, `aesthetic_score`, `negative_aesthetic_score`,
                `refiner`, `refiner_start`, `vae`, `engine`, `controls`, `guess_mode`, `ip_adapters`, `hires`,
                `upscale`, `num_images_per_prompt`, `seed`, `subseed`, `subseed_strength`, `seed_resize_from`,
                `scheduler`, `eta`, `image_format`, `quality`,
                `preview_every_steps`, `loras`, `priority`, `deadline_seconds`, `request_id`; GenerateParameters says
                what each means.

        Raises:
            InvalidArgumentError: the server refused a value; `metadata["field"]` names it.
            TriptychError: any other failure, by its class in `triptych.errors`.
        """
        last: Event | None = None
        for event in self.stream(prompt, timeout_s=timeout_s, **parameters):
            last = event
        return require_result(last)

    def stream(
        self, prompt: str, *, timeout_s: float | None = None, **parameters: Unpack[GenerateParameters]
    ) -> Generator[Event, None, None]:
        """As `generate`, but yields every event: Queued, Step by Step, Result.

        The request starts with the first `next()`; closing the generator, or dropping it, cancels the work.
        """
        return self._events(calls.generate(build_request(prompt, **parameters)), timeout_s)

    def upscale(
        self,
        image: ImageInput | Sequence[ImageInput],
        *,
        scale: float | None = None,
        upscaler: str | None = None,
        width: int | None = None,
        height: int | None = None,
        timeout_s: float | None = None,
        **parameters: Unpack[UpscaleParameters],
    ) -> Result:
        """Enlarges pictures, without drawing anything; no checkpoint need be there.

        Args:
            image: one, or several: PIL images, paths, or bytes of files.
            scale: how many times as large each way; default 2.
            upscaler: a name from `server_info().upscalers`; default "lanczos".
            width: pixels, in the place of `scale`; alone, or with `height`.
            height: pixels, likewise.
            timeout_s: seconds, for this request.
            parameters: `image_format`, `quality`, `priority`, `deadline_seconds`, `request_id`, as `generate` has them.
        """
        upscale = Upscale(scale, upscaler, width, height)
        return self.generate("", image=image, upscale=upscale, timeout_s=timeout_s, **parameters)

    def preprocess(
        self,
        preprocessor: str,
        image: ImageInput,
        *,
        processor_res: int | None = None,
        threshold_a: float | None = None,
        threshold_b: float | None = None,
        mask_image: ImageInput | None = None,
        width: int | None = None,
        height: int | None = None,
        resize_mode: str | None = None,
        timeout_s: float | None = None,
    ) -> Preprocessed:
        """What a picture becomes before a ControlNet looks at it, as `Control(preprocessor=...)` has it done.

        Args:
            preprocessor: a name from `preprocessors()`, which has what the next three mean, their ranges and defaults.
            image: a PIL image, a path or a file's bytes.
            processor_res: pixels of the shorter side that it works at; 0: those of `width` and `height`, or else the
                image's own.
            threshold_a: the preprocessor's first number.
            threshold_b: its second.
            mask_image: where it `needs_mask`: white where the ControlNet is to see nothing.
            width: pixels that it is brought to, as for what is drawn in that size; default: as it comes.
            height: likewise; both or none.
            resize_mode: how, "just_resize", "crop_and_resize" or "resize_and_fill".
            timeout_s: seconds, for this call.
        """
        numbers = {"processor_res": processor_res, "threshold_a": threshold_a, "threshold_b": threshold_b}
        fields = {**numbers, "width": width, "height": height, "resize_mode": resize_mode}
        return self._run(calls.preprocess(preprocess_request(preprocessor, image, mask_image, fields)), timeout_s)

    def preprocessors(self, *, timeout_s: float | None = None) -> list[Preprocessor]:
        """What pictures can be prepared with for ControlNets, ready or not."""
        return self._run(calls.list_preprocessors(), timeout_s)

    def request_from(self, picture: ImageInput, *, timeout_s: float | None = None) -> PictureRequest:
        """What a picture says of how it was made, for another like it: `generate(**request.parameters)`.

        Reads what Triptych writes into its pictures, A1111's infotexts, and ComfyUI's simple graphs; checkpoints are
        found by their hashes among those that the server knows.

        Args:
            picture: a file's path or bytes, or a PIL image as it was opened.
            timeout_s: seconds, for each of two questions to the server.

        Raises:
            InvalidArgumentError: it cannot be read, or says nothing.
        """
        return settled(read_request(picture), self.checkpoints(timeout_s=timeout_s), self.loras(timeout_s=timeout_s))

    def cancel(self, request_id: str, *, timeout_s: float | None = None) -> None:
        """Stops a running request; NotFoundError if none of that id is running, or only another caller's.

        An id that the server made, `Queued.request_id`, may be cancelled by any client. One that `request_id=` chose
        counts for this client alone, or for those who send the same call credentials.
        """
        self._run(calls.cancel(request_id), timeout_s)

    def checkpoints(self, *, timeout_s: float | None = None) -> list[Checkpoint]:
        """The checkpoints that the server knows."""
        return self._run(calls.list_checkpoints(), timeout_s)

    def register_checkpoint(
        self,
        name: str,
        path: str | os.PathLike[str],
        engine: str | None = None,
        load: bool = False,
        *,
        prediction_type: str | None = None,
        variant: str | None = None,
        vae: str | os.PathLike[str] | None = None,
        image_encoder: str | os.PathLike[str] | None = None,
        with_hash: bool = False,
        timeout_s: float | None = None,
    ) -> Checkpoint:
        """Has the server check a diffusers-format directory or a single file and take it under a name.

        `engine`, `prediction_type`, `variant`, `vae` and `image_encoder` None: as the path is registered under the name
        already, or else open, which "" asks for.

        Args:
            name: what `generate(checkpoint=...)` will call it.
            path: a directory or a safetensors file that the server and its stages can read.
            engine: "onnxruntime", "torch" or "tensorrt", or one for each stage, "unet=torch,vae=onnxruntime"; what is
                left open is decided by each stage's replica, or else by the server. Another engine for a name that is
                known already switches it: a loaded checkpoint goes on serving, and both need memory meanwhile.
            load: load it at once as well.
            prediction_type: "epsilon" or "v_prediction", whatever the checkpoint says.
            variant: diffusers' own, "fp16" say: of each component the weights of that name where it has such; open:
                those without one, or else the fp16 or the only ones. Another than before is a switch as well.
            vae: the path of another VAE for it, a folder or a file; open: its own. Another than before is a switch as
                well. A VAE alone may also be registered under a name of its own, for `generate(vae=...)`.
            image_encoder: see `register_ip_adapter`.
            with_hash: return once its SHA-256 is known, which takes as long as reading its weights whole.
            timeout_s: seconds, for this call.
        """
        choices = (prediction_type, variant, vae, with_hash, image_encoder)
        return self._run(calls.register_checkpoint(name, path, engine, load, *choices), timeout_s)

    def register_upscaler(
        self,
        name: str,
        path: str | os.PathLike[str],
        engine: str | None = None,
        load: bool = False,
        *,
        timeout_s: float | None = None,
    ) -> Checkpoint:
        """Has the server take the file of an upscaler of ESRGAN's kind, for requests to enlarge with by its name.

        A checkpoint that draws nothing: it is listed with the others, and unregistered as they are.

        Args:
            name: what requests will call it.
            path: a `.pth` or `.safetensors` file that the server and its stages can read.
            engine: "onnxruntime" or "torch".
            load: load it at once as well.
            timeout_s: seconds, for this call.
        """
        return self._run(calls.register_checkpoint(name, path, engine, load, purpose="upscaling"), timeout_s)

    def register_controlnet(
        self,
        name: str,
        path: str | os.PathLike[str],
        load: bool = False,
        *,
        variant: str | None = None,
        timeout_s: float | None = None,
    ) -> Checkpoint:
        """Has the server take a ControlNet, or a T2I-Adapter, for requests to be drawn under: `generate(controls=...)`.

        A checkpoint that draws nothing: it is listed with the others, and unregistered as they are. It works in the
        UNet's process, by the engine of the checkpoint that it stands beside.

        Args:
            name: what requests will call it.
            path: a directory, as diffusers saves one, or a `.safetensors` or `.pth` file, that the server and its
                stages can read.
            load: read it at once as well.
            variant: diffusers' own, "fp16" say.
            timeout_s: seconds, for this call.
        """
        call = calls.register_checkpoint(name, path, None, load, variant=variant, purpose="controlling")
        return self._run(call, timeout_s)

    def register_preprocessor(
        self, name: str, path: str | os.PathLike[str], load: bool = False, *, timeout_s: float | None = None
    ) -> Checkpoint:
        """Has the server take the network of a preprocessor that is one: `generate(controls=...)` and `preprocess`.

        A checkpoint that draws nothing: it is listed with the others, and unregistered as they are. ONNX Runtime runs
        it beside the VAE, whatever engine the others have.

        Args:
            name: the preprocessor's, one of `preprocessors()` that lacks its network's weights: "depth_midas", say.
            path: an ONNX file, weights inside, that the server and its stages can read.
            load: load it at once as well.
            timeout_s: seconds, for this call.
        """
        call = calls.register_checkpoint(name, path, None, load, purpose="preparing")
        return self._run(call, timeout_s)

    def register_ip_adapter(
        self,
        name: str,
        path: str | os.PathLike[str],
        engine: str | None = None,
        load: bool = False,
        *,
        image_encoder: str | os.PathLike[str] | None = None,
        timeout_s: float | None = None,
    ) -> Checkpoint:
        """Has the server take an IP-Adapter, for requests to look at pictures by its name: `generate(ip_adapters=...)`.

        A checkpoint that draws nothing: it is listed with the others, and unregistered as they are.

        Args:
            name: what requests will call it.
            path: a `.safetensors` or `.bin` file that the server and its stages can read.
            engine: "onnxruntime" or "torch", of its image encoder.
            load: load that at once as well.
            image_encoder: the path of that encoder, a folder as transformers saves CLIP's vision model, or a file of
                ViT-H/14 or ViT-bigG/14; open: the folder `image_encoder` beside the file, or beside its folder.
            timeout_s: seconds, for this call.
        """
        call = calls.register_checkpoint(name, path, engine, load, image_encoder=image_encoder, purpose="prompting")
        return self._run(call, timeout_s)

    def unregister_checkpoint(self, name: str, *, timeout_s: float | None = None) -> None:
        """Has the server unload and forget a checkpoint; its files stay."""
        self._run(calls.unregister_checkpoint(name), timeout_s)

    def load_checkpoint(self, name: str, *, timeout_s: float | None = None) -> Checkpoint:
        """Loads a checkpoint in every stage; returns when it can serve. `generate` would do it by itself."""
        return self._run(calls.load_checkpoint(name), timeout_s)

    def unload_checkpoint(self, name: str, *, timeout_s: float | None = None) -> Checkpoint:
        """Lets running requests finish, then frees the checkpoint's memory in every stage."""
        return self._run(calls.unload_checkpoint(name), timeout_s)

    def loras(self, *, timeout_s: float | None = None) -> list[Lora]:
        """The LoRAs that the server keeps."""
        return self._run(calls.list_loras(), timeout_s)

    def add_lora(
        self, name: str, path: str | os.PathLike[str], *, replace: bool = False, timeout_s: float | None = None
    ) -> Lora:
        """Sends a LoRA's file to the server, which checks and keeps it.

        Args:
            name: what `generate(loras=...)` and `<lora:name:weight>` in a prompt will call it.
            path: a file on this machine (.safetensors, or torch's .pt, .ckpt, .bin), or a folder as PEFT or diffusers
                saves a LoRA.
            replace: the name may be another file's, which stays as "name@digest".
            timeout_s: seconds, for this call.

        Raises:
            AlreadyExistsError: the name is another file's, and `replace` is not set; the same file again is no error.
            LoraInvalidError: the server cannot read it as a LoRA.
        """
        return self._run(calls.add_lora(name, path, replace), timeout_s)

    def remove_lora(self, name: str, *, timeout_s: float | None = None) -> None:
        """Has the server forget a LoRA, and what its name meant formerly; requests that use it go on."""
        self._run(calls.remove_lora(name), timeout_s)

    def server_info(self, *, timeout_s: float | None = None) -> ServerInfo:
        """The server's version, schedulers, engines, limits and stage replicas."""
        return self._run(calls.server_info(), timeout_s)

    def wait_ready(self, timeout_s: float = 60.0) -> ServerInfo:
        """Waits until the server answers and each stage has a ready replica, else raises UnavailableError."""
        readiness = Readiness(self.address, timeout_s)
        while True:
            left_s = readiness.left_s()
            try:
                info = self.server_info(timeout_s=left_s)
                if readiness.accepts(info):
                    return info
            except (DeadlineExceededError, UnavailableError) as error:
                readiness.missed(error)
            time.sleep(POLL_INTERVAL_S)

    def close(self) -> None:
        """Closes the connection and cancels what still runs on it; more than once is fine."""
        channel = self._connection.retire()
        if channel is not None:
            channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, call: calls.Call[calls.Value], timeout_s: float | None) -> calls.Value:
        method = call.method(self._connection.channel())
        with self._connection.translated_errors():
            return call.decode(method(call.request, **self._connection.call_options(timeout_s)))

    def _events(self, call: calls.Call[Event | None], timeout_s: float | None) -> Generator[Event, None, None]:
        method = call.method(self._connection.channel())
        responses = method(call.request, **self._connection.call_options(timeout_s))
        try:
            with self._connection.translated_errors():
                for response in responses:
                    event = call.decode(response)
                    if event is not None:
                        yield event
        finally:
            responses.cancel()
