// Requests to the store. It has two devices; whichever is the primary answers, and a request goes to the other one when the first
// does not. Every change has a key of its own, so that asking both is safe.

import { data } from "./device.js";

const TIMEOUT_MS = 4000, BRIEF_MS = 800;
const bases = data.peer && data.peer !== location.origin ? ["", data.peer] : [""];
let current = 0;

/** What the store said no with. `definite`: nothing was written by this request. */
export class Refusal extends Error {
  constructor(status, said, retryAfterMs) {
    super(said.detail || said.title || `status ${status}`);
    this.status = status;
    this.kind = String(said.type ?? "").split(":").pop();
    this.definite = said.definite === true;
    this.retryAfterMs = retryAfterMs;
  }
}

export const reach = new EventTarget();
let reachable = null;
const restUntil = new Map(); // what was refused for a while, by path: when it may be asked for again, and the refusal

function tell(is) {
  if (reachable === is) return;
  reachable = is;
  reach.dispatchEvent(new CustomEvent("change", { detail: is }));
}

async function once(base, path, { method = "GET", key, body, token, timeoutMs = TIMEOUT_MS } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (key) headers["Idempotency-Key"] = key;
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(base + path, {
    method, headers, body: body ? JSON.stringify(body) : undefined, cache: "no-store", credentials: "omit", signal: AbortSignal.timeout(timeoutMs),
  });
  const said = await answer.json();
  if (answer.ok) return said;
  throw new Refusal(answer.status, said, Number(answer.headers.get("Retry-After") ?? 0) * 1000);
}

const mayTryOther = error => !(error instanceof Refusal) || error.kind === "not-primary" || error.status >= 500;

/** Ask whichever device answered last, once and not for long: what is nice to know, and holds nobody up. Raises as `ask` does. */
export const askBriefly = (path, options) => once(bases[current], path, { ...options, timeoutMs: BRIEF_MS });

/** A device has said no for now, and nothing is known to be wrong with the way to it. */
const isAnswer = error => error instanceof Refusal && error.kind !== "not-primary";

/** What is read again and again is not asked for before the time that the store has named. */
function mustRest(path, options) {
  const rest = options?.method === "POST" ? null : restUntil.get(path);
  if (!rest) return;
  if (Date.now() < rest.until_ms) throw rest.refusal;
  restUntil.delete(path);
}

/** Ask every device for what each knows alone; the answers of those that gave one. */
export async function askEach(path, options) {
  const said = await Promise.allSettled(bases.map(base => once(base, path, options)));
  return said.filter(each => each.status === "fulfilled").map(each => each.value);
}

/** Ask the store. Raises a `Refusal`, or what `fetch` raises when neither device could be reached. */
export async function ask(path, options) {
  let trouble = null;
  mustRest(path, options);
  for (let tried = 0; tried < bases.length; tried++) {
    const place = (current + tried) % bases.length;
    try {
      const said = await once(bases[place], path, options);
      current = place;
      tell(true);
      return said;
    } catch (error) {
      if (!mayTryOther(error)) {
        current = place;
        tell(true);
        if (error.status === 401) reach.dispatchEvent(new Event("denied"));
        throw error;
      }
      // What a device has said is worth more than another one's silence, and the primary's word more than its standby's.
      if (trouble === null || (error instanceof Refusal && (!(trouble instanceof Refusal) || trouble.kind === "not-primary"))) trouble = error;
    }
  }
  tell(isAnswer(trouble)); // a store that is full, or pauses a channel, is there
  if (isAnswer(trouble) && trouble.retryAfterMs && options?.method !== "POST") restUntil.set(path, { until_ms: Date.now() + trouble.retryAfterMs, refusal: trouble });
  throw trouble;
}
