// @ts-check
/**
 * Uploads of models: digested first, then sent in pieces; what a lost connection or a reload cut off goes on where the
 * server has got to, once the same file is chosen again.
 */

import { announce } from "../base/announce.js";
import { recall, remember } from "../base/store.js";
import { signal } from "../base/signal.js";
import { ApiError, call, LostError } from "../server/api.js";
import { lost } from "../server/connection.js";
import { refreshCheckpoints, refreshLoras } from "../server/known.js";

/**
 * @typedef {"checkpoint" | "lora" | "vae" | "upscaler" | "controlnet" | "preprocessor" | "ip_adapter" | "image_encoder"} Kind
 *
 * @typedef {object} Upload
 * @property {number} key
 * @property {File} file
 * @property {string} name what the model is to be called
 * @property {Kind} kind
 * @property {"reading" | "sending" | "adding" | "done" | "failed" | "stopped"} status
 * @property {number} done bytes
 * @property {string} problem
 * @property {AbortController} stop
 */

export const uploads = signal(/** @type {Upload[]} */ ([]));

let keys = 0;

/** @type {(file: File, name: string, kind: Kind, encoder?: File) => Promise<void>} */
export async function upload(file, name, kind, encoder) {
  let beside = {};
  if (encoder) {
    const id = await bring(encoder, `Image encoder of ${name}`, "image_encoder", async () => {});
    if (!id) return; // its row says why
    beside = { image_encoder: `upload:${id}` };
  }
  await bring(file, name, kind, (id) => add(kind, { name, upload: id, ...beside }));
}

/**
 * Brings one file to the server, and then has it used; the upload's id, unless it fails or is stopped.
 *
 * @type {(file: File, name: string, kind: Kind, use: (id: string) => Promise<void>) => Promise<string | undefined>}
 */
async function bring(file, name, kind, use) {
  keys += 1;
  /** @type {Upload} */
  const begun = { key: keys, file, name, kind, status: "reading", done: 0, problem: "", stop: new AbortController() };
  uploads.set([begun, ...uploads.get()]);
  const tell = (/** @type {Partial<Upload>} */ news) =>
    uploads.set(uploads.get().map((each) => (each.key === begun.key ? { ...each, ...news } : each)));
  try {
    const digest = await digestOf(file, begun.stop.signal, (done) => tell({ done }));
    tell({ status: "sending", done: 0 });
    const id = await sendAll(begun, digest, (done) => tell({ done }));
    tell({ status: "adding" });
    await use(id);
    if (kind !== "image_encoder") keepId(digest, undefined); // which the next adapter may want as well
    tell({ status: "done" });
    announce(`${name} was added.`);
    return id;
  } catch (error) {
    const isStopped = begun.stop.signal.aborted;
    tell({ status: isStopped ? "stopped" : "failed", problem: isStopped ? "" : /** @type {Error} */ (error).message });
    return undefined;
  }
}

/** @type {(file: File, stop: AbortSignal, tell: (done: number) => void) => Promise<string>} */
function digestOf(file, stop, tell) {
  const worker = new Worker("/page/app/models/digest-worker.js", { type: "module" });
  return new Promise((/** @type {(digest: string) => void} */ resolve, reject) => {
    stop.addEventListener("abort", () => reject(new Error("stopped")));
    worker.onerror = () => reject(new Error("the file cannot be read"));
    worker.onmessage = ({ data }) => {
      if (data.done !== undefined) tell(data.done);
      if (data.digest) resolve(data.digest);
      if (data.problem) reject(new Error(data.problem));
    };
    worker.postMessage(file);
  }).finally(() => worker.terminate());
}

/** @type {(begun: Upload, digest: string, tell: (done: number) => void) => Promise<string>} */
async function sendAll(begun, digest, tell) {
  const { file, stop } = begun;
  let { id, offset, chunk_bytes } = await place(begun, digest);
  keepId(digest, id);
  while (offset < file.size) {
    tell(offset);
    try {
      const bytes = file.slice(offset, offset + chunk_bytes);
      const headers = { "Upload-Offset": String(offset), "Content-Type": "application/octet-stream" };
      offset = (await call("PATCH", `/uploads/${id}`, { bytes, headers, signal: stop.signal })).offset;
    } catch (error) {
      if (error instanceof LostError) await lost();
      else if (!(error instanceof ApiError && error.status === 409)) throw error;
      offset = (await call("GET", `/uploads/${id}`)).offset;
    }
  }
  tell(file.size);
  return id;
}

/**
 * Where it goes: the place of an upload that was cut off, or a new one.
 *
 * @type {(begun: Upload, digest: string) => Promise<{ id: string, offset: number, chunk_bytes: number }>}
 */
async function place({ file, kind }, digest) {
  const known = recall("uploads", /** @type {Record<string, string>} */ ({}))[digest];
  try {
    const begun = known && (await call("GET", `/uploads/${known}`));
    if (begun?.kind === kind) return begun; // it may have been taken for something else at first
  } catch (error) {
    if (!(error instanceof ApiError && error.status === 404)) throw error;
  }
  return await call("POST", "/uploads", { json: { size: file.size, sha256: digest, name: file.name, kind } });
}

/** @type {(digest: string, id: string | undefined) => void} */
function keepId(digest, id) {
  remember("uploads", { ...recall("uploads", {}), [digest]: id });
}

/** @type {(kind: Kind, json: Record<string, string>) => Promise<void>} */
async function add(kind, json) {
  await call("POST", kind === "lora" ? "/loras" : "/checkpoints", { json });
  await (kind === "lora" ? refreshLoras() : refreshCheckpoints());
}
