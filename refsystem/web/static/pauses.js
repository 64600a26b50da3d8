// Which channels take no orders now, and why: each page says so of its own; the staff's pages of all.

import { data } from "./device.js";
import { say } from "./dom.js";
import { ask } from "./store.js";

let paused = [], silentMs = 0;
/** Fired when a channel has paused or opened. */
export const pauses = new EventTarget();
/** For how long the store has not heard the cloud. */
export const cloudSilentMs = () => silentMs;

/** Ask the store; what was told last stays when it does not answer. Raises nothing. */
export async function readChannels() {
  let told;
  try {
    told = await ask("/v1/channels");
  } catch (error) {
    if (error.status === undefined) return;
    told = { channels: [], silent_ms: 0 }; // a store that says nothing of its channels
  }
  const before = JSON.stringify(paused);
  paused = told.channels.filter(each => each.state === "paused").map(({ channel, reason }) => ({ channel, reason }));
  silentMs = told.silent_ms;
  if (JSON.stringify(paused) !== before) pauses.dispatchEvent(new Event("change"));
}

/** Whether orders of this page's own channel are taken now, and if not, why. */
export const ownPause = () => paused.find(each => each.channel === data.channel) ?? null;

/** What the banner says of it, as [kind, text]. */
export function pauseNotices(isStaff) {
  const own = ownPause(), said = own ? [["warn", say(`own_pause_${own.reason}`)]] : [];
  const others = isStaff ? paused.filter(each => each !== own) : [];
  const named = others.map(each => say("paused_why", { channel: say(`channel_${each.channel}`), why: say(`pause_${each.reason}`) }));
  return named.length ? [...said, ["warn", say("paused", { channels: named.join(say("comma")) })]] : said;
}
