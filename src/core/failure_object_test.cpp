#include "core/failure_object.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <unistd.h>

namespace treadle::core {
namespace {

const TaskId kTask = *TaskId::parse("01890a5d-ac96-774b-bcce-b302099a8051");

// Runs `check` in a Python in which `e` is the decoded object; true if all of its assertions hold.
bool python_agrees(const Payload& payload, const std::string& check, const std::string& loads) {
  const std::string path = testing::TempDir() + "failure_object." + std::to_string(getpid());
  std::ofstream(path, std::ios::binary) << payload.bytes.view();
  std::ofstream(path + ".py") << "import pickle, sys\n"
                              << loads << "\ne = loads(open(sys.argv[1], 'rb').read())\n"
                              << check;
  const int status = std::system(("/usr/bin/python3 -I " + path + ".py " + path).c_str());
  std::remove(path.c_str());
  std::remove((path + ".py").c_str());
  return status == 0;
}

constexpr const char* kChecks = R"(
assert isinstance(e, RuntimeError) and isinstance(e, Exception), type(e)
assert "Worker Failure" in str(e) and "the limit of 12 s passed \u00e9" in str(e), str(e)
assert e.error_code == 500 and e.task_id == "01890a5d-ac96-774b-bcce-b302099a8051"
assert e.worker_id == "worker-7" and "the limit" in e.error_message
assert "limit of 12" in e and "other" not in e
try:
    raise e
except RuntimeError as again:
    assert again is e
)";

TEST(FailureObject, IsAnExceptionWithAllThatSeedClientsAskOf) {
  const Payload object = worker_failure_object(kTask, "worker-7", "the limit of 12 s passed \xc3\xa9");
  EXPECT_TRUE(python_agrees(object, kChecks, "loads = pickle.loads"));
  EXPECT_TRUE(python_agrees(object, kChecks, "from dill import loads"));
}

TEST(FailureObject, TheCheckItselfCanFail) {
  const Payload object = worker_failure_object(kTask, "worker-8", "the limit of 12 s passed \xc3\xa9");
  EXPECT_FALSE(
      python_agrees(object, std::string("sys.stderr = open('/dev/null', 'w')\n") + kChecks, "loads = pickle.loads"));
}

TEST(FailureObject, SaysWorkerFailureOnce) {
  const Payload object = worker_failure_object(kTask, "w", "Worker Failure: lost");
  EXPECT_TRUE(python_agrees(object, "assert str(e) == 'Worker Failure: lost', str(e)\n", "loads = pickle.loads"));
}

}  // namespace
}  // namespace treadle::core
