// The waiter's tablet: tables, their checks, and what is done with them.

import { Cart } from "./cart.js";
import { checkCard, chooseCheck } from "./checks.js";
import { attempt as tried, checkButtons as corrections, lineButtons } from "./correcting.js";
import { button, byId, el, itemName, money, put, readMoney, say, shortId, view } from "./dom.js";
import { askFor } from "./dialogs.js";
import { MenuView } from "./menu.js";
import { act, kept, outbox } from "./outbox.js";
import { isOnItsWay, pay } from "./paying.js";
import { needsPerson, often, start, tell } from "./shell.js";
import { ask } from "./store.js";
import { data, load, save } from "./device.js";
import { token } from "./person.js";

const CHECKS_MS = 2000, WAYS_MAX = 20, ORDERS_MAX = 10;
let menu = null, checks = load("waiter.checks", []), read = false;
let chosen = load("waiter.table", ""), adding = ""; // `adding`: the check of that table whose Add was tapped
let carts = new Map();

const at = table => checks.filter(check => check.table === table);
const tables = () => [...new Set([...data.tables, ...checks.map(check => check.table).filter(Boolean)])];

function cartOf(table) {
  if (!carts.has(table)) {
    const made = new Cart(`waiter.${table}`);
    made.addEventListener("change", () => { if (table === chosen) chosenCart.dispatchEvent(new Event("change")); });
    carts.set(table, made);
  }
  return carts.get(table);
}

function tableTile(table) {
  const there = at(table), due = there.reduce((sum, check) => sum + check.due_minor, 0);
  const waiting = kept().some(made => made.kind === "order" && made.body.table === table);
  const state = waiting ? "waiting" : !there.length ? "free" : there.some(check => check.status === "closing") ? "closing" : "taken";
  return el("li", {}, el("button", { type: "button", class: `table ${state}`, "data-focus": `table ${table}`, on: { click: () => choose(table) } },
    el("span", { class: "big", text: table }), el("span", { text: say(`table_${state}`) }), due > 0 && el("b", { text: money(due) })));
}

function choose(table) {
  if (table !== chosen) adding = "";
  chosen = table;
  save("waiter.table", table);
  view("table");
  menu?.show();
  showAll();
}

const attempt = work => tried(work, refresh);

async function transfer(check) {
  const options = tables().filter(table => table !== check.table).map(table => [table, say("table", { table })]);
  const given = await askFor(say("act_transfer"), [{ name: "table", label: say("to_table"), options }]);
  if (given) attempt(() => act({ act: "transfer", check_id: check.check_id, table: given.table }));
}

async function merge(check) {
  const options = checks.filter(other => other.check_id !== check.check_id && other.status === "open")
    .map(other => [other.check_id, `${say("check_at", { id: shortId(other.check_id), table: other.table })} · ${money(other.total_minor)}`]);
  if (!options.length) return tell(say("nothing_to_merge"));
  const given = await askFor(say("act_merge"), [{ name: "other", label: say("other_check"), options }]);
  if (given) attempt(() => act({ act: "merge", check_id: check.check_id, other_check_id: given.other }));
  return undefined;
}

async function splitEvenly(check) {
  const given = await askFor(say("split_evenly"), [{ name: "ways", label: say("ways"), type: "number", min: 2, max: WAYS_MAX, value: 2 }]);
  if (given) attempt(() => act({ act: "split", check_id: check.check_id, ways: Number(given.ways) }));
}

async function splitLines(check) {
  const lines = check.lines.filter(line => line.quantity > 0);
  const fields = lines.map((line, place) => ({ name: `line${place}`, label: `${itemName(line.item_id)} (${line.quantity})`, type: "number", min: 0, max: line.quantity, value: 0 }));
  const given = await askFor(say("split_lines"), fields, say("ok"), say("split_lines_text"));
  if (!given) return;
  const taken = lines.map((line, place) => ({ order_id: line.order_id, line: line.line, quantity: Number(given[`line${place}`]) })).filter(each => each.quantity > 0);
  if (taken.length) attempt(() => act({ act: "split", check_id: check.check_id, lines: taken }));
}

/** Courses that the kitchen holds back: one of them is fired now. */
async function fire(check) {
  const orders = [...new Set(check.lines.filter(line => line.quantity > 0).map(line => line.order_id))].slice(-ORDERS_MAX);
  const held = [];
  try {
    for (const id of orders) for (const { course } of (await ask(`/v1/kitchen/orders/${id}`, { token })).held) held.push([`${id} ${course}`, say("course_of", { n: course, id: shortId(id) })]);
  } catch (error) {
    return tell(say("not_done", { why: error.message }));
  }
  if (!held.length) return tell(say("nothing_held"));
  const given = await askFor(say("act_fire"), [{ name: "held", label: say("course"), options: held }]);
  if (!given) return undefined;
  const [order_id, course] = given.held.split(" ");
  return attempt(() => act({ act: "fire", order_id, course: Number(course) }, check.check_id));
}

async function takeCash(check) {
  const given = await askFor(say("tender_cash"), [{ name: "given", label: say("given"), inputmode: "decimal", value: (check.due_minor / 100).toFixed(2) }], say("take_payment"), say("due_is", { amount: money(check.due_minor) }));
  if (!given || isOnItsWay(kept(), check.check_id)) return;
  attempt(async () => {
    const answer = await pay(check.check_id, "cash", check.due_minor, { given_minor: readMoney(given.given) });
    tell(say("change", { amount: money(answer.result.change_minor) }));
  });
}

async function takeCode(check) {
  const given = await askFor(say("tender_wallet_code"), [{ name: "code", label: say("code") }], say("take_payment"), say("due_is", { amount: money(check.due_minor) }));
  if (given && !isOnItsWay(kept(), check.check_id)) attempt(() => pay(check.check_id, "wallet_code", check.due_minor, { instrument: given.code }));
}

function checkButtons(check) {
  const id = check.check_id, make = (key, work, kind = "") => button(say(key), () => work(check), { focus: `${key} ${id}`, kind });
  if (check.status !== "open") return [];
  const paying = check.due_minor > 0 ? [make("tender_cash", takeCash, "primary"), make("tender_wallet_code", takeCode, "primary")] : [];
  return [button(say("add_on"), () => addTo(id), { focus: `add ${id}` }), ...paying, make("act_fire", fire), make("act_transfer", transfer), make("act_merge", merge),
    make("split_evenly", splitEvenly), make("split_lines", splitLines), ...corrections(check, refresh)];
}

/** What is chosen next goes on this check, whatever else stands at the table. */
function addTo(checkId) {
  adding = checkId;
  view("menu");
  menu.show();
  showAll();
}

function showAll() {
  put(byId("tables"), tables().map(tableTile));
  if (!chosen) return;
  for (const place of document.querySelectorAll("[data-table]")) place.textContent = say("table", { table: chosen });
  byId("adding_to").textContent = adding ? say("check_at", { id: shortId(adding), table: chosen }) : say("table", { table: chosen });
  const there = at(chosen);
  put(byId("checks"), there.length ? there.map(check => checkCard(check, { check: checkButtons, line: lineButtons(check, refresh) }))
    : [el("p", { class: "quiet", text: say(read ? "table_has_none" : "reading") }), button(say("new_order"), () => addTo(""), { kind: "primary" })]);
}

async function refresh() {
  try {
    ({ checks } = await ask("/v1/checks", { token }));
    read = true;
    save("waiter.checks", checks);
  } catch { /* the banner says so; what was read last stays */ }
  showAll();
}

async function send() {
  const table = chosen;
  try {
    const checkId = await chooseCheck(at(table), { chosen: adding });
    if (checkId === null || table !== chosen) return;
    const made = await menu.send({ table, ...(checkId ? { check_id: checkId } : {}) });
    if (made && table === chosen) {
      adding = "";
      view("table");
    }
  } catch {
    tell(say("no_room"));
  }
  showAll();
}

/** The cart of whichever table is chosen, as one. What is sent is the cart of the table that was chosen at the tap (`cart`). */
class ChosenCart extends EventTarget {
  get cart() { return cartOf(chosen); }
  get now() { return this.cart.now; }
  get lines() { return this.cart.lines; }
  get pieces() { return this.cart.pieces; }
  get total() { return this.cart.total; }
  count(item) { return this.cart.count(item); }
  change(item, by) { this.cart.change(item, by); }
  set note(text) { this.cart.note = text; }
}
const chosenCart = new ChosenCart();

if (needsPerson(Boolean(token))) {
  menu = new MenuView(chosenCart);
  byId("send").addEventListener("click", send);
  outbox.addEventListener("change", showAll);
  view(chosen ? "table" : "tables");
  showAll();
  often(refresh, CHECKS_MS);
}
start(made => {
  choose(made.body.table);
  cartOf(made.body.table).takeBack(made);
  view("menu");
  menu.show();
});
