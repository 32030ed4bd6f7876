// Two bells and the best discriminator between them; the numbers are those of `best_discriminator`.
function gaussians_apart(root, data) {
  const body = root.querySelector(".live-body");
  const wide = Math.max(280, Math.min(600, body.clientWidth || 600));
  let d = data.distance;

  const density = (x, mean) => Math.exp(-0.5 * (x - mean) ** 2) / Math.sqrt(2 * Math.PI);
  const softplus = (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
  const belief = (x, distance) => 1 / (1 + Math.exp(distance * x)); // D*(x) = p / (p + q)

  function best(distance) {
    let loss = 0;
    for (let i = -2000; i <= 2000; i++) {
      const x = i / 100, logit = -distance * x;
      loss += density(x, -distance / 2) * softplus(-logit) + density(x, distance / 2) * softplus(logit);
    }
    loss /= 100;
    return { loss, jsd: Math.log(2) - loss / 2, wasserstein: Math.abs(distance) };
  }

  const rows = make("div", { className: "live-row" }, body);
  const show = (x) => x.toFixed(1);
  const move = slider(rows, "distance", { min: 0, max: data.farthest, step: 0.1, value: d, show }, (x) => { d = x; draw(); });
  const play = player(rows, () => {
    if (d >= data.farthest) { d = 0; move.put(0); } else { d = Math.min(data.farthest, Math.round(10 * d + 1) / 10); move.put(d); }
    draw();
    return d < data.farthest;
  }, 15);
  move.addEventListener("input", () => play.stop());
  const top = canvas(body, wide, 190, "Two bells, and D(x) falling from 1 to 0 between them");
  const bottom = canvas(body, wide, 190, "Loss of the best discriminator, and Wasserstein distance, over the distance");
  const note = make("p", { className: "live-note", role: "status" }, body);

  const reach = data.farthest / 2 + 3.2, left = 34, right = wide - 34;
  const curve = [];
  for (let i = 0; i <= 300; i++) curve.push(best((i / 300) * data.farthest).loss);

  function words(context, text, x, y, colour, align) {
    context.fillStyle = colour;
    context.textAlign = align || "center";
    context.fillText(text, x, y);
  }

  function path(context, f, from, to, atX, colour, width, dashes) {
    context.beginPath();
    for (let i = 0; i <= 300; i++) {
      const x = from + (i / 300) * (to - from);
      context.lineTo(atX(x), f(x));
    }
    context.setLineDash(dashes || []);
    context.lineWidth = width;
    context.strokeStyle = colour;
    context.stroke();
    context.setLineDash([]);
  }

  function frame(context, floor, ceiling) {
    context.clearRect(0, 0, wide, 190);
    context.font = "14px system-ui, sans-serif";
    context.lineWidth = 1;
    context.strokeStyle = COLOURS.line;
    context.strokeRect(left, ceiling, right - left, floor - ceiling);
  }

  function drawBells() {
    const { context } = top, floor = 178, ceiling = 28;
    frame(context, floor, ceiling);
    const atX = (x) => left + ((x + reach) / (2 * reach)) * (right - left);
    const atY = (share) => floor - share * (floor - ceiling - 4);
    for (const [mean, colour] of [[-d / 2, COLOURS.real], [d / 2, COLOURS.g]]) {
      const height = (x) => atY(density(x, mean) / 0.45);
      path(context, height, -reach, reach, atX, colour, 2);
      context.lineTo(right, floor);
      context.lineTo(left, floor);
      context.globalAlpha = 0.2;
      context.fillStyle = colour;
      context.fill();
      context.globalAlpha = 1;
    }
    path(context, (x) => atY(belief(x, d)), -reach, reach, atX, COLOURS.d, 2.5);
    words(context, "real", left, 18, COLOURS.real, "left");
    words(context, "generated", left + 40, 18, COLOURS.g, "left");
    words(context, "best D(x)", right, 18, COLOURS.d, "right");
    for (const share of [0, 0.5, 1]) words(context, String(share), right + 5, atY(share) + 5, COLOURS.d, "left");
  }

  function drawLoss(now) {
    const { context } = bottom, floor = 152, ceiling = 28, most = 1.5;
    frame(context, floor, ceiling);
    const atX = (x) => left + (x / data.farthest) * (right - left);
    const ofLoss = (loss) => floor - (loss / most) * (floor - ceiling);
    const ofWay = (way) => floor - (way / data.farthest) * (floor - ceiling);
    path(context, (x) => ofWay(x), 0, data.farthest, atX, COLOURS.real, 1.8, [6, 4]);
    path(context, (x) => ofLoss(curve[Math.round((x / data.farthest) * 300)]), 0, data.farthest, atX, COLOURS.d, 2.5);
    for (const [y, colour] of [[ofWay(now.wasserstein), COLOURS.real], [ofLoss(now.loss), COLOURS.d]]) {
      context.beginPath();
      context.arc(atX(d), y, 5, 0, 7);
      context.fillStyle = colour;
      context.fill();
    }
    words(context, "loss of the best D", left, 18, COLOURS.d, "left");
    words(context, "– – Wasserstein", right, 18, COLOURS.real, "right");
    for (const loss of [0, 0.5, 1, 1.5]) words(context, String(loss), left - 5, ofLoss(loss) + 5, COLOURS.d, "right");
    for (const way of [0, 6, 12]) {
      if (way <= data.farthest) words(context, String(way), right + 5, ofWay(way) + 5, COLOURS.real, "left");
    }
    for (let x = 0; x <= data.farthest; x += 2) words(context, String(x), atX(x), 170, "#22252a");
    words(context, "distance", (left + right) / 2, 187, "#22252a");
  }

  function draw() {
    const now = best(d);
    drawBells();
    drawLoss(now);
    note.textContent =
      `Distance ${d.toFixed(1)}: loss of the best D ${now.loss.toFixed(4)}, ` +
      `Jensen–Shannon divergence ${now.jsd.toFixed(4)}, Wasserstein distance ${now.wasserstein.toFixed(1)}`;
    root.dataset.state = JSON.stringify({ distance: d, ...now });
  }
  draw();
}
