// @ts-check
/** Registered models that a request has any number of, each with pictures that it looks at: ControlNets, IP-Adapters. */

import { button, freshId, h } from "../base/dom.js";
import { checkpoints } from "../server/known.js";
import { complain } from "./fields.js";

/**
 * @typedef {import("./choosing.js").Chosen} Chosen
 *
 * @typedef {object} Entry
 * @property {string} name the model's
 * @property {HTMLElement} element
 * @property {() => Record<string, unknown>} read without the pictures, unless the server has them
 * @property {(told: Record<string, any>) => void} write
 * @property {() => Promise<Blob[]>} files its pictures, unless the server has them
 * @property {() => Chosen[]} pictures
 * @property {(pictures: Chosen[]) => void} take
 * @property {(field: string, text: string) => void} complain
 * @property {() => void} clear takes back what was complained of
 * @property {() => void} stop
 *
 * @typedef {object} Kind
 * @property {string} name the request's field
 * @property {string} label
 * @property {string} one "a ControlNet"
 * @property {string} help
 * @property {(checkpoint: import("../server/known.js").Checkpoint) => boolean} is
 * @property {(name: string, close: HTMLElement) => Entry} make
 * @property {boolean} several whether one looks at several pictures
 * @property {HTMLElement} [besides] what is shown where there is any
 * @property {() => void} changed how many there are
 */

/** @param {Kind} kind */
export function makeEntries(kind) {
  /** @type {Entry[]} */
  let all = [];
  const list = h("ul", { class: "entries" });
  const problem = h("p", { class: "problem", id: freshId(), hidden: true });
  const help = h("p", { class: "note", id: freshId() }, kind.help);
  const add = h("select", { id: freshId(), "aria-describedby": `${help.id} ${problem.id}` });
  const label = h("label", { htmlFor: add.id }, kind.label);
  const element = h("div", { class: "field", "data-field": kind.name }, label, help, list, kind.besides, add, problem);
  const changed = () => {
    show();
    kind.changed();
  };
  const show = () => {
    if (kind.besides) kind.besides.hidden = !all.length;
    list.replaceChildren(...all.map((entry) => entry.element));
  };
  const append = (/** @type {string} */ name) => {
    const remove = () => {
      entry.stop();
      all = all.filter((each) => each !== entry);
      changed();
      add.focus();
      tellForm();
    };
    const entry = kind.make(name, button("Remove", remove, { icon: "close", iconOnly: true, class: "quiet", label: `Remove ${name}` }));
    all = [...all, entry];
    changed();
    return entry;
  };
  const tellForm = () => ["input", "change"].forEach((type) => add.dispatchEvent(new Event(type, { bubbles: true })));
  add.addEventListener("change", () => {
    if (!add.value) return;
    append(add.value).element.querySelector("input")?.focus();
    add.value = "";
    tellForm();
  });
  checkpoints.watch((known) => {
    const names = known.filter(kind.is).map((each) => h("option", { value: each.name }, each.name));
    add.replaceChildren(h("option", { value: "" }, names.length ? `Add ${kind.one}…` : "None yet: add one under Models"), ...names);
    add.disabled = !names.length;
  });
  show();
  return {
    element,
    read: () => (all.length ? all.map((entry) => entry.read()) : undefined),
    write(/** @type {unknown} */ told) {
      const [before, wanted] = [all, /** @type {Record<string, any>[]} */ (Array.isArray(told) ? told : [])];
      all = [];
      for (const each of wanted) append(String(each.name)).write(each);
      all.forEach((entry, index) => keepPictures(entry, before[index]));
      for (const entry of before) entry.stop();
      changed();
    },
    /** The pictures that go along, by the parts of the form that they are sent in. */
    async files() {
      const parts = await Promise.all(all.map(async (entry, index) => {
        const field = `${kind.name}[${index}].image`;
        const files = await entry.files().catch((error) => { throw Object.assign(error, { field }); });
        return /** @type {[string, Blob[]]} */ ([field, files]);
      }));
      return Object.fromEntries(parts.filter(([, each]) => each.length));
    },
    complain(/** @type {string} */ text, field = "") {
      const [, index, part] = /^\w+\[(\d+)\]\.(.+)/.exec(field) ?? [];
      if (!text) for (const entry of all) entry.clear();
      if (text && all[Number(index)]) all[Number(index)].complain(part, text);
      else complain([add], problem, text);
    },
    /** Whether one of them has nothing to look at. */
    lacks: () => all.some((entry) => !entry.pictures().length),
    /** Has one look at a picture of the gallery: the first that has none, or one more. */
    take(/** @type {Chosen} */ picture) {
      const free = all.find((entry) => !entry.pictures().length) ?? (kind.several ? all.at(-1) : undefined);
      const entry = free ?? (add.options[1] && append(add.options[1].value));
      entry?.take([picture]);
      entry?.element.scrollIntoView({ block: "center" });
      tellForm();
    },
  };
}

/**
 * What was chosen stays where the same model stands at the same place, for what pictures say has no images.
 *
 * @type {(entry: Entry, before: Entry | undefined) => void}
 */
function keepPictures(entry, before) {
  if (before?.name === entry.name && !entry.pictures().length) entry.take(before.pictures());
}

/** @type {(name: string, close: HTMLElement, ...content: (import("../base/dom.js").Child | import("../base/dom.js").Child[])[]) => HTMLElement} */
export function makeCard(name, close, ...content) {
  const title = h("div", { class: "entry-title" }, h("strong", { title: name }, name), close);
  return h("li", { class: "entry", role: "group", "aria-label": name }, title, ...content);
}
