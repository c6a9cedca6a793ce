// @ts-check
/** A request as a list of names and values for people. */

import { GROUPS } from "../form/parameters.js";
import { stringify } from "../server/json.js";

const LABELS = new Map([
  ["prompt", "Prompt"], ["negative_prompt", "Negative prompt"], ["checkpoint", "Checkpoint"], ["seed", "Seed"],
  ["loras", "LoRAs"], ["image", "Image"], ["mask_image", "Mask"], ["expand", "New borders"],
  ["controls", "ControlNets"], ["guess_mode", "Guess mode"], ["ip_adapters", "IP-Adapters"],
  ...GROUPS.flatMap((group) => group.parameters.map((each) => /** @type {[string, string]} */ ([each.name, labelOf(group, each)]))),
]);

/** @type {(group: import("../form/parameters.js").Group, parameter: import("../form/parameters.js").Parameter) => string} */
function labelOf(group, parameter) {
  return group.object ? `${group.title}: ${parameter.label.toLowerCase()}` : parameter.label;
}

/**
 * @param {Record<string, any>} request
 * @returns {[string, string][]}
 */
export function factsOf(request) {
  const flat = Object.entries(request).flatMap(([name, value]) => flatten(name, value));
  const order = [...LABELS.keys()];
  const place = (/** @type {string} */ name) => (order.indexOf(name) + order.length) % order.length;
  flat.sort(([first], [second]) => place(first) - place(second));
  return flat.map(([name, value]) => [LABELS.get(name) ?? name, textOf(value)]);
}

/** @type {(name: string, value: any) => [string, any][]} */
function flatten(name, value) {
  if (value === null || value === undefined || value === "") return [];
  if (typeof value !== "object" || Array.isArray(value)) return [[name, value]];
  return Object.entries(value).map(([part, each]) => [`${name}.${part}`, each]);
}

/** @type {(value: any) => string} */
function textOf(value) {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (Array.isArray(value)) return value.map(partText).join(", ");
  return stringify(value);
}

/**
 * @param {any} part of a list: a LoRA with its weights, or a ControlNet with what is said of it
 * @returns {string}
 */
function partText(part) {
  if (Array.isArray(part)) return part.join(" ");
  if (part === null || typeof part !== "object") return String(part);
  const { name, ...rest } = part;
  const said = Object.entries(rest).map(([field, value]) => `${field.replaceAll("_", " ")} ${textOf(value)}`);
  return name === undefined ? said.join("; ") : said.length ? `${name} (${said.join("; ")})` : String(name);
}
