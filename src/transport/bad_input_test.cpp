// Bad messages are refused with a sentence that names what is wrong; a table of them, member by member.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "core/limits.h"
#include "transport/blob_frames.h"
#include "transport/codec.h"

namespace treadle::transport {
namespace {

namespace limits = core::limits;
using ::testing::TestWithParam;

const std::string kTask = R"("0193610f-54c2-7b7e-a1b5-0c2f4e8d9a13")";
const std::string kToken = R"("00000000000000ff")";
const std::string kHeld = kTask + "," + kToken;
const std::string kSha = '"' + std::string(64, 'a') + '"';
const std::string kStart = R"({"worker":"w","boot":"0000000000000001","seq":1)";

Frames message(const std::vector<std::string>& frames) {
  Frames out;
  for (const std::string& frame : frames) out.push_back(Buffer::of(frame));
  return out;
}

std::string refusal_of_worker(const Frames& frames) {
  const auto decoded = decode_worker(frames);
  return decoded ? "taken" : decoded.error().message;
}
// The header with one more member.
std::string refusal_of_worker(const std::string& member, const std::string& type = "HEARTBEAT") {
  return refusal_of_worker(message({type, kStart + "," + member + "}", "pack"}));
}
std::string refusal_of_dispatcher(const Frames& frames) {
  const auto decoded = decode_dispatcher(frames);
  return decoded ? "taken" : decoded.error().message;
}
std::string refusal_of_dispatcher(const std::string& members) {
  return refusal_of_dispatcher(message({"NEW_REDIS_TASK", "{" + members + "}", "pack"}));
}

TEST(BadInput, FramesMustBeThere) {
  EXPECT_EQ(refusal_of_worker(Frames{}),
            "a message has at least two frames, its type and a JSON header; this one has 0");
  EXPECT_EQ(refusal_of_worker(message({"HEARTBEAT"})),
            "a message has at least two frames, its type and a JSON header; this one has 1");
  EXPECT_EQ(refusal_of_worker(Frames(limits::kMaxFrames + 1)), "a message has at most 1024 frames; this one has 1025");
}

TEST(BadInput, TypesAreKnownByDirection) {
  EXPECT_EQ(
      refusal_of_worker(message({"HELLO", kStart + "}"})),
      "frame 0 (type) is 'HELLO'; a worker sends one of WORKER_REGISTRATION, HEARTBEAT, TASK_COMPLETED, TASK_FAILED, "
      "WORKER_TASK_REQUEST, FUNCTION_REQUEST, GOODBYE");
  EXPECT_EQ(refusal_of_dispatcher(message({"HEARTBEAT", "{}"})),
            "frame 0 (type) is 'HEARTBEAT'; a dispatcher sends one of NEW_REDIS_TASK, NO_TASK, ACK, REVOKE, PING, "
            "REREGISTER, FUNCTION, DRAIN");
  EXPECT_EQ(refusal_of_worker(message({std::string(1000, 'x'), kStart + "}"})).substr(0, 30),
            "frame 0 (type) is 'a long text");
}

TEST(BadInput, HeaderMustBeASmallFlatObject) {
  for (const char* text : {"", "{", "nonsense", "{\"a\":1}x", "{\"a\":'1'}", "{\"worker\":\"\xff\"}"}) {
    EXPECT_EQ(refusal_of_worker(message({"HEARTBEAT", text})).substr(0, 40), "frame 1 (header) is not JSON that can be")
        << text;
  }
  EXPECT_EQ(refusal_of_worker(message({"HEARTBEAT", "[1]"})), "frame 1 (header) must be a JSON object, not a list");
  const std::string deep = R"({"x":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}";
  EXPECT_NE(refusal_of_worker(message({"HEARTBEAT", deep})).find("too deep"), std::string::npos);
  const std::string large = kStart + R"(,"x":")" + std::string(limits::kMaxFrame, 'x') + "\"}";
  EXPECT_NE(refusal_of_worker(message({"HEARTBEAT", large})).find("bytes; at most 4194304 are taken"),
            std::string::npos);
}

TEST(BadInput, AnotherProtocolIsNamedBesideOurs) {
  const std::string want =
      "header: 'protocol' is 2, and this program speaks protocol 1: run the same version of treadle on both sides";
  EXPECT_EQ(refusal_of_worker(R"("protocol":2)"), want);
  EXPECT_EQ(refusal_of_dispatcher(R"("protocol":2)"), want);
  EXPECT_EQ(refusal_of_worker(R"("protocol":"1")"),
            "header: 'protocol' is another text; it must be a whole number from 0 to 18446744073709551615");
}

TEST(BadInput, UnknownMembersAndLaterPlacesAreIgnored) {
  EXPECT_EQ(refusal_of_worker(R"("colour":["red",{"a":[1]}])"), "taken");
  EXPECT_EQ(refusal_of_worker(R"("started":[[)" + kHeld + R"(,"new"]])"), "taken");
}

TEST(BadInput, WorkerMustSayWhoItIs) {
  EXPECT_EQ(refusal_of_worker(message({"HEARTBEAT", R"({"boot":"0000000000000001","seq":1})"})),
            "header: 'worker' is missing; it must be a text");
  EXPECT_EQ(refusal_of_worker(message({"HEARTBEAT", R"({"worker":"w","seq":1})"})),
            "header: 'boot' is missing; it must be 16 hex digits");
  const std::string long_name = R"({"worker":")" + std::string(256, 'w') + "\"}";
  EXPECT_EQ(refusal_of_worker(message({"HEARTBEAT", long_name})), "header: 'worker' must be a name of 1 to 255 bytes");
  EXPECT_EQ(refusal_of_worker(message({"HEARTBEAT", R"({"worker":""})"})),
            "header: 'worker' must be a name of 1 to 255 bytes");
}

struct Member {
  std::string name;
  std::string right;  // JSON that is taken
  std::vector<std::string> wrong;
  bool of_worker = true;
};

class Members : public TestWithParam<Member> {};

TEST_P(Members, RefuseWhatTheyAreNot) {
  const Member& member = GetParam();
  const auto refusal = [&](const std::string& json) {
    const std::string text = '"' + member.name + "\":" + json;
    return member.of_worker ? refusal_of_worker(text, "WORKER_REGISTRATION") : refusal_of_dispatcher(text);
  };
  EXPECT_EQ(refusal(member.right), "taken");
  for (const std::string& json : member.wrong) {
    const std::string sentence = refusal(json);
    EXPECT_NE(sentence.find("header: "), std::string::npos) << json << ": " << sentence;
    EXPECT_NE(sentence.find(member.name), std::string::npos) << json << ": " << sentence;
    EXPECT_NE(sentence.find("must"), std::string::npos) << json << ": " << sentence;
  }
}

const std::vector<std::string> kNotANumber = {"null",  "true", "-1", "1.5", "1e3", "18446744073709551616",
                                              "\"1\"", "[]",   "{}"};
const std::vector<std::string> kNotSmall = {"null", "-1", "1.5", "\"1\"", "[]", "4294967296"};
const std::vector<std::string> kNotAFlag = {"null", "1", "\"true\"", "[]", "{}"};
const std::vector<std::string> kNotAUuid = {"null", "1", "[]", "\"\"", "\"0193610f54c27b7ea1b50c2f4e8d9a13\""};
const std::vector<std::string> kNotHeld = {"null",
                                           "1",
                                           "{}",
                                           "[1]",
                                           "[{}]",
                                           "[[]]",
                                           "[[" + kTask + "]]",
                                           "[[" + kToken + "," + kToken + "]]",
                                           "[[" + kTask + ",\"0000000000000000\"]]",
                                           "[[" + kTask + ",255]]",
                                           "[[" + kTask + ",\"ff\"]]"};

INSTANTIATE_TEST_SUITE_P(
    OfWorkers, Members,
    ::testing::Values(Member{"ack", "18446744073709551615", kNotANumber}, Member{"free", "4294967295", kNotSmall},
                      Member{"prefetch", "0", kNotSmall}, Member{"wait_ms", "100", kNotANumber},
                      Member{"session", kTask, kNotAUuid}, Member{"host", "\"h\"", {"null", "1", "[]", "{}"}},
                      Member{"pid", "1", kNotSmall}, Member{"slots", "1", kNotSmall},
                      Member{"pythons",
                             R"(["3.11.2","3.12"])",
                             {"null", "1", "\"3.11\"", "[3.11]", R"(["3"])", R"(["3.11.2.1"])", R"(["3.x"])",
                              R"(["3.256"])", R"([""])"}},
                      Member{"queues", R"(["a"])", {"null", "\"a\"", "[1]", "[[]]"}},
                      Member{"features", "[]", {"null", "1", "{}", "[null]"}}, Member{"in_process", "true", kNotAFlag},
                      Member{"held", "[[" + kHeld + "]]", kNotHeld}, Member{"started", "[]", kNotHeld},
                      Member{"wants", "[" + kSha + "]", {"null", "1", "[1]", R"(["aa"])", "[[" + kSha + "]]"}},
                      Member{"draining", "false", kNotAFlag}, Member{"goodbye", "true", kNotAFlag}));

INSTANTIATE_TEST_SUITE_P(
    Outcomes, Members,
    ::testing::Values(Member{"outcomes", "[[" + kHeld + R"(,0,4,[1,2,3,4,5,6],0,"FunctionFailed",0,0,0]])", kNotHeld},
                      Member{"outcomes",
                             "[[" + kHeld + "]]",
                             {"[[" + kHeld + ",-1]]", "[[" + kHeld + ",4294967296]]", "[[" + kHeld + ",3]]",
                              "[[" + kHeld + ",\"\"]]"}},
                      Member{"outcomes",
                             "[[" + kHeld + ",0,[" + kSha + ",1]]]",
                             {"[[" + kHeld + ",0,-1]]", "[[" + kHeld + ",0,\"x\"]]", "[[" + kHeld + ",0,[]]]",
                              "[[" + kHeld + ",0,[2]]]", "[[" + kHeld + ",0,[3]]]", "[[" + kHeld + ",0,[9000000000]]]",
                              "[[" + kHeld + ",0,[" + kSha + "]]]", "[[" + kHeld + ",0,[" + kSha + ",0]]]",
                              "[[" + kHeld + ",0,[" + kSha + ",-1]]]", "[[" + kHeld + ",0,[\"aa\",1]]]",
                              "[[" + kHeld + ",0,[1," + kSha + "]]]"}},
                      Member{"outcomes",
                             "[[" + kHeld + ",0,0,[-1]]]",
                             {"[[" + kHeld + ",0,0,1]]", "[[" + kHeld + ",0,0,[\"1\"]]]", "[[" + kHeld + ",0,0,[1.5]]]",
                              "[[" + kHeld + ",0,0,[0,0,2147483648]]]", "[[" + kHeld + ",0,0,[0,0,0,0,-1]]]"}},
                      Member{"outcomes",
                             "[[" + kHeld + ",0,0,[],0,\"\"]]",
                             {"[[" + kHeld + ",0,0,[],0,\"Sulking\"]]", "[[" + kHeld + ",0,0,[],0,1]]",
                              "[[" + kHeld + ",0,0,[],null]]"}},
                      Member{"given_back",
                             "[[" + kHeld + ",\"suspect\",4,0,0]]",
                             {"[[" + kHeld + "]]", "[[" + kHeld + ",1]]", "[[" + kHeld + ",\"bored\"]]",
                              "[[" + kHeld + ",\"retry\",[]]]"}}));

const std::string kFunctions = R"("functions":[[)" + kTask + "," + kSha + "]],";

INSTANTIATE_TEST_SUITE_P(
    OfDispatchers, Members,
    ::testing::Values(
        Member{"seq", "1", kNotANumber, false}, Member{"ack", "1", kNotANumber, false},
        Member{"session", kTask, kNotAUuid, false}, Member{"settled", "[[" + kHeld + "]]", kNotHeld, false},
        Member{"revokes", "[[" + kHeld + ",true]]", kNotHeld, false},
        Member{"revokes", "[]", {"[[" + kHeld + ",1]]"}, false},
        Member{"bodies",
               "[[" + kSha + ",0,4],[" + kSha + "]]",
               {"null", "1", "[1]", "[[]]", "[[1]]", "[[" + kSha + ",-1]]", "[[" + kSha + ",0,[1]]]"},
               false},
        Member{"functions",
               "[]",
               {"null", "[1]", "[[]]", "[[" + kTask + "]]", "[[1," + kSha + "]]", "[[" + kTask + ",\"aa\"]]"},
               false},
        Member{"registered", "true", kNotAFlag, false}, Member{"reregister", "true", kNotAFlag, false},
        Member{"ping", "true", kNotAFlag, false}, Member{"drain", "true", kNotAFlag, false},
        Member{"heartbeat_ms", "1000", kNotANumber, false},
        Member{"heartbeat_ms", "9000000000000", {"9000000000001"}, false}));

TEST(BadInput, AttemptsAreCheckedPlaceByPlace) {
  const auto refusal = [](const std::string& rest) {
    return refusal_of_dispatcher(kFunctions + "\"attempts\":[[" + kHeld + rest + "]]");
  };
  EXPECT_EQ(refusal(",1,0,0,4,7,3,10,20,30"), "taken");
  EXPECT_EQ(refusal(",1,0"), "taken");
  EXPECT_EQ(refusal(",1,1"),
            "header: attempts[0] place 3 (function) is 1; it must be the place of one of the 1 'functions'");
  EXPECT_EQ(refusal(",1"),
            "header: attempts[0] place 3 (function) is missing; it must be the place of one of the 1 'functions'");
  EXPECT_EQ(refusal(",1,0,0,5"), "frame 2 (pack) ends inside attempts[0] place 5 (args), which has 5 bytes");
  EXPECT_EQ(refusal(",1,0,0,[3]"),
            "header: attempts[0] place 5 (args) is in frame 3; it must be in one of the message's 3 frames");
  EXPECT_EQ(
      refusal(",1,0,15"),
      "header: attempts[0] place 4 (facts) is 15; it must be a number whose low 4 bits are 0 (pickle), 1 (source) or 2 "
      "(JSON)");
  for (const char* rest : {",-1", ",1,0,0,0,-1", ",1,0,0,0,0,65536", ",1,0,0,0,0,0,9000000000001", ",1,0,0,0,0,0,0,-1",
                           ",1,0,0,0,0,0,0,0,\"1\"", ",null"})
    EXPECT_EQ(refusal(rest).substr(0, 27), "header: attempts[0] place " + std::string(1, refusal(rest)[26])) << rest;
}

TEST(BadInput, PackIsSharedByAllPayloads) {
  const auto two = message(
      {"NEW_REDIS_TASK", "{" + kFunctions + "\"attempts\":[[" + kHeld + ",1,0,0,3],[" + kHeld + ",1,0,0,2]]}", "pack"});
  EXPECT_EQ(refusal_of_dispatcher(two), "frame 2 (pack) ends inside attempts[1] place 5 (args), which has 2 bytes");
  EXPECT_EQ(
      refusal_of_dispatcher(message({"NEW_REDIS_TASK", "{" + kFunctions + "\"attempts\":[[" + kHeld + ",1,0,0,1]]}"})),
      "frame 2 (pack) ends inside attempts[0] place 5 (args), which has 1 bytes");
}

TEST(BadInput, BlobMessagesAreChecked) {
  const auto request = [](const std::string& header) {
    const auto decoded = decode_blob_request(message({"BLOB_REQUEST", header}));
    return decoded ? "taken" : decoded.error().message;
  };
  EXPECT_EQ(request("{\"blob\":" + kSha + ",\"offset\":0}"), "taken");
  EXPECT_EQ(request("{\"offset\":0}"), "header: 'blob' is missing; it must be 64 hex digits");
  EXPECT_EQ(request("{\"blob\":" + kSha + ",\"offset\":-1}"),
            "header: 'offset' is -1; it must be a whole number from 0 to 18446744073709551615");
  EXPECT_EQ(request("{\"blob\":" + kSha + ",\"worker\":\"w\"}"),
            "header: 'worker' is another text; it must be a UUID as text");
  const auto part = decode_blob(message({"BLOB", "{\"blob\":" + kSha + ",\"size\":3}"}));
  ASSERT_FALSE(part);
  EXPECT_EQ(part.error().message, "frame 2 (the bytes) is missing, and 'gone' is not true");
  const auto gone = decode_blob(message({"BLOB", "{\"blob\":" + kSha + ",\"gone\":true}"}));
  ASSERT_TRUE(gone);
  EXPECT_TRUE(gone->gone);
}

}  // namespace
}  // namespace treadle::transport
