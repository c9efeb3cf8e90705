"use strict";
// Texts of models are set as textContent only: nothing in them can become markup.
(() => {
  const token = decodeURIComponent(location.hash.slice(1));
  const $ = (id) => document.getElementById(id);
  const ANSWERS = {Digit1: "good", Numpad1: "good", Digit2: "bad", Numpad2: "bad", Digit3: "cannot tell", Numpad3: "cannot tell"};
  const PRESSED = new Map([[1, "good"], [0, "bad"], [null, "cannot tell"]]);
  const ROLES = {user: "User", assistant: "Assistant", system: "System"};

  let session = null;
  let place = 0; // of the item shown; session.items.length: the last page
  let shown = null;
  let busy = false;
  const explained = new Set(); // kinds of prompts whose instructions were shown

  async function request(path, options = {}) {
    let answer;
    try {
      answer = await fetch(path, {...options, headers: {"X-Tarazu-Token": token, ...options.headers}});
    } catch {
      throw new Error("The server does not answer. Start tarazu label again and open the address that it prints; saved ratings are kept.");
    }
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.error);
    return body;
  }

  function say(text) {
    $("message").textContent = text;
    $("message").hidden = text === "";
  }

  function paragraph(kind, text) {
    const made = document.createElement("p");
    made.className = kind;
    made.textContent = text;
    return made;
  }

  function written(text) {
    if (text === "") return paragraph("none", "The text is empty.");
    const made = paragraph("text", text);
    made.lang = shown.language.code;
    made.dir = shown.language.direction;
    return made;
  }

  function progress() {
    const rated = session.items.filter((item) => item[1]).length;
    $("count").textContent = `${rated} of ${session.items.length} rated`;
    $("progress").max = session.items.length;
    $("progress").value = rated;
  }

  function showDone() {
    shown = null;
    $("item").hidden = true;
    $("done").hidden = false;
    for (const button of document.querySelectorAll(".answers button")) button.disabled = true;
    $("done").querySelector("h1").focus();
  }

  function showItem(item) {
    shown = item;
    const question = session.questions[item.kind];
    $("done").hidden = true;
    $("item").hidden = false;
    $("question").textContent = question.text;
    $("language").textContent = item.language.name;
    $("place").textContent = `Response ${place + 1} of ${session.items.length}`;
    $("instructions").replaceChildren(...[...question.instructions, session.cannot_tell].map((text) => {
      const made = document.createElement("li");
      made.textContent = text;
      return made;
    }));
    // A phone has no room for them each time.
    $("help").open = innerWidth >= 640 || !explained.has(item.kind);
    explained.add(item.kind);
    $("good").querySelector("span").textContent = question.good;
    $("bad").querySelector("span").textContent = question.bad;
    const turns = item.prompt.length > 1;
    $("prompt").replaceChildren(...item.prompt.flatMap(([role, text]) =>
      turns ? [paragraph("role", ROLES[role]), written(text)] : [written(text)]));
    $("response").replaceChildren(written(item.response));
    for (const button of document.querySelectorAll(".answers button")) {
      button.disabled = false;
      button.setAttribute("aria-pressed", String(item.rated && PRESSED.get(item.label) === button.dataset.answer));
    }
    scrollTo(0, 0);
    $("question").focus({preventScroll: true});
  }

  async function show(next) {
    if (next < session.items.length) {
      const item = await request(`api/items/${session.items[next][0]}`);
      place = next;
      showItem(item);
    } else {
      place = next;
      showDone();
    }
    $("back").disabled = place === 0;
    $("forward").disabled = place >= session.items.length;
    $("answers").hidden = false;
    progress();
    say("");
  }

  // The next item that is not rated yet, from `start` on and then from the first; the last page if there is none.
  function unrated(start) {
    const order = [...session.items.keys()];
    const next = [...order.slice(start), ...order.slice(0, start)].find((index) => !session.items[index][1]);
    return next === undefined ? session.items.length : next;
  }

  // One action at a time, so that a second key press cannot rate the next item unseen.
  async function act(action) {
    if (busy || session === null) return;
    busy = true;
    try {
      await action();
    } catch (error) {
      say(error.message);
    } finally {
      busy = false;
    }
  }

  const rate = (answer) => act(async () => {
    if (shown === null) return;
    await request(`api/items/${session.items[place][0]}`, {
      method: "POST",
      headers: {"Content-Type": "application/json"},
      body: JSON.stringify({answer}),
    });
    session.items[place][1] = true;
    await show(unrated(place + 1));
  });
  const move = (step) => act(async () => {
    const next = place + step;
    if (next >= 0 && next <= session.items.length) await show(next);
  });

  for (const button of document.querySelectorAll(".answers button")) {
    button.addEventListener("click", () => rate(button.dataset.answer));
  }
  $("back").addEventListener("click", () => move(-1));
  $("forward").addEventListener("click", () => move(1));
  document.addEventListener("keydown", (event) => {
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.code in ANSWERS) rate(ANSWERS[event.code]);
    else if (event.key === "ArrowLeft" || event.key === "Backspace") move(-1);
    else if (event.key === "ArrowRight") move(1);
    else return;
    event.preventDefault();
  });

  request("api/session").then(async (given) => {
    session = given;
    $("rater").textContent = `Rater: ${session.rater}`;
    await act(() => show(unrated(0)));
  }).catch((error) => say(error.message));
})();
