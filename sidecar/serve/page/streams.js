// The table of streams.
const shownStreams = 100; // until somebody asks for all
let sort = { key: "health", down: true }, whole = false;

const columns = [
  { key: "health", head: "Health", cls: "text", down: true, value: (s) => rank.indexOf(s.verdict.health), text: (s) => s.verdict.health },
  { key: "name", head: "Stream", cls: "text", value: (s) => s.name, text: (s) => s.name },
  { key: "src", head: "From", cls: "text wide", value: (s) => s.src || "", text: (s) => s.src || s.transport },
  { key: "cause", head: "Cause", cls: "text mid", value: (s) => s.verdict.cause || "", text: (s) => s.verdict.cause || "–" },
  { key: "eta", head: "To stall", value: (s) => forecast(s).stalled ? 0 : forecast(s).eta_s, text: (s) => forecast(s).stalled ? "now" : seconds(forecast(s).eta_s) },
  { key: "left", head: "Buffer left", cls: "mid", value: (s) => forecast(s).left_s, text: (s) => seconds(forecast(s).left_s) },
  { key: "loss", head: "Lost", down: true, value: (s) => s.window.packetLoss, text: (s) => percent(s.window.packetLoss) },
  { key: "drops", head: "Kernel drops", cls: "wide", down: true, value: (s) => s.totals.kernelDrops, text: (s) => s.totals.kernelDrops.toLocaleString("en") },
  { key: "jitter", head: "Jitter", cls: "mid", down: true, value: (s) => s.window.jitterSeconds, text: (s) => time(s.window.jitterSeconds) },
  { key: "fps", head: "Frames/s", cls: "wide", value: (s) => s.window.framesPerSecond, text: (s) => known(s.window.framesPerSecond) ? s.window.framesPerSecond.toFixed(1) : "–" },
  { key: "gop", head: "GOP", cls: "wide", down: true, value: (s) => s.window.gopSeconds, text: (s) => known(s.window.gopSeconds) ? `${+s.window.gopFrames.toFixed(1)} · ${seconds(s.window.gopSeconds)}` : "–" },
  { key: "gap", head: "Key frame", cls: "wide", down: true, value: (s) => s.window.keyFrameGapSeconds, text: (s) => known(s.window.keyFrameGapSeconds) ? `${seconds(s.window.keyFrameGapSeconds)} ago` : "–" },
  { key: "rate", head: "Rate", cls: "mid", down: true, value: (s) => s.window.bitsPerSecond, text: (s) => bits(s.window.bitsPerSecond) },
];
const rows = new Map();

function heads() {
  $("heads").replaceChildren(...columns.map((c) => {
    const head = make("th", c.cls), button = make("button", "sort", c.head);
    head.scope = "col";
    if (c.key === sort.key) head.ariaSort = sort.down ? "descending" : "ascending";
    button.type = "button";
    button.addEventListener("click", () => {
      sort = { key: c.key, down: c.key === sort.key ? !sort.down : Boolean(c.down) };
      heads();
      renderStreams();
      $("heads").children[columns.indexOf(c)].firstElementChild.focus();
    });
    head.append(button);
    return head;
  }));
}

function row(stream) {
  const tr = make("tr");
  for (const c of columns) {
    const cell = make("td", c.cls);
    if (c.key === "health") cell.append(make("span", "grade"));
    if (c.key === "name") {
      const button = make("button", "pick");
      button.type = "button";
      button.title = "Show this stream alone";
      button.addEventListener("click", () => { scope = scope === stream.key ? "" : stream.key; render(); loadHistory(); });
      cell.append(button);
    }
    tr.append(cell);
  }
  return tr;
}

function renderStreams() {
  const by = columns.find((c) => c.key === sort.key), sign = sort.down ? -1 : 1;
  const wanted = $("filter").value.trim().toLowerCase();
  const list = status.streams.filter((s) => !wanted || `${s.name} ${s.src} ${s.verdict.health} ${s.verdict.cause}`.toLowerCase().includes(wanted));
  list.sort((a, b) => {
    const x = by.value(a), y = by.value(b);
    if (known(x) !== known(y)) return known(x) ? -1 : 1; // what is not known comes last
    return (x < y ? -sign : x > y ? sign : 0) || (a.name < b.name ? -1 : 1);
  });
  const matching = list.length;
  if (!whole) list.length = Math.min(matching, shownStreams);
  const body = $("rows"), there = new Set(list.map((s) => s.key));
  for (const [key, tr] of rows) if (!there.has(key)) { tr.remove(); rows.delete(key); }
  list.forEach((s, i) => {
    let tr = rows.get(s.key);
    if (!tr) rows.set(s.key, tr = row(s));
    if (body.children[i] !== tr) body.insertBefore(tr, body.children[i] || null);
    tr.dataset.health = s.verdict.health;
    tr.ariaSelected = String(s.key === scope);
    columns.forEach((c, k) => {
      const cell = tr.children[k], text = c.text(s);
      put(cell.firstElementChild || cell, text);
      cell.classList.toggle("none", text === "–");
    });
  });
  $("no-streams").hidden = list.length > 0;
  put($("no-streams"), status.streams.length ? "No stream matches." : "No stream is watched.");
  const more = status.totalStreams - status.streams.length;
  put($("count"), `${status.totalStreams}${more > 0 ? `, the worst ${status.streams.length} of them here` : ""}`);
  $("whole").hidden = matching <= list.length;
  put($("whole"), `Show all ${matching}`);
  $("search").hidden = status.totalStreams < 8;
}
