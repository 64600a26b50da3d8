// What is put right on a check, on the till and on the waiter's tablet: dishes voided or on the house, discounts, refunds, closing.

import { askFor } from "./dialogs.js";
import { button, itemName, money, readMoney, say } from "./dom.js";
import { act, actsInOrder } from "./outbox.js";
import { role } from "./person.js";
import { tell } from "./shell.js";

export const isManager = role === "manager";

/** `work`, and `after` it; why it failed is told. */
export async function attempt(work, after) {
  try {
    await work();
  } catch (error) {
    tell(error.message);
  }
  after();
}

async function takeOff(check, line, after) {
  const given = await askFor(say("change_line"), [
    { name: "kind", label: say("what_to_do"), options: [["void", say("act_void")], ["comp", say("act_comp")]] },
    { name: "quantity", label: say("quantity"), type: "number", min: 1, max: line.quantity, value: 1 },
    { name: "reason", label: say("reason"), maxlength: 200 }], say("ok"), itemName(line.item_id));
  if (given) attempt(() => act({ act: given.kind, check_id: check.check_id, order_id: line.order_id, line: line.line, quantity: Number(given.quantity), reason: given.reason }), after);
}

async function discount(check, after) {
  const given = await askFor(say("act_discount"), [
    { name: "amount", label: say("amount"), inputmode: "decimal" }, { name: "reason", label: say("reason"), maxlength: 200 }]);
  if (!given) return undefined;
  const amount_minor = readMoney(given.amount);
  if (!amount_minor) return tell(say("not_an_amount"));
  return attempt(() => act({ act: "discount", check_id: check.check_id, amount_minor, reason: given.reason }), after);
}

/** What a manager does with a line of an open check. */
export function lineButtons(check, after) {
  return line => (isManager && check.status === "open" && line.quantity > 0
    ? button("⋯", () => takeOff(check, line, after), { kind: "plain", focus: `line ${line.order_id} ${line.line}`, "aria-label": `${say("change_line")}: ${itemName(line.item_id)}` }) : null);
}

/** Closing a check on which nothing is due, and a manager's discount on one on which something is. */
export function checkButtons(check, after) {
  if (check.status !== "open") return [];
  const close = () => attempt(() => act({ act: "close", check_id: check.check_id }), after);
  return check.due_minor === 0 ? [button(say("act_close"), close, { focus: `act_close ${check.check_id}` })]
    : isManager ? [button(say("act_discount"), () => discount(check, after), { focus: `act_discount ${check.check_id}` })] : [];
}

export const refundedMinor = payment => payment.refunds.filter(each => each.state !== "failed").reduce((sum, each) => sum + each.amount_minor, 0);

/** What the check would still owe is given back: money back alone would leave it due for ever. */
function backFor(check, lessMinor) {
  return check.covered_minor - Math.max(0, check.total_minor - lessMinor);
}

/** Give money back of a payment. A manager says for what, and that leaves the check too; else it is due again. */
export async function refund(check, payment, after) {
  const left = payment.amount_minor - refundedMinor(payment), lines = isManager ? check.lines.filter(line => line.quantity > 0) : [];
  const options = [...lines.map((line, place) => [String(place), `${say("refund_dish", { name: itemName(line.item_id) })} · ${money(line.amount_minor)}`]),
    ...(isManager ? [["discount", say("refund_discount")]] : []), ["again", say("refund_again")]];
  const given = await askFor(say("act_refund"), [
    { name: "what", label: say("refund_what"), options },
    ...(lines.length ? [{ name: "quantity", label: say("quantity"), type: "number", min: 1, max: Math.max(...lines.map(line => line.quantity)), value: 1 }] : []),
    { name: "amount", label: say("amount"), inputmode: "decimal", value: (left / 100).toFixed(2) },
    { name: "reason", label: say("reason"), maxlength: 200 }], say("ok"), say(isManager ? "refund_text" : "refund_manager"));
  if (!given) return undefined;
  const line = lines[Number(given.what)], { reason } = given, check_id = check.check_id;
  let amount_minor = readMoney(given.amount), less = null;
  if (line) {
    const quantity = Math.min(Number(given.quantity), line.quantity);
    amount_minor = backFor(check, Math.floor((line.amount_minor * quantity) / line.quantity));
    less = { act: "comp", check_id, order_id: line.order_id, line: line.line, quantity, reason };
    if (amount_minor <= 0) return tell(say("refund_not_paid"));
  } else if (given.what === "discount") {
    less = { act: "discount", check_id, amount_minor, reason };
  }
  if (!amount_minor) return tell(say("not_an_amount"));
  if (amount_minor > left) return tell(say("refund_over", { amount: money(left) }));
  const acts = [check.status === "closed" && { act: "reopen", check_id, reason }, { act: "refund", attempt_id: payment.attempt_id, amount_minor, reason }, less];
  return attempt(() => actsInOrder(acts.filter(Boolean), check_id), after);
}

/** What was given back and stands on the check as due again. */
export const dueAgain = check => (check.status === "open" ? Math.min(check.due_minor, check.payments.reduce((sum, payment) => sum + refundedMinor(payment), 0)) : 0);
