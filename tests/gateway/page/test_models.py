"""Models are uploaded, switched and removed on the page."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.conftest import Served
from tests.e2e.ip_adapters.making import save_ip_adapter
from tests.engine import networks
from tests.gateway.page.steps import Drawing
from triptych.demo import lora_paths

pytestmark = pytest.mark.browser

LORA = lora_paths()["stripes"]
PIECE_BYTES = 100_000
# Around the ends of SHA-256's blocks.
SIZES = [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000, 4099]


class Interrupted:
    """Small pieces, and a connection that breaks at the second one."""

    def __init__(self, page: Page) -> None:
        self.pieces: list[str] = []
        page.route("**/api/v1/uploads", self._begin)
        page.route("**/api/v1/uploads/*", self._continue)

    def _begin(self, route: Route) -> None:
        answer: Any = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "chunk_bytes": PIECE_BYTES})

    def _continue(self, route: Route) -> None:
        if route.request.method == "PATCH":
            self.pieces.append(route.request.headers["upload-offset"])
        if len(self.pieces) == 2:
            self.pieces.append("broken")
            route.abort()
        else:
            self._pass_on(route)

    def _pass_on(self, route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json={**answer.json(), "chunk_bytes": PIECE_BYTES})


def open_models(page: Page) -> None:
    page.get_by_role("button", name="Models").click()
    expect(page.get_by_role("dialog", name="Models")).to_be_visible()


def test_digests_are_sha256(drawing: Drawing, served: Served) -> None:
    told = drawing.page.evaluate(
        """async ([sizes, piece]) => {
            const { Sha256 } = await import("/page/app/models/sha256.js");
            return sizes.map((size) => {
                const bytes = Uint8Array.from({ length: size }, (_, index) => (index * 7) % 251);
                const sum = new Sha256();
                for (let done = 0; done < size; done += piece) sum.update(bytes.subarray(done, done + piece));
                return sum.digest();
            });
        }""",
        [SIZES, 37],
    )
    assert told == [hashlib.sha256(bytes(i * 7 % 251 for i in range(size))).hexdigest() for size in SIZES]


def test_an_upload_goes_on_after_a_break(drawing: Drawing, served: Served) -> None:
    page = drawing.page
    interrupted = Interrupted(page)
    open_models(page)
    page.get_by_label("File", exact=True).set_input_files(LORA)
    expect(page.get_by_label("What it is")).to_have_value("lora")
    page.get_by_label("Name", exact=True).fill("by-the-page")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator(".uploads")).to_contain_text("Added", timeout=60_000)
    (kept,) = (lora for lora in served.client.loras() if lora.name == "by-the-page")
    assert kept.digest == hashlib.sha256(LORA.read_bytes()).hexdigest()
    assert interrupted.pieces[:4] == ["0", str(PIECE_BYTES), "broken", str(PIECE_BYTES)]

    page.get_by_role("button", name="Remove by-the-page").click()
    page.get_by_role("dialog", name="Remove").get_by_role("button", name="Remove").click()
    expect(page.locator(".models").get_by_text("by-the-page")).to_have_count(0)
    assert "by-the-page" not in [lora.name for lora in served.client.loras()]


def test_a_checkpoint_is_served_by_another_engine(
    drawing: Drawing, served: Served, checkpoints: dict[str, Path]
) -> None:
    served.client.register_checkpoint("page-switch", checkpoints["sd1"])
    page = drawing.page
    open_models(page)
    page.get_by_label("Engine of page-switch").select_option("torch")
    expect(page.get_by_text("page-switch is served by torch.")).to_be_visible()
    (switched,) = (each for each in served.client.checkpoints() if each.name == "page-switch")
    assert switched.engine == "torch"
    page.get_by_role("button", name="Remove page-switch").click()
    page.get_by_role("dialog", name="Remove").get_by_role("button", name="Remove").click()
    expect(page.get_by_label("Engine of page-switch")).to_have_count(0)
    assert "page-switch" not in [each.name for each in served.client.checkpoints()]


def test_a_preprocessors_file_has_a_networks_name(drawing: Drawing, served: Served, tmp_path: Path) -> None:
    """Found in the file's own where it begins so, and else to be chosen; added, it is lacking no more."""
    page = drawing.page
    open_models(page)
    page.get_by_label("File", exact=True).set_input_files(networks.depth(tmp_path / "dw-ll_ucoco_384.onnx"))
    expect(page.get_by_label("What it is")).to_have_value("preprocessor")
    expect(page.get_by_label("Name", exact=True)).to_have_value("")
    assert page.locator("datalist option[value=dw_openpose_full]").count() == 1
    page.get_by_label("File", exact=True).set_input_files(networks.depth(tmp_path / "Depth-Anything_v2_vits.onnx"))
    expect(page.get_by_label("Name", exact=True)).to_have_value("depth_anything_v2")
    page.get_by_role("button", name="Upload").click()
    expect(page.locator(".uploads")).to_contain_text("Added", timeout=60_000)
    lacking = """async () => (await import("/page/app/server/known.js")).preprocessors.get()
        .find((each) => each.name === "depth_anything_v2").missing"""
    assert page.evaluate(lacking) == ""
    served.client.unregister_checkpoint("depth_anything_v2")


def test_an_ip_adapter_is_uploaded_with_its_image_encoder(
    drawing: Drawing, served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """A tiny encoder has no shapes by which a file would do: that is told, once both are there."""
    file = save_ip_adapter(tmp_path, checkpoints["sd1"]).rename(tmp_path / "ip-adapter_tiny.safetensors")
    page = drawing.page
    begun: list[str] = []
    page.on("request", lambda asked: asked.url.endswith("/uploads") and begun.append(asked.post_data_json["kind"]))
    open_models(page)
    encoder = page.get_by_label("Its image encoder")
    expect(encoder).to_be_hidden()
    rows = page.locator(".uploads li")
    for count in (2, 4):  # again: both are there already
        page.get_by_label("File", exact=True).set_input_files(file)
        expect(page.get_by_label("What it is")).to_have_value("ip_adapter")
        encoder.set_input_files(tmp_path / "image_encoder" / "model.safetensors")
        page.get_by_role("button", name="Upload").click()
        expect(rows).to_have_count(count)
        expect(rows.first).to_contain_text("Not added: ")
        expect(rows.first).to_contain_text("a vision model 32 wide")
        expect(rows.nth(1)).to_contain_text("All of it is there")
        assert begun == ["image_encoder", "ip_adapter"]


def test_what_is_no_model_is_told(drawing: Drawing, served: Served, tmp_path: Path) -> None:
    file = tmp_path / "broken.safetensors"
    file.write_bytes(b"nothing of the kind")
    open_models(drawing.page)
    drawing.page.get_by_label("File", exact=True).set_input_files(file)
    drawing.page.get_by_role("button", name="Upload").click()
    expect(drawing.page.locator(".uploads")).to_contain_text("Not added:")
