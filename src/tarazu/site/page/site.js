// Search in the page itself, in the data of records.js, which is loaded on the first search. Its entries are HTML that the
// site's build has escaped. Without this script, the form is sent to the server and the lists are pages.
"use strict";
(() => {
  const form = document.querySelector("form.search");
  const entries = document.getElementById("entries");
  const total = document.getElementById("total");
  const pages = document.getElementById("pages");
  if (!form || !entries) return;
  const MOST = 100;
  const first = { entries: entries.innerHTML, total: total.textContent, pages: pages.innerHTML };
  let loading = null;

  const plain = text => ` ${text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().replace(/[^\p{L}\p{N}_]+/gu, " ").trim()}`;

  function load() {
    loading ??= new Promise((done, fail) => {
      const script = document.createElement("script");
      script.src = new URL("records.js", form.action).href;
      script.onload = () => {
        for (const one of window.tarazuRecords) one.plain = plain(one.text);
        done(window.tarazuRecords);
      };
      script.onerror = fail;
      document.head.append(script);
    });
    return loading;
  }

  async function show() {
    const query = new FormData(form);
    const filters = ["language", "verdict", "gate"].map(name => query.get(name));
    const words = plain(query.get("q").replace(/^\s*srch[\s:-]+/i, "")).trim().split(" ").filter(Boolean);
    if (!words.length && !filters.some(Boolean)) {
      entries.innerHTML = first.entries;
      total.textContent = first.total;
      pages.innerHTML = first.pages;
      return;
    }
    const records = await load();
    const matches = records.filter(one =>
      words.every(word => one.plain.includes(` ${word}`)) &&
      (!filters[0] || one.languages.includes(filters[0])) &&
      (!filters[1] || one.verdict === filters[1]) &&
      (!filters[2] || one.gate === filters[2]));
    entries.innerHTML = matches.slice(0, MOST).map(one => one.row).join("");
    const more = matches.length > MOST ? `, the first ${MOST}` : "";
    total.textContent = `${matches.length} record${matches.length === 1 ? "" : "s"}${more}`;
    pages.textContent = "";
  }

  form.addEventListener("input", show);
  form.addEventListener("submit", event => { event.preventDefault(); show(); });
  const given = new URLSearchParams(location.search);
  if (form.action.split("?")[0] === location.href.split(/[?#]/)[0] && [...given.values()].some(Boolean)) {
    for (const [name, value] of given) if (form.elements[name]) form.elements[name].value = value;
    show();
  }
})();
