// Who uses this page: a table's token from its QR code, or a member of the staff's, both in the address after #. It is kept on the device.

import { data, load, remove, save } from "./device.js";

const place = data.page === "order" || data.page === "kiosk" ? `token.${data.page}` : "token.staff";

function taken() {
  const given = location.hash.slice(1);
  if (!given) return load(place, "");
  save(place, given);
  history.replaceState(null, "", location.pathname + location.search); // so that nobody copies it with the address
  return given;
}

function read(token) {
  try {
    const text = token.split(".")[0].replaceAll("-", "+").replaceAll("_", "/");
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(text), letter => letter.charCodeAt(0))));
  } catch {
    return {};
  }
}

export const token = taken();
const said = token ? read(token) : {};
export const table = String(said.table ?? "");
export const role = table ? "diner" : said.role ?? "";
export const name = String(said.who ?? "");

export function signOut() {
  remove(place);
  location.reload();
}
