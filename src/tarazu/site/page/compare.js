// The comparison of two records. Each record's data is in its own compare.js, which is loaded as a script, since a page that
// was opened from a file may not fetch. All of it is put into the page as text.
"use strict";
(() => {
  const form = document.querySelector(".compare-form");
  const place = document.getElementById("compared");
  const heading = document.getElementById("compared-h");
  const SVG = "http://www.w3.org/2000/svg";
  const MINUS = "\u2212";

  function element(name, attributes = {}, ...inside) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...inside);
    return made;
  }

  const number = value => (value < 0 ? MINUS : "") + Math.abs(value).toFixed(1);
  const signed = value => (value > 0 ? "+" : "") + number(value);
  const between = (one, show) => one.low === null || one.high === null ? "no interval" : `[${show(one.low)}, ${show(one.high)}]`;

  function load(path) {
    return new Promise((done, fail) => {
      const script = element("script", { src: path });
      script.onload = done;
      script.onerror = () => fail(new Error(path));
      document.head.append(script);
    });
  }

  async function record(id) {
    if (!window.tarazuCompared?.[id]) await load(`records/${id}/compare.js`);
    return window.tarazuCompared[id];
  }

  // --- drawings -----------------------------------------------------------------------------------

  function drawing(one, least, most, margin) {
    const x = value => `${100 * (Math.min(Math.max(value, least), most) - least) / (most - least)}%`;
    const svg = document.createElementNS(SVG, "svg");
    for (const [key, value] of [["class", "bar"], ["height", "18"], ["aria-hidden", "true"], ["focusable", "false"]]) {
      svg.setAttribute(key, value);
    }
    const add = (name, attributes) => {
      const made = document.createElementNS(SVG, name);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      svg.append(made);
    };
    const line = (from, to, kind) => add("line", { class: kind, x1: x(from), x2: x(to), y1: 9, y2: 9 });
    if (margin > 0) {
      add("rect", { class: "band", x: x(-margin), y: 1, width: `${parseFloat(x(margin)) - parseFloat(x(-margin))}%`, height: 16 });
    }
    line(least, most, "axis");
    if (least < 0 && most > 0) add("line", { class: "zero", x1: x(0), x2: x(0), y1: 1, y2: 17 });
    if (one.low !== null && one.high !== null) line(one.low, one.high, "range");
    add("circle", { class: "dot", cx: x(one.value), cy: 9, r: 4 });
    return svg;
  }

  function drawn(caption, rows, least, most, show) {
    const body = element("tbody");
    for (const [name, group, one, margin] of rows) {
      body.append(element("tr", {},
        element("th", { scope: "row" }, name, ...(group ? [element("br"), element("small", {}, group)] : [])),
        element("td", { class: "num" }, element("b", {}, show(one.value)), " ", element("span", { class: "ci" }, between(one, show))),
        element("td", { class: "draw" }, drawing(one, least, most, margin))));
    }
    return element("figure", { class: "scroll" }, element("table", { class: "rates" }, element("caption", {}, caption), body));
  }

  function differences(a, b) {
    const rows = [a, b].filter(one => one.difference).map(one => [one.srch_id, one.difference.name, one.difference, one.margin ?? 0]);
    if (!rows.length) return element("p", { class: "empty" }, "Neither record has an estimate.");
    const ends = rows.flatMap(([, , one, margin]) => [one.value, one.low ?? 0, one.high ?? 0, margin].map(Math.abs));
    const reach = 1.08 * Math.max(1, ...ends);
    const units = [...new Set([a, b].filter(one => one.difference).map(one => one.unit))];
    const caution = units.length > 1 ? " The records estimate different quantities, so the numbers cannot be compared." : "";
    return drawn(`Difference between the groups (low- minus high-resource languages): ${units.join(" | ")}. Estimate (dot) with its ` +
      `95\u00a0% interval, both on a line from ${number(-reach)} to ${number(reach)}. The band is the equivalence margin.${caution}`,
      rows, -reach, reach, signed);
  }

  function scores(a, b) {
    const arms = [...new Set([...a.cas, ...b.cas].map(one => one.name))].sort();
    const rows = arms.flatMap(arm => [a, b].flatMap(record =>
      record.cas.filter(one => one.name === arm).map(one => [arm, record.srch_id, one, 0])));
    if (!rows.length) return element("p", { class: "empty" }, "Neither record has a Combined Alignment Score.");
    return drawn("Combined Alignment Score (CAS) of each arm in percent with its 95\u00a0% interval, on a line from 0 to 100.", rows, 0, 100, number);
  }

  // --- rows of text --------------------------------------------------------------------------------

  function row(name, same, left, right) {
    return element("tr", same ? {} : { class: "differs" },
      element("th", { scope: "row" }, name, ...(same ? [] : [element("small", {}, " differs")])), left, right);
  }

  function pair(name, left, right) {
    return row(name, left === right, element("td", {}, left ?? "–"), element("td", {}, right ?? "–"));
  }

  function pairs(a, b, rows, label) {
    const head = element("tr", {}, element("th", { scope: "col" }, label), element("th", { scope: "col" }, a.srch_id), element("th", { scope: "col" }, b.srch_id));
    return element("table", { class: "compare" }, element("thead", {}, head), element("tbody", {}, ...rows));
  }

  function settings(a, b) {
    const names = [...new Set([...Object.keys(a.settings), ...Object.keys(b.settings)])];
    const other = names.filter(name => a.settings[name] !== b.settings[name]).sort();
    if (!names.length) return element("p", { class: "empty" }, "Neither record has readable settings.");
    if (!other.length) return element("p", {}, `All ${names.length} settings are the same.`);
    return element("div", {}, element("p", {}, `${other.length} of ${names.length} settings differ.`),
      pairs(a, b, other.map(name => pair(name, a.settings[name], b.settings[name])), "Setting"));
  }

  function claims(a, b) {
    const second = new Map(b.claims.map(claim => [claim.key, claim]));
    const both = a.claims.filter(claim => second.has(claim.key));
    const counts = `${both.length} of ${a.claims.length} claims of ${a.srch_id} and ${b.claims.length} of ${b.srch_id} are about the same result, passage or theorem. Those whose verdict or value differs come first.`;
    const cell = claim => element("td", {}, element("b", {}, claim.verdict), claim.value ? `, ${claim.value}` : "",
      element("br"), element("small", {}, claim.statement));
    const rows = both.map(claim => [claim, second.get(claim.key)])
      .map(([one, other]) => [one, other, one.verdict === other.verdict && one.value === other.value])
      .sort((left, right) => left[2] - right[2])
      .map(([one, other, same]) => row(one.key, same, cell(one), cell(other)));
    return element("div", {}, element("p", {}, counts), ...(rows.length ? [pairs(a, b, rows, "About")] : []));
  }

  function part(name, content) {
    return [element("h3", {}, name), content];
  }

  async function show(ids) {
    place.replaceChildren();
    let records;
    try {
      records = await Promise.all(ids.map(record));
    } catch {
      heading.textContent = "Not found: one of the records is not in this site";
      return;
    }
    const [a, b] = records;
    heading.textContent = `${a.srch_id} and ${b.srch_id}`;
    document.title = `${a.srch_id} and ${b.srch_id} – Tarazu records`;
    const titles = element("ul", { class: "compare-titles" }, ...[a, b].map(one =>
      element("li", {}, element("b", {}, one.srch_id), " ", element("a", { href: one.page }, one.title))));
    const names = [...new Set([...Object.keys(a.facts), ...Object.keys(b.facts)])];
    place.append(titles,
      ...part("Answer", differences(a, b)),
      ...part("Arms", scores(a, b)),
      ...part("Facts", pairs(a, b, names.map(name => pair(name, a.facts[name], b.facts[name])), "Fact")),
      ...part("Claims that both make", claims(a, b)),
      ...part("Settings that differ", settings(a, b)));
  }

  // --- the choice ------------------------------------------------------------------------------------

  let index = null;

  const plain = text => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();

  async function entries() {
    index ??= load("records.js").then(() => window.tarazuRecords.map(one => ({ id: one.text.slice(0, 8), title: one.title, plain: plain(one.text) })));
    return index;
  }

  const idOf = text => /^\s*(?:srch[\s:-]*)?([0-9a-f]{8})\s*$/i.exec(text)?.[1].toUpperCase();

  async function matches(text) {
    const words = plain(text).split(/\s+/).filter(Boolean);
    return (await entries()).filter(one => words.every(word => one.plain.includes(word))).slice(0, 20);
  }

  form.addEventListener("input", async event => {
    const field = event.target;
    const list = document.getElementById(field.getAttribute("list"));
    const some = field.value.trim() ? await matches(field.value) : [];
    list.replaceChildren(...some.map(one => element("option", { value: one.id, label: one.title })));
  });

  async function chosen(field) {
    return idOf(field.value) ?? (field.value.trim() && (await matches(field.value))[0]?.id);
  }

  async function compare() {
    const ids = [await chosen(form.elements.a), await chosen(form.elements.b)];
    if (ids.every(Boolean)) await show(ids);
    else heading.textContent = "Choose two records";
  }

  form.addEventListener("submit", event => { event.preventDefault(); compare(); });
  for (const [name, value] of new URLSearchParams(location.search)) if (["a", "b"].includes(name)) form.elements[name].value = value;
  compare();
})();
