// The coefficients of a fit: twenty at first, and by class.

const FEW = { names: 6, letters: 40 }; // in a row of choices: more go into a list

class Effects {
  constructor(host, id, names, shown) {
    Object.assign(this, { host, shown, all: false, class: -1 });
    this.table = host.querySelector("table");
    this.rows = [...this.table.querySelectorAll("tbody tr")];
    if (names.length > 1) this.choices(html(host.querySelector(".controls"), "div", "control-row"), id, ["every class", ...names]);
    this.more = html(null, "button", "more");
    this.more.type = "button";
    this.table.parentElement.after(this.more);
    this.more.addEventListener("click", () => {
      this.all = !this.all;
      this.draw();
    });
    this.draw();
  }

  choices(host, id, names) {
    const pick = (i) => {
      this.class = i - 1;
      this.draw();
    };
    if (names.length <= FEW.names && names.join("").length <= FEW.letters) {
      segmented(host, `${id}-class`, "class", names, pick);
      return;
    }
    const label = html(host, "label", "pick", "class");
    const select = html(label, "select");
    select.id = `${id}-class`;
    names.forEach((name, i) => (html(select, "option", "", name).value = i));
    select.addEventListener("change", () => pick(Number(select.value)));
  }

  draw() {
    const chosen = this.rows.filter((row) => this.class < 0 || Number(row.dataset.class) === this.class);
    const seen = new Set(this.all ? chosen : chosen.slice(0, this.shown));
    for (const row of this.rows) row.hidden = !seen.has(row);
    const widest = Math.max(0, ...chosen.slice(0, 1).map((row) => Number(row.dataset.width)));
    this.table.style.setProperty("--zoom", widest > 0 ? 100 / widest : 1);
    const rest = chosen.length - this.shown;
    this.more.hidden = rest <= 0;
    this.more.textContent = this.all ? `Show the ${this.shown} greatest` : `Show the other ${rest.toLocaleString("en")}`;
    this.more.setAttribute("aria-expanded", String(this.all));
  }
}

const PAGE = JSON.parse(document.getElementById("page-data").textContent);
for (const [id, fit] of Object.entries(PAGE.fits)) {
  const effects = document.getElementById(`${id}-effects`);
  if (effects) new Effects(effects, id, fit.classes, PAGE.shown);
}
document.documentElement.dataset.ready = "yes";
