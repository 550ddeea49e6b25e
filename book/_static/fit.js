// Fits a Vega-Lite spec to a width: rows of panels wrap, panels shrink or grow, legends go on top where it is narrow.
// `splinelabFit(spec, width)` returns a promise of a new spec.
"use strict";
(() => {
  const NARROW = 560; // below, legends stand above the picture
  const LEAST = 0.8; // panels shrink to this share before a row of them wraps
  const LEGIBLE = 170; // or to this width
  const ENOUGH = 1.35; // and pictures of several panels grow to this share
  const SQUARE = 460; // pictures with equal axes grow to this width
  const rows = (node) => node.hconcat || node.concat;
  const panels = (node) => rows(node) || node.vconcat || (node.spec ? [node.spec] : []);

  function units(node, found = []) {
    const inside = panels(node);
    if (inside.length) inside.forEach((child) => units(child, found));
    else found.push(node);
    return found;
  }

  // How many panels stand side by side, at most.
  function columns(node, values) {
    const inside = panels(node).map((child) => columns(child, values));
    if (rows(node)) return Math.max(Math.min(node.columns || Infinity, inside.length), ...inside);
    if (node.facet) {
      const { row, column } = node.facet;
      if (column) return values(column.field);
      return row ? 1 : Math.min(node.columns || Infinity, values(node.facet.field));
    }
    return Math.max(1, ...inside);
  }

  function wrapRows(node, most) {
    panels(node).forEach((child) => wrapRows(child, most));
    if (rows(node) && Math.min(node.columns || Infinity, rows(node).length) > most) {
      node.concat = rows(node);
      delete node.hconcat;
      node.columns = most;
    }
    if (node.facet) wrapFacet(node, most);
  }

  // A grid of rows and columns becomes one sequence of panels, which can wrap.
  function wrapFacet(node, most) {
    const { row, column } = node.facet;
    if (column && row) {
      const name = "row_and_column";
      const parts = [row, column].map(({ field }) => `datum[${JSON.stringify(field)}]`);
      node.transform = [...(node.transform || []), { calculate: `${parts[0]} + ' · ' + ${parts[1]}`, as: name }];
      const sorts = [row.sort, column.sort];
      const sort = sorts.every(Array.isArray)
        ? sorts[0].flatMap((one) => sorts[1].map((other) => `${one} · ${other}`))
        : null;
      const header = { ...(column.header || {}), title: null };
      ["labelExpr", "labelOrient", "orient", "labelAngle", "labelAlign"].forEach((key) => delete header[key]);
      node.facet = { field: name, type: "nominal", sort, header };
      node.columns = most;
    } else if (column) {
      node.facet = column;
      node.columns = most;
    } else if (!row) {
      node.columns = Math.min(node.columns || most, most);
    }
  }

  // One unit of x is as long as one unit of y: then the height follows the width.
  function isEqual(unit) {
    const { width, height } = unit;
    if (width && width.step && height && height.step) return true;
    if (typeof width !== "number" || typeof height !== "number") return false;
    if (width === height) return true;
    const spans = ["x", "y"].map((axis) => {
      const layers = [unit, ...(unit.layer || [])];
      const domain = layers.map((layer) => layer.encoding?.[axis]?.scale?.domain).find(Array.isArray);
      return domain && typeof domain[0] === "number" ? Math.abs(domain[1] - domain[0]) : NaN;
    });
    return Math.abs((spans[0] / width) / (spans[1] / height) - 1) < 0.03;
  }

  function scaleUnits(spec, factor, alone) {
    const all = units(spec);
    const wide = all.filter((unit) => typeof unit.width === "number" && !isEqual(unit));
    const widest = Math.max(0, ...wide.map((unit) => unit.width));
    const times = (size) => (size && size.step ? { step: Math.max(0.5, size.step * factor) } : size * factor);
    for (const unit of all) {
      if (isEqual(unit)) {
        unit.width = times(unit.width);
        unit.height = times(unit.height);
      } else if (unit.width !== undefined) {
        unit.width = times(alone && wide.includes(unit) ? widest : unit.width);
      }
    }
    const view = (spec.config.view = { ...spec.config.view });
    view.continuousWidth = (view.continuousWidth || 300) * factor;
  }

  function lines(words, width, size) {
    if (typeof words !== "string") return words;
    const most = Math.max(12, Math.floor(width / (size * 0.54)));
    const found = [];
    for (const word of words.split(" ")) {
      const last = found[found.length - 1];
      if (found.length && `${last} ${word}`.length <= most) found[found.length - 1] = `${last} ${word}`;
      else found.push(word);
    }
    return found.length > 1 ? found : words;
  }

  // Titles of panels and axes that are longer than what they stand at take more lines.
  function wrapWords(spec) {
    const standard = spec.config.view.continuousWidth;
    (function visit(node, width, height) {
      const wide = typeof node.width === "number" ? node.width : width;
      const high = typeof node.height === "number" ? node.height : height;
      if (typeof node.title === "string") node.title = lines(node.title, wide + 30, 14);
      else if (node.title?.text) node.title.text = lines(node.title.text, wide + 30, node.title.fontSize || 14);
      for (const [axis, length] of [["x", wide], ["y", Math.max(high, 90)]]) {
        const channel = node.encoding?.[axis];
        if (!channel) continue;
        if (channel.title) channel.title = lines(channel.title, length + 20, 12);
        if (channel.axis?.title) channel.axis.title = lines(channel.axis.title, length + 20, 12);
      }
      [...panels(node), ...(node.layer || [])].forEach((child) => visit(child, wide, high));
    })(spec, standard, 250);
  }

  function legendsOnTop(spec, width, entries) {
    (function visit(node) {
      for (const channel of Object.values(node.encoding || {})) {
        if (!channel || !channel.legend) continue;
        ["orient", "direction", "columns", "legendX", "legendY", "offset", "titleAnchor"].forEach((key) => {
          delete channel.legend[key];
        });
      }
      [...panels(node), ...(node.layer || [])].forEach(visit);
    })(spec);
    const limit = Math.max(80, width - 60);
    spec.config.legend = {
      ...spec.config.legend, orient: "top", direction: "horizontal", columns: entries,
      labelLimit: limit, titleLimit: limit, gradientLength: Math.min(180, width - 60),
    };
    spec.config.axisY = { ...spec.config.axisY, labelLimit: Math.round(width * 0.34) };
  }

  async function measure(spec) {
    const { view, finalize } = await window.vegaEmbed(document.createElement("div"), spec, {
      actions: false, renderer: "none", mode: "vega-lite", tooltip: false, logLevel: 1,
    });
    const { x1, x2 } = view.scenegraph().root.bounds;
    finalize();
    return x2 - x1 + 9;
  }

  // `plan`: how many panels stand in a row, by how much they are scaled, how many entries a row of a legend has.
  function build(original, width, natural, { most, factor, entries }) {
    const spec = structuredClone(original);
    spec.config = { ...spec.config };
    spec.config.view = { continuousWidth: 300, ...spec.config.view };
    if (most < natural) wrapRows(spec, most);
    scaleUnits(spec, factor, most === 1);
    wrapWords(spec);
    if (width < NARROW) legendsOnTop(spec, width, entries);
    return spec;
  }

  // How much panels may grow.
  function limit(spec, single) {
    const all = units(spec);
    const equal = all.filter(isEqual);
    if (single && !equal.length) return Infinity;
    const sizes = equal.map((unit) => unit.width).filter((width) => typeof width === "number");
    const largest = Math.max(0, ...sizes);
    return Math.min(ENOUGH, largest ? Math.max(1, SQUARE / largest) : ENOUGH);
  }

  // The cells of a CSV table, line by line.
  function table(text) {
    const found = [[]];
    for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,\n]*))(,|\n|$)/g)) {
      found[found.length - 1].push(quoted ?? plain);
      if (end === "\n") found.push([]);
    }
    return found;
  }

  // How many values a column of the tables has.
  function counter(spec) {
    return (field) => {
      const counts = Object.values(spec.datasets || {}).map((text) => {
        if (typeof text !== "string") return new Set(text.map((row) => row[field])).size;
        const [head, ...rest] = table(text);
        const place = head.indexOf(field);
        return place < 0 ? 0 : new Set(rest.filter((row) => row.length > place).map((row) => row[place])).size;
      });
      return Math.max(1, ...counts);
    };
  }

  // Width grows in proportion to the factor, beside what axes and legends take; words may bend the line.
  async function solve(spec, width, natural, plan, cap) {
    const made = (factor) => build(spec, width, natural, { ...plan, factor });
    let [one, other] = [1, 0.8];
    let [wide, small] = [await measure(made(one)), await measure(made(other))];
    let factor, built, reached;
    for (let round = 0; round < 3; round += 1) {
      const slope = (wide - small) / (one - other) || 1;
      factor = Math.max(0.12, Math.min(cap, one - (wide - width) / slope));
      built = made(factor);
      reached = await measure(built);
      if ((reached <= width + 0.5 && (reached > width - 12 || factor === cap)) || factor === other) break;
      [other, small] = [factor, reached];
    }
    return { built, factor, fits: reached <= width + 2 };
  }

  window.splinelabFit = async (spec, width) => {
    const natural = columns(spec, counter(spec));
    const cap = limit(spec, natural === 1);
    const smallest = Math.min(...units(spec).map((unit) => (typeof unit.width === "number" ? unit.width : 300)));
    const most = Math.max(1, Math.floor(width / 120));
    let found;
    for (let side = natural; side >= 1; side -= 1) {
      for (const entries of width < NARROW ? [most, 1] : [most]) {
        found = await solve(spec, width, natural, { most: side, entries }, cap);
        if (found.fits && found.factor >= Math.min(LEAST, LEGIBLE / smallest)) return found.built;
      }
    }
    return found.built;
  };
})();
