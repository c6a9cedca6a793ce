// @ts-check
/** A card for each request that runs, or that ended without a picture: preview, progress, and what can be done. */

import { announce, notify } from "../base/announce.js";
import { button, h } from "../base/dom.js";
import { counted, secondsText } from "../base/text.js";
import { cancelTask, dismissTask, hasEnded, onEnd, tasks } from "./tasks.js";

/** @typedef {import("./tasks.js").Task} Task */

/**
 * @param {HTMLElement} place
 * @param {(request: Record<string, any>) => void} reuse fills the form in
 */
export function showTasks(place, reuse) {
  /** @type {Map<string, Card>} */
  const cards = new Map();
  tasks.watch((all) => {
    const shown = all.filter((task) => task.status !== "done" && task.status !== "cancelled");
    for (const [id, card] of cards) if (!shown.some((task) => task.id === id)) remove(cards, id, card);
    for (const task of shown) {
      const card = cards.get(task.id) ?? makeCard(task, reuse);
      if (!cards.has(task.id)) place.prepend(card.element);
      cards.set(task.id, card);
      card.show(task);
    }
    place.closest("section")?.toggleAttribute("hidden", cards.size === 0);
  });
  onEnd(tellEnd);
}

/**
 * @param {Map<string, Card>} cards
 * @param {string} id
 * @param {Card} card
 */
function remove(cards, id, card) {
  const hadFocus = card.element.contains(document.activeElement);
  cards.delete(id);
  card.element.remove();
  if (hadFocus) document.getElementById("generate")?.focus();
}

/** @param {Task} task */
function tellEnd(task) {
  if (task.status === "done") announce(`Done: ${counted(task.pictures.length, "picture")}.`);
  if (task.status === "failed") announce(`Failed: ${task.error?.message ?? "no reason was told"}`);
  if (task.status === "cancelled") announce("Cancelled.");
  for (const warning of task.warnings) notify(warning);
}

/** @typedef {{ element: HTMLElement, show: (task: Task) => void }} Card */

/**
 * @param {Task} first
 * @param {(request: Record<string, any>) => void} reuse
 * @returns {Card}
 */
function makeCard(first, reuse) {
  let task = first;
  const preview = h("img", { alt: "", hidden: true });
  const bar = h("progress", { "aria-label": "Steps" });
  const state = h("p", { class: "state" });
  const prompt = h("p", { class: "prompt" });
  const buttons = h("div", { class: "row" });
  const pane = h("div", { class: "task-preview" }, preview);
  const element = h("li", { class: "task" }, pane, h("div", { class: "task-text" }, prompt, bar, state, buttons));
  let kind = "";
  return {
    element,
    show(latest) {
      task = latest;
      prompt.textContent = task.request.prompt || "(no prompt)";
      showPreview(preview, task.preview);
      showProgress(bar, task);
      state.textContent = stateText(task);
      element.dataset.status = task.status;
      const wanted = hasEnded(task) ? "ended" : "running";
      if (kind !== wanted) buttons.replaceChildren(...makeButtons((kind = wanted), () => task, reuse));
    },
  };
}

/**
 * @param {string} kind
 * @param {() => Task} task
 * @param {(request: Record<string, any>) => void} reuse
 */
function makeButtons(kind, task, reuse) {
  if (kind === "ended") {
    const again = button("Fill in again", () => reuse(task().request), { icon: "again" });
    return [again, button("Dismiss", () => dismissTask(task()), { class: "quiet" })];
  }
  const cancel = button("Cancel", () => stop(task(), cancel), { icon: "close" });
  return [cancel];
}

/**
 * @param {Task} task
 * @param {HTMLButtonElement} cancel
 */
async function stop(task, cancel) {
  cancel.disabled = true;
  try {
    await cancelTask(task);
  } catch (error) {
    cancel.disabled = false;
    notify(`Not cancelled: ${/** @type {Error} */ (error).message}`, "error");
  }
}

/**
 * @param {HTMLImageElement} image
 * @param {string} source
 */
function showPreview(image, source) {
  if (!source || image.src === source) return;
  image.src = source;
  image.hidden = false;
}

/**
 * @param {HTMLProgressElement} bar
 * @param {Task} task
 */
function showProgress(bar, task) {
  bar.hidden = hasEnded(task);
  if (!task.total) return bar.removeAttribute("value");
  bar.max = task.total;
  bar.value = task.step;
}

/** @param {Task} task */
function stateText(task) {
  if (task.status === "failed") return `Failed: ${task.error?.message ?? "no reason was told"}`;
  if (task.status === "gone") return "The server was restarted before this was done.";
  if (task.status === "queued") return "Waiting for its turn";
  if (!task.step) return "Beginning";
  if (task.step >= task.total) return "Decoding";
  return `Step ${task.step} of ${task.total}${leftText(task)}`;
}

/** @param {Task} task */
function leftText(task) {
  if (task.step < 2) return "";
  const seconds = (((Date.now() - task.began) / (task.step - 1)) * (task.total - task.step)) / 1000;
  return `, about ${secondsText(seconds)} left`;
}
