// What pages gain when scripts run: clocks that tick, pages that stay fresh, "/" to search. Nothing depends on it.
"use strict";
(() => {
  const EVERY = 5000;
  const words = document.documentElement.dataset;
  const units = words.units.split("|");
  let etag = "";
  // Phones' clocks are wrong now and then; the server's is the one that counts.
  let ahead = serverTime(document) - Date.now();

  function serverTime(page) {
    return Date.parse(page.querySelector("meta[name=now]").content);
  }

  function span(seconds) {
    const parts = [Math.floor(seconds / 86400), Math.floor(seconds % 86400 / 3600), Math.floor(seconds % 3600 / 60), seconds % 60];
    const first = Math.max(parts.findIndex(Boolean), 0);
    const said = parts.map((part, index) => part && `${part} ${units[index]}`).slice(first, first + 2).filter(Boolean);
    return said.join(" ") || `0 ${units[3]}`;
  }

  function figure(seconds) {
    const two = (number) => String(number).padStart(2, "0");
    return seconds < 3600 ? `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}` : span(seconds);
  }

  function tick() {
    const now = Date.now() + ahead;
    for (const time of document.querySelectorAll("time[data-tick]")) {
      const rest = (Date.parse(time.dateTime) - now) / 1000;
      const seconds = Math.floor(Math.abs(rest));
      const text = time.dataset.tick === "left"
        ? (rest < 0 ? words.late : words.left).replace("§", figure(seconds))
        : words.ago.replace("§", span(seconds < 60 ? seconds : seconds - seconds % 60));
      if (time.textContent !== text) time.textContent = text;
    }
    for (const bar of document.querySelectorAll("progress[data-due]")) {
      const from = Date.parse(bar.dataset.from);
      bar.value = Math.min(100, 100 * (now - from) / (Date.parse(bar.dataset.due) - from));
    }
  }

  // Somebody writes, chooses or copies: the page must not change under their hands.
  function busy(main) {
    const selection = getSelection();
    if (!selection.isCollapsed && main.contains(selection.anchorNode)) return true;
    if (main.contains(document.activeElement) && document.activeElement.matches("textarea, select, input:not([type=radio])")) return true;
    return [...main.querySelectorAll("textarea, input:not([type=hidden], [type=radio])")].some((field) => field.value !== field.defaultValue);
  }

  function replace(page) {
    const old = document.querySelector("main"), fresh = page.querySelector("main");
    const name = (element) => element.id ? `#${CSS.escape(element.id)}` : element.href ? `a[href="${CSS.escape(element.getAttribute("href"))}"]` : "";
    const kept = [...old.querySelectorAll("details[id][open]")].map((details) => details.id);
    const chosen = [...old.querySelectorAll("input[type=radio]:checked")].map((radio) => radio.id);
    const focused = old.contains(document.activeElement) && name(document.activeElement);
    for (const details of fresh.querySelectorAll("details[id]")) details.open = kept.includes(details.id);
    for (const radio of fresh.querySelectorAll("input[type=radio]")) radio.checked = chosen.includes(radio.id);
    old.replaceWith(document.adoptNode(fresh));
    document.title = page.title;
    ahead = serverTime(page) - Date.now();
    if (focused) fresh.querySelector(focused)?.focus({ preventScroll: true });
    tick();
  }

  async function refresh() {
    const main = document.querySelector("main[data-live]");
    if (!main || document.hidden || busy(main)) return;
    const answer = await fetch(location.href, { headers: etag ? { "If-None-Match": etag } : {}, redirect: "manual", cache: "no-store" });
    if (answer.type === "opaqueredirect") location.reload(); // the session has ended
    if (answer.status !== 304 && !answer.ok) throw new Error(answer.status);
    stale(false);
    if (answer.status === 304) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (busy(main)) return;
    etag = answer.headers.get("ETag") || "";
    replace(page);
  }

  function stale(is) {
    document.getElementById("stale").hidden = !is;
  }

  async function live() {
    try { await refresh(); } catch { stale(true); }
    setTimeout(live, EVERY);
  }

  document.addEventListener("submit", (event) => {
    if (event.target.method !== "post") return;
    if (event.target.dataset.sent) event.preventDefault(); // a second tap of an impatient thumb
    event.target.dataset.sent = "yes";
    setTimeout(() => delete event.target.dataset.sent, EVERY);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "/" && !event.target.matches("input, textarea, select")) {
      document.getElementById("search")?.focus();
      event.preventDefault();
    } else if (event.key === "Escape") {
      for (const panel of document.querySelectorAll("details.panel[open]")) panel.open = false;
    }
  });
  document.addEventListener("click", (event) => {
    for (const panel of document.querySelectorAll("details.panel[open]")) if (!panel.contains(event.target)) panel.open = false;
  });
  document.addEventListener("visibilitychange", () => document.hidden || refresh().catch(() => stale(true)));
  setInterval(tick, 1000);
  tick();
  setTimeout(live, EVERY);
})();
