// Fills in the live figures; the page is whole without them.
const show = (name, value) => { document.querySelector(`[data-figure="${name}"]`).textContent = value; };

function readMetrics(text) {
  const figures = {};
  for (const line of text.split("\n")) {
    const match = /^(\w+(?:\{[^}]*\})?) (\S+)/.exec(line);
    if (match) figures[match[1]] = Number(match[2]);
  }
  return figures;
}

async function refresh() {
  const state = document.querySelector("#state");
  try {
    const [ready, metrics] = await Promise.all([fetch("/readyz"), fetch("/metrics")]);
    const status = await ready.json();
    const figures = readMetrics(await metrics.text());
    state.textContent = status.status;
    state.className = ready.ok ? "good" : "bad";
    const survives = { power: "a power cut", process: "a crash of the service", none: "nothing" }[status.durability];
    document.querySelector("#where").textContent =
      `${status.mode || "gateway"} mode · ${status.store} · an accepted task survives ${survives || "?"}`;
    show("slots", `${status.slots - status.slots_free} / ${status.slots}`);
    show("queued", figures.treadle_tasks_queued.toLocaleString("en"));
    show("running", figures.treadle_tasks_running.toLocaleString("en"));
    show("completed", figures['treadle_tasks_finished_total{state="COMPLETED"}'].toLocaleString("en"));
    show("failed", figures['treadle_tasks_finished_total{state="FAILED"}'].toLocaleString("en"));
  } catch {
    state.textContent = "not reachable";
    state.className = "bad";
  }
}

document.querySelector("#code").textContent =
  document.querySelector("#code").textContent.replaceAll("http://127.0.0.1:8000", location.origin);
document.querySelector("#copy").addEventListener("click", async (event) => {
  await navigator.clipboard.writeText(document.querySelector("#code").textContent);
  event.target.textContent = "Copied";
  setTimeout(() => { event.target.textContent = "Copy"; }, 1500);
});
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 2000);
