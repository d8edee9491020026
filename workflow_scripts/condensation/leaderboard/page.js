import DataTable from "datatables";

const details = JSON.parse(document.getElementById("details").textContent);
const dialog = document.getElementById("detail");
const filters = document.getElementById("filters");
const root = document.documentElement;

// --- the table ---------------------------------------------------------------------------------

const table = new DataTable("#board", {
  order: [], // as ranked
  pageLength: 50,
  paging: details.rows.length > 50,
  autoWidth: false,
  layout: { topStart: null, topEnd: null, bottomStart: "info", bottomEnd: "paging" },
  language: {
    info: "_START_ to _END_ of _TOTAL_ rows",
    infoFiltered: "(of _MAX_)",
    zeroRecords: "No row fits these filters.",
  },
});

// The bars reach from the lowest to the highest interval of the rows shown.
const board = document.getElementById("board");
table.on("draw", () => {
  const shown = table.rows({ search: "applied" }).nodes().toArray().filter((row) => row.dataset.low);
  if (!shown.length) return;
  const from = Math.floor(Math.max(0, Math.min(...shown.map((row) => row.dataset.low))));
  const to = Math.max(from + 1, Math.ceil(Math.min(100, Math.max(...shown.map((row) => row.dataset.high)))));
  board.style.setProperty("--from", from);
  board.style.setProperty("--to", to);
  document.getElementById("scale").textContent = `bars: ${from} to ${to}`;
});

const selects = [...filters.querySelectorAll("select")];
table.search.fixed("selects", (text, data, index) =>
  selects.every((select) => !select.value || details.rows[index][select.dataset.filter] === select.value));
const filter = () => table.search(filters.querySelector("input").value).draw();
filters.addEventListener("input", filter);
filters.addEventListener("change", filter);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("reset", () => setTimeout(filter)); // once the fields are empty
for (const select of selects) select.value = details.opening[select.dataset.filter] ?? "";
filter();

document.querySelector("#board tbody").addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-row]");
  if (row) open(row);
});

// --- light and dark ----------------------------------------------------------------------------

const toggle = document.getElementById("theme");
toggle.setAttribute("aria-pressed", root.classList.contains("dark"));
toggle.addEventListener("click", () => {
  const dark = !root.classList.contains("dark");
  root.classList.toggle("dark", dark);
  root.classList.toggle("light", !dark);
  toggle.setAttribute("aria-pressed", dark);
  try { localStorage.setItem("theme", dark ? "dark" : "light"); } catch { /* not kept, then */ }
});

// --- the details of a row ------------------------------------------------------------------

// Text goes in as text: no name in the data becomes markup.
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "text", "title"].includes(tag);
  const node = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

function open(row) {
  const about = details.rows[row.dataset.row];
  const made = details.sets[about.set] ?? [];
  const ipc = about.ipc === "all" ? "whole set" : `IPC ${about.ipc}`;
  const way = [about.dataset, ipc, about.augmentation, about.architecture, about.optimizer];
  if (about.labels !== "own") way.push(`labels: ${about.labels}`);
  const close = make("button", { type: "button", "aria-label": "Close" }, "✕");
  close.addEventListener("click", () => dialog.close());
  dialog.replaceChildren(
    make("div", { class: "head" },
      make("div", {},
        make("h2", { id: "detail-title" }, about.method),
        make("p", {}, way.join(" · "))),
      close),
    make("div", { class: "body" },
      section("Condensed images", "", pictures(made)),
      section("Learning curve", "", curves(about)),
      section("Accuracy by class", "full", classes(about.per_class)),
      section("Networks", "full", networks(about.networks)),
      ...made.map(({ facts }) => section(`Set ${facts.seed}`, "full", value(facts))),
      section("Evaluation", "full", value(details.evaluations[about.evaluation] ?? null))));
  dialog.showModal();
  dialog.scrollTop = 0;
}

dialog.addEventListener("click", (event) => {
  if (event.target === dialog) dialog.close(); // beside it
});

function section(title, kind, content) {
  return make("section", { class: kind }, make("h3", {}, title), content);
}

function pictures(made) {
  if (!made.length) return make("p", { class: "failed" }, "No set: its job failed, or has not run.");
  const first = made.find(({ picture }) => picture);
  if (!first) {
    const failed = made.find(({ facts }) => facts.status !== "ok");
    return failed
      ? make("p", { class: "failed" }, `${failed.facts.status}: ${failed.facts.cause}`)
      : make("p", { class: "quiet" }, "The real training images.");
  }
  const caption = made.length > 1 ? `${first.shown}; set ${first.facts.seed} of ${made.length} sets` : first.shown;
  return make("figure", {},
    make("img", { src: first.picture, alt: `Condensed images: ${first.shown}` }),
    make("figcaption", {}, caption));
}

function curves({ epochs, networks }) {
  const losses = networks.flatMap(({ curve }) => curve).filter((loss) => loss !== null);
  if (!losses.length) return make("p", { class: "quiet" }, "No network was trained.");
  const [width, height, left, bottom] = [420, 250, 46, 34];
  const log = Math.min(...losses) > 0;
  const scaled = log ? Math.log10 : (loss) => loss;
  let [low, high] = [Math.min(...losses), Math.max(...losses)].map(scaled);
  if (high - low < 1e-9) [low, high] = [low - 0.5, high + 0.5];
  const last = epochs.at(-1);
  const x = (epoch) => left + (width - left - 8) * (last > epochs[0] ? (epoch - epochs[0]) / (last - epochs[0]) : 0.5);
  const y = (loss) => 8 + (height - bottom - 8) * (1 - (scaled(loss) - low) / (high - low));
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "Training loss against epochs" },
    make("path", { class: "axis", d: `M${left} 8V${height - bottom}H${width - 8}` }));
  for (const { curve } of networks) {
    let line = "";
    let pen = "M"; // lifted where a loss was no number
    curve.forEach((loss, i) => {
      line += loss === null ? "" : `${pen}${x(epochs[i]).toFixed(1)} ${y(loss).toFixed(1)}`;
      pen = loss === null ? "M" : "L";
    });
    if (line) svg.append(make("path", { class: "curve", d: line }));
  }
  const label = (text, px, py, anchor) => svg.append(make("text", { x: px, y: py, "text-anchor": anchor }, text));
  const back = (share) => { const at = low + share * (high - low); return log ? 10 ** at : at; };
  for (const share of [0, 0.5, 1]) label(short(back(share)), left - 6, y(back(share)) + 4, "end");
  label(epochs[0], x(epochs[0]), height - bottom + 14, "middle");
  if (last > epochs[0]) label(last, x(last), height - bottom + 14, "end");
  label("epochs", (left + width) / 2, height - 4, "middle");
  const scale = log ? "training loss (logarithmic)" : "training loss";
  return make("figure", {}, svg, make("figcaption", {}, `${scale}, a line per network`));
}

function short(number) {
  const size = Math.abs(number);
  return size !== 0 && (size < 0.01 || size >= 1000) ? number.toExponential(1) : String(Number(number.toPrecision(3)));
}

function classes(accuracies) {
  if (!accuracies.length) return make("p", { class: "quiet" }, "Not recorded.");
  return make("div", { class: "classes" }, ...accuracies.map(([name, share]) =>
    make("div", {},
      make("span", {}, name),
      make("span", { class: "track" }, make("i", { style: `width:${share ?? 0}%` })),
      make("span", {}, share === null ? "–" : share.toFixed(1)))));
}

function networks(members) {
  const head = ["set", "seed", "status", "accuracy (%)", "test loss"];
  const cell = (content) => make("td", {}, content);
  const digits = (number, count) => number === null ? "–" : number.toFixed(count);
  return make("table", { class: "facts" },
    make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...members.map((one) => make("tr", {},
      ...[one.set, one.seed, one.status, digits(one.accuracy, 2), digits(one.loss, 4)].map((text) => cell(String(text)))))));
}

// Nested JSON as nested tables of names and values.
function value(content) {
  if (content === null) return "–";
  if (Array.isArray(content) && !content.some((one) => one !== null && typeof one === "object")) return make("code", {}, content.join(", "));
  if (typeof content !== "object") return make("code", {}, String(content));
  return make("table", { class: "facts" }, make("tbody", {},
    ...Object.entries(content).map(([name, inner]) =>
      make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value(inner))))));
}
