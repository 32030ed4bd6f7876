// An image that moves by pixels, and a map of the discriminator's logit over all places.
function moving(root, data) {
  const { size, far, apart, logits } = data, PLACES = 2 * far + 1, CELL = 20, SIDE = PLACES * CELL;
  const largest = Math.max(...logits.flat(2).map(Math.abs), 1e-9);
  let image = 0, right = 0, down = 0;

  const body = root.querySelector(".live-body");
  const bar = make("div", { className: "live-row" }, body);
  choice(bar, "image", data.names.map((name, i) => [String(i), name]), "0", (value) => { image = +value; draw(); });
  button(bar, "Back to the middle", () => move(0, 0));
  const line = make("div", { className: "live-row" }, body);
  line.style.justifyContent = "center";
  function part(title, about) {
    const box = make("div", {}, line);
    make("div", { className: "live-note", textContent: title }, box);
    const it = canvas(box, SIDE, SIDE, about);
    it.canvas.style.width = SIDE + "px";
    return it;
  }
  const face = part("the image, moved", "The image where it has been moved to, enlarged");
  const map = part("the logit at each place: press one", "The logit at every place. The arrow keys move the image by one pixel.");
  Object.assign(map.canvas, { tabIndex: 0 }).setAttribute("role", "application");
  map.canvas.style.touchAction = "none";
  map.canvas.style.cursor = "crosshair";
  const note = make("p", { className: "live-note", role: "status" }, body);
  note.style.minHeight = "4.5em";

  const inside = (x) => Math.max(-far, Math.min(far, x));
  const logit = (x, y) => logits[image][inside(y) + far][inside(x) + far];
  const show = (x) => x.toFixed(2).replace("-", "−");
  // Blue for "real", brown for "generated", white at even odds.
  const colour = (x) => {
    const [r, g, b] = x < 0 ? [138, 90, 43] : [31, 106, 165], t = (Math.abs(x) / largest) ** 0.7;
    return `rgb(${[r, g, b].map((c) => Math.round(255 + (c - 255) * t)).join(", ")})`;
  };

  function draw() {
    const wide = size + 2 * far, pen = map.context;
    face.context.imageSmoothingEnabled = false;
    face.context.drawImage(picture, image * wide + far - right, far - down, size, size, 0, 0, SIDE, SIDE);
    let sum = 0;
    for (let y = -far; y <= far; y++) {
      for (let x = -far; x <= far; x++) {
        pen.fillStyle = colour(logit(x, y));
        pen.fillRect((x + far) * CELL, (y + far) * CELL, CELL, CELL);
      }
    }
    for (const y of [-apart, 0, apart]) {
      for (const x of [-apart, 0, apart]) {
        sum += logit(right + x, down + y);
        pen.lineWidth = 1.5;
        pen.strokeStyle = COLOURS.real;
        pen.strokeRect((inside(right + x) + far) * CELL + 2, (inside(down + y) + far) * CELL + 2, CELL - 4, CELL - 4);
      }
    }
    pen.lineWidth = 4;
    pen.strokeStyle = COLOURS.g;
    pen.strokeRect((right + far) * CELL + 2, (down + far) * CELL + 2, CELL - 4, CELL - 4);
    const here = logit(right, down), mean = sum / 9;
    const pixels = (n, one, other) => `${Math.abs(n)} ${n < 0 ? other : one}`;
    const way = [right && pixels(right, "right", "left"), down && pixels(down, "down", "up")].filter(Boolean);
    note.textContent = `${way.length ? "Moved " + way.join(", ") : "Not moved"}: logit ${show(here)}, ` +
      `so D says "${here > 0 ? "real" : "generated"}". Mean over the nine framed places: ${show(mean)}.`;
    root.dataset.state = JSON.stringify({ image, right, down, logit: here, mean });
  }

  function move(x, y) {
    right = inside(x);
    down = inside(y);
    draw();
  }

  function follow(event) {
    const step = map.canvas.clientWidth / PLACES;
    move(Math.floor(event.offsetX / step) - far, Math.floor(event.offsetY / step) - far);
  }

  map.canvas.addEventListener("pointerdown", follow);
  map.canvas.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  map.canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    move(right + step[0], down + step[1]);
  });
  const picture = new Image();
  picture.onload = draw;
  picture.src = data.sprite;
}
