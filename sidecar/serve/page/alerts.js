// The last alerts: those of the streams and of the buffer that the page is about.
const keptAlerts = 400, listedAlerts = 50, repeatsWithin = 30000; // milliseconds
let alerts = [], lastEvent = "", source = null; // the newest alert first

// hear takes an alert. A warning that stands is told again and again: to people it
// is one, since when and with its newest figures.
function hear(a) {
  const same = alerts.find((b) => b.stream === a.stream && b.src === a.src && b.ssrc === a.ssrc && b.buffer_s === a.buffer_s && (b.kind === a.kind || b.kind === "clear"));
  if (same && same.kind === a.kind && a.kind !== "clear" && Date.parse(a.ts) - Date.parse(same.heard) < repeatsWithin) {
    Object.assign(same, a, { ts: same.ts, heard: a.ts, times: same.times + 1 });
    return;
  }
  alerts.unshift({ ...a, heard: a.ts, times: 1 });
  alerts.length = Math.min(alerts.length, keptAlerts);
}

function shownAlerts() {
  const stream = scope && status.streams.find((s) => s.key === scope);
  return alerts.filter((a) => (!a.buffer_s || a.buffer_s === depth)
    && (!stream || (a.stream === stream.name && (a.src || "") === (stream.src || "") && a.ssrc === stream.ssrc)));
}

const items = new Map();

function alertItem(a) {
  const item = make("li", Date.parse(status.at) - Date.parse(a.ts) < 3000 ? "new" : "");
  item.dataset.health = kinds[a.kind] || "unknown";
  const when = make("time", "", clock(new Date(a.ts)));
  when.dateTime = a.ts;
  const text = make("div", "what");
  text.append(make("span"), make("small"));
  item.append(when, make("span", "kind", kindWords[a.kind] || a.kind), text);
  return item;
}

function renderAlerts() {
  const list = shownAlerts().slice(0, listedAlerts), body = $("alerts"), there = new Set(list);
  for (const [a, item] of items) if (!there.has(a)) { item.remove(); items.delete(a); }
  list.forEach((a, i) => {
    let item = items.get(a);
    if (!item) items.set(a, item = alertItem(a));
    if (body.children[i] !== item) body.insertBefore(item, body.children[i] || null);
    const [what, small] = item.lastElementChild.children;
    put(what, {
      "stall": "The buffer has run out: viewers wait", "stall-predicted": a.eta_s < 0.05 ? "The buffer runs out now" : `The buffer runs out in ${seconds(a.eta_s)}`,
      "degraded": "Packets are being dropped", "clear": a.buffer_s ? "Over: the buffer fills" : "Over: no more packets are dropped",
    }[a.kind] || a.kind);
    put(small, [a.stream, a.kind === "clear" ? "" : a.cause, a.times > 1 ? `told until ${clock(new Date(a.heard))}` : ""].filter(Boolean).join(" · "));
  });
  $("no-alerts").hidden = list.length > 0;
  put($("alerts-about"), $("depths").parentElement.hidden ? "" : `for a ${depth} s buffer`);
}

// listen hears alerts while the page is seen. A browser has six connections to a
// host, and pages that nobody sees would hold them.
function listen() {
  if (source) source.close();
  source = null;
  if (document.hidden || !lastEvent) return;
  const own = source = new EventSource(`/api/v1/alerts?after=${encodeURIComponent(lastEvent)}`);
  own.addEventListener("alert", (e) => { lastEvent = e.lastEventId; hear(JSON.parse(e.data)); if (status) renderAlerts(); });
  own.addEventListener("error", () => {
    if (own.readyState !== EventSource.CLOSED) return; // it tries again by itself
    setTimeout(() => { if (source === own) listen(); }, 2000);
  });
}
