// The game of `toy_path` in toy_game.py, a round at a time. data: {z: evenly spread normal quantiles}.
function toy_game(root, data) {
  const z = data.z;
  const body = root.querySelector(".live-body");
  const games = {
    usual: { text: "mean 2" },
    collapse: { text: "mean 3", mean: 3 },
    stall: { text: "mean 4", mean: 4 },
    chase: { text: "mean 2, no decay", decay: 0 },
  };
  const start = { mean: 2, deviation: 0.5, lr_d: 0.05, lr_g: 0.05, decay: 0.1 };
  const set = { ...start };
  const LIMIT = 20000;
  let w, shift, scale, path;

  const sigmoid = (logit) => 1 / (1 + Math.exp(-logit));
  const logit = (x) => w[0] + w[1] * x + w[2] * x * x;
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

  function reset() {
    [w, shift, scale] = [[0, 0, 0], 0, 1];
    path = [[shift, scale]];
  }

  function round() {
    const real = z.map((u) => set.mean + set.deviation * u);
    const fake = z.map((u) => shift + scale * u);
    // The discriminator moves: one step down the slope of its loss, and a little towards zero.
    const onReal = real.map((x) => 1 - sigmoid(logit(x)));
    const onFake = fake.map((x) => sigmoid(logit(x)));
    w = w.map((weight, power) => {
      const slope = mean(z.map((_, k) => onFake[k] * fake[k] ** power - onReal[k] * real[k] ** power));
      return weight - set.lr_d * (slope + set.decay * weight);
    });
    // Then the generator moves: all that it knows is the slope of the new D at its own samples.
    const slope = fake.map((x) => -wish(x));
    [shift, scale] = [shift - set.lr_g * mean(slope), scale - set.lr_g * mean(slope.map((s, k) => s * z[k]))];
    path.push([shift, scale]);
  }

  // How strongly, and in which direction, a sample at x would have to move to look more real.
  function wish(x) {
    return (1 - sigmoid(logit(x))) * (w[1] + 2 * w[2] * x);
  }

  // What the reader can touch.
  const buttons = make("div", { className: "live-row" }, body);
  button(buttons, "Step", () => advance(1, "polite"));
  button(buttons, "100 rounds", () => advance(100, "polite"));
  const play = player(buttons, () => advance(+speed.value, "off"), 25);
  button(buttons, "Reset", () => { play.stop(); reset(); draw(); });
  const speed = choice(buttons, "rounds a frame", [["1", "1"], ["5", "5"], ["25", "25"]], "5", () => {});
  choice(buttons, "game", Object.entries(games).map(([name, game]) => [name, game.text]), "usual", (name) => {
    play.stop();
    for (const key of Object.keys(start)) {
      set[key] = games[name][key] ?? start[key];
      sliders[key].put(set[key]);
    }
    reset();
    draw();
  });

  const wide = Math.max(280, Math.min(600, body.clientWidth || 600));
  const top = canvas(body, wide, 254, "The two densities and D(x) along the line");
  const bottom = canvas(body, wide, 140, "Shift and scale over the rounds");
  const note = make("p", { className: "live-note" }, body);
  const rows = make("div", { className: "live-row" }, body);
  rows.style.display = "grid";
  rows.style.gridTemplateColumns = "repeat(auto-fit, minmax(min(100%, 300px), 1fr))";
  const sliders = {};
  for (const [key, label, min, max, step] of [
    ["mean", "real mean", -2, 6, 0.5],
    ["deviation", "real deviation", 0.2, 1.5, 0.1],
    ["lr_d", "learning rate of D", 0, 0.1, 0.005],
    ["lr_g", "learning rate of G", 0, 0.1, 0.005],
    ["decay", "decay of D", 0, 0.5, 0.01],
  ]) {
    const show = (x) => x.toFixed(step < 0.01 ? 3 : step < 0.1 ? 2 : 1);
    sliders[key] = slider(rows, label, { min, max, step, value: set[key], show }, (x) => { set[key] = x; draw(); });
    sliders[key].parentElement.firstChild.style.minWidth = "8.2em";
    sliders[key].style.width = "110px";
  }

  function advance(rounds, live) {
    for (let i = 0; i < rounds && path.length <= LIMIT; i++) round();
    note.setAttribute("aria-live", live);
    draw();
    return path.length <= LIMIT;
  }

  // The line from -4 to 8; densities on the left axis, D(x) on the right one.
  const low = -4, high = 8, floor = 205, ceiling = 26, tallest = 1.5;
  const atX = (x) => 30 + ((x - low) / (high - low)) * (wide - 60);
  const atY = (share) => floor - Math.max(0, Math.min(1, share)) * (floor - ceiling);
  const density = (x, m, s) => Math.exp(-0.5 * ((x - m) / s) ** 2) / (s * Math.sqrt(2 * Math.PI));

  function curve(context, f, colour, fill) {
    context.beginPath();
    for (let i = 0; i <= 600; i++) {
      const x = low + (i / 600) * (high - low);
      context.lineTo(atX(x), atY(f(x)));
    }
    context.strokeStyle = colour;
    context.stroke();
    if (!fill) return;
    context.lineTo(atX(high), floor);
    context.lineTo(atX(low), floor);
    context.globalAlpha = 0.22;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
  }

  function words(context, text, x, y, colour, align) {
    context.fillStyle = colour;
    context.textAlign = align || "center";
    context.fillText(text, x, y);
  }

  function drawLine() {
    const { context } = top;
    context.clearRect(0, 0, wide, 254);
    context.font = "13px system-ui, sans-serif";
    context.lineWidth = 1;
    context.strokeStyle = COLOURS.line;
    context.strokeRect(30, ceiling, wide - 60, floor - ceiling);
    for (const belief of [0, 0.5, 1]) {
      words(context, String(belief), wide - 25, atY(belief) + 4, COLOURS.d, "left");
    }
    context.setLineDash([3, 4]);
    context.strokeStyle = COLOURS.d;
    context.beginPath();
    context.moveTo(30, atY(0.5));
    context.lineTo(wide - 30, atY(0.5));
    context.stroke();
    context.setLineDash([]);
    for (let x = low; x <= high; x += 2) words(context, String(x).replace("-", "−"), atX(x), 244, "#22252a");
    const spread = Math.max(0.05, Math.abs(scale));
    context.lineWidth = 2;
    curve(context, (x) => density(x, set.mean, set.deviation) / tallest, COLOURS.real, true);
    curve(context, (x) => density(x, shift, spread) / tallest, COLOURS.g, true);
    context.lineWidth = 2.5;
    curve(context, (x) => sigmoid(logit(x)), COLOURS.d, false);
    // Below the line: where nine of the samples are, and where they want to go.
    context.strokeStyle = context.fillStyle = COLOURS.g;
    for (let k = 3; k < z.length; k += 7) {
      const x = shift + scale * z[k], from = atX(x), push = 26 * Math.tanh(2 * wish(x));
      const to = from + push, y = floor + 9 + ((k - 3) / 7) % 2 * 8, side = Math.sign(push);
      context.beginPath();
      context.arc(from, y, 2.2, 0, 7);
      context.fill();
      if (Math.abs(push) < 2) continue;
      context.lineWidth = 1.6;
      context.beginPath();
      context.moveTo(from, y);
      context.lineTo(to, y);
      context.moveTo(to - 4 * side, y - 3);
      context.lineTo(to, y);
      context.lineTo(to - 4 * side, y + 3);
      context.stroke();
    }
    words(context, "real", 34, 16, COLOURS.real, "left");
    words(context, "generated", 70, 16, COLOURS.g, "left");
    words(context, "D(x), right axis", wide - 4, 16, COLOURS.d, "right");
  }

  function drawTrace() {
    const { context } = bottom;
    const floor = 112, ceiling = 12, span = Math.max(500, path.length - 1);
    const values = path.flat().concat(set.mean, set.deviation, 1);
    const least = Math.min(0, ...bounds(values, -4, Math.min)), most = Math.max(...bounds(values, 8, Math.max)) + 0.3;
    const at = (round) => 30 + (round / span) * (wide - 100);
    const level = (value) => floor - ((value - least) / (most - least)) * (floor - ceiling);
    context.clearRect(0, 0, wide, 140);
    context.font = "13px system-ui, sans-serif";
    context.save();
    context.beginPath();
    context.rect(28, 0, wide - 96, floor + 1);
    context.clip();
    context.strokeStyle = COLOURS.faded;
    context.lineWidth = 1.5;
    context.setLineDash([2, 4]);
    for (const value of [set.mean, set.deviation]) {
      context.beginPath();
      context.moveTo(30, level(value));
      context.lineTo(wide - 70, level(value));
      context.stroke();
    }
    context.strokeStyle = COLOURS.g;
    context.lineWidth = 2;
    const skip = Math.max(1, Math.floor(path.length / 800));
    for (const which of [0, 1]) {
      context.setLineDash(which ? [6, 4] : []);
      context.beginPath();
      for (let i = 0; i < path.length; i += skip) context.lineTo(at(i), level(path[i][which]));
      context.lineTo(at(path.length - 1), level(path[path.length - 1][which]));
      context.stroke();
    }
    context.restore();
    context.setLineDash([]);
    context.lineWidth = 1;
    context.strokeStyle = COLOURS.faded;
    context.beginPath();
    context.moveTo(30, ceiling);
    context.lineTo(30, floor);
    context.lineTo(wide - 70, floor);
    context.stroke();
    words(context, "0", 24, level(0) + 4, "#22252a", "right");
    words(context, "0", 30, 130, "#22252a");
    words(context, span.toLocaleString("en"), wide - 70, 130, "#22252a");
    words(context, "round", 30 + (wide - 100) / 2, 130, "#22252a");
    // The names stand at the dotted goals, which the two curves should reach.
    const names = [["mean", level(set.mean)], ["deviation", level(set.deviation)]].sort((a, b) => a[1] - b[1]);
    if (names[1][1] - names[0][1] < 14) {
      const middle = (names[0][1] + names[1][1]) / 2;
      names[0][1] = middle - 7;
      names[1][1] = middle + 7;
    }
    for (const [name, y] of names) words(context, name, wide - 66, y + 4, "#5d636d", "left");
    words(context, "shift ——   scale – –", 36, 10, COLOURS.g, "left");
  }

  // The extreme of the values that are numbers, kept on this side of `limit`.
  function bounds(values, limit, extreme) {
    const best = values.reduce((a, b) => extreme(a, b));
    return [extreme === Math.min ? Math.max(limit, best) : Math.min(limit, best)];
  }

  function draw() {
    drawLine();
    drawTrace();
    const real = mean(z.map((u) => Math.log(sigmoid(logit(set.mean + set.deviation * u)))));
    const fake = mean(z.map((u) => Math.log(1 - sigmoid(logit(shift + scale * u)))));
    const say = (x) => x.toFixed(2).replace("-", "−");
    note.textContent = `Round ${(path.length - 1).toLocaleString("en")}: shift ${say(shift)}, scale ${say(scale)}, V(D, G) = ${say(real + fake)}`;
    root.dataset.state = JSON.stringify({ round: path.length - 1, w, shift, scale, set });
  }

  reset();
  draw();
}
