// The diner's page at a table: order, see what became of it, pay.

import { Cart } from "./cart.js";
import { checkCard, chooseCheck } from "./checks.js";
import { button, byId, el, hour, itemName, money, put, say, show, shortId, view } from "./dom.js";
import { sure } from "./dialogs.js";
import { MenuView } from "./menu.js";
import { done, kept, outbox } from "./outbox.js";
import { cardToken, isOnItsWay, pay, walletCode } from "./paying.js";
import { often, showBanner, start, tell } from "./shell.js";
import { ask } from "./store.js";
import { load, save } from "./device.js";
import { table, token } from "./person.js";

const TABLE_MS = 2500, MINE_MS = 12 * 3600 * 1000;
const cart = new Cart(`table.${table}`);
const known = `checks.${table}`;
let checks = load(known, []);
const served = new Set();

function takeBack(made) {
  cart.takeBack(made);
  view("order");
}

const mine = () => done().filter(made => made.kind === "order" && made.body.table === table && Date.now() - made.made_ms < MINE_MS).reverse();
/** The check that the last order from this phone stands on. */
function ownCheck() {
  const last = mine()[0]?.id;
  return checks.find(check => check.lines.some(line => line.order_id === last))?.check_id ?? "";
}

function orderCard(made) {
  const isServed = served.has(made.id) || made.answer.status === "served";
  return el("li", { class: "card" },
    el("header", {}, el("h3", { text: say("order_number", { id: shortId(made.id) }) }),
      el("span", { class: `tag ${isServed ? "good" : "busy"}`, text: say(isServed ? "served" : "in_kitchen") })),
    el("p", { text: made.body.items.map(line => `${line.quantity} × ${itemName(line.item_id)}`).join(say("comma")) }),
    made.body.note && el("p", { class: "quiet", text: made.body.note }),
    el("p", { class: "quiet", text: `${hour(made.made_ms)} · ${money(made.answer.total_minor)}` }));
}

function payButtons(check) {
  if (check.status !== "open" || check.due_minor === 0) return [];
  const busy = isOnItsWay(kept(), check.check_id) || check.payments.some(payment => payment.state === "pending" || payment.state === "authorized");
  if (busy) return [el("p", { class: "quiet", text: say("paying") })];
  const amount = money(check.due_minor);
  return [
    button(say("pay_wallet", { amount }), () => payWith(check, "wallet_code", walletCode()), { kind: "primary", focus: `wallet ${check.check_id}` }),
    button(say("pay_card", { amount }), () => payWith(check, "card", cardToken()), { focus: `card ${check.check_id}` }),
  ];
}

async function payWith(check, tender, instrument) {
  if (isOnItsWay(kept(), check.check_id)) return;
  const amount = money(check.due_minor);
  if (!(await sure(say("pay_title"), say("pay_sure", { amount }), say("pay_yes", { amount })))) return;
  try {
    await pay(check.check_id, tender, check.due_minor, { instrument });
  } catch (error) {
    tell(say("not_paid", { why: error.message }));
  }
  refresh();
}

function showTable() {
  const orders = mine();
  put(byId("orders"), orders.map(orderCard));
  put(byId("checks"), checks.map(check => checkCard(check, { check: payButtons })));
  show(byId("no_orders"), !orders.length && !checks.length && !kept().length);
  const due = checks.reduce((sum, check) => sum + check.due_minor, 0);
  byId("table_due").textContent = due ? money(due) : "";
}

async function refresh() {
  if (!token) return;
  try {
    const found = (await ask(`/v1/tables/${encodeURIComponent(table)}/checks`, { token })).checks;
    await lastSeen(found);
    checks = found;
    save(known, checks);
    await readServed();
  } catch {
    // the banner says so; what was read last stays
  }
  showTable();
}

/** A check that left the table was closed: it is shown as it is now, once. */
async function lastSeen(found) {
  const gone = checks.filter(check => check.status !== "closed" && !found.some(each => each.check_id === check.check_id));
  for (const { check_id: id } of gone) {
    try {
      const now = await ask(`/v1/checks/${id}`, { token });
      if (now.status === "closed") found.push(now);
    } catch { /* it moved to another table */ }
  }
  const shown = checks.filter(check => check.status === "closed" && !found.some(each => each.check_id === check.check_id));
  if (!found.some(check => check.status === "open")) found.push(...shown.slice(-1));
}

async function readServed() {
  for (const made of mine().filter(each => !served.has(each.id)).slice(0, 5)) {
    const now = await ask(`/v1/orders/${made.id}`);
    if (now.status === "served") served.add(made.id);
  }
}

async function send() {
  try {
    const checkId = await chooseCheck(checks, { likely: ownCheck() });
    if (checkId === null) return;
    const made = await menu.send({ table, ...(checkId ? { check_id: checkId } : {}) });
    if (!made) return;
    view("table");
    tell(say("kept_and_sent"));
  } catch {
    tell(say("no_room"));
  }
  showTable();
}

const menu = new MenuView(cart);
show(byId("no_table"), !table);
byId("send").addEventListener("click", send);
outbox.addEventListener("change", showTable);
start(takeBack);
showTable();
showBanner();
often(refresh, TABLE_MS);
