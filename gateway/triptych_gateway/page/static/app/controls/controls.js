// @ts-check
/** The ControlNets of a request, any number of them. */

import { freshId, h } from "../base/dom.js";
import { complain, makeField } from "../form/fields.js";
import { checkpoints, isControlNet } from "../server/known.js";
import { makeControl } from "./control.js";
import { GUESS_MODE } from "./parameters.js";

/** @typedef {import("./control.js").Control} Control */

/** @param {() => Record<string, number>} size what is asked for of the picture's width and height, if anything is */
export function makeControls(size) {
  /** @type {Control[]} */
  let all = [];
  const list = h("ul", { class: "controls" });
  const problem = h("p", { class: "problem", id: freshId(), hidden: true });
  const add = h("select", { id: freshId(), "aria-describedby": problem.id });
  const guess = makeField(GUESS_MODE);
  const element = h("div", { class: "field", "data-field": "controls" }, h("label", { htmlFor: add.id }, "ControlNets"), list, guess.element, add, problem);
  const changed = () => {
    guess.element.hidden = !all.length;
    list.replaceChildren(...all.map((control) => control.element));
  };
  const append = (/** @type {string} */ name) => {
    const control = makeControl(name, { size, remove });
    all = [...all, control];
    changed();
    return control;
  };
  const remove = (/** @type {Control} */ control) => {
    control.stop();
    all = all.filter((each) => each !== control);
    changed();
    add.focus();
    tellForm();
  };
  const tellForm = () => ["input", "change"].forEach((type) => add.dispatchEvent(new Event(type, { bubbles: true })));
  add.addEventListener("change", () => {
    if (!add.value) return;
    append(add.value).element.querySelector("input")?.focus();
    add.value = "";
    tellForm();
  });
  checkpoints.watch((known) => {
    const names = known.filter(isControlNet).map((each) => h("option", { value: each.name }, each.name));
    add.replaceChildren(h("option", { value: "" }, names.length ? "Add a ControlNet…" : "None here yet"), ...names);
    add.disabled = !names.length;
  });
  changed();
  return {
    element,
    read: () => (all.length ? all.map((control) => control.read()) : undefined),
    write(/** @type {unknown} */ told) {
      const [before, wanted] = [all, /** @type {Record<string, any>[]} */ (Array.isArray(told) ? told : [])];
      all = [];
      for (const each of wanted) append(String(each.name)).write(each);
      all.forEach((control, index) => keepPicture(control, before[index]));
      for (const control of before) control.stop();
      changed();
    },
    /** The pictures that go along, by the parts of the form that they are sent in. */
    files: () => Object.fromEntries(all.flatMap((control, index) => (control.file() ? [[`controls[${index}].image`, control.file()]] : []))),
    complain(/** @type {string} */ text, field = "") {
      const [, index, part] = /^controls\[(\d+)\]\.(\w+)/.exec(field) ?? [];
      if (!text) for (const control of all) control.clear();
      if (text && all[Number(index)]) all[Number(index)].complain(part, text);
      else complain([add], problem, text);
    },
    /** Has one look at a picture of the gallery: the first that has none, or one more. */
    take(/** @type {import("./picture.js").Chosen} */ picture) {
      const free = all.find((control) => !control.picture.get());
      const control = free ?? (add.options[1] && append(add.options[1].value));
      control?.picture.set(picture);
      control?.element.scrollIntoView({ block: "center" });
      tellForm();
    },
    guess: {
      element: guess.element,
      read: () => (all.length ? guess.read() : undefined),
      write: guess.write,
      complain: guess.complain,
    },
  };
}

/**
 * What was chosen from this machine stays where the same ControlNet stands at the same place: no request has it.
 *
 * @type {(control: Control, before: Control | undefined) => void}
 */
function keepPicture(control, before) {
  if (before?.name === control.name && before.file() && !control.picture.get()) control.picture.set(before.picture.get());
}
