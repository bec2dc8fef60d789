"use strict";
// Words and figures for people.

// What each kind of alert means, in the words of health.
const kinds = { "stall": "unusable", "stall-predicted": "poor", "degraded": "fair", "clear": "excellent" };
const kindWords = { "stall": "stall", "stall-predicted": "stall ahead", "degraded": "degraded", "clear": "clear" };
const rank = ["unknown", "excellent", "fair", "poor", "unusable"];

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

const known = (v) => v !== null && v !== undefined;
const time = (v) => !known(v) ? "–" : v > 0 && v < 0.001 ? "<1 ms" : Math.abs(v) < 1 ? `${Math.round(v * 1000)} ms` : `${v.toFixed(1)} s`;
const seconds = (v) => !known(v) ? "–" : `${v.toFixed(Math.abs(v) < 1 ? 2 : 1)} s`.replace("-", "−");
const percent = (v) => !known(v) ? "–" : v === 0 ? "0 %" : v < 0.001 ? "<0.1 %" : `${(v * 100).toFixed(1)} %`;
const bits = (v) => !known(v) ? "–" : v < 1e6 ? `${Math.round(v / 1e3)} kbit/s` : `${(v / 1e6).toFixed(1)} Mbit/s`;
const bytes = (v) => v < 1e3 ? `${v} B` : v < 1e6 ? `${Math.round(v / 1e3)} kB` : `${(v / 1e6).toFixed(1)} MB`;
const clock = (t) => t.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const inUnit = (v, unit) => ({ s: time, bytes, share: percent, percent: (p) => `${p.toFixed(1)} %` }[unit] || ((n) => `${+n.toFixed(n < 10 ? 1 : 0)} ${unit}`))(v);
// words makes words of a name: kernelDrops, kernel_drops.
const words = (name) => name.replace(/([a-z])([A-Z])/g, "$1 $2").replace(/[_-]/g, " ").replace(/ s$/, "").toLowerCase()
  .replace(/\b(pli|nack|rtp|rtcp|cpu|psi|gc|fps)\b/g, (w) => w.toUpperCase()).replace(/^./, (c) => c.toUpperCase());
