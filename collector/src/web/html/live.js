// Keeps a page up to date, and searches while one types. Pages work without it.
"use strict";

// Time between two requests, in milliseconds.
const EVERY = 1000;
// Time without a key before a search begins.
const TYPING = 250;
const content = document.querySelector("#content");
let address = location.href;
let timer;

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
      // A form has what somebody is entering.
      if (before.nodeName !== "FORM") follow(before, child);
    } else if (before.data !== child.data) before.data = child.data;
  });
}

async function update() {
  clearTimeout(timer);
  const asked = address;
  try {
    if (!document.hidden) {
      const response = await fetch(asked, { headers: { Accept: "text/html" } });
      if (!response.ok && response.status !== 404) throw new Error(response.status);
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      // Meanwhile another search may have begun.
      if (asked === address) {
        document.title = page.title;
        follow(content, page.querySelector("#content"));
      }
      document.body.classList.remove("stale");
    }
  } catch {
    document.body.classList.add("stale");
  }
  clearTimeout(timer);
  timer = setTimeout(update, EVERY);
}

// Shows what a form asks for, without loading a page.
function search(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value) query.set(name, value);
  }
  address = `${location.pathname}?${query}`;
  history.replaceState(null, "", address);
  update();
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
document.addEventListener("visibilitychange", update);
timer = setTimeout(update, EVERY);
