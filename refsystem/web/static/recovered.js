// What the store's log does not have although a device once took it (P12, P19): a manager is told, enters an order again, gives money back.

import { data, load, save } from "./device.js";
import { sure } from "./dialogs.js";
import { button, byId, el, itemName, money, put, say, shortId, show } from "./dom.js";
import { keep, kept, outbox } from "./outbox.js";
import { role, token } from "./person.js";
import { often, tell } from "./shell.js";
import { askEach } from "./store.js";

const LOOK_MS = 15000, SEEN = "recovered.seen", SEEN_MAX = 500;
let found = [];

const nameOf = (device, entry) => `${device.node_id} ${entry.order_id ?? entry.attempt_id}`;
const isShown = (device, entry) => !load(SEEN, []).includes(nameOf(device, entry)) && !kept().some(made => made.id === entry.order_id);

function hide(name) {
  try {
    save(SEEN, [...load(SEEN, []), name].slice(-SEEN_MAX));
  } catch {
    tell(say("no_room"));
  }
  showFound();
}

/** It keeps its id, so that it can never become two; it comes by this page's channel, for a guest's token is not here. */
async function enterAgain(order) {
  if (!(await sure(say("recovered_again"), say("recovered_again_text"), say("recovered_again")))) return;
  const { order_id: id, table, items, total_minor, note } = order;
  try {
    keep("order", id, { channel: data.channel, table, items, total_minor, note }, id);
  } catch {
    tell(say("no_room"));
  }
  showFound();
}

const hideButton = name => button(say("recovered_settled"), () => hide(name), { focus: `hide ${name}`, kind: "plain" });

function orderCard(device, order) {
  const where = order.table ? say("table", { table: order.table }) : say(`channel_${order.channel}`), name = nameOf(device, order);
  return el("li", { class: "card bad" },
    el("p", { class: "strong", text: `${say("order_number", { id: shortId(order.order_id) })} · ${where} · ${money(order.total_minor)}` }),
    el("p", { text: order.items.map(line => `${line.quantity} × ${itemName(line.item_id)}`).join(say("comma")) }),
    order.note && el("p", { class: "quiet", text: order.note }),
    el("p", { text: say(order.given_up ? "recovered_given_up" : "recovered_unconfirmed") }),
    el("div", { class: "buttons" }, button(say("recovered_again"), () => enterAgain(order), { focus: `again ${name}` }), hideButton(name)));
}

function paymentCard(device, payment) {
  return el("li", { class: "card bad" },
    el("p", { class: "strong", text: [say("act_pay"), say(`tender_${payment.tender}`), money(payment.amount_minor)].join(" · ") }),
    payment.check_id && el("p", { text: say("check", { id: shortId(payment.check_id) }) }),
    el("p", { text: say("recovered_payment") }),
    el("div", { class: "buttons" }, hideButton(nameOf(device, payment))));
}

function showFound() {
  const cards = found.flatMap(device => [
    ...device.orders.filter(order => isShown(device, order)).map(order => orderCard(device, order)),
    ...(device.payments ?? []).filter(payment => isShown(device, payment)).map(payment => paymentCard(device, payment))]);
  put(byId("recovered_list"), cards);
  show(byId("recovered"), cards.length > 0);
}

/** Look for it, on a manager's page. */
export function lookForRecovered() {
  if (role !== "manager") return;
  outbox.addEventListener("change", showFound);
  often(async () => {
    found = await askEach("/v1/recovered", { token });
    showFound();
  }, LOOK_MS);
}
