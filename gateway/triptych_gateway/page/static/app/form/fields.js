// @ts-check
/** One field of the form for one parameter: how it is shown, read, filled in, and told that it is wrong. */

import { freshId, h } from "../base/dom.js";

/**
 * @typedef {import("./parameters.js").Parameter} Parameter
 *
 * @typedef {object} Field
 * @property {Parameter} parameter
 * @property {HTMLElement} element
 * @property {() => unknown} read undefined: as the server has it
 * @property {(value: unknown) => void} write undefined: as the server has it
 * @property {(problem: string) => void} complain an empty text takes it back
 * @property {(names: string[]) => void} offer the choices
 * @property {(text: string) => void} suggest what is taken where it is left out
 */

/**
 * @param {Parameter} parameter
 * @returns {Field}
 */
export function makeField(parameter) {
  const [id, helpId, problemId] = [freshId(), freshId(), freshId()];
  const control = CONTROLS[parameter.kind](parameter, id);
  const problem = h("p", { class: "problem", id: problemId, hidden: true });
  const help = h("p", { class: "help", id: helpId }, parameter.help);
  for (const input of control.inputs) input.setAttribute("aria-describedby", `${helpId} ${problemId}`);
  const label = h("label", { htmlFor: id }, parameter.label);
  const shape = parameter.kind === "yesno" ? [h("div", { class: "row" }, control.element, label)] : [label, control.element];
  return {
    parameter,
    element: h("div", { class: `field ${parameter.kind}`, "data-field": parameter.name }, ...shape, help, problem),
    read: control.read,
    write: control.write,
    offer: control.offer ?? (() => {}),
    suggest: control.suggest ?? ((text) => control.inputs[0].setAttribute("placeholder", text)),
    complain: (text) => complain(control.inputs, problem, text),
  };
}

/**
 * What is set of them, by their names.
 *
 * @param {Field[]} fields
 * @returns {Record<string, unknown>}
 */
export function readFields(fields) {
  const values = fields.map((field) => [field.parameter.name, field.read()]);
  return Object.fromEntries(values.filter(([, value]) => value !== undefined));
}

/**
 * Shows a problem beside its inputs.
 *
 * @param {HTMLElement[]} inputs
 * @param {HTMLElement} place
 * @param {string} text
 */
export function complain(inputs, place, text) {
  place.textContent = text.replace(/^[\w.[\]]+: /, ""); // the field's name, which it stands beside
  place.hidden = !text;
  for (const input of inputs) {
    if (text) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  }
}

/**
 * @typedef {object} Control
 * @property {HTMLElement} element
 * @property {HTMLElement[]} inputs
 * @property {() => unknown} read
 * @property {(value: unknown) => void} write
 * @property {(names: string[]) => void} [offer]
 * @property {(text: string) => void} [suggest]
 */

/** @type {Record<import("./parameters.js").Kind, (parameter: Parameter, id: string) => Control>} */
const CONTROLS = {
  integer: numberControl,
  number: numberControl,
  text: (parameter, id) => textControl(h("input", { id, type: "text", placeholder: parameter.otherwise })),
  seeds: seedsControl,
  choice: choiceControl,
  yesno: yesnoControl,
  pair: pairControl,
  weight: weightControl,
};

/** @type {(parameter: Parameter, id: string) => Control} */
function weightControl(parameter, id) {
  const control = numberControl(parameter, id);
  const { slider, follow } = sliderBeside(/** @type {HTMLInputElement} */ (control.element), 0, MOST_SLID, parameter.otherwise);
  return {
    ...control,
    element: h("div", { class: "slid" }, slider, control.element),
    write: (value) => (control.write(value), follow()),
  };
}

const MOST_SLID = 2; // of weights more is seldom wanted, and can be typed

/**
 * @param {HTMLInputElement} input says the same to the keyboard and to screen readers
 * @param {number} min
 * @param {number} max
 * @param {string} otherwise where it stands while nothing is typed
 */
export function sliderBeside(input, min, max, otherwise) {
  const slider = h("input", { type: "range", min, max, step: 0.05, tabIndex: -1, "aria-hidden": "true" });
  const follow = () => (slider.value = input.value || otherwise);
  slider.addEventListener("input", () => (input.value = slider.value));
  input.addEventListener("input", follow);
  follow();
  return { slider, follow };
}

/** @param {Parameter} parameter */
function numberInput(parameter) {
  const { min, max, otherwise } = parameter;
  const isWhole = !["number", "weight"].includes(parameter.kind);
  const mode = isWhole ? "numeric" : "decimal";
  const step = parameter.step ?? (isWhole ? 1 : "any");
  return h("input", { type: "number", inputMode: mode, min, max, step, placeholder: otherwise });
}

/** @type {(parameter: Parameter, id: string) => Control} */
function numberControl(parameter, id) {
  const input = numberInput(parameter);
  input.id = id;
  return { ...textControl(input), read: () => numberOf(input) };
}

/** @param {HTMLInputElement} input */
export function numberOf(input) {
  if (input.validity.badInput) return input.value || "?"; // the server says what it wants instead
  return input.value === "" ? undefined : Number(input.value);
}

/**
 * @param {HTMLInputElement} input
 * @returns {Control}
 */
function textControl(input) {
  return {
    element: input,
    inputs: [input],
    read: () => input.value || undefined,
    write: (value) => (input.value = value === undefined || value === null ? "" : String(value)),
  };
}

/** @type {(parameter: Parameter, id: string) => Control} */
function seedsControl(parameter, id) {
  const input = h("input", { id, type: "text", inputMode: "numeric", placeholder: parameter.otherwise });
  return {
    ...textControl(input),
    read: () => seedsOf(input.value),
    write: (value) => (input.value = seedsText(value)),
  };
}

/**
 * What a text says of seeds: one, or several with commas between; what is no number stays as it is written, for the
 * server to refuse it.
 *
 * @param {string} text
 */
export function seedsOf(text) {
  const parts = text.split(/[\s,]+/).filter(Boolean);
  const seeds = parts.map((part) => (/^\d+$/.test(part) ? exact(part) : part));
  return seeds.length > 1 ? seeds : seeds[0];
}

/** @param {string} digits a seed may have 64 bits, more than a number holds */
function exact(digits) {
  return Number.isSafeInteger(Number(digits)) ? Number(digits) : BigInt(digits);
}

/** @param {unknown} value */
export function seedsText(value) {
  return value === undefined || value === null ? "" : [value].flat().join(", ");
}

/** @type {(parameter: Parameter, id: string) => Control} */
function choiceControl(parameter, id) {
  const select = h("select", { id });
  const none = h("option", { value: "" });
  const suggest = (/** @type {string} */ text) => (none.textContent = `Default (${text})`);
  suggest(parameter.otherwise);
  /** @param {string[]} names */
  const offer = (names) => {
    const chosen = select.value;
    const options = names.map((name) => h("option", { value: name }, name.replaceAll("_", " ")));
    select.replaceChildren(none, ...options);
    write(chosen);
  };
  /** @param {unknown} value */
  const write = (value) => {
    const name = value === undefined || value === null ? "" : String(value);
    const isThere = [...select.options].some((option) => option.value === name);
    if (!isThere) select.append(h("option", { value: name }, `${name} (not here)`));
    select.value = name;
  };
  offer(parameter.choices ?? []);
  return { element: select, inputs: [select], read: () => select.value || undefined, write, offer, suggest };
}

/** @type {(parameter: Parameter, id: string) => Control} */
function yesnoControl(parameter, id) {
  const input = h("input", { id, type: "checkbox", checked: parameter.on });
  return {
    element: input,
    inputs: [input],
    read: () => (input.checked === parameter.on ? undefined : input.checked),
    write: (value) => (input.checked = value === undefined || value === null ? !!parameter.on : !!value),
  };
}

/** @type {(parameter: Parameter, id: string) => Control} */
function pairControl(parameter, id) {
  const inputs = [0, 1].map(() => numberInput({ ...parameter, kind: "integer" }));
  const parts = parameter.parts ?? ["first", "second"];
  inputs.forEach((input, index) => {
    input.setAttribute("aria-label", `${parameter.label}: ${parts[index]}`);
    input.placeholder = parts[index];
  });
  inputs[0].id = id;
  return {
    element: h("div", { class: "pair" }, inputs[0], h("span", { "aria-hidden": true }, "×"), inputs[1]),
    inputs,
    read() {
      const values = inputs.map(numberOf);
      return values.every((value) => value === undefined) ? undefined : values.map((value) => value ?? 0);
    },
    write(value) {
      const values = Array.isArray(value) ? value : [];
      inputs.forEach((input, index) => (input.value = values[index] === undefined ? "" : String(values[index])));
    },
  };
}
