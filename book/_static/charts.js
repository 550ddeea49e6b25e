// Swaps the static picture of every chart for the live one. Vega is loaded only on pages that have charts.
// Without JavaScript, or if anything fails, the picture stays.
"use strict";
(() => {
  const here = document.currentScript.src;

  function load(address) {
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = address;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`could not load ${address}`));
      document.head.append(script);
    });
  }

  async function enliven(script) {
    const holder = script.parentElement.querySelector(".sl-chart");
    const spec = JSON.parse(script.textContent);
    const live = document.createElement("div");
    live.className = "sl-live";
    holder.after(live); // in the page, because Vega measures text
    live.style.visibility = "hidden";
    live.style.position = "absolute";
    try {
      const { view } = await window.vegaEmbed(live, spec, { actions: false, renderer: "svg", mode: "vega-lite" });
      await view.runAsync();
      const picture = live.querySelector("svg");
      picture.setAttribute("role", "img");
      picture.setAttribute("aria-label", holder.getAttribute("aria-label"));
      live.removeAttribute("style");
      holder.remove();
      script.parentElement.dataset.live = "yes";
      script.parentElement.view = view;
    } catch (error) {
      live.remove();
      console.warn("A chart stays static:", error);
    }
  }

  // The widget library asks MathJax 2 to set its labels; the page has MathJax 3.
  function bridgeMathJax() {
    const { MathJax } = window;
    if (MathJax && !MathJax.Hub) {
      MathJax.Hub = { Queue: ([, , element]) => MathJax.typesetPromise && MathJax.typesetPromise([element]) };
    }
  }

  async function start() {
    bridgeMathJax();
    const specs = [...document.querySelectorAll('script[type="application/vnd.vegalite.v6+json"]')];
    if (specs.length) {
      await load(new URL("vendor/vega.js", here).href);
      for (const script of specs) await enliven(script);
    }
    document.documentElement.dataset.charts = "ready";
  }

  document.addEventListener("DOMContentLoaded", start); // this script is deferred, so the event is still to come
})();
