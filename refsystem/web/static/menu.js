// The menu with its steppers, and the cart beside it: on the diner's page, the kiosk, the till and the waiter's tablet.

import { data } from "./device.js";
import { sure } from "./dialogs.js";
import { button, byId, el, itemName, money, put, say, show } from "./dom.js";
import { done, kept, outbox } from "./outbox.js";
import { token } from "./person.js";
import { often } from "./shell.js";
import { ask, askBriefly } from "./store.js";

const MENU_MS = 5000, FEW = 5, REPEAT_MS = 60000;

export class MenuView {
  constructor(cart) {
    this.cart = cart;
    this.dishes = [...document.querySelectorAll("[data-item]")];
    for (const dish of this.dishes) {
      for (const step of dish.querySelectorAll("[data-step]")) {
        step.addEventListener("click", () => cart.change(dish.dataset.item, Number(step.dataset.step)));
      }
    }
    cart.addEventListener("change", () => this.show());
    outbox.addEventListener("change", () => this.show());
    const note = byId("note");
    if (note) note.addEventListener("change", () => { cart.note = note.value; });
    const search = byId("search");
    if (search) search.addEventListener("input", () => this.find(search.value));
    this.show();
    often(() => this.refresh(), MENU_MS);
  }

  /** Prices of today, and what is sold out. */
  async refresh() {
    let menu;
    try {
      menu = await ask("/v1/menu");
    } catch {
      return;
    }
    const soldOut = new Set((menu.sold_out ?? []).map(each => each.item_id));
    for (const item of menu.items) if (data.items[item.item_id]) data.items[item.item_id].price_minor = item.price_minor;
    for (const dish of this.dishes) {
      const id = dish.dataset.item, isOut = soldOut.has(id);
      dish.classList.toggle("sold-out", isOut);
      dish.querySelector('[data-step="1"]').disabled = isOut;
      show(dish.querySelector(".gone"), isOut);
      const left = menu.portions?.[id];
      show(dish.querySelector(".left"), !isOut && left !== undefined && left <= FEW);
      dish.querySelector(".left").textContent = say("left", { n: left ?? 0 });
      dish.querySelector(".price").textContent = money(data.items[id].price_minor);
    }
    this.show();
  }

  find(text) {
    const wanted = text.trim().toLowerCase();
    for (const dish of this.dishes) show(dish, !wanted || dish.textContent.toLowerCase().includes(wanted));
    for (const section of document.querySelectorAll(".menu section")) show(section, Boolean(section.querySelector("[data-item]:not([hidden])")));
  }

  show() {
    const { cart } = this, lines = cart.lines;
    for (const dish of this.dishes) {
      const count = cart.count(dish.dataset.item);
      dish.classList.toggle("chosen", count > 0);
      dish.querySelector("output").textContent = String(count);
      dish.querySelector('[data-step="-1"]').disabled = count === 0;
    }
    put(byId("cart_lines"), lines.map(([id, quantity]) => this.line(id, quantity)));
    show(byId("cart_empty"), lines.length === 0);
    const note = byId("note");
    if (note && document.activeElement !== note) note.value = cart.now.note;
    for (const place of document.querySelectorAll("[data-total]")) place.textContent = money(cart.total);
    for (const place of document.querySelectorAll("[data-pieces]")) {
      place.textContent = String(cart.pieces);
      place.classList.toggle("none", cart.pieces === 0);
    }
    for (const send of document.querySelectorAll("[data-needs-cart]")) send.disabled = lines.length === 0;
  }

  line(id, quantity) {
    const name = itemName(id);
    const isGone = this.dishes.some(dish => dish.dataset.item === id && dish.classList.contains("sold-out"));
    return el("li", {},
      el("div", { class: "cart-name" }, el("span", { text: name }), isGone && el("small", { class: "gone", text: say("sold_out") })),
      el("div", { class: "stepper" },
        button("−", () => this.cart.change(id, -1), { focus: `less ${id}`, "aria-label": say("less", { name }) }),
        el("output", { text: String(quantity) }),
        button("+", () => this.cart.change(id, 1), { focus: `more ${id}`, "aria-label": say("more", { name }) })),
      el("b", { class: "amount", text: money((data.items[id]?.price_minor ?? 0) * quantity) }));
  }

  /** Keep the cart and send it; asks first when something about it is odd. What was kept, or null. */
  async send(more) {
    if (this.asking) return null; // a second tap
    this.asking = true;
    const { cart } = this.cart; // `more` is about this one, whatever is chosen while the question is asked
    try {
      const questions = await this.questions(cart, more?.table);
      if (questions.length && !(await sure(say("question_title"), questions.join("\n"), say("send_anyway")))) return null;
      return await cart.submit(more);
    } finally {
      this.asking = false;
    }
  }

  /** What is odd: the same was sent from here a moment ago, or what the store asks. A silent store asks nothing. */
  async questions(cart, table = "") {
    const items = cart.lines.map(([item_id, quantity]) => ({ item_id, quantity })), same = JSON.stringify(items);
    if (!items.length) return [];
    const isRepeat = [...kept(), ...done()].some(made => made.kind === "order" && Date.now() - made.made_ms < REPEAT_MS && JSON.stringify(made.body.items) === same);
    const found = isRepeat ? [say("repeat_text")] : [];
    try {
      const asked = (await askBriefly("/v1/questions", { method: "POST", token, body: { items, table } })).questions;
      const own = asked.some(each => each.kind === "repeat") ? [] : found; // the store knows it too, and when it was
      return [...own, ...asked.map(each => (data.lang === "en" ? each.text : each.text_zh))];
    } catch {
      return found;
    }
  }
}
