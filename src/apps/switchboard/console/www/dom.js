// Elements. Text is always text: names come from strangers, and nothing here makes HTML of a string.

/**
 * @param {Element} node
 * @param {Record<string, unknown>} attributes functions are listeners; false and undefined are left out
 * @param {(Node | string | undefined)[]} children
 */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') node.addEventListener(name, /** @type {EventListener} */ (value));
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? '' : String(value));
  }
  node.append(...children.filter(child => child !== undefined));
}

/**
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | undefined)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  fill(node, attributes, children);
  return node;
}

/**
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, unknown>} [attributes]
 * @param {...(Node | string | undefined)} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svg(name, attributes = {}, ...children) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  fill(node, attributes, children);
  return node;
}

/** @param {string} id @returns {HTMLElement} */
export const byId = id => /** @type {HTMLElement} */ (document.getElementById(id));

/** Writes only what is different, so that a selection and a screen reader are left in peace. @param {Element} node @param {string} text */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** @param {Element} node @param {Record<string, string | number>} attributes */
export function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (node.getAttribute(name) !== String(value)) node.setAttribute(name, String(value));
  }
}

/**
 * One child for each item, made once and updated while the item is there, in the items' order; what stays in its place keeps the focus.
 * @template T
 * @template {{ node: Element, update(item: T): void }} R
 * @param {Element} parent
 * @param {Map<string, R>} rows those that there are; kept by the caller
 * @param {Iterable<T>} items
 * @param {(item: T) => string} idOf
 * @param {(item: T) => R} make
 */
export function keyed(parent, rows, items, idOf, make) {
  const all = Array.from(items, item => ({ id: idOf(item), item }));
  const ids = new Set(all.map(({ id }) => id));
  // First what is gone, so that nothing that stays has to move.
  for (const [id, { node }] of rows) {
    if (ids.has(id)) continue;
    node.remove();
    rows.delete(id);
  }
  let next = parent.firstElementChild;
  for (const { id, item } of all) {
    let row = rows.get(id);
    if (row === undefined) rows.set(id, (row = make(item)));
    row.update(item);
    if (row.node === next) next = next.nextElementSibling;
    else parent.insertBefore(row.node, next);
  }
}
