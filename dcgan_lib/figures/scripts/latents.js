// A map whose places are latents, and the picture that the generator makes of the place chosen.
function latents(root, data) {
  const SIDE = 280, CORNER = 64, VIEW = 256;
  const last = data.points - 1, gap = (SIDE - CORNER) / last;
  const place = (i) => CORNER / 2 + i * gap;
  let column = last >> 1, row = last >> 1;

  const line = make("div", { className: "live-row" }, root.querySelector(".live-body"));
  Object.assign(line.style, { justifyContent: "center", alignItems: "flex-start" });
  const boxes = ["Map: drag, tap or use the arrow keys", "G(z) at the orange ring"].map((words) => {
    const box = make("div", {}, line);
    make("p", { className: "live-note", textContent: words }, box).style.textAlign = "center";
    return box;
  });
  const about = "Map of latents, with the pictures of its four corners. The arrow keys move the ring.";
  const map = canvas(boxes[0], SIDE, SIDE, about);
  const view = canvas(boxes[1], VIEW, VIEW, "The picture that the generator makes of this latent");
  for (const [part, side] of [[map, SIDE], [view, VIEW]]) {
    part.canvas.style.width = side + "px";
    part.context.imageSmoothingEnabled = false;
  }
  Object.assign(map.canvas, { tabIndex: 0 }).setAttribute("role", "application");
  map.canvas.style.touchAction = "none";
  map.canvas.style.cursor = "pointer";

  const bar = make("div", { className: "live-row" }, root.querySelector(".live-body"));
  bar.style.justifyContent = "center";
  const tour = player(bar, () => { walked = (walked + 1) % border.length; move(...border[walked]); }, 6);
  const note = make("span", { className: "live-note", role: "status" }, bar);

  // The way around the map, clockwise from the upper left corner.
  const border = [];
  for (let i = 0; i < last; i++) border.push([i, 0]);
  for (let i = 0; i < last; i++) border.push([last, i]);
  for (let i = last; i > 0; i--) border.push([i, last]);
  for (let i = last; i > 0; i--) border.push([0, i]);
  let walked = border.length - 1;

  const sheet = new Image();
  const tile = (context, i, j, x, y, side) =>
    context.drawImage(sheet, i * data.size, j * data.size, data.size, data.size, x, y, side, side);

  function draw() {
    const pen = map.context;
    pen.clearRect(0, 0, SIDE, SIDE);
    pen.fillStyle = COLOURS.faded;
    for (let i = 0; i <= last; i++) {
      for (let j = 0; j <= last; j++) {
        pen.beginPath();
        pen.arc(place(i), place(j), 2.5, 0, 7);
        pen.fill();
      }
    }
    for (const i of [0, last]) {
      for (const j of [0, last]) tile(pen, i, j, place(i) - CORNER / 2, place(j) - CORNER / 2, CORNER);
    }
    for (const [width, colour] of [[7, "#fff"], [4, COLOURS.g]]) {
      pen.beginPath();
      pen.arc(place(column), place(row), 10, 0, 7);
      pen.lineWidth = width;
      pen.strokeStyle = colour;
      pen.stroke();
    }
    tile(view.context, column, row, 0, 0, VIEW);
    const length = data.lengths[row * data.points + column];
    note.textContent = `column ${column + 1}, row ${row + 1} of ${data.points}; length of z: ${length.toFixed(1)}`;
    root.dataset.state = JSON.stringify({ column, row, length });
  }

  function move(toColumn, toRow) {
    column = Math.max(0, Math.min(last, toColumn));
    row = Math.max(0, Math.min(last, toRow));
    draw();
  }

  function follow(event) {
    const scale = SIDE / map.canvas.clientWidth;
    const nearest = (offset) => Math.round((offset * scale - CORNER / 2) / gap);
    move(nearest(event.offsetX), nearest(event.offsetY));
  }

  map.canvas.addEventListener("pointerdown", (event) => {
    tour.stop();
    map.canvas.setPointerCapture(event.pointerId);
    follow(event);
  });
  map.canvas.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  map.canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    tour.stop();
    move(column + step[0], row + step[1]);
  });
  sheet.onload = draw;
  sheet.src = data.tiles;
}
