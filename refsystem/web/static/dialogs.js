// Questions that a page asks, in the browser's own dialog: it holds the focus and closes on Escape.

import { button, el, readMoney, say } from "./dom.js";

/**
 * Ask for `fields` ({name, label, kind, …attributes}); resolves with what was given, or null. One with `inputmode` "decimal" is an
 * amount of money, of `least` minor units at least: another one does not leave the dialog, which says what is wrong.
 */
export function askFor(title, fields, yes = say("ok"), text = "") {
  return new Promise(resolve => {
    let answer = null;
    const form = el("form", { novalidate: true }, text && text.split("\n").map(each => el("p", { text: each })), fields.map(fieldOf));
    const trouble = el("p", { class: "note bad", role: "alert", hidden: true });
    const dialog = el("dialog", { "aria-labelledby": "dialog_title" }, el("h2", { id: "dialog_title", text: title }), form);
    form.append(trouble, el("div", { class: "buttons" },
      button(say("cancel"), () => dialog.close(), { kind: "plain" }), el("button", { type: "submit", class: "primary", text: yes })));
    form.addEventListener("submit", event => {
      event.preventDefault();
      const inputs = [...form.elements].filter(each => each.willValidate);
      for (const each of inputs) each.removeAttribute("aria-invalid");
      const wrong = inputs.find(each => whatIsWrong(each));
      if (wrong) {
        trouble.textContent = whatIsWrong(wrong);
        trouble.hidden = false;
        wrong.setAttribute("aria-invalid", "true");
        wrong.focus();
        return;
      }
      answer = Object.fromEntries(new FormData(form));
      dialog.close();
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** What is wrong with what was typed; "" if nothing is. */
function whatIsWrong(input) {
  if (!input.checkValidity()) return say("field_wrong");
  if (input.inputMode !== "decimal") return "";
  const minor = readMoney(input.value);
  if (Number.isNaN(minor)) return say("amount_wrong");
  return minor < Number(input.dataset.least ?? 1) ? say(input.dataset.least ? "given_too_little" : "amount_wrong") : "";
}

function fieldOf({ name, label, options, value, least, ...attributes }) {
  const id = `field_${name}`;
  const input = options
    ? el("select", { id, name }, options.map(([key, text]) => el("option", { value: key, text, selected: key === value })))
    : el("input", { id, name, required: true, autocomplete: "off", value, "data-least": least, ...attributes });
  return el("div", { class: "field" }, el("label", { for: id, text: label }), input);
}

export const sure = (title, text, yes) => askFor(title, [], yes, text).then(answer => answer !== null);
