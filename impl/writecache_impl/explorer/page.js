"use strict";
// Shows a document of trace states.  Nothing here knows how a writecache works: whatever is shown was
// computed by the reference.  Strings of the document are only ever set as text.
(() => {
  const FORMAT = "writecache-trace-states";
  const VERSION = 2;
  const LARGEST_FILE = 256 * 2 ** 20;
  const COMMAND = "writecache vectors show --json-states -o states.json FILE";
  const KINDS = ["event", "effect", "device", "end"];
  const VERDICTS = { allowed: "allowed", broken: "breaks the contract", unjudged: "not judged" };
  const $ = (id) => document.getElementById(id);

  let traces = [];
  let trace = null;
  let step = 0;
  let moment = 0;
  let crash = null; // Which of the crash's contents is shown; null: no crash.

  // Building pieces of the page

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  }

  function button(label, act, attributes = {}) {
    const made = make("button", { type: "button", ...attributes }, label);
    made.addEventListener("click", act);
    return made;
  }

  function table(caption, heads, rows, options = {}) {
    const { note = "", before = null, cells = (row) => row, className = () => "", stack = true } = options;
    const known = before && new Set(before.map((row) => JSON.stringify(row)));
    const body = make("tbody");
    for (const row of rows) {
      const changed = known && !known.has(JSON.stringify(row));
      const line = make("tr", { class: [changed ? "changed" : "", className(row)].join(" ").trim() || null });
      cells(row).forEach((cell, at) => {
        const label = stack && at > (options.plain ?? 0) ? heads[at] || null : null;
        const kind = heads[at] === "there" ? "there" : null;
        line.append(make(at ? "td" : "th", { scope: at ? null : "row", "data-label": label, class: kind }, ...[cell].flat()));
      });
      if (changed) line.firstChild.append(make("span", { class: "spoken" }, " (changed)"));
      body.append(line);
    }
    const head = make("tr", {}, ...heads.map((text) => make("th", { scope: "col" }, text)));
    const title = make("caption", {}, caption, note ? make("small", {}, ` ${note}`) : null);
    const classes = [stack ? "stack" : "", options.kind ?? ""].join(" ").trim();
    return make("table", { class: classes || null }, title, make("thead", {}, head), body);
  }

  // Reading a document

  class Unusable extends Error {}

  function need(condition, what) {
    if (!condition) throw new Unusable(`This file is damaged: ${what}.`);
  }

  const isText = (value) => typeof value === "string";
  const isList = (value) => Array.isArray(value);
  const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
  const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
  const isShown = (value) => isText(value) || typeof value === "number";
  const isRow = (row, length) => isList(row) && row.length === length;

  function parse(text) {
    const trimmed = text.trim();
    if (!trimmed) throw new Unusable("There is nothing to show: it is empty.");
    if (text.startsWith("\u00fd7zXZ") || text.startsWith("\ufffd7zXZ")) {
      throw new Unusable(`This is a packed vector, which this page cannot play. Run: ${COMMAND}`);
    }
    const [line] = trimmed.split("\n", 1);
    for (const part of [line, trimmed]) {
      let value = null;
      try {
        value = JSON.parse(part);
      } catch {
        continue;
      }
      if (isObject(value) && !("traces" in value) && ("op" in value || ("trace" in value && "table" in value))) {
        throw new Unusable(`This is a vector, which this page cannot play. Run: ${COMMAND}`);
      }
    }
    let value = null;
    try {
      value = JSON.parse(trimmed);
    } catch (error) {
      const why = String(error.message).split("\n")[0].slice(0, 120);
      throw new Unusable(`This is not JSON: ${why}`);
    }
    return check(value);
  }

  function check(value) {
    if (!isObject(value) || value.format !== FORMAT) {
      throw new Unusable(`This is not what the trace explorer opens. It is made by: ${COMMAND}`);
    }
    if (value.version !== VERSION) {
      throw new Unusable(`This file has version ${String(value.version).slice(0, 20)}, and this page shows version ${VERSION}.`);
    }
    need(isList(value.traces) && value.traces.length > 0, "it has no traces");
    value.traces.forEach(checkTrace);
    const names = value.traces.map((one) => one.name);
    need(new Set(names).size === names.length, "two traces have one name");
    return value.traces;
  }

  function checkTrace(one) {
    need(isObject(one) && isText(one.name) && isText(one.title) && isText(one.group), "a trace has no name");
    const name = one.name.slice(0, 60);
    need(isList(one.about) && one.about.every((row) => isRow(row, 2) && row.every(isText)), `${name}: about`);
    need(isList(one.pool) && isList(one.steps) && one.steps.length > 0, `${name} has no steps`);
    need(one.pair === null || isText(one.pair), `${name}: pair`);
    need(one.unjudged === null || isText(one.unjudged), `${name}: unjudged`);
    one.steps.forEach((each, at) => checkStep(one, each, `${name}, step ${at}`));
    const verdict = one.verdict;
    if (verdict !== null) {
      need(isObject(verdict) && isText(verdict.what), `${name}: verdict`);
      const there = isCount(verdict.step) && one.steps[verdict.step];
      need(there && isCount(verdict.moment) && there.moments[verdict.moment], `${name}: the place of its verdict`);
      const left = pooled(one, there.moments[verdict.moment][5]);
      need(verdict.crash === null || (left && isCount(verdict.crash) && left.shown[verdict.crash]), `${name}: the crash of its verdict`);
    }
  }

  function checkStep(one, each, where) {
    need(isObject(each) && isText(each.op) && isText(each.result) && isList(each.wrong) && each.wrong.every(isText), where);
    need([null, "agrees", "differs"].includes(each.seen) && (each.status === null || isText(each.status)), where);
    need(each.other === null || isText(each.other), `${where}: other`);
    need(isList(each.moments) && each.moments.length > 0, `${where} has no moments`);
    for (const row of each.moments) {
      need(isRow(row, 6) && KINDS.includes(row[0]) && isText(row[1]), `${where}: a moment`);
      need(row[2] === null || isMemory(one, row[2]), `${where}: memory`);
      need(isDevice(pooled(one, row[3])) && isDevice(pooled(one, row[4])), `${where}: a device`);
      need(row[5] === null || isCrash(one, row[5]), `${where}: a crash`);
    }
  }

  function pooled(one, number) {
    return isCount(number) ? one.pool[number] : undefined;
  }

  // Values of the pool that have been found well, by what they are for.
  const checked = { device: new WeakSet(), memory: new WeakSet(), crash: new WeakSet() };

  function once(use, value, look) {
    if (!isObject(value) && !isList(value)) return false;
    if (!checked[use].has(value)) {
      if (!look()) return false;
      checked[use].add(value);
    }
    return true;
  }

  function isDevice(value) {
    return once("device", value, () => isList(value) && value.every((row) =>
      isRow(row, 4) && row.slice(0, 3).every(isText) && isList(row[3]) && row[3].every(isText)));
  }

  function isMemory(one, number) {
    const value = pooled(one, number);
    return once("memory", value, () => {
      const entries = pooled(one, value.entries);
      const lists = pooled(one, value.lists);
      const facts = pooled(one, value.facts);
      return isCount(value.blocks) && isCount(value.used) && isList(entries) && isList(lists) && isList(facts)
        && entries.every((row) => isRow(row, 4) && row.slice(0, 3).every(isShown) && isList(row[3]) && row[3].every(isText))
        && lists.every((row) => isRow(row, 3) && row.every(isText))
        && facts.every((row) => isRow(row, 2) && isText(row[0]) && isShown(row[1]));
    });
  }

  function isCrash(one, number) {
    const value = pooled(one, number);
    return once("crash", value, () => isShown(value.total) && isCount(value.judged) && isCount(value.broken)
      && isList(value.shown) && value.shown.every((left) =>
        isObject(left) && isText(left.label) && isText(left.outcome) && left.verdict in VERDICTS
        && (left.memory === null || isMemory(one, left.memory))
        && isList(left.problems) && left.problems.every(isText)
        && isList(left.reads) && left.reads.every((row) =>
          isRow(row, 4) && isText(row[0]) && isText(row[1]) && (row[2] === null || isText(row[2])) && typeof row[3] === "boolean")));
  }

  // Moving

  const current = () => trace.steps[step];
  const left = () => {
    const number = current().moments[moment][5];
    return number === null ? null : trace.pool[number];
  };

  function goTo(toStep, toMoment = null, toCrash = undefined) {
    step = Math.min(Math.max(toStep, 0), trace.steps.length - 1);
    const last = current().moments.length - 1;
    moment = toMoment === null ? last : Math.min(Math.max(toMoment, 0), last);
    if (toCrash !== undefined) crash = toCrash;
    if (crash !== null) {
      const shown = left()?.shown ?? [];
      const broken = shown.findIndex((one) => one.verdict === "broken");
      if (toCrash === undefined || !shown[crash]) crash = Math.max(broken, 0);
    }
    render();
  }

  function moveMoment(by) {
    if (moment + by < 0) {
      if (step > 0) goTo(step - 1);
    } else if (moment + by >= current().moments.length) {
      if (step < trace.steps.length - 1) goTo(step + 1, 0);
    } else {
      goTo(step, moment + by);
    }
  }

  function toggleCrash() {
    const shown = crash === null;
    goTo(step, moment, shown ? Math.max(left()?.shown.findIndex((one) => one.verdict === "broken") ?? 0, 0) : null);
    if (shown) $("crash").scrollIntoView({ block: "nearest" });
  }

  function moveCrash(by) {
    const shown = left()?.shown ?? [];
    if (crash === null || !shown.length) return;
    goTo(step, moment, (crash + by + shown.length) % shown.length);
  }

  function toVerdict() {
    if (trace.verdict) goTo(trace.verdict.step, trace.verdict.moment, trace.verdict.crash);
  }

  // A trace that nobody asked a place of opens where its contract breaks.
  function toBegin() {
    crash = null;
    if (trace.verdict) toVerdict();
    else goTo(0);
  }

  function toPair() {
    const other = traces.find((one) => one.name === trace.pair);
    if (other) {
      trace = other;
      goTo(Math.min(step, other.steps.length - 1));
    }
  }

  // The place is in the address, so that a link opens it

  function address() {
    const place = [encodeURIComponent(trace.name), `${step}.${moment}`];
    if (crash !== null) place.push(`c${crash}`);
    return `#${place.join("/")}`;
  }

  function fromAddress() {
    const [name, place = "", which = ""] = location.hash.slice(1).split("/");
    let wanted = name;
    try {
      wanted = decodeURIComponent(name);
    } catch {
      // As it is written.
    }
    const found = traces.find((one) => one.name === wanted);
    complain(wanted && !found ? `No trace here is called ${wanted.slice(0, 80)}.` : "");
    trace = found ?? traces[0];
    const numbers = /^(\d{1,6})(?:\.(\d{1,6}))?$/.exec(place);
    if (!numbers) {
      toBegin();
      return;
    }
    const number = /^c(\d{1,6})$/.exec(which);
    crash = null;
    goTo(
      Number(numbers[1]),
      numbers[2] !== undefined ? Number(numbers[2]) : null,
      number ? Number(number[1]) : null,
    );
  }

  function complain(text, where = "problem") {
    $(where).textContent = text;
    $(where).hidden = !text;
  }

  // Showing

  function render() {
    renderHead();
    renderSteps();
    renderMoments();
    renderState();
    renderCrash();
    const last = trace.steps.length - 1;
    $("where").textContent = `step ${step} of 0\u2013${last}`;
    $("moment-where").textContent = `moment ${moment} of 0\u2013${current().moments.length - 1}`;
    $("first").disabled = $("back").disabled = step === 0;
    $("next").disabled = $("last").disabled = step === last;
    $("moment-back").disabled = step === 0 && moment === 0;
    $("moment-next").disabled = step === last && moment === current().moments.length - 1;
    $("spoken").textContent = `Step ${step}: ${current().op}. Moment ${moment}: ${current().moments[moment][1]}.`;
    history.replaceState(null, "", address());
  }

  let headOf = null; // The trace whose head is shown.

  function renderHead() {
    $("traces").value = trace.name;
    $("crash-button").setAttribute("aria-pressed", String(crash !== null));
    if (headOf === trace) return;
    headOf = trace;
    document.title = `${trace.name}: trace explorer`;
    $("title").replaceChildren(trace.title, " ", make("code", {}, trace.name));
    const rows = trace.about.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)]);
    if (isText(trace.page) && /^[\w.\/-]+\.html$/.test(trace.page) && !trace.page.startsWith("/")) {
      rows.push(make("dt", {}, "page"), make("dd", {}, make("a", { href: trace.page }, trace.page)));
    }
    $("about").replaceChildren(...rows);
    renderPair();
    renderVerdict();
  }

  function renderPair() {
    const pair = traces.find((one) => one.name === trace.pair);
    $("pair").hidden = !pair;
    if (!pair) return;
    const names = ["the kernel as it is", "the repaired reference"];
    const parts = names.map((name, at) =>
      Boolean(trace.mended) === Boolean(at) ? make("b", {}, name) : button(name, toPair));
    $("pair").replaceChildren("On", parts[0], "\u00b7", parts[1], make("kbd", {}, "r"));
  }

  function renderVerdict() {
    const place = $("verdict");
    const verdict = trace.verdict;
    place.className = `verdict ${verdict ? "bad" : trace.group === "findings" ? "good" : ""}`.trim();
    if (verdict) {
      const go = button("Go there", toVerdict, { id: "to-verdict" });
      place.replaceChildren(make("b", {}, `The contract breaks at step ${verdict.step}: `), verdict.what, " ", go, " ", make("kbd", {}, "b"));
    } else if (trace.unjudged) {
      place.replaceChildren(`What is read, and what crashes leave, is not judged: ${trace.unjudged}.`);
    } else if (trace.group === "findings") {
      place.replaceChildren(make("b", {}, "The contract is kept."), " Nothing that a crash leaves on the way breaks it either, as far as it was tried.");
    } else {
      place.replaceChildren("Without a crash the contract is kept. What a crash breaks is marked at its step.");
    }
  }

  function brokenIn(each) {
    return each.moments.some((row) => row[5] !== null && trace.pool[row[5]].broken > 0);
  }

  function item(number, text, note, flags, isCurrent, act, kind = "") {
    const what = make("span", { class: "what" }, text, note ? make("span", { class: "note" }, note) : null);
    const attributes = { class: kind || null, "aria-current": isCurrent ? "step" : null };
    const made = button("", act, attributes);
    made.append(make("span", { class: "number" }, String(number)), what, ...flags);
    return make("li", {}, made);
  }

  const flag = (text, kind = "", title = "") => make("span", { class: `flag ${kind}`.trim(), title: title || null }, text);

  function fill(list, items) {
    const focused = list.contains(document.activeElement);
    list.replaceChildren(...items);
    const now = list.querySelector("[aria-current]");
    if (!now) return;
    if (focused) now.focus({ preventScroll: true });
    // Only the list is scrolled, never the page.
    const box = list.getBoundingClientRect();
    const place = now.getBoundingClientRect();
    if (place.top < box.top) list.scrollTop -= box.top - place.top;
    if (place.bottom > box.bottom) list.scrollTop += place.bottom - box.bottom;
  }

  function crashFlag(each) {
    if (each.other === null) return flag("crash \u2717", "", "A crash here can break the contract");
    const why = `A crash here can break the contract, which is another finding: ${each.other}`;
    return flag(`\u2717 ${each.other}`, "other", why);
  }

  function renderSteps() {
    fill($("steps"), trace.steps.map((each, number) => {
      const flags = [];
      if (each.wrong.length) flags.push(flag("\u2717 breaks", "", "Breaks the contract without a crash"));
      else if (brokenIn(each)) flags.push(crashFlag(each));
      if (each.seen === "differs") flags.push(flag("differs", "", "The recording shows something else"));
      const result = each.result === "success" || each.result === "done" ? "" : each.result;
      const made = item(number, each.op, result, flags, number === step, () => goTo(number));
      made.querySelector(".what").classList.add("op");
      return made;
    }));
  }

  function otherLink(name) {
    const there = traces.some((one) => one.name === name);
    return there ? make("a", { href: `#${encodeURIComponent(name)}` }, name) : make("code", {}, name);
  }

  function renderMoments() {
    const each = current();
    $("now-title").textContent = `Step ${step}: ${each.op}`;
    const said = [each.wrong.length ? make("span", { class: "bad-text" }, `\u2717 ${each.wrong.join("; ")}. `) : null];
    if (each.status) said.push("status ", make("code", {}, each.status));
    if (each.seen === "agrees") said.push(make("span", { class: "note" }, "The recorded kernel shows the same."));
    if (each.seen === "differs") said.push(make("span", { class: "note bad-text" }, "The recorded kernel shows something else here: its schedule was another."));
    if (each.other !== null) said.push(make("span", { class: "note" }, "What breaks here is another finding: ", otherLink(each.other), "."));
    $("result").replaceChildren(...said.filter(Boolean));
    fill($("moments"), each.moments.map((row, number) => {
      const broken = row[5] !== null && trace.pool[row[5]].broken > 0;
      const flags = broken ? [crashFlag(each)] : [];
      return item(number, row[1], "", flags, number === moment, () => goTo(step, number), row[0]);
    }));
  }

  function before() {
    if (moment > 0) return current().moments[moment - 1];
    return step > 0 ? trace.steps[step - 1].moments.at(-1) : null;
  }

  function renderState() {
    const now = current().moments[moment];
    const then = before();
    const devices = [["cache", "Cache device", 3], ["origin", "Origin", 4]];
    for (const [id, name, at] of devices) {
      renderDevice($(id), name, trace.pool[now[at]], then ? trace.pool[then[at]] : []);
    }
    renderMemory($("memory"), now[2], then ? then[2] : null);
  }

  function renderDevice(place, name, rows, old) {
    if (!rows.length) {
      place.replaceChildren(make("p", { class: "empty" }, make("b", {}, name), ": zeros throughout, and nothing is pending."));
      return;
    }
    const lines = (text) => text.split("; ").map((part) => make("span", { class: "line" }, part));
    const waits = (text) => make("span", { class: "pending" }, ...lines(text));
    // What lies in the origin is nothing but data.
    const there = rows.some((row) => row[1]);
    const heads = ["sectors", ...(there ? ["there"] : []), "durable", "pending, oldest first"];
    const cells = (row) => [
      row[0], ...(there ? [row[1]] : []), lines(row[2]),
      row[3].flatMap((text) => [waits(text), make("br")]).slice(0, -1),
    ];
    const waiting = rows.reduce((sum, row) => sum + row[3].length, 0);
    place.replaceChildren(table(name, heads, rows, {
      note: waiting ? "a crash may lose what is pending" : "nothing is pending", before: old, cells, plain: there ? 1 : 0, kind: "device-table",
    }));
  }

  function entriesTable(number, old, caption) {
    const value = trace.pool[number];
    const rows = trace.pool[value.entries];
    const before = old === null || old === undefined ? null : trace.pool[trace.pool[old].entries];
    if (!rows.length) return make("p", { class: "empty" }, make("b", {}, caption), `: all ${value.blocks} blocks are free.`);
    const cut = value.used > rows.length ? `; the first ${rows.length} are listed` : "";
    return table(caption, ["block", "sector", "seq", "which is"], rows, {
      note: `${value.used} of ${value.blocks} in use${cut}`, before, stack: false,
      cells: ([block, sector, count, said]) => [String(block), String(sector), String(count), said.join(", ")],
    });
  }

  function renderMemory(place, number, old) {
    if (number === null) {
      place.replaceChildren(make("p", { class: "empty" }, "There is no cache: nothing has been activated."));
      return;
    }
    const value = trace.pool[number];
    const then = old === null ? null : trace.pool[old];
    const lists = table("Lists", ["list", "", ""], trace.pool[value.lists], { before: then && trace.pool[then.lists], stack: false });
    lists.querySelector("thead").remove();
    const facts = table("Counters and flags", ["", ""], trace.pool[value.facts], {
      before: then && trace.pool[then.facts], stack: false, cells: ([name, said]) => [name, String(said)],
    });
    facts.querySelector("thead").remove();
    for (const each of [lists, facts]) each.classList.add("named");
    place.replaceChildren(make("div", { class: "pairs" }, make("div", {}, entriesTable(number, old, "Entries"), lists), facts));
  }

  function renderCrash() {
    $("crash").hidden = crash === null;
    if (crash === null) return;
    const all = left();
    if (all === null) {
      $("crash-sum").textContent = "No crash was tried here: of a long step only the first and the last moments have one.";
      $("crashes").replaceChildren();
      $("recovered").replaceChildren();
      return;
    }
    const many = all.total === 1 ? "One content may be left" : `${all.total} contents may be left`;
    const judged = all.judged === all.total ? "" : `; ${all.judged} of them were tried`;
    const isJudged = all.shown.some((one) => one.verdict !== "unjudged");
    const breaks = `${all.broken} break${all.broken === 1 ? "s" : ""} the contract`;
    const broken = !isJudged ? "; not judged" : all.broken ? `; ${breaks}` : "; none breaks the contract";
    const shown = all.shown.length < all.judged ? `; ${all.shown.length} are shown` : "";
    $("crash-sum").textContent = `${many}${judged}${broken}${shown}.`;
    fill($("crashes"), all.shown.map((one, number) => {
      const bad = one.verdict === "broken";
      const note = `${one.verdict === "allowed" ? "\u2713" : bad ? "\u2717" : "\u2013"} ${VERDICTS[one.verdict]}`;
      const made = item(number, one.label, note, [], number === crash, () => goTo(step, moment, number));
      made.querySelector(".note").classList.add(bad ? "bad-text" : one.verdict === "allowed" ? "good-text" : "note");
      return made;
    }));
    renderRecovered(all.shown[crash]);
  }

  function renderRecovered(one) {
    if (!one) return;
    const bad = one.verdict === "broken";
    const said = make("p", { class: bad ? "bad-text" : one.verdict === "allowed" ? "good-text" : null },
      make("b", {}, `${bad ? "\u2717 Breaks the contract" : one.verdict === "allowed" ? "\u2713 Allowed" : "Not judged"}: `),
      one.problems.length ? one.problems.join("; ") : one.outcome);
    const parts = [make("p", { class: "small" }, `After the crash (${one.label}) the same table is loaded again.`), said];
    if (one.reads.length) {
      parts.push(table("What it then reads as", ["sectors", "reads", "may be", ""], one.reads, {
        className: (row) => (row[3] ? "" : "wrong"),
        cells: ([where, reads, may, fine]) => [where, reads, may ?? "nobody says", fine ? "" : "\u2717 not allowed"],
      }));
    }
    if (one.memory !== null) parts.push(entriesTable(one.memory, null, "Entries after recovery"));
    $("recovered").replaceChildren(...parts);
  }

  // Opening

  function take(opened) {
    traces = opened;
    headOf = null;
    const groups = new Map();
    for (const one of traces) {
      if (!groups.has(one.group)) groups.set(one.group, make("optgroup", { label: one.group }));
      const hint = one.title.length > 70 ? `${one.title.slice(0, 69)}\u2026` : one.title;
      const name = one.mended ? one.name : `${one.name} \u2014 ${hint}`;
      groups.get(one.group).append(make("option", { value: one.name }, name));
    }
    $("traces").replaceChildren(...groups.values());
    document.querySelector("main").hidden = false;
  }

  function openText(text) {
    try {
      const opened = parse(text);
      take(opened);
      trace = opened[0];
      complain("");
      complain("", "open-problem");
      $("open").close();
      toBegin();
    } catch (error) {
      if (!(error instanceof Unusable)) throw error;
      complain(error.message, $("open").open ? "open-problem" : "problem");
    }
  }

  async function openFile(file) {
    if (!file) return;
    if (file.size > LARGEST_FILE) {
      complain("This file is larger than 256 MiB: name fewer traces with --trace.", $("open").open ? "open-problem" : "problem");
      return;
    }
    openText(await file.text());
  }

  function showDialog(id) {
    complain("", "open-problem");
    if (!$(id).open) $(id).showModal();
  }

  const KEYS = {
    ArrowLeft: () => goTo(step - 1),
    ArrowRight: () => goTo(step + 1),
    ArrowUp: () => moveMoment(-1),
    ArrowDown: () => moveMoment(1),
    k: () => moveMoment(-1),
    j: () => moveMoment(1),
    Home: () => goTo(0),
    End: () => goTo(trace.steps.length - 1),
    c: toggleCrash,
    "[": () => moveCrash(-1),
    "]": () => moveCrash(1),
    b: toVerdict,
    r: toPair,
  };

  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $("open").open || $("help").open) return;
    if (event.target.closest("input, textarea, select")) return;
    const always = { "?": () => showDialog("help"), o: () => showDialog("open") };
    const act = always[event.key] ?? (trace ? KEYS[event.key] : undefined);
    if (!act) return;
    event.preventDefault();
    act();
  }

  function listen() {
    const clicks = {
      first: KEYS.Home, back: KEYS.ArrowLeft, next: KEYS.ArrowRight, last: KEYS.End,
      "moment-back": KEYS.ArrowUp, "moment-next": KEYS.ArrowDown, "crash-button": toggleCrash,
      "help-button": () => showDialog("help"), "open-button": () => showDialog("open"),
      "show-text": () => openText($("text").value),
    };
    for (const [id, act] of Object.entries(clicks)) $(id).addEventListener("click", act);
    $("file").addEventListener("change", (event) => openFile(event.target.files[0]));
    $("traces").addEventListener("change", (event) => {
      trace = traces.find((one) => one.name === event.target.value);
      complain("");
      toBegin();
    });
    document.addEventListener("keydown", onKey);
    window.addEventListener("hashchange", () => { if (trace) fromAddress(); });
    document.addEventListener("dragover", (event) => event.preventDefault());
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      openFile(event.dataTransfer.files[0]);
    });
  }

  listen();
  try {
    take(parse($("data").textContent));
    fromAddress();
  } catch (error) {
    if (!(error instanceof Unusable)) throw error;
    complain(error.message);
  }
})();
