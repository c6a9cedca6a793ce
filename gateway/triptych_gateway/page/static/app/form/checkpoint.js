// @ts-check
/** The picker of the checkpoint that draws. */

import { h } from "../base/dom.js";
import { checkpoints, draws } from "../server/known.js";
import { complain } from "./fields.js";

const STATES = /** @type {Record<string, string>} */ ({
  registered: "loads on first use", loading: "loading", loaded: "ready", unloading: "unloading", failed: "failed",
});

/** @param {string} state */
export function stateText(state) {
  return STATES[state.toLowerCase()] ?? state;
}

export function makeCheckpoint() {
  const select = h("select", { id: "checkpoint" });
  const about = h("p", { class: "help", id: "checkpoint-help" });
  const problem = h("p", { class: "problem", id: "checkpoint-problem", hidden: true });
  select.setAttribute("aria-describedby", "checkpoint-help checkpoint-problem");
  let wanted = "";
  const describe = () => (about.textContent = aboutText(chosen()));
  /** The one that the server takes where none is named. */
  const chosen = () => checkpoints.get().find((each) => each.name === select.value);
  const show = () => {
    const able = checkpoints.get().filter(draws);
    select.replaceChildren(...able.map((each) => h("option", { value: each.name }, each.name)));
    if (wanted && !able.some((each) => each.name === wanted)) {
      select.prepend(h("option", { value: wanted }, `${wanted} (not here)`));
    }
    select.value = wanted || able[0]?.name || "";
    describe();
  };
  select.addEventListener("change", () => ((wanted = select.value), describe()));
  checkpoints.watch(show);
  return {
    element: h("div", { class: "field", "data-field": "checkpoint" }, h("label", { htmlFor: "checkpoint" }, "Checkpoint"), select, about, problem),
    chosen,
    read: () => select.value || undefined,
    /** Where a request names none, the chosen one stays. */
    write(/** @type {unknown} */ name) {
      if (typeof name === "string") wanted = name;
      show();
    },
    complain: (/** @type {string} */ text) => complain([select], problem, text),
  };
}

/** @param {import("../server/known.js").Checkpoint | undefined} checkpoint */
function aboutText(checkpoint) {
  if (!checkpoint) return "There is no checkpoint yet: add one under Models.";
  const size = checkpoint.default_width && `${checkpoint.default_width} × ${checkpoint.default_height}`;
  const words = checkpoint.trigger_words?.length && `trigger words: ${checkpoint.trigger_words.join(", ")}`;
  const scheduler = checkpoint.scheduler && `scheduler ${checkpoint.scheduler}`;
  return [stateText(checkpoint.state), size, scheduler, checkpoint.engine, words].filter(Boolean).join(" · ");
}
