// @ts-check
/** The page: sets its parts up and says what they tell each other. */

import { notify } from "./base/announce.js";
import { byId } from "./base/dom.js";
import { setUpTheme } from "./base/theme.js";
import { keptOf } from "./form/choosing.js";
import { setUpForm } from "./form/form.js";
import { source } from "./form/source.js";
import { setUpGallery } from "./gallery/gallery.js";
import { addPictures, refreshPictures } from "./gallery/pictures.js";
import { setUpReading } from "./gallery/reading.js";
import { openViewer } from "./gallery/viewer.js";
import { openModels } from "./models/models.js";
import { ApiError } from "./server/api.js";
import { setUpBanner } from "./server/banner.js";
import { connection } from "./server/connection.js";
import { refreshKnown } from "./server/known.js";
import { setUpLogin } from "./server/login.js";
import { showTasks } from "./tasks/cards.js";
import { dismissTask, followTasks, onEnd, startTask } from "./tasks/tasks.js";

/** @type {(number | bigint)[]} */
let seeds = [];

const form = setUpForm({ latestSeeds: () => seeds, submit });

/** @type {(request: Record<string, unknown>, files: () => Promise<import("./form/form.js").Files>) => Promise<void>} */
async function submit(request, files) {
  try {
    await startTask(request, await files());
    byId("tasks").closest("section")?.scrollIntoView({ block: "nearest" });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    form.tell(error instanceof ApiError ? error.field : "", error.message);
  }
}

/** @type {(request: Record<string, any>, leftOut?: string[], name?: string) => void} */
function reuse(request, leftOut = [], name = "the picture") {
  if (!leftOut.some((each) => each.includes("image"))) source.set(undefined);
  form.fill(request);
  byId("prompt").focus();
  byId("form").scrollIntoView({ block: "start" });
  const lost = form.lacksPictures() ? leftOut : leftOut.filter((each) => !GUIDES.test(each));
  const stayed = lost.length < leftOut.length ? " It is guided by the pictures that are still chosen here." : "";
  const rest = lost.length ? ` Not taken over: ${lost.join("; ")}.` : "";
  notify(`The form is filled in from ${name}.${stayed}${rest}`, lost.length ? "error" : "note");
}

/** What is left out of ControlNets and IP-Adapters: their pictures. */
const GUIDES = /^(controls|ip_adapters): is not in the picture|^the pictures that guide it/;

/**
 * What a request has been sent with and the form cannot bring back.
 *
 * @param {Record<string, any>} request
 */
function lackingOf({ image, controls, ip_adapters: adapters }) {
  const areKept = [controls ?? [], adapters ?? []].flat().every((each) => keptOf(each.image).length);
  return [
    ...(image ? ["the image, unless it is still chosen here"] : []),
    ...(areKept ? [] : ["the pictures that guide it, unless they are still chosen here"]),
  ];
}

/** Everything that is fetched anew when the server answers (again). */
async function refresh() {
  try {
    await Promise.all([refreshKnown(), refreshPictures()]);
  } catch (error) {
    if (error instanceof ApiError && error.status !== 401) notify(error.message, "error");
  }
}

setUpTheme(/** @type {HTMLSelectElement} */ (byId("theme")));
setUpBanner();
setUpLogin(() => void refresh());
setUpGallery((picture) => openViewer(picture, { reuse, useSeed: (seed) => form.fillIn({ seed }), control: form.takeControl, adapter: form.takeAdapter }));
setUpReading(reuse);
showTasks(byId("tasks"), (request) => reuse(request, lackingOf(request), "that request"));
byId("models").addEventListener("click", openModels);

onEnd((task) => {
  const { field, message } = task.error ?? {};
  if (field && message && task.step === 0) {
    form.tell(field, message);
    dismissTask(task);
  }
  if (task.status !== "done") return;
  seeds = task.pictures.map((picture) => picture.seed);
  void addPictures(task.pictures).catch((error) => notify(error.message, "error"));
});

let wasLost = false;
connection.watch((state) => {
  if (state === "connected" && wasLost) void refresh();
  wasLost = state === "lost";
});
void refresh();
void followTasks();
