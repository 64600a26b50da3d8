// The cooks' page: tickets, courses that are held back, recall, sold out. A tap is kept here until the display has settled it.
"use strict";
const POLL_MS = 1500, TIMEOUT_MS = 4000, SILENT_MS = 10000, MENU_MS = 15000, KNOWN_MAX = 500, OUTBOX_MAX = 100;
const WORDS = {
  en: { lang: "en", title: "Kitchen", other: "中文", otherLabel: "切换到中文", open: n => `${n} open`, done: "Done",
    nothing: "No tickets. Everything is done.", table: t => `Table ${t}`, minutes: m => `${m} min`, all: "All stations",
    stationLabel: "Station", seen: "I have seen it", soldOut: "Sold out", recall: "Recall", sound: "Sound",
    soundAsks: "Tap for sound", close: "Close", fire: "Fire now", takeOut: "Sold out", restore: "Back again",
    rush: "Rush", late: "The front was told", recalled: "Recalled", held: name => `Later, ${name}`,
    inMinutes: m => `in ${m} min at the latest`, pickup: at => `Pick-up ${at}`, changed: "Changed. It takes the place of an earlier ticket.",
    afterMade: "Voided after it was made.", allVoided: "Voided. Do not make it.", wait: "On its way",
    lost: "The display does not answer. What you see may be old. What you tap is kept and sent later.",
    silent: s => `No word from the store for ${s} s. New orders may be missing.`,
    never: "The store has not sent anything yet.", full: "Too much waits to be sent. This tap was not kept.",
    refused: why => `The store did not take it. ${why}`, noneDone: "Nothing was done yet.",
    givenUp: "The store lost the device that took this order. Ask before you make it.",
    channels: { qr: "QR code", cashier: "Cashier", mini_program: "Mini-program", platform: "Delivery", kiosk: "Kiosk", waiter: "Waiter" } },
  zh: { lang: "zh-CN", title: "厨房", other: "English", otherLabel: "Switch to English", open: n => `${n} 张待做`, done: "完成",
    nothing: "没有待做的单。", table: t => `${t} 号桌`, minutes: m => `${m} 分钟`, all: "全部档口",
    stationLabel: "档口", seen: "已知悉", soldOut: "沽清", recall: "撤回", sound: "声音",
    soundAsks: "点此开启声音", close: "关闭", fire: "立即起菜", takeOut: "沽清", restore: "恢复供应",
    rush: "加急", late: "已通知前厅", recalled: "已撤回", held: name => `稍后 · ${name}`,
    inMinutes: m => `最迟 ${m} 分钟后`, pickup: at => `取餐 ${at}`, changed: "有改动，此单替换之前的单。",
    afterMade: "做好后被退。", allVoided: "已退，不要做。", wait: "正在提交",
    lost: "显示屏没有响应，画面可能不是最新的。您的操作会保存，稍后提交。",
    silent: s => `已有 ${s} 秒没有收到门店消息，可能缺少新单。`,
    never: "还没有收到门店的任何消息。", full: "待提交的操作太多，这次点击没有保存。",
    refused: why => `门店未接受此操作。${why}`, noneDone: "还没有完成的单。",
    givenUp: "接单的设备已损坏，制作前请先确认。",
    channels: { qr: "扫码", cashier: "收银台", mini_program: "小程序", platform: "外卖", kiosk: "自助机", waiter: "服务员" } },
};
const byId = id => document.getElementById(id);
// Storage may be missing in a private window; then everything works but a reload forgets it.
function load(name, otherwise) { try { return JSON.parse(localStorage.getItem(name)) ?? otherwise; } catch { return otherwise; } }
function save(name, value) { try { localStorage.setItem(name, JSON.stringify(value)); } catch { /* private mode, or full */ } }

const asked = new URLSearchParams(location.search).get("lang");
let language = asked ?? load("kitchen.language", navigator.language.startsWith("zh") ? "zh" : "en");
if (!WORDS[language]) language = "en";
let station = load("kitchen.station", ""), sound = load("kitchen.sound", true);
// What was tapped and has not been settled: kept before it is sent, so that neither a reload nor a lost link forgets it.
let outbox = load("kitchen.outbox", []);
if (!Array.isArray(outbox)) outbox = [];
const stored = load("kitchen.known", null);
let known = Array.isArray(stored) ? new Map(stored) : null; // tickets that were there, with their colours
let latest = null, kitchen = null, lost = false, shown = "", dialog = "", bumped = [], shownRows = "", message = "", audio = null;

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function button(className, text, focus, tap) {
  const made = element("button", className, text);
  made.type = "button";
  made.dataset.focus = focus;
  made.addEventListener("click", tap);
  return made;
}

function uuid() { // crypto.randomUUID is missing on a page that came over plain HTTP from another host
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  const hex = [...bytes].map(byte => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

const named = thing => language === "zh" ? thing.name_zh : thing.name;
const keyOf = ticket => `${ticket.order_id}/${ticket.version}/${ticket.station}`;
const stationName = id => named((kitchen && kitchen.stations.find(each => each.id === id)) || { name: id, name_zh: id });
const courseName = id => named((kitchen && kitchen.courses.find(each => each.id === id)) || { name: String(id), name_zh: String(id) });
const waits = subject => outbox.some(tap => tap.subject === subject);
const ticketSubject = ticket => `ticket ${keyOf(ticket)}`;

// --- cards ---

function itemLines(items) {
  const lines = element("ul", "lines");
  for (const item of items) {
    if (item.quantity > 0) {
      const line = element("li");
      line.append(element("b", "", `${item.quantity} ×`), element("span", "", named(item)));
      lines.append(line);
    }
    if (item.cancelled > 0) {
      const line = element("li", "void");
      line.append(element("b", "", `−${item.cancelled}`), element("s", "", named(item)));
      lines.append(line);
    }
  }
  return lines;
}

function clockTime(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString(WORDS[language].lang, { hour: "2-digit", minute: "2-digit", hour12: false });
}

function cardHead(thing, right) {
  const words = WORDS[language], head = element("div", "head");
  head.append(element("span", "", thing.table ? words.table(thing.table) : words.channels[thing.channel] || thing.channel),
    element("span", "age", right));
  return head;
}

function under(thing, more) {
  const words = WORDS[language], ahead = thing.pickup_at_s ? [words.pickup(clockTime(thing.pickup_at_s))] : [];
  const said = [words.channels[thing.channel] || thing.channel, thing.order_id.slice(-6), ...ahead, ...more];
  return element("div", "quiet", said.join(" · "));
}

function ticketCard(ticket) {
  const words = WORDS[language], card = element("li", `ticket ${ticket.colour}`);
  const nothingToMake = ticket.items.length > 0 && ticket.items.every(item => item.quantity === 0);
  const more = [];
  if (!station) more.push(stationName(ticket.station));
  const marks = [[ticket.priority, words.rush], [ticket.rounds, words.recalled], [ticket.escalated, words.late]];
  card.append(cardHead(ticket, words.minutes(Math.floor(ticket.waiting_s / 60))), under(ticket, more));
  for (const [is, text] of marks) if (is) card.append(element("span", "mark", text), " ");
  card.append(itemLines(ticket.items));
  if (ticket.given_up) card.append(element("p", "note", words.givenUp));
  if (ticket.after_made) card.append(element("p", "note", words.afterMade));
  else if (nothingToMake) card.append(element("p", "note", words.allVoided));
  else if (ticket.replaces) card.append(element("p", "note", words.changed));
  if (ticket.note) card.append(element("p", "note", ticket.note));
  const subject = ticketSubject(ticket);
  const done = button("wide done", nothingToMake ? words.seen : words.done, subject, () => tap({ subject,
    path: `v1/tickets/${encodeURIComponent(ticket.order_id)}/bump?${new URLSearchParams({ version: ticket.version, station: ticket.station })}` }));
  done.disabled = waits(subject);
  card.append(done);
  return card;
}

function heldCard(held) {
  const words = WORDS[language], card = element("li", "ticket held"), subject = `course ${held.order_id}/${held.course}`;
  card.append(cardHead(held, words.held(courseName(held.course))),
    under(held, held.fires_in_s === null ? [] : [words.inMinutes(Math.ceil(held.fires_in_s / 60))]), itemLines(held.items));
  const fire = button("wide", waits(subject) ? words.wait : words.fire, subject,
    () => tapAct(subject, { act: "fire", order_id: held.order_id, course: held.course }));
  fire.disabled = waits(subject);
  card.append(fire);
  return card;
}

// --- lists: what was done, what is sold out ---

function recallRow(ticket) {
  const words = WORDS[language], row = element("li"), what = element("div", "what"), subject = `recall ${keyOf(ticket)} ${ticket.rounds}`;
  const lines = ticket.items.map(item => `${item.quantity} × ${named(item)}`).join(", ");
  what.append(element("div", "", ticket.table ? words.table(ticket.table) : words.channels[ticket.channel] || ticket.channel),
    element("div", "quiet", `${stationName(ticket.station)} · ${lines}`));
  const back = button("", waits(subject) ? words.wait : words.recall, subject, () => tapAct(subject,
    { act: "recall", order_id: ticket.order_id, version: ticket.version, station: ticket.station }));
  back.disabled = waits(subject);
  row.append(what, back);
  return row;
}

function menuRow(item) {
  const words = WORDS[language], row = element("li"), what = element("div", "what"), subject = `item ${item.id}`;
  what.append(element("div", "", named(item)), element("div", "quiet", item.sold_out ? words.soldOut : stationName(item.station)));
  const change = button("", waits(subject) ? words.wait : item.sold_out ? words.restore : words.takeOut, subject,
    () => tapAct(subject, { act: item.sold_out ? "restore" : "eighty_six", item_id: item.id }));
  change.setAttribute("aria-pressed", String(item.sold_out));
  change.disabled = waits(subject);
  row.append(what, change);
  return row;
}

function rowsOf(name) {
  if (name === "recall") return bumped.map(recallRow);
  const items = kitchen ? kitchen.items.filter(item => !station || item.station === station || station === "kitchen") : [];
  return [...items.filter(item => item.sold_out), ...items.filter(item => !item.sold_out)].map(menuRow);
}

function showDialog() {
  const words = WORDS[language];
  byId("close").textContent = words.close;
  if (!dialog) return;
  byId("list_title").textContent = dialog === "recall" ? words.recall : words.soldOut;
  const state = JSON.stringify([language, station, dialog, outbox.map(tap => tap.subject), dialog === "recall" ? bumped : kitchen]);
  if (state === shownRows) return;
  shownRows = state;
  const rows = rowsOf(dialog);
  if (!rows.length) rows.push(element("li", "quiet", dialog === "recall" ? words.noneDone : words.nothing));
  replaced(byId("rows"), rows);
}

async function openDialog(name) {
  dialog = name;
  shownRows = "";
  showDialog();
  byId("list").showModal();
  await refreshDialog();
}

async function refreshDialog() {
  try {
    if (dialog === "recall") bumped = (await ask(`v1/tickets/bumped?${new URLSearchParams({ station })}`)).tickets;
    if (dialog === "sold_out") kitchen = await ask("v1/kitchen");
  } catch { /* the next poll says so */ }
  showDialog();
}

// --- the page ---

function replaced(parent, children) { // a button that had the focus keeps it
  const focus = document.activeElement && document.activeElement.dataset.focus;
  parent.replaceChildren(...children);
  if (focus) [...parent.querySelectorAll("[data-focus]")].find(each => each.dataset.focus === focus)?.focus();
}

function showStations() {
  const words = WORDS[language], picker = byId("station");
  picker.setAttribute("aria-label", words.stationLabel);
  const stations = kitchen ? kitchen.stations : [];
  picker.hidden = stations.length < 2;
  const options = [["", words.all], ...stations.map(each => [each.id, named(each)])];
  if (station && !options.some(([id]) => id === station)) options.push([station, station]);
  const state = JSON.stringify(options);
  if (picker.dataset.state !== state) {
    picker.dataset.state = state;
    picker.replaceChildren(...options.map(([id, name]) => new Option(name, id)));
  }
  picker.value = station;
}

function show() {
  const words = WORDS[language];
  document.documentElement.lang = words.lang;
  for (const [id, text] of [["title", words.title], ["language", words.other], ["sold_out", words.soldOut], ["recall", words.recall]])
    byId(id).textContent = text;
  byId("language").setAttribute("aria-label", words.otherLabel);
  const asks = sound && (!audio || audio.state !== "running");
  byId("sound").textContent = asks ? words.soundAsks : words.sound;
  byId("sound").classList.toggle("asks", asks);
  byId("sound").setAttribute("aria-pressed", String(sound && !asks));
  let trouble = "";
  if (lost) trouble = words.lost;
  else if (latest && latest.fed_ms_ago === null) trouble = words.never;
  else if (latest && latest.fed_ms_ago > SILENT_MS) trouble = words.silent(Math.floor(latest.fed_ms_ago / 1000));
  if (byId("trouble").textContent !== trouble) byId("trouble").textContent = trouble;
  byId("trouble").hidden = !trouble;
  byId("message").querySelector("span").textContent = message;
  byId("message").querySelector("button").textContent = words.close;
  byId("message").hidden = !message;
  showStations();
  showDialog();
  if (!latest) return;
  byId("count").textContent = words.open(station ? latest.tickets.length : latest.open);
  byId("nothing").textContent = words.nothing;
  byId("nothing").hidden = latest.tickets.length + latest.held.length > 0;
  // Only when something changed: a card that is replaced under a finger loses the tap.
  const state = JSON.stringify([language, station, kitchen && [kitchen.stations, kitchen.courses], outbox.map(tap => tap.subject),
    latest.tickets.map(({ waiting_s, ...ticket }) => [ticket, Math.floor(waiting_s / 60)]),
    latest.held.map(({ fires_in_s, ...held }) => [held, fires_in_s === null ? null : Math.ceil(fires_in_s / 60)])]);
  if (state === shown) return;
  shown = state;
  replaced(byId("tickets"), [...latest.tickets.map(ticketCard), ...latest.held.map(heldCard)]);
}

// --- sound: made here, so that no file is needed ---

function beep(tones) {
  if (!sound || !audio || audio.state !== "running") return;
  tones.forEach((hertz, place) => {
    const at = audio.currentTime + place * 0.22, tone = audio.createOscillator(), volume = audio.createGain();
    tone.frequency.value = hertz;
    volume.gain.setValueAtTime(0.0001, at);
    volume.gain.exponentialRampToValueAtTime(0.4, at + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, at + 0.2);
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(at + 0.21);
  });
}

function startSound() { // browsers let a page sound only after somebody has touched it
  if (!sound) return;
  audio ??= new (window.AudioContext || window.webkitAudioContext)();
  if (audio.state !== "running") audio.resume().then(show, () => {});
}

function ring() {
  const now = new Map(latest.tickets.map(ticket => [keyOf(ticket), ticket.colour]));
  if (known) {
    const isNew = [...now.keys()].some(key => !known.has(key));
    const isLate = [...now].some(([key, colour]) => colour === "red" && known.has(key) && known.get(key) !== "red");
    if (isNew) beep([880, 1175]);
    if (isLate) beep([587, 440, 587]);
  }
  // Tickets of other stations stay known, so that changing the station rings for nothing that was there.
  known = new Map([...(known ?? []), ...now].slice(-KNOWN_MAX));
  save("kitchen.known", [...known]);
}

// --- what was tapped ---

function tap(wanted) {
  if (waits(wanted.subject)) return;
  if (outbox.length >= OUTBOX_MAX) {
    message = WORDS[language].full;
  } else {
    outbox.push(wanted);
    save("kitchen.outbox", outbox);
    send();
  }
  show();
}

function tapAct(subject, body) { tap({ subject, path: "v1/acts", key: uuid(), body }); }

function settled(wanted) {
  outbox = outbox.filter(each => each !== wanted);
  save("kitchen.outbox", outbox);
}

async function sendOne(wanted) {
  const options = { method: "POST", headers: { "X-Requested-With": "kitchen display" } };
  if (wanted.body) {
    Object.assign(options.headers, { "Content-Type": "application/json", "Idempotency-Key": wanted.key });
    options.body = JSON.stringify(wanted.body);
  }
  const answer = await request(wanted.path, options);
  if (answer.status >= 500) throw new Error(`status ${answer.status}`);
  const said = await answer.json();
  if (!answer.ok) message = WORDS[language].refused(said.detail || "");
  else if (said.status === "refused") message = WORDS[language].refused(said.why);
  else if (wanted.body && said.status === "pending") return; // asked again until the store has settled it
  settled(wanted);
}

let sending = false;
async function send() {
  if (sending) return;
  sending = true;
  try {
    for (const wanted of [...outbox]) await sendOne(wanted);
  } catch {
    lost = true;
  } finally {
    sending = false;
    show();
  }
}

// --- what the display says: always the whole list, so that nothing is missed while a link is down ---

function request(path, options) {
  return fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
}

async function ask(path) {
  const answer = await request(path);
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.json();
}

let menuAt = -Infinity;
async function refresh() {
  const wanted = station;
  try {
    if (performance.now() - menuAt > MENU_MS) {
      kitchen = await ask("v1/kitchen");
      menuAt = performance.now();
    }
    const found = await ask(`v1/tickets?${new URLSearchParams({ station: wanted })}`);
    if (wanted !== station) return; // another station was picked meanwhile
    latest = found;
    lost = false;
    ring();
  } catch {
    lost = true;
  }
  show();
}

async function poll() {
  if (outbox.length) await send();
  await refresh();
  if (dialog) await refreshDialog();
  setTimeout(poll, POLL_MS);
}

byId("language").addEventListener("click", () => {
  language = language === "en" ? "zh" : "en";
  save("kitchen.language", language);
  show();
});
byId("station").addEventListener("change", event => {
  station = event.target.value;
  save("kitchen.station", station);
  shown = "";
  refresh();
});
byId("sound").addEventListener("click", () => {
  const asks = sound && (!audio || audio.state !== "running");
  sound = asks || !sound;
  save("kitchen.sound", sound);
  startSound();
  show();
});
document.addEventListener("pointerdown", startSound);
document.addEventListener("keydown", startSound);
byId("recall").addEventListener("click", () => openDialog("recall"));
byId("sold_out").addEventListener("click", () => openDialog("sold_out"));
byId("close").addEventListener("click", () => byId("list").close());
byId("list").addEventListener("close", () => { if (!byId("list").open) dialog = ""; }); // it may be open again by then
byId("message").querySelector("button").addEventListener("click", () => { message = ""; show(); });
window.addEventListener("online", refresh);
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
show();
poll();
