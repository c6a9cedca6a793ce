// @ts-check
/** One ControlNet of a request: its picture, what that is prepared with, and how the ControlNet counts. */

import { h } from "../base/dom.js";
import { keptOf } from "../form/choosing.js";
import { makeCard } from "../form/entries.js";
import { makeField, readFields } from "../form/fields.js";
import { checkpoints } from "../server/known.js";
import { NUMBERS, PARAMETERS, UNION_TYPE } from "./parameters.js";
import { makePicture } from "./picture.js";
import { makePreparing } from "./preparing.js";

/** What a preview is asked for with. */
const SEEN = ["preprocessor", "resize_mode", ...NUMBERS];

/**
 * @param {string} name the ControlNet's
 * @param {HTMLElement} close
 * @param {() => Record<string, number>} size
 * @returns {import("../form/entries.js").Entry}
 */
export function makeControl(name, close, size) {
  const union = makeField(UNION_TYPE);
  const counting = [union, ...PARAMETERS.map(makeField)];
  const all = () => [...counting, ...preparing.fields()];
  const clear = () => [...all(), picture].forEach((each) => each.complain(""));
  const complain = (/** @type {string} */ part, /** @type {string} */ text) =>
    (all().find((field) => field.parameter.name === part) ?? picture).complain(text);
  const asked = () => ({ request: { ...size(), ...pick(readFields(all()), SEEN) }, picture: picture.get() });
  const preparing = makePreparing(name, asked, (part, text) => (clear(), text && complain(part, text)));
  const picture = makePicture(name, () => (picture.get() ? preparing.preview.follow() : preparing.preview.clear()));
  const fields = h("div", { class: "fields" }, counting.map((field) => field.element));
  const element = makeCard(name, close, picture.element, preparing.elements, fields);
  const forget = checkpoints.watch((known) => {
    const types = known.find((each) => each.name === name)?.union_types ?? [];
    union.offer(types);
    union.element.hidden = !types.length;
  });
  element.addEventListener("change", (event) => {
    if (!picture.element.contains(/** @type {Node} */ (event.target))) preparing.preview.follow();
  });
  return {
    name,
    element,
    read: () => ({ name, ...readFields(all()), ...(picture.get()?.reference && { image: picture.get()?.reference }) }),
    write(told) {
      for (const field of counting) field.write(told[field.parameter.name]);
      preparing.write(told);
      picture.set(keptOf(told.image)[0]);
    },
    async files() {
      const chosen = picture.get();
      return chosen?.file && !chosen.reference ? [chosen.file] : [];
    },
    pictures: () => [picture.get() ?? []].flat(),
    take: ([first]) => picture.set(first),
    complain,
    clear,
    stop: () => (forget(), preparing.stop(), picture.stop()),
  };
}

/** @type {(from: Record<string, unknown>, names: string[]) => Record<string, unknown>} */
function pick(from, names) {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}
