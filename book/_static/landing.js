// Points at the same image in all four pictures, and shows it.
"use strict";
(() => {
  const figure = document.querySelector(".sl-landing");
  const told = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
  const peek = figure.querySelector(".sl-peek");
  const panels = [...figure.querySelectorAll("svg")].map((svg) => [...svg.querySelectorAll("circle")]);
  let chosen = -1;

  function nearest(svg, event) {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    let [best, least] = [-1, 64];
    panels.find((circles) => circles[0].parentNode === svg).forEach((circle, index) => {
      const distance = (circle.cx.baseVal.value - at.x) ** 2 + (circle.cy.baseVal.value - at.y) ** 2;
      if (distance < least) [best, least] = [index, distance];
    });
    return best;
  }

  function choose(index, event) {
    for (const circles of panels) {
      circles[chosen]?.classList.remove("sl-chosen");
      circles[index]?.classList.add("sl-chosen");
    }
    chosen = index;
    peek.hidden = index < 0;
    if (index < 0) return;
    const box = figure.getBoundingClientRect();
    peek.querySelector("i").style.backgroundPosition = `${-56 * (index % 25)}px ${-56 * Math.floor(index / 25)}px`;
    peek.querySelector("span").textContent = `a ${told.digit[index]}, margin ${told.margin[index]}`;
    peek.style.left = `${Math.min(event.clientX - box.left + 14, box.width - 130)}px`;
    peek.style.top = `${event.clientY - box.top + 14}px`;
  }

  for (const svg of figure.querySelectorAll("svg")) {
    for (const kind of ["pointermove", "pointerdown"]) {
      svg.addEventListener(kind, (event) => choose(nearest(svg, event), event));
    }
    svg.addEventListener("pointerleave", () => choose(-1));
  }
})();
