// What was typed and is not settled yet. Each order and act is kept on the device, under an id of its own, before it is sent for the
// first time; it is sent again with the same id and content until the store has said yes or no. Each stands under a name of its own
// in the storage, so that two tabs cannot overwrite each other's.

import { alone, load, names, newId, onOtherTab, remove, save } from "./device.js";
import { Refusal, ask } from "./store.js";
import { token } from "./person.js";

const KEPT_MAX = 200, DONE_MAX = 60, DONE_MS = 24 * 3600 * 1000, WAIT_LEAST_MS = 500, WAIT_MOST_MS = 15000, LOOK_MS = 1000;
export const outbox = new EventTarget();
const changed = () => outbox.dispatchEvent(new Event("change"));
const byAge = (one, other) => one.made_ms - other.made_ms || (one.id < other.id ? -1 : 1);
const all = start => names(start).map(name => load(name)).filter(Boolean).sort(byAge);

/** What waits to be sent, or was refused and waits for a person. */
export const kept = () => all("out.");
/** What the store has taken, with its answer. */
export const done = () => all("done.");
export const entry = id => load(`out.${id}`) ?? load(`done.${id}`);

/** Keep something to be sent. `chain` holds it back behind what was kept before it in the same chain. Raises if there is no room. */
export function keep(kind, id, body, chain = "") {
  if (kept().length >= KEPT_MAX) throw new Error("full");
  const made = { id, kind, body, chain, token, made_ms: Date.now(), tries: 0, next_ms: 0, state: "waiting" };
  save(`out.${id}`, made);
  changed();
  flush();
  return made;
}

/** Ask for an act; resolves with the store's answer, or raises its `Refusal`. It is sent on if this page is closed meanwhile. */
export function act(body, chain = "") {
  const { id } = keep("act", newId(), body, chain || body.check_id || body.attempt_id || "");
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
  remove(`out.${id}`);
  changed();
}

function settle(made, answer) {
  try {
    save(`done.${made.id}`, { ...made, token: undefined, state: "done", answer, done_ms: Date.now() });
  } finally {
    remove(`out.${made.id}`); // the store has it, even if there is no room here to remember that
  }
  const old = done();
  old.filter((each, place) => place < old.length - DONE_MAX || Date.now() - each.made_ms > DONE_MS).forEach(each => remove(`done.${each.id}`));
}

async function sendOne(made) {
  const path = made.kind === "order" ? "/v1/orders" : "/v1/acts";
  try {
    settle(made, await ask(path, { method: "POST", key: made.id, body: made.body, token: made.token }));
    return true;
  } catch (error) {
    const isNo = error instanceof Refusal && error.status < 500 && error.status !== 429;
    if (isNo) {
      save(`out.${made.id}`, { ...made, state: "refused", problem: error.kind, why: error.message });
      return true;
    }
    const wait = Math.min(WAIT_MOST_MS, WAIT_LEAST_MS * 2 ** made.tries) * (0.5 + Math.random());
    const asked = error instanceof Refusal ? error.retryAfterMs : 0;
    save(`out.${made.id}`, { ...made, tries: made.tries + 1, next_ms: Date.now() + Math.max(wait, asked), problem: error.kind ?? "", why: error.message });
    return false;
  }
}

async function sendAll() {
  const held = new Set();
  for (const { id } of kept()) {
    const made = load(`out.${id}`);
    if (!made || made.state !== "waiting") continue;
    if (made.next_ms > Date.now() || held.has(made.chain)) {
      if (made.chain) held.add(made.chain);
      continue;
    }
    if (!(await sendOne(made)) && made.chain) held.add(made.chain);
    changed();
  }
}

let sending = false;
/** Send what is due. Only one tab does. */
export async function flush() {
  if (sending) return;
  sending = true;
  try {
    await alone("outbox", sendAll, { wait: false });
  } finally {
    sending = false;
  }
}

/** Send now what waits, because the store can be reached again. */
export function hurry() {
  for (const made of kept()) if (made.state === "waiting" && made.next_ms) save(`out.${made.id}`, { ...made, next_ms: 0 });
  flush();
}

onOtherTab(name => { if (!name || name.startsWith("out.") || name.startsWith("done.")) changed(); });
window.addEventListener("online", hurry);
document.addEventListener("visibilitychange", () => { if (!document.hidden) flush(); });
setInterval(() => { if (kept().some(made => made.state === "waiting" && made.next_ms <= Date.now())) flush(); }, LOOK_MS);
