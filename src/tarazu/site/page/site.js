// Search in the page itself: looks through records.js, which is loaded when it is first asked for. Every entry in it is
// HTML that the site's build has escaped. Without this script the form asks the server, and the lists are pages.
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
    const asked = new FormData(form);
    const wanted = ["language", "verdict", "gate"].map(name => asked.get(name));
    const words = plain(asked.get("q").replace(/^\s*srch[\s:-]+/i, "")).trim().split(" ").filter(Boolean);
    if (!words.length && !wanted.some(Boolean)) {
      entries.innerHTML = first.entries;
      total.textContent = first.total;
      pages.innerHTML = first.pages;
      return;
    }
    const records = await load();
    const found = records.filter(one =>
      words.every(word => one.plain.includes(` ${word}`)) &&
      (!wanted[0] || one.languages.includes(wanted[0])) &&
      (!wanted[1] || one.verdict === wanted[1]) &&
      (!wanted[2] || one.gate === wanted[2]));
    entries.innerHTML = found.slice(0, MOST).map(one => one.row).join("");
    const more = found.length > MOST ? `, the first ${MOST}` : "";
    total.textContent = `${found.length} record${found.length === 1 ? "" : "s"}${more}`;
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
