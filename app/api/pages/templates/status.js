"use strict";
(() => {
  const EVERY = 10000;
  const LIMIT = 15000;
  let timer = null;
  let fetching = false;

  const two = (number) => String(number).padStart(2, "0");
  const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}`;
  const date = (at) => `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;

  // Times are UTC without this script.
  function localise() {
    for (const element of document.querySelectorAll("time[data-at]")) {
      const at = new Date(Number(element.dataset.at) * 1000);
      if (!Number.isNaN(at.getTime())) {
        element.textContent = `${date(at)} ${clock(at)}:${two(at.getSeconds())}`;
      }
    }
    for (const element of document.querySelectorAll("[data-minute]")) {
      element.textContent = clock(new Date(Number(element.dataset.minute) * 1000));
    }
    for (const element of document.querySelectorAll("[data-zone]")) element.textContent = element.dataset.zone;
  }

  // Replaces the parts of <main> that hold figures. The form stays, with what is being typed.
  function replace(text) {
    // Without the head: its style would be held against this page's policy, whose nonce is another.
    const main = text.slice(text.indexOf("<main"), text.lastIndexOf("</main>"));
    const page = new DOMParser().parseFromString(main, "text/html");
    const fresh = page.querySelectorAll("main > [data-live]");
    const old = document.querySelectorAll("main > [data-live]");
    if (fresh.length !== old.length) {
      // The session has ended: the answer is the login page.
      location.reload();
      return;
    }
    const scrolled = [...document.querySelectorAll(".scroll")].map((element) => element.scrollLeft);
    old.forEach((element, i) => element.replaceWith(document.adoptNode(fresh[i])));
    document.querySelectorAll(".scroll").forEach((element, i) => { element.scrollLeft = scrolled[i] || 0; });
    localise();
  }

  async function refresh() {
    timer = null;
    if (document.hidden || fetching) return;
    fetching = true;
    const stop = new AbortController();
    const late = setTimeout(() => stop.abort(), LIMIT);
    try {
      const answer = await fetch(location.href, {cache: "no-store", credentials: "same-origin", signal: stop.signal});
      const text = await answer.text();
      if (answer.status === 401 || answer.status === 403) location.reload();
      else if (!answer.ok) throw new Error(String(answer.status));
      // What someone is marking to copy is not taken from under the pointer.
      else if (String(getSelection()) === "") replace(text);
    } catch {
      document.getElementById("stale").hidden = false;
      document.getElementById("headline").classList.add("old");
    } finally {
      clearTimeout(late);
      fetching = false;
      plan();
    }
  }

  function plan() {
    if (timer === null && !document.hidden) timer = setTimeout(refresh, EVERY);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    timer = null;
    if (!document.hidden) refresh();
  });
  localise();
  plan();
})();
