function margin(root, data) {
  const body = root.querySelector(".live-body"), side = 440, thumb = 26;
  const { points } = data, labels = data.labels.slice();
  let C = 0.1, swapped = false;
  const reach = 1.12 * Math.max(...points.flat().map(Math.abs));
  const at = (v) => ((v / reach + 1) * side) / 2, place = ([x, y]) => [at(x), side - at(y)];
  const { context } = canvas(body, side, side, "Images in a plane, and the line of a linear SVM");
  const row = make("div", { className: "live-row" }, body);
  const show = (v) => String(+(10 ** v).toPrecision(2));
  slider(row, "C", { min: -4, max: 2, step: 0.25, value: -1, show }, (v) => { C = 10 ** v; draw(); });
  const wrong = button(row, "Mislabel one image", () => {
    labels[odd] = -labels[odd];
    swapped = !swapped;
    wrong.textContent = swapped ? "Put the label right" : "Mislabel one image";
    draw();
  });
  const note = make("p", { className: "live-note", role: "status" }, body);
  const sheet = new Image();
  sheet.onload = draw;
  sheet.src = data.sprite;

  const score = ([w1, w2, b], [x, y]) => w1 * x + w2 * y + b;
  const missing = (f, i) => Math.max(0, 1 - labels[i] * score(f, points[i]));
  const penalty = (f) => 0.5 * f.reduce((sum, v) => sum + v * v, 0);
  const cost = (f) => penalty(f) + C * points.reduce((sum, _, i) => sum + missing(f, i) ** 2, 0);

  // Newton's method: within the margin the loss is a parabola, so a step solves three equations.
  function fit() {
    let f = [0, 0, 0];
    for (let round = 0; round < 100; round++) {
      const H = [[1, 0, 0], [0, 1, 0], [0, 0, 1]], g = f.slice();
      points.forEach(([x, y], i) => {
        const m = missing(f, i), v = [x, y, 1];
        if (m > 0) v.forEach((p, r) => {
          g[r] -= 2 * C * labels[i] * m * p;
          v.forEach((q, c) => { H[r][c] += 2 * C * p * q; });
        });
      });
      const step = solve(H, g);
      let share = 1, next;
      do { next = f.map((v, r) => v - share * step[r]); share /= 2; } while (cost(next) > cost(f) && share > 1e-6);
      const moved = Math.hypot(...next.map((v, r) => v - f[r]));
      f = next;
      if (moved < 1e-9) break;
    }
    return f;
  }
  function solve(H, g) {
    const rows = H.map((h, r) => [...h, g[r]]);
    for (let r = 0; r < 3; r++) {
      for (let s = 0; s < 3; s++) {
        if (s === r) continue;
        const times = rows[s][r] / rows[r][r];
        rows[s] = rows[s].map((v, c) => v - times * rows[r][c]);
      }
    }
    return rows.map((r, i) => r[3] / r[i]);
  }
  // The image of the first class that a gentle C has farthest on its own side.
  const odd = (() => {
    C = 0.01;
    const f = fit(), scores = points.map((p, i) => (labels[i] > 0 ? score(f, p) : -Infinity));
    C = 0.1;
    return scores.indexOf(Math.max(...scores));
  })();

  function line(f, level, width, dashes) {
    const [w1, w2, b] = f, far = 3 * reach, length = Math.hypot(w1, w2) || 1;
    const middle = [((level - b) * w1) / length ** 2, ((level - b) * w2) / length ** 2];
    const ends = [-far, far].map((t) => place([middle[0] - (t * w2) / length, middle[1] + (t * w1) / length]));
    context.beginPath();
    context.moveTo(...ends[0]);
    context.lineTo(...ends[1]);
    context.setLineDash(dashes);
    context.lineWidth = width;
    context.strokeStyle = COLOURS.d;
    context.stroke();
    context.setLineDash([]);
  }
  function draw() {
    const f = fit();
    context.clearRect(0, 0, side, side);
    points.forEach((p, i) => {
      const [x, y] = place(p), s = data.side;
      const from = [(i % 10) * s, Math.floor(i / 10) * s];
      if (sheet.complete) context.drawImage(sheet, ...from, s, s, x - thumb / 2, y - thumb / 2, thumb, thumb);
      context.lineWidth = 3;
      context.setLineDash(labels[i] > 0 ? [] : [4, 3]);
      context.strokeStyle = labels[i] > 0 ? "#7a4a9e" : "#5d8a3a";
      context.strokeRect(x - thumb / 2, y - thumb / 2, thumb, thumb);
      context.setLineDash([]);
      if (labels[i] * score(f, p) < 0) {
        context.fillStyle = "#a3260f";
        context.font = "bold 18px system-ui, sans-serif";
        context.textAlign = "center";
        context.fillText("✕", x + thumb / 2, y - thumb / 2 + 6);
      }
    });
    line(f, 0, 3, []);
    line(f, 1, 1.5, [6, 5]);
    line(f, -1, 1.5, [6, 5]);
    const mistakes = points.filter((p, i) => labels[i] * score(f, p) <= 0).length;
    const within = points.filter((_, i) => missing(f, i) > 0).length;
    const width = 1 / Math.hypot(f[0], f[1]);
    note.textContent =
      `Solid frames: ${data.names[0]}; dashed: ${data.names[1]}. From the line to a margin: ${width.toFixed(2)}. ` +
      `Images that cost something: ${within} of ${points.length}; on the wrong side of the line (✕): ${mistakes}.`;
    root.dataset.state = JSON.stringify({ C, w: f.slice(0, 2), b: f[2], mistakes, within, swapped, odd });
  }
  draw();
}
