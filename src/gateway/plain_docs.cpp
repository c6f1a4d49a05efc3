#include "gateway/plain_docs.h"

#include "gateway/errors.h"

namespace treadle::gateway {
namespace {

constexpr std::string_view kTop = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Treadle API</title><link rel="icon" href="/assets/icon.svg">
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
section { border: 1px solid #8885; border-radius: 8px; padding: .2rem 1rem .8rem; margin: 1rem 0; }
h2 { font-size: 1.1rem; margin: .6rem 0; } code { font-size: .95em; }
.method { display: inline-block; min-width: 3.5rem; font-weight: 700; }
dt { float: left; clear: left; width: 3.5rem; font-weight: 600; } dd { margin-left: 4rem; }
</style></head><body>
<h1>Treadle API</h1>
<p>Payloads are base64 text of a pickle, as <code>codecs.encode(dill.dumps(obj), "base64").decode()</code> makes it; arguments
are the pickle of <code>((args...), {kwargs})</code>. The machine-readable description is <a href="/openapi.json">/openapi.json</a>.</p>
)";

void append_html(std::string& out, std::string_view text) {
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
}

void append_route(std::string& out, const Route& route) {
  out += "<section><h2><span class=\"method\">";
  out += name_of(route.method);
  out += "</span> <code>";
  append_html(out, route.pattern);
  out += "</code></h2><p>";
  append_html(out, route.summary);
  out += ". ";
  append_html(out, route.description);
  out += "</p><dl>";
  for (const int status : route.statuses) {
    if (status == 0) break;
    out += "<dt>" + std::to_string(status) + "</dt><dd>";
    append_html(out, reason_phrase(status));
    out += "</dd>";
  }
  out += "</dl></section>\n";
}

}  // namespace

std::string plain_docs_page(std::span<const Route> routes) {
  std::string out(kTop);
  for (const Route& route : routes)
    if (!route.hidden) append_route(out, route);
  out += "</body></html>\n";
  return out;
}

}  // namespace treadle::gateway
