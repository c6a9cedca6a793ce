"""What txt2img and img2img take, with that API's names and defaults."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from triptych_gateway.a1111.drawing.from_infotext import with_infotext

Prompt = Annotated[str, Field(max_length=1_000_000)]
Name = Annotated[str, Field(max_length=1000)]
_MOST_ITERATIONS = 100
# Far more than any server allows: seeds are made for all of them before it is asked.
_MOST_PICTURES = 1000
_MOST_IMAGES = 100


class Drawn(BaseModel):
    """`info` is JSON in a text."""

    images: list[str]
    parameters: dict[str, Any]
    info: str


class Common(BaseModel):
    """Of both. A null is as good as nothing; what is not known is passed over, as that API does."""

    model_config = ConfigDict(allow_inf_nan=False)

    prompt: Prompt = ""
    negative_prompt: Prompt = ""
    styles: list[Name] = []
    seed: int = -1
    subseed: int = -1
    subseed_strength: float = 0.0
    seed_resize_from_h: int = -1
    seed_resize_from_w: int = -1
    sampler_name: Name | None = None
    sampler_index: Name = "Euler"
    scheduler: Name | None = None
    batch_size: Annotated[int, Field(ge=1, le=_MOST_PICTURES)] = 1
    n_iter: Annotated[int, Field(ge=1, le=_MOST_ITERATIONS)] = 1
    steps: int = 50
    cfg_scale: float = 7.0
    width: int = 512
    height: int = 512
    restore_faces: bool | None = None
    tiling: bool | None = None
    do_not_save_samples: bool = False
    do_not_save_grid: bool = False
    eta: float | None = None
    s_min_uncond: float | None = None
    s_churn: float | None = None
    s_tmax: float | None = None
    s_tmin: float | None = None
    s_noise: float | None = None
    override_settings: dict[str, Any] = {}
    override_settings_restore_afterwards: bool = True
    refiner_checkpoint: Name | None = None
    refiner_switch_at: float | None = None
    disable_extra_networks: bool = False
    script_name: Name | None = None
    alwayson_scripts: dict[str, Any] = {}
    send_images: bool = True
    save_images: bool = False
    force_task_id: Annotated[str, Field(max_length=200)] | None = None
    infotext: Prompt | None = None

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, given: Any) -> Any:
        if isinstance(given, dict):
            return with_infotext({name: value for name, value in given.items() if value is not None})
        return given

    @property
    def echo(self) -> dict[str, Any]:
        """What an answer says was asked for."""
        return {**self.model_dump(), "script_args": []}


class Txt2Img(Common):
    """POST /sdapi/v1/txt2img."""

    enable_hr: bool = False
    denoising_strength: float = 0.75
    firstphase_width: int = 0
    firstphase_height: int = 0
    hr_scale: float = 2.0
    hr_upscaler: Name | None = None
    hr_second_pass_steps: int = 0
    hr_resize_x: int = 0
    hr_resize_y: int = 0
    hr_checkpoint_name: Name | None = None
    hr_sampler_name: Name | None = None
    hr_scheduler: Name | None = None
    hr_prompt: Prompt = ""
    hr_negative_prompt: Prompt = ""


class Img2Img(Common):
    """POST /sdapi/v1/img2img; images as base64, with the head of a data URI or without."""

    init_images: Annotated[list[str], Field(max_length=_MOST_IMAGES)] | None = None
    resize_mode: Literal[0, 1, 2, 3] = 0
    denoising_strength: float = 0.75
    image_cfg_scale: float | None = None
    mask: Annotated[str | None, AfterValidator(lambda text: text or None)] = None
    mask_blur_x: int = 4
    mask_blur_y: int = 4
    mask_blur: int | None = None
    mask_round: bool = True
    inpainting_fill: Literal[0, 1, 2, 3] = 0
    inpaint_full_res: bool = True
    inpaint_full_res_padding: int = 0
    inpainting_mask_invert: Literal[0, 1] = 0
    initial_noise_multiplier: float | None = None
    latent_mask: str | None = None
    include_init_images: bool = False

    @property
    def echo(self) -> dict[str, Any]:
        """Without the images, unless they are wanted back."""
        images = {} if self.include_init_images else {"init_images": None, "mask": None}
        return {**super().echo, **images}
