// @ts-check
/** The ControlNets of a request, any number of them. */

import { makeEntries } from "../form/entries.js";
import { makeField } from "../form/fields.js";
import { isControlNet } from "../server/known.js";
import { makeControl } from "./control.js";
import { GUESS_MODE } from "./parameters.js";

/**
 * @param {() => Record<string, number>} size what is asked for of the picture's width and height, if anything is
 * @param {() => void} changed
 */
export function makeControls(size, changed) {
  const guess = makeField(GUESS_MODE);
  const entries = makeEntries({
    name: "controls",
    label: "ControlNets",
    one: "a ControlNet",
    help: "The picture keeps to an image's lines, depth or pose.",
    is: isControlNet,
    make: (name, close) => makeControl(name, close, size),
    several: false,
    besides: guess.element,
    changed,
  });
  return {
    ...entries,
    guess: {
      read: () => (entries.read() ? guess.read() : undefined),
      write: guess.write,
      complain: guess.complain,
    },
  };
}
