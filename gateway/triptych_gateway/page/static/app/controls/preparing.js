// @ts-check
/** What a ControlNet's picture is prepared with: the preprocessor, its own numbers, and how it then looks. */

import { h } from "../base/dom.js";
import { makeField, readFields } from "../form/fields.js";
import { preprocessors } from "../server/known.js";
import { NUMBERS, numberOfPreprocessor, PREPROCESSOR } from "./parameters.js";
import { makePreview } from "./preview.js";

/** @typedef {import("../form/fields.js").Field} Field */

/**
 * @param {string} of
 * @param {Parameters<typeof makePreview>[1]} asked
 * @param {(field: string, message: string) => void} tell
 */
export function makePreparing(of, asked, tell) {
  const preprocessor = makeField(PREPROCESSOR);
  const missing = h("p", { class: "note", hidden: true });
  const numbers = h("div", { class: "fields" });
  const preview = makePreview(of, asked, tell);
  /** @type {Field[]} */
  let own = [];
  const choose = (/** @type {Record<string, unknown>} */ told) => {
    const chosen = preprocessors.get().find((each) => each.name === preprocessor.read());
    missing.textContent = chosen?.missing ?? "";
    missing.hidden = !chosen?.missing;
    preview.element.hidden = !preprocessor.read();
    if (!preprocessor.read()) preview.clear();
    own = chosen ? fieldsOf(chosen) : [];
    for (const field of own) field.write(told[field.parameter.name]);
    numbers.replaceChildren(...own.map((field) => field.element));
  };
  preprocessor.element.addEventListener("change", () => choose({}));
  const stop = preprocessors.watch((known) => {
    preprocessor.offer(known.map((each) => each.name));
    choose(readFields(own));
  });
  return {
    elements: [h("div", { class: "fields" }, preprocessor.element), missing, numbers, preview.element],
    fields: () => [preprocessor, ...own],
    write(/** @type {Record<string, unknown>} */ told) {
      preprocessor.write(told.preprocessor);
      choose(told);
    },
    preview,
    stop: () => (stop(), preview.clear()),
  };
}

/** @param {import("../server/known.js").Preprocessor} preprocessor */
function fieldsOf(preprocessor) {
  return NUMBERS.flatMap((name) => {
    const told = preprocessor[name];
    return told ? [makeField(numberOfPreprocessor(name, told))] : [];
  });
}
