// The kiosk: choose, pay, take the number. It forgets a guest who has left.

import { Cart } from "./cart.js";
import { whyDeclined } from "./checks.js";
import { button, byId, el, money, put, say, shortId, show, view } from "./dom.js";
import { sure } from "./dialogs.js";
import { MenuView } from "./menu.js";
import { drop, entry, isOld, kept, outbox, withdraw } from "./outbox.js";
import { cardToken, isOnItsWay, pay, walletCode } from "./paying.js";
import { often, start, tell, whyItWaits } from "./shell.js";
import { ask } from "./store.js";
import { load, remove, save } from "./device.js";
import { table, token } from "./person.js";

const LOOK_MS = 1500, IDLE_MS = 90_000, BUSY_MS = 6 * 60_000, DONE_MS = 25_000;
const cart = new Cart("kiosk");
const menu = new MenuView(cart);
let check = null, touched = Date.now(), doneAt = 0;
const current = () => load("kiosk.order", "");

function next() {
  const id = current();
  if (id && entry(id)?.state === "refused") drop(id);
  remove("kiosk.order");
  check = null;
  doneAt = 0;
  cart.clear();
  view("start");
}

async function send() {
  try {
    const made = await menu.send({ table });
    if (!made) return;
    save("kiosk.order", made.id);
    view("pay");
    showPay();
    look();
  } catch {
    tell(say("no_room"));
  }
}

async function payWith(tender, instrument) {
  if (!check || isOnItsWay(kept(), check.check_id)) return;
  try {
    await pay(check.check_id, tender, check.due_minor, { instrument });
  } catch (error) {
    tell(say("not_paid", { why: error.message }));
  }
  look();
}

function finish(atCounter) {
  const id = current();
  byId("done_number").textContent = shortId(id);
  byId("done_text").textContent = say(atCounter ? "pay_at_counter_text" : "kiosk_paid_text");
  doneAt = Date.now();
  view("done");
}

const isBeingPaid = id => isOnItsWay(kept(), id) || ["pending", "authorized"].includes(check?.payments.at(-1)?.state);

function showPay() {
  const id = current(), made = id && entry(id), place = byId("pay_choices");
  if (!made) return;
  const total = made.body.total_minor;
  byId("pay_total").textContent = money(total);
  if (made.state === "waiting") {
    put(place, [el("p", { class: "big", text: say(made.tries ? "kept_here" : "sending") }), made.tries > 2 && el("p", { text: whyItWaits(made) || say("kiosk_wait") })]);
    return;
  }
  if (made.state === "refused") {
    put(place, [el("p", { class: "big", text: say("refused") }), el("p", { text: made.why }), button(say("start_again"), next, { kind: "primary" })]);
    return;
  }
  const last = check?.payments.at(-1);
  if (!check || isBeingPaid(id)) {
    put(place, [el("p", { class: "big", text: say(check ? "paying" : "reading") })]);
    return;
  }
  put(place, [
    last?.state === "declined" && el("p", { class: "note bad", text: [say("payment_declined"), whyDeclined(last)].join(say("colon")) }),
    el("div", { class: "tiles" },
      button(say("tender_wallet_code"), () => payWith("wallet_code", walletCode()), { kind: "tile primary" }),
      button(say("tender_card"), () => payWith("card", cardToken()), { kind: "tile primary" }),
      button(say("pay_at_counter"), () => finish(true), { kind: "tile" })),
  ]);
}

async function look() {
  const id = current();
  if (!id || entry(id)?.state !== "done" || !token) return showPay();
  try {
    check = await ask(`/v1/checks/${id}`, { token });
    if (check.status === "closed" && !doneAt) finish(false);
  } catch { /* the banner says so */ }
  return showPay();
}

async function idle() {
  const quiet = Date.now() - touched;
  if (doneAt && Date.now() - doneAt > DONE_MS) return next();
  for (const made of kept()) if (isOld(made)) withdraw(made.id).catch(() => {}); // its guest has left; the store has it, or nobody
  const id = current(), isBusy = id && (entry(id)?.state === "waiting" || isBeingPaid(id));
  if (quiet > (isBusy ? BUSY_MS : IDLE_MS) && ["menu", "pay"].includes(document.body.dataset.view)) next();
  return undefined;
}

byId("begin").addEventListener("click", () => view("menu"));
byId("send").addEventListener("click", send);
byId("give_up").addEventListener("click", async () => {
  if (!cart.pieces || (await sure(say("give_up_title"), say("give_up_text"), say("give_up")))) next();
});
byId("finish").addEventListener("click", next);
for (const kind of ["pointerdown", "keydown"]) document.addEventListener(kind, () => { touched = Date.now(); });
outbox.addEventListener("change", showPay);
show(byId("no_table"), !table);
start();
if (current() && entry(current())) {
  view("pay");
  showPay();
} else {
  view(cart.pieces ? "menu" : "start");
}
often(look, LOOK_MS);
often(idle, LOOK_MS);
