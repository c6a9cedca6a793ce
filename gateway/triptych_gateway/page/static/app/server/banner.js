// @ts-check
/** Says when the server does not answer, and when it does again. */

import { announce } from "../base/announce.js";
import { byId } from "../base/dom.js";
import { connection } from "./connection.js";

export function setUpBanner() {
  const banner = byId("banner");
  connection.watch((state) => {
    const wasLost = !banner.hidden;
    banner.hidden = state !== "lost";
    document.documentElement.dataset.connection = state;
    if (state === "lost") announce("The server does not answer. Trying again.");
    if (state === "connected" && wasLost) announce("Connected again.");
  });
}
