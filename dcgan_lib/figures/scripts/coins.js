function coins(root, data) {
  const body = root.querySelector(".live-body");
  let { a, b } = data, heads = [], seed = 1;
  const top = make("div", { className: "live-row" }, body);
  const scale = { min: 0, max: data.most, step: 1 };
  slider(top, `only ${data.names[0]} right`, { ...scale, value: a }, (v) => { a = v; change(); });
  slider(top, `only ${data.names[1]} right`, { ...scale, value: b }, (v) => { b = v; change(); });
  const { context } = canvas(body, 420, 230, "Bars: how often fair coins give each number of heads");
  const buttons = make("div", { className: "live-row" }, body);
  button(buttons, "Flip all coins once", () => flip(1));
  button(buttons, "Flip them 1,000 times", () => flip(1000));
  button(buttons, "Forget the flips", change);
  const note = make("p", { className: "live-note", role: "status" }, body);

  // The chance of every number of heads, through logarithms, so that nothing gets too small.
  function chances(n) {
    const logs = [0];
    for (let k = 1; k <= n; k++) logs.push(logs[k - 1] + Math.log(n - k + 1) - Math.log(k));
    return logs.map((x) => Math.exp(x - n * Math.log(2)));
  }
  const uneven = (k) => Math.abs(2 * k - (a + b)) >= Math.abs(a - b);
  function random() { // mulberry32: the same flips at every visit
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  }
  function flip(times) {
    for (let i = 0; i < times; i++) {
      let count = 0;
      for (let j = 0; j < a + b; j++) count += random() < 0.5;
      heads.push(count);
    }
    draw();
  }
  function change() { heads = []; seed = 1; draw(); }

  function draw() {
    const n = a + b, p = chances(n), low = 190, highest = Math.max(...p);
    const half = Math.max(4, Math.min(n / 2, 4 * Math.sqrt(n / 4) + 1, n), Math.abs(a - b) / 2 + 2);
    const from = Math.max(0, Math.floor(n / 2 - half)), to = Math.min(n, Math.ceil(n / 2 + half));
    const wide = 380 / (to - from + 1), x = (k) => 20 + (k - from) * wide;
    context.clearRect(0, 0, 420, 230);
    for (let k = from; k <= to; k++) {
      context.fillStyle = uneven(k) ? COLOURS.real : COLOURS.line;
      const tall = (140 * p[k]) / highest;
      context.fillRect(x(k) + wide * 0.08, low - tall, wide * 0.84, tall);
    }
    if (heads.length) {
      const counts = new Map();
      for (const k of heads) counts.set(k, (counts.get(k) || 0) + 1);
      context.strokeStyle = "#7a4a9e";
      context.lineWidth = 2;
      for (const [k, count] of counts) {
        if (k < from || k > to) continue;
        const y = low - Math.min(165, (140 * count) / (heads.length * highest));
        context.beginPath();
        context.moveTo(x(k), y);
        context.lineTo(x(k) + wide, y);
        context.stroke();
      }
    }
    context.fillStyle = "#22252a";
    context.font = "15px system-ui, sans-serif";
    context.textAlign = "center";
    const ticks = [...new Set([from, Math.round(n / 2), to])];
    for (const k of ticks) context.fillText(k, x(k) + wide / 2, low + 18);
    context.fillText(`heads among ${n} fair coins`, 210, low + 37);
    const here = x(a) + wide / 2;
    context.beginPath();
    context.moveTo(here, low - 2);
    context.lineTo(here, 26);
    context.strokeStyle = COLOURS.real;
    context.lineWidth = 1.5;
    context.stroke();
    context.textAlign = here > 210 ? "right" : "left";
    context.fillText(`you saw ${a}`, here + (here > 210 ? 8 : -8), 18);
    const chance = n ? p.reduce((sum, q, k) => sum + (uneven(k) ? q : 0), 0) : 1;
    const shown = chance < 0.0001 ? "less than 0.0001" : chance.toFixed(4);
    note.textContent = `Chance of a split at least as uneven as ${a} : ${b}: p = ${shown}.`;
    const odd = heads.filter(uneven).length;
    if (heads.length) {
      note.textContent += ` Of ${heads.length.toLocaleString("en")} flips of all coins, ${odd} were.`;
    }
    root.dataset.state = JSON.stringify({ a, b, p: chance, flips: heads.length, odd });
  }
  draw();
}
