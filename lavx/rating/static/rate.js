"use strict";
(() => {
  const base = location.pathname.replace(/\/+$/, "");
  const get = (id) => document.getElementById(id);
  const sections = ["welcome", "trial", "done", "withdrawn"];
  let study = null; // what is the same for all questions
  let state = null; // where the rater is
  let busy = true; // no answer is taken: the video has not begun, or an answer is on its way
  let begun = 0; // when the video began
  let chosen = null; // the answer, where it is not sent at once
  let playing = !window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  function element(tag, text, parent) {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    if (parent) parent.append(made);
    return made;
  }
  const say = (text) => { if (get("status").textContent !== text) get("status").textContent = text; };
  const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });

  // Sends until the server has said that it has stored what was sent. All that is sent may be sent again.
  async function send(path, content) {
    for (let wait = 1000; ; wait = Math.min(wait * 2, 15000)) {
      try {
        const answer = await fetch(base + path, content === undefined ? {} : {
          method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content),
        });
        const received = await answer.json();
        if (answer.ok) return received;
        if (answer.status < 500) return { problem: received.message, status: answer.status };
        say(`${received.message} Trying again …`);
      } catch {
        say("The study's computer cannot be reached; nothing is lost. Trying again …");
      }
      await pause(wait);
    }
  }

  // The videos are fetched whole: a player's own requests for parts would depend on what is in them.
  const videos = new Map();
  function video(token, side) {
    const name = `${token}/${side}`;
    if (!videos.has(name)) {
      const loaded = fetch(`${base}/media/${name}`).then(async (answer) => {
        if (!answer.ok) throw new Error((await answer.json()).message);
        return URL.createObjectURL(await answer.blob());
      });
      loaded.catch(() => videos.delete(name));
      videos.set(name, loaded);
    }
    return videos.get(name);
  }
  function forget(kept) {
    for (const [name, loaded] of videos) {
      if (kept.includes(name.split("/")[0])) continue;
      videos.delete(name);
      loaded.then(URL.revokeObjectURL, () => {});
    }
  }
  const sides = () => (study.design === "pairs" ? [0, 1] : [0]);

  async function act(path, content, note = "") {
    if (busy) return;
    setBusy(true);
    say("");
    const received = await send(path, content);
    if (received.problem) {
      const current = await send("/state");
      if (current.problem) { say(current.problem); return; }
      await show(current);
      say(received.problem);
    } else {
      await show(received);
      if (note) say(note);
    }
  }

  function setBusy(now) {
    busy = now;
    for (const control of document.querySelectorAll("#choices button, #choices input")) control.disabled = now;
    get("undo").disabled = now || !(state && state.last);
    setNext();
  }
  function setNext() { get("next").disabled = busy || chosen === null; }

  async function show(received) {
    state = received;
    for (const name of sections) get(name).hidden = name !== state.stage;
    get("leave").hidden = !["trial", "done"].includes(state.stage);
    if (state.stage === "trial") { await showTrial(); return; }
    setBusy(false);
    get("back").hidden = !state.last;
    get(state.stage).querySelector("h1").focus();
    forget([]);
  }

  async function showTrial() {
    const { token } = state;
    chosen = null;
    const part = state.practice ? "Practice" : "Question";
    get("count").textContent = `${part} ${state.done + 1} of ${state.total}`;
    Object.assign(get("progress"), { max: state.total, value: state.done });
    get("class").replaceChildren("Class: ", element("strong", state.class));
    get("remark").value = "";
    clearChoices();
    setBusy(true);
    get("media").classList.toggle("two", study.design === "pairs");
    const players = sides().map((side) => player(side));
    get("media").replaceChildren(...players.map((each) => each.parentElement));
    forget([token, state.upcoming]);
    try {
      await play(players, token);
    } catch (error) {
      failed(error, token);
      return;
    }
    if (state.token !== token) return;
    begun = performance.now();
    setBusy(false);
    get("class").focus({ preventScroll: true });
    if (state.upcoming) for (const side of sides()) video(state.upcoming, side).catch(() => {});
  }

  function player(side) {
    const figure = element("figure");
    const caption = element("figcaption", "", figure);
    const which = study.design === "pairs" ? study.labels[side] : "";
    if (which) element("b", which.charAt(0).toUpperCase() + which.slice(1), caption);
    element("span", "Video", caption);
    element("span", "Explanation", caption);
    const made = element("video", "", figure);
    Object.assign(made, { muted: true, loop: true, playsInline: true, disablePictureInPicture: true });
    made.setAttribute("aria-label", `${which ? `${which}: ` : ""}on the left the video, on the right its explanation`);
    return made;
  }

  // Resolves when all of them show their first picture.
  async function play(players, token) {
    await Promise.all(players.map(async (each, side) => {
      each.src = await video(token, side);
      await new Promise((done, fail) => {
        each.addEventListener("canplaythrough", done, { once: true });
        each.addEventListener("error", () => fail(new Error("The video cannot be played.")), { once: true });
      });
    }));
    // Both of a pair begin their loops together.
    if (players.length > 1) players[0].addEventListener("seeked", () => { players[1].currentTime = players[0].currentTime; });
    setPlaying(playing);
    if (playing) await Promise.all(players.map((each) => each.play()));
  }

  function failed(error, token) {
    if (state.token !== token) return;
    say(`${error.message} `);
    const again = element("button", "Try again", get("status"));
    again.type = "button";
    again.addEventListener("click", () => { say(""); showTrial(); });
  }

  function setPlaying(now) {
    playing = now;
    for (const each of get("media").querySelectorAll("video")) {
      if (now) each.play().catch(() => {});
      else each.pause();
    }
    get("pause").firstChild.textContent = now ? "Pause " : "Play ";
  }

  function choose(value) {
    if (busy) return;
    chosen = value;
    if (study.design !== "slider" && !study.remarks) { answer(); return; }
    for (const button of get("choices").querySelectorAll("button")) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.value) === value));
    }
    setNext();
  }
  function answer() {
    if (busy || chosen === null) return;
    const { token, attempt } = state;
    const reaction_ms = Math.round(performance.now() - begun);
    act("/answer", { token, attempt, value: chosen, reaction_ms, remark: study.remarks ? get("remark").value : "" });
  }
  const undo = () => {
    if (state.last) act("/undo", { token: state.last, attempt: state.last_attempt }, "Your last answer is taken back.");
  };

  function buildChoices() {
    const [low, high] = study.range;
    const place = get("choices");
    if (study.design === "slider") { buildSlider(place, low, high); return; }
    place.className = "row";
    // The first of a pair comes first, and is the better one with the larger answer.
    const values = Array.from({ length: high - low + 1 }, (_, k) => (study.design === "pairs" ? high - k : low + k));
    values.forEach((value, k) => {
      const button = element("button", "", place);
      button.type = "button";
      button.dataset.value = value;
      button.setAttribute("aria-keyshortcuts", String(k + 1));
      if (study.remarks) button.setAttribute("aria-pressed", "false");
      if (study.design !== "pairs") element("strong", (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value), button);
      element("span", study.labels[k], button);
      element("kbd", String(k + 1), button).setAttribute("aria-hidden", "true");
      button.addEventListener("click", () => choose(value));
    });
  }
  function buildSlider(place, low, high) {
    const slider = element("input", "", place);
    Object.assign(slider, { type: "range", min: low, max: high, step: 1, className: "untouched" });
    slider.setAttribute("aria-labelledby", "question");
    const ends = element("div", "", place);
    ends.className = "ends";
    element("span", `${low}: ${study.labels[0]}`, ends);
    element("output", "", ends);
    element("span", `${high}: ${study.labels[1]}`, ends);
    const moved = () => { slider.classList.remove("untouched"); ends.children[1].value = slider.value; choose(Number(slider.value)); };
    for (const event of ["input", "change", "pointerup"]) slider.addEventListener(event, moved);
  }
  function clearChoices() {
    for (const button of get("choices").querySelectorAll("[aria-pressed]")) button.setAttribute("aria-pressed", "false");
    const slider = get("choices").querySelector("input");
    if (!slider) return;
    slider.value = (study.range[0] + study.range[1]) / 2;
    slider.classList.add("untouched");
    get("choices").querySelector("output").value = "";
  }

  function paragraphs(text, place) {
    place.replaceChildren(...text.split(/\n\s*\n/).filter((part) => part.trim()).map((part) => element("p", part.trim())));
  }

  function build() {
    document.body.classList.add(study.design);
    paragraphs(study.instructions, get("instructions"));
    get("consent").hidden = !study.consent;
    if (study.consent) paragraphs(study.consent, get("consent-text"));
    get("begin").disabled = Boolean(study.consent);
    get("question").textContent = study.question;
    get("remark-box").hidden = !study.remarks;
    get("next").hidden = !study.remarks && study.design !== "slider";
    get("bar").hidden = !study.colors;
    if (study.colors) {
      const [colors, words] = study.colors;
      get("colors").style.background = `linear-gradient(to right, ${colors.join(", ")})`;
      get("colors").setAttribute("aria-label", `Color bar, from ${words[0]} to ${words[1]}`);
      get("bar-low").textContent = words[0];
      get("bar-high").textContent = words[1];
    }
    buildChoices();
  }

  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || !state || state.stage !== "trial") return;
    if (event.target.id === "remark") return;
    const key = event.key.toLowerCase();
    const onControl = event.target.closest("button, summary");
    const button = get("choices").querySelectorAll("button")[Number(key) - 1];
    if (button) choose(Number(button.dataset.value));
    else if (key === "u") undo();
    else if (key === "p") setPlaying(!playing);
    else if (key === "enter" && !onControl && !get("next").hidden) answer();
    else return;
    event.preventDefault();
  });
  get("agreed").addEventListener("change", () => { get("begin").disabled = !get("agreed").checked; });
  get("begin").addEventListener("click", () => act("/agree", {}));
  get("undo").addEventListener("click", undo);
  get("back").addEventListener("click", undo);
  get("pause").addEventListener("click", () => setPlaying(!playing));
  get("next").addEventListener("click", answer);
  get("withdraw").addEventListener("click", () => {
    if (window.confirm("Delete all your answers? This cannot be undone.")) { busy = false; act("/withdraw", {}); }
  });

  (async () => {
    const received = await send("/state");
    if (received.problem) { say(received.problem); return; }
    study = received.study;
    build();
    await show(received);
  })();
})();
