// @ts-check
/** The dialog of models: checkpoints with their engines, LoRAs, and what is added. */

import { notify } from "../base/announce.js";
import { ask, openDialog } from "../base/dialog.js";
import { button, h } from "../base/dom.js";
import { bytesText } from "../base/text.js";
import { stateText } from "../form/checkpoint.js";
import { call } from "../server/api.js";
import { checkpoints, draws, isControlNet, isIpAdapter, loras, refreshCheckpoints, refreshLoras, server } from "../server/known.js";
import { makeAdding, makeUploads } from "./adding.js";

/** @typedef {import("../server/known.js").Checkpoint} Checkpoint */
/** @typedef {import("../server/known.js").Lora} Lora */

export function openModels() {
  const served = h("ul", { class: "models" });
  const others = h("ul", { class: "models" });
  const nets = h("ul", { class: "models" });
  const prompts = h("ul", { class: "models" });
  const kept = h("ul", { class: "models" });
  const uploads = makeUploads();
  const stops = [
    checkpoints.watch((all) => show(served, all.filter(isCheckpoint).map(makeCheckpoint), "No checkpoint yet.")),
    checkpoints.watch((all) => {
      const rest = all.filter((each) => ![isCheckpoint, isControlNet, isIpAdapter].some((is) => is(each)));
      show(others, rest.map(makeCheckpoint), "No VAE, upscaler or preprocessor yet.");
    }),
    checkpoints.watch((all) => show(nets, all.filter(isControlNet).map(makeGuide), "No ControlNet yet.")),
    checkpoints.watch((all) => show(prompts, all.filter(isIpAdapter).map(makeGuide), "No IP-Adapter yet.")),
    loras.watch((all) => show(kept, all.map(makeLora), "No LoRA yet.")),
    uploads.stop,
  ];
  const section = (/** @type {string} */ title, /** @type {Node[]} */ ...content) => h("section", {}, h("h3", {}, title), ...content);
  const content = [
    section("Checkpoints", served), section("ControlNets", nets), section("IP-Adapters", prompts), section("LoRAs", kept),
    section("VAEs, upscalers, preprocessors", others), section("Add from a file", makeAdding(), uploads.element),
  ];
  openDialog("Models", content, { class: "wide", onclose: () => stops.forEach((stop) => stop()) });
  void Promise.all([refreshCheckpoints(), refreshLoras()]).catch((error) => notify(error.message, "error"));
}

/** @param {Checkpoint} checkpoint one that draws, or that cannot be read */
function isCheckpoint(checkpoint) {
  return draws(checkpoint) || !checkpoint.purpose;
}

/** @type {(list: HTMLElement, rows: HTMLElement[], nothing: string) => void} */
function show(list, rows, nothing) {
  list.replaceChildren(...(rows.length ? rows : [h("li", { class: "help" }, nothing)]));
}

/** @param {Checkpoint} checkpoint */
function makeCheckpoint(checkpoint) {
  const { name } = checkpoint;
  const path = `/checkpoints/${encodeURIComponent(name)}`;
  const isLoaded = checkpoint.state.toLowerCase() === "loaded";
  const state = h("span", { class: `state ${checkpoint.state.toLowerCase()}` }, stateText(checkpoint.state));
  const about = [checkpoint.family, checkpoint.precision, bytesText(checkpoint.weights_bytes)].filter(Boolean).join(" · ");
  const turn = () => call("POST", `${path}/${isLoaded ? "unload" : "load"}`);
  const verb = isLoaded ? "Unload" : "Load";
  const load = button(verb, () => act(load, `${name} is ${verb.toLowerCase()}ed`, turn), { label: `${verb} ${name}` });
  const remove = makeRemove(name, path);
  const problem = checkpoint.error && h("p", { class: "problem" }, checkpoint.error);
  const text = h("div", { class: "model-text" }, h("strong", {}, name), state, h("p", { class: "help" }, about), problem);
  return h("li", { class: "model" }, text, makeEngine(checkpoint, path), h("div", { class: "row" }, load, remove));
}

/** @param {Checkpoint} guide a ControlNet or an IP-Adapter, which is loaded where a request is drawn under it */
function makeGuide({ name, precision, weights_bytes, error }) {
  const about = [precision, bytesText(weights_bytes)].filter(Boolean).join(" · ");
  return makeRow(name, about, error, makeRemove(name, `/checkpoints/${encodeURIComponent(name)}`));
}

/** @type {(name: string, about: string, problem: string, remove: HTMLElement) => HTMLElement} */
function makeRow(name, about, problem, remove) {
  const text = h("div", { class: "model-text" }, h("strong", {}, name), h("p", { class: "help" }, about), problem && h("p", { class: "problem" }, problem));
  return h("li", { class: "model" }, text, remove);
}

/** @type {(name: string, path: string) => HTMLElement} */
function makeRemove(name, path) {
  const remove = async (/** @type {MouseEvent} */ event) => {
    const control = /** @type {HTMLButtonElement} */ (event.currentTarget);
    if (await ask(`Remove ${name} from the server?`, "Remove")) await act(control, `${name} is removed`, () => call("DELETE", path));
  };
  return button("Remove", remove, { class: "quiet", label: `Remove ${name}` });
}

/**
 * The switch of the engine: the checkpoint serves on while the other one is loaded.
 *
 * @type {(checkpoint: Checkpoint, path: string) => HTMLElement}
 */
function makeEngine({ name, engine }, path) {
  const names = [...new Set([engine, ...server.get().engines])].filter(Boolean);
  const select = h("select", { "aria-label": `Engine of ${name}` }, names.map((each) => h("option", { value: each }, each)));
  select.value = engine;
  const turn = () => call("PATCH", path, { json: { engine: select.value } });
  select.addEventListener("change", () => act(select, `${name} is served by ${select.value}`, turn));
  return select;
}

/** @param {Lora} lora */
function makeLora(lora) {
  const { name } = lora;
  const about = [lora.algorithms.join(", "), lora.rank && `rank ${lora.rank}`, bytesText(lora.size_bytes)].filter(Boolean).join(" · ");
  return makeRow(name, about, lora.error, makeRemove(name, `/loras/${encodeURIComponent(name)}`));
}

/**
 * Does something that may take a while; its control rests meanwhile.
 *
 * @type {(control: HTMLButtonElement | HTMLSelectElement, done: string, action: () => Promise<unknown>) => Promise<void>}
 */
async function act(control, done, action) {
  control.disabled = true;
  control.setAttribute("aria-busy", "true");
  try {
    await action();
    notify(`${done}.`);
  } catch (error) {
    notify(/** @type {Error} */ (error).message, "error");
  }
  await Promise.all([refreshCheckpoints(), refreshLoras()]).catch((error) => notify(error.message, "error"));
}
