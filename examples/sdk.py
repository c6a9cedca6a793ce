"""Pictures through the SDK, on an embedded stack with the demo checkpoint.

python examples/sdk.py
"""

from __future__ import annotations

import asyncio

from PIL import Image, ImageDraw

import triptych
from triptych.sdk import Step


def one_picture(client: triptych.Client) -> None:
    """The parameters are those of diffusers' StableDiffusionPipeline."""
    result = client.generate(
        "a small red circle on a white background",
        negative_prompt="",
        num_inference_steps=20,
        guidance_scale=7.5,
        seed=7,
        width=128,
        height=128,
        num_images_per_prompt=2,
        scheduler="dpmpp_2m_karras",
    )
    for index, image in enumerate(result.images):
        image.save(f"circle-{index}.png")
    print(f"{len(result.images)} pictures in {result.timings.total_seconds:.2f} s, seeds {result.seeds}")


def watched_picture(client: triptych.Client) -> None:
    """Events as they come, a preview every fifth step."""
    for event in client.stream("a large green triangle on a black background", seed=1, preview_every_steps=5):
        if isinstance(event, Step) and event.preview:
            event.preview.save(f"triangle-step-{event.step}.png")
            print(f"step {event.step} of {event.total}")


def drawn_anew(client: triptych.Client, path: str = "circle-0.png") -> None:
    """Image-to-image: a file, its bytes or a PIL image to begin with; the lower the strength, the more of it stays."""
    result = client.generate("a large red star on a white background", image=path, strength=0.6, seed=7)
    result.images[0].save("star-from-circle.png")


def under_an_outline(client: triptych.Client) -> None:
    """ControlNet: the outline says where and in which form, the prompt says the colours."""
    outline = Image.new("RGB", (128, 128))
    ImageDraw.Draw(outline).polygon(
        [(14, 50), (66, 50), (66, 26), (112, 64), (66, 102), (66, 78), (14, 78)], outline="white"
    )
    controls = [triptych.Control("canny", outline, conditioning_scale=1.0)]
    result = client.generate("a green shape on a black background", controls=controls, guidance_scale=5.0, seed=7)
    result.images[0].save("arrow.png")


async def many_pictures(address: str) -> None:
    """Requests at the same time share UNet batches."""
    colours = ["red", "green", "blue", "yellow"]
    async with triptych.AsyncClient(address) as client:
        results = await asyncio.gather(
            *(client.generate(f"a {colour} star on a white background", seed=3) for colour in colours)
        )
    for colour, result in zip(colours, results, strict=True):
        result.images[0].save(f"star-{colour}.png")
    print(f"{len(results)} stars")


def main() -> None:
    """Starts the servers, makes the pictures, stops the servers."""
    with triptych.local() as client:
        one_picture(client)
        drawn_anew(client)
        under_an_outline(client)
        watched_picture(client)
        asyncio.run(many_pictures(client.address))


if __name__ == "__main__":
    main()
