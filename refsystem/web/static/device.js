// What this device keeps: nothing here asks the store. Without storage (a private window) it is kept as long as the page is open.

export const data = JSON.parse(document.getElementById("data").textContent);
const memory = new Map();
const prefix = `rushproof.${data.store}.`;

/** Whether what is kept outlives this page. */
export const isLasting = (() => {
  try {
    localStorage.setItem(`${prefix}probe`, "1");
    localStorage.removeItem(`${prefix}probe`);
    return true;
  } catch {
    return false;
  }
})();

export function load(name, otherwise = null) {
  try {
    const text = isLasting ? localStorage.getItem(prefix + name) : memory.get(name) ?? null;
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise; // damaged by hand: as if it were not there
  }
}

/** Raises what the browser raises when there is no room: then nothing was kept, and nothing may be sent. */
export function save(name, value) {
  const text = JSON.stringify(value);
  if (isLasting) localStorage.setItem(prefix + name, text);
  else memory.set(name, text);
}

export function remove(name) {
  if (isLasting) localStorage.removeItem(prefix + name);
  else memory.delete(name);
}

export function names(start) {
  const all = isLasting ? Object.keys(localStorage).filter(key => key.startsWith(prefix)).map(key => key.slice(prefix.length)) : [...memory.keys()];
  return all.filter(name => name.startsWith(start));
}

/** Tell when another tab has changed something. */
export function onOtherTab(listener) {
  window.addEventListener("storage", event => {
    if (event.key === null || event.key.startsWith(prefix)) listener(event.key === null ? "" : event.key.slice(prefix.length));
  });
}

/** Do `work` in no two tabs at once, where the browser has locks; elsewhere the store's keys keep it from being done twice. */
export async function alone(name, work, { wait = true } = {}) {
  if (!navigator.locks) return work();
  return navigator.locks.request(prefix + name, { ifAvailable: !wait }, lock => (lock ? work() : undefined));
}

/** A UUID of version 7 (RFC 9562, 5.7): 48 bits of Unix time in milliseconds, the rest drawn. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let rest = Date.now();
  for (let place = 5; place >= 0; place--) {
    bytes[place] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  bytes[6] = (bytes[6] & 15) | 112;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map(byte => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
