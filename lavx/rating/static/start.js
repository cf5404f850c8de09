"use strict";
(() => {
  const begin = document.getElementById("begin");
  const said = document.getElementById("status");
  begin.addEventListener("click", async () => {
    begin.disabled = true;
    said.textContent = "";
    try {
      const key = new URLSearchParams(location.search).get("key") || "";
      const answer = await fetch("/start", {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ key }),
      });
      const content = await answer.json();
      if (answer.ok) { location.assign(content.link); return; }
      said.textContent = content.message;
    } catch {
      said.textContent = "The study's computer cannot be reached. Please try again.";
    }
    begin.disabled = false;
  });
})();
