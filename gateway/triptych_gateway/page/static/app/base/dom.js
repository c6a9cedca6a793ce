// @ts-check
/**
 * Makes elements: `h("button", { class: "quiet", onclick: run }, icon("dice"), "Random")`.
 */

/** @typedef {Node | string | null | undefined | false} Child */

/**
 * A property that starts with "on" is a listener, one that the element has is set, and any other is an attribute.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, unknown>} [properties]
 * @param {...(Child | Child[])} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) setProperty(element, name, value);
  element.append(...present(children.flat()));
  return element;
}

/** @param {Child[]} children */
export function present(children) {
  return /** @type {(Node | string)[]} */ (children.filter((child) => child !== null && child !== undefined && child !== false));
}

/**
 * @param {HTMLElement} element
 * @param {string} name
 * @param {unknown} value
 */
function setProperty(element, name, value) {
  if (value === undefined || value === null || value === false) return;
  if (typeof value === "function") element.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
  else if (name in element && name !== "list" && name !== "form") Reflect.set(element, name, value);
  else element.setAttribute(name === "class" ? "class" : name, value === true ? "" : String(value));
}

/**
 * The element of that id; the page always has it.
 *
 * @param {string} id
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (!element) throw new Error(`the page has no #${id}`);
  return element;
}

/**
 * A drawing of icons.svg, for the eye alone: what it stands beside has a text.
 *
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `/page/icons.svg#${name}`);
  svg.append(use);
  return svg;
}

/**
 * A button with a text; `quiet` ones are drawn without a frame.
 *
 * @param {string} text
 * @param {(event: MouseEvent) => unknown} onclick
 * @param {{ icon?: string, class?: string, label?: string, iconOnly?: boolean, disabled?: boolean }} [look]
 */
export function button(text, onclick, look = {}) {
  const properties = { type: "button", class: look.class ?? "", onclick, disabled: look.disabled };
  const named = look.iconOnly ? { title: text, "aria-label": look.label ?? text } : { "aria-label": look.label };
  return h("button", { ...properties, ...named }, look.icon && icon(look.icon), !look.iconOnly && h("span", {}, text));
}

let ids = 0;

/** An id that no other element has. */
export function freshId() {
  ids += 1;
  return `e${ids}`;
}
