// Shows each message the way its service would. Everything shown came from alerts and is hostile until proven
// otherwise: elements are made one by one and filled with text nodes; no HTML is ever parsed here.

const EVERY_MS = 500;
const MOST_CARDS = 150; // a section; older ones are dropped from the page
const LONGEST = 700; // characters of one text
// controls, marks that turn the text around, as in exe.txt, and what has no width: as common/printable.py
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]/gu;
const escaped = (one) => "\n\t".includes(one) ? one : `\\u{${one.codePointAt(0).toString(16)}}`;

const SECTIONS = [
  ["slack", "Slack", "messages", slack],
  ["pagerduty", "PagerDuty", "incidents", pagerduty],
  ["virustotal", "VirusTotal", "look-ups", virustotal],
  ["shuffle", "Shuffle", "executions", shuffle],
  ["maltiverse", "Maltiverse", "look-ups", maltiverse],
  ["ticket", "Ticket system", "tickets", ticket],
  ["teams", "Microsoft Teams", "cards", chat],
  ["discord", "Discord", "embeds", chat],
  ["googlechat", "Google Chat", "cards", chat],
  ["mattermost", "Mattermost", "posts", chat],
  ["rocketchat", "Rocket.Chat", "messages", chat],
  ["telegram", "Telegram", "messages", notice],
  ["ntfy", "ntfy", "notifications", notice],
  ["email", "Mailbox", "mails", mail],
  ["jira", "Jira", "issues", item],
  ["thehive", "TheHive", "alerts", item],
  ["iris", "IRIS", "alerts", item],
  ["webhook", "Webhook", "CloudEvents", event],
  ["splunk-hec", "Splunk", "events", event],
  ["syslog", "Syslog", "messages of RFC 5424", event],
  ["manager", "Wazuh manager", "events in its queue", manager],
];

// ---- making elements

function text(value) {
  if (value === null || value === undefined) return "";
  const whole = (typeof value === "string" ? value : JSON.stringify(value)).replace(UNSEEN, escaped);
  return whole.length > LONGEST ? `${whole.slice(0, LONGEST)}… (${whole.length.toLocaleString("en")} characters)` : whole;
}

function make(tag, classes, ...children) {
  const element = document.createElement(tag);
  if (classes) element.className = classes;
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== "") element.append(child instanceof Node ? child : text(child));
  }
  return element;
}

function clock(message) {
  const at = new Date(message.at_s * 1000);
  const time = make("time", "", at.toLocaleTimeString("en-GB"));
  time.dateTime = at.toISOString();
  return time;
}

const chip = (tint, words) => make("span", `chip is-${tint}`, words);
const top = (message, ...parts) => make("div", "top", ...parts, clock(message));
const soft = (...parts) => make("p", "soft", parts.filter(Boolean).join(" · "));
const fields = (value) => (value && typeof value === "object" ? value : {});

// ---- one function a service: message in, contents of its card out

function mrkdwn(value) { // Slack's _italics_, the only mark that Wazuh's messages use
  return text(value).split(/(_\([^_]*\)_)/).map((piece) =>
    piece.startsWith("_(") && piece.endsWith(")_") ? make("em", "", piece.slice(1, -1)) : piece);
}

const TINTS = { // Slack's own names, in the stock message, and the colours of messages and digests
  good: "good", warning: "warning", danger: "danger",
  "#2eb886": "good", "#daa038": "warning", "#e8590c": "warning", "#a30200": "danger",
};

function slack(message) {
  const bot = make("div", "bot", make("i", "", "W"), "Wazuh", make("span", "app", "APP"),
    make("span", "soft", `#${message.integration}`), clock(message));
  const attachments = [].concat(fields(message.body).attachments || []).map((raw) => {
    const one = fields(raw);
    const list = [].concat(one.fields || []).map((field) =>
      make("div", "", make("dt", "", fields(field).title), make("dd", "", ...mrkdwn(fields(field).value))));
    return [
      one.pretext ? make("div", "soft pretext", one.pretext) : null,
      make("div", `attachment is-${TINTS[one.color] || "plain"}`, make("p", "title", one.title),
        one.text ? make("pre", "", one.text) : null, list.length ? make("dl", "", list) : null),
    ];
  });
  return [bot, attachments];
}

function chat(message) { // title, text and rows beside a bar in the colour of the level, as all five show them
  const body = fields(message.body);
  const bot = make("div", "bot", make("i", "", "W"), "Wazuh", make("span", "app", "APP"),
    make("span", "soft", `#${message.integration}`), clock(message));
  const tint = TINTS[body.colour] || "plain";
  return [bot, make("div", `attachment is-${tint}`, make("p", "title", body.title),
    body.text ? make("pre", "", body.text) : null, rows(body))];
}

function pagerduty(message) {
  const payload = fields(fields(message.body).payload);
  const tint = { critical: "danger", error: "danger", warning: "warning", info: "info" }[payload.severity] || "plain";
  return [
    top(message, chip(tint, payload.severity || "?"), make("strong", "", payload.summary)),
    soft("triggered", text(payload.source), text(payload.group), text(payload.timestamp)),
    soft(`key ${text(fields(message.body).dedup_key) || "none"}`),
  ];
}

function virustotal(message) {
  const report = fields(message.body);
  const known = report.response_code === 1;
  const tint = !known ? "plain" : report.positives > 0 ? "danger" : "good";
  const ring = make("div", `ring is-${tint}`, known ? String(report.positives) : "?", known ? make("small", "", `of ${report.total}`) : null);
  const verdict = !known ? "Not in the collection" : report.positives > 0
    ? `Malicious: ${text(fields(fields(report.scans).Microsoft).result)}` : "No engine objects";
  return [make("div", "verdict", ring, make("div", "", top(message, make("strong", "", verdict)),
    make("p", "", make("code", "", report.resource)), known ? soft(`scanned ${text(report.scan_date)}`) : null))];
}

function shuffle(message) {
  const start = fields(message.body);
  const tint = { 1: "info", 2: "warning", 3: "danger" }[start.severity] || "plain";
  return [
    top(message, chip(tint, `severity ${text(start.severity)}`), make("strong", "", start.title)),
    soft(`execution ${message.note}`, `rule ${text(start.rule_id)}`, "finished"),
    start.text ? make("pre", "", start.text) : null,
  ];
}

function maltiverse(message) {
  const answer = fields(message.body);
  const word = answer.found ? text(answer.classification) : "unknown";
  const tint = { malicious: "danger", suspicious: "warning", neutral: "info", whitelist: "good" }[word] || "plain";
  const lists = [].concat(answer.blacklist || []).map((entry) => `${text(fields(entry).description)} (${text(fields(entry).source)})`);
  return [
    top(message, chip(tint, word), make("strong", "", make("code", "", answer.name))),
    soft(text(answer.kind), answer.found ? "" : "answered 404"), lists.length ? soft(...lists) : null,
  ];
}

function ticket(message) {
  const body = fields(message.body);
  const tint = { urgent: "danger", high: "danger", normal: "warning", low: "info" }[body.priority] || "plain";
  return [
    top(message, make("code", "", message.note), make("strong", "", body.title), chip(tint, body.priority || "?")),
    soft(...[].concat(body.labels || []).map(text)), body.text ? make("pre", "", body.text) : null,
  ];
}

const chips = (body) => [].concat(body.chips || []).map(([tint, words]) => chip(text(tint), words));
const rows = (body) => { // names and values side by side, none if there are none
  const made = [].concat(body.rows || []).map(([name, value]) => make("div", "", make("dt", "", name), make("dd", "", value)));
  return made.length ? make("dl", "", made) : null;
};

function notice(message) { // on a phone: who, when, then the message in a bubble
  const body = fields(message.body);
  return [top(message, make("span", "soft", body.to), ...chips(body)),
    make("div", "bubble", make("p", "title", body.title), make("p", "lines", body.text), soft(...[].concat(body.labels || []).map(text)))];
}

function mail(message) { // as a mail program shows an open mail
  const body = fields(message.body);
  return [make("div", "bot", make("i", "", text(body.from).slice(0, 1)), make("span", "", body.from), clock(message)),
    make("p", "title", body.title, " ", body.importance === "high" ? chip("danger", "important") : null),
    soft(`to ${text(body.to)}`, text(body.date)), make("p", "lines", body.text)];
}

function item(message) { // key, title and state, then labels, description and observables
  const body = fields(message.body);
  return [top(message, make("code", "", body.key), make("strong", "", body.title), ...chips(body)),
    soft(...[].concat(body.labels || []).map(text)), body.text ? make("pre", "", body.text) : null, rows(body)];
}

function event(message) { // a line of a log search: when, where, and the event as it came
  const body = fields(message.body);
  return [top(message, ...chips(body), make("strong", "", message.title)), soft(text(body.time), text(body.host)), make("pre", "", body.raw)];
}

function manager(message) {
  const level = Number((/level (\d+)/.exec(message.note) || [])[1] || 0);
  const tint = level >= 12 ? "danger" : level >= 7 ? "warning" : "info";
  return [
    top(message, message.note ? chip(tint, message.note) : null, make("strong", "", message.title)),
    make("p", "soft", make("code", "", fields(message.body).location)),
    make("pre", "", JSON.stringify(fields(fields(message.body).event))),
  ];
}

function refusal(message) {
  return [top(message, chip("warning", "refused on purpose"), make("strong", "", message.title || message.service)),
    soft(message.note || `answered ${message.status}`, "Courier retries")];
}

// ---- the board

const lists = new Map();

function build() {
  for (const [service, title, noun, render] of SECTIONS) {
    const list = make("div", "list", make("p", "none", "nothing yet"));
    const count = make("span", "count", `0 ${noun}`);
    const section = make("section", service, make("h2", "", title, count), list);
    const tally = make("li", "", title, make("b", "", "0"));
    section.hidden = tally.hidden = [chat, notice, mail, item, event].includes(render); // until the first message
    document.getElementById("board").append(section);
    document.getElementById("tally").append(tally);
    lists.set(service, { section, item: tally, list, count, tally: tally.lastChild, noun, accepted: 0 });
  }
}

const RENDER = Object.fromEntries(SECTIONS.map(([service, , , render]) => [service, render]));

function refused(message) { // Maltiverse answers 404 to what it does not know: that is a valid response
  return !message.accepted && !(message.service === "maltiverse" && message.status === 404);
}

function show(message) {
  const place = lists.get(message.service);
  if (!place) return;
  place.section.hidden = place.item.hidden = false;
  if (!place.accepted && place.list.querySelector(".none")) place.list.replaceChildren();
  const isRefused = refused(message);
  place.list.prepend(make("article", isRefused ? "card refused" : "card", (isRefused ? refusal : RENDER[message.service])(message)));
  while (place.list.childElementCount > MOST_CARDS) place.list.lastChild.remove();
  if (isRefused) return;
  place.accepted += 1;
  place.count.textContent = `${place.accepted} ${place.noun}`;
  place.tally.textContent = String(place.accepted);
}

function setStatus(words, lost) {
  const state = document.getElementById("state");
  state.textContent = words;
  state.classList.toggle("lost", lost);
}

let last = 0;

async function poll() {
  let pause = EVERY_MS;
  try {
    const answer = await (await fetch(`/messages?after=${last}`, { cache: "no-store" })).json();
    answer.messages.forEach(show);
    const link = document.getElementById("console");
    link.href = answer.console;
    link.hidden = !answer.console;
    if (answer.messages.length) last = answer.messages.at(-1).number;
    if (last < answer.total) pause = 0;
    setStatus(answer.total ? `${answer.total} requests and events so far, live` : "waiting for the first message…", false);
  } catch {
    setStatus("the demo has ended; what it received stays here until you close the page", true);
    pause = 3000;
  }
  setTimeout(poll, pause);
}

build();
poll();
