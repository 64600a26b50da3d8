// What the store says no with, in words for people: every kind of problem has a sentence in the language of the page.

import { itemName, say } from "./dom.js";

/** Why something was not taken. `slug`: the kind of problem; `itemId`: the dish that it is about, if it is about one. */
export function explain(slug, itemId = "", status = 0) {
  const key = `problem_${slug}`;
  const said = say(key, { name: itemId ? itemName(itemId) : say("problem_something") });
  return said === key ? say("problem_other", { status: status || "?" }) : said;
}
