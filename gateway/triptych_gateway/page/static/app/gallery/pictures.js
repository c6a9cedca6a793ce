// @ts-check
/** The pictures that the server keeps for this person, the newest first, as many as were asked for. */

import { signal } from "../base/signal.js";
import { call, ROOT, send } from "../server/api.js";

const PAGE = 40;

/**
 * @typedef {object} Picture
 * @property {string} id
 * @property {number} seed
 * @property {number} width
 * @property {number} height
 * @property {string} format
 * @property {string} prompt
 * @property {number} made_s since 1970
 * @property {boolean | null} is_nsfw it is black then
 *
 * @typedef {object} About
 * @property {Record<string, any>} request
 * @property {string[]} left_out
 * @property {string} infotext
 */

export const pictures = signal(/** @type {Picture[]} */ ([]));
export const hasMore = signal(false);

let search = "";
let turn = 0;

/** @param {string} [words] what their prompts are to contain; left out: as before */
export async function refreshPictures(words = search) {
  search = words;
  turn += 1;
  const mine = turn;
  const page = await fetchPage();
  if (mine !== turn) return; // another search has begun since
  pictures.set(page);
}

/** @param {Picture[]} made what a request has just made, in its order */
export async function addPictures(made) {
  if (search) return await refreshPictures();
  const ids = new Set(made.map((picture) => picture.id));
  pictures.set([...[...made].reverse(), ...pictures.get().filter((picture) => !ids.has(picture.id))]);
}

export async function morePictures() {
  const last = pictures.get().at(-1);
  const page = await fetchPage(last?.id);
  pictures.set([...pictures.get(), ...page]);
}

/**
 * @param {string} [before]
 * @returns {Promise<Picture[]>}
 */
async function fetchPage(before) {
  const query = new URLSearchParams({ limit: String(PAGE), ...(search && { search }), ...(before && { before }) });
  const page = (await call("GET", `/pictures?${query}`)).pictures;
  hasMore.set(page.length === PAGE);
  return page;
}

/** @param {Picture} picture */
export function addressOf(picture) {
  return `${ROOT}/pictures/${picture.id}`;
}

/** @param {Picture} picture */
export function thumbnailOf(picture) {
  return `${ROOT}/pictures/${picture.id}/thumbnail`;
}

/** @param {Picture} picture */
export function fileName(picture) {
  return `${picture.id}.${picture.format === "jpeg" ? "jpg" : picture.format}`;
}

/**
 * @param {Picture} picture
 * @returns {Promise<About>}
 */
export async function aboutOf(picture) {
  return await call("GET", `/pictures/${picture.id}/about`);
}

/** @param {Picture} picture */
export async function fileOf(picture) {
  return await (await send("GET", `/pictures/${picture.id}`)).blob();
}

/** @param {Picture[]} which */
export async function deletePictures(which) {
  for (const picture of which) {
    await call("DELETE", `/pictures/${picture.id}`);
    pictures.set(pictures.get().filter((each) => each.id !== picture.id));
  }
}

/** @param {Picture[]} which */
export async function downloadZip(which) {
  const answer = await send("POST", "/pictures/zip", { json: { ids: which.map((picture) => picture.id) } });
  save(await answer.blob(), "triptych.zip");
}

/**
 * @param {Blob} file
 * @param {string} name
 */
function save(file, name) {
  const address = URL.createObjectURL(file);
  const link = Object.assign(document.createElement("a"), { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
}
