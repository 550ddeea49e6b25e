// Filters and searches the claims, opens the one that the address names, copies citations.
"use strict";
(() => {
  const form = document.querySelector(".sl-filters");
  const claims = [...document.querySelectorAll(".sl-claim")];
  const said = new Map(claims.map((claim) => [claim, claim.textContent.toLowerCase()]));

  function filter() {
    const wanted = Object.fromEntries(new FormData(form));
    const words = wanted.words.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const claim of claims) {
      const kept = ["verdict", "source", "chapter"].every((key) => !wanted[key] || claim.dataset[key] === wanted[key]);
      claim.hidden = !kept || !words.every((word) => said.get(claim).includes(word));
      shown += !claim.hidden;
    }
    form.querySelector("output").textContent = `${shown} of ${claims.length} claims`;
  }

  function openNamed() {
    const claim = claims.find((each) => each.dataset.claim === decodeURIComponent(location.hash.slice(1)));
    if (!claim) return;
    claim.hidden = false;
    claim.open = true;
    claim.scrollIntoView();
  }

  for (const button of document.querySelectorAll(".sl-cite button")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.previousElementSibling.textContent);
      button.textContent = "Copied";
    });
  }
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["input", "change"]) form.addEventListener(kind, filter);
  window.addEventListener("hashchange", openNamed);
  openNamed();
})();
