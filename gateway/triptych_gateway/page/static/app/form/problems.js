// @ts-check
/** Problems that the server names, shown at the fields that they are about. */

import { byId } from "../base/dom.js";
import { complain } from "./fields.js";

/**
 * @typedef {object} Part a place of the form for one parameter
 * @property {() => unknown} read
 * @property {(value: any) => void} write
 * @property {(problem: string, field?: string) => void} complain of a part in it where the field says which
 *
 * @typedef {import("./groups.js").ShownGroup} ShownGroup
 */

const OF_IMAGE = ["image", "mask_image", "expand"];

/**
 * @param {Record<string, Part>} parts
 * @param {ShownGroup[]} groups
 */
export function clearProblems(parts, groups) {
  for (const part of [...Object.values(parts), ...groups.flatMap((group) => group.fields)]) part.complain("");
  for (const place of ["source-problem", "form-problem"]) complain([], byId(place), "");
}

/**
 * One of no field that is shown stands above the button.
 *
 * @param {string} field as the server names it: "hires.scale", "mask_images[0]", "seeds"
 * @param {string} message
 * @param {Record<string, Part>} parts
 * @param {ShownGroup[]} groups
 */
export function showProblem(field, message, parts, groups) {
  const name = field.replace(/\[\d+\]|\.\d+/g, "");
  const names = [name, name.replace(/s$/, ""), name.split(".")[0]];
  const part = names.map((each) => parts[each]).find(Boolean);
  const group = groups.find((each) => fieldOf(each, names) && !each.element.hidden);
  group?.reveal();
  const found = part ?? (group && fieldOf(group, names));
  if (found) found.complain(message, field);
  else complain([], byId(names.some((each) => OF_IMAGE.includes(each)) ? "source-problem" : "form-problem"), message);
  const place = found ? document.querySelector("#form [aria-invalid]") : document.querySelector("#form .problem:not([hidden])");
  if (place instanceof HTMLElement) place.focus();
  place?.scrollIntoView({ block: "center" });
}

/** @type {(group: ShownGroup, names: string[]) => Part | undefined} */
function fieldOf(group, names) {
  return group.fields.find(({ parameter, element }) => names.includes(parameter.name) && !element.hidden);
}
