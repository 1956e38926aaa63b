// A small chart: axes, curves and marks in SVG, drawn at the pixel size of its box, so that text stays readable on a phone.

const SVG_NS = document.getElementById("icon").namespaceURI;
const CALM = matchMedia("(prefers-reduced-motion: reduce)");

function make(parent, name, attributes = {}, text = null) {
  const node = document.createElementNS(SVG_NS, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== null) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

function html(parent, name, className = "", text = null) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text !== null) node.textContent = text;
  if (parent) parent.append(node);
  return node;
}

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const lerp = (a, b, t) => a + (b - a) * t;

// A number for people: a true minus sign, and a plus where the sign is the point.
function say(x, digits = 2, signed = false) {
  if (x === null || !Number.isFinite(x)) return "–";
  const size = Math.abs(x);
  const places = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  let text = size < 1e9 ? size.toLocaleString("en", places) : size.toExponential(2);
  const zero = !/[1-9]/.test(text);
  if (x < 0 && !zero) text = "\u2212" + text;
  else if (signed && !zero) text = "+" + text;
  return text;
}

// A reading: two decimals, or three digits from 1,000 on.
const reading = (x) => (Math.abs(x) < 1000 ? say(x, 2, true) : say(Number(x.toPrecision(3)), 0, true));

// How many decimals a step of this size needs.
const decimals = (step) => clamp(Math.ceil(-Math.log10(step) - 1e-9), 0, 6);

function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((s) => s * power >= rough * (1 - 1e-9));
  const digits = decimals(step) + (Math.abs(step / power - 2.5) < 1e-9 && power <= 1 ? 1 : 0);
  const result = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) result.push([k * step, say(k * step, digits)]);
  return result;
}

function powers(low, high, base, name) {
  const result = [];
  for (let k = Math.ceil(Math.log(low) / Math.log(base) - 1e-9); base ** k <= high * (1 + 1e-9); k++) result.push([base ** k, name(k)]);
  return result;
}

// A power of ten as people write it.
const tenTo = (k) => `10${String(k).replace("-", "\u207b").replace(/\d/g, (d) => "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[d])}`;

// y at x on a polyline whose x never falls; null outside of it and where it has no number.
function at(xs, ys, x) {
  const last = xs.length - 1;
  if (!(x >= xs[0] && x <= xs[last])) return null;
  let a = 0;
  let b = last;
  while (b - a > 1) {
    const middle = (a + b) >> 1;
    if (xs[middle] <= x) a = middle;
    else b = middle;
  }
  if (ys[a] === null || ys[b] === null) return null;
  const t = xs[b] > xs[a] ? (x - xs[a]) / (xs[b] - xs[a]) : 1;
  return lerp(ys[a], ys[b], t);
}

let clips = 0;

class Chart {
  // spec: title, label (for screen readers), aspect, and which axes are logarithmic: "", "y" or "xy"
  constructor(host, spec) {
    this.host = host;
    this.spec = spec;
    if (spec.title) html(host, "div", "chart-title", spec.title);
    this.svg = make(host, "svg", { role: "img", "aria-label": spec.label, class: "chart" });
    const clip = `clip-${++clips}`;
    this.clip = make(make(make(this.svg, "defs"), "clipPath", { id: clip }), "rect");
    this.axes = make(this.svg, "g", { class: "axes", "aria-hidden": "true" });
    this.plot = make(this.svg, "g", { "clip-path": `url(#${clip})` });
    this.marks = make(this.svg, "g");
    this.nodes = new Map();
  }

  height() {
    return Math.round(clamp(Math.max(this.host.clientWidth, 200) * this.spec.aspect, 190, 400));
  }

  // Domains in; the axes are drawn, and X and Y map data to pixels from here on.
  frame(x, y, xlabel, options = {}) {
    const width = Math.max(this.host.clientWidth, 200);
    const height = options.height ?? this.height();
    const yticks = options.yticks ?? ticks(y[0], y[1], (height - 50) / 44);
    const box = { left: Math.max(40, 14 + 7 * Math.max(...yticks.map(([, text]) => text.length))), right: 16, top: 8, bottom: xlabel ? 40 : 24 };
    const [scaleX, scaleY] = ["x", "y"].map((axis) => (this.spec.log?.includes(axis) ? Math.log : (v) => v));
    const [x0, x1, y0, y1] = [...x.map(scaleX), ...y.map(scaleY)];
    this.inner = { x0: box.left, x1: width - box.right, y0: height - box.bottom, y1: box.top };
    const { x0: l, x1: r, y0: b, y1: t } = this.inner;
    this.X = (v) => l + ((scaleX(v) - x0) / (x1 - x0)) * (r - l);
    this.Y = (v) => clamp(b + ((scaleY(v) - y0) / (y1 - y0)) * (t - b), -5000, 5000);
    this.invX = (px) => x0 + ((px - l) / (r - l)) * (x1 - x0);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", height);
    for (const [k, v] of Object.entries({ x: l, y: t, width: r - l, height: b - t })) this.clip.setAttribute(k, v);
    this.axes.replaceChildren();
    for (const [v, text] of yticks) {
      const zero = v === 0;
      make(this.axes, "line", { x1: l, x2: r, y1: this.Y(v), y2: this.Y(v), class: zero ? "zero" : "grid" });
      make(this.axes, "text", { x: l - 7, y: this.Y(v) + 4, class: "tick end" }, text);
    }
    for (const [v, text] of options.xticks ?? ticks(x[0], x[1], (r - l) / Math.max(64, 10 * say(x[1], 0).length))) {
      make(this.axes, "line", { x1: this.X(v), x2: this.X(v), y1: t, y2: b, class: "grid" });
      const over = this.X(v) + 3.5 * text.length > width;
      make(this.axes, "text", { x: over ? width : this.X(v), y: b + 16, class: `tick ${over ? "end" : "middle"}` }, text);
    }
    if (xlabel) make(this.axes, "text", { x: (l + r) / 2, y: height - 5, class: "axis-label middle" }, xlabel);
  }

  node(key, name, attributes, layer = this.plot) {
    if (!this.nodes.has(key)) this.nodes.set(key, make(layer, name));
    const node = this.nodes.get(key);
    for (const [k, v] of Object.entries(attributes)) node.setAttribute(k, v);
    return node;
  }

  // A curve from pixel abscissae and data ordinates; null breaks it.
  curve(key, px, ys, attributes) {
    let d = "";
    let pen = false;
    for (let i = 0; i < px.length; i++) {
      const y = ys[i];
      if (y === null || !Number.isFinite(y) || px[i] === null) {
        pen = false;
        continue;
      }
      d += `${pen ? "L" : "M"}${px[i].toFixed(1)} ${this.Y(y).toFixed(1)}`;
      pen = true;
    }
    return this.node(key, "path", { d, ...attributes });
  }

  vertical(key, x, attributes) {
    const px = this.X(x);
    return this.node(key, "line", { x1: px, x2: px, y1: this.inner.y0, y2: this.inner.y1, ...attributes });
  }

  dot(key, x, y, attributes) {
    const inside = y !== null && this.Y(y) >= this.inner.y1 - 1 && this.Y(y) <= this.inner.y0 + 1;
    return this.node(key, "circle", { cx: this.X(x), cy: y === null ? 0 : this.Y(y), r: 4.5, ...attributes, visibility: inside ? "visible" : "hidden" });
  }

  text(key, px, py, text, attributes) {
    const node = this.node(key, "text", { x: px, y: py, ...attributes }, this.marks);
    node.textContent = text;
    return node;
  }
}

// A labelled range input with its value beside it; wide enough for a thumb.
function slider(host, id, label, spec, onInput) {
  const wrap = html(host, "div", "slider");
  const name = html(wrap, "label", "", label);
  name.htmlFor = id;
  const output = html(wrap, "output", "");
  output.htmlFor = id;
  const input = html(wrap, "input");
  input.type = "range";
  input.id = id;
  const set = ({ min, max, step, value }) => Object.assign(input, { min, max, step, value });
  set(spec);
  const show = (text) => {
    output.textContent = text;
    input.setAttribute("aria-valuetext", text);
  };
  input.addEventListener("input", () => onInput(Number(input.value)));
  return { input, set, show, name };
}

// A row of choices, of which one holds; the first at the start.
function segmented(host, name, legend, labels, onChange) {
  const box = html(host, "fieldset", "segmented");
  html(box, "legend", "", legend);
  labels.forEach((text, i) => {
    const label = html(box, "label");
    const input = html(label, "input");
    Object.assign(input, { type: "radio", name, value: i, checked: i === 0 });
    html(label, "span", "", text);
    input.addEventListener("change", () => onChange(i));
  });
}

// Redraw when the box of a figure changes width.
function onResize(node, draw) {
  let width = 0;
  new ResizeObserver(() => {
    if (node.clientWidth === width) return;
    width = node.clientWidth;
    requestAnimationFrame(draw);
  }).observe(node);
}
