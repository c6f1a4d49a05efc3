#include "gateway/assets.h"

#include <array>

#include <zlib.h>

#include "base/assert.h"
#include "base/sha256.h"

// Made by web/assets.cmake: for each file two labels around its compressed bytes.
#define TREADLE_ASSET(symbol) extern "C" const char treadle_asset_##symbol[], treadle_asset_##symbol##_end[];
TREADLE_ASSET(home_html)
TREADLE_ASSET(home_js)
TREADLE_ASSET(docs_html)
TREADLE_ASSET(docs_js)
TREADLE_ASSET(docs_css)
TREADLE_ASSET(icon_svg)
TREADLE_ASSET(swagger_ui_css)
TREADLE_ASSET(swagger_ui_bundle_js)
#undef TREADLE_ASSET

namespace treadle::gateway {
namespace {

constexpr std::string_view kHtml = "text/html; charset=utf-8";
constexpr std::string_view kCss = "text/css; charset=utf-8";
constexpr std::string_view kScript = "text/javascript; charset=utf-8";

std::string_view bytes(const char* begin, const char* end) { return {begin, static_cast<std::size_t>(end - begin)}; }

const std::array<Asset, 8>& table() {
  static const std::array<Asset, 8> all{{
      {"home.html", kHtml, bytes(treadle_asset_home_html, treadle_asset_home_html_end)},
      {"home.js", kScript, bytes(treadle_asset_home_js, treadle_asset_home_js_end)},
      {"docs.html", kHtml, bytes(treadle_asset_docs_html, treadle_asset_docs_html_end)},
      {"docs.js", kScript, bytes(treadle_asset_docs_js, treadle_asset_docs_js_end)},
      {"docs.css", kCss, bytes(treadle_asset_docs_css, treadle_asset_docs_css_end)},
      {"icon.svg", "image/svg+xml", bytes(treadle_asset_icon_svg, treadle_asset_icon_svg_end)},
      {"swagger-ui.css", kCss, bytes(treadle_asset_swagger_ui_css, treadle_asset_swagger_ui_css_end)},
      {"swagger-ui-bundle.js", kScript,
       bytes(treadle_asset_swagger_ui_bundle_js, treadle_asset_swagger_ui_bundle_js_end)},
  }};
  return all;
}

}  // namespace

std::string Asset::etag(bool zipped) const {
  return '"' + to_string(sha256(gzip)).substr(0, 16) + (zipped ? "-gz\"" : "\"");
}

std::string Asset::unzip() const {
  std::string out;
  z_stream stream{};
  constexpr int kGzip = 16 + MAX_WBITS;
  TREADLE_ASSERT(inflateInit2(&stream, kGzip) == Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(gzip.data()));
  stream.avail_in = static_cast<uInt>(gzip.size());
  int status = Z_OK;
  while (status == Z_OK) {
    const std::size_t have = out.size();
    out.resize(have + (64u << 10));
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + have);
    stream.avail_out = 64u << 10;
    status = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  TREADLE_ASSERT_MSG(status == Z_STREAM_END, "an asset inside the program is damaged");
  return out;
}

const Asset* find_asset(std::string_view name) {
  for (const Asset& asset : table())
    if (asset.name == name && !asset.gzip.empty()) return &asset;
  return nullptr;
}

bool has_swagger_ui() { return find_asset("swagger-ui-bundle.js") != nullptr; }

}  // namespace treadle::gateway
