"use strict";
// Shows the events of /events. Memory is bounded: ten minutes of points per room.
const EMOTIONS = ["neutral", "happy", "sad", "angry", "fear", "disgust", "surprise"];
const NAMES = { voice: "Voice", text: "Words", face: "Face" };
const MINUTES = 10, SPAN_S = 60 * MINUTES, TICKS = 300;
const rooms = new Map();
const status = document.getElementById("status");

function make(tag, name, text) {
  const node = document.createElement(tag);
  if (name) node.className = name;
  if (text !== undefined) node.textContent = text;
  return node;
}

function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// Clipped instead of scaled, so that the end of the bar stays round.
function fill(bar, share) { bar.style.clipPath = `inset(0 ${100 * (1 - share)}% 0 0 round 6px)`; }

function percent(share) { return `${Math.round(100 * share)} %`; }

function span(seconds) {
  const s = Math.round(seconds), two = (n) => String(n).padStart(2, "0");
  return s < 3600 ? `${Math.floor(s / 60)}:${two(s % 60)}`
    : `${Math.floor(s / 3600)}:${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

class Room {
  constructor(id) {
    this.id = id;
    this.points = [];
    this.costs = [];
    this.pressed = "";
    const part = document.getElementById("room").content.cloneNode(true);
    this.root = part.querySelector("article");
    this.find = (selector) => this.root.querySelector(selector);
    this.bars = new Map(EMOTIONS.map((name) => {
      const item = make("li", name);
      const bar = make("i");
      const share = make("b", "", "–");
      item.append(make("span", "", name), bar, share);
      this.find(".bars").append(item);
      return [name, { bar, share }];
    }));
    this.find(".legend").append(...EMOTIONS.map((name) => make("li", name, name)),
      make("li", "unclear", "unclear"), make("li", "pause", "nobody"));
    this.parts = new Map(Object.entries(NAMES).map(([key, name]) => {
      const item = make("li");
      const says = make("p", "says"), track = make("p", "track"), bar = make("i");
      const about = make("p", "part");
      track.append(bar);
      item.append(make("h3", "", name), says, track, about);
      this.find(".modalities").append(item);
      return [key, { item, says, bar, about }];
    }));
    for (const button of this.root.querySelectorAll("button")) {
      button.addEventListener("click", () => this.change(button.dataset.switch));
    }
    this.find("details").addEventListener("toggle", () => this.table());
    document.getElementById("rooms").append(this.root);
  }

  show(event) {
    this.event = event;
    this.seen = performance.now();
    this.root.classList.remove("old");
    say(this.find(".room"), event.room || "");
    this.answer(event);
    this.words(event.transcript);
    for (const [key, modality] of Object.entries(event.modalities)) this.modality(key, modality);
    this.devices(event.sources || {});
    this.cost(event.latency);
    const last = this.points[this.points.length - 1];
    if (!last || this.seen - last.at >= 1000) {
      this.add(this.seen, event.moment && event.moment.label, event.emotion && event.emotion.valence);
      this.course();
    }
  }

  add(at, label, valence) {
    this.points.push({ at, label: label || null, valence: valence ?? null });
    while (this.points[0].at < at - 1000 * SPAN_S) this.points.shift();
  }

  answer(event) {
    const moment = event.moment;
    const off = Object.values(event.modalities).every((each) => each.reason_code === "paused");
    say(this.find(".mood"), moment ? moment.label : off ? "paused" : "nobody");
    this.find(".answer").className = `answer ${moment ? moment.label : ""}`;
    const sure = moment && moment.label !== "unclear" ? `${percent(moment.confidence)} sure, ` : "";
    say(this.find(".since"), moment ? `${sure}for ${span(moment.lasts_s)}`
      : off ? "Cameras and microphones are closed." : "Nobody is seen or heard.");
    say(this.find(".why"), event.why || "");
    for (const [name, { bar, share }] of this.bars) {
      const p = event.emotion ? event.emotion.probabilities[name] : 0;
      fill(bar, p);
      say(share, event.emotion ? percent(p) : "–");
    }
  }

  words(transcript) {
    const node = this.find(".said");
    const text = transcript.text;
    say(node, transcript.withheld ? "Words are withheld (privacy.transcript)."
      : text ? `“${text.length > 280 ? "…" + text.slice(-280) : text}”` : "No words yet.");
    node.classList.toggle("quiet", !text);
    node.classList.toggle("partial", Boolean(text) && !transcript.final);
  }

  modality(key, modality) {
    const { item, says, bar, about } = this.parts.get(key);
    const shares = Object.entries(modality.probabilities || {});
    const [label, share] = shares.reduce((a, b) => (b[1] > a[1] ? b : a), ["", 0]);
    item.className = label;
    say(says, label ? `${label} ${percent(share)}` : "–");
    fill(bar, modality.weight || 0);
    say(about, label ? `counts ${percent(modality.weight)}, ${(modality.age_ms / 1000).toFixed(1)} s old`
      + (modality.reason ? `; ${modality.reason}` : "") : modality.reason || "missing");
  }

  devices(sources) {
    const list = this.find(".devices");
    const lines = Object.values(sources).map((source) =>
      [source.state, `${source.name || "device"}: ${source.state}${source.reason ? `, ${source.reason}` : ""}`]);
    if (!lines.length) lines.push(["live", "a file"]);
    const key = JSON.stringify(lines);
    if (key === this.shown) return;
    this.shown = key;
    list.replaceChildren(...lines.map(([state, text]) => make("li", state, text)));
    load();
  }

  switches(now) {
    this.now = now;
    this.find(".switches").hidden = !now;
    if (!now) return;
    const label = { paused: now.paused ? "Go on" : "Pause",
      camera: `Camera ${now.camera ? "on" : "off"}`,
      microphone: `Microphone ${now.microphone ? "on" : "off"}` };
    for (const button of this.root.querySelectorAll("button")) {
      const name = button.dataset.switch;
      say(button, label[name]);
      if (name !== "paused") {
        button.setAttribute("aria-pressed", String(now[name]));
        button.disabled = now.paused;
      }
    }
  }

  async change(name) {
    const body = JSON.stringify({ room: this.id, [name]: !this.now[name] });
    try {
      const answer = await fetch("api/switches",
        { method: "POST", headers: { "content-type": "application/json" }, body });
      if (answer.ok) take(await answer.json()); else say(status, `Not switched: ${await answer.text()}`);
    } catch { say(status, "Not switched: no connection."); }
  }

  cost(latency) {
    this.costs.push(latency.compute_ms);
    if (this.costs.length > TICKS) this.costs.shift();
    const track = this.find(".cost"), over = latency.compute_ms / latency.budget_ms;
    fill(track.firstChild, Math.min(1, over));
    track.classList.toggle("late", latency.late);
    const sorted = [...this.costs].sort((a, b) => a - b);
    const late = this.costs.filter((ms) => ms > latency.budget_ms).length;
    const facts = { [`to compute, of ${latency.budget_ms} ms`]: `${Math.round(latency.compute_ms)} ms`,
      "95 of 100 answers took less": `${Math.round(sorted[Math.floor(0.95 * (sorted.length - 1))])} ms`,
      "age of the answer": latency.staleness_ms === undefined ? "–" : `${latency.staleness_ms} ms`,
      [`late, of the last ${this.costs.length}`]: String(late) };
    const list = this.find(".facts");
    if (list.children.length !== 4) {
      list.replaceChildren(...[0, 1, 2, 3].map(() => {
        const group = make("div");
        group.append(make("dt"), make("dd"));
        return group;
      }));
    }
    Object.entries(facts).forEach(([what, value], index) => {
      say(list.children[index].firstChild, what);
      say(list.children[index].lastChild, value);
    });
  }

  runs() {
    const runs = [];
    for (const point of this.points) {
      const last = runs[runs.length - 1];
      const joined = last && point.at - last.end < 5000;
      if (joined) last.end = point.at;
      if (!joined || last.label !== point.label) runs.push({ label: point.label, begin: point.at, end: point.at });
    }
    return runs;
  }

  course() {
    const now = performance.now();
    const x = (at) => Math.max(0, 600 * (1 - (now - at) / (1000 * SPAN_S)));
    const svg = (tag, attributes) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      return node;
    };
    const nodes = [svg("rect", { x: 0, y: 0, width: 600, height: 40, class: "pause" }),
      svg("line", { x1: 0, x2: 600, y1: 80, y2: 80, class: "zero" })];
    const runs = this.runs(), seconds = new Map();
    for (const run of runs) {
      if (!run.label) continue;
      const left = x(run.begin), width = Math.max(1, x(run.end) - left);
      nodes.push(svg("rect", { x: left, y: 0, width, height: 40,
        class: run.label === "unclear" ? "unclear" : `block ${run.label}` }));
      seconds.set(run.label, (seconds.get(run.label) || 0) + (run.end - run.begin) / 1000);
    }
    let line = [];
    const flush = () => {
      if (line.length) nodes.push(svg("polyline", { points: line.join(" "), class: "line" }));
      line = [];
    };
    for (const point of this.points) {
      if (point.valence === null) flush();
      else line.push(`${x(point.at).toFixed(1)},${(80 - 28 * point.valence).toFixed(1)}`);
    }
    flush();
    const picture = this.find(".course");
    picture.replaceChildren(...nodes);
    const said = [...seconds].sort((a, b) => b[1] - a[1]).map(([label, s]) => `${label} ${span(s)}`);
    picture.setAttribute("aria-label",
      `Moments of the last ten minutes, and below them valence: ${said.join(", ") || "nobody"}`);
    this.table(runs);
  }

  table(runs = this.runs()) {
    if (!this.find("details").open) return;
    const now = performance.now();
    this.find("tbody").replaceChildren(...runs.reverse().map((run) => {
      const row = make("tr");
      const began = new Date(Date.now() - (now - run.begin)).toLocaleTimeString();
      row.append(make("td", "", began), make("td", "", span((run.end - run.begin) / 1000)),
        make("td", "", run.label || "nobody"));
      return row;
    }));
  }
}

function room(id) {
  if (!rooms.has(id)) rooms.set(id, new Room(id));
  return rooms.get(id);
}

function take(state) {
  const now = performance.now();
  for (const [id, known] of Object.entries(state.rooms)) {
    const each = room(id);
    if (!each.points.length) {
      for (const point of known.history) each.add(now + 1000 * point.s, point.label, point.valence);
    }
    if (!each.event) each.show(known.event);
    each.switches(known.switches);
  }
  for (const [id, each] of rooms) {
    if (!(id in state.rooms)) { each.root.remove(); rooms.delete(id); }
  }
}

let loading = false;
async function load() {
  if (loading) return;
  loading = true;
  try {
    const answer = await fetch("api/state");
    if (answer.ok) take(await answer.json());
  } catch { /* the stream says that the connection is lost */ } finally { loading = false; }
}

function lose() {
  status.className = "status lost";
  say(status, "Connection lost; trying again …");
}

load().then(() => {
  const stream = new EventSource("events");
  stream.onopen = () => { status.className = "status live"; say(status, "Live"); load(); };
  stream.onerror = lose;
  stream.onmessage = (message) => {
    const event = JSON.parse(message.data);
    room(event.room_id || "").show(event);
  };
});

setInterval(() => {
  const now = performance.now();
  for (const each of rooms.values()) each.root.classList.toggle("old", now - (each.seen || 0) > 5000);
}, 1000);
