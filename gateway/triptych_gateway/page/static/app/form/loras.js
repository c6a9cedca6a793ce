// @ts-check
/** The LoRAs of a request, each with its weight. */

import { button, freshId, h } from "../base/dom.js";
import { loras } from "../server/known.js";
import { complain, sliderBeside } from "./fields.js";

/** @typedef {[string, number] | [string, number, number]} Choice name, weight, and the text encoder's where it differs */

export function makeLoras() {
  const list = h("ul", { class: "loras" });
  const problem = h("p", { class: "problem", hidden: true });
  const add = h("select", { id: freshId() });
  add.addEventListener("change", () => {
    if (add.value) list.append(makeRow([add.value, 1]));
    add.value = "";
    add.dispatchEvent(new Event("input", { bubbles: true }));
  });
  const label = h("label", { htmlFor: add.id }, "LoRAs");
  loras.watch((all) => {
    const usable = all.filter((lora) => !lora.error).map((lora) => h("option", { value: lora.name }, lora.name));
    add.replaceChildren(h("option", { value: "" }, usable.length ? "Add a LoRA…" : "None yet: add one under Models"), ...usable);
    add.disabled = usable.length === 0;
  });
  const rows = () => [...list.children].map((row) => /** @type {Row} */ (row));
  return {
    element: h("div", { class: "field", "data-field": "loras" }, label, list, add, problem),
    read: () => (rows().length ? rows().map((row) => row.choice()) : undefined),
    write: (/** @type {unknown} */ value) => list.replaceChildren(...[value ?? []].flat(1).map((each) => makeRow(choiceOf(each)))),
    complain: (/** @type {string} */ text) => complain([add], problem, text),
  };
}

/**
 * As a name alone, as the API's list, or as an object with names.
 *
 * @param {any} told
 * @returns {Choice}
 */
function choiceOf(told) {
  if (typeof told === "string") return [told, 1];
  if (Array.isArray(told)) return /** @type {Choice} */ ([told[0], told[1] ?? 1, ...told.slice(2)]);
  const weight = told.weight ?? 1;
  const other = told.text_encoder_weight;
  return other === undefined || other === null ? [told.name, weight] : [told.name, weight, other];
}

/** @typedef {HTMLLIElement & { choice: () => Choice }} Row */

/**
 * @param {Choice} choice
 * @returns {Row}
 */
function makeRow([name, weight, other]) {
  const input = weightInput(`Weight of ${name}`, weight);
  const { slider } = sliderBeside(input, -1, 2, "1");
  const encoder = weightInput(`Weight of ${name} in the text encoder`, other);
  encoder.placeholder = "text";
  encoder.title = "The text encoder's weight, where it is to differ";
  const remove = button("Remove", () => row.remove(), { icon: "close", iconOnly: true, class: "quiet", label: `Remove ${name}` });
  const row = h("li", {}, h("span", { class: "name", title: name }, name), slider, input, encoder, remove);
  return Object.assign(row, {
    /** @returns {Choice} */
    choice: () => (encoder.value ? [name, Number(input.value), Number(encoder.value)] : [name, Number(input.value || 1)]),
  });
}

/**
 * @param {string} label
 * @param {number | undefined} value
 */
function weightInput(label, value) {
  const text = value === undefined ? "" : String(value);
  return h("input", { type: "number", step: 0.05, value: text, "aria-label": label, class: "weight" });
}
