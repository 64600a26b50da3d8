// Stock: what there is, what came in (by scanning), what was counted and what is thrown away.

import { askFor } from "./dialogs.js";
import { button, byId, el, put, say, show, view } from "./dom.js";
import { act, done, kept, outbox } from "./outbox.js";
import { needsPerson, often, start, tell } from "./shell.js";
import { ask } from "./store.js";
import { data, load, save } from "./device.js";
import { token } from "./person.js";

const LEVELS_MS = 4000, DAYS_FROM = 10000101; // what was found without a lot has a day before all others
let lines = load("stock.levels", null); // each says up to which entry of the store's log it is known: a count is of that moment
const nameOf = id => data.ingredients[id]?.name ?? id;
const unitOf = id => say(`unit_${data.ingredients[id]?.unit ?? "piece"}`);
const amount = (quantity, id) => `${new Intl.NumberFormat(data.lang).format(quantity)} ${unitOf(id)}`;
const dayText = day => (day ? `${String(day).slice(0, 4)}-${String(day).slice(4, 6)}-${String(day).slice(6)}` : "");

/** Ask for an act; whether it is kept. It is kept before it is sent, so nobody need wait for the answer. */
function attempt(body) {
  let answered;
  try {
    answered = act(body, body.ingredient_id);
  } catch {
    tell(say("no_room"));
    return false;
  }
  tell(say("stock_kept"));
  answered.catch(error => tell(say("not_done", { why: error.message }))).finally(refresh);
  return true;
}

async function count(line) {
  const given = await askFor(say("act_count"), [{ name: "counted", label: `${say("counted")} (${unitOf(line.ingredient_id)})`, type: "number", min: 0, value: Math.max(0, line.on_hand) }], say("ok"), nameOf(line.ingredient_id));
  if (given) attempt({ act: "count", ingredient_id: line.ingredient_id, counted: Number(given.counted), known_seq: line.known_seq });
}

async function waste(line) {
  const given = await askFor(say("act_waste"), [
    { name: "quantity", label: `${say("quantity")} (${unitOf(line.ingredient_id)})`, type: "number", min: 1 },
    { name: "reason", label: say("reason"), maxlength: 200 }], say("ok"), nameOf(line.ingredient_id));
  if (given) attempt({ act: "waste", ingredient_id: line.ingredient_id, quantity: Number(given.quantity), reason: given.reason });
}

/** That something of it is past its day, or near it: the store says so, by its calendar and its rules. */
const endTags = line => [["expired", "bad"], ["expiring", "busy"]].filter(([state]) => line.lots.some(lot => lot.state === state))
  .map(([state, kind]) => el("span", { class: `tag ${kind}`, text: say(state) }));

function levelRow(line) {
  const id = line.ingredient_id, first = line.lots.find(lot => lot.quantity > 0 && lot.use_by >= DAYS_FROM);
  const tag = ["out", "critical", "low"].includes(line.level) && el("span", { class: `tag ${line.level === "low" ? "busy" : "bad"}`, text: say(line.level) });
  return el("tr", { class: line.level },
    el("th", { scope: "row" }, nameOf(id), " ", tag, ...endTags(line)),
    el("td", { class: "num" }, el("b", { text: line.kept ? amount(line.on_hand, id) : "–" })),
    el("td", { class: "num wide-only", text: line.available === null ? "–" : amount(line.available, id) }),
    el("td", { class: "wide-only", text: first ? dayText(first.use_by) : "–" }),
    el("td", {}, el("div", { class: "buttons" },
      button(say("act_count"), () => count(line), { focus: `count ${id}`, "aria-label": `${say("act_count")}: ${nameOf(id)}` }),
      button(say("act_waste"), () => waste(line), { focus: `waste ${id}`, "aria-label": `${say("act_waste")}: ${nameOf(id)}` }))));
}

function showAll() {
  put(byId("levels"), (lines ?? []).map(levelRow));
  show(byId("no_stock"), lines !== null && !lines.length);
  show(byId("stock_table"), Boolean(lines?.length));
  const received = [...kept(), ...done()].filter(made => made.kind === "act" && made.body.act === "receive").reverse();
  put(byId("received"), received.slice(0, 20).map(made => el("li", {},
    say("received_row", { quantity: made.body.quantity, unit: unitOf(made.body.ingredient_id), name: nameOf(made.body.ingredient_id) }), " ",
    el("small", { text: made.body.lot_id }), " ",
    el("span", { class: `tag ${made.state === "done" ? "good" : "busy"}`, text: made.state === "done" ? "✓" : say("sending") }))));
}

async function refresh() {
  try {
    const told = await ask("/v1/stock", { token });
    lines = told.ingredients.map(line => ({ ...line, known_seq: told.known_seq }));
    save("stock.levels", lines);
  } catch (error) {
    if (error.status === 404) lines = [];
  }
  showAll();
}

// --- receiving ---

async function scan(event) {
  event.preventDefault();
  const said = byId("scan_said"), text = byId("scan").value.trim();
  if (!text) return;
  let label;
  try {
    label = await ask(`/v1/scan?${new URLSearchParams({ text })}`);
  } catch (error) {
    said.textContent = error.message;
    return;
  }
  byId("scan").value = "";
  byId("ingredient").value = label.ingredient_id; // "": nobody knows the code, and nothing stays chosen from before
  byId("quantity").value = label.quantity || label.count || label.grams || "";
  byId("lot").value = label.lot_id;
  byId("use_by").value = dayText(label.use_by);
  said.textContent = label.ingredient_id ? say("scan_read", { name: nameOf(label.ingredient_id) }) : say("scan_unknown", { barcode: label.barcode });
  showUnit();
  byId(label.ingredient_id ? "quantity" : "ingredient").focus();
}

const showUnit = () => {
  const id = byId("ingredient").value;
  byId("unit").textContent = id && `(${unitOf(id)})`;
};

function receive(event) {
  event.preventDefault();
  const ingredient_id = byId("ingredient").value, quantity = Number(byId("quantity").value), use_by = Number(byId("use_by").value.replaceAll("-", ""));
  const lot_id = byId("lot").value.trim() || `${new Date().toISOString().slice(0, 19).replace(/[-:T]/g, "")}`;
  if (!attempt({ act: "receive", ingredient_id, lot_id, quantity, use_by, supplier: byId("supplier").value.trim() })) return;
  byId("receive_form").reset();
  byId("scan_said").textContent = "";
  showUnit();
  byId("scan").focus();
}

if (needsPerson(Boolean(token))) {
  byId("ingredient").replaceChildren(...Object.entries(data.ingredients).map(([id, each]) => el("option", { value: id, text: each.name })));
  byId("ingredient").addEventListener("change", showUnit);
  byId("scan_form").addEventListener("submit", scan);
  byId("receive_form").addEventListener("submit", receive);
  outbox.addEventListener("change", showAll);
  view("levels");
  showUnit();
  showAll();
  often(refresh, LEVELS_MS);
}
start();
