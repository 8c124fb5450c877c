// What HTML alone cannot do: times in the browser's zone, buttons that copy ids, live updates, "select all".
"use strict";

const zone = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "medium" }); // the locale whose form is ISO 8601

/** Make the elements inside `root` usable: after the page has loaded, and for each one that an update brings. */
function enhance(root) {
  for (const time of root.querySelectorAll("time[datetime]:not(.ago)")) {
    time.textContent = zone.format(new Date(time.dateTime));
  }
  for (const id of root.querySelectorAll("[data-copy]")) {
    if (id.nextElementSibling?.classList.contains("copy")) continue;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "copy";
    button.setAttribute("aria-label", `copy ${id.dataset.copy}`);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(id.dataset.copy);
      button.textContent = "copied";
    });
    id.after(button);
  }
}

function parse(html) {
  const template = document.createElement("template");
  template.innerHTML = html; // from this server, which escapes all text of alerts
  return template.content.firstElementChild;
}

/** Do not replace what somebody is reading aloud, selecting or typing in; the next update will. */
function isInUse(element) {
  const selection = document.getSelection();
  const selected = selection && !selection.isCollapsed && selection.containsNode(element, true);
  return selected || (element.contains(document.activeElement) && document.activeElement !== document.body);
}

const waiting = new Map();

function replace(id, html) {
  waiting.delete(id);
  const old = document.getElementById(id);
  if (old && isInUse(old)) {
    waiting.set(id, html);
  } else if (old) {
    const fresh = parse(html);
    enhance(fresh);
    old.replaceWith(fresh);
  }
}

/** Give the element `id` these children, by their ids, in this order. */
function arrange(id, children, html) {
  const list = document.getElementById(id);
  if (!list) return;
  const wanted = new Set(children);
  for (const child of [...list.children]) if (!wanted.has(child.id)) child.remove();
  children.forEach((child, position) => {
    let element = document.getElementById(child);
    if (!element && html[child]) {
      element = parse(html[child]);
      enhance(element);
    }
    if (element && list.children[position] !== element) list.insertBefore(element, list.children[position] ?? null);
  });
}

function follow(topic) {
  const source = new EventSource(`/live/${topic}`);
  const notice = (text) => { const place = document.getElementById("live-notice"); if (place) place.textContent = text; };
  source.addEventListener("message", ({ data }) => {
    const { html, lists } = JSON.parse(data);
    for (const [id, text] of [...waiting, ...Object.entries(html)]) replace(id, text);
    for (const [id, children] of Object.entries(lists)) arrange(id, children, html);
  });
  source.addEventListener("error", () => {
    const again = source.readyState === EventSource.CONNECTING;
    notice(again ? "The connection to the console is lost; trying again." : "This page is no longer current: load it again.");
  });
  addEventListener("pagehide", () => source.close());
}

enhance(document);
const zoneName = Intl.DateTimeFormat().resolvedOptions().timeZone;
for (const place of document.querySelectorAll("[data-zone]")) {
  if (zoneName !== "UTC") place.textContent = ` on hover, else ${zoneName}`;
}
for (const form of document.querySelectorAll("form[method=post]")) {
  let sentAt = -Infinity; // a double click must not change something twice
  form.addEventListener("submit", (event) => {
    if (event.submitter?.hasAttribute("formaction")) return; // a download, after which the page stays
    if (event.timeStamp - sentAt < 3000) event.preventDefault();
    else sentAt = event.timeStamp;
  });
}
for (const all of document.querySelectorAll("[data-select-all]")) {
  all.hidden = false;
  all.addEventListener("change", () => {
    for (const box of document.getElementsByName(all.dataset.selectAll)) box.checked = all.checked;
  });
}
if (document.body.dataset.live) follow(document.body.dataset.live);
