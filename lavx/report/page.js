"use strict";
(() => {
  const entries = JSON.parse(document.getElementById("entries").textContent);
  const fields = ["dataset", "net", "method", "video"];
  const selects = Object.fromEntries(fields.map((f) => [f, document.getElementById("filter-" + f)]));
  const cards = document.getElementById("cards");
  const said = document.getElementById("shown");
  const [before, after, play] = ["before", "after", "play"].map((id) => document.getElementById(id));
  const PAGE = 24;
  let page = 0;
  let playing = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  const seen = new IntersectionObserver((changes) => {
    for (const { target, isIntersecting } of changes) {
      if (isIntersecting && !target.src) target.src = target.dataset.src;
      if (isIntersecting && playing) target.play().catch(() => {});
      else target.pause();
    }
  }, { rootMargin: "100px" });

  const matches = (entry, but) => fields.every((f) => f === but || !selects[f].value || entry[f] === selects[f].value);

  // Each list offers what is left by the other three, so that no choice leads to nothing.
  function offer() {
    for (const f of fields) {
      const chosen = selects[f].value;
      const names = new Map(entries.filter((e) => matches(e, f)).map((e) => [e[f], e[f + "_title"] || e[f]]));
      selects[f].replaceChildren(new Option("all", ""), ...[...names].map(([v, t]) => new Option(t, v)));
      selects[f].value = names.has(chosen) ? chosen : "";
    }
  }

  function element(tag, text, parent) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }

  function card(entry) {
    const made = element("article");
    made.className = "card";
    if (entry.overlay) {
      const video = element("video", "", made);
      Object.assign(video, { muted: true, loop: true, playsInline: true, tabIndex: 0, preload: "metadata" });
      // The controls would cover half of so small a picture: they come when asked for.
      for (const [shown, events] of [[true, ["pointerenter", "focus"]], [false, ["pointerleave", "blur"]]])
        for (const event of events) video.addEventListener(event, () => { video.controls = shown; });
      video.dataset.src = entry.overlay;
      video.setAttribute("aria-label", `clip and explanation by ${entry.method_title} of ${entry.video}`);
    } else {
      element("p", "no overlay video", made).className = "none";
    }
    const words = element("div", "", made);
    element("strong", entry.method_title, words);
    element("span", ` on ${entry.net_title}`, words);
    element("br", "", words);
    element("span", `${entry.dataset} · ${entry.video} · score ${entry.score}`, words);
    element("br", "", words);
    element("span", `deletion ${entry.deletion} · insertion ${entry.insertion}`, words);
    if (entry.panel) {
      element("br", "", words);
      const link = element("a", "panel", words);
      link.href = entry.panel;
    }
    return made;
  }

  function show() {
    offer();
    const found = entries.filter((e) => matches(e));
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    page = Math.min(page, last);
    seen.disconnect();
    const part = found.slice(page * PAGE, (page + 1) * PAGE);
    cards.replaceChildren(...part.map(card));
    cards.querySelectorAll("video").forEach((video) => seen.observe(video));
    said.textContent = found.length
      ? `${page * PAGE + 1} to ${page * PAGE + part.length} of ${found.length} explanations` : "nothing matches";
    before.disabled = page === 0;
    after.disabled = page === last;
    play.textContent = playing ? "Pause all" : "Play all";
  }

  for (const f of fields) selects[f].addEventListener("change", () => { page = 0; show(); });
  const turn = (step) => { page += step; show(); document.getElementById("gallery").scrollIntoView(); };
  before.addEventListener("click", () => turn(-1));
  after.addEventListener("click", () => turn(1));
  document.getElementById("reset").addEventListener("click", () => {
    for (const f of fields) selects[f].value = "";
    page = 0;
    show();
  });
  play.addEventListener("click", () => { playing = !playing; show(); });
  show();
})();
