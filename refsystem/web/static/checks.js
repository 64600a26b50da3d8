// A check as a person reads it: its lines, what is taken off, what is paid, what is due.

import { data } from "./device.js";
import { askFor } from "./dialogs.js";
import { dateTime, el, itemName, money, say, shortId } from "./dom.js";

const isStaffPage = !["order", "kiosk"].includes(data.page);
const PAID = ["captured", "stored", "expiring", "bad_debt", "charged_back"];

function lineRow(line, actions, withNotes = true) {
  const notes = !withNotes ? [] : [line.voided && say("voided", { n: line.voided }), line.comped && say("comped", { n: line.comped })].filter(Boolean);
  return el("li", {},
    el("span", { class: "count", text: `${line.quantity} ×` }),
    el("span", { class: "grow" }, itemName(line.item_id), notes.length > 0 && el("small", { text: ` ${notes.join(say("comma"))}` })),
    el("span", { class: "amount", text: money(line.amount_minor) }),
    actions.line?.(line));
}

/** Why a payment was declined, in words; what whoever settles it said where there are none. */
export function whyDeclined(payment) {
  const key = `decline_${payment.detail}`, said = say(key);
  return said === key ? say("decline_other", { why: payment.detail ?? "" }) : said;
}

function paymentRow(payment, actions) {
  const kind = PAID.includes(payment.state) ? "good" : ["declined", "reversed"].includes(payment.state) ? "bad" : "busy";
  return el("li", {},
    el("span", { class: "grow" }, say(`tender_${payment.tender}`), " ", el("span", { class: `tag ${kind}`, text: say(`payment_${payment.state}`) })),
    el("span", { class: "amount", text: money(payment.amount_minor) }),
    payment.state === "declined" && el("small", { class: "whole", text: whyDeclined(payment) }),
    isStaffPage && payment.attention && el("small", { class: "whole strong", text: data.lang === "en" ? payment.attention.text : payment.attention.text_zh }),
    payment.refunds.map(refund => el("small", { class: "whole", text: say(`refund_${refund.state}`, { amount: money(refund.amount_minor) }) })),
    actions.payment?.(payment));
}

const sum = (label, minor, kind = "") => el("div", { class: `sum ${kind}` }, el("span", { text: label }), el("b", { text: money(minor) }));

/** A card of `check`. `actions`: `line(line)`, `payment(payment)` and `check(check)` give the elements of what can be done. */
export function checkCard(check, actions = {}) {
  const paid = check.payments.filter(payment => PAID.includes(payment.state)).reduce((all, payment) => all + payment.amount_minor, 0);
  return el("article", { class: `card check ${check.status}`, "data-check": check.check_id },
    el("header", {},
      el("h3", { text: nameOf(check) }),
      el("span", { class: `tag ${check.status === "closed" ? "good" : check.status === "closing" ? "busy" : ""}`, text: say(`check_${check.status}`) })),
    el("ul", { class: "lines" }, check.lines.map(line => lineRow(line, actions))),
    check.shares_minor !== 0 && sum(say("shares"), check.shares_minor),
    check.discounts.map(discount => sum(`${say("discount")} · ${discount.reason}`, -discount.amount_minor)),
    sum(say("total"), check.total_minor, "large"),
    check.payments.length > 0 && el("ul", { class: "lines payments" }, check.payments.map(payment => paymentRow(payment, actions))),
    paid > 0 && check.due_minor > 0 && sum(say("due"), check.due_minor, "large"),
    el("div", { class: "buttons" }, actions.check?.(check) ?? []));
}

const nameOf = check => (check.table ? say("check_at", { id: shortId(check.check_id), table: check.table }) : say("check", { id: shortId(check.check_id) }));

/**
 * Which of a table's `checks` dishes go on: the id of an open one, "" for a check of its own, null when nobody says.
 * `chosen` was tapped already; of several a person is asked, `likely` first.
 */
export async function chooseCheck(checks, { chosen = "", likely = "" } = {}) {
  const open = checks.filter(check => check.status === "open"), ids = open.map(check => check.check_id);
  if (ids.includes(chosen)) return chosen;
  if (!open.length || (open.length === 1 && !chosen)) return ids[0] ?? "";
  const options = [...open.map(check => [check.check_id, `${nameOf(check)} · ${money(check.total_minor)}`]), ["", say("new_check")]];
  const given = await askFor(say("which_check"), [{ name: "check", label: say("which_check_label"), options, value: likely || ids[0] }], say("send_order"));
  return given ? given.check : null;
}

/** The receipt of a check, for a person and for paper. */
export function receipt(check, store) {
  return el("article", { class: "receipt" },
    el("h3", { text: store }),
    el("p", { class: "number", text: say("number", { id: shortId(check.check_id) }) }),
    el("p", { text: [check.table && say("table", { table: check.table }), dateTime(Date.now())].filter(Boolean).join(" · ") }),
    el("ul", { class: "lines" }, check.lines.filter(line => line.quantity > 0).map(line => lineRow(line, {}, false))),
    check.discount_minor > 0 && sum(say("discount"), -check.discount_minor),
    sum(say("total"), check.total_minor, "large"),
    el("ul", { class: "lines payments" }, check.payments.filter(payment => PAID.includes(payment.state)).map(payment => paymentRow(payment, {}))));
}
