// An order while it is typed. It has its id from the first item on, is kept on the device, and is the same in every tab of this page.

import { alone, data, load, newId, onOtherTab, save } from "./device.js";
import { say } from "./dom.js";
import { entry, keep } from "./outbox.js";

/** More than the store takes in one order; nothing was changed. The page says so. */
export class CartFull extends Error {
  constructor() {
    super(say("cart_full", { quantity: data.quantity_max, lines: data.lines_max }));
    this.name = "CartFull";
  }
}

const fits = items => Object.keys(items).length <= data.lines_max && Object.values(items).every(quantity => quantity <= data.quantity_max);
const fresh = () => ({ order_id: newId(), items: {}, note: "" });

export class Cart extends EventTarget {
  constructor(scope) {
    super();
    this.name = `cart.${scope}`;
    onOtherTab(name => { if (!name || name === this.name) this.dispatchEvent(new Event("change")); });
  }

  /** The cart itself, which stays what it is while a question about it is asked. */
  get cart() { return this; }

  /** The cart as it stands; one that is on its way already is empty here. One that was refused is not on its way: it is changed. */
  get now() {
    const kept = load(this.name);
    const sent = kept?.order_id && entry(kept.order_id);
    if (kept?.order_id && (!sent || sent.state === "refused")) return kept;
    const made = fresh();
    save(this.name, made);
    return made;
  }

  keep(cart) {
    save(this.name, cart);
    this.dispatchEvent(new Event("change"));
  }

  count(item) { return this.now.items[item] ?? 0; }
  get lines() { return Object.entries(this.now.items); }
  get pieces() { return this.lines.reduce((sum, [, quantity]) => sum + quantity, 0); }
  get total() { return this.lines.reduce((sum, [id, quantity]) => sum + (data.items[id]?.price_minor ?? 0) * quantity, 0); }

  change(item, by) {
    const cart = this.now, quantity = Math.max(0, Math.min(data.quantity_max, (cart.items[item] ?? 0) + by));
    if (quantity) cart.items[item] = quantity;
    else delete cart.items[item];
    if (!fits(cart.items)) throw new CartFull();
    this.keep(cart);
  }

  set note(text) { this.keep({ ...this.now, note: text }); }
  clear() { this.keep(fresh()); }

  /** Put a refused order back. It keeps its id where nothing else was typed since, so that it can never become two. Raises `CartFull`. */
  takeBack(made) {
    const items = Object.fromEntries(made.body.items.map(line => [line.item_id, line.quantity]));
    const cart = this.now;
    if (!this.pieces && !cart.note) return this.keep({ order_id: made.id, items, note: made.body.note });
    for (const [id, quantity] of Object.entries(items)) cart.items[id] = (cart.items[id] ?? 0) + quantity;
    const notes = new Set([cart.note, made.body.note].filter(Boolean)), note = [...notes].join(" · "); // an allergy may stand in either
    if (!fits(cart.items) || [...note].length > data.note_max) throw new CartFull();
    return this.keep({ ...cart, note });
  }

  /** Keep it to be sent; what was kept, or null when another tab has done so a moment ago. Raises if the device has no room. */
  submit(more) {
    return alone(this.name, () => {
      const cart = this.now, lines = Object.entries(cart.items);
      if (!lines.length) return null;
      const body = { channel: data.channel, table: "", items: lines.map(([item_id, quantity]) => ({ item_id, quantity })), total_minor: this.total, note: cart.note, ...more };
      const made = keep("order", cart.order_id, body, body.check_id || cart.order_id);
      this.clear();
      return made;
    });
  }
}
