// @ts-check
/** The groups of parameters in the form: open, folded, or with a switch; and what counts of them. */

import { h } from "../base/dom.js";
import { makeField } from "./fields.js";
import { GROUPS } from "./parameters.js";

/**
 * @typedef {import("./parameters.js").Need} Need
 * @typedef {import("./parameters.js").Group} Group
 * @typedef {import("./fields.js").Field} Field
 *
 * @typedef {object} ShownGroup
 * @property {HTMLElement} element
 * @property {Field[]} fields
 * @property {(there: Set<Need>) => void} suit shows it where what it needs is there
 * @property {() => Record<string, unknown>} read
 * @property {(request: Record<string, any>) => void} write
 * @property {() => void} reveal opens it
 */

/** @returns {ShownGroup[]} */
export function makeGroups() {
  return GROUPS.map(makeGroup);
}

/**
 * @param {Group} group
 * @returns {ShownGroup}
 */
function makeGroup(group) {
  const fields = group.parameters.map(makeField);
  const shell = SHELLS[group.shown](group, fields);
  const isOn = () => !shell.element.hidden && (!shell.power || shell.power.checked);
  const count = () => shell.tell(isOn() ? fields.filter((field) => field.read() !== undefined).length : 0);
  shell.element.addEventListener("input", count);
  return {
    element: shell.element,
    fields,
    reveal: shell.reveal,
    suit(there) {
      shell.element.hidden = lacks(group, there);
      for (const field of fields) field.element.hidden = lacks(field.parameter, there);
    },
    read: () => (isOn() ? collect(fields, group.object) : {}),
    write(request) {
      for (const field of fields) field.write(lookUp(request, field.parameter.name) ?? field.parameter.first);
      if (shell.power) shell.power.checked = !!request[group.object ?? ""];
      shell.fold();
      count();
    },
  };
}

/** @type {(what: { needs?: Need }, there: Set<Need>) => boolean} */
function lacks({ needs }, there) {
  return needs !== undefined && !there.has(needs);
}

/**
 * @param {Field[]} fields
 * @param {string | undefined} object
 */
function collect(fields, object) {
  /** @type {Record<string, any>} */
  const request = object ? { [object]: {} } : {};
  for (const field of fields) {
    const value = field.read();
    if (value === undefined || field.element.hidden) continue;
    const [first, second] = field.parameter.name.split(".");
    if (second) request[first][second] = value;
    else request[first] = value;
  }
  return request;
}

/**
 * @param {Record<string, any>} request
 * @param {string} name
 */
function lookUp(request, name) {
  return name.split(".").reduce((value, part) => /** @type {any} */ (value)?.[part], request);
}

/**
 * @typedef {object} Shell
 * @property {HTMLElement} element
 * @property {(changed: number) => void} tell
 * @property {() => void} reveal
 * @property {() => void} fold closes it where nothing is set
 * @property {HTMLInputElement} [power]
 */

/** @type {Record<Group["shown"], (group: Group, fields: Field[]) => Shell>} */
const SHELLS = { open: openShell, folded: foldedShell, switched: switchedShell };

/** @type {(group: Group, fields: Field[]) => HTMLElement} */
function contents(group, fields) {
  const note = group.note && h("p", { class: "note" }, group.note);
  return h("div", { class: "group-body" }, note, h("div", { class: "fields" }, fields.map((field) => field.element)));
}

/** @type {(group: Group, fields: Field[]) => Shell} */
function openShell(group, fields) {
  const element = h("fieldset", { class: "group" }, h("legend", {}, group.title), contents(group, fields));
  return { element, tell() {}, reveal() {}, fold() {} };
}

/** @type {(group: Group, fields: Field[]) => Shell} */
function foldedShell(group, fields) {
  const badge = h("span", { class: "badge", hidden: true });
  const summary = h("summary", {}, h("span", {}, group.title), badge);
  const element = h("details", { class: "group" }, summary, contents(group, fields));
  let changed = 0;
  return {
    element,
    tell(count) {
      changed = count - fields.filter((field) => field.parameter.first && String(field.read()) === field.parameter.first).length;
      badge.hidden = changed <= 0;
      badge.textContent = `${changed} set`;
    },
    reveal: () => (element.open = true),
    fold: () => {},
  };
}

/** @type {(group: Group, fields: Field[]) => Shell} */
function switchedShell(group, fields) {
  const power = h("input", { type: "checkbox", role: "switch", class: "switch" });
  const label = h("label", { class: "switch-label" }, h("span", {}, group.title), power);
  const body = contents(group, fields);
  const fold = () => (body.hidden = !power.checked);
  power.addEventListener("change", fold);
  fold();
  const element = h("div", { class: "group switched", role: "group", "aria-label": group.title }, label, body);
  return { element, tell() {}, reveal: fold, fold, power };
}
