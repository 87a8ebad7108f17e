// The chat page. All it knows of the world are relative links, so it works behind any prefix.
// It sends nothing unless somebody does something: a quiet page must let its machine fall asleep.
import { render } from "./render.js";

const $ = (id) => document.getElementById(id);
const log = $("log"), text = $("text"), scroll = $("scroll");
const FIRST_PAUSE_MS = 400, LONGEST_PAUSE_MS = 15_000;

let line = null;          // the WebSocket
let pause = FIRST_PAUSE_MS;
let timer = 0;
let lastId = 0;           // newest message that is shown
let draft = null;         // the answer that is coming in: {item, text}
let outbox = [];          // said, but not yet seen in the history: {client_id, text, item}
let answering = false;

// --- the line -------------------------------------------------------------------------------------

function connect() {
  clearTimeout(timer);
  if (line || document.hidden) return;   // nobody is looking: let the machine sleep
  show("connecting", lastId ? "waking…" : "connecting…");
  const url = new URL("ws", document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  url.searchParams.set("after", lastId);
  const socket = line = new WebSocket(url);
  socket.onmessage = (event) => hear(JSON.parse(event.data));
  socket.onclose = () => {
    if (line !== socket) return;
    line = null;
    answering = false;
    dropDraft();
    if (document.hidden) return show("asleep", "asleep");
    show("waiting", "waking…");
    // Spread out: after a restart of the gateway everybody comes back at once.
    timer = setTimeout(connect, pause * (0.5 + Math.random()));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  };
}

function show(state, words) {
  document.body.dataset.line = state;
  $("status-text").textContent = words;
}

function hear(event) {
  switch (event.type) {
    case "hello":
      pause = FIRST_PAUSE_MS;
      show("open", "awake");
      greet(event.email);
      dropDraft();
      event.messages.forEach(settle);
      if (event.so_far !== null) { answering = true; grow(event.so_far); }
      flush();
      break;
    case "message": settle(event.message); break;
    case "token": grow(event.text); break;
    case "error": note(event.text); break;
    case "idle": answering = false; dropDraft(); flush(); break;
  }
  $("welcome").hidden = log.children.length > 0;
}

function greet(email) {
  $("who").textContent = email;
  $("who").title = `Signed in as ${email}`;
  $("leave").hidden = !email; // without a gateway in front nobody is signed in, and nobody could sign out
  const name = email.split("@")[0].split(/[.+_-]/)[0];
  if (name) $("greeting").textContent = `Good to see you, ${name[0].toUpperCase()}${name.slice(1)}.`;
}

// --- saying ---------------------------------------------------------------------------------------

function say(words) {
  words = words.trim();
  if (!words) return;
  const said = { client_id: crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}`, text: words };
  said.item = append("user", words);
  said.item.classList.add("pending");
  outbox.push(said);
  toBottom();
  if (line) flush(); else { pause = FIRST_PAUSE_MS; connect(); }
}

// One at a time. After a lost connection it is sent again under the same id, which says it only once.
function flush() {
  const next = outbox[0];
  if (!next || answering || line?.readyState !== WebSocket.OPEN) return;
  answering = true;
  line.send(JSON.stringify({ type: "say", client_id: next.client_id, text: next.text }));
}

// --- showing --------------------------------------------------------------------------------------

function settle(message) {
  if (message.id <= lastId) return;
  lastId = message.id;
  const mine = outbox.findIndex((said) => said.client_id === message.client_id);
  if (mine >= 0) {
    outbox[mine].item.classList.remove("pending");
    outbox.splice(mine, 1);
    think();
  } else if (message.role === "assistant" && draft) {
    render(draft.item, message.text);
    draft.item.classList.remove("streaming");
    draft = null;
    log.setAttribute("aria-busy", "false");   // read aloud now, as a whole and not word by word
  } else {
    append(message.role, message.text);
  }
  follow();
}

function grow(piece) {
  if (!draft || draft.thinking) { dropDraft(); draft = { item: append("assistant", ""), text: "" }; }
  draft.text += piece;
  log.setAttribute("aria-busy", "true");
  draft.item.classList.add("streaming");
  if (!draft.frame) draft.frame = requestAnimationFrame(paint);
}

function paint() {
  if (!draft) return;
  draft.frame = 0;
  render(draft.item, draft.text);
  follow();
}

function think() {
  dropDraft();
  const item = append("assistant", "");
  const dots = document.createElement("div");
  dots.className = "thinking";
  dots.setAttribute("aria-label", "Jarvis is thinking");
  dots.append(...[0, 0, 0].map(() => document.createElement("i")));
  item.replaceChildren(dots);
  draft = { item, text: "", thinking: true };
}

function dropDraft() {
  if (draft) { cancelAnimationFrame(draft.frame); draft.item.remove(); }
  draft = null;
  log.setAttribute("aria-busy", "false");
}

function append(role, words) {
  const item = document.createElement("li");
  item.className = role;
  render(item, words);
  // What is waiting to be said comes after what has been said.
  const waiting = role === "user" ? null : outbox.find((said) => said.item?.isConnected)?.item ?? null;
  log.insertBefore(item, waiting);
  $("welcome").hidden = true;
  return item;
}

function note(words) {
  dropDraft();
  append("note", words);
  follow();
}

let following = true;
const toBottom = () => { scroll.scrollTop = scroll.scrollHeight; };
const follow = () => { if (following) toBottom(); };
scroll.addEventListener("scroll", () => {
  following = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  $("down").hidden = following;
}, { passive: true });
$("down").addEventListener("click", toBottom);

// --- hands ----------------------------------------------------------------------------------------

function fit() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
  $("send").disabled = !text.value.trim();
}

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  say(text.value);
  text.value = "";
  fit();
  text.focus();
});
text.addEventListener("input", fit);
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("composer").requestSubmit();
  } else if (event.key === "Escape") {
    text.blur();
    scroll.focus();
  }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== text && !event.ctrlKey && !event.metaKey) {
    event.preventDefault();
    text.focus();
  }
});
$("ideas").addEventListener("click", (event) => {
  if (event.target.matches("button")) say(event.target.textContent);
});
document.addEventListener("visibilitychange", () => { if (!document.hidden) { pause = FIRST_PAUSE_MS; connect(); } });
addEventListener("online", () => { pause = FIRST_PAUSE_MS; connect(); });

fit();
connect();
