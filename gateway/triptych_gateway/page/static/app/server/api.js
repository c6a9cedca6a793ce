// @ts-check
/** Calls of `/api/v1`: `await call("POST", "/tasks", { form })`; failures are ApiErrors that name the field. */

import { connection, lost } from "./connection.js";
import { parse, stringify } from "./json.js";

export const ROOT = "/api/v1";

/** What the server answered in the place of what was asked for. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {Record<string, any>} told
   */
  constructor(status, told) {
    super(told.message ?? `the server answered ${status}`);
    this.status = status;
    this.reason = String(told.reason ?? "");
    /** @type {string} */
    this.field = told.field ?? "";
  }
}

/** Nobody answered. */
export class LostError extends Error {
  constructor() {
    super("the server does not answer");
  }
}

/**
 * @typedef {object} Options
 * @property {unknown} [json]
 * @property {FormData} [form]
 * @property {Blob} [bytes]
 * @property {Record<string, string>} [headers]
 * @property {AbortSignal} [signal]
 */

/**
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 * @returns {Promise<any>} the answer's JSON; undefined where there is none
 */
export async function call(method, path, options = {}) {
  const answer = await send(method, path, options);
  const text = await answer.text();
  return text ? parse(text) : undefined;
}

/**
 * The answer itself, where it is no JSON.
 *
 * @param {string} method
 * @param {string} path
 * @param {Options} [options]
 * @returns {Promise<Response>}
 */
export async function send(method, path, options = {}) {
  const answer = await reach(method, path, options);
  if (answer.ok) return answer;
  if (answer.status === 401) connection.set("login");
  throw new ApiError(answer.status, await problem(answer));
}

/** @type {(method: string, path: string, options: Options) => Promise<Response>} */
async function reach(method, path, options) {
  const headers = new Headers(options.headers);
  if (options.json !== undefined) headers.set("Content-Type", "application/json");
  const body = options.json === undefined ? (options.form ?? options.bytes) : stringify(options.json);
  try {
    return await fetch(ROOT + path, { method, headers, body, signal: options.signal });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    void lost();
    throw new LostError();
  }
}

/** @param {Response} answer */
async function problem(answer) {
  try {
    return (await answer.json()).error ?? {};
  } catch {
    return {}; // something between here and the server answered in its own words
  }
}
