// Swaps the static picture of every chart for the live one, as wide as the page has room for. Vega is loaded only on
// pages that have charts. Without JavaScript, or if anything fails, the picture stays.
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

  // Every control has a name that is read out, and a group of radio buttons is one control.
  function label(live) {
    for (const bind of live.querySelectorAll(".vega-bind")) {
      const name = bind.querySelector(".vega-bind-name").textContent.trim();
      const radios = bind.querySelector(".vega-bind-radio");
      if (radios) radios.setAttribute("role", "radiogroup");
      (radios ? [radios] : bind.querySelectorAll("input, select")).forEach((control) => {
        control.setAttribute("aria-label", name);
      });
    }
  }

  // What the reader chose stays when the chart is drawn anew.
  function carryOver(from, to, compiled) {
    for (const { name } of (compiled.signals || []).filter((signal) => signal.bind)) to.signal(name, from.signal(name));
  }

  async function enliven(script) {
    const figure = script.parentElement;
    const frame = figure.querySelector(".sl-frame");
    const picture = frame.querySelector(".sl-chart");
    const width = Math.floor(figure.clientWidth);
    figure.dataset.label ??= picture.getAttribute("aria-label");
    if (figure.dataset.width === String(width)) return;
    const old = frame.querySelector(".sl-live");
    const live = document.createElement("div");
    live.className = "sl-live sl-waiting";
    frame.append(live); // in the page, because Vega measures text
    try {
      const spec = await window.splinelabFit(JSON.parse(script.textContent), width);
      const options = { actions: false, renderer: "svg", mode: "vega-lite" };
      const { view, vgSpec } = await window.vegaEmbed(live, spec, options);
      if (figure.view) carryOver(figure.view, view, vgSpec);
      await view.runAsync();
      const drawn = live.querySelector("svg");
      drawn.setAttribute("role", "img");
      drawn.setAttribute("aria-label", figure.dataset.label);
      label(live);
      live.classList.remove("sl-waiting");
      if (figure.view) figure.view.finalize();
      (old || picture).remove();
      Object.assign(figure.dataset, { live: "yes", width });
      figure.view = view;
    } catch (error) {
      live.remove();
      console.warn("A chart stays static:", error);
    }
  }

  function follow(scripts) {
    let timer;
    window.addEventListener("resize", () => {
      clearTimeout(timer);
      timer = setTimeout(async () => {
        for (const script of scripts) await enliven(script);
      }, 250);
    });
  }

  async function start() {
    const scripts = [...document.querySelectorAll('script[type="application/vnd.vegalite.v6+json"]')];
    if (scripts.length) {
      await load(new URL("vendor/vega.js", here).href);
      await load(new URL("fit.js", here).href);
      for (const script of scripts) await enliven(script);
      follow(scripts);
    }
    document.documentElement.dataset.charts = "ready";
  }

  document.addEventListener("DOMContentLoaded", start); // this script is deferred, so the event is still to come
})();
