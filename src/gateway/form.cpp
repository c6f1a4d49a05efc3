#include "gateway/form.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <boost/json/basic_parser_impl.hpp>

#include "core/limits.h"
#include "gateway/form_fields.h"
#include "gateway/payload_reader.h"
#include "gateway/payload_scan.h"

namespace treadle::gateway {
namespace {

namespace json = boost::json;
using json::error_code;
using json::string_view;

constexpr std::size_t kMaxKey = 64;     // a longer key is none of ours
constexpr std::size_t kMaxText = 1024;  // bytes of a name

std::string quoted(std::string_view text) { return '"' + std::string(text) + '"'; }

// Takes the two fields that the spec names out of the top-level object, and lets all else pass.
class Handler {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

  void start(const FormSpec& spec, std::uint64_t max_payload, std::uint64_t expected, bool digest) {
    spec_ = &spec;
    max_payload_ = max_payload;
    expected_ = expected;
    digest_ = digest;
    depth_ = 0;
    field_ = Field::Other;
    key_.clear();
    text_.clear();
    has_text_ = has_payload_ = false;
    problem_.reset();
    keep_.start(spec.max_fields);
  }
  std::optional<Error>& problem() { return problem_; }
  PayloadReader& reader() { return reader_; }
  bool has_payload() const { return has_payload_; }
  bool inside_payload() const {
    return depth_ == 1 && field_ == Field::Payload && begun_;
  }  // some of its text has come
  bool has_text() const { return has_text_; }
  std::string take_text() { return std::move(text_); }
  std::shared_ptr<json::object> take_fields() { return keep_.keeping() ? keep_.take() : nullptr; }

  bool on_document_begin(error_code&) { return true; }
  bool on_document_end(error_code&) { return true; }
  bool on_object_begin(error_code& ec) {
    if (depth_ > 0 && !other_type("an object", ec)) return false;
    ++depth_;
    return true;
  }
  bool on_object_end(std::size_t size, error_code& ec) { return leave() && kept(ec, &FieldKeeper::object, size); }
  bool on_array_begin(error_code& ec) {
    if (!other_type("a list", ec)) return false;
    ++depth_;
    return true;
  }
  bool on_array_end(std::size_t size, error_code& ec) { return leave() && kept(ec, &FieldKeeper::array, size); }
  bool on_key_part(string_view part, std::size_t, error_code& ec) {
    if (depth_ == 1 && key_.size() <= kMaxKey) key_.append(part.data(), part.size());
    return kept(ec, &FieldKeeper::chars, part);
  }
  bool on_key(string_view part, std::size_t, error_code& ec) {
    if (!kept(ec, &FieldKeeper::key, part)) return false;
    if (depth_ != 1) return true;
    std::string_view key(part.data(), part.size());
    if (!key_.empty()) key = key_.append(key);
    field_ = field_named(key);
    key_.clear();
    begun_ = false;
    return true;
  }
  bool on_string_part(string_view part, std::size_t, error_code& ec) {
    return string(part, ec) && (in_payload() || kept(ec, &FieldKeeper::chars, part));
  }
  bool on_string(string_view part, std::size_t, error_code& ec) {
    if (!string(part, ec)) return false;
    begun_ = false;
    return in_payload() ? kept(ec, &FieldKeeper::null) : kept(ec, &FieldKeeper::string, part);
  }
  bool on_number_part(string_view, error_code&) { return true; }
  bool on_int64(std::int64_t value, string_view, error_code& ec) {
    return other_type("a number", ec) && kept(ec, &FieldKeeper::integer, value);
  }
  bool on_uint64(std::uint64_t value, string_view, error_code& ec) {
    return other_type("a number", ec) && kept(ec, &FieldKeeper::natural, value);
  }
  bool on_double(double value, string_view, error_code& ec) {
    return other_type("a number", ec) && kept(ec, &FieldKeeper::real, value);
  }
  bool on_bool(bool value, error_code& ec) {
    return other_type("true or false", ec) && kept(ec, &FieldKeeper::boolean, value);
  }
  bool on_null(error_code& ec) { return other_type("null", ec) && kept(ec, &FieldKeeper::null); }
  bool on_comment_part(string_view, error_code&) { return true; }
  bool on_comment(string_view, error_code&) { return true; }

 private:
  enum class Field { Other, Text, Payload };

  bool fail_with(Error error, error_code& ec) {
    problem_ = std::move(error);
    ec = json::error::syntax;  // any: ends the parse; problem_ is what is told
    return false;
  }
  Field field_named(std::string_view key) const {
    if (key == "payload" && spec_->payload) return Field::Payload;
    return !spec_->text_field.empty() && key == spec_->text_field ? Field::Text : Field::Other;
  }
  bool in_payload() const { return depth_ == 1 && field_ == Field::Payload; }
  // Hands a value to keep_, if it keeps anything.
  template <class Member, class... Values>
  bool kept(error_code& ec, Member member, Values... values) {
    if (!keep_.keeping() || (keep_.*member)(values...)) return true;
    return fail_with(
        fail(Code::TooLarge, "The fields of the body are larger than " + std::to_string(spec_->max_fields) +
                                 " bytes together. Send large arguments as \"payload\", and a large batch "
                                 "in several requests."),
        ec);
  }
  bool leave() {
    --depth_;
    field_ = Field::Other;
    return true;
  }
  bool other_type(std::string_view type, error_code& ec) {
    if (depth_ == 0)
      return fail_with(fail(Code::Invalid, "The body must be a JSON object, not " + std::string(type) + "."), ec);
    if (depth_ > 1 || field_ == Field::Other) return true;
    const std::string_view name = field_ == Field::Text ? spec_->text_field : "payload";
    return fail_with(fail(Code::Invalid, quoted(name) + " must be a string, not " + std::string(type) + "."), ec);
  }
  bool string(string_view part, error_code& ec) {
    if (depth_ == 0) return other_type("a string", ec);
    if (depth_ > 1 || field_ == Field::Other) return true;
    if (field_ == Field::Text) return text(part, ec);
    if (!std::exchange(begun_, true)) {
      reader_.start(max_payload_, expected_, digest_);
      has_payload_ = true;
    }
    reader_.decode({part.data(), part.size()});  // its error is told by finish(), after the shape of the body
    reader_.check();
    return true;
  }
  bool text(string_view part, error_code& ec) {
    if (!std::exchange(begun_, true)) text_.clear();
    has_text_ = true;
    if (text_.size() + part.size() > kMaxText)
      return fail_with(
          fail(Code::Invalid, quoted(spec_->text_field) + " is longer than " + std::to_string(kMaxText) + " bytes."),
          ec);
    text_.append(part.data(), part.size());
    return true;
  }

  const FormSpec* spec_ = nullptr;
  std::uint64_t max_payload_ = 0, expected_ = 0;
  bool digest_ = false;
  std::size_t depth_ = 0;
  Field field_ = Field::Other;  // whose value comes, at depth 1
  FieldKeeper keep_;
  bool begun_ = false;  // a part of that value has come
  std::string key_, text_;
  bool has_text_ = false, has_payload_ = false;
  PayloadReader reader_;
  std::optional<Error> problem_;
};

json::parse_options options() {
  json::parse_options out;
  out.max_depth = core::limits::kMaxJsonDepth;
  return out;
}

}  // namespace

Error body_too_large(const FormSpec& spec) {
  return fail(Code::TooLarge, "The body is larger than the " + std::to_string(spec.max_body) +
                                  " bytes that this route takes. Send it in several requests.");
}

struct PayloadForm::Impl {
  json::basic_parser<Handler> parser{options()};
  const FormSpec* spec = nullptr;
  std::uint64_t expected = 0;
  std::uint64_t fed = 0;
  error_code error;
  bool raw = false;                 // all goes to the payload's reader
  bool between_characters = false;  // as ends_between_characters says of all that was fed

  Handler& handler() { return parser.handler(); }

  void write(bool more, std::string_view piece) {
    if (spec->max_body > 0 && fed + piece.size() > spec->max_body) return too_large();
    const std::size_t used = parser.write_some(more, piece.data(), piece.size(), error);
    if (!error && used < piece.size()) error = json::error::extra_data;
    fed += error ? used : piece.size();
  }

  void too_large() {
    handler().problem() = body_too_large(*spec);
    error = json::error::syntax;
  }

  // The inside of a payload goes to its reader directly; the parser sees the rest of the body and notices nothing.
  std::size_t pass_payload(std::string_view piece) {
    if (!between_characters || !handler().inside_payload()) return 0;
    PayloadReader& reader = handler().reader();
    const std::size_t passed = pass_base64(piece, [&](std::string_view run) { reader.decode(run); });
    reader.check();
    fed += passed;
    return passed;
  }

  Error explain() {
    if (handler().problem()) return std::move(*handler().problem());
    const std::string fields = shape();
    if (fed == 0 && error == json::error::incomplete)
      return fail(Code::Invalid, "The body is empty; it must be a JSON object like " + fields + ".");
    if (error == json::error::too_deep)
      return fail(Code::Invalid, "The JSON of the body is nested deeper than " +
                                     std::to_string(core::limits::kMaxJsonDepth) + " levels.");
    return fail(Code::Invalid, "The body is not JSON (" + error.message() + " at byte " + std::to_string(fed) +
                                   "); it must be an object like " + fields + ".");
  }

  Error missing(std::string_view field) {
    return fail(Code::Invalid,
                "The field " + quoted(field) + " is missing; the body must be a JSON object like " + shape() + ".");
  }

  Result<Form> finish_raw() {
    Form form;
    form.raw = form.has_payload = true;
    TRY(form.payload, handler().reader().finish(spec->function));
    form.digest = handler().reader().digest();
    return form;
  }

  std::string shape() const {
    if (!spec->shape.empty()) return std::string(spec->shape);
    return "{" + quoted(spec->text_field) + ": ..., \"payload\": ...}";
  }
};

PayloadForm::PayloadForm() : impl_(std::make_unique<Impl>()) {}
PayloadForm::~PayloadForm() = default;

void PayloadForm::start(const FormSpec& spec, std::uint64_t max_payload, std::uint64_t expected, bool digest) {
  impl_->parser.reset();
  impl_->spec = &spec;
  impl_->expected = expected;
  impl_->fed = 0;
  impl_->raw = false;
  impl_->between_characters = false;
  impl_->error = {};
  impl_->handler().start(spec, max_payload, expected, digest || spec.digest);
}

void PayloadForm::start_raw(const FormSpec& spec, std::uint64_t max_payload, std::uint64_t expected, bool digest) {
  start(spec, max_payload, expected, digest);
  impl_->raw = true;
  impl_->handler().reader().start_bytes(max_payload, expected, digest || spec.digest);
}

void PayloadForm::feed(std::string_view piece) {
  if (impl_->error || piece.empty()) return;
  if (impl_->raw) return impl_->handler().reader().take(piece);
  piece.remove_prefix(impl_->pass_payload(piece));
  if (piece.empty()) return;
  impl_->write(impl_->fed + piece.size() != impl_->expected, piece);
  impl_->between_characters = ends_between_characters(piece, impl_->between_characters);
}

Result<Form> PayloadForm::finish() {
  Impl& impl = *impl_;
  if (impl.raw) return impl.finish_raw();
  if (!impl.error && !impl.parser.done()) impl.write(false, {});
  if (impl.error) return impl.explain();
  Handler& handler = impl.handler();
  const bool needs_both = impl.spec->max_fields == 0;
  if (needs_both && !handler.has_text()) return impl.missing(impl.spec->text_field);
  if (needs_both && !handler.has_payload()) return impl.missing("payload");
  Form form;
  form.has_payload = handler.has_payload();
  if (form.has_payload) {
    TRY(form.payload, handler.reader().finish(impl.spec->function));
    form.digest = handler.reader().digest();
  }
  form.text = handler.take_text();
  form.fields = handler.take_fields();
  return form;
}

void PayloadForm::reset() { impl_->handler().reader().reset(); }

}  // namespace treadle::gateway
