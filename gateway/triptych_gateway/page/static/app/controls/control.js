// @ts-check
/** One ControlNet of a request: its picture, what that is prepared with, and how the ControlNet counts. */

import { button, h } from "../base/dom.js";
import { makeField, readFields } from "../form/fields.js";
import { checkpoints } from "../server/known.js";
import { NUMBERS, PARAMETERS, UNION_TYPE } from "./parameters.js";
import { makePicture } from "./picture.js";
import { makePreparing } from "./preparing.js";

/** @typedef {ReturnType<typeof makeControl>} Control */

/** What a preview is asked for with. */
const SEEN = ["preprocessor", "resize_mode", ...NUMBERS];

/**
 * @param {string} name the ControlNet's
 * @param {{ size: () => Record<string, number>, remove: (control: Control) => void }} uses
 */
export function makeControl(name, { size, remove }) {
  const union = makeField(UNION_TYPE);
  const counting = [union, ...PARAMETERS.map(makeField)];
  const all = () => [...counting, ...preparing.fields()];
  const clear = () => [...all(), picture].forEach((each) => each.complain(""));
  const complain = (/** @type {string} */ part, /** @type {string} */ text) =>
    (all().find((field) => field.parameter.name === part) ?? picture).complain(text);
  const asked = () => ({ request: { ...size(), ...pick(readFields(all()), SEEN) }, picture: picture.get() });
  const preparing = makePreparing(name, asked, (part, text) => (clear(), text && complain(part, text)));
  const picture = makePicture(name, () => (picture.get() ? preparing.preview.follow() : preparing.preview.clear()));
  const close = button("Remove", () => remove(control), { icon: "close", iconOnly: true, class: "quiet", label: `Remove ${name}` });
  const title = h("div", { class: "control-title" }, h("strong", { title: name }, name), close);
  const fields = h("div", { class: "fields" }, counting.map((field) => field.element));
  const control = {
    element: h("li", { class: "control", role: "group", "aria-label": name }, title, picture.element, preparing.elements, fields),
    name,
    picture,
    /** Without the picture, unless the server has it. */
    read: () => ({ name, ...readFields(all()), ...(picture.get()?.reference && { image: picture.get()?.reference }) }),
    file: () => (picture.get()?.reference ? undefined : picture.get()?.file),
    write(/** @type {Record<string, any>} */ told) {
      for (const field of counting) field.write(told[field.parameter.name]);
      preparing.write(told);
      const kept = String(told.image ?? "");
      picture.set(kept.startsWith("picture:") ? { name: "From the gallery", file: undefined, reference: kept } : undefined);
    },
    complain,
    clear,
    stop: () => (forget(), preparing.stop(), picture.stop()),
  };
  const forget = checkpoints.watch((known) => {
    const types = known.find((each) => each.name === name)?.union_types ?? [];
    union.offer(types);
    union.element.hidden = !types.length;
  });
  control.element.addEventListener("change", (event) => {
    if (!picture.element.contains(/** @type {Node} */ (event.target))) preparing.preview.follow();
  });
  return control;
}

/** @type {(from: Record<string, unknown>, names: string[]) => Record<string, unknown>} */
function pick(from, names) {
  return Object.fromEntries(Object.entries(from).filter(([name]) => names.includes(name)));
}
