// The three pictures. Every number is from the library; the page only adds, scales and interpolates.

const DASHES = ["7 4", "2 4", "11 4 2 4", "5 3", "1.5 3", "9 3 2 3 2 3"];

// ---- 1: loss and error signal of every candidate ----
class Signals {
  constructor(figure, data, id) {
    Object.assign(this, { figure, data, id, view: 0, hidden: new Set(), cursors: data.views.map((v) => v.cursor) });
    const views = data.views;
    // Two views of one set are the same points against prediction and against raw: the page moves from one to the other.
    this.morphs = views.length > 1 && views[0].set === views[1].set;
    this.tau = 0;
    this.target = views[0].target[3];
    const controls = html(figure.querySelector(".controls"), "div", "control-row");
    if (views.length > 1)
      segmented(controls, `${id}-view`, this.morphs ? "draw against" : "window", views.map((view) => view.label), (i) => this.show(i));
    this.targetSlider = slider(controls, `${id}-target`, "target", this.targetSpec(), (t) => {
      this.target = t;
      this.draw();
    });
    this.cursorSlider = slider(controls, `${id}-cursor`, "prediction", this.cursorSpec(), (c) => this.moveCursor(c));
    const [left, right] = ["signal", "value"].map((name) => html(figure.querySelector(".charts"), "div", `chart-box ${name}`));
    this.signal = new Chart(left, { title: "error signal", label: "Error signal of every candidate loss", aspect: 0.72 });
    this.value = new Chart(right, { title: "loss, above its least", label: "Every candidate loss, measured from its least value", aspect: 0.72 });
    for (const chart of [this.signal, this.value]) this.follow(chart);
    this.order();
    this.legend(figure.querySelector(".legend"));
    onResize(figure, () => this.draw());
  }

  get v() {
    return this.data.views[this.view];
  }
  targetSpec() {
    const [min, max, step] = this.v.target;
    return { min, max, step, value: this.target };
  }
  cursorSpec() {
    return { min: this.v.x[0], max: this.v.x[1], step: this.v.step, value: this.cursors[this.view] };
  }

  show(i) {
    const from = this.tau;
    const to = this.morphs ? i : 0;
    this.view = i;
    if (!this.morphs) this.target = this.v.target[3];
    this.targetSlider.set(this.targetSpec());
    this.cursorSlider.set(this.cursorSpec());
    if (!this.morphs || CALM.matches) {
      this.tau = to;
      this.draw();
      return;
    }
    const begun = performance.now();
    const step = (now) => {
      if (this.view !== i) return;
      const t = clamp((now - begun) / 750, 0, 1);
      this.tau = lerp(from, to, t * t * (3 - 2 * t));
      this.draw();
      if (t < 1) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  }

  moveCursor(c) {
    const { x: [low, high], step } = this.v;
    this.cursors[this.view] = clamp(low + Math.round((c - low) / step) * step, low, high);
    this.cursorSlider.input.value = this.cursors[this.view];
    this.draw();
  }

  // Pointing at a chart moves the prediction; a touch that pans the page stays a pan.
  follow(chart) {
    const move = (event) => {
      if (event.type === "pointermove" && event.pointerType !== "mouse" && !event.buttons) return;
      const px = event.clientX - chart.svg.getBoundingClientRect().left;
      if (chart.inner && px >= chart.inner.x0 && px <= chart.inner.x1) this.moveCursor(chart.invX(px));
    };
    chart.svg.addEventListener("pointermove", move);
    chart.svg.addEventListener("pointerdown", move);
  }

  // Matching losses share a family of cool colours and lie on one another, wide below narrow; those that bend are warm and dashed.
  order() {
    const matching = this.data.losses.flatMap((loss, j) => (loss.matching ? [j] : []));
    const bending = this.data.losses.flatMap((loss, j) => (loss.matching ? [] : [j]));
    this.styles = this.data.losses.map((loss, j) => {
      const k = (loss.matching ? matching : bending).indexOf(j);
      const nested = matching.length > 1 ? 2.6 + 3.4 * (matching.length - 1 - k) : 3.8;
      const shade = matching.length > 1 ? k % 6 : 1;
      return { color: `var(--${loss.matching ? `m${shade}` : `b${k % 6}`})`, width: loss.matching ? nested : 2.2, dash: loss.matching ? "none" : DASHES[k % 6] };
    });
    this.drawn = [...matching, ...bending];
  }

  legend(host) {
    this.items = this.data.losses.map((loss, j) => {
      const button = html(html(host, "li"), "button", "legend-item");
      button.type = "button";
      button.setAttribute("aria-pressed", "true");
      const key = make(button, "svg", { width: 30, height: 14, "aria-hidden": "true", class: "key" });
      const { color, dash } = this.styles[j];
      make(key, "line", { x1: 1, x2: 29, y1: 7, y2: 7, stroke: color, "stroke-width": loss.matching ? 5 : 2.6, "stroke-dasharray": dash });
      const name = html(button, "span", "legend-name", loss.title);
      if (loss.note) html(name, "small", "", loss.note);
      const number = html(button, "span", "legend-value");
      button.addEventListener("click", () => {
        const on = !this.hidden.delete(j);
        if (on) this.hidden.add(j);
        button.setAttribute("aria-pressed", String(!on));
        this.draw();
      });
      for (const [event, hot] of [["pointerenter", j], ["focus", j], ["pointerleave", null], ["blur", null]])
        button.addEventListener(event, () => this.highlight(hot));
      return { button, number };
    });
  }

  highlight(hot) {
    for (const chart of [this.signal, this.value])
      for (const [key, node] of chart.nodes) {
        const match = /^(?:curve|dot)-(\d+)$/.exec(key);
        if (match) node.classList.toggle("faded", hot !== null && Number(match[1]) !== hot);
      }
  }

  // Pixel abscissae of a curve, on the way from the first view to the second.
  abscissae(chart, curve, kind) {
    const [a, b] = this.morphs ? this.data.views : [this.v, this.v];
    const { x0, x1 } = chart.inner;
    const place = (x, view) => lerp(x0, x1, (x - view.x[0]) / (view.x[1] - view.x[0]));
    if (curve.form === "shifted") {
      const xs = kind === "signal" ? curve.gx : curve.vx;
      return xs.map((d) => lerp(place(d + this.target, a), place(d + this.target, b), this.tau));
    }
    return curve.p.map((p, i) => (this.tau === 0 ? place(p, a) : this.tau === 1 ? place(curve.r[i], b) : lerp(place(p, a), place(curve.r[i], b), this.tau)));
  }

  ordinates(curve, kind) {
    const [base, slope] = kind === "signal" ? [curve.g, curve.gt] : [curve.v, curve.vt];
    const ys = curve.form === "shifted" ? base : base.map((y, i) => (y === null || slope[i] === null ? null : y + this.target * slope[i]));
    if (kind === "signal") return ys;
    const least = ys.reduce((low, y) => (y !== null && y < low ? y : low), Infinity);
    return ys.map((y) => (y === null ? null : y - least));
  }

  draw() {
    const view = this.v;
    const cursor = this.cursors[this.view];
    const against = view.key === "p" ? "prediction" : "raw output";
    const digits = decimals(view.step);
    this.targetSlider.show(say(this.target, decimals(view.target[2])));
    this.cursorSlider.name.textContent = against;
    this.cursorSlider.show(say(cursor, digits));
    const height = this.signal.height();
    for (const [chart, kind] of [[this.signal, "signal"], [this.value, "value"]]) {
      chart.frame(view.x, view[kind], view.xlabel, { height });
      const shown = view.key === "p" ? "visible" : "hidden";
      chart.vertical("target", this.target, { class: "target", visibility: shown });
      chart.vertical("cursor", cursor, { class: "cursor" });
      const px = chart.X(this.target);
      const left = px < (chart.inner.x0 + chart.inner.x1) / 2;
      const words = { class: `note ${left ? "start" : "end"}`, visibility: shown };
      chart.text("target-word", px + (left ? 6 : -6), chart.inner.y1 + 13, `target ${say(this.target, decimals(view.target[2]))}`, words);
      for (const j of this.drawn) this.drawLoss(chart, kind, j, view, cursor);
    }
    const prediction = view.key === "p";
    this.nameLine(prediction);
    this.figure.querySelector(".legend-head").textContent = `error signal at ${against} ${say(cursor, digits)}` + (prediction ? `, target ${say(this.target, decimals(view.target[2]))}: the difference is ${say(cursor - this.target, digits, true)}` : "");
  }

  // Write what the straight line is along the line.
  nameLine(visible) {
    const { inner, X, Y } = this.signal;
    const [x0, x1] = this.v.x;
    const rise = (X(x1) - X(x0)) / (Y(x1 - x0) - Y(0));
    const angle = (Math.atan(1 / rise) * 180) / Math.PI;
    const x = this.target > (x0 + x1) / 2 ? lerp(x0, x1, 0.2) : lerp(x0, x1, 0.84);
    const [px, py] = [X(x), Y(x - this.target)];
    const fits = visible && this.data.losses.some((loss) => loss.matching) && py > inner.y1 + 30;
    const turn = `rotate(${angle.toFixed(2)} ${px} ${py}) translate(0 -15)`;
    this.signal.text("line-word", px, py, "output − wanted", { class: "note middle line-word", transform: turn, visibility: fits ? "visible" : "hidden" });
  }

  drawLoss(chart, kind, j, view, cursor) {
    const curve = this.data.sets[view.set][j];
    const { color, width, dash } = this.styles[j];
    const away = !curve || this.hidden.has(j) || (curve.steps && view.key === "p");
    const stroke = { stroke: color, "stroke-width": (kind === "signal" ? lerp(width, 2.6, this.tau) : 2.6).toFixed(2), "stroke-dasharray": dash, class: "curve", "data-loss": this.data.losses[j].name };
    const ys = away ? [] : this.ordinates(curve, kind);
    const px = away ? [] : this.abscissae(chart, curve, kind);
    // A saturated prediction stays at 0 or 1 while raw runs on: no part of a curve against the prediction.
    const saturated = !away && this.morphs && this.data.labels && this.tau === 0;
    const line = saturated ? ys.map((y, i) => (curve.p[i] < 1e-9 || curve.p[i] > 1 - 1e-9 ? null : y)) : ys;
    chart.curve(`curve-${j}`, px, line, stroke);
    let here = null;
    if (!away && curve.form === "shifted") here = at(kind === "signal" ? curve.gx : curve.vx, ys, cursor - this.target);
    else if (!away) here = at(view.key === "p" ? curve.p : curve.r, ys, cursor);
    // A reading comes from the table of exact signals where there is one, not from the drawn line.
    const steps = Math.round((cursor - this.target) / view.step);
    const read = !away && curve.read && view.key === "p" ? (curve.read[steps + (curve.read.length - 1) / 2] ?? null) : here;
    const still = this.tau === 0 || this.tau === 1;
    chart.dot(`dot-${j}`, cursor, still ? here : null, { fill: color, class: "dot" });
    if (kind !== "signal") return;
    const why = curve && curve.steps && view.key === "p" ? "raw only" : read === null ? "–" : reading(read);
    this.items[j].number.textContent = this.hidden.has(j) ? "hidden" : why;
  }
}

// ---- 2: LogSumExp, and softmax as its slope ----
class Slope {
  constructor(figure, data) {
    Object.assign(this, { figure, data, z: 1, y: 0.3 });
    const controls = html(figure.querySelector(".controls"), "div", "control-row");
    const spec = { min: -6, max: 6, step: 0.05, value: this.z };
    this.zSlider = slider(controls, "slope-z", "raw output z", spec, (z) => {
      this.z = z;
      this.draw();
    });
    this.ySlider = slider(controls, "slope-y", "wanted y", { min: 0, max: 1, step: 0.01, value: this.y }, (y) => {
      this.y = y;
      this.draw();
    });
    const box = () => html(figure.querySelector(".charts"), "div", "chart-box");
    const others = ", 0".repeat(data.width - 1);
    this.lse = new Chart(box(), { title: `LogSumExp(z${others})`, label: "LogSumExp and its tangent", aspect: 0.62 });
    this.ce = new Chart(box(), { title: `cross entropy: LogSumExp(z${others}) − y z`, label: "Cross entropy and its tangent", aspect: 0.62 });
    this.softmax = new Chart(box(), { title: "its slope is softmax, p", label: "Softmax, the slope of LogSumExp", aspect: 0.4 });
    this.difference = new Chart(box(), { title: "its slope is p − y: output minus wanted", label: "Softmax minus target, the slope of cross entropy", aspect: 0.4 });
    for (const chart of [this.lse, this.softmax, this.ce, this.difference]) this.follow(chart);
    onResize(figure, () => this.draw());
  }

  follow(chart) {
    const move = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      this.z = clamp(chart.invX(event.clientX - chart.svg.getBoundingClientRect().left), -6, 6);
      this.zSlider.input.value = this.z;
      this.draw();
    };
    chart.svg.addEventListener("pointermove", move);
    chart.svg.addEventListener("pointerdown", move);
  }

  tangent(chart, key, y, slope) {
    const px = [-6, 6].map((z) => chart.X(z));
    chart.curve(`tangent-${key}`, px, [y - slope * (6 + this.z), y + slope * (6 - this.z)], { class: "tangent" });
    chart.dot(`point-${key}`, this.z, y, { class: "dot strong", r: 6 });
    const left = this.z > 1.5;
    const words = { class: `note ${left ? "end" : "start"} slope-word` };
    chart.text(`slope-${key}`, chart.X(this.z) + (left ? -12 : 12), chart.Y(y) + (left ? -10 : 22), `slope ${say(slope, 3, key === "ce")}`, words);
  }

  draw() {
    const { z: zs, lse, softmax } = this.data;
    const { z, y } = this;
    const value = at(zs, lse, z);
    const p = at(zs, softmax, z);
    this.zSlider.show(say(z));
    this.ySlider.show(say(y));
    const px = (chart) => zs.map((x) => chart.X(x));
    const domain = [-6, 6];
    this.lse.frame(domain, [-0.5, 6.5], "");
    this.lse.curve("max", [-6, 0, 6].map((x) => this.lse.X(x)), [0, 0, 6], { class: "faint" });
    this.lse.curve("lse", px(this.lse), lse, { class: "curve main" });
    this.lse.text("max-word", this.lse.X(-5.7), this.lse.Y(0) - 6, "the maximum", { class: "note start soft" });
    this.tangent(this.lse, "lse", value, p);
    this.ce.frame(domain, [-0.5, 6.5], "");
    this.ce.curve("ce", px(this.ce), zs.map((x, i) => lse[i] - y * x), { class: "curve main" });
    this.tangent(this.ce, "ce", value - y * z, p - y);
    this.softmax.frame(domain, [-0.08, 1.08], "raw output z", { yticks: [[0, "0"], [0.5, "0.5"], [1, "1"]] });
    this.softmax.curve("softmax", px(this.softmax), softmax, { class: "curve main" });
    this.softmax.dot("point", z, p, { class: "dot strong", r: 6 });
    this.difference.frame(domain, [-1.08, 1.08], "raw output z", { yticks: [[-1, "\u22121"], [0, "0"], [1, "1"]] });
    this.difference.curve("difference", px(this.difference), softmax.map((s) => s - y), { class: "curve main" });
    this.difference.dot("point", z, p - y, { class: "dot strong", r: 6 });
    for (const chart of [this.lse, this.ce, this.softmax, this.difference]) chart.vertical("cursor", z, { class: "cursor" });
    // The valley: where the slope passes through 0.
    const valley = at(softmax, zs, y);
    for (const chart of [this.ce, this.difference])
      chart.vertical("valley", valley ?? 0, { class: "target", visibility: valley === null ? "hidden" : "visible" });
    if (valley === null) this.ce.text("valley-word", 0, 0, "", {});
    else this.ce.text("valley-word", this.ce.X(valley) + (valley < 0 ? 6 : -6), this.ce.inner.y1 + 13, "p = y", { class: `note ${valley < 0 ? "start" : "end"}` });
    const texts = { p: say(p, 3), y: say(y, 3), slope: say(p - y, 3, true), lse: say(value, 3) };
    for (const [name, text] of Object.entries(texts)) this.figure.querySelector(`[data-read="${name}"]`).textContent = text;
  }
}

// ---- 3: one label is enough ----
class OneLabel {
  constructor(figure, data) {
    Object.assign(this, { figure, data, i: Math.min(5, data.m.length - 1) });
    const controls = html(figure.querySelector(".controls"), "div", "control-row");
    this.slider = slider(controls, "labels-m", "labels seen, m", { min: 0, max: data.m.length - 1, step: 1, value: this.i }, (i) => {
      this.i = i;
      this.draw();
    });
    this.chart = new Chart(html(figure.querySelector(".charts"), "div", "chart-box"), {
      title: "distance from the signal of the whole distribution",
      label: "Distance between the mean signal of m labels and the signal of the distribution, against m, both logarithmic",
      aspect: 0.62,
      log: "xy",
    });
    onResize(figure, () => this.draw());
  }

  draw() {
    const { chart, data } = this;
    const m = data.m[this.i];
    this.slider.show(m.toLocaleString("en"));
    const seen = [...data.errors.flat(), ...data.theory, ...data.biased].filter((e) => e > 0);
    const low = Math.max(Math.min(...data.theory) / 6, Math.min(...seen));
    const domain = [data.m[0] / 1.25, data.m[data.m.length - 1] * 1.25];
    const range = [low, 2 * Math.max(...seen)];
    chart.frame(domain, range, "labels averaged, m", {
      xticks: powers(...domain, 10, tenTo),
      yticks: powers(...range, 10, (k) => say(10 ** k, Math.max(0, -k))),
    });
    const px = data.m.map((v) => chart.X(v));
    const safe = (ys) => ys.map((y) => (y > 0 ? y : null));
    data.errors.forEach((errors, s) => chart.curve(`seed-${s}`, px, safe(errors), { class: "seed" }));
    chart.curve("biased", px, safe(data.biased), { class: "curve biased" });
    chart.curve("theory", px, safe(data.theory), { class: "theory" });
    data.m.forEach((v, i) => chart.dot(`typical-${i}`, v, data.typical[i] > 0 ? data.typical[i] : null, { class: "dot typical", r: i === this.i ? 6 : 3.5 }));
    chart.vertical("cursor", m, { class: "cursor" });
    data.shown.forEach((_, row) => {
      this.figure.querySelector(`[data-mean="${row}"]`).textContent = say(data.means[this.i][row], 4, true);
    });
    for (const node of this.figure.querySelectorAll("[data-m]")) node.textContent = m.toLocaleString("en");
  }
}

const PAGE = JSON.parse(document.getElementById("page-data").textContent);
for (const [id, data] of Object.entries(PAGE.signals)) new Signals(document.getElementById(id), data, id);
if (PAGE.slope) new Slope(document.getElementById("picture-2"), PAGE.slope);
if (PAGE.labels) new OneLabel(document.getElementById("picture-3"), PAGE.labels);
document.documentElement.dataset.ready = "yes";
