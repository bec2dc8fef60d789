// What each kind of alert means, in the words of health.
const kinds = { "stall": "unusable", "stall-predicted": "poor", "degraded": "fair", "clear": "excellent" };
const kindWords = { "stall": "stall", "stall-predicted": "stall ahead", "degraded": "degraded", "clear": "clear" };
const rank = ["unknown", "excellent", "fair", "poor", "unusable"];
const askedStreams = 500, shownStreams = 100, shownAlerts = 50, staleAfter = 3000;

const $ = (id) => document.getElementById(id);
// put sets a text only where it changes, so that nothing is announced or laid
// out for nothing.
const put = (node, text) => { if (node.textContent !== text) node.textContent = text; };
const make = (tag, cls, text) => {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text !== undefined) node.textContent = text;
  return node;
};

const recall = (key, otherwise) => { try { return localStorage.getItem(key) ?? otherwise; } catch { return otherwise; } };
const remember = (key, value) => { try { localStorage.setItem(key, value); } catch { /* private mode */ } };

let status = null, history = null, alerts = [], depth = Number(recall("buffer", "2")), scope = "";
let receivedAt = 0, changedAt = 0, trouble = "", lastEvent = "", sort = { key: "health", down: true }, looking = false, whole = false;

// ---- figures
const known = (v) => v !== null && v !== undefined;
const time = (v) => !known(v) ? "–" : Math.abs(v) < 1 ? `${Math.round(v * 1000)} ms` : `${v.toFixed(1)} s`;
const percent = (v) => !known(v) ? "–" : v === 0 ? "0 %" : v < 0.001 ? "<0.1 %" : `${(v * 100).toFixed(1)} %`;
const bits = (v) => !known(v) ? "–" : v < 1e6 ? `${Math.round(v / 1e3)} kbit/s` : `${(v / 1e6).toFixed(1)} Mbit/s`;
const bytes = (v) => v < 1e3 ? `${v} B` : v < 1e6 ? `${Math.round(v / 1e3)} kB` : `${(v / 1e6).toFixed(1)} MB`;
const clock = (t) => t.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const inUnit = (v, unit) => ({ s: time, bytes, share: percent, percent: (p) => `${p.toFixed(1)} %` }[unit] || ((n) => `${+n.toFixed(2)} ${unit}`))(v);
// words makes words of a name: kernelDrops, kernel_drops.
const words = (name) => name.replace(/([a-z])([A-Z])/g, "$1 $2").replace(/[_-]/g, " ").replace(/ s$/, "").toLowerCase()
  .replace(/\b(pli|nack|rtp|rtcp|cpu|psi|gc|fps)\b/g, (w) => w.toUpperCase()).replace(/^./, (c) => c.toUpperCase());

const forecast = (stream) => (stream.verdict.forecasts || []).find((f) => f.buffer_s === depth) || {};
// worst is the stream that the top of the page is about.
function worst() {
  const streams = status.streams;
  if (scope) return streams.find((s) => s.key === scope);
  return streams.reduce((a, b) => !a || rank.indexOf(b.verdict.health) > rank.indexOf(a.verdict.health) ? b : a, null);
}

// ---- the top of the page
function renderHealth() {
  const stream = worst();
  if (scope && !stream) { scope = ""; return renderHealth(); }
  const verdict = stream ? stream.verdict : { health: status.health || "unknown", cause: status.cause };
  $("health").dataset.health = verdict.health;
  put($("word"), verdict.health);
  document.title = `${verdict.health} · ${status.pod || "debugsidecar"}`;
  put($("scope"), scope ? `of ${stream.name}` : status.totalStreams > 1 ? `of all ${status.totalStreams} streams` : "");
  $("all").hidden = !scope;
  const where = { camera: "the camera", network: "the network", node: "this node", decoder: "the decoder" };
  let cause = "No trouble is seen.";
  if (!stream) cause = "No stream is watched.";
  else if (verdict.health === "unknown") cause = "Not enough was seen yet.";
  else if (verdict.cause === "unclear") cause = "Nothing that is seen explains it.";
  else if (verdict.cause) cause = `Cause: ${where[verdict.cause] || verdict.cause}`;
  put($("cause"), cause);
  const notes = [];
  if (verdict.cause && !scope && status.totalStreams > 1) notes.push(`${stream.name} is the worst of ${status.totalStreams} streams.`);
  if (verdict.selfImpaired) notes.push("The probe itself is short of CPU or memory, so this is less certain.");
  for (const blind of verdict.blind || []) notes.push(`Not seen here: ${blind}.`);
  put($("cause-note"), notes.join(" "));
  const list = Object.entries(verdict.evidence || {}).map(([name, e]) => {
    const item = make("li", "", words(name) + " ");
    item.append(make("b", "", inUnit(e.value, e.unit)), ` ${[e.detail, e.scope].filter(Boolean).join(", ")}`);
    return item;
  });
  $("evidence").replaceChildren(...list);
}

function renderStall() {
  const list = scope ? status.streams.filter((s) => s.key === scope) : status.streams;
  const all = list.map((s) => ({ ...forecast(s), name: s.name }));
  const stalled = all.filter((f) => f.stalled);
  const soonest = all.filter((f) => known(f.eta_s)).sort((a, b) => a.eta_s - b.eta_s)[0];
  const left = all.filter((f) => known(f.left_s)).sort((a, b) => a.left_s - b.left_s)[0];
  let big = "None in sight", note = left ? `${time(Math.max(0, left.left_s))} left of a ${depth} s buffer` : "What is left in the buffer is not known.";
  if (!left && !soonest) big = "Not known";
  if (!list.length) [big, note] = ["–", ""];
  if (soonest) [big, note] = [`${soonest.eta_s.toFixed(1)} s`, `${Math.round(soonest.confidence * 100)} % sure${scope || list.length === 1 ? "" : ", " + soonest.name}`];
  if (stalled.length) [big, note] = ["Stalled now", scope || list.length === 1 ? "Viewers with this buffer are waiting." : `${stalled.length} of ${list.length} streams`];
  $("eta").parentElement.classList.toggle("soon", Boolean(soonest || stalled.length));
  put($("eta"), big);
  put($("eta-note"), note);
}

function renderDepths() {
  const list = [...new Set(status.streams.flatMap((s) => (s.verdict.forecasts || []).map((f) => f.buffer_s)))].sort((a, b) => a - b);
  const box = $("depths");
  box.parentElement.hidden = list.length === 0;
  if (list.length && !list.includes(depth)) depth = list[Math.min(3, list.length - 1)];
  if (box.dataset.list === list.join()) return;
  box.dataset.list = list.join();
  box.replaceChildren(...list.map((d) => {
    const label = make("label"), input = make("input");
    Object.assign(input, { type: "radio", name: "depth", value: d, checked: d === depth });
    input.addEventListener("change", () => { depth = d; remember("buffer", d); render(); });
    label.append(input, make("span", "", `${d} s`));
    return label;
  }));
}

function renderPicture() {
  const capture = status.capture, off = document.documentElement.dataset.pictures === "off";
  let why = "";
  if (off) why = "Pictures are off. A profile's parameter turns them on.";
  else if (!capture) why = "This probe watches packets only.";
  else if (capture.state === "absent") why = `There is no capture here: ${capture.why || "the worker is missing"}.`;
  const can = why === "";
  // Where looking opens a second session of the camera, it takes a click.
  const free = can && (capture.state === "playing" || capture.mode === "always");
  if (can && free && $("live").dataset.asked === undefined) looking = true;
  if (!can) looking = false;
  if (can && !looking) why = "Looking opens a session of its own to the source.";
  if (can && looking && capture.state !== "playing") why = `The capture is ${capture.state}${capture.why ? ": " + capture.why : ""}.`;
  const show = looking && !document.hidden;
  const img = $("live");
  if (show && !img.getAttribute("src")) img.src = `/live.mjpg?t=${Date.now()}`;
  if (!show && img.getAttribute("src")) img.removeAttribute("src");
  img.hidden = !(show && capture.state === "playing");
  $("no-picture").hidden = !img.hidden;
  put($("why-no-picture"), why || "No picture yet.");
  $("look").hidden = !(can && !looking);
  put($("picture-note"), can && capture.width && !img.hidden ? `${capture.width} × ${capture.height}, ${capture.fps.toFixed(0)} fps` : "");
}

// ---- alerts
function alertItem(a, fresh) {
  const item = make("li", fresh ? "new" : "");
  item.dataset.health = kinds[a.kind] || "unknown";
  const when = make("time", "", clock(new Date(a.ts)));
  when.dateTime = a.ts;
  const what = {
    "stall": `A ${a.buffer_s} s buffer has run out: viewers wait`, "stall-predicted": `A ${a.buffer_s} s buffer runs out in ${time(a.eta_s)}`,
    "degraded": "Packets are being dropped", "clear": a.buffer_s ? `Over for a ${a.buffer_s} s buffer` : "No more packets are dropped",
  }[a.kind] || a.kind;
  const text = make("div", "what", what);
  text.append(make("small", "", [a.stream, a.kind === "clear" ? "" : a.cause].filter(Boolean).join(" · ")));
  item.append(when, make("span", "kind", kindWords[a.kind] || a.kind), text);
  return item;
}

// inScope tells whether an alert is of the stream that is shown alone.
function inScope(a) {
  const stream = scope && status.streams.find((s) => s.key === scope);
  return !stream || (a.stream === stream.name && (a.src || "") === (stream.src || "") && a.ssrc === stream.ssrc);
}

function addAlert(a) {
  alerts.unshift(a);
  alerts.length = Math.min(alerts.length, shownAlerts);
  $("alerts").prepend(alertItem(a, true));
  while ($("alerts").childElementCount > shownAlerts) $("alerts").lastElementChild.remove();
  $("no-alerts").hidden = true;
}

function listen() {
  const source = new EventSource("/api/v1/alerts" + (lastEvent ? `?after=${encodeURIComponent(lastEvent)}` : ""));
  source.addEventListener("alert", (e) => { lastEvent = e.lastEventId; addAlert(JSON.parse(e.data)); });
  source.addEventListener("error", () => {
    if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself
    setTimeout(listen, 2000);
  });
}

// ---- what is known and what is not
function renderLimits() {
  const missing = Object.entries(status.notAvailable || {}).sort();
  const text = JSON.stringify([missing, status.advice]);
  if ($("missing").dataset.text === text) return;
  $("missing").dataset.text = text;
  $("missing").replaceChildren(...missing.map(([figure, needs]) => {
    const row = make("div");
    row.append(make("dt", "", words(figure)), make("dd", "", needs));
    return row;
  }));
  $("nothing-missing").hidden = missing.length > 0;
  $("advice").replaceChildren(...(status.advice || []).map((a) => make("li", "", a)));
  $("advice-part").hidden = !(status.advice || []).length;
}

// ---- the streams
const columns = [
  { key: "health", head: "Health", cls: "text", down: true, value: (s) => rank.indexOf(s.verdict.health), text: (s) => s.verdict.health },
  { key: "name", head: "Stream", cls: "text", value: (s) => s.name, text: (s) => s.name },
  { key: "src", head: "From", cls: "text wide", value: (s) => s.src || "", text: (s) => s.src || s.transport },
  { key: "cause", head: "Cause", cls: "text mid", value: (s) => s.verdict.cause || "", text: (s) => s.verdict.cause || "–" },
  { key: "eta", head: "To stall", value: (s) => forecast(s).stalled ? 0 : forecast(s).eta_s, text: (s) => forecast(s).stalled ? "now" : time(forecast(s).eta_s) },
  { key: "left", head: "Buffer left", cls: "mid", value: (s) => forecast(s).left_s, text: (s) => time(forecast(s).left_s) },
  { key: "loss", head: "Lost", down: true, value: (s) => s.window.packetLoss, text: (s) => percent(s.window.packetLoss) },
  { key: "drops", head: "Kernel drops", cls: "wide", down: true, value: (s) => s.totals.kernelDrops, text: (s) => s.totals.kernelDrops.toLocaleString("en") },
  { key: "jitter", head: "Jitter", cls: "mid", down: true, value: (s) => s.window.jitterSeconds, text: (s) => time(s.window.jitterSeconds) },
  { key: "fps", head: "Frames/s", cls: "wide", value: (s) => s.window.framesPerSecond, text: (s) => known(s.window.framesPerSecond) ? s.window.framesPerSecond.toFixed(1) : "–" },
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

// ---- all of it
function render() {
  if (!status) return;
  put($("pod"), [status.namespace, status.pod].filter(Boolean).join(" / "));
  put($("state"), status.state.toLowerCase());
  $("state").title = status.why || "";
  put($("tier"), status.tier);
  put($("version"), `debugsidecar ${status.version}`);
  renderDepths();
  renderHealth();
  renderStall();
  renderPicture();
  renderLimits();
  renderStreams();
  if (history) plot.show({ ...history, alerts: alerts.filter(inScope) }, depth);
  plot.canvas.ariaLabel = `Plot of the last ten minutes: buffer left ${$("at-left").textContent}, lag ${$("at-lag").textContent}, packets lost ${$("at-loss").textContent}. Arrow keys move through it.`;
}

function renderAge() {
  const now = Date.now(), silent = now - receivedAt, stuck = receivedAt - changedAt;
  let text = trouble;
  if (status && !text && silent > staleAfter) text = "The probe does not answer.";
  if (text && status && silent > staleAfter) text += ` What is shown is ${Math.round(silent / 1000)} s old. Trying again.`;
  if (!text && status && stuck > staleAfter) text = `The probe has not sampled for ${Math.round(stuck / 1000)} s.`;
  if (!text && status && status.state !== "Ready" && status.why) text = `${status.state}: ${status.why}`;
  const stale = Boolean(status) && (silent > staleAfter || stuck > staleAfter);
  document.body.classList.toggle("stale", stale);
  $("notice").classList.toggle("mild", !trouble && !stale);
  put($("notice"), text);
  $("notice").hidden = !text;
  put($("age"), !status ? "–" : stale ? `${Math.round(Math.max(silent, stuck) / 1000)} s ago` : "live");
}

async function load(path) {
  const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
  if (answer.status === 401) throw new Error("The token is not valid any more: open the page again with kubectl debugsidecar open POD.");
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

async function loadStatus() {
  try {
    const next = await load(`/api/v1/status?limit=${askedStreams}`);
    receivedAt = Date.now();
    if (!status || next.at !== status.at) changedAt = receivedAt;
    status = next;
    trouble = "";
  } catch (e) {
    const unreachable = e instanceof TypeError || e.name === "TimeoutError";
    trouble = !unreachable ? e.message : status ? "" : "The probe does not answer.";
  }
  render();
  renderAge();
}

async function loadHistory() {
  let next;
  try {
    next = await load("/api/v1/history" + (scope ? `?stream=${encodeURIComponent(scope)}` : ""));
  } catch {
    return; // the status tells of it
  }
  if ((next.stream || "") !== scope) return;
  history = next;
  if (!lastEvent) {
    lastEvent = history.lastEventId;
    alerts = history.alerts.slice(-shownAlerts).reverse();
    $("alerts").replaceChildren(...alerts.map((a) => alertItem(a, false)));
    $("no-alerts").hidden = alerts.length > 0;
    listen();
  }
  render();
}

plot.onRead((v) => {
  put($("at-left"), time(v.left));
  put($("at-lag"), time(v.lag));
  put($("at-loss"), percent(v.loss));
  put($("at-when"), v.at ? clock(v.at) : "now");
});
$("whole").addEventListener("click", () => { whole = true; renderStreams(); });
$("all").addEventListener("click", () => { scope = ""; render(); loadHistory(); });
$("look").addEventListener("click", () => { looking = true; $("live").dataset.asked = "yes"; render(); });
$("live").addEventListener("error", () => {
  $("live").removeAttribute("src"); // the next status asks again
});
$("filter").addEventListener("input", () => status && renderStreams());
document.addEventListener("visibilitychange", () => { if (status) renderPicture(); if (!document.hidden) loadStatus(); });
heads();
const every = (ms, f) => { const again = async () => { if (!document.hidden) await f(); setTimeout(again, ms); }; again(); };
every(1000, loadStatus);
every(2000, loadHistory);
setInterval(renderAge, 500);
