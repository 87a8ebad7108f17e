"use strict";
// Asks now and then whether it is our turn; the server decides where we go then.
(() => {
  const place = document.getElementById("place"), say = document.getElementById("say");
  let wait = 5000;
  async function look() {
    if (document.hidden) return again();
    try {
      const answer = await fetch("/_gateway/standing", { cache: "no-store", signal: AbortSignal.timeout(8000) });
      if (answer.status === 401) return location.reload();
      if (!answer.ok) throw answer.status;
      const told = await answer.json();
      if (told.standing !== "waiting") {
        document.title = say.textContent = "It is your turn. Opening your Jarvis.";
        return location.reload();
      }
      if (told.place !== null && place) place.textContent = told.place;
      wait = 5000;
    } catch {
      wait = Math.min(wait * 2, 60000);
    }
    again();
  }
  const again = () => setTimeout(look, wait);
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); }, { once: true });
  again();
})();
