function epoch_player(root, data) {
  const body = root.querySelector(".live-body");
  const columns = root.clientWidth < 520 ? 4 : 8;
  const rows = Math.ceil(data.count / columns);
  const width = columns === 4 ? 320 : 640, tile = width / columns;
  const plot = data.losses ? 150 : 0;
  const last = data.epochs.length - 1, end = data.epochs[last];
  const row = make("div", { className: "live-row" }, body);
  const { context } = canvas(body, width, rows * tile + plot, root.getAttribute("aria-label"));
  const sheet = new Image();
  let frame = last;  // the result first; Play begins at the beginning

  const play = player(row, () => {
    show(frame + 1);
    return frame < last;
  }, 2);
  // Pressed at the end, the button begins again; this comes before the player's own listener acts.
  play.addEventListener("click", () => { if (frame === last) show(0); }, true);
  const where = slider(row, "epoch", {
    min: 0, max: last, step: 1, value: last, show: (i) => `${data.epochs[i]} of ${end}`,
  }, (i) => { play.stop(); show(i); });

  function show(i) {
    frame = i;
    where.put(i);
    const s = data.side;
    context.clearRect(0, 0, width, rows * tile + plot);
    context.imageSmoothingEnabled = false;
    for (let k = 0; k < data.count; k++) {
      const x = (k % columns) * tile, y = Math.floor(k / columns) * tile;
      context.drawImage(sheet, k * s, i * s, s, s, x + 1, y + 1, tile - 2, tile - 2);
    }
    if (data.losses) drawLosses(rows * tile);
    root.dataset.state = JSON.stringify({ frame, epoch: data.epochs[i] });
  }

  function drawLosses(top) {
    const { loss_d: d, loss_g: g } = data.losses;
    const high = Math.max(...d, ...g) * 1.1;
    const left = 40, right = width - 8, low = top + plot - 26;
    const x = (epoch) => left + (right - left) * epoch / Math.max(1, end);
    const y = (loss) => low - (plot - 56) * loss / high;
    context.font = "13px system-ui, sans-serif";
    context.lineWidth = 1;
    context.strokeStyle = COLOURS.line;
    context.fillStyle = COLOURS.real;
    context.textAlign = "right";
    for (let tick = 0; tick <= high; tick += high > 4 ? 2 : 1) {
      context.beginPath(); context.moveTo(left, y(tick)); context.lineTo(right, y(tick)); context.stroke();
      context.fillText(tick, left - 6, y(tick) + 4);
    }
    context.textAlign = "left";
    context.fillText("epoch", left, low + 20);
    context.textAlign = "right";
    context.fillText(end, right, low + 20);
    for (const [name, losses, colour, at] of [["loss of D", d, COLOURS.d, left], ["loss of G", g, COLOURS.g, left + 90]]) {
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = 2;
      context.beginPath();
      losses.forEach((loss, i) => context.lineTo(x(i + 1), y(loss)));
      context.stroke();
      context.textAlign = "left";
      context.fillText(name, at, top + 20);
      const now = losses[data.epochs[frame] - 1];
      if (now !== undefined) {
        context.beginPath(); context.arc(x(data.epochs[frame]), y(now), 4, 0, 7); context.fill();
      }
    }
  }

  sheet.onload = () => show(frame);
  sheet.src = data.sheet;
}
