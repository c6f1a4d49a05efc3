#include "worker/temp_folders.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

namespace treadle::worker {
namespace {

namespace fs = std::filesystem;

class TempFoldersTest : public testing::Test {
 protected:
  TempFoldersTest() {
    std::string name = (fs::temp_directory_path() / "treadle-test.XXXXXX").string();
    root_ = ::mkdtemp(name.data());
  }
  ~TempFoldersTest() override { fs::remove_all(root_); }
  std::string root_;
};

bool gone_soon(const fs::path& path) {
  for (int i = 0; i < 500 && fs::exists(path); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return !fs::exists(path);
}

TEST_F(TempFoldersTest, WhatADeadExecutorLeavesIsRemoved) {
  TempFolders folders(root_);
  EXPECT_TRUE(fs::is_directory(folders.base()));
  EXPECT_EQ(folders.folder_of(7), folders.base() + "/7");
  fs::create_directories(folders.folder_of(7) + "/a/b");
  std::ofstream(folders.folder_of(7) + "/a/b/file") << "x";
  fs::create_directory(folders.folder_of(8));
  folders.remove(7);
  folders.remove(8);
  folders.remove(9);  // never made
  EXPECT_TRUE(gone_soon(folders.folder_of(7)));
  EXPECT_FALSE(fs::exists(folders.folder_of(8)));
}

TEST_F(TempFoldersTest, NothingIsLeftAtTheEnd) {
  std::string base;
  {
    TempFolders folders(root_);
    base = folders.base();
    fs::create_directories(folders.folder_of(1) + "/still/here");
  }
  EXPECT_FALSE(fs::exists(base));
}

TEST_F(TempFoldersTest, FoldersOfDeadProcessesAreSweptAndOthersAreNot) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  const fs::path root(root_);
  const std::string dead = "treadle-tasks." + std::to_string(child) + ".abcdef";
  const std::string alive = "treadle-tasks." + std::to_string(::getppid()) + ".abcdef";
  for (const std::string& name : {dead, alive, std::string("treadle-tasks.x"), std::string("else")})
    fs::create_directories(root / name / "inside");
  const TempFolders folders(root_);
  EXPECT_FALSE(fs::exists(root / dead));
  EXPECT_TRUE(fs::exists(root / alive / "inside"));
  EXPECT_TRUE(fs::exists(root / "treadle-tasks.x" / "inside"));
  EXPECT_TRUE(fs::exists(root / "else" / "inside"));
}

TEST_F(TempFoldersTest, WithoutAPlaceThereAreNone) {
  TempFolders folders("/no/such/place");
  EXPECT_EQ(folders.base(), "");
  EXPECT_EQ(folders.folder_of(3), "");
  folders.remove(3);
}

}  // namespace
}  // namespace treadle::worker
