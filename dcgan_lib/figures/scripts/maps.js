// The maps of a block for a chosen image, and the 4x4 maxima of one of them.
function maps(root, data) {
  const PART = 150, narrow = root.clientWidth < 520;
  const bytes = Uint8Array.from(atob(data.maps), (letter) => letter.charCodeAt(0));
  let image = 0, block = 0, network = data.networks[0], map = data.start;

  // Where the bytes of a block begin: networks one after the other, in each its blocks.
  const starts = {};
  let next = 0;
  for (const name of data.networks) {
    starts[name] = data.blocks.map(([count, side]) => {
      const start = next;
      next += data.names.length * count * side * side;
      return start;
    });
  }

  const body = root.querySelector(".live-body");
  const bar = make("div", { className: "live-row" }, body);
  choice(bar, "image", data.names.map((name, i) => [String(i), name]), "0", (value) => { image = +value; draw(); });
  const blocks = data.blocks.map((_, i) => [String(i), `block ${i + 1}`]);
  choice(bar, "maps of", blocks, "0", (value) => { block = +value; map = Math.min(map, data.blocks[block][0] - 1); draw(); });
  choice(bar, "network", data.networks.map((name) => [name, name]), network, (value) => { network = value; draw(); });

  const line = make("div", { className: "live-row" }, body);
  line.style.justifyContent = "center";
  function part(about) {
    const box = make("div", {}, line), title = make("div", { className: "live-note", textContent: about }, box);
    const it = canvas(box, PART, PART, about);
    it.canvas.style.width = PART + "px";
    return { ...it, title };
  }
  const photo = part("the image"), large = part("the chosen map"), pooled = part("its 4×4 maxima");

  const columns = narrow ? 4 : 8, most = Math.max(...data.blocks.map(([count]) => count));
  const tile = narrow ? 78 : 80, rows = Math.ceil(most / columns);
  const sheet = canvas(body, columns * tile, rows * tile, "All maps of the block; press one to choose it");
  sheet.canvas.style.cursor = "pointer";
  const row = make("div", { className: "live-row" }, body);
  const which = slider(row, "map", {
    min: 1, max: most, step: 1, value: map + 1, show: (i) => `${i} of ${most}`,
  }, (i) => { map = i - 1; draw(); });
  const note = make("p", { className: "live-note", role: "status" }, body);
  note.style.minHeight = "3em";

  const level = (k, i, j) => {
    const [count, side] = data.blocks[block];
    return (bytes[starts[network][block] + ((image * count + k) * side + i) * side + j] - 127) / 127;
  };
  // White at 0; blue where the map answers, brown below 0. The power makes weak answers visible.
  const colour = (x) => {
    const [r, g, b] = x < 0 ? [138, 90, 43] : [31, 106, 165], t = Math.abs(x) ** 0.6;
    return `rgb(${[r, g, b].map((c) => Math.round(255 + (c - 255) * t)).join(", ")})`;
  };
  const show = (x) => {
    const text = x.toFixed(Math.abs(x) < 0.995 ? 2 : Math.abs(x) < 9.95 ? 1 : 0);
    return +text === 0 ? "0" : text.replace("-", "−");
  };

  function paint(pen, k, x, y, width) {
    const side = data.blocks[block][1], step = width / side;
    for (let i = 0; i < side; i++) {
      for (let j = 0; j < side; j++) {
        pen.fillStyle = colour(level(k, i, j));
        pen.fillRect(x + j * step, y + i * step, step + 0.3, step + 0.3);
      }
    }
  }

  function maxima() {
    const side = data.blocks[block][1], cell = side / 4, found = [];
    for (let i = 0; i < 16; i++) {
      let top = -Infinity;
      for (let y = 0; y < cell; y++) {
        for (let x = 0; x < cell; x++) {
          top = Math.max(top, level(map, Math.floor(i / 4) * cell + y, (i % 4) * cell + x));
        }
      }
      found.push(top);
    }
    return found;
  }

  function draw() {
    const [count, side] = data.blocks[block], scale = data.scales[network][block][map], cell = PART / 4;
    photo.context.imageSmoothingEnabled = false;
    photo.context.drawImage(picture, image * data.size, 0, data.size, data.size, 0, 0, PART, PART);
    large.title.textContent = `map ${map + 1}, ${side}×${side}`;
    paint(large.context, map, 0, 0, PART);
    large.context.strokeStyle = pooled.context.strokeStyle = COLOURS.real;
    for (let i = 0; i < 16; i++) large.context.strokeRect((i % 4) * cell, Math.floor(i / 4) * cell, cell, cell);
    const found = maxima(), values = found.map((x) => x * scale);
    Object.assign(pooled.context, { font: "12px system-ui, sans-serif", textAlign: "center", textBaseline: "middle" });
    found.forEach((x, i) => {
      const left = (i % 4) * cell, top = Math.floor(i / 4) * cell;
      pooled.context.fillStyle = colour(x);
      pooled.context.fillRect(left, top, cell, cell);
      pooled.context.strokeRect(left, top, cell, cell);
      pooled.context.fillStyle = Math.abs(x) > 0.5 ? "#fff" : "#000";
      pooled.context.fillText(show(values[i]), left + cell / 2, top + cell / 2);
    });
    sheet.context.clearRect(0, 0, columns * tile, rows * tile);
    for (let k = 0; k < count; k++) {
      const x = (k % columns) * tile, y = Math.floor(k / columns) * tile;
      paint(sheet.context, k, x + 3, y + 3, tile - 6);
      sheet.context.lineWidth = k === map ? 4 : 1;
      sheet.context.strokeStyle = k === map ? COLOURS.g : COLOURS.line;
      sheet.context.strokeRect(x + 3, y + 3, tile - 6, tile - 6);
    }
    note.textContent = `${data.names[image]}, ${network} network, block ${block + 1}, map ${map + 1}: ` +
      `${side * side} numbers become 16, the largest of which is ${show(Math.max(...values))}.`;
    root.dataset.state = JSON.stringify({ image, block, network, map, values });
  }

  sheet.canvas.addEventListener("click", (event) => {
    const step = sheet.canvas.clientWidth / columns;
    const k = Math.floor(event.offsetY / step) * columns + Math.floor(event.offsetX / step);
    if (k < data.blocks[block][0]) { map = k; which.put(k + 1); draw(); }
  });
  const picture = new Image();
  picture.onload = draw;
  picture.src = data.images;
}
