// The pictures of a fit. Every number is the fit's own; the page only subtracts, scales and draws.

const FEW = { names: 6, letters: 40 }; // in a row of choices: more go into a list

// ---- coefficients: twenty at first, and by class ----
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

// ---- convergence: objective above its end and gradient, pass by pass ----
class Convergence {
  constructor(figure, data, id) {
    Object.assign(this, { figure, data, i: data.rows.length - 1 });
    this.all = Math.max(...data.rows);
    this.gap = data.objective.map((y, i) => (y === null || data.final === null || data.rows[i] < this.all ? null : y - data.final));
    const controls = html(figure.querySelector(".controls"), "div", "control-row");
    this.slider = slider(controls, `${id}-pass`, "pass", { min: 1, max: data.rows.length, step: 1, value: this.i + 1 }, (pass) => {
      this.i = pass - 1;
      this.draw();
    });
    this.words = html(controls, "p", "legend-head");
    const label = "Objective above its final value, and largest entry of the gradient, by pass; the vertical axis is logarithmic";
    this.chart = new Chart(html(figure.querySelector(".charts"), "div", "chart-box"), { label, aspect: 0.34, log: "y" });
    onResize(figure, () => this.draw());
  }

  // Passes over a subsample, in runs.
  parts() {
    const runs = [];
    this.data.rows.forEach((rows, i) => {
      if (rows >= this.all) return;
      const last = runs[runs.length - 1];
      if (last && last.to === i - 1) last.to = i;
      else runs.push({ from: i, to: i });
    });
    return runs;
  }

  draw() {
    const { chart, data } = this;
    const positive = (ys) => ys.map((y) => (y !== null && y > 0 ? y : null));
    const series = { objective: positive(this.gap), gradient: positive(data.gradient) };
    const seen = [...series.objective, ...series.gradient].filter((y) => y !== null);
    const low = Math.floor(Math.log10(Math.min(1, ...seen)) - 0.2);
    const high = Math.max(Math.ceil(Math.log10(Math.max(...seen, 1e-300)) + 0.1), low + 1);
    const n = data.rows.length;
    const apart = Math.max(1, Math.ceil((high - low) / 7));
    const passes = ticks(1, n, Math.min(n - 1, 10)).filter(([v]) => Number.isInteger(v));
    chart.frame([0.5, n + 0.5], [10 ** low, 10 ** high], "pass", {
      xticks: [[1, "1"], ...passes.filter(([v]) => v > 1)],
      yticks: powers(10 ** low, 10 ** high, 10, tenTo).filter(([v]) => Math.round(Math.log10(v)) % apart === 0),
    });
    const { y0, y1 } = chart.inner;
    this.parts().forEach(({ from, to }, k) => {
      const [a, b] = [chart.X(from + 0.5), chart.X(to + 1.5)];
      chart.node(`band-${k}`, "rect", { x: a, y: y1, width: b - a, height: y0 - y1, class: "band" });
      if (k === 0) chart.text("band-word", a + 6, y0 - 8, `on ${data.rows[from].toLocaleString("en")} rows`, { class: "note soft start" });
    });
    const px = data.rows.map((_, i) => chart.X(i + 1));
    for (const [name, ys] of Object.entries(series)) {
      chart.curve(name, px, ys, { class: `curve ${name === "objective" ? "main" : "gradient"}`, "data-series": name });
      if (n <= 60)
        ys.forEach((y, i) => chart.dot(`${name}-${i}`, i + 1, y, { class: `dot ${name}${data.rows[i] < this.all ? " part" : ""}`, r: i === this.i ? 6 : 3.5 }));
      else chart.dot(`${name}-here`, this.i + 1, ys[this.i], { class: `dot ${name}`, r: 6 });
    }
    chart.vertical("cursor", this.i + 1, { class: "cursor" });
    this.tell();
  }

  tell() {
    const { data, i } = this;
    this.slider.show(String(i + 1));
    const power = (x) => {
      if (x === null) return "–";
      if (x === 0) return "0";
      const k = Math.floor(Math.log10(Math.abs(x)));
      return Math.abs(k) < 4 ? say(x, clamp(3 - k, 0, 6)) : `${say(x / 10 ** k, 2)} × ${tenTo(k)}`;
    };
    const rows = `${data.rows[i].toLocaleString("en")} rows${data.rows[i] < this.all ? ", a subsample" : ""}`;
    this.words.textContent = `${rows}: objective ${power(data.objective[i])}, largest entry of the gradient ${power(data.gradient[i])}`;
  }
}

// ---- reliability: what was predicted, and what came true ----
class Reliability {
  constructor(host, found, fit) {
    Object.assign(this, { found, fit });
    const title = fit.share ? `probability of ${found.of}` : "";
    this.chart = new Chart(host, { title, label: `Reliability${found.of ? ` of ${found.of}` : ""}: observed against predicted, ${found.rows.length} bins`, aspect: 0.8 });
    onResize(host, () => this.draw());
  }

  // One range for both axes: that of the means; a probability's is snapped to 0 and 1 where they are near.
  domain() {
    const means = [...this.found.predicted, ...this.found.observed].filter((v) => v !== null);
    if (!means.length) return [0, 1];
    let [low, high] = [Math.min(...means), Math.max(...means)];
    const pad = 0.07 * (high - low) || 0.1 * Math.abs(high) || 1;
    [low, high] = [low - pad, high + pad];
    if (!this.fit.share) return [low, high];
    [low, high] = [Math.max(low, 0), Math.min(high, 1)];
    if (low < 0.3 * high) low = 0;
    if (1 - high < 0.3 * (1 - low)) high = 1;
    return [low, high];
  }

  draw() {
    const { chart, found } = this;
    const [low, high] = this.domain();
    const edge = 0.03 * (high - low); // or half a dot would be cut off
    chart.frame([low - edge, high + edge], [low - 6 * edge, high + edge], "predicted", { xticks: ticks(low, high, 5), yticks: ticks(low, high, 5) });
    chart.curve("diagonal", [low, high].map((v) => chart.X(v)), [low, high], { class: "faint" });
    const most = Math.max(1, ...found.rows);
    const { y0 } = chart.inner;
    found.rows.forEach((rows, i) => {
      const [x, y] = [found.predicted[i], found.observed[i]];
      if (x === null || y === null) return;
      const [a, b] = [chart.X(found.low[i] ?? x), chart.X(found.high[i] ?? x)].map((v) => clamp(v, -100, 5000));
      const height = (rows / most) * (y0 - chart.Y(low - edge));
      const width = Math.max(b - a - 1, 3);
      chart.node(`block-${i}`, "rect", { x: (a + b - width) / 2, width, y: y0 - height, height, class: "block" });
      chart.node(`range-${i}`, "line", { x1: a, x2: b, y1: chart.Y(y), y2: chart.Y(y), class: "range" });
      chart.dot(`bin-${i}`, x, y, { class: "dot bin", r: 3 + 4 * Math.sqrt(rows / most), "data-rows": rows, "data-predicted": x, "data-observed": y });
    });
    chart.text("axis", chart.inner.x0 + 6, chart.inner.y1 + 13, this.fit.observed, { class: "note quiet start" });
  }
}

const PAGE = JSON.parse(document.getElementById("page-data").textContent);
for (const [id, fit] of Object.entries(PAGE.fits)) {
  const effects = document.getElementById(`${id}-effects`);
  if (effects) new Effects(effects, id, fit.classes, PAGE.shown);
  const convergence = document.getElementById(`${id}-convergence`);
  if (fit.rows.length > 1) new Convergence(convergence, fit, id);
  const many = document.querySelector(`#${id}-reliability .charts`);
  fit.reliability.forEach((found) => new Reliability(html(many, "div", "chart-box"), found, fit));
}
document.documentElement.dataset.ready = "yes";
