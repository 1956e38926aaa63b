"use strict";
// A table that is wider than its place says so below.
for (const box of document.querySelectorAll(".table-box")) {
  const hint = document.createElement("p");
  hint.className = "sideways";
  hint.textContent = "This table scrolls sideways \u2192";
  hint.hidden = true;
  box.after(hint);
  new ResizeObserver(() => (hint.hidden = box.scrollWidth <= box.clientWidth + 1)).observe(box);
}
