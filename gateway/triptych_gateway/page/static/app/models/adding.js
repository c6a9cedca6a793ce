// @ts-check
/** The form that adds a model from a file, and how far uploads have come. */

import { button, freshId, h } from "../base/dom.js";
import { bytesText } from "../base/text.js";
import { preprocessors } from "../server/known.js";
import { upload, uploads } from "./uploads.js";

/** @typedef {import("./uploads.js").Upload} Upload */

const KINDS = [["checkpoint", "Checkpoint"], ["lora", "LoRA"], ["vae", "VAE"], ["upscaler", "Upscaler"], ["controlnet", "ControlNet"], ["ip_adapter", "IP-Adapter"], ["preprocessor", "Preprocessor"]];

export function makeAdding() {
  const file = h("input", { id: freshId(), type: "file", accept: ".safetensors,.ckpt,.pt,.pth,.bin,.onnx", required: true });
  const names = h("datalist", { id: freshId() });
  const name = h("input", { id: freshId(), type: "text", required: true, autocomplete: "off", spellcheck: false, list: names.id });
  const kind = h("select", { id: freshId() }, KINDS.map(([value, text]) => h("option", { value }, text)));
  file.addEventListener("change", () => {
    const chosen = file.files?.[0];
    if (!chosen) return;
    const own = chosen.name.replace(/\.[^.]+$/, "").replace(/[^\w.-]+/g, "-"); // what every name may hold
    kind.value = guess(chosen);
    encoder.suit(kind.value);
    name.value = kind.value === "preprocessor" ? networkOf(own) : own;
    offer();
  });
  const offer = () => names.replaceChildren(...(kind.value === "preprocessor" ? networks() : []).map((value) => h("option", { value })));
  kind.addEventListener("change", offer);
  const encoder = makeEncoder();
  kind.addEventListener("change", () => encoder.suit(kind.value));
  const send = h("button", { class: "primary" }, "Upload");
  const form = h("form", { class: "adding" }, field("File", file), field("Name", name), names, field("What it is", kind), encoder.element, send);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const chosen = file.files?.[0];
    if (chosen) void upload(chosen, name.value, /** @type {Upload["kind"]} */ (kind.value), encoder.file());
    form.reset();
    encoder.suit(kind.value);
  });
  return form;
}

/** @type {(label: string, input: HTMLElement, help?: string) => HTMLElement} */
function field(label, input, help) {
  return h("div", { class: "field" }, h("label", { htmlFor: input.id }, label), input, help && h("p", { class: "note" }, help));
}

/** The second file of an IP-Adapter, beside which nothing lies once it is uploaded. */
function makeEncoder() {
  const file = h("input", { id: freshId(), type: "file", accept: ".safetensors,.pt,.pth,.bin" });
  const element = field("Its image encoder", file, "CLIP's vision model as one file, of ViT-H/14 or ViT-bigG/14 as the adapter asks.");
  element.classList.add("encoder");
  const suit = (/** @type {string} */ kind) => {
    file.required = kind === "ip_adapter";
    element.hidden = !file.required;
  };
  suit("");
  return { element, suit, file: () => (file.required ? file.files?.[0] : undefined) };
}

/** @param {File} file a checkpoint of Stable Diffusion has a gigabyte or more, a LoRA some hundred megabytes at most */
function guess({ name, size }) {
  if (/\.onnx$/i.test(name)) return "preprocessor";
  if (/vae/i.test(name)) return "vae";
  if (/ip[-_]?adapter/i.test(name)) return "ip_adapter";
  if (/control|canny|openpose/i.test(name)) return "controlnet";
  if (/esrgan|upscal|\dx[-_]|[-_]x\d/i.test(name)) return "upscaler";
  return size < 900_000_000 ? "lora" : "checkpoint";
}

/** The names that a preprocessor's file can have. */
function networks() {
  return [...new Set(preprocessors.get().flatMap(({ checkpoints }) => checkpoints))];
}

/** @param {string} file without its ending; "" for one that begins with no network's name, which a person has to choose */
function networkOf(file) {
  const plain = file.toLowerCase().replaceAll("-", "_");
  return networks().filter((each) => plain.startsWith(each)).sort((one, other) => other.length - one.length)[0] ?? "";
}

/** @returns {{ element: HTMLElement, stop: () => void }} */
export function makeUploads() {
  const list = h("ul", { class: "uploads" });
  /** @type {Map<number, { element: HTMLElement, show: (upload: Upload) => void }>} */
  const rows = new Map();
  const stop = uploads.watch((all) => {
    for (const each of all) {
      const row = rows.get(each.key) ?? makeRow(each);
      if (!rows.has(each.key)) list.prepend(row.element);
      rows.set(each.key, row);
      row.show(each);
    }
  });
  return { element: list, stop };
}

/** @param {Upload} first */
function makeRow(first) {
  const bar = h("progress", { max: first.file.size, "aria-label": `Upload of ${first.name}` });
  const state = h("p", { class: "state", role: "status" });
  const stop = button("Stop", () => first.stop.abort(), { class: "quiet" });
  const element = h("li", {}, h("strong", {}, first.name), bar, state, stop);
  return {
    element,
    show(/** @type {Upload} */ latest) {
      bar.value = latest.done;
      bar.hidden = stop.hidden = ["done", "failed", "stopped"].includes(latest.status);
      state.textContent = textOf(latest);
    },
  };
}

/** @param {Upload} upload */
function textOf({ kind, status, done, file, problem }) {
  const share = `${bytesText(done)} of ${bytesText(file.size)}`;
  if (status === "reading") return `Reading the file: ${share}`;
  if (status === "sending") return `Sending: ${share}`;
  if (status === "adding") return "The server is looking at it";
  if (status === "failed") return `Not added: ${problem}. Choose the file again to go on.`;
  if (status === "stopped") return "Stopped. Choose the file again to go on.";
  return kind === "image_encoder" ? "All of it is there" : "Added";
}
