// The plot: what is left in the viewer's buffer and the lag above, loss below,
// health as a ribbon between them, alerts as lines through all.
const plot = (() => {
  const canvas = document.getElementById("plot");
  const pen = canvas.getContext("2d");
  let data = null, depth = 2, cursor = null, onRead = () => {};
  const room = { left: 40, right: 8, top: 14, bottom: 22 };

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const column = () => (data.left || []).find((c) => c.buffer_s === depth);

  // nice returns the least of 1, 2, 5 times a power of ten that is not below v.
  function nice(v) {
    const power = 10 ** Math.floor(Math.log10(v));
    return [1, 2, 5, 10].map((m) => m * power).find((m) => m >= v - 1e-9);
  }

  function layout() {
    const width = canvas.clientWidth, height = canvas.clientHeight, ratio = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    const inner = height - room.top - room.bottom;
    return {
      width, height, x0: room.left, x1: width - room.right,
      upper: { y0: room.top, y1: room.top + inner * 0.66 },
      ribbon: { y0: room.top + inner * 0.66 + 6, y1: room.top + inner * 0.66 + 12 },
      lower: { y0: room.top + inner * 0.66 + 24, y1: height - room.bottom },
    };
  }

  // path draws a line through what is known, with gaps where nothing is.
  function path(values, x, y) {
    pen.beginPath();
    let down = false;
    values.forEach((v, i) => {
      if (v === null) { down = false; return; }
      if (down) pen.lineTo(x(i), y(v)); else pen.moveTo(x(i), y(v));
      down = true;
    });
  }

  function area(values, x, y, base) {
    pen.beginPath();
    let start = -1;
    for (let i = 0; i <= values.length; i++) {
      const known = i < values.length && values[i] !== null;
      if (known && start < 0) { start = i; pen.moveTo(x(i), y(base)); }
      if (known) pen.lineTo(x(i), y(values[i]));
      if (!known && start >= 0) { pen.lineTo(x(i - 1), y(base)); pen.closePath(); start = -1; }
    }
  }

  function text(words, x, y, align, tone) {
    pen.fillStyle = tone;
    pen.textAlign = align;
    pen.fillText(words, x, y);
  }

  function draw() {
    const at = layout();
    pen.clearRect(0, 0, at.width, at.height);
    const soft = color("soft"), line = color("line");
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    if (!data || !data.lag_s) {
      text(data && !data.kept ? "No plot is kept for this stream: there are too many." : "No data yet.", at.width / 2, at.height / 2, "center", soft);
      return;
    }
    const n = data.lag_s.length, left = (column() || { left_s: [] }).left_s;
    const x = (i) => at.x0 + (i + 0.5) * (at.x1 - at.x0) / n;
    const known = (list) => list.filter((v) => v !== null);
    // Above: from a little below 0 to what is needed, in whole steps.
    const most = Math.max(depth, ...known(data.lag_s), ...known(left)), least = Math.min(0, ...known(left));
    const step = nice(Math.max(most - least, 0.1) / 4);
    const high = Math.ceil(most / step - 1e-9) * step, low = Math.floor(least / step + 1e-9) * step;
    const y = (v) => at.upper.y1 - (v - low) / (high - low) * (at.upper.y1 - at.upper.y0);
    for (let k = Math.round(low / step); k <= Math.round(high / step); k++) {
      const v = k * step;
      pen.fillStyle = v === 0 ? soft : line;
      pen.fillRect(at.x0, Math.round(y(v)), at.x1 - at.x0, 1);
      text(`${+v.toFixed(3)} s`.replace("-", "−"), at.x0 - 6, y(v), "right", soft);
    }
    // Below: what was lost before and dropped here, at least to 1 %.
    const both = data.loss.map((v, i) => (v || 0) + (data.dropped[i] || 0));
    const lossTop = nice(Math.max(0.01, ...both));
    const yLoss = (v) => at.lower.y1 - v / lossTop * (at.lower.y1 - at.lower.y0);
    for (const v of [0, lossTop]) {
      pen.fillStyle = line;
      pen.fillRect(at.x0, Math.round(yLoss(v)), at.x1 - at.x0, 1);
      text(`${+(v * 100).toFixed(1)} %`, at.x0 - 6, yLoss(v), "right", soft);
    }
    // Minutes.
    const wide = at.width > 600 ? 60 : 120;
    for (let s = 0; s < n; s += wide) {
      const words = s === 0 ? "now" : `−${s / 60} min`;
      text(words, Math.min(x(n - 1 - s), at.x1), at.height - 8, s === 0 ? "right" : "center", soft);
    }
    // Alerts, behind the curves.
    const end = Date.parse(data.end);
    const seen = new Set();
    for (const a of data.alerts || []) {
      const i = n - 1 - Math.round((end - Date.parse(a.ts)) / 1000 / data.step_s);
      const tone = color(kinds[a.kind] || "unknown");
      if (i < 0 || i >= n || seen.has(i + a.kind)) continue;
      seen.add(i + a.kind);
      pen.fillStyle = tone;
      pen.globalAlpha = 0.35;
      pen.fillRect(Math.round(x(i)), at.upper.y0 - 4, 1, at.lower.y1 - at.upper.y0 + 4);
      pen.globalAlpha = 1;
      pen.beginPath();
      pen.moveTo(x(i) - 5, at.upper.y0 - 12);
      pen.lineTo(x(i) + 5, at.upper.y0 - 12);
      pen.lineTo(x(i), at.upper.y0 - 3);
      pen.fill();
    }
    pen.save();
    pen.beginPath();
    pen.rect(at.x0, 0, at.x1 - at.x0, at.height);
    pen.clip();
    area(left, x, y, 0);
    pen.globalAlpha = 0.14;
    pen.fillStyle = color("left");
    pen.fill();
    pen.globalAlpha = 1;
    pen.lineJoin = "round";
    path(left, x, y);
    pen.strokeStyle = color("left");
    pen.lineWidth = 2;
    pen.stroke();
    path(data.lag_s, x, y);
    pen.strokeStyle = color("lag");
    pen.lineWidth = 1.5;
    pen.setLineDash([4, 3]);
    pen.stroke();
    pen.setLineDash([]);
    const bar = (at.x1 - at.x0) / n;
    both.forEach((sum, i) => {
      if (!sum) return;
      const lost = data.loss[i] || 0, width = Math.max(bar, 1.2);
      pen.fillStyle = color("dropped");
      pen.fillRect(x(i) - bar / 2, yLoss(sum), width, yLoss(lost) - yLoss(sum));
      pen.fillStyle = color("loss");
      pen.fillRect(x(i) - bar / 2, yLoss(lost), width, yLoss(0) - yLoss(lost));
    });
    data.health.forEach((word, i) => {
      if (word === "unknown") return;
      pen.fillStyle = color(word);
      pen.fillRect(x(i) - bar / 2, at.ribbon.y0, bar + 0.5, at.ribbon.y1 - at.ribbon.y0);
    });
    pen.restore();
    if (cursor !== null) {
      pen.fillStyle = soft;
      pen.fillRect(Math.round(x(cursor)), at.upper.y0 - 4, 1, at.lower.y1 - at.upper.y0 + 4);
    }
    read(left);
  }

  // read tells the values under the cursor, or the newest.
  function read(left) {
    const i = cursor === null ? data.lag_s.length - 1 : cursor;
    onRead({
      left: left[i] ?? null, lag: data.lag_s[i], loss: data.loss[i], dropped: data.dropped[i],
      at: cursor === null ? null : new Date(Date.parse(data.end) - (data.lag_s.length - 1 - i) * data.step_s * 1000),
    });
  }

  function move(to) {
    if (!data || !data.lag_s) return;
    cursor = to === null ? null : Math.max(0, Math.min(data.lag_s.length - 1, to));
    draw();
  }
  canvas.addEventListener("pointermove", (e) => {
    if (!data || !data.lag_s) return;
    const at = layout(), n = data.lag_s.length;
    move(Math.floor((e.offsetX - at.x0) / (at.x1 - at.x0) * n));
  });
  canvas.addEventListener("pointerleave", () => move(null));
  canvas.addEventListener("blur", () => move(null));
  canvas.addEventListener("keydown", (e) => {
    const n = data && data.lag_s ? data.lag_s.length : 0, by = e.shiftKey ? 30 : 1;
    const to = { ArrowLeft: (cursor ?? n) - by, ArrowRight: (cursor ?? n) + by, Home: 0, End: n - 1, Escape: null }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    move(to);
  });
  new ResizeObserver(() => draw()).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw());

  return {
    show(newData, newDepth) { data = newData; depth = newDepth; draw(); },
    onRead(f) { onRead = f; },
    canvas,
  };
})();
