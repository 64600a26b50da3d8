// Questions that a page asks, in the browser's own dialog: it holds the focus and closes on Escape.

import { button, el, say } from "./dom.js";

/** Ask for `fields` ({name, label, kind, …attributes}); resolves with what was given, or null. */
export function askFor(title, fields, yes = say("ok"), text = "") {
  return new Promise(resolve => {
    let answer = null;
    const form = el("form", { novalidate: true }, text && text.split("\n").map(each => el("p", { text: each })), fields.map(fieldOf));
    const dialog = el("dialog", { "aria-labelledby": "dialog_title" }, el("h2", { id: "dialog_title", text: title }), form);
    form.append(el("div", { class: "buttons" },
      button(say("cancel"), () => dialog.close(), { kind: "plain" }), el("button", { type: "submit", class: "primary", text: yes })));
    form.addEventListener("submit", event => {
      event.preventDefault();
      const wrong = [...form.elements].find(each => each.willValidate && !each.checkValidity());
      if (wrong) {
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

function fieldOf({ name, label, options, value, ...attributes }) {
  const id = `field_${name}`;
  const input = options
    ? el("select", { id, name }, options.map(([key, text]) => el("option", { value: key, text, selected: key === value })))
    : el("input", { id, name, required: true, autocomplete: "off", value, ...attributes });
  return el("div", { class: "field" }, el("label", { for: id, text: label }), input);
}

export const sure = (title, text, yes) => askFor(title, [], yes, text).then(answer => answer !== null);
