// Buttons that copy code. Where the clipboard is closed to pages, the code is selected instead.

async function copy(code, button) {
  const range = document.createRange();
  range.selectNodeContents(code);
  const selection = getSelection();
  try {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = "Copied";
  } catch {
    selection.removeAllRanges();
    selection.addRange(range);
    button.textContent = document.execCommand("copy") ? "Copied" : "Selected";
  }
  setTimeout(() => (button.textContent = "Copy"), 1600);
}

for (const figure of document.querySelectorAll(".code")) {
  const button = html(figure.querySelector("figcaption"), "button", "copy", "Copy");
  button.type = "button";
  button.setAttribute("aria-live", "polite");
  button.addEventListener("click", () => copy(figure.querySelector("code"), button));
}
document.documentElement.dataset.ready = "yes";
