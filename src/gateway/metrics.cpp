#include "gateway/metrics.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

namespace treadle::gateway {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

MetricFamily family(std::string name, std::string help, MetricType type) {
  MetricFamily out;
  out.name = std::move(name);
  out.help = std::move(help);
  out.type = type;
  return out;
}

void add(MetricFamily& to, double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  (to.type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  to.metric.push_back(std::move(metric));
}

template <class T>
MetricFamily single(std::string name, std::string help, MetricType type, T value) {
  MetricFamily out = family(std::move(name), std::move(help), type);
  add(out, static_cast<double>(value));
  return out;
}

double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double all = 0, resident = 0;
  statm >> all >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

void add_tasks(std::vector<MetricFamily>& out, const store::Counters& c) {
  out.push_back(single("treadle_tasks_submitted_total", "Tasks accepted.", MetricType::Counter, c.submitted));
  MetricFamily finished =
      family("treadle_tasks_finished_total", "Tasks that reached a terminal state.", MetricType::Counter);
  add(finished, static_cast<double>(c.completed), {{"state", "COMPLETED"}});
  add(finished, static_cast<double>(c.failed), {{"state", "FAILED"}});
  out.push_back(std::move(finished));
  out.push_back(
      single("treadle_tasks_requeued_total", "Attempts that went back to the queue.", MetricType::Counter, c.requeued));
  out.push_back(single("treadle_tasks_adopted_total", "Attempts whose worker went on with another dispatcher.",
                       MetricType::Counter, c.adopted));
  out.push_back(single("treadle_sessions_reaped_total", "Dispatchers that vanished and whose attempts were given back.",
                       MetricType::Counter, c.reaped));
  MetricFamily refused =
      family("treadle_outcomes_refused_total", "Late outcomes that changed nothing.", MetricType::Counter);
  add(refused, static_cast<double>(c.stale), {{"reason", "stale"}});
  add(refused, static_cast<double>(c.duplicate), {{"reason", "duplicate"}});
  out.push_back(std::move(refused));
  out.push_back(single("treadle_tasks_queued", "Tasks that wait, in the queue or in a worker.", MetricType::Gauge,
                       c.queued + c.claimed));
  out.push_back(single("treadle_tasks_running", "Tasks whose user code runs.", MetricType::Gauge, c.running));
  out.push_back(single("treadle_tasks_delayed", "Tasks whose time has not come.", MetricType::Gauge, c.delayed));
  out.push_back(
      single("treadle_queued_bytes", "Bytes of the arguments of waiting tasks.", MetricType::Gauge, c.queued_bytes));
  out.push_back(single("treadle_waiters", "Requests held until a task ends.", MetricType::Gauge, c.waiters));
}

void add_process(std::vector<MetricFamily>& out, const Metrics::Now& now) {
  out.push_back(single("treadle_slots", "Tasks that can run at once.", MetricType::Gauge, now.status.slots));
  out.push_back(single("treadle_slots_free", "Slots without a task.", MetricType::Gauge, now.status.slots_free));
  out.push_back(single("treadle_workers", "Workers that are known.", MetricType::Gauge, now.status.workers.size()));
  out.push_back(single("treadle_http_connections", "Open client connections.", MetricType::Gauge, now.connections));
  out.push_back(single("treadle_uptime_seconds", "Since this process began to serve.", MetricType::Gauge,
                       std::chrono::duration<double>(now.uptime).count()));
  out.push_back(
      single("process_resident_memory_bytes", "Resident memory of this process.", MetricType::Gauge, resident_bytes()));
  MetricFamily build = family("treadle_build_info", "Always 1; the labels tell what runs.", MetricType::Gauge);
  add(build, 1, {{"version", now.build.version}, {"commit", now.build.commit}, {"mode", now.status.mode}});
  out.push_back(std::move(build));
}

}  // namespace

Metrics::Metrics(std::vector<std::string_view> routes) : routes_(std::move(routes)), series_(routes_.size() + 1) {}

void Metrics::observe(std::size_t route, int status, Duration took) {
  auto& of_route = series_[std::min(route, routes_.size())];
  auto at = std::find_if(of_route.begin(), of_route.end(), [&](const Series& s) { return s.status == status; });
  if (at == of_route.end()) {
    at = of_route.emplace(at);
    at->status = status;
  }
  const double seconds = static_cast<double>(took.count()) * 1e-9;
  std::size_t bucket = 0;
  while (bucket < kBounds.size() && seconds > kBounds[bucket]) ++bucket;
  ++at->counts[bucket];
  at->total_ns += took.count();
}

std::string Metrics::text(const Now& now) const {
  std::vector<MetricFamily> families;
  add_tasks(families, now.store);
  add_process(families, now);
  MetricFamily requests =
      family("treadle_http_request_seconds", "From the first byte of a request to its answer.", MetricType::Histogram);
  for (std::size_t route = 0; route < series_.size(); ++route) {
    for (const Series& series : series_[route]) {
      ClientMetric metric;
      metric.label = {{"route", route < routes_.size() ? std::string(routes_[route]) : "none"},
                      {"code", std::to_string(series.status)}};
      std::uint64_t cumulative = 0;
      for (std::size_t i = 0; i < kBounds.size(); ++i)
        metric.histogram.bucket.push_back({cumulative += series.counts[i], kBounds[i]});
      metric.histogram.sample_count = cumulative + series.counts.back();
      metric.histogram.sample_sum = static_cast<double>(series.total_ns) * 1e-9;
      requests.metric.push_back(std::move(metric));
    }
  }
  families.push_back(std::move(requests));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace treadle::gateway
