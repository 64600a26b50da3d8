// What was typed and is not settled yet. Each order and act is kept on the device, under an id of its own, before it is sent for the
// first time; it is sent again with the same id and content until the store has said yes or no. Each stands under a name of its own
// in the storage, so that two tabs cannot overwrite each other's.

import { alone, load, names, newId, onOtherTab, remove, save } from "./device.js";
import { say } from "./dom.js";
import { Refusal, ask } from "./store.js";
import * as person from "./person.js";

const KEPT_MAX = 200, DONE_MAX = 60, DONE_MS = 24 * 3600 * 1000, WAIT_LEAST_MS = 500, WAIT_MOST_MS = 15000, LOOK_MS = 1000;
const OLD_MS = 10 * 60 * 1000;
export const outbox = new EventTarget();
const changed = () => outbox.dispatchEvent(new Event("change"));
const byAge = (one, other) => one.made_ms - other.made_ms || (one.id < other.id ? -1 : 1);
const unwritten = new Map(); // what the storage had no room for; good as long as this page is open
const read = name => unwritten.get(name) ?? load(name);
const all = start => [...new Set([...names(start), ...[...unwritten.keys()].filter(name => name.startsWith(start))])].map(read).filter(Boolean).sort(byAge);

function write(name, value) {
  try {
    save(name, value);
    unwritten.delete(name);
  } catch {
    unwritten.set(name, value);
  }
}

function forget(name) {
  unwritten.delete(name);
  remove(name);
}

/** What waits to be sent, or was refused and waits for a person. */
export const kept = () => all("out.");
/** What the store has taken, with its answer. */
export const done = () => all("done.");
export const entry = id => read(`out.${id}`) ?? read(`done.${id}`);

const whoIs = () => (person.table ? `table ${person.table}` : `${person.role} ${person.name}`.trim());
/** Its token was refused: it waits until the same person signs in again. */
export const isDenied = made => made.state === "waiting" && made.problem === "token-invalid";

/** An order that nobody may be waiting for any more: it is sent when a person says so. One that is being paid for goes out. */
export const isOld = made => made.kind === "order" && made.state === "waiting" && Date.now() - (made.confirmed_ms ?? made.made_ms) > OLD_MS
  && !kept().some(other => other.kind === "act" && other.chain === made.chain);

/** What was never sent, and an order of which the store can be asked whether it came. */
export const mayWithdraw = made => made.state === "waiting" && (made.unsent === true || (made.kind === "order" && (isOld(made) || isDenied(made) || made.problem === "channel-paused")));

/** By whose token something is sent: its own, or the newer one of the same person. An order may go by any of the staff's. */
function tokenFor(made) {
  const isAnyones = made.kind === "order" && isDenied(made) && person.role && !person.table;
  return person.token && (made.who === whoIs() || isAnyones) ? person.token : made.token;
}

let latestMs = 0; // two that are kept in the same millisecond keep their order

function keepOne(kind, id, body, chain, after = "") {
  if (kept().length >= KEPT_MAX) throw new Error("full");
  latestMs = Math.max(Date.now(), latestMs + 1);
  const made = { id, kind, body, chain, after, token: person.token, who: whoIs(), made_ms: latestMs, tries: 0, next_ms: 0, state: "waiting", unsent: true };
  save(`out.${id}`, made);
  return made;
}

/** Keep something to be sent. `chain` holds it back behind what was kept before it in the same chain. Raises if there is no room. */
export function keep(kind, id, body, chain = "") {
  const made = keepOne(kind, id, body, chain);
  changed();
  flush();
  return made;
}

/** Ask for an act; resolves with the store's answer, or raises its `Refusal`. It is sent on if this page is closed meanwhile. */
export function act(body, chain = "") {
  const { id } = keep("act", newId(), body, chain || body.check_id || body.attempt_id || "");
  return answerTo(id);
}

/**
 * Ask for `bodies`, one after another, of `chain`; resolves with all answers, or raises the first refusal. All are kept before the
 * first is sent, so that a page which closes in between leaves nothing half done; what follows a refusal is not sent.
 */
export function actsInOrder(bodies, chain) {
  const made = [];
  try {
    for (const body of bodies) made.push(keepOne("act", newId(), body, chain, made.at(-1)?.id));
  } catch (error) {
    made.forEach(each => forget(`out.${each.id}`));
    throw error;
  }
  const answers = Promise.all(made.map(each => answerTo(each.id)));
  changed();
  flush();
  return answers;
}

function answerTo(id) {
  return new Promise((resolve, reject) => {
    function look() {
      const now = entry(id);
      if (now && now.state === "waiting") return;
      outbox.removeEventListener("change", look);
      if (now?.state === "done") resolve(now.answer);
      else reject(new Error(now?.why ?? ""));
      if (now?.state === "refused") drop(id);
    }
    outbox.addEventListener("change", look);
  });
}

/** Forget something that was refused. */
export function drop(id) {
  forget(`out.${id}`);
  changed();
}

/** The store has it, even if there is no room here to remember that. */
function settle(made, answer) {
  write(`done.${made.id}`, { ...made, token: undefined, state: "done", answer, done_ms: Date.now() });
  forget(`out.${made.id}`);
  if (unwritten.has(`done.${made.id}`)) write(`done.${made.id}`, unwritten.get(`done.${made.id}`)); // there is room now
  const old = done();
  old.filter((each, place) => place < old.length - DONE_MAX || Date.now() - each.made_ms > DONE_MS).forEach(each => forget(`done.${each.id}`));
}

/** A no that is certain. A token that was refused is none for what the staff have done, or what may have been taken before. */
function isNo(error, made) {
  if (!(error instanceof Refusal) || error.status >= 500 || error.status === 429) return false;
  return error.status !== 401 || (made.tries === 0 && (!made.who || made.who.startsWith("table ")));
}

async function sendOne(made) {
  const path = made.kind === "order" ? "/v1/orders" : "/v1/acts", sent = { ...made, unsent: undefined };
  try {
    if (made.unsent) write(`out.${made.id}`, sent);
    settle(made, await ask(path, { method: "POST", key: made.id, body: made.body, token: tokenFor(made) }));
    return true;
  } catch (error) {
    if (isNo(error, made)) {
      write(`out.${made.id}`, { ...sent, state: "refused", problem: error.kind, why: error.message });
      return true;
    }
    later(sent, error);
    return false;
  }
}

function later(made, error) {
  const wait = Math.min(WAIT_MOST_MS, WAIT_LEAST_MS * 2 ** made.tries) * (0.5 + Math.random());
  const asked = error instanceof Refusal && error.kind !== "not-primary" ? error.retryAfterMs : 0, now = Date.now();
  write(`out.${made.id}`, { ...made, tries: made.tries + 1, next_ms: now + asked + wait, asked_ms: now + asked, problem: error.kind ?? "", why: error.message });
}

/** Whether the store has an order that was sent before; it is settled then. Raises when the store does not say for certain. */
async function wasTaken(made) {
  if (made.unsent) return false;
  try {
    settle(made, await ask(`/v1/orders/${made.id}`));
    return true;
  } catch (error) {
    if (error.kind === "order-unknown") return false;
    throw error;
  }
}

/** One that is old is not sent by itself; whether it was taken long ago is asked. */
async function lookAtOld(made) {
  try {
    if (!(await wasTaken(made))) later(made, new Error(""));
  } catch (error) {
    later(made, error);
  }
}

async function sendAll() {
  const held = new Set();
  for (const { id } of kept()) {
    const made = read(`out.${id}`);
    if (!made || made.state !== "waiting") continue;
    if (made.next_ms > Date.now() || held.has(made.chain)) {
      if (made.chain) held.add(made.chain);
      continue;
    }
    const before = made.after && entry(made.after)?.state;
    if (before === "waiting") continue;
    if (made.after && before !== "done") write(`out.${made.id}`, { ...made, state: "refused", problem: "step-refused", why: say("problem_step-refused") });
    else if (isOld(made)) await lookAtOld(made);
    else if (!(await sendOne(made)) && made.chain) held.add(made.chain);
    changed();
  }
}

let sending = null;
function oneAtATime(work, options) {
  sending = alone("outbox", work, options).finally(() => { sending = null; });
  return sending;
}

/** Send what is due. Only one tab does. */
export async function flush() {
  if (!sending) await oneAtATime(sendAll, { wait: false });
}

/** Send something old after all. */
export function sendNow(id) {
  const made = read(`out.${id}`);
  if (made?.state !== "waiting") return;
  write(`out.${id}`, { ...made, confirmed_ms: Date.now(), next_ms: made.asked_ms ?? 0 });
  changed();
  flush();
}

/** Take back what waits; whether it is gone. It is not when the store has it already. Raises when the store does not say for certain. */
export async function withdraw(id) {
  while (sending) await sending;
  return oneAtATime(async () => {
    const made = read(`out.${id}`);
    if (!made) return !entry(id);
    if (!mayWithdraw(made)) return false;
    const isGone = !(await wasTaken(made));
    if (isGone) forget(`out.${id}`);
    changed();
    return isGone;
  });
}

/** Send now what waits, because the store can be reached again; what the store has asked to wait, waits. */
export function hurry() {
  for (const made of kept()) if (made.state === "waiting" && made.next_ms && !((made.asked_ms ?? 0) > Date.now())) write(`out.${made.id}`, { ...made, next_ms: 0 });
  flush();
}

onOtherTab(name => {
  if (name) unwritten.delete(name);
  if (!name || name.startsWith("out.") || name.startsWith("done.")) changed();
});
window.addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => { if (!document.hidden) flush(); });
setInterval(() => { if (kept().some(made => made.state === "waiting" && made.next_ms <= Date.now())) flush(); }, LOOK_MS);
