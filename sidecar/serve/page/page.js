// The page: what the status, the plot and the alerts say, kept current.
const askedStreams = 500, staleAfter = 3000; // milliseconds

let status = null, history = null, depth = Number(recall("buffer", "2")), scope = "";
let receivedAt = 0, changedAt = 0, trouble = "", looking = false;

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
  let big = "None in sight", note = left ? `${seconds(Math.max(0, left.left_s))} left of a ${depth} s buffer` : "What is left in the buffer is not known.";
  if (!left && !soonest) big = "Not known";
  if (!list.length) [big, note] = ["–", ""];
  if (soonest) [big, note] = [seconds(soonest.eta_s), `${Math.round(soonest.confidence * 100)} % sure${scope || list.length === 1 ? "" : ", " + soonest.name}`];
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
  const lower = can && capture.lower;
  $("lower").hidden = !lower;
  if (lower) put($("lower"), `Lower resolution since ${clock(new Date(lower.since))}, as the network did not carry the source. `
    + (lower.until ? `If it stays calm, the source is tried again at ${clock(new Date(lower.until))}.` : "It stays so (--return-after 0)."));
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
  renderAlerts();
  if (history) plot.show({ ...history, alerts: shownAlerts() }, depth);
  plot.canvas.ariaLabel = `Plot of the last ten minutes: buffer left ${$("at-left").textContent}, lag ${$("at-lag").textContent}, packets lost ${$("at-loss").textContent}, dropped here ${$("at-dropped").textContent}. Arrow keys move through it.`;
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
    history.alerts.forEach(hear);
    listen();
  }
  render();
}

plot.onRead((v) => {
  put($("at-left"), seconds(v.left));
  put($("at-lag"), time(v.lag));
  put($("at-loss"), percent(v.loss));
  put($("at-dropped"), percent(v.dropped));
  put($("at-when"), v.at ? clock(v.at) : "now");
});
$("whole").addEventListener("click", () => { whole = true; renderStreams(); });
$("all").addEventListener("click", () => { scope = ""; render(); loadHistory(); });
$("look").addEventListener("click", () => { looking = true; $("live").dataset.asked = "yes"; render(); });
$("live").addEventListener("error", () => {
  $("live").removeAttribute("src"); // the next status asks again
});
$("filter").addEventListener("input", () => status && renderStreams());
document.addEventListener("visibilitychange", () => {
  listen();
  if (status) renderPicture();
  if (!document.hidden) loadStatus();
});
heads();
const every = (ms, f) => { const again = async () => { if (!document.hidden) await f(); setTimeout(again, ms); }; again(); };
every(1000, loadStatus);
every(2000, loadHistory);
setInterval(renderAge, 500);
