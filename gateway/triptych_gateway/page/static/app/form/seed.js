// @ts-check
/** The seed: typed, thrown with the dice, taken from the latest picture, or left to the server. */

import { button, h } from "../base/dom.js";
import { complain, seedsOf, seedsText } from "./fields.js";

const LARGEST = 2 ** 32;

/** @param {() => (number | bigint)[]} latest the seeds of the latest request's pictures */
export function makeSeed(latest) {
  const input = h("input", { id: "seed", type: "text", inputMode: "numeric", placeholder: "random" });
  input.setAttribute("aria-describedby", "seed-help seed-problem");
  const write = (/** @type {unknown} */ seeds) => (input.value = seedsText(seeds));
  const random = () => crypto.getRandomValues(new Uint32Array(1))[0] % LARGEST;
  const dice = button("Throw the dice", () => write(random()), { icon: "dice", iconOnly: true });
  const reuse = button("Use the latest seed again", () => write(seedOf(latest())), { icon: "again", iconOnly: true });
  const clear = button("Random each time", () => write(undefined), { icon: "close", iconOnly: true });
  const problem = h("p", { class: "problem", id: "seed-problem", hidden: true });
  const help = h("p", { class: "help", id: "seed-help" }, "The same seed and parameters make the same picture. Several, with commas between: one for each picture.");
  const row = h("div", { class: "row tight" }, input, dice, reuse, clear);
  const element = h("div", { class: "field", "data-field": "seed" }, h("label", { htmlFor: "seed" }, "Seed"), row, help, problem);
  return {
    element,
    read: () => seedsOf(input.value),
    write,
    complain: (/** @type {string} */ text) => complain([input], problem, text),
  };
}

/** @param {(number | bigint)[]} seeds pictures of one generator all have its seed */
function seedOf(seeds) {
  return seeds.every((seed) => seed === seeds[0]) ? seeds[0] : seeds;
}
