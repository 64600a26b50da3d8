// The till: order, pay, print, three steps; and the checks of the tables.

import { Cart } from "./cart.js";
import { checkCard, receipt } from "./checks.js";
import { attempt, checkButtons, dueAgain, lineButtons, refund } from "./correcting.js";
import { button, byId, el, money, put, readMoney, say, shortId, show, view } from "./dom.js";
import { askFor, sure } from "./dialogs.js";
import { MenuView } from "./menu.js";
import { act, entry, kept, outbox } from "./outbox.js";
import { askAmount, isOnItsWay, pay, usualNotes } from "./paying.js";
import { lookForRecovered } from "./recovered.js";
import { needsPerson, often, start, tell } from "./shell.js";
import { ask, askBriefly } from "./store.js";
import { data, load, remove, save } from "./device.js";
import { token } from "./person.js";

const CHECKS_MS = 2000, CLOSED_SHOWN = 8;
const cart = new Cart("cashier");
let menu = null, checks = [], closed = [], amount = null, printed = "";
let wanted = load("cashier.check", ""), rendered = null; // of this tab: another one may be at another check
const shownCheck = () => [...checks, ...closed].find(check => check.check_id === wanted) ?? null;

function want(checkId) {
  wanted = checkId;
  if (checkId) save("cashier.check", checkId);
  else remove("cashier.check");
}

function goTo(step) {
  view(step);
  for (const each of document.querySelectorAll(".steps li")) {
    if (each.dataset.step === step) each.setAttribute("aria-current", "step");
    else each.removeAttribute("aria-current");
  }
}

async function send() {
  try {
    const made = await menu.send({ table: "" });
    if (made) take(made.id);
  } catch {
    tell(say("no_room"));
  }
}

/** Take up a check: the next steps are about it. */
function take(checkId) {
  want(checkId);
  amount = null;
  printed = "";
  byId("code").value = "";
  byId("given").value = "";
  showPay();
  goTo("pay");
  refresh();
}

function next() {
  want("");
  amount = null;
  goTo("menu");
  refresh();
}

const dueNow = check => Math.min(amount ?? check.due_minor, check.due_minor);

/** Pay the check that is on the screen, which is not always the one that was asked for last. */
async function payNow(tender, more) {
  const check = rendered;
  if (!check || check.due_minor === 0 || isOnItsWay(kept(), check.check_id)) return;
  try {
    await pay(check.check_id, tender, dueNow(check), more);
    amount = null;
    byId("code").value = "";
    byId("given").value = "";
  } catch (error) {
    tell(say("not_paid", { why: error.message }));
  }
  refresh();
}

function payCash(givenMinor) {
  const check = rendered;
  if (!check) return;
  if (!(givenMinor >= dueNow(check))) return tell(say("given_too_little"));
  payNow("cash", { given_minor: givenMinor });
}

async function payByCode(tender) {
  const code = byId("code").value.trim();
  if (!code) {
    tell(say("code_missing"));
    byId("code").focus();
    return;
  }
  if (await isWorthIt(tender, code)) payNow(tender, { instrument: code });
}

/** What a voucher or balance can pay is asked first, and taken as the part that it pays. Whether to go on; a silent platform asks nothing. */
async function isWorthIt(tender, code) {
  const check = rendered;
  if (!check || !["coupon", "stored_value"].includes(tender)) return true;
  let worth = null;
  try {
    worth = await askBriefly("/v1/instruments", { method: "POST", body: { tender, instrument: code }, token });
  } catch {
    return true;
  }
  if (rendered?.check_id !== check.check_id) return false;
  const kind = tender === "coupon" ? "voucher" : "member", due = dueNow(check);
  if (!worth.known || worth.used || worth.value_minor === 0) {
    tell(say(`decline_${!worth.known ? `${kind}-unknown` : worth.used ? "voucher-used" : "insufficient-value"}`));
    return false;
  }
  if (worth.value_minor < due) amount = worth.value_minor;
  if (tender === "coupon" && worth.value_minor > due) {
    return sure(say("tender_coupon"), say("voucher_rest", { amount: money(worth.value_minor), due: money(due), rest: money(worth.value_minor - due) }), say("pay_yes", { amount: money(due) }));
  }
  return true;
}

async function withReason(title, body) {
  const given = await askFor(title, [{ name: "reason", label: say("reason"), maxlength: 200 }]);
  if (given) attempt(() => act({ ...body, reason: given.reason }), refresh);
}

function paymentButtons(check, payment) {
  const id = payment.attempt_id, buttons = [];
  if (payment.state === "unverified") buttons.push(button(say("act_accept_payment"), () => withReason(say("act_accept_payment"), { act: "accept_payment", attempt_id: id }), { focus: `accept ${id}` }));
  if (["unverified", "pending", "authorized", "stored"].includes(payment.state)) buttons.push(button(say("act_cancel_payment"), () => withReason(say("act_cancel_payment"), { act: "cancel_payment", attempt_id: id }), { focus: `cancel ${id}` }));
  if (payment.state === "captured") buttons.push(button(say("act_refund"), () => refund(check, payment, refresh), { focus: `refund ${id}`, kind: "plain" }));
  return buttons.length ? el("div", { class: "buttons whole" }, buttons) : null;
}

function showPay() {
  const check = shownCheck(), made = entry(wanted);
  rendered = check;
  const busy = check && (isOnItsWay(kept(), check.check_id) || check.payments.some(each => ["pending", "authorized", "reversing"].includes(each.state)));
  const due = check ? dueNow(check) : made?.body?.total_minor ?? 0;
  byId("pay_due").textContent = money(due);
  let state = "";
  if (!check) state = made?.state === "waiting" ? say(made.tries ? "kept_here" : "sending") : made?.state === "refused" ? `${say("refused")} ${made.why}` : "";
  else if (busy) state = say("paying");
  else if (dueAgain(check)) state = say("due_after_refund", { amount: money(dueAgain(check)) });
  byId("pay_state").textContent = state;
  put(byId("pay_check"), check ? [checkCard(check, { payment: payment => paymentButtons(check, payment), line: lineButtons(check, refresh), check: open => checkButtons(open, refresh) })] : []);
  put(byId("cash_notes"), check ? usualNotes(due).map(note => button(note === due ? say("exactly", { amount: money(note) }) : money(note), () => payCash(note), { focus: `note ${note} ${check.check_id}` })) : []);
  for (const each of document.querySelectorAll("#tenders button, #tenders input")) each.disabled = !check || check.due_minor === 0 || busy === true;
  if (check?.status === "closed" && document.body.dataset.view === "pay" && printed !== check.check_id) print(check);
}

function print(check) {
  printed = check.check_id;
  const cash = check.payments.filter(payment => payment.tender === "cash");
  const given = cash.map(payment => entry(payment.attempt_id)).find(made => made?.answer?.result?.change_minor > 0);
  byId("change").textContent = given ? say("change", { amount: money(given.answer.result.change_minor) }) : say("no_change");
  put(byId("receipt"), [receipt(check, data.store)]);
  goTo("print");
}

function showChecks() {
  const rows = (list, isClosed) => list.map(check => {
    const where = check.table ? say("table", { table: check.table }) : say("number", { id: shortId(check.check_id) });
    const row = el("button", { type: "button", class: "row", "data-focus": `check ${check.check_id}`, on: { click: () => {
      if (!isClosed) return take(check.check_id);
      want(check.check_id);
      return print(check);
    } } }, el("span", { class: "grow", text: where }), el("span", { class: "amount", text: money(isClosed ? check.total_minor : check.due_minor) }));
    return el("li", {}, row);
  });
  put(byId("open_checks"), checks.length ? rows(checks, false) : [el("li", { class: "quiet", text: say("none_open") })]);
  put(byId("closed_checks"), rows(closed, true));
  show(byId("closed_title"), closed.length > 0);
}

async function refresh() {
  try {
    const found = await ask(`/v1/checks?closed=${CLOSED_SHOWN}`, { token });
    ({ checks, closed } = found);
    const missing = wanted && !shownCheck() && entry(wanted)?.state !== "waiting" ? wanted : "";
    if (missing) closed = [...closed, await ask(`/v1/checks/${missing}`, { token })];
  } catch { /* the banner says so */ }
  showChecks();
  showPay();
}

if (needsPerson(Boolean(token))) {
  menu = new MenuView(cart);
  byId("send").addEventListener("click", send);
  byId("cash_form").addEventListener("submit", event => { event.preventDefault(); payCash(readMoney(byId("given").value)); });
  byId("code_form").addEventListener("submit", event => { event.preventDefault(); payByCode("wallet_code"); });
  for (const each of document.querySelectorAll("[data-tender]")) each.addEventListener("click", () => payByCode(each.dataset.tender));
  byId("part").addEventListener("click", async () => {
    const check = rendered, part = check && (await askAmount(check.due_minor));
    if (part && rendered?.check_id === check.check_id) amount = part;
    showPay();
  });
  byId("back").addEventListener("click", next);
  byId("next").addEventListener("click", next);
  byId("reprint").addEventListener("click", () => window.print());
  byId("to_payments").addEventListener("click", () => { showPay(); goTo("pay"); });
  outbox.addEventListener("change", showPay);
  lookForRecovered();
  goTo(wanted ? "pay" : "menu");
  often(refresh, CHECKS_MS);
}
start(made => { cart.takeBack(made); next(); });
