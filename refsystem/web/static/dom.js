// Elements, words and amounts. Text enters the page as text only, so that nothing typed becomes markup.

import { data } from "./device.js";

export const byId = id => document.getElementById(id);

/** The words of a key, with `{name}` filled in. */
export function say(key, values = {}) {
  return (data.words[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

const amounts = new Intl.NumberFormat(data.lang, { style: "currency", currency: data.currency, currencyDisplay: "narrowSymbol" });
export const money = minor => amounts.format(minor / 100);

/** What was typed as an amount, in minor units; NaN if it is none. */
export function readMoney(text) {
  const found = /^\s*(\d{1,8})(?:[.,](\d{1,2}))?\s*$/.exec(text);
  return found ? Number(found[1]) * 100 + Number((found[2] ?? "").padEnd(2, "0")) : NaN;
}

export const itemName = id => data.items[id]?.name ?? id;
export const shortId = id => id.slice(-4).toUpperCase();
export const dateTime = ms => new Intl.DateTimeFormat(data.lang, { dateStyle: "medium", timeStyle: "short" }).format(ms);
export const hour = ms => new Intl.DateTimeFormat(data.lang, { hour: "2-digit", minute: "2-digit" }).format(ms);

/** An element: `on` are its listeners, `class`, `text` and any attribute by its name; what is null or false is left out. */
export function el(tag, { on = {}, text, ...attributes } = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : String(value));
  }
  for (const [name, listener] of Object.entries(on)) made.addEventListener(name, listener);
  if (text !== undefined) made.textContent = text;
  made.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return made;
}

/** A button; `focus` names it, so that it keeps the focus when it is made anew. */
export function button(text, tap, { focus = text, kind = "", ...attributes } = {}) {
  return el("button", { type: "button", class: kind || null, text, "data-focus": focus, on: { click: tap }, ...attributes });
}

/** Put `children` in place of what is there, unless nothing has changed: a button replaced under a finger loses the tap. */
export function put(parent, children) {
  const made = el("div", {}, children);
  if (made.innerHTML === parent.dataset.made && parent.childElementCount) return;
  const focus = parent.contains(document.activeElement) ? document.activeElement.dataset.focus : undefined;
  parent.dataset.made = made.innerHTML;
  parent.replaceChildren(...made.childNodes);
  if (focus) [...parent.querySelectorAll("[data-focus]")].find(each => each.dataset.focus === focus)?.focus();
}

export function show(element, is) {
  element.hidden = !is;
}

/** Which of the page's views is seen; its heading is read out. */
export function view(name) {
  if (document.body.dataset.view === name) return;
  document.body.dataset.view = name;
  for (const each of document.querySelectorAll("[data-to]")) {
    if (each.dataset.to === name) each.setAttribute("aria-current", "page");
    else each.removeAttribute("aria-current");
  }
  window.scrollTo(0, 0);
  const heading = document.querySelector(`.view-${name} h2`);
  if (heading) {
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
  }
}
