// The guard alone, for tests: what `treadle --guard` is in the product.
#include "worker/guard.h"

int main() { return treadle::worker::run_guard(); }
