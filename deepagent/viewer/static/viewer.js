// What the pages do beyond plain links and forms; all of them work without it.
"use strict";

const timeline = document.getElementById("timeline");
const search = document.querySelector("[data-search]");
const help = document.getElementById("help");

// ---- pieces of the timeline, fetched when they come into sight ----

function parsed(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html; // from our own server, which escapes everything it did not write itself
  enliven(holder.content);
  return holder.content;
}

const loading = new WeakMap();
let aimed = null; // where a link led, until the reader moves on
for (const moved of ["wheel", "touchmove", "keydown", "pointerdown"]) addEventListener(moved, () => { aimed = null; }, { passive: true });

function load(chunk) {
  if (!loading.has(chunk)) {
    loading.set(chunk, fetch(chunk.dataset.chunk).then(async (answer) => {
      if (!answer.ok) throw new Error(`chunk: ${answer.status}`);
      chunk.replaceWith(parsed(await answer.text()));
      aimed?.scrollIntoView({ block: "start" }); // what was above it has grown
    }).catch((error) => { loading.delete(chunk); throw error; }));
  }
  return loading.get(chunk);
}

const watcher = new IntersectionObserver((seen) => {
  for (const one of seen) if (one.isIntersecting) load(one.target).catch(() => {});
}, { rootMargin: "900px 0px" });

async function reveal(anchor) {
  if (!timeline || !anchor) return;
  const chunk = [...timeline.querySelectorAll("[data-chunk]")].find((one) => one.dataset.anchors.split(" ").includes(anchor));
  if (chunk) await load(chunk);
  const target = document.getElementById(anchor);
  if (!target || !target.matches("[data-item]")) return;
  mark(target);
  aimed = target;
  target.scrollIntoView({ block: "start" });
}

addEventListener("hashchange", () => reveal(location.hash.slice(1)));

// ---- long texts ----

function enliven(root) {
  for (const button of root.querySelectorAll("[data-text]")) {
    button.hidden = false;
    button.addEventListener("click", () => unfold(button));
  }
  for (const chunk of root.querySelectorAll("[data-chunk]")) watcher.observe(chunk);
}

async function unfold(button) {
  button.disabled = true;
  const answer = await fetch(`${button.dataset.text}?shown`);
  if (!answer.ok) { button.disabled = false; return; }
  const holder = button.closest(".long");
  const whole = document.createElement("pre");
  whole.className = holder.querySelector("pre").className;
  whole.tabIndex = -1;
  whole.textContent = await answer.text();
  holder.replaceWith(whole);
  whole.focus({ preventScroll: true });
}

// ---- following a run that is going on ----

function place(id, html, index) {
  const old = document.getElementById(id);
  const made = parsed(html);
  if (old) {
    const opened = [...old.querySelectorAll("details")].map((one) => one.open);
    [...made.querySelectorAll("details")].forEach((one, at) => { one.open = Boolean(opened[at]); });
    if (old.classList.contains("here")) made.firstElementChild.classList.add("here");
    old.replaceWith(made);
  } else if (index >= Number(timeline.dataset.count)) {
    timeline.append(made);
  }
}

function follow() {
  const source = new EventSource(`/runs/${timeline.dataset.run}/live?after=${timeline.dataset.sequence}`);
  source.addEventListener("entry", (message) => {
    const atEnd = innerHeight + scrollY > document.body.scrollHeight - 200;
    const said = JSON.parse(message.data);
    place(said.anchor, said.html, said.index);
    if (atEnd) scrollTo({ top: document.body.scrollHeight });
  });
  source.addEventListener("state", (message) => {
    const said = JSON.parse(message.data);
    for (const part of ["head", "end"]) document.getElementById(part).replaceChildren(parsed(said[part]));
  });
  source.addEventListener("over", () => source.close());
}

// ---- the keyboard ----

const items = () => [...document.querySelectorAll("[data-item], [data-chunk]")];
const here = () => document.querySelector(".here");

function mark(item) {
  here()?.classList.remove("here");
  item.classList.add("here");
  (item.querySelector("[data-open]") ?? item).focus({ preventScroll: true });
}

async function move(way) {
  const all = items();
  const current = here();
  let next = current ? all[all.indexOf(current) + way] : all[way > 0 ? 0 : all.length - 1];
  if (!next) return;
  if (next.matches("[data-chunk]")) {
    const [before, after] = [next.previousElementSibling, next.nextElementSibling];
    await load(next);
    next = way > 0 ? (before ? before.nextElementSibling : timeline.firstElementChild) : (after ? after.previousElementSibling : timeline.lastElementChild);
  }
  mark(next);
  next.scrollIntoView({ block: way > 0 && timeline ? "start" : "nearest" });
}

async function leap(last) {
  const all = items();
  const chunk = all.at(last ? -1 : 0);
  if (chunk?.matches("[data-chunk]")) await load(chunk);
  const item = items().at(last ? -1 : 0);
  if (item) { mark(item); item.scrollIntoView({ block: "nearest" }); }
}

const keys = {
  j: () => move(1),
  k: () => move(-1),
  g: () => leap(false),
  G: () => leap(true),
  u: () => { location.href = "/"; },
  "/": () => search?.focus(),
  "?": () => help.showModal(),
  Enter: () => {
    const details = [...(here()?.querySelectorAll("details") ?? [])];
    const open = details.some((one) => !one.open);
    for (const one of details) one.open = open;
  },
};

addEventListener("keydown", (event) => {
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog");
  if (event.key === "Escape" && event.target === search) search.blur();
  if (typing || event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
  if (event.key === "Enter" && event.target.closest("a, button, summary")) return;
  event.preventDefault();
  keys[event.key]();
});

// ---- the list ----

const picking = document.querySelector("[data-compare]");
if (picking) {
  const button = picking.querySelector("[data-compare-button]");
  const update = () => {
    const picked = picking.querySelectorAll("[name=run]:checked").length;
    button.disabled = picked !== 2;
    button.textContent = picked === 2 ? "Compare these two runs" : `Select two runs to compare`;
  };
  picking.addEventListener("change", update);
  update();
}

for (const form of document.querySelectorAll("[data-auto]")) {
  form.querySelector("button").hidden = true;
  form.addEventListener("change", () => form.requestSubmit());
}

// ---- beginning ----

for (const button of document.querySelectorAll("[data-help]")) {
  button.hidden = false;
  button.addEventListener("click", () => help.showModal());
}
enliven(document);
if (location.hash) reveal(location.hash.slice(1));
if (timeline && "live" in timeline.dataset) follow();
