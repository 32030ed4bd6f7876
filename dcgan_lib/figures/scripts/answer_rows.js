function answer_rows(root, data) {
  const body = root.querySelector(".live-body"), width = 440, thumb = 24, step = 27, left = 112, perLine = 12;
  const { truth, answers, prices, names } = data, sources = Object.keys(answers);
  const ways = Object.keys(answers[sources[0]]), high = 2 * step + 6;
  const state = { source: sources[0], way: ways[0], price: 0 };
  const { context } = canvas(body, width, high * names.length, "Test images, sorted by the class answered");
  const row = make("div", { className: "live-row" }, body);
  const last = prices.length - 1;
  slider(row, "C", { min: 0, max: last, step: 1, value: 0, show: (i) => String(prices[i]) },
    (i) => { state.price = i; draw(); });
  const options = (list) => list.map((name) => [name, name]);
  choice(row, "input", options(sources), state.source, (name) => { state.source = name; draw(); });
  choice(row, "training", options(ways), state.way, (name) => { state.way = name; draw(); });
  const note = make("p", { className: "live-note", role: "status" }, body);
  const sheet = new Image();
  sheet.onload = draw;
  sheet.src = data.sprite;

  function draw() {
    const given = answers[state.source][state.way][state.price], filled = names.map(() => 0);
    context.clearRect(0, 0, width, high * names.length);
    names.forEach((name, c) => {
      context.fillStyle = c % 2 ? "#fafaf7" : "#f0efe8";
      context.fillRect(0, c * high, width, high);
      context.fillStyle = "#22252a";
      context.font = "15px system-ui, sans-serif";
      context.fillText(name, 6, c * high + high / 2 + 5, left - 12);
    });
    given.forEach((c, i) => {
      const inLine = Math.max(perLine, Math.ceil(given.filter((other) => other === c).length / 2));
      const apart = Math.min(step, (width - left - thumb - 3) / (inLine - 1)); // a full row overlaps
      const place = filled[c]++, s = data.side, from = [(i % 10) * s, Math.floor(i / 10) * s];
      const x = left + (place % inLine) * apart, y = c * high + 4 + Math.floor(place / inLine) * step;
      if (sheet.complete) context.drawImage(sheet, ...from, s, s, x, y, thumb, thumb);
      const right = c === truth[i];
      context.lineWidth = right ? 3 : 2;
      context.setLineDash(right ? [] : [3, 3]);
      context.strokeStyle = right ? "#1a6b34" : "#a3260f";
      context.strokeRect(x, y, thumb, thumb);
      context.setLineDash([]);
    });
    const hits = given.filter((c, i) => c === truth[i]).length, classes = new Set(given).size;
    note.textContent =
      `Classes answered: ${classes} of ${names.length}. Right (solid green frames): ${hits} of ${truth.length}.`;
    root.dataset.state = JSON.stringify({ ...state, C: prices[state.price], hits, classes });
  }
  draw();
}
