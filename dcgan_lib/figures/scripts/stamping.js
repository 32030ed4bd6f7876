// A transposed convolution, one stamp at a time: input above, output below, overlaps add.
function stamping(root, data) {
  const CELL = 24, MOST = (data.size - 1) * data.strides[1] + data.kernels[1];
  const WIDTH = MOST * CELL + 2, TOP = data.size * CELL + 26, SIDE = data.size;
  const NUMBERS = [2, 1, 3, 1, 1, 3, 2, 1, 3, 2, 1, 2, 1, 1, 2, 3];
  let { kernel, stride, padding } = data, done = 1, input = "ones", weights = "ones";

  const body = root.querySelector(".live-body");
  const sliders = make("div", { className: "live-row" }, body);
  const knob = (name, set) => {
    const [min, max] = data[name + "s"];
    return slider(sliders, name, { min, max, step: 1, value: data[name] }, (value) => { set(value); restart(); });
  };
  knob("kernel", (value) => { kernel = value; });
  knob("stride", (value) => { stride = value; });
  knob("padding", (value) => { padding = value; });
  for (const words of sliders.querySelectorAll("span")) words.style.minWidth = "4.2em";
  const choices = make("div", { className: "live-row" }, body);
  choice(choices, "input", [["ones", "all ones"], ["numbers", "numbers"]], input, (value) => { input = value; restart(); });
  choice(choices, "weights", [["ones", "all ones"], ["even", "evened out"]], weights, (value) => { weights = value; restart(); });

  const { context: pen } = canvas(body, WIDTH, TOP + MOST * CELL + 2, "The input, and below it the output with the stamps so far");
  const buttons = make("div", { className: "live-row" }, body);
  buttons.style.justifyContent = "center";
  button(buttons, "Next stamp", () => { play.stop(); next(); });
  const play = player(buttons, () => { if (done === SIDE * SIDE) done = 0; return next(); }, 3);
  button(buttons, "All", () => { play.stop(); done = SIDE * SIDE; draw(); });
  button(buttons, "Clear", () => restart());
  const note = make("p", { className: "live-note", role: "status" }, body);
  note.style.minHeight = "4.4em";

  function next() {
    done = Math.min(SIDE * SIDE, done + 1);
    draw();
    return done < SIDE * SIDE;
  }

  function restart() {
    play.stop();
    done = 0;
    draw();
  }

  // One row of the kernel; its product with itself is the kernel.
  function line() {
    if (weights === "ones") return Array(kernel).fill(1);
    const blur = Math.max(1, kernel - stride + 1), found = Array(kernel).fill(0);
    for (let shift = 0; shift < blur; shift++) {
      for (let i = shift; i < Math.min(kernel, shift + stride); i++) found[i] += 1 / blur;
    }
    return found;
  }

  const value = (place) => (input === "ones" ? 1 : NUMBERS[place % NUMBERS.length]);

  // The output after `done` stamps, before padding cuts it.
  function stamped() {
    const full = (SIDE - 1) * stride + kernel, row = line();
    const output = Array.from({ length: full }, () => Array(full).fill(0));
    for (let place = 0; place < done; place++) {
      const top = Math.floor(place / SIDE) * stride, left = (place % SIDE) * stride;
      for (let i = 0; i < kernel; i++) {
        for (let j = 0; j < kernel; j++) output[top + i][left + j] += value(place) * row[i] * row[j];
      }
    }
    return output;
  }

  const short = (x) => (Math.abs(x - Math.round(x)) < 1e-9 ? String(Math.round(x)) : x.toFixed(1).replace(/^0/, ""));

  function cell(x, y, number, share) {
    pen.fillStyle = number ? `rgb(${255 - 25 * share}, ${255 - 140 * share}, ${255 - 215 * share})` : "#fff";
    pen.fillRect(x, y, CELL, CELL);
    pen.strokeStyle = COLOURS.line;
    pen.lineWidth = 1;
    pen.strokeRect(x + 0.5, y + 0.5, CELL - 1, CELL - 1);
    if (!number) return;
    pen.fillStyle = "#22252a";
    pen.fillText(short(number), x + CELL / 2, y + CELL / 2 + 1);
  }

  function frame(x, y, side, colour, dashes) {
    pen.setLineDash(dashes || []);
    pen.strokeStyle = colour;
    pen.lineWidth = 2.5;
    pen.strokeRect(x + 1, y + 1, side - 2, side - 2);
    pen.setLineDash([]);
  }

  function draw() {
    const output = stamped(), full = output.length, cut = full - 2 * padding;
    const left = Math.floor((WIDTH - full * CELL) / 2), from = Math.floor((WIDTH - SIDE * CELL) / 2);
    pen.clearRect(0, 0, WIDTH, TOP + MOST * CELL + 2);
    Object.assign(pen, { font: "13px system-ui, sans-serif", textAlign: "center", textBaseline: "middle" });
    const last = done - 1, peak = Math.max(...output.flat(), 1e-9);
    for (let i = 0; i < SIDE * SIDE; i++) {
      cell(from + (i % SIDE) * CELL, Math.floor(i / SIDE) * CELL, value(i), i < done ? 0.35 : 0.05);
    }
    for (let i = 0; i < full; i++) {
      for (let j = 0; j < full; j++) cell(left + j * CELL, TOP + i * CELL, output[i][j], output[i][j] / peak);
    }
    Object.assign(pen, { fillStyle: "#22252a", textAlign: "left" });
    pen.fillText("input", 2, CELL / 2);
    pen.fillText("output", 2, TOP - 11);
    if (padding) {
      pen.fillStyle = "rgba(250, 250, 247, 0.7)";
      const edge = padding * CELL, inside = cut * CELL;
      pen.fillRect(left, TOP, full * CELL, edge);
      pen.fillRect(left, TOP + edge + inside, full * CELL, edge);
      pen.fillRect(left, TOP + edge, edge, inside);
      pen.fillRect(left + edge + inside, TOP + edge, edge, inside);
      frame(left + edge, TOP + edge, inside, COLOURS.real, [5, 4]);
    }
    if (last >= 0 && last < SIDE * SIDE - 1) {
      const [row, column] = [Math.floor(last / SIDE), last % SIDE];
      frame(from + column * CELL, row * CELL, CELL, COLOURS.g);
      frame(left + column * stride * CELL, TOP + row * stride * CELL, kernel * CELL, COLOURS.g);
    }
    const size = `Output: (${SIDE} − 1) × ${stride} + ${kernel}${padding ? ` − 2 × ${padding}` : ""} = ${cut} pixels wide. `;
    note.textContent = size + words(last, output);
    const kept = output.slice(padding, full - padding).map((row) => row.slice(padding, full - padding));
    root.dataset.state = JSON.stringify({ kernel, stride, padding, input, weights, done, output: kept });
  }

  // How often a line of endless stamps covers its pixels: once for every place of the stride.
  function cover() {
    return Array.from({ length: stride }, (_, place) => Math.ceil((kernel - place) / stride));
  }

  function words(last) {
    if (last < 0) return "Press “Next stamp”.";
    if (last < SIDE * SIDE - 1) {
      return `Stamp ${done} of ${SIDE * SIDE}: the input ${value(last)} times the kernel is added inside the orange frame.`;
    }
    if (input !== "ones") return "All stamps are on the output, and overlaps have been added.";
    if (kernel < stride) return "The kernel is narrower than the stride: the stamps leave gaps.";
    if (weights === "even") return "Away from the border all sums are 1: these weights even the overlaps out.";
    const once = cover(), counts = [...new Set(once.flatMap((a) => once.map((b) => a * b)))].sort((a, b) => a - b);
    if (counts.length === 1) return `Even: away from the border every pixel is covered ${counts[0]} times.`;
    return `A checkerboard: away from the border a pixel is covered ${counts.slice(0, -1).join(", ")} or ${counts.at(-1)} times.`;
  }

  draw();
}
