"use strict";
// The rules of view.py and words.py for a page that is already open: values in, values out, no DOM.

const RANK = { waiting: 0, running: 1, failed: 2, done: 3 };
const UNKNOWN_USUAL_S = 1, SLOW_FACTOR = 2, SLOW_BY_S = 0.5;

const weight = (step) => step.usual_s === null ? UNKNOWN_USUAL_S : Math.max(step.usual_s, 0.05);
const seconds = (value) => (value < 9.95 ? value.toFixed(1) : value.toFixed(0)) + " s";
const slot = (name) => name === "resume" ? "boot" : name; // a Machine does one or the other: the same line of the list

function filled(step) {
  if (step.state === "done") return 1;
  if (step.state === "waiting") return 0;
  const x = (step.took_s || 0) / weight(step);
  return x <= 1 ? 0.8 * x : 1 - 0.2 / (1 + 4 * (x - 1));
}

function bar(steps, before) {
  const whole = steps.reduce((sum, step) => sum + weight(step), 0);
  if (!whole) return before;
  if (steps.every((step) => step.state === "done")) return 1;
  return Math.max(before, steps.reduce((sum, step) => sum + weight(step) * filled(step), 0) / whole);
}

const slow = (steps) => steps.some((step) => step.state === "running" && step.usual_s !== null
  && (step.took_s || 0) > Math.max(step.slow_s ?? step.usual_s * SLOW_FACTOR, step.usual_s + SLOW_BY_S));

// The view `s` seconds later, if nothing else happens.
function aged(view, s) {
  const steps = view.steps.map((step) => step.state === "running" ? { ...step, took_s: (step.took_s || 0) + s } : step);
  return { ...view, steps, eta_s: view.eta_s === null ? null : Math.max(0, view.eta_s - s) };
}

// What to show after hearing `told`. No step goes back: news may arrive twice or late, from a stream and a poll at once,
// and from a replica that knows less. Only a new attempt clears a failed step. `since` may differ a little between two
// replicas' clocks, so it counts as new only when a second later; and nothing is dropped for being older, for the
// replica we happen to ask may be the only one left.
function forward(shown, told) {
  const fresh = told.attempt > shown.attempt || Date.parse(told.since) - Date.parse(shown.since) > 1000;
  const steps = shown.steps.map((old) => {
    const step = told.steps.find((each) => slot(each.name) === slot(old.name)) || old;
    if (told.ready) return { ...step, state: "done", took_s: step.took_s ?? old.took_s };
    if (old.state === "failed" && fresh) return step;
    if (RANK[step.state] < RANK[old.state]) return old;
    return { ...step, took_s: step.state === "running" && old.state === "running"
      ? Math.max(old.took_s || 0, step.took_s || 0) : step.took_s ?? old.took_s };
  });
  return { ...told, steps };
}

function heading(view, headings) {
  if (view.state === "failed") return headings.failed;
  if (view.place !== null) return headings.queued;
  return view.state === "provisioning" ? headings.first : headings.wake;
}

function toGo(view) {
  if (!view.eta_s || view.ready || slow(view.steps)) return "";
  const time = view.eta_s < 90 ? Math.ceil(view.eta_s) + " s" : Math.ceil(view.eta_s / 60) + " min";
  return view.state === "failed" ? `next attempt in about ${time}` : `about ${time} to go`;
}

function sentence(view, say, words) {
  if (view.ready) return say.ready;
  const place = view.place === null ? "" : view.place <= 1 ? say.next : say.place.replace("{n}", view.place);
  if (view.state === "failed" || view.steps.some((step) => step.state === "failed"))
    return `${view.error || say.failed} ${place}`.trim();
  if (place) return place;
  const running = view.steps.filter((step) => step.state === "running").pop();
  const said = slow(view.steps) ? say.slow : running ? words[running.name][1] : say.begin;
  if (view.attempt < 2) return said;
  const attempt = view.attempts >= view.attempt ? say.attempt_of.replace("{of}", view.attempts) : say.attempt;
  return `${said} ${attempt.replace("{n}", view.attempt)} ${view.error || ""}`.trim();
}

// Nothing happens any more: a wake was given up, and only asking for the Machine again begins another.
const asleep = (view) => ["suspended", "stopped"].includes(view.state)
  && !view.steps.some((step) => step.state === "running");

// Whether opening now would be the fourth time within a minute; `times` are the earlier ones, in ms.
const looping = (times, now) => times.filter((time) => now - time < 60000).length >= 3;
