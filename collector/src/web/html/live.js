// Keeps a page up to date, and searches while one types. Pages work without it.
"use strict";

// Time between two requests if the collector has no stream for this page, in milliseconds.
const POLL = 5000;
// Number of such requests after which a stream is tried again.
const POLLS = 12;
// Time without a sign of the collector after which a page is old.
const SILENCE = 12000;
// Time without a key before a search begins.
const TYPING = 250;
const content = document.querySelector("#content");
let address = location.href;
let source;
// The lines of the content, as the stream sends them.
let lines = [];
let polls = 0;
let poll;
let silence;

// Makes a node like another one, and keeps what is equal: the focus and the selection stay.
function follow(own, next) {
  for (const { name, value } of [...next.attributes]) {
    if (own.getAttribute(name) !== value) own.setAttribute(name, value);
  }
  for (const { name } of [...own.attributes]) {
    if (!next.hasAttribute(name)) own.removeAttribute(name);
  }
  const children = [...next.childNodes];
  while (own.childNodes.length > children.length) own.lastChild.remove();
  children.forEach((child, index) => {
    const before = own.childNodes[index];
    if (!before) own.append(child);
    else if (before.nodeName !== child.nodeName) before.replaceWith(child);
    else if (before.nodeType === Node.ELEMENT_NODE) {
      // A form has what somebody is entering, and a summary is open or not.
      if (before.nodeName === "DETAILS" && before.open) child.setAttribute("open", "");
      if (before.nodeName !== "FORM") follow(before, child);
    } else if (before.data !== child.data) before.data = child.data;
  });
}

function parse(text) {
  return new DOMParser().parseFromString(text, "text/html");
}

function heard() {
  clearTimeout(silence);
  document.body.classList.remove("stale");
  silence = setTimeout(old, SILENCE);
}

function old() {
  document.body.classList.add("stale");
}

// Opens a stream for what is shown now.
function watch() {
  source?.close();
  clearTimeout(poll);
  clearTimeout(silence);
  if (document.hidden) return;
  let failures = 0;
  const own = new EventSource(address);
  source = own;
  own.onopen = () => { lines = []; };
  own.addEventListener("beat", () => { failures = 0; heard(); });
  own.onmessage = ({ data }) => {
    const change = JSON.parse(data);
    lines.length = change.lines;
    for (const [index, line] of change.set) lines[index] = line;
    follow(content, parse(`<main id="content">${lines.join("\n")}</main>`).querySelector("main"));
    failures = 0;
    heard();
  };
  own.onerror = () => {
    // The browser connects again by itself, unless the collector has refused the stream.
    failures += 1;
    if (failures > 1) old();
    if (own.readyState === EventSource.CLOSED && own === source) ask();
  };
}

// Asks for the page itself.
async function ask() {
  clearTimeout(poll);
  const asked = address;
  try {
    const response = await fetch(asked, { headers: { Accept: "text/html" } });
    if (!response.ok && response.status !== 404) throw new Error(response.status);
    const page = parse(await response.text());
    // Meanwhile another search may have begun.
    if (asked === address) follow(content, page.querySelector("#content"));
    heard();
  } catch {
    old();
  }
  if (asked !== address || document.hidden) return;
  polls = (polls + 1) % POLLS;
  poll = setTimeout(polls ? ask : watch, POLL);
}

// Shows what a form asks for, without loading a page.
function search(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value) query.set(name, value);
  }
  address = `${location.pathname}?${query}`;
  history.replaceState(null, "", address);
  watch();
}

let typing;
content.addEventListener("input", ({ target }) => {
  clearTimeout(typing);
  typing = setTimeout(() => search(target.form), TYPING);
});
content.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  search(event.target);
});
document.addEventListener("visibilitychange", watch);
addEventListener("pagehide", () => source?.close());
addEventListener("pageshow", ({ persisted }) => { if (persisted) watch(); });
watch();
