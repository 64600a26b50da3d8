// An order while it is typed. It has its id from the first item on, is kept on the device, and is the same in every tab of this page.

import { alone, data, load, newId, onOtherTab, save } from "./device.js";
import { entry, keep } from "./outbox.js";

const fresh = () => ({ order_id: newId(), items: {}, note: "" });

export class Cart extends EventTarget {
  constructor(scope) {
    super();
    this.name = `cart.${scope}`;
    onOtherTab(name => { if (!name || name === this.name) this.dispatchEvent(new Event("change")); });
  }

  /** The cart as it stands; one that is on its way already is empty here. */
  get now() {
    const kept = load(this.name);
    if (kept && kept.order_id && !entry(kept.order_id)) return kept;
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
    this.keep(cart);
  }

  set note(text) { this.keep({ ...this.now, note: text }); }
  clear() { this.keep(fresh()); }

  /** Put a refused order back. It keeps its id where nothing else was typed since, so that it can never become two. */
  takeBack(made) {
    const items = Object.fromEntries(made.body.items.map(line => [line.item_id, line.quantity]));
    const cart = this.now;
    if (!this.pieces) return this.keep({ order_id: made.id, items, note: made.body.note });
    for (const [id, quantity] of Object.entries(items)) cart.items[id] = (cart.items[id] ?? 0) + quantity;
    return this.keep(cart);
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
