// Taking a payment. The attempt has its id and is kept on the device before it is sent, so that a tap, a reload or a second tab
// never makes a second one (P16).

import { readMoney, say } from "./dom.js";
import { askFor } from "./dialogs.js";
import { act } from "./outbox.js";

/** A one-time code as a wallet shows it: 18 digits. The diner's wallet makes it; a page stands in for it. */
export function walletCode() {
  const digits = [...crypto.getRandomValues(new Uint8Array(16))].map(byte => byte % 10).join("");
  return `28${digits}`;
}

export const cardToken = () => `tok-${[...crypto.getRandomValues(new Uint8Array(8))].map(byte => byte.toString(16).padStart(2, "0")).join("")}`;

/** A payment of this check is on its way from this device. */
export const isOnItsWay = (kept, checkId) => kept.some(made => made.kind === "act" && made.body.act === "pay" && made.body.check_id === checkId);

export const pay = (checkId, tender, amountMinor, more = {}) => act({ act: "pay", check_id: checkId, tender, amount_minor: amountMinor, ...more }, checkId);

/** What a guest would give for an amount: exactly it, and the next notes above. */
export function usualNotes(dueMinor) {
  const notes = [1000, 2000, 5000, 10000].map(note => Math.ceil(dueMinor / note) * note);
  return [...new Set([dueMinor, ...notes])].sort((one, other) => one - other).slice(0, 4);
}

/** The staff are asked how much of what is due is paid now; null when they leave it. */
export async function askAmount(dueMinor) {
  const given = await askFor(say("pay_part"), [{ name: "amount", label: say("amount"), inputmode: "decimal", value: (dueMinor / 100).toFixed(2) }]);
  const amount = given && readMoney(given.amount);
  return amount > 0 && amount <= dueMinor ? amount : null;
}
