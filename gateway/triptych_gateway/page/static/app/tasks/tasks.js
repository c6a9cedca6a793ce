// @ts-check
/**
 * All requests of this person, as the server tells of them: those that run, whichever tab began them, and what became
 * of the others. One stream of events brings them, for a browser opens six connections to a server and no more.
 */

import { signal } from "../base/signal.js";
import { call, LostError, ROOT } from "../server/api.js";
import { connection, lost } from "../server/connection.js";
import { parse, stringify } from "../server/json.js";

/**
 * @typedef {"queued" | "running" | "done" | "failed" | "cancelled" | "gone"} Status "gone": the server forgot it
 *
 * @typedef {object} Task
 * @property {string} id
 * @property {Status} status
 * @property {Record<string, any>} request
 * @property {number} step
 * @property {number} total
 * @property {number} began when the first step was seen, in milliseconds
 * @property {string} preview
 * @property {any[]} pictures
 * @property {string[]} warnings
 * @property {{ message: string, field?: string } | undefined} error
 */

/** The latest first. */
export const tasks = signal(/** @type {Task[]} */ ([]));

/** @type {Set<(task: Task) => void>} */
const endings = new Set();

/** @param {(task: Task) => void} listener called once for each task that ends while the page looks on */
export function onEnd(listener) {
  endings.add(listener);
}

const PAUSE_MS = 300;
const ENDED = ["done", "failed", "cancelled", "gone"];

/** @param {Task} task */
export function hasEnded(task) {
  return ENDED.includes(task.status);
}

/**
 * @param {Record<string, unknown>} request
 * @param {Record<string, Blob | Blob[]>} files by the parts of the form
 */
export async function startTask(request, files) {
  const form = new FormData();
  form.set("request", new Blob([stringify(request)], { type: "application/json" }), "request.json");
  for (const [name, each] of Object.entries(files)) for (const file of [each].flat()) form.append(name, file, name);
  const hasFiles = Object.keys(files).length > 0;
  const { id } = await call("POST", "/tasks", hasFiles ? { form } : { json: request });
  change(id, { request });
  return /** @type {string} */ (id);
}

/** @param {Task} task */
export async function cancelTask(task) {
  await call("DELETE", `/tasks/${task.id}`);
}

/** @param {Task} task which no longer is of interest here */
export function dismissTask(task) {
  tasks.set(tasks.get().filter((each) => each.id !== task.id));
}

/** Looks on from now on, through every loss of the connection. */
export async function followTasks() {
  for (;;) {
    try {
      await call("GET", "/tasks"); // an event stream does not say why it is refused
      await listen();
    } catch (error) {
      if (!(error instanceof LostError)) await signedIn();
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    await lost();
  }
}

/** Resolves at once where no login is asked for. */
function signedIn() {
  return /** @type {Promise<void>} */ (new Promise((resolve) => {
    const stop = connection.watch((state) => {
      if (state !== "login") queueMicrotask(() => (stop(), resolve()));
    });
  }));
}

async function refresh() {
  const before = tasks.get().filter((task) => !hasEnded(task)); // one that begins meanwhile is not told of yet
  /** @type {any[]} */
  const told = (await call("GET", "/tasks")).tasks;
  const known = new Set(told.map((each) => each.id));
  for (const each of [...told].reverse()) {
    const isNews = !ENDED.includes(each.status) || find(each.id);
    if (isNews) change(each.id, each);
  }
  for (const task of before) if (!known.has(task.id)) change(task.id, { status: "gone" });
}

/** Resolves when the stream ends. What ran before is asked for once it has begun, so that nothing is missed between. */
function listen() {
  return /** @type {Promise<void>} */ (new Promise((resolve, reject) => {
    const stream = new EventSource(`${ROOT}/tasks/events`);
    /** @type {(type: string, read: (told: any) => Partial<Task>) => void} */
    const on = (type, read) =>
      stream.addEventListener(type, (event) => {
        const told = parse(/** @type {MessageEvent} */ (event).data);
        if (!find(told.id)) void adopt(told.id).catch(stop);
        change(told.id, read(told));
      });
    on("state", ({ status, step, total }) => (ENDED.includes(status) ? {} : { status, step, total }));
    on("preview", ({ image }) => ({ preview: image }));
    on("done", ({ pictures, warnings }) => ({ status: "done", pictures, warnings }));
    on("failed", ({ error }) => ({ status: error.reason === "CANCELLED" ? "cancelled" : "failed", error }));
    const stop = (/** @type {Error | undefined} */ error) => {
      stream.close();
      if (error) reject(error);
      else resolve();
    };
    stream.onopen = () => void refresh().catch(stop);
    stream.onerror = () => stop(undefined);
  }));
}

/**
 * What another tab has begun.
 *
 * @param {string} id
 */
async function adopt(id) {
  const { request } = await call("GET", `/tasks/${id}`);
  change(id, { request });
}

/** @param {string} id */
function find(id) {
  return tasks.get().find((task) => task.id === id);
}

/**
 * @param {string} id
 * @param {Partial<Task>} news
 */
function change(id, news) {
  const before = find(id) ?? blank(id);
  if (hasEnded(before)) return;
  const after = { ...before, ...given(news), id };
  if (after.step > 0 && !before.began) after.began = Date.now();
  const others = tasks.get().filter((task) => task.id !== id);
  tasks.set(find(id) ? tasks.get().map((task) => (task.id === id ? after : task)) : [after, ...others]);
  if (hasEnded(after)) for (const listener of endings) listener(after);
}

/**
 * What is really said, so that nothing known is forgotten for it.
 *
 * @param {Partial<Task>} news
 */
function given(news) {
  return Object.fromEntries(Object.entries(news).filter(([, value]) => value !== undefined && value !== null));
}

/**
 * @param {string} id
 * @returns {Task}
 */
function blank(id) {
  return {
    id, status: "queued", request: {}, step: 0, total: 0, began: 0, preview: "", pictures: [], warnings: [],
    error: undefined,
  };
}
