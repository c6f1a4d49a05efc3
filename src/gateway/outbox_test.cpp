#include "gateway/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gateway/base64_json.h"

namespace treadle::gateway {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;

constexpr std::string_view kDate = "Wed, 25 Nov 2026 05:00:00 GMT";

std::string take(Outbox& box) {
  std::string out;
  while (true) {
    box.pump(kDate);
    if (box.unsent().empty()) return out;
    const std::size_t some = std::min<std::size_t>(box.unsent().size(), 100'000);
    out += box.unsent().substr(0, some);
    box.sent(some);
  }
}

TEST(Outbox, KeepsTheOrderOfTheRequests) {
  Outbox box;
  std::vector<std::uint64_t> numbers;
  for (int i = 0; i < 200; ++i) numbers.push_back(box.open({}));
  for (int i = 199; i >= 0; --i)
    box.fill(numbers[static_cast<std::size_t>(i)], json_response(200, "<" + std::to_string(i) + ">"), kDate);
  const std::string text = take(box);
  std::size_t at = 0;
  for (int i = 0; i < 200; ++i) {
    const auto next = text.find("<" + std::to_string(i) + ">");
    ASSERT_NE(next, std::string::npos);
    EXPECT_GE(next, at);
    at = next;
  }
  EXPECT_TRUE(box.idle());
}

TEST(Outbox, WritesAWholeAnswer) {
  Outbox box;
  box.fill(box.open({}), json_response(404, "{}"), kDate);
  EXPECT_EQ(take(box),
            "HTTP/1.1 404 Not Found\r\nDate: Wed, 25 Nov 2026 05:00:00 GMT\r\nContent-Type: application/json\r\n"
            "Content-Length: 2\r\n\r\n{}");
  EXPECT_FALSE(box.finished());
}

TEST(Outbox, EndsAfterAnAnswerThatCloses) {
  Outbox box;
  AnswerFrame closing;
  closing.close = true;
  const auto first = box.open(closing);
  const auto second = box.open({});
  box.fill(second, json_response(200, "never"), kDate);
  box.fill(first, json_response(200, "last"), kDate);
  EXPECT_THAT(take(box), EndsWith("Connection: close\r\n\r\nlast"));
  EXPECT_TRUE(box.finished());
}

TEST(Outbox, HoldsOnlyAPieceOfALargeBlob) {
  Outbox box;
  Response response;
  response.body = "[";
  response.blob_form = Response::Blob::Base64Json;
  response.blob = Buffer::of(std::string(10'000'000, 'a'));
  response.suffix = "]";
  const auto first = box.open({});
  const auto second = box.open({});
  box.fill(second, json_response(200, "second"), kDate);
  box.fill(first, std::move(response), kDate);
  std::size_t most = 0, total = 0;
  std::string tail;
  for (box.pump(kDate); !box.unsent().empty(); box.pump(kDate)) {
    most = std::max(most, box.unsent().size());
    const std::size_t some = std::min<std::size_t>(box.unsent().size(), 70'000);
    tail = (tail + std::string(box.unsent().substr(0, some))).substr(tail.size() > 500 ? tail.size() - 500 : 0);
    total += some;
    box.sent(some);
  }
  EXPECT_LT(most, 600'000u);
  EXPECT_GT(total, base64_json_length(10'000'000));
  EXPECT_THAT(tail, HasSubstr("\\n]HTTP/1.1 200 OK"));
  EXPECT_THAT(tail, EndsWith("second"));
}

TEST(Outbox, SendsNoBodyForHead) {
  Outbox box;
  AnswerFrame head;
  head.head = true;
  Response response = json_response(200, "12345");
  response.blob_form = Response::Blob::Raw;
  response.blob = Buffer::of("67");
  box.fill(box.open(head), std::move(response), kDate);
  EXPECT_THAT(take(box), EndsWith("Content-Length: 7\r\n\r\n"));
}

TEST(Outbox, SaysContinueOnlyWhenItsTurnHasCome) {
  Outbox box;
  const auto first = box.open({});
  box.request_continue();
  EXPECT_EQ(take(box), "");
  box.fill(first, json_response(200, "{}"), kDate);
  EXPECT_THAT(take(box), EndsWith("{}HTTP/1.1 100 Continue\r\n\r\n"));
}

TEST(Base64Json, WritesLinesOf76) {
  const auto encode = [](std::size_t size) {
    std::string out;
    append_base64_json(out, std::string(size, '\0'));
    EXPECT_EQ(out.size(), base64_json_length(size)) << size;
    return out;
  };
  EXPECT_EQ(encode(0), "");
  EXPECT_EQ(encode(1), "AA==\\n");
  EXPECT_EQ(encode(57), std::string(76, 'A') + "\\n");
  EXPECT_EQ(encode(58), std::string(76, 'A') + "\\nAA==\\n");
  for (std::size_t size = 2; size < 300; ++size) encode(size);
}

// Gives one piece each time it is asked.
class Pieces final : public BodyStream {
 public:
  std::vector<std::string> pieces;
  bool more = true;
  bool read(std::string& out, std::size_t) override {
    if (!pieces.empty()) {
      out += pieces.front();
      pieces.erase(pieces.begin());
    }
    return more || !pieces.empty();
  }
};

TEST(Outbox, SendsAStreamAsChunksUntilItsEnd) {
  Outbox box;
  const auto stream = std::make_shared<Pieces>();
  stream->pieces = {"one", std::string(20, 'x')};
  const auto first = box.open({});
  const auto second = box.open({});
  Response response;
  response.content_type = kPlainText;
  response.stream = stream;
  box.fill(first, std::move(response), kDate);
  box.fill(second, json_response(200, "{}"), kDate);
  std::string text = take(box);
  EXPECT_THAT(text,
              HasSubstr("Content-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"));
  EXPECT_THAT(text, EndsWith("14\r\n" + std::string(20, 'x') + "\r\n"));
  EXPECT_TRUE(box.endless());
  EXPECT_FALSE(box.idle());
  EXPECT_EQ(take(box), "") << "nothing new";
  stream->pieces = {"end"};
  stream->more = false;
  text = take(box);
  EXPECT_TRUE(text.starts_with("3\r\nend\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n")) << text;
  EXPECT_TRUE(box.idle());
  EXPECT_FALSE(box.endless());
}

TEST(Outbox, EndsTheConnectionBehindAStreamOfHttp10) {
  Outbox box;
  const auto stream = std::make_shared<Pieces>();
  stream->pieces = {"one"};
  AnswerFrame old;
  old.http10 = true;
  Response response;
  response.stream = stream;
  box.fill(box.open(old), std::move(response), kDate);
  EXPECT_THAT(take(box), EndsWith("Connection: close\r\n\r\none"));
  EXPECT_FALSE(box.finished());
  stream->more = false;
  EXPECT_EQ(take(box), "");
  EXPECT_TRUE(box.finished());
}

}  // namespace
}  // namespace treadle::gateway
