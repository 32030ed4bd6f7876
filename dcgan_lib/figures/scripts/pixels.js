// An image under a magnifying glass: the numbers around the chosen pixel, stored and as networks see them.
function pixels(root, data) {
  const { size, channels, around } = data, SIDE = 320, LENS = 2 * around + 1, CELL = 40;
  const bytes = Uint8Array.from(atob(data.pixels), (letter) => letter.charCodeAt(0));
  const colours = channels === 1 ? ["grey"] : ["red", "green", "blue"];
  let image = 0, channel = 0, seen = false, [row, column] = data.place;

  const body = root.querySelector(".live-body");
  const bar = make("div", { className: "live-row" }, body);
  const options = data.names.map((name, i) => [String(i), name]);
  choice(bar, "image", options, "0", (value) => { image = +value; draw(); });
  const ranges = [["stored", "0 to 255"], ["seen", "−1 to 1"]];
  choice(bar, "numbers", ranges, "stored", (value) => { seen = value === "seen"; draw(); });
  if (channels > 1) {
    choice(bar, "of", colours.map((name, i) => [String(i), name]), "0", (value) => { channel = +value; draw(); });
  }
  const line = make("div", { className: "live-row" }, body);
  line.style.justifyContent = "center";
  const about = "The image, enlarged. The arrow keys move the frame by one pixel.";
  const face = canvas(line, SIDE, SIDE, about);
  const lens = canvas(line, LENS * CELL, LENS * CELL, "The numbers of the pixels inside the frame");
  for (const [part, side] of [[face, SIDE], [lens, LENS * CELL]]) part.canvas.style.width = side + "px";
  Object.assign(face.canvas, { tabIndex: 0 }).setAttribute("role", "application");
  face.canvas.style.touchAction = "none";
  face.canvas.style.cursor = "crosshair";
  const note = make("p", { className: "live-note", role: "status" }, body);
  note.style.minHeight = "3em";

  const at = (i, j, c) => bytes[((image * size + i) * size + j) * channels + c];
  const shades = (i, j) => [0, 1, 2].map((c) => at(i, j, channels === 1 ? 0 : c));
  const scaled = (level) => level / 127.5 - 1;
  const show = (number, places) => number.toFixed(places).replace("-", "−");
  const inside = (x, low, high) => Math.max(low, Math.min(high, x));

  function square(pen, i, j, x, y, side) {
    pen.fillStyle = `rgb(${shades(i, j).join(", ")})`;
    pen.fillRect(x, y, side, side);
  }

  function frame(pen, x, y, side) {
    for (const [width, colour] of [[5, "#fff"], [3, COLOURS.g]]) {
      pen.lineWidth = width;
      pen.strokeStyle = colour;
      pen.strokeRect(x, y, side, side);
    }
  }

  function draw() {
    const step = SIDE / size;
    const top = inside(row - around, 0, size - LENS), left = inside(column - around, 0, size - LENS);
    for (let i = 0; i < size; i++) {
      for (let j = 0; j < size; j++) square(face.context, i, j, j * step, i * step, step);
    }
    frame(face.context, left * step, top * step, LENS * step);
    Object.assign(lens.context, { font: "14px system-ui, sans-serif", textAlign: "center", textBaseline: "middle" });
    for (let i = 0; i < LENS; i++) {
      for (let j = 0; j < LENS; j++) {
        const [r, g, b] = shades(top + i, left + j), level = at(top + i, left + j, channel);
        square(lens.context, top + i, left + j, j * CELL, i * CELL, CELL);
        lens.context.fillStyle = 0.3 * r + 0.59 * g + 0.11 * b > 127 ? "#000" : "#fff";
        lens.context.fillText(seen ? show(scaled(level), 2) : level, (j + 0.5) * CELL, (i + 0.5) * CELL);
      }
    }
    frame(lens.context, (column - left) * CELL + 1.5, (row - top) * CELL + 1.5, CELL - 3);
    const stored = colours.map((_, c) => at(row, column, c)), floats = stored.map(scaled);
    const list = (numbers) => numbers.map((x, c) => (channels === 1 ? x : `${colours[c]} ${x}`)).join(", ");
    note.textContent = `Row ${row}, column ${column}: stored as ${list(stored)}; ` +
      `a network gets ${list(floats.map((x) => show(x, 3)))}.`;
    root.dataset.state = JSON.stringify({ image, row, column, stored, floats });
  }

  function move(toRow, toColumn) {
    row = inside(toRow, 0, size - 1);
    column = inside(toColumn, 0, size - 1);
    draw();
  }

  function follow(event) {
    const step = face.canvas.clientWidth / size;
    move(Math.floor(event.offsetY / step), Math.floor(event.offsetX / step));
  }

  for (const name of ["pointerdown", "pointermove"]) face.canvas.addEventListener(name, follow);
  face.canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(row + step[0], column + step[1]);
  });
  draw();
}
