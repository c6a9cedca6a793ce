"""Every model's tensors: name, datatype and shape, once.

A dimension is a number, or the name of an extent that a checkpoint fixes (`channels`) or a request chooses (`height`).
Shapes are per sample; Triton puts the batch dimension before them and its dynamic batcher concatenates along it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from triptych.contract.controls import CONTROL_KEY_BYTES
from triptych.contract.loras import LORA_KEY_BYTES

CONDITIONING_KEY_BYTES = 16


@dataclass(frozen=True)
class TensorSpec:
    """One tensor; `datatype` in KServe's names, `dims` without the batch dimension."""

    name: str
    datatype: str
    dims: tuple[int | str, ...]
    optional: bool = False


@dataclass(frozen=True)
class ModelSpec:
    """One Triton model: which stage serves it, its tensors, the class behind it, and how far batches may grow."""

    name: str
    stage: str
    implementation: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    max_batch_size: int
    # One orchestrator merges its steps itself; Triton's batcher merges what several of them send at the same time.
    max_queue_delay_microseconds: int

    def input(self, name: str) -> TensorSpec:
        """The input of that name; KeyError if the contract has none."""
        return {spec.name: spec for spec in self.inputs}[name]


class Report(NamedTuple):
    """What every answer says of the engine call that its samples were in."""

    engine_seconds: float
    batch_samples: float
    """All samples that shared the call."""
    refit_seconds: float
    """In which the engine's weights were exchanged before."""
    not_finite: float = 0.0
    """1 for a sample that has NaN or infinite numbers, which a picture hides; of several samples, if any has."""

    @classmethod
    def of(cls, outputs: Mapping[str, Any]) -> Report:
        """The report among a call's outputs; but for `not_finite` it is the same for each of its samples."""
        return cls(*outputs[REPORT.name].max(axis=0).tolist())


# One tensor, for each more costs time in Triton's Python backend.
REPORT = TensorSpec("report", "FP32", (len(Report._fields),))

# Asked with `about`, a model answers this tensor alone, and looks at no other: what its numbers depend on besides
# weights and inputs, as JSON. Asked anything else it leaves it out.
ABOUT = TensorSpec("about", "BYTES", (1,))
ABOUT_INPUT = TensorSpec("about", "UINT8", (1,), optional=True)

# Which LoRAs a sample wants in the weights, by the key of `contract.loras`; absent or zero: none. A stage that does not
# know the key answers NOT_FOUND, and is sent the set, as JSON, along with the call. While it still prepares the set it
# answers UNAVAILABLE at once, and the call is made again.
LORA_INPUTS = (
    TensorSpec("lora_key", "UINT8", (LORA_KEY_BYTES,), optional=True),
    TensorSpec("loras", "BYTES", (1,), optional=True),
)

# Along which axes a sample's convolutions wrap around, so that its picture tiles: a place in `contract.wrapping.AXES`.
# With the same weights; INVALID_ARGUMENT where a request's samples do not agree.
WRAPPING = TensorSpec("wrapping", "UINT8", (1,), optional=True)

# What a UNet is under for a sample: for each ControlNet the key, of `contract.controls`, of what it makes of a picture,
# and what each of its residuals is multiplied by; of a T2I-Adapter the first of these count, one for each feature. The
# samples of a request have as many, of the same ControlNets in the same order. A stage that does not hold a key answers
# NOT_FOUND, and is sent ControlNet, as JSON, and picture, as RGB, along with the call, for one sample of those that
# have the key. While it loads that it answers UNAVAILABLE at once. A union ControlNet is one, however many pictures it
# looks at.
CONTROL_INPUTS = (
    TensorSpec("control_keys", "UINT8", ("controls", CONTROL_KEY_BYTES), optional=True),
    TensorSpec("control_scales", "FP32", ("controls", "residuals"), optional=True),
    TensorSpec("controlnets", "BYTES", ("controls",), optional=True),
    TensorSpec("control_images", "BYTES", ("controls",), optional=True),
)

# `hidden_states` are those of the last layer, or of one `skip_layers` before it, through the final norm or, with
# `final_norm` false, as the layer left them. `pooled` is the vector at the end of the text, always of the last layer
# and normed; projected, where the text encoder has a projection.
ENCODER = ModelSpec(
    name="encoder",
    stage="encoder",
    implementation="triptych_encoder.model.EncoderModel",
    inputs=(
        TensorSpec("input_ids", "INT64", ("tokens",)),
        TensorSpec("skip_layers", "INT32", (1,), optional=True),
        TensorSpec("final_norm", "BOOL", (1,), optional=True),
        *LORA_INPUTS,
        ABOUT_INPUT,
    ),
    outputs=(
        TensorSpec("hidden_states", "FP32", ("tokens", "hidden")),
        TensorSpec("pooled", "FP32", ("projection",)),
        REPORT,
        ABOUT,
    ),
    max_batch_size=32,
    max_queue_delay_microseconds=0,
)

# The second text encoder of a family that has two, beside the first in the same stage.
ENCODER_2 = replace(ENCODER, name="encoder_2", implementation="triptych_encoder.model.SecondEncoderModel")

# Height and width of three sizes, one for each: original, crop, target. A family may tell its UNet of others.
TIME_IDS = 6
# What a UNet that edits pictures sees beside the latents, along the channels and after theirs: a picture's latents, and
# for inpainting a mask before those. It is the same at every step, so that it travels once.
IMAGE_LATENTS = TensorSpec("image_latents", "FP32", ("image_channels", "latent_height", "latent_width"), optional=True)
# What a UNet looks at of a picture beside its text, by an IP-Adapter: for all of its cross-attentions side by side the
# keys, and the values times what they count for. The adapter's matrices are needed for no more than that, and none of
# it changes from step to step. Of several adapters these follow each other.
IMAGE_PROMPT = TensorSpec("image_prompt", "FP32", ("sides", "prompt_tokens", "prompt_width"), optional=True)
# All that a UNet is conditioned on besides latents and timestep; which of them, its architecture says.
CONDITIONING = (
    TensorSpec("encoder_hidden_states", "FP32", ("tokens", "hidden"), optional=True),
    TensorSpec("text_embeds", "FP32", ("pooled",), optional=True),
    TensorSpec("time_ids", "FP32", ("ids",), optional=True),
    IMAGE_LATENTS,
    IMAGE_PROMPT,
)
CONDITIONING_TENSORS: tuple[str, ...] = tuple(spec.name for spec in CONDITIONING)

# `conditioning_key` names all that those tensors once brought: a request's first step carries them and the key, later
# steps the key alone. A replica that does not hold the key answers NOT_FOUND and is sent all of them again.
UNET = ModelSpec(
    name="unet",
    stage="unet",
    implementation="triptych_unet.model.UNetModel",
    inputs=(
        TensorSpec("latents", "FP32", ("out_channels", "latent_height", "latent_width")),
        TensorSpec("timestep", "FP32", (1,)),
        TensorSpec("conditioning_key", "UINT8", (CONDITIONING_KEY_BYTES,)),
        *CONDITIONING,
        WRAPPING,
        *CONTROL_INPUTS,
        *LORA_INPUTS,
        ABOUT_INPUT,
    ),
    outputs=(TensorSpec("noise_pred", "FP32", ("out_channels", "latent_height", "latent_width")), REPORT, ABOUT),
    max_batch_size=16,
    max_queue_delay_microseconds=0,
)

# `image` is ready for a PNG: RGB, height x width x 3, rounded from [-1, 1] as diffusers' VaeImageProcessor does. With
# `size_check` nothing is decoded: the answer is one black pixel, or INVALID_ARGUMENT where the engine takes no latents
# of that size, FAILED_PRECONDITION where it does not wrap around yet, so that this is known before the first step. With
# `unrounded` the answer is no `image` but the `sample` that it would be rounded from, for whoever blends tiles.
VAE_DECODER = ModelSpec(
    name="vae_decoder",
    stage="vae",
    implementation="triptych_vae.model.VaeDecoderModel",
    inputs=(
        TensorSpec("latents", "FP32", ("latent_channels", "latent_height", "latent_width")),
        TensorSpec("size_check", "UINT8", (1,), optional=True),
        TensorSpec("unrounded", "UINT8", (1,), optional=True),
        WRAPPING,
        ABOUT_INPUT,
    ),
    outputs=(
        TensorSpec("image", "UINT8", ("height", "width", 3)),
        TensorSpec("sample", "FP32", (3, "height", "width")),
        REPORT,
        ABOUT,
    ),
    max_batch_size=4,
    max_queue_delay_microseconds=0,
)

# The image is as `VAE_DECODER` gives it, or RGBA; what is transparent is the middle of [-1, 1] then, which 8 bits
# cannot say. `moments` are the latents' means, then the logarithms of their variances, like
# diffusers' DiagonalGaussianDistribution. Whoever asks draws the latents, and scales them.
VAE_ENCODER = ModelSpec(
    name="vae_encoder",
    stage="vae",
    implementation="triptych_vae.model.VaeEncoderModel",
    inputs=(TensorSpec("image", "UINT8", ("height", "width", "colours")), WRAPPING, ABOUT_INPUT),
    outputs=(TensorSpec("moments", "FP32", ("twice_latent_channels", "latent_height", "latent_width")), REPORT, ABOUT),
    max_batch_size=4,
    max_queue_delay_microseconds=0,
)

# Of a file of its own, which belongs to no checkpoint; the sample is nominally in [0, 1], for whoever blends tiles.
UPSCALER = ModelSpec(
    name="upscaler",
    stage="vae",
    implementation="triptych_vae.upscaling.UpscalerModel",
    inputs=(TensorSpec("image", "UINT8", ("height", "width", 3)), ABOUT_INPUT),
    outputs=(TensorSpec("sample", "FP32", (3, "larger_height", "larger_width")), REPORT, ABOUT),
    max_batch_size=4,
    max_queue_delay_microseconds=0,
)

# Of an ONNX file of its own, which prepares pictures for ControlNets. The image is as that file wants it, of its size
# where it has one; `maps` are all that it gives, one below the other along the channels, each as large as the largest
# is, but not larger than the image, or with `classes` of each of the image's pixels the number of the highest. With
# `exact` they are what it gives as it is, each in the upper left corner of as large as the largest is, and 0 beside.
PREPROCESSOR = ModelSpec(
    name="preprocessor",
    stage="vae",
    implementation="triptych_vae.preparing.PreprocessorModel",
    inputs=(
        TensorSpec("image", "FP32", ("colours", "height", "width")),
        TensorSpec("classes", "UINT8", (1,), optional=True),
        TensorSpec("exact", "UINT8", (1,), optional=True),
        ABOUT_INPUT,
    ),
    outputs=(TensorSpec("maps", "FP32", ("maps", "map_height", "map_width")), REPORT, ABOUT),
    max_batch_size=4,
    max_queue_delay_microseconds=0,
)

# Of what a picture shows, as the checkpoint's own checker has it; `nsfw` is 1 for one that is not to be shown. An image
# about which it computes no number is none to be shown either.
SAFETY_CHECKER = ModelSpec(
    name="safety_checker",
    stage="vae",
    implementation="triptych_vae.safety.SafetyCheckerModel",
    inputs=(TensorSpec("image", "UINT8", ("height", "width", 3)), ABOUT_INPUT),
    outputs=(TensorSpec("nsfw", "UINT8", (1,)), REPORT, ABOUT),
    max_batch_size=4,
    max_queue_delay_microseconds=0,
)

# Of an IP-Adapter: what a UNet is to look at of a picture, see IMAGE_PROMPT; with `shown` 0, what it is to look at in
# the picture's place for the negative prompt.
IMAGE_ENCODER = ModelSpec(
    name="image_encoder",
    stage="encoder",
    implementation="triptych_encoder.images.ImageEncoderModel",
    inputs=(
        TensorSpec("image", "UINT8", ("height", "width", 3)),
        TensorSpec("shown", "UINT8", (1,)),
        ABOUT_INPUT,
    ),
    outputs=(TensorSpec("image_prompt", "FP32", IMAGE_PROMPT.dims), REPORT, ABOUT),
    max_batch_size=4,
    max_queue_delay_microseconds=0,
)

ENCODERS: tuple[str, ...] = (ENCODER.name, ENCODER_2.name)
# Models whose weights a LoRA can change.
LORA_MODELS: tuple[str, ...] = (*ENCODERS, UNET.name)
# All there are; a checkpoint has those that its `components` name.
MODELS: dict[str, ModelSpec] = {
    spec.name: spec
    for spec in (
        ENCODER,
        ENCODER_2,
        UNET,
        VAE_DECODER,
        VAE_ENCODER,
        UPSCALER,
        PREPROCESSOR,
        SAFETY_CHECKER,
        IMAGE_ENCODER,
    )
}
STAGES: tuple[str, ...] = ("encoder", "unet", "vae")
# Graphs of what works in a UNet's process beside it, and is no model of Triton's: a ControlNet, what makes its hint of
# the picture that it looks at, and a T2I-Adapter.
CONTROLNET, CONTROLNET_HINT, T2I_ADAPTER = "controlnet", "controlnet_hint", "t2i_adapter"
_BESIDE = (CONTROLNET, CONTROLNET_HINT, T2I_ADAPTER)
# Whatever a graph is made for; a preprocessor's file is its graph.
GRAPHS: tuple[str, ...] = (*(name for name in MODELS if name != PREPROCESSOR.name), *_BESIDE)


def model_name(checkpoint: str, spec: ModelSpec) -> str:
    """The Triton model that serves one checkpoint's part of a stage, `demo.unet` say."""
    return f"{checkpoint}.{spec.name}"
