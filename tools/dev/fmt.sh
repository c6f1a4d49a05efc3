# ./dev fmt: clang-format in place, on all C++ of the tree.
source tools/dev/lib/packages.sh

verb_fmt() {
  need_packages lint
  git ls-files -co --exclude-standard -z -- '*.h' '*.cpp' | xargs -0 -r clang-format -i
}
