// @ts-check
/** A worker that digests a file: it is sent the file, and answers with bytes that are done and at last the digest. */

import { Sha256 } from "./sha256.js";

const PIECE_BYTES = 4 * 1024 * 1024;

addEventListener("message", async (event) => {
  /** @type {File} */
  const file = event.data;
  const sum = new Sha256();
  try {
    for (let done = 0; done < file.size; done += PIECE_BYTES) {
      sum.update(new Uint8Array(await file.slice(done, done + PIECE_BYTES).arrayBuffer()));
      postMessage({ done: Math.min(done + PIECE_BYTES, file.size) });
    }
    postMessage({ digest: sum.digest() });
  } catch (error) {
    postMessage({ problem: /** @type {Error} */ (error).message });
  }
});
