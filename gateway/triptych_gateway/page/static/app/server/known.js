// @ts-check
/** What the server knows: itself, its checkpoints and LoRAs; signals that the page shows. */

import { signal } from "../base/signal.js";
import { call } from "./api.js";

/**
 * @typedef {object} Server
 * @property {string} version
 * @property {string[]} schedulers
 * @property {string[]} engines
 * @property {Record<string, number>} limits
 * @property {string[]} upscalers
 * @property {string[]} latent_upscalers
 *
 * @typedef {object} Checkpoint
 * @property {string} name
 * @property {string} state
 * @property {string} error
 * @property {string} engine
 * @property {string} family
 * @property {string} purpose "drawing", "instructed", "inpainting", "vae", "upscaling", "controlling",
 *   "preparing" or "prompting"
 * @property {string} scheduler
 * @property {number} default_width
 * @property {number} default_height
 * @property {number} weights_bytes
 * @property {string} precision
 * @property {string} architecture
 * @property {string[]} trigger_words
 * @property {string[]} union_types of a union ControlNet, else empty
 *
 * @typedef {object} Lora
 * @property {string} name
 * @property {number} size_bytes
 * @property {string[]} algorithms
 * @property {number} rank
 * @property {string} error
 *
 * @typedef {object} PreprocessorParameter
 * @property {string} label
 * @property {number} minimum
 * @property {number} maximum
 * @property {number} default_value
 * @property {number} step
 *
 * @typedef {object} Preprocessor
 * @property {string} name
 * @property {PreprocessorParameter | null} processor_res
 * @property {PreprocessorParameter | null} threshold_a
 * @property {PreprocessorParameter | null} threshold_b
 * @property {string} missing what it wants before it can work; else empty
 * @property {string[]} checkpoints as which its networks are registered, or are to be
 */

export const server = signal(/** @type {Server} */ ({
  version: "", schedulers: [], engines: [], limits: {}, upscalers: [], latent_upscalers: [],
}));
export const checkpoints = signal(/** @type {Checkpoint[]} */ ([]));
export const loras = signal(/** @type {Lora[]} */ ([]));
export const preprocessors = signal(/** @type {Preprocessor[]} */ ([]));

export async function refreshKnown() {
  server.set(await call("GET", "/server"));
  await Promise.all([refreshCheckpoints(), refreshLoras()]);
}

/** And what preprocessors lack, for some of them are networks among the checkpoints. */
export async function refreshCheckpoints() {
  const [served, preparing] = await Promise.all([call("GET", "/checkpoints"), call("GET", "/preprocessors")]);
  checkpoints.set(served.checkpoints);
  preprocessors.set(preparing.preprocessors);
}

export async function refreshLoras() {
  loras.set((await call("GET", "/loras")).loras);
}

/** @param {Checkpoint} checkpoint whether it draws; a VAE or an upscaler alone does not */
export function draws({ purpose }) {
  return ["drawing", "instructed", "inpainting"].includes(purpose);
}

/** @param {Checkpoint} checkpoint whether requests are drawn under it */
export function isControlNet({ purpose }) {
  return purpose === "controlling";
}

/** @param {Checkpoint} checkpoint whether requests have it look at pictures beside the prompt */
export function isIpAdapter({ purpose }) {
  return purpose === "prompting";
}
