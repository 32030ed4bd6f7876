// Shared by all live figures. Colours are those of the book: generator orange, discriminator blue.
const COLOURS = { g: "#c4570e", d: "#1f6aa5", real: "#3b3f46", faded: "#8a8f98", paper: "#fafaf7", line: "#dcdcd6" };

// The element of a figure, emptied of what an earlier run of the same cell built.
function liveFigure(id) {
  const root = document.getElementById(id);
  root.classList.add("alive");
  root.querySelector(".live-body").textContent = "";
  return root;
}

// make("button", {title: "..."}, parent): an element with these properties, appended to its parent.
function make(tag, properties, parent) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties || {})) {
    if (name.includes("-") || name === "role" || name === "for") element.setAttribute(name, value);
    else element[name] = value;
  }
  if (parent) parent.appendChild(element);
  return element;
}

function button(parent, text, action) {
  const it = make("button", { type: "button", textContent: text }, parent);
  it.addEventListener("click", action);
  return it;
}

// A labelled slider that shows its value; `action(value)` at every change. Returns the input.
function slider(parent, label, { min, max, step, value, show }, action) {
  const row = make("label", { className: "live-slider" }, parent);
  make("span", { textContent: label }, row);
  const input = make("input", { type: "range", min, max, step, value }, row);
  const output = make("output", {}, row);
  const tell = () => { output.textContent = show ? show(+input.value) : input.value; };
  input.addEventListener("input", () => { tell(); action(+input.value); });
  input.put = (x) => { input.value = x; tell(); };
  tell();
  return input;
}

// A labelled choice among [value, text] pairs; `action(value)` at every change.
function choice(parent, label, options, value, action) {
  const row = make("label", { className: "live-choice" }, parent);
  make("span", { textContent: label }, row);
  const select = make("select", {}, row);
  for (const [v, text] of options) make("option", { value: v, textContent: text, selected: v === value }, select);
  select.addEventListener("change", () => action(select.value));
  return select;
}

// A canvas of width x height CSS pixels at most, drawn at the screen's own resolution.
// Returns {canvas, context}; draw in units of CSS pixels of the full width.
function canvas(parent, width, height, about) {
  const it = make("canvas", { width: width * 2, height: height * 2, role: "img", "aria-label": about }, parent);
  it.style.width = "100%";
  it.style.maxWidth = width + "px";
  const context = it.getContext("2d");
  context.scale(2, 2);
  return { canvas: it, context };
}

// A button that plays and pauses: calls `frame()` `perSecond` times a second until it returns false.
function player(parent, frame, perSecond) {
  let timer = null;
  const it = button(parent, "▶ Play", () => (timer ? stop() : start()));
  function start() {
    it.textContent = "❚❚ Pause";
    timer = setInterval(() => { if (frame() === false) stop(); }, 1000 / (perSecond || 20));
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    it.textContent = "▶ Play";
  }
  it.start = start;
  it.stop = stop;
  return it;
}
