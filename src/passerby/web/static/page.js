"use strict";
// Everything works without this file; it adds keys, dragging and pasting.
(() => {
  const all = (what, from = document) => Array.from(from.querySelectorAll(what));
  const one = (what, from = document) => from.querySelector(what);
  const cards = all("[data-cards] [data-card]");
  const remembered = "passerby.card";

  // -- cards: one after the other, and where one was, after the page came again
  const at = () => cards.findIndex((card) => card.contains(document.activeElement));
  const go = (place) => {
    const card = cards[Math.max(0, Math.min(place, cards.length - 1))];
    if (!card) return;
    (card.matches("[tabindex]") ? card : one("[data-open]", card) || card).focus();
    card.scrollIntoView({ block: "nearest" });
  };
  const keep = () => { try { sessionStorage.setItem(remembered, String(at())); } catch { /* storage is off */ } };
  try {
    const held = sessionStorage.getItem(remembered);
    sessionStorage.removeItem(remembered);
    // Later than the browser's own jump to the fragment, which takes the focus away.
    if (held !== null && Number(held) >= 0) addEventListener("load", () => setTimeout(() => go(Number(held))));
  } catch { /* storage is off */ }
  const press = (what) => {
    const card = cards[at()];
    const found = card && one(what, card);
    if (found) { keep(); found.click(); }
    return Boolean(found);
  };
  for (const button of all("[data-yes], [data-no]")) button.addEventListener("click", keep);

  // -- keys
  const dialog = one("#keys");
  const onOff = one("[data-keys-on]");
  const opener = one("[data-keys]");
  opener.hidden = false;
  opener.addEventListener("click", () => dialog.showModal());
  try { onOff.checked = localStorage.getItem("passerby.keys") !== "off"; } catch { /* storage is off */ }
  onOff.addEventListener("change", () => {
    try { localStorage.setItem("passerby.keys", onOff.checked ? "on" : "off"); } catch { /* storage is off */ }
  });
  const filters = () => { const found = one("#filters"); if (found) { found.open = true; one("input:not([type=hidden])", found).focus(); } return found; };
  const sending = () => { const found = one("#picture"); if (found) found.focus(); else location.assign("/#main"); return true; };
  const step = (by) => () => { if (!cards.length) return false; go(at() < 0 ? (by > 0 ? 0 : cards.length - 1) : at() + by); return true; };
  const keys = {
    "j": step(1), "ArrowRight": step(1), "k": step(-1), "ArrowLeft": step(-1),
    "g": () => { go(0); return true; },
    "y": () => press("[data-yes]"), "n": () => press("[data-no]"),
    "x": () => press("[data-tick]"),
    "Enter": () => document.activeElement.matches("[data-card]") && press("[data-open]"),
    "u": () => { const form = one("[data-undo]"); if (form) form.requestSubmit(); return Boolean(form); },
    "f": filters, "/": sending,
    "?": () => { dialog.showModal(); return true; },
  };
  document.addEventListener("keydown", (event) => {
    const busy = event.target.matches("input:not([type=checkbox], [type=radio], [type=file]), select, textarea");
    const plain = !(event.ctrlKey || event.metaKey || event.altKey || event.isComposing);
    if (!plain || busy || dialog.open || !onOff.checked) return;
    if (event.key.startsWith("Arrow") && event.target.matches("input, .strip")) return;
    const doing = keys[event.key];
    if (doing && doing()) event.preventDefault();
  });
  for (const each of all("details[data-kept]")) {
    const name = `passerby.${each.dataset.kept}`;
    try { each.open = localStorage.getItem(name) !== "shut"; } catch { /* storage is off */ }
    each.addEventListener("toggle", () => {
      try { localStorage.setItem(name, each.open ? "open" : "shut"); } catch { /* storage is off */ }
    });
  }
  const first = one("[data-first]");
  if (first) first.focus();

  // -- pictures that are dragged or pasted
  const form = one("[data-send]");
  if (!form) return;
  const field = one("#picture");
  const sent = () => { if (field.files.length) form.requestSubmit(); };
  const take = (files) => {
    const pictures = Array.from(files).filter((file) => file.type.startsWith("image/"));
    if (!pictures.length) return;
    const list = new DataTransfer();
    list.items.add(pictures[0]);
    field.files = list.files;
    sent();
  };
  let inside = 0;
  document.addEventListener("dragenter", () => { inside += 1; form.classList.add("over"); });
  document.addEventListener("dragleave", () => { inside -= 1; if (inside <= 0) form.classList.remove("over"); });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    inside = 0;
    form.classList.remove("over");
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
})();
