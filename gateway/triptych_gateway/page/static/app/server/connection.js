// @ts-check
/** Whether the server answers; while it does not, it is asked again and again, and the page says so. */

import { signal } from "../base/signal.js";

const FIRST_WAIT_MS = 300;
const LONGEST_WAIT_MS = 5000;

/** @typedef {"connected" | "lost" | "login"} State */

/** @type {import("../base/signal.js").Signal<State>} */
export const connection = signal(/** @type {State} */ ("connected"));

/** @type {Promise<void> | undefined} */
let mending;

/**
 * Says that a call found nobody, and resolves once somebody answers again.
 *
 * @returns {Promise<void>}
 */
export function lost() {
  mending ??= mend().finally(() => (mending = undefined));
  return mending;
}

async function mend() {
  if (await answers()) return;
  connection.set("lost");
  for (let wait = FIRST_WAIT_MS; !(await answers()); wait = Math.min(wait * 1.5, LONGEST_WAIT_MS)) {
    await new Promise((resolve) => setTimeout(resolve, wait));
  }
  connection.set("connected");
}

async function answers() {
  try {
    const answer = await fetch("/api/v1/server", { cache: "no-store" });
    return answer.status < 500; // it may well ask for a login, or say that its orchestrator is away: see api.js
  } catch {
    return false;
  }
}
