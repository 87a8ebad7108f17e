(() => {
  const el = (id) => document.getElementById(id);
  const { view: first, go, say, headings, steps: words, states, icon } = JSON.parse(el("data").textContent);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const rows = el("steps") ? [...el("steps").children] : [];
  const before = first.steps.reduce((sum, step) => sum + (step.took_s || 0), 0);
  let shown = first, heard = performance.now(), full = el("bar").value, lost = false, over = false, dozing = 0;
  let stream = null, silence = 0, misses = 0;

  // --- showing -------------------------------------------------------------------------------------------------
  const now = () => aged(shown, (performance.now() - heard) / 1000);
  const text = (node, value) => { if (node && node.textContent !== value) node.textContent = value; };

  function log(line) {
    const entry = document.createElement("li");
    entry.textContent = "+" + seconds(before + performance.now() / 1000) + "  " + line;
    el("lines").append(entry);
  }

  function speak(line) {
    if (el("say").textContent !== line) log(line);
    text(el("say"), line);
  }

  function draw() {
    if (over) return;
    const view = now();
    const aim = bar(view.steps, full);
    full = calm ? aim : full + (aim - full) * 0.3; // glides, and since aim >= full, never back
    el("bar").value = full;
    view.steps.forEach((step, i) => {
      const row = rows[i];
      if (!row) return;
      row.dataset.state = step.state;
      text(row.querySelector(".label"), words[step.name][0]);
      text(row.querySelector(".hear"), states[step.state]);
      text(row.querySelector(".took"), step.took_s === null ? "" : seconds(step.took_s));
      text(row.querySelector(".usual"), step.usual_s === null ? "" : "usually " + seconds(step.usual_s));
    });
    text(el("eta"), toGo(view));
    el("card").dataset.state = view.state;
    if (!view.ready) text(el("heading"), document.title = heading(view, headings));
    el("again").hidden = view.state !== "failed";
    speak(lost ? say.lost : sentence(view, say, words));
  }

  // --- hearing: the stream is quick, a poll is the truth when the stream is silent or gone -----------------------
  function expect(ms) {
    clearTimeout(silence);
    if (!over) silence = setTimeout(poll, ms);
  }

  function news(told) {
    if (over) return;
    const old = shown;
    shown = forward(now(), told);
    heard = performance.now();
    lost = false;
    misses = 0;
    shown.steps.forEach((step, i) => {
      if (step.state !== old.steps[i].state) log(words[step.name][0] + ": " + states[step.state]);
    });
    if (shown.state === "failed" && old.state !== "failed") el("log").open = true;
    draw();
    if (shown.ready) open();
    else if (asleep(told)) doze();
    else {
      dozing = 0;
      expect(stream && stream.readyState === 1 ? 3000 : 1000);
    }
  }

  // A replica that has not heard yet of the wake may say so too; who says it twice is believed. A tab that nobody looks
  // at wakes nothing.
  function doze() {
    dozing = dozing || performance.now();
    if (performance.now() - dozing < 1500 || document.hidden) return expect(800);
    leave(say.asleep, say.again);
  }

  async function poll() {
    try {
      const answer = await fetch("/_gateway/instance", { cache: "no-store", signal: AbortSignal.timeout(5000) });
      if (answer.status === 401) return open(); // signed out meanwhile: asking again leads to sign-in
      if (!answer.ok) throw answer.status;
      news(await answer.json());
    } catch {
      misses += 1;
      lost = misses > 1;
      expect(Math.min(1000 * misses, 5000));
    }
  }

  function listen() {
    stream = new EventSource("/_gateway/events");
    stream.addEventListener("instance", (event) => news(JSON.parse(event.data)));
    stream.onerror = () => expect(250);
    expect(3000);
  }

  // --- ending --------------------------------------------------------------------------------------------------
  function end() {
    over = true;
    clearTimeout(silence);
    clearInterval(pulse);
    if (stream) stream.close();
    el("stop").hidden = true;
  }

  function offer(label) {
    text(el("open"), label);
    el("press").hidden = false;
    el("again").hidden = true;
    text(el("eta"), "");
  }

  // Past openings outlive a reload, so a gateway that says ready and then shows this page again is noticed.
  function openings(add) {
    try {
      const times = JSON.parse(sessionStorage.getItem("jarvis-opened") || "[]");
      if (add) sessionStorage.setItem("jarvis-opened", JSON.stringify([...times, Date.now()].slice(-5)));
      return times;
    } catch { // no storage: open by ourselves only if we did not come here by reloading
      return performance.getEntriesByType("navigation")[0].type === "reload" ? [1, 2, 3].map(() => Date.now()) : [];
    }
  }

  // Ask for what was asked for: the very URL again, or `go`. After the third time within a minute a person decides.
  function leave(words, label) {
    end();
    if (looping(openings(false), Date.now())) {
      speak(words);
      offer(label);
      return false;
    }
    openings(true);
    if (go) location.replace(go);
    else location.reload();
    return true;
  }

  function open() {
    if (!leave(say.loop, say.open)) return;
    el("bar").value = 1;
    document.title = say.ready_title;
    el("icon").href = icon;
  }

  el("stop").onclick = () => {
    end();
    speak(say.stopped);
    el("card").dataset.state = "stopped";
    offer(say.go_on);
    el("open").focus();
  };
  el("open").onclick = () => { try { sessionStorage.removeItem("jarvis-opened"); } catch {} };
  if (!go) { // the place within the page is known here alone
    const here = location.pathname + location.search + location.hash;
    el("open").href = here;
    el("again").action = "/_gateway/retry?next=" + encodeURIComponent(here);
  }
  if (el("copy")) el("copy").onclick = async () => {
    await navigator.clipboard.writeText(el("diagnostic").textContent);
    text(el("copy"), say.copied);
  };
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  const pulse = setInterval(draw, calm ? 1000 : 100);
  for (const id of ["stop", "log", "copy"]) if (el(id)) el(id).hidden = false;
  if (el("copy") && !navigator.clipboard) el("copy").hidden = true;
  log(el("say").textContent);
  if (first.ready) open();
  else listen();
})();
