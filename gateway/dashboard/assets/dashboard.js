// The dashboard's whole script: buttons call the admin API, and the page follows what happens.
"use strict";

const $ = (id) => document.getElementById(id);
const csrf = document.querySelector('meta[name="csrf"]').content;

function say(text, bad) {
  const said = $("said");
  said.textContent = text;
  said.className = bad ? "said bad" : "said";
  said.hidden = false;
  clearTimeout(say.later);
  say.later = setTimeout(() => { said.hidden = true; }, bad ? 12000 : 5000);
}

// Not crypto.randomUUID: over plain HTTP on a private network browsers have none.
const newKey = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (n) => n.toString(16).padStart(2, "0")).join("");

async function call({ method, path, body }) {
  const headers = { "X-Operator-Csrf": csrf, "Idempotency-Key": newKey(), Accept: "application/json" };
  if (body) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body ? JSON.stringify(body) : undefined });
  if (answer.status === 401) { location.assign("/sign-in?next=" + encodeURIComponent(location.pathname + location.search)); }
  const told = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) throw new Error(`${told.title}: ${told.detail}`);
  return told;
}

function ask(title, content, yes) {
  const dialog = $("ask");
  $("ask-title").textContent = title;
  $("ask-text").replaceChildren(content);
  $("ask-yes").textContent = yes;
  $("ask-yes").hidden = false;
  $("ask-no").textContent = "Leave it";
  dialog.returnValue = "no";
  dialog.showModal();
  $("ask-no").focus();
  return new Promise((done) => dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true }));
}

const paragraph = (text) => Object.assign(document.createElement("p"), { textContent: text });

// What a form says, as the body of its call. An empty field says nothing.
function filled(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name) continue;
    const text = field.value.trim();
    if (field.type === "checkbox") body[field.name] = field.checked;
    else if (text && field.dataset.as === "numbers") body[field.name] = text.split(/[\s,]+/).filter(Boolean).map(Number);
    else if (text && field.type === "number") body[field.name] = Number(text) * Number(field.dataset.times || 1);
    else if (text) body[field.name] = text;
  }
  return body;
}

// A link that is good once: it is shown here and nowhere else.
function hand(url) {
  const content = document.createElement("div");
  const link = Object.assign(document.createElement("a"), { href: url, target: "_blank", rel: "noopener noreferrer", className: "button", textContent: "Open the Machine" });
  const text = Object.assign(document.createElement("input"), { value: url, readOnly: true });
  text.setAttribute("aria-label", "The link");
  text.addEventListener("focus", () => text.select());
  content.append(paragraph("Good once, within five minutes, and shown here only. The user sees that you come, and why."), text, link);
  ask("The visit is granted", content, "");
  $("ask-yes").hidden = true;
  $("ask-no").textContent = "Close";
}

async function press(button, form) {
  const wanted = JSON.parse((form || button).dataset.call);
  if (form) wanted.body = filled(form);
  if (wanted.confirm && !(await ask(wanted.label + "?", paragraph(wanted.confirm), wanted.label))) return;
  button.disabled = true;
  say(`${wanted.label}: under way…`);
  try {
    const told = await call(wanted);
    say(told && told.state ? `${wanted.label}: it is ${told.state} now.` : `${wanted.label}: done.`);
    if (form) form.reset();
    if (told && told.url) hand(told.url);
    if (wanted.then) location.assign(wanted.then);
  } catch (fault) {
    say(fault.message, true);
  }
  button.disabled = false;
  refresh();
}

// What an order would do to an Instance in this state, said before it is given.
const ASLEEP = ["suspended", "stopped"];
function forecast(action, state) {
  if (action === "start") return state === "active" ? "runs already: looked at, and left" : "will be brought up";
  if (action === "restart") return "stopped and started; open requests are cut";
  if (action === "suspend" && ASLEEP.includes(state)) return "sleeps already: nothing to do";
  if (action === "stop" && state === "stopped") return "is stopped already: nothing to do";
  return state === "active" ? "put to sleep; open requests are cut" : `will be asked to, though it is ${state}`;
}

async function bulk(action) {
  const picked = [...document.querySelectorAll(".pick:checked")].map((box) => ({ id: box.value, ...box.dataset }));
  const list = document.createElement("ul");
  for (const each of picked) {
    const line = document.createElement("li");
    each.word = Object.assign(document.createElement("span"), { className: "soft", textContent: forecast(action, each.state) });
    line.append(Object.assign(document.createElement("span"), { textContent: each.email }), each.word);
    list.append(line);
  }
  const meter = Object.assign(document.createElement("progress"), { max: picked.length, value: 0, hidden: true });
  meter.setAttribute("aria-label", "Done so far");
  const content = document.createElement("div");
  content.append(paragraph("Nothing is done yet. This is what would happen:"), list, meter);
  const label = action[0].toUpperCase() + action.slice(1);
  if (!(await ask(`${label} ${picked.length} Instance${picked.length > 1 ? "s" : ""}?`, content, label))) return;
  content.firstChild.textContent = "";
  meter.hidden = false;
  $("ask-yes").hidden = true;
  $("ask-no").textContent = "Close";
  $("ask").showModal();
  let failed = 0;
  const waiting = [...picked];
  const work = async () => {
    for (let each = waiting.shift(); each; each = waiting.shift()) {
      each.word.textContent = "under way…";
      try {
        each.word.textContent = (await call({ method: "POST", path: `/v1/instances/${each.id}/${action}` })).state;
      } catch (fault) {
        failed += 1;
        each.word.textContent = fault.message;
        each.word.className = "bad";
      }
      meter.value += 1;
    }
  };
  await Promise.all([work(), work(), work(), work()]);
  content.firstChild.textContent = failed ? `${failed} of ${picked.length} failed.` : `All ${picked.length} done.`;
  refresh();
}

function choose() {
  const bar = $("bulk");
  if (!bar) return;
  const n = document.querySelectorAll(".pick:checked").length;
  bar.hidden = n === 0;
  $("chosen").textContent = `${n} chosen`;
}

// The page as the server draws it now, part by part; what somebody is using is left alone.
let busy = false;
let again = false;
async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.ok) {
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of document.querySelectorAll("[data-fresh]")) {
        const next = fresh.querySelector(`[data-fresh="${part.dataset.fresh}"]`);
        const used = part.contains(document.activeElement) && document.activeElement !== document.body;
        if (!next || used || part.querySelector(".pick:checked, details[open], button[disabled]")) continue;
        if (part.innerHTML !== next.innerHTML) part.replaceWith(document.adoptNode(next));
      }
      document.title = fresh.title;
    }
  } catch { /* the stream says that we are cut off */ }
  busy = false;
  if (again) { again = false; soon(); }
}
let planned = 0;
function soon() {
  if (!planned) planned = setTimeout(() => { planned = 0; refresh(); }, 700);
}

function live(how, words) {
  $("live").dataset.live = how;
  $("live").textContent = words;
}
function follow() {
  const stream = new EventSource("/v1/events");
  stream.onopen = () => live("on", "live");
  stream.onerror = () => {
    live("off", "cut off");
    if (stream.readyState === EventSource.CLOSED) setTimeout(follow, 5000);
  };
  for (const action of ["create", "ready", "fail", "retry", "drain", "hit", "suspend", "stop", "asleep", "wake", "delete", "remove", "lost",
    "switch", "dead_letter", "flapping", "plan", "signup_waiting", "signup_admitted", "signup_refused", "signup_suspended", "extend", "image", "visit_granted", "visit_opened", "visit_ended",
    "rollout_start", "rollout_advance", "rollout_pause", "rollout_resume", "rollout_halt", "rollout_finish", "rollout_back"]) stream.addEventListener(action, soon);
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button && button.dataset.call) press(button);
  if (button && button.dataset.bulk) bulk(button.dataset.bulk);
});
document.addEventListener("change", (event) => {
  if (event.target.id === "all") for (const box of document.querySelectorAll(".pick")) box.checked = event.target.checked;
  choose();
});
document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.dataset.call) { event.preventDefault(); press(event.submitter, form); return; }
  if (!form.dataset.flip) return;
  event.preventDefault();
  const on = form.dataset.on !== "true";
  try {
    const body = { is_on: on, message: on ? form.elements.message.value : "" };
    await call({ method: "PUT", path: `/v1/switches/${form.dataset.flip}`, body });
    location.reload();
  } catch (fault) {
    say(fault.message, true);
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || /INPUT|SELECT|TEXTAREA/.test(event.target.tagName)) return;
  const search = document.querySelector("input[type=search]");
  if (search) { event.preventDefault(); search.focus(); }
});
choose();
follow();
setInterval(() => { if (!document.hidden) refresh(); }, 15000);
