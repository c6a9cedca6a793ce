// @ts-check
/** The form as a whole: what it asks for as a request of the API, and a request as what it shows. */

import { byId } from "../base/dom.js";
import { recall, remember } from "../base/store.js";
import { checkpoints, server } from "../server/known.js";
import { makeCheckpoint } from "./checkpoint.js";
import { choicesNow, defaultsFor, needsMet } from "./defaults.js";
import { complain } from "./fields.js";
import { makeGroups } from "./groups.js";
import { makeGuides } from "./guides.js";
import { holdHelp } from "./holding.js";
import { makeLoras } from "./loras.js";
import { clearProblems, showProblem } from "./problems.js";
import { makeSeed } from "./seed.js";
import { readSource, showSource, source } from "./source.js";

/**
 * @typedef {Record<string, unknown>} Request
 * @typedef {Record<string, Blob | Blob[]>} Files by the parts of a form that they are sent in: "image", "controls[0].image"
 * @typedef {(request: Request, files: () => Promise<Files>) => Promise<void>} Submit
 * @typedef {import("./problems.js").Part} Part
 * @typedef {import("./groups.js").ShownGroup} ShownGroup
 */

/** @param {{ latestSeeds: () => (number | bigint)[], submit: Submit }} uses */
export function setUpForm({ latestSeeds, submit }) {
  const checkpoint = makeCheckpoint();
  const loras = makeLoras();
  const seed = makeSeed(latestSeeds);
  const groups = makeGroups();
  const guides = makeGuides(() => sizeOf(groups));
  const { controls, adapters } = guides;
  /** @type {Record<string, Part>} */
  const parts = {
    prompt: textPart("prompt"), negative_prompt: textPart("negative_prompt"), checkpoint, loras, seed, controls,
    guess_mode: controls.guess, ip_adapters: adapters,
  };
  byId("model").append(checkpoint.element, loras.element);
  byId("seed-place").append(seed.element);
  byId("parameters").append(...groups.map((group) => group.element));
  showSource(byId("source"));

  const suit = () => suitGroups(groups, checkpoint.chosen());
  const offer = () => {
    offerChoices(groups);
    suit();
  };
  const read = () => readAll(parts, groups);
  const save = () => remember("draft", plain(read()));
  const fill = (/** @type {Request} */ request) => {
    for (const [name, part] of Object.entries(parts)) part.write(request[name]);
    for (const group of groups) group.write(request);
    suit();
    save();
  };
  fill(recall("draft", {}));
  server.watch(offer);
  checkpoints.watch(offer);
  source.watch(suit);
  const form = /** @type {HTMLFormElement} */ (byId("form"));
  form.addEventListener("input", suit);
  form.addEventListener("change", save);
  holdHelp(form);
  submitBy(form, async () => {
    clearProblems(parts, groups);
    const { fields, files } = await readSource();
    await submit({ ...read(), ...fields }, async () => ({ ...files, ...(await guides.files()) }));
  });
  return {
    fill,
    /** Whether what is to look at a picture has none. */
    lacksPictures: guides.lack,
    takeControl: controls.take,
    takeAdapter: adapters.take,
    /** Changes what is named and leaves the rest. */
    fillIn: (/** @type {Request} */ some) => fill({ ...read(), ...some }),
    tell: (/** @type {string} */ field, /** @type {string} */ message) => showProblem(field, message, parts, groups),
  };
}

/** @type {(groups: ShownGroup[], chosen: import("../server/known.js").Checkpoint | undefined) => void} */
function suitGroups(groups, chosen) {
  const [there, defaults] = [needsMet(chosen), defaultsFor(chosen)];
  for (const group of groups) group.suit(there);
  for (const { parameter, suggest } of groups.flatMap((group) => group.fields)) {
    if (defaults[parameter.name]) suggest(defaults[parameter.name]);
  }
}

/** @param {ShownGroup[]} groups */
function offerChoices(groups) {
  const choices = choicesNow();
  for (const { parameter, offer } of groups.flatMap((group) => group.fields)) {
    if (parameter.from) offer(choices[parameter.from]);
  }
}

/** @type {(parts: Record<string, Part>, groups: ShownGroup[]) => Request} */
function readAll(parts, groups) {
  const placed = Object.entries(parts).map(([name, part]) => [name, part.read()]);
  const request = Object.assign({}, ...groups.map((group) => group.read()), Object.fromEntries(placed));
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));
}

/**
 * What is asked for of a picture's width and height, where both are.
 *
 * @param {ShownGroup[]} groups
 * @returns {Record<string, number>}
 */
function sizeOf(groups) {
  const { width, height } = Object.assign({}, ...groups.map((group) => group.read()));
  return Number.isInteger(width) && Number.isInteger(height) ? { width, height } : {};
}

/** @type {(form: HTMLFormElement, submit: () => Promise<void>) => void} with the button, or Ctrl+Enter anywhere */
function submitBy(form, submit) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void submit();
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
}

/** @param {Request} request large seeds as texts, which the form reads as well */
function plain(request) {
  return JSON.parse(JSON.stringify(request, (_key, value) => (typeof value === "bigint" ? String(value) : value)));
}

/**
 * @param {string} id of a text field; an empty negative prompt is left out
 * @returns {Part}
 */
function textPart(id) {
  const input = /** @type {HTMLTextAreaElement} */ (byId(id));
  const problem = byId(`${id}-problem`);
  return {
    read: () => (id === "prompt" ? input.value : input.value || undefined),
    write: (value) => (input.value = value ?? ""),
    complain: (text) => complain([input], problem, text),
  };
}
