#include "worker/interpreter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <filesystem>
#include <fstream>

#include "worker/pool_harness.h"

namespace treadle::worker {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// A program that pretends to be an interpreter.
class FakePython {
 public:
  explicit FakePython(const std::string& script)
      : path_(std::filesystem::temp_directory_path() / ("treadle-fake-" + test::random_text())) {
    std::ofstream(path_) << "#!/bin/sh\n" << script;
    std::filesystem::permissions(path_, std::filesystem::perms::owner_all);
  }
  ~FakePython() { std::filesystem::remove(path_); }
  std::string path() const { return path_; }

 private:
  std::filesystem::path path_;
};

std::string refusal(const std::string& python, Duration limit = 5s) {
  const auto info = ask_interpreter(python, limit);
  EXPECT_FALSE(info);
  return info ? "" : info.error().message;
}

TEST(Interpreter, TellsWhatItIs) {
  const auto info = ask_interpreter("/usr/bin/python3");
  ASSERT_TRUE(info) << info.error().message;
  EXPECT_EQ(info->major, 3);
  EXPECT_GE(info->minor, 9);
  EXPECT_THAT(info->path, HasSubstr("/usr/bin/python3"));
  EXPECT_THAT(info->dill, ::testing::MatchesRegex("[0-9]+\\.[0-9.]+"));
}

TEST(Interpreter, ThatIsMissingIsNamedWithTheWayOut) {
  EXPECT_THAT(refusal("no-such-python"), HasSubstr("there is no Python interpreter `no-such-python`"));
  EXPECT_THAT(refusal("no-such-python"), HasSubstr("--python /usr/bin/python3"));
}

TEST(Interpreter, ThatIsTooOldIsNamedWithItsVersion) {
  const FakePython old(
      "echo '{\"version\": [3, 8, 18], \"path\": \"/opt/old\", \"dill\": \"0.3\", \"cloudpickle\": null, \"debian\": "
      "false}'");
  EXPECT_EQ(refusal(old.path()),
            "/opt/old is Python 3.8.18, and Treadle needs 3.9 or newer; choose another one: --python /usr/bin/python3");
  const FakePython two(
      "echo '{\"version\": [2, 7, 1], \"path\": \"/opt/two\", \"dill\": \"0.3\", \"cloudpickle\": null, \"debian\": "
      "false}'");
  EXPECT_THAT(refusal(two.path()), HasSubstr("is Python 2.7.1"));
}

TEST(Interpreter, WithoutDillIsToldHowToGetIt) {
  const FakePython other(
      "echo '{\"version\": [3, 12, 1], \"path\": \"/opt/my/python\", \"dill\": null, \"cloudpickle\": null, "
      "\"debian\": false}'");
  EXPECT_EQ(refusal(other.path()),
            "/opt/my/python (Python 3.12.1) has no dill; install it with `/opt/my/python -m pip install dill`, or "
            "choose another one: --python /usr/bin/python3");
  const FakePython debian(
      "echo '{\"version\": [3, 11, 2], \"path\": \"/usr/bin/python3\", \"dill\": null, \"cloudpickle\": null, "
      "\"debian\": true}'");
  EXPECT_THAT(refusal(debian.path()), HasSubstr("`apt-get install python3-dill`"));
}

TEST(Interpreter, ThatHangsOrTalksNonsenseIsRefused) {
  const FakePython hangs("exec sleep 60");
  EXPECT_THAT(refusal(hangs.path(), 200ms), HasSubstr("did not answer within"));
  const FakePython nonsense("echo hello; echo broken >&2; exit 1");
  EXPECT_THAT(refusal(nonsense.path()), HasSubstr("does not answer like Python (it said: broken)"));
  const FakePython silent("exit 3");
  EXPECT_THAT(refusal(silent.path()), HasSubstr("does not answer like Python"));
}

TEST(ZygoteSpec, KeepsPythonpathOutOfTheEnvironment) {
  const std::string spec = zygote_spec({"/usr/bin/python3", {"numpy"}, {"/my/code", "/here"}, 2},
                                       {{"PYTHONPATH", "/my/code"}, {"MKL_NUM_THREADS", "7"}}, "/tmp");
  const auto root = boost::json::parse(spec);
  const auto& env = root.at("env").as_object();
  EXPECT_FALSE(env.contains("PYTHONPATH"));
  EXPECT_EQ(env.at("OMP_NUM_THREADS").as_string(), "2");
  EXPECT_EQ(env.at("MKL_NUM_THREADS").as_string(), "7") << "the user's own setting stays";
  EXPECT_EQ(root.at("cwd").as_string(), "/tmp");
  const auto& argv = root.at("argv").as_array();
  EXPECT_EQ(argv.at(0).as_string(), "/usr/bin/python3");
  const auto config = boost::json::parse(argv.at(3).as_string());
  EXPECT_EQ(config.at("pythonpath").as_string(), "/my/code");
  EXPECT_EQ(config.at("paths").at(1).as_string(), "/here");
  EXPECT_EQ(config.at("preload").at(0).as_string(), "numpy");
}

}  // namespace
}  // namespace treadle::worker
