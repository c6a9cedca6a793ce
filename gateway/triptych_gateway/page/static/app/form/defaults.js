// @ts-check
/** What there is for a request, and what the server takes for what is left out then, where that depends on it. */

import { anySide } from "../painter/sides.js";
import { checkpoints, draws, server } from "../server/known.js";
import { source } from "./source.js";

/**
 * @typedef {import("../server/known.js").Checkpoint} Checkpoint
 * @typedef {import("./parameters.js").Need} Need
 */

/**
 * @param {Checkpoint | undefined} checkpoint
 * @returns {Set<Need>}
 */
export function needsMet(checkpoint) {
  const work = source.get();
  const hasBorders = !!work?.canvas && anySide(work.canvas.sides);
  const isInstructed = checkpoint?.purpose === "instructed";
  /** @type {[Need, boolean][]} */
  const needs = [
    ["image", !!work],
    ["redrawn", !!work && !isInstructed],
    ["instructed", !!work && isInstructed],
    ["borders", hasBorders],
    ["mask", hasBorders || (work?.masked ?? 0) > 0],
    ["xl", isXl(checkpoint)],
  ];
  return new Set(needs.filter(([, is]) => is).map(([need]) => need));
}

/**
 * By parameters' names, in words.
 *
 * @param {Checkpoint | undefined} checkpoint
 * @returns {Record<string, string>}
 */
export function defaultsFor(checkpoint) {
  const there = needsMet(checkpoint);
  const [xl, masked] = [isXl(checkpoint), there.has("mask")];
  const size = (/** @type {number | undefined} */ pixels) => (there.has("image") ? "the image's" : String(pixels || "must be given"));
  return {
    width: size(checkpoint?.default_width),
    height: size(checkpoint?.default_height),
    num_inference_steps: checkpoint?.purpose === "instructed" ? "100" : "50",
    guidance_scale: xl ? "5" : "7.5",
    scheduler: checkpoint?.scheduler || "must be named",
    engine: checkpoint?.engine || "the checkpoint's",
    strength: masked ? (xl ? "0.9999" : "1") : xl ? "0.3" : "0.8",
    mask_blur: there.has("borders") ? "4" : "0",
  };
}

/**
 * The choices that the server knows, by the table's `from`.
 *
 * @returns {Record<NonNullable<import("./parameters.js").Parameter["from"]>, string[]>}
 */
export function choicesNow() {
  const { schedulers, engines, upscalers, latent_upscalers } = server.get();
  const named = (/** @type {(checkpoint: Checkpoint) => boolean} */ fits) => checkpoints.get().filter(fits).map((each) => each.name);
  return {
    schedulers,
    engines,
    upscalers,
    all_upscalers: [...latent_upscalers, ...upscalers],
    vaes: named((each) => each.purpose === "vae"),
    refiners: named((each) => draws(each) && isXl(each)),
  };
}

/** @param {Checkpoint | undefined} checkpoint */
function isXl(checkpoint) {
  return !!checkpoint?.family.startsWith("stable-diffusion-xl");
}
