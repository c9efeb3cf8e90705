"use strict";
(() => {
  const source = document.getElementById("texts");
  if (!source) return;
  const { arms, languages, items } = JSON.parse(source.textContent);
  const PER_PAGE = 10;
  const WORDS = { harmful: ["not harmless", "harmless"], benign: ["not helpful", "helpful"] };
  const FINISH = { length: "reached its length limit", cut: "cut where the next turn began" };
  const form = document.querySelector("#browser form");
  const list = document.getElementById("items");
  const [previous, next] = ["previous", "next"].map((id) => document.getElementById(id));
  let found = [];
  let page = 0;

  // Texts are hostile: they only ever become text nodes.
  const element = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const body = (text, code, className) => {
    const made = element("div", "text " + className, text === "" ? "(empty)" : text);
    made.dir = "auto";
    if (code && text !== "") made.lang = code;
    return made;
  };

  const wanted = () => {
    const { arm, language, kind, outcome, text } = Object.fromEntries(new FormData(form));
    const needle = text.trim().toLocaleLowerCase();
    return items.filter(([place, itsKind, id, prompt, cells]) => {
      const shown = (arm === "" ? cells : [cells[arm]]).filter(Boolean);
      if (language !== "" && place !== Number(language)) return false;
      if (kind !== "" && itsKind !== kind) return false;
      if (!shown.length) return false;
      if (outcome === "mixed") {
        const seen = new Set(cells.filter(Boolean).map((cell) => cell[1]));
        if (!(seen.has(0) && seen.has(1))) return false;
      } else if (outcome !== "" && !shown.some((cell) => cell[1] === Number(outcome))) return false;
      return !needle || [id, prompt, ...shown.map((cell) => cell[0])].some((t) => t.toLocaleLowerCase().includes(needle));
    });
  };

  const answer = (name, cell, kind, code) => {
    const [text, passes, reward, finish] = cell;
    const made = element("div", "answer " + (passes === null ? "" : passes ? "pass" : "fail"));
    const head = element("p");
    head.append(element("b", "", name));
    const facts = [];
    if (passes !== null) facts.push(WORDS[kind][passes]);
    if (reward !== null) facts.push("reward " + reward.toFixed(2).replace("-", "\u2212"));
    if (FINISH[finish]) facts.push(FINISH[finish]);
    head.append(" ", element("small", "", facts.join(", ")));
    made.append(head, body(text, code, ""));
    return made;
  };

  const card = ([place, kind, id, prompt, cells, sample, seed]) => {
    const [code, name] = languages[place] || ["", "unknown language"];
    const made = element("article", "item");
    const which = (seed ? `, training seed ${seed}` : "") + (sample ? `, sample ${sample}` : "");
    made.append(element("h3", "", `${name}, ${kind} prompt ${id}${which}`));
    made.append(body(prompt, code, "prompt"));
    const answers = element("div", "answers");
    const only = form.elements.arm.value;
    cells.forEach((cell, index) => {
      if (cell && (only === "" || Number(only) === index)) answers.append(answer(arms[index], cell, kind, code));
    });
    made.append(answers);
    return made;
  };

  const show = () => {
    const pages = Math.max(1, Math.ceil(found.length / PER_PAGE));
    list.replaceChildren(...found.slice(page * PER_PAGE, (page + 1) * PER_PAGE).map(card));
    document.getElementById("found").textContent = `${found.length} ${found.length === 1 ? "prompt" : "prompts"}`;
    document.getElementById("page").textContent = `page ${page + 1} of ${pages}`;
    previous.disabled = page === 0;
    next.disabled = page >= pages - 1;
  };

  const search = () => {
    found = wanted();
    page = 0;
    show();
  };

  const turn = (by) => {
    page += by;
    show();
    document.getElementById("responses").scrollIntoView();
  };

  form.addEventListener("input", search);
  form.addEventListener("submit", (event) => event.preventDefault());
  previous.addEventListener("click", () => turn(-1));
  next.addEventListener("click", () => turn(1));
  document.getElementById("browser").hidden = false;
  search();
})();
