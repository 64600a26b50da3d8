// What the front of the house is told without asking: tickets that wait too long, checks that are served, stock that ends.

import { data } from "./device.js";
import { el, itemName, say } from "./dom.js";
import { ask } from "./store.js";
import { token } from "./person.js";

const NAMED_MAX = 4;
const NOTHING = { late: [], served: [], stock: { out: [], critical: [], low: [], expiring: [], expired: [] } };
let alerts = NOTHING;

/** Fired when something changed. */
export const front = new EventTarget();

/** Ask the store; what was told last stays when it does not answer. Raises nothing. */
export async function readAlerts() {
  let told;
  try {
    told = await ask("/v1/alerts", { token });
  } catch (error) {
    if (error.status === 404) alerts = NOTHING; // a store that does not say
    return;
  }
  const isNew = JSON.stringify(told) !== JSON.stringify(alerts);
  alerts = told;
  if (isNew) front.dispatchEvent(new Event("change"));
}

function listed(names) {
  const more = names.length - NAMED_MAX;
  const shown = names.slice(0, NAMED_MAX).join(say("comma"));
  return more > 0 ? say("and_more", { names: shown, n: more }) : shown;
}

const ingredient = id => data.ingredients[id]?.name ?? id;
const placeOf = ticket => (ticket.table ? say("table", { table: ticket.table }) : say(`channel_${ticket.channel}`));

/** What the banner says of it, as [kind, text]. */
export function alertNotices() {
  const said = [], { late, stock } = alerts;
  if (late.length && data.page !== "stock") {
    const tickets = late.map(ticket => say("late_ticket", {
      place: placeOf(ticket), items: ticket.items.map(([id, quantity]) => `${quantity} × ${itemName(id)}`).join(say("comma")) }));
    said.push(["bad", say("kitchen_late", { tickets: listed(tickets) })]);
  }
  // What is to be used first is the work of whoever keeps the stock: a banner that stands all day is read by nobody.
  for (const [key, kind] of [["out", "warn"], ["critical", "warn"], ["low", "warn"], ["expired", "bad"], ["expiring", "warn"]]) {
    if (stock[key].length && (key !== "expiring" || data.page === "stock")) said.push([kind, say(`stock_${key}`, { names: listed(stock[key].map(ingredient)) })]);
  }
  return said;
}

/** The marks of a table's tile: that a ticket of it waits too long, or that all that was ordered is made. */
export function tileMarks(table, checks) {
  const isLate = alerts.late.some(ticket => ticket.table === table);
  const isServed = checks.length > 0 && checks.every(check => alerts.served.includes(check.check_id));
  return [isLate && el("span", { class: "tag bad", text: say("tile_late") }), isServed && el("span", { class: "tag good", text: say("tile_served") })];
}
