// What every page has: the banner that says what still works, refused orders and acts, and the service worker.

import { data, isLasting } from "./device.js";
import { button, byId, el, hour, itemName, money, put, say, show, view } from "./dom.js";
import { drop, flush, hurry, isDenied, isOld, kept, mayWithdraw, outbox, sendNow, withdraw } from "./outbox.js";
import { ask, reach } from "./store.js";
import * as person from "./person.js";

const STATUS_MS = 5000, CLOUD_SILENT_MS = 15000;
const isStaffPage = !["order", "kiosk"].includes(data.page);
let reachable = true, denied = false, status = null, channels = [], silentMs = 0, message = "";

function troubles() {
  const waiting = kept().filter(made => made.state === "waiting").length;
  const said = [];
  if (!reachable) said.push(["bad", say(`offline_${data.page}`)]);
  if (!reachable && waiting) said.push(["bad", say("waiting", { n: waiting })]);
  if (denied) said.push(["bad", say("problem_token-invalid")]);
  if (!isLasting) said.push(["warn", say("not_lasting")]);
  if (reachable && isStaffPage && status) {
    if (status.members?.length < 2) said.push(["warn", say("one_device")]);
    if (silentMs > CLOUD_SILENT_MS) said.push(["warn", say("cloud_away")]);
    if (status.payments_need_a_person && data.page === "cashier") said.push(["warn", say("payments_need_you", { n: status.payments_need_a_person })]);
    if (status.printer_alarm) said.push(["warn", say("printer_alarm", { why: status.printer_alarm })]);
    const paused = channels.filter(each => each.state === "paused").map(each => say(`channel_${each.channel}`));
    if (paused.length) said.push(["warn", say("paused", { channels: paused.join(say("comma")) })]);
  }
  if (message) said.push(["info", message]);
  return said;
}

export function showBanner() {
  const said = troubles();
  put(byId("banner"), said.map(([kind, text]) => el("p", { class: `note ${kind}`, text })));
  show(byId("banner"), said.length > 0);
}

let messageTimer = 0;
/** Say something for a while. */
export function tell(text, ms = 6000) {
  message = text;
  showBanner();
  clearTimeout(messageTimer);
  messageTimer = setTimeout(() => { message = ""; showBanner(); }, ms);
}

const whatOf = made => made.kind === "order"
  ? made.body.items.map(line => `${line.quantity} × ${itemName(line.item_id)}`).join(say("comma"))
  : say(`act_${made.body.act}`) + (made.body.amount_minor ? ` ${money(made.body.amount_minor)}` : "");

async function tryToWithdraw(id) {
  try {
    tell(say((await withdraw(id)) ? "withdrawn" : "was_taken"));
  } catch {
    tell(say("not_withdrawn"));
  }
}

/** Why the store has not taken something yet, when it has answered; "" when it was only silent. */
export function whyItWaits(made) {
  const key = `waits_${made.problem}`, why = say(key, { channel: say(`channel_${made.body.channel}`) });
  return why === key ? "" : why;
}

/** What can be done with something that waits. */
function waitingCard(card, made) {
  const why = whyItWaits(made);
  if (why) card.append(el("p", { text: why }));
  if (isDenied(made)) card.append(el("p", { text: say("waits_for_sign_in", { who: made.who }) }));
  if (isOld(made)) card.append(el("p", { text: say("is_old", { time: hour(made.made_ms) }) }), button(say("send_now"), () => sendNow(made.id), { focus: `send ${made.id}` }));
  if (mayWithdraw(made)) card.append(button(say("withdraw"), () => tryToWithdraw(made.id), { focus: `withdraw ${made.id}`, kind: "plain" }));
}

/** Cards of what is on its way and of what was refused. */
export function outboxCards(takeBack) {
  return kept().map(made => {
    const isRefused = made.state === "refused";
    const card = el("li", { class: `card ${isRefused ? "bad" : "waiting"}` },
      el("p", { class: "strong", text: isRefused ? say("refused") : say(made.tries ? "kept_here" : "sending") }),
      el("p", { text: whatOf(made) }));
    if (!isRefused) waitingCard(card, made);
    if (isRefused) {
      card.append(el("p", { class: "quiet", text: say(`problem_${made.problem}`) === `problem_${made.problem}` ? made.why : say(`problem_${made.problem}`) }));
      if (made.kind === "order" && takeBack) {
        card.append(button(say("take_back"), () => { takeBack(made); drop(made.id); }, { focus: `back ${made.id}` }));
      }
      card.append(button(say("forget"), () => drop(made.id), { focus: `forget ${made.id}`, kind: "plain" }));
    }
    return card;
  });
}

export function showOutbox(takeBack) {
  const place = byId("outbox");
  if (!place) return;
  const cards = outboxCards(takeBack);
  put(place, cards);
  show(place, cards.length > 0);
}

/** Call `work` now and every so often while the page is seen; never twice at once. */
export function often(work, ms) {
  let running = false;
  async function turn() {
    if (running || document.hidden) return;
    running = true;
    try {
      await work();
    } finally {
      running = false;
    }
  }
  setInterval(turn, ms);
  document.addEventListener("visibilitychange", turn);
  turn();
  return turn;
}

async function readStatus() {
  try {
    status = await ask("/v1/status");
  } catch {
    return;
  }
  try {
    ({ channels, silent_ms: silentMs } = await ask("/v1/channels"));
  } catch {
    [channels, silentMs] = [[], 0]; // a store that says nothing of its channels
  }
  showBanner();
}

/** Start what every page has. `takeBack` takes a refused order into the cart again. */
export function start(takeBack = null) {
  for (const each of document.querySelectorAll("[data-to]")) each.addEventListener("click", () => view(each.dataset.to));
  if (!isLasting && person.token) for (const link of document.querySelectorAll(".languages a")) link.hash = person.token;
  for (const kind of ["error", "unhandledrejection"]) {
    window.addEventListener(kind, event => {
      const error = event.error ?? event.reason;
      if (error?.name === "QuotaExceededError") tell(say("no_room"));
      if (error?.name === "CartFull") tell(error.message);
    });
  }
  const who = byId("who");
  if (person.role && !person.table) {
    who.replaceChildren(el("span", { text: [person.name, say(`role_${person.role}`)].join(say("comma")) }),
      button(say("sign_out"), person.signOut, { kind: "plain" }));
  } else if (person.table && data.page === "order") {
    who.textContent = say("table", { table: person.table });
  }
  outbox.addEventListener("change", () => { showOutbox(takeBack); showBanner(); });
  reach.addEventListener("change", event => {
    reachable = event.detail;
    if (reachable) hurry();
    showBanner();
  });
  reach.addEventListener("denied", () => { denied = true; showBanner(); });
  showOutbox(takeBack);
  showBanner();
  if (isStaffPage && person.token) often(readStatus, STATUS_MS);
  if ("serviceWorker" in navigator && window.isSecureContext) navigator.serviceWorker.register("/sw.js").catch(() => {});
  flush();
  document.documentElement.dataset.ready = "true";
}

/** The staff's pages ask for a person. */
export function needsPerson(is) {
  show(byId("sign_in"), !is);
  show(byId("work"), is);
  return is;
}
