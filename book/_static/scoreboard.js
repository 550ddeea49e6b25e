// Filters and searches the claims, keeps the filters in the address, opens the claim that it names, copies citations.
"use strict";
(() => {
  const form = document.querySelector(".sl-filters");
  const told = form.querySelector("output");
  const reset = form.querySelector("[type=reset]");
  const claims = [...document.querySelectorAll(".sl-claim")];
  // Searched are id and statement, the quantity, and the names of the cases.
  const parts = ".sl-statement, .sl-quantity, .sl-case b + span";
  const said = new Map(
    claims.map((claim) => [claim, [...claim.querySelectorAll(parts)].map((part) => part.textContent).join("\n").toLowerCase()]),
  );

  function filter() {
    const wanted = Object.fromEntries(new FormData(form));
    const words = wanted.words.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const claim of claims) {
      const kept = ["verdict", "source", "chapter"].every((key) => !wanted[key] || claim.dataset[key] === wanted[key]);
      claim.hidden = !kept || !words.every((word) => said.get(claim).includes(word));
      shown += !claim.hidden;
    }
    told.textContent = shown ? `${shown} of ${claims.length} claims` : "No claim fits: take a filter or a word away.";
    const set = new URLSearchParams(Object.entries(wanted).filter(([, value]) => value)).toString();
    reset.hidden = !set;
    history.replaceState(null, "", `${location.pathname}${set && `?${set}`}${location.hash}`);
  }

  function restore() {
    for (const [key, value] of new URLSearchParams(location.search)) {
      if (form.elements[key]) form.elements[key].value = value;
    }
  }

  // A claim that is named is shown, whatever the filters were.
  function openNamed() {
    const claim = claims.find((each) => each.dataset.claim === decodeURIComponent(location.hash.slice(1)));
    if (!claim) return;
    if (claim.hidden) form.reset();
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
  form.addEventListener("reset", (event) => {
    event.preventDefault();
    for (const field of form.querySelectorAll("select, input")) field.value = "";
    filter();
  });
  for (const kind of ["input", "change"]) form.addEventListener(kind, filter);
  window.addEventListener("hashchange", openNamed);
  restore();
  filter();
  openNamed();
})();
