// Keeps the pages, so that they open while the device that serves them is off. Requests to the store are none of its business.

const NAME = "pages-1", TIMEOUT_MS = 3000, DOWN_MS = 10000;
let downUntil = 0; // a device that did not answer is not asked for every file of a page
const PAGES = ["/order", "/kiosk", "/cashier", "/waiter", "/stock"];
const isPage = url => url.origin === location.origin && (PAGES.includes(url.pathname) || url.pathname.startsWith("/web/"));

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", event => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", event => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || !isPage(url)) return;
  event.respondWith(fetched(event.request));
});

async function fetched(request) {
  const kept = await caches.open(NAME);
  const copy = (await kept.match(request.url)) ?? (await kept.match(request.url, { ignoreSearch: true }));
  if (copy && Date.now() < downUntil) return copy;
  try {
    const answer = await fetch(request.url, { credentials: "same-origin", headers: { Accept: request.headers.get("Accept") ?? "*/*" }, signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (answer.ok && !answer.redirected) await kept.put(request.url, answer.clone());
    return answer;
  } catch (error) {
    downUntil = Date.now() + DOWN_MS;
    if (copy) return copy;
    throw error;
  }
}
